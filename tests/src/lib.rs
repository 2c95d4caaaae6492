//! What the end-to-end tests share: the stack that `tests/run` deployed, and how to wait for it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

pub mod api;
pub mod application;
pub mod faults;

use std::time::Duration;

use bytes::Bytes;
use errand_core::{Environment, Timestamp};
use errand_http::aws::{SdkConfig, sdk_config};
use errand_store_dynamodb::DynamoStore;
use serde_json::Value;

pub use api::Api;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The deployed stack. What each test does in it has an id of its own, so that all can run at once.
pub struct Stack {
    /// The emulator's address.
    pub endpoint: String,
    /// Settings for clients of it.
    pub sdk: SdkConfig,
    /// The queue.
    pub queue_url: String,
    /// The queue.
    pub queue_arn: String,
    /// Where the given-up go.
    pub dead_letter_url: String,
    /// Where delayed tasks wait.
    pub schedule_group: String,
    /// The HTTP API.
    pub api: Api,
}

fn fact(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/run"))
}

impl Stack {
    /// The stack that the environment tells of.
    ///
    /// # Panics
    /// It tells of none: `tests/run` sets one up.
    #[must_use]
    pub fn new() -> Self {
        let endpoint = fact("TEST_AWS_ENDPOINT");
        let env: Environment = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ]
        .into_iter()
        .collect();
        Self {
            sdk: sdk_config(&env).expect("settings that are complete"),
            queue_url: fact("TEST_QUEUE_URL"),
            queue_arn: fact("TEST_QUEUE_ARN"),
            dead_letter_url: fact("TEST_DEAD_LETTER_URL"),
            schedule_group: fact("TEST_SCHEDULE_GROUP"),
            // The emulator tells APIs apart by the host's name, which does not resolve.
            api: Api::new(&endpoint, &fact("TEST_API_KEY")).at(&format!("{}.execute-api.localhost", fact("TEST_API_ID"))),
            endpoint,
        }
    }

    /// Makes a table as the template has it.
    ///
    /// # Panics
    /// It cannot be made.
    pub async fn create_table(&self, name: &str) -> DynamoStore {
        let cx = errand_testkit::init().with(self.sdk.clone());
        let store = DynamoStore::new(&Environment::default(), &cx, name).expect("settings that are complete");
        store.create_table().await.expect("a table");
        store
    }

    /// [`Api::call`].
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.api.call(method, path, body).await
    }

    /// Calls the API with another `authorization`.
    pub async fn call_as(&self, authorization: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let answer = self.api.request(method, path, body, &[("authorization", authorization)]).await;
        (answer.status, answer.body)
    }

    /// [`Api::send`].
    pub async fn send(&self, task: &Value) -> Value {
        self.api.send(task).await
    }

    /// [`Api::wait_for`].
    pub async fn wait_for(&self, id: &str, status: &str) -> Value {
        self.api.wait_for(id, status).await
    }

    /// The mails that SES took, with this subject.
    ///
    /// # Panics
    /// The emulator does not tell.
    pub async fn mails(&self, subject: &str) -> Vec<Value> {
        let request = http::Request::get(format!("{}/_ministack/ses/messages", self.endpoint)).body(Bytes::new()).expect("a request");
        let response = errand_http::Client::new().send_for(request, PATIENCE, api::ANSWER_LIMIT).await.expect("an answer");
        let told: Value = serde_json::from_slice(response.body()).expect("an answer in JSON");
        let mailboxes = told["messages"].as_object().cloned().unwrap_or_default();
        mailboxes
            .into_values()
            .flat_map(|mails| mails.as_array().cloned().unwrap_or_default())
            .filter(|mail| mail.to_string().contains(subject))
            .collect()
    }

    /// A client of the queues.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.sdk)
    }

    /// Waits for the dead letter of this id, leaves it there, and answers it.
    ///
    /// # Panics
    /// There is none for too long.
    pub async fn dead_letter(&self, id: &str) -> aws_sdk_sqs::types::Message {
        until(&format!("{id} is a dead letter"), async || {
            let call = self.sqs().receive_message().queue_url(&self.dead_letter_url).max_number_of_messages(10).visibility_timeout(0);
            let told = call.message_attribute_names("All").send().await.expect("an answer");
            told.messages.unwrap_or_default().into_iter().find(|message| message.body().is_some_and(|body| body.contains(id)))
        })
        .await
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self::new()
    }
}

/// An id that no other test has.
#[must_use]
pub fn id(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::now_v7())
}

/// A mail whose subject is its id.
#[must_use]
pub fn mail(id: &str) -> Value {
    serde_json::json!({ "id": id, "task": "email", "kwargs": { "to": ["someone@example.com"], "subject": id, "body": "It works." } })
}

/// Asks until there is an answer.
///
/// # Panics
/// There is none for too long.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Timestamp::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Timestamp::now().since(started) < PATIENCE, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
