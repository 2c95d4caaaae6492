//! What the end-to-end tests share: the stack that `tests/run` deployed, and how to wait for it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

pub mod faults;

use std::time::Duration;

use bytes::Bytes;
use errand_core::{Environment, Timestamp};
use errand_http::aws::{SdkConfig, sdk_config};
use serde_json::Value;

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
    api_host: String,
    api_key: String,
    http: errand_http::Client,
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
        let endpoint = fact("ERRAND_TEST_AWS_ENDPOINT");
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
            queue_url: fact("ERRAND_TEST_QUEUE_URL"),
            queue_arn: fact("ERRAND_TEST_QUEUE_ARN"),
            dead_letter_url: fact("ERRAND_TEST_DEAD_LETTER_URL"),
            schedule_group: fact("ERRAND_TEST_SCHEDULE_GROUP"),
            // The emulator tells APIs apart by the host's name, which does not resolve.
            api_host: format!("{}.execute-api.localhost", fact("ERRAND_TEST_API_ID")),
            api_key: fact("ERRAND_TEST_API_KEY"),
            http: errand_http::Client::new(),
            endpoint,
        }
    }

    /// Calls the API with the tests' key; answers status and body.
    ///
    /// # Panics
    /// There is no answer, or it is no JSON.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.call_as(&format!("Bearer {}", self.api_key), method, path, body).await
    }

    /// Calls the API with another `authorization`.
    ///
    /// # Panics
    /// There is no answer, or it is no JSON.
    pub async fn call_as(&self, authorization: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint))
            .header("host", &self.api_host)
            .header("authorization", authorization)
            .header("content-type", "application/json")
            .body(body.map_or_else(Bytes::new, |body| body.to_string().into()))
            .expect("a request");
        let response = self.http.send(request, PATIENCE).await.expect("an answer");
        (response.status().as_u16(), serde_json::from_slice(response.body()).expect("an answer in JSON"))
    }

    /// Sends a task.
    ///
    /// # Panics
    /// It is not accepted.
    pub async fn send(&self, task: &Value) -> Value {
        let (status, answer) = self.call("POST", "/v1/tasks", Some(task)).await;
        assert_eq!(status, 202, "{answer}");
        answer
    }

    /// Waits until a task has this status, and answers it.
    ///
    /// # Panics
    /// It ends otherwise, or takes too long.
    pub async fn wait_for(&self, id: &str, status: &str) -> Value {
        until(&format!("task {id} is {status}"), async || {
            let (code, task) = self.call("GET", &format!("/v1/tasks/{id}"), None).await;
            let told = task["status"].as_str().unwrap_or_default().to_owned();
            let ended = ["SUCCESSFUL", "FAILED", "CANCELLED", "EXPIRED"].contains(&told.as_str());
            assert!(told == status || !ended, "task {id} ended otherwise: {task}");
            (code == 200 && told == status).then_some(task)
        })
        .await
    }

    /// The mails that SES took, with this subject.
    ///
    /// # Panics
    /// The emulator does not tell.
    pub async fn mails(&self, subject: &str) -> Vec<Value> {
        let request = http::Request::get(format!("{}/_ministack/ses/messages", self.endpoint)).body(Bytes::new()).expect("a request");
        let response = self.http.send(request, PATIENCE).await.expect("an answer");
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
