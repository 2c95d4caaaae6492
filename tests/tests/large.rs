//! Tasks that no queue can carry, through S3: the functions as they are with the feature claim-check.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, time::Duration};

use errand_consumer::Consumer;
use errand_core::{Environment, Lookup, Message, Timestamp};
use errand_enqueue::Enqueue;
use errand_store_dynamodb::DynamoStore;
use errand_testkit::{Answer, Stub};
use errand_tests::{Stack, id};
use serde_json::json;

/// A queue, a dead-letter queue, a table and a bucket of the test's own, and settings that name them.
struct World {
    stack: Stack,
    env: Environment,
    queue_url: String,
    store: DynamoStore,
    bucket: String,
    s3: aws_sdk_s3::Client,
}

impl World {
    async fn new() -> Self {
        let stack = Stack::new();
        let name = id("large");
        let queue = async |name: &str| stack.sqs().create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap();
        let (queue_url, dead_letter_url) = (queue(&name).await, queue(&format!("{name}-dead")).await);
        let store = stack.create_table(&name).await;
        let s3 = aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&stack.sdk).force_path_style(true).build());
        s3.create_bucket().bucket(&name).send().await.unwrap();
        // The SHA-256 of "hunter2".
        let keys = "me:send:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
        let vars = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL", &stack.endpoint),
            ("ERRAND_API_KEYS", keys),
            ("ERRAND_BUCKET", &name),
            ("ERRAND_QUEUE_URL", &queue_url),
            ("ERRAND_DEAD_LETTER_URL", &dead_letter_url),
            ("ERRAND_TABLE", &name),
            ("ERRAND_WEBHOOK_ALLOW", "127.0.0.0/8"),
        ];
        let env = vars.into_iter().collect();
        Self { stack, env, queue_url, store, bucket: name, s3 }
    }

    async fn post(&self, task: &serde_json::Value) -> u16 {
        let request = http::Request::post("/v1/tasks").header("content-type", "application/json").header("authorization", "Bearer hunter2");
        let request = request.body(task.to_string().into()).unwrap();
        Enqueue::from_env(&self.env, errand_enqueue::backends).unwrap().handle(&request).await.status().as_u16()
    }

    /// Takes what is on the queue.
    async fn receive(&self) -> Vec<Message> {
        let told = self.stack.sqs().receive_message().queue_url(&self.queue_url).max_number_of_messages(10).send().await.unwrap();
        let message = |message: aws_sdk_sqs::types::Message| Message {
            id: message.message_id.unwrap(),
            receipt: message.receipt_handle.unwrap(),
            body: message.body.unwrap(),
            attributes: BTreeMap::new(),
            receive_count: 1,
            sent_at: Some(Timestamp::now()),
            queue: "default".to_owned(),
            lane: None,
        };
        told.messages.unwrap_or_default().into_iter().map(message).collect()
    }

    /// Runs messages; answers how many stay.
    async fn run(&self, messages: Vec<Message>) -> usize {
        let consumer = Consumer::from_env(&self.env, errand_consumer::providers, errand_consumer::backends).unwrap();
        consumer.handle(messages, Timestamp::now() + Duration::from_secs(30)).await.len()
    }

    async fn objects(&self) -> usize {
        self.s3.list_objects_v2().bucket(&self.bucket).send().await.unwrap().contents().len()
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn arguments_that_no_queue_can_carry_arrive_whole_and_leave_nothing() {
    let world = World::new().await;
    let receiver = Stub::start(|_| Answer::json(200, "")).await;
    let text = "x".repeat(3 * 1024 * 1024);
    let task = |id: &str| json!({ "id": id, "task": "webhook", "kwargs": { "url": receiver.url(), "body": { "text": text } } });
    assert_eq!(world.post(&task("a")).await, 202);
    assert_eq!(world.objects().await, 1);
    let messages = world.receive().await;
    assert!(messages.len() == 1 && messages[0].body.len() < 1000, "the message holds the key alone");
    assert_eq!(world.run(messages.clone()).await, 0);
    assert!(receiver.requests()[0].body.as_ref() == format!(r#"{{"text":"{text}"}}"#).as_bytes());
    assert_eq!(world.objects().await, 0, "removed after success");
    assert_eq!(world.run(messages).await, 0, "a twin finds it done, and asks for nothing");
    assert_eq!(receiver.requests().len(), 1);
    assert!(world.store.get("a").await.unwrap().unwrap().0.kwargs.is_null());
    assert_eq!(world.post(&json!({ "task": "webhook", "kwargs": { "url": receiver.url(), "body": "x".repeat(5_000_000) } })).await, 413);
    assert_eq!(world.objects().await, 0);
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn what_is_to_be_tried_again_keeps_its_arguments() {
    let world = World::new().await;
    let receiver = Stub::start(|_| Answer::json(503, "")).await;
    let task = json!({ "id": "a", "task": "webhook", "kwargs": { "url": receiver.url(), "body": "x".repeat(2_000_000) } });
    assert_eq!(world.post(&task).await, 202);
    assert_eq!(world.run(world.receive().await).await, 1);
    assert_eq!(world.objects().await, 1);
}
