//! The deployed outbox on a stream of the emulator, killed at random: none lost, and the order of each key kept. And the one of the stack, behind its own mapping.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_sdk_sqs::types::QueueAttributeName;
use errand_http::{Client, Service, aws::Api};
use errand_tests::{
    Stack,
    faults::{Dice, Feed, Processes},
    id, until,
};
use serde_json::{Value, json};

const EVENTS: usize = 2000;
const KEYS: usize = 17;

/// What an application writes in one transaction, beside its own change.
const TOGETHER: usize = 20;

/// The tables and their streams.
struct Tables {
    items: Service,
    streams: Service,
}

impl Tables {
    fn new(stack: &Stack) -> Self {
        let service = |id, host| {
            let cx = errand_testkit::init().with(stack.sdk.clone());
            let api = Api { name: "DynamoDB", id, host, signed_as: "dynamodb" };
            api.service(Duration::from_secs(30), &cx, Client::new()).unwrap()
        };
        Self { items: service("DynamoDB", "dynamodb"), streams: service("DynamoDB Streams", "streams.dynamodb") }
    }

    async fn call(&self, target: &'static str, request: &Value) -> Value {
        let service = if target.starts_with("DynamoDBStreams") { &self.streams } else { &self.items };
        let call = service.post("/").json(request).header("x-amz-target", target).header("content-type", "application/x-amz-json-1.0");
        let answer = call.up_to(16 * 1024 * 1024).send().await.unwrap();
        assert!(answer.success(), "{target}: {}", String::from_utf8_lossy(answer.body()));
        answer.json().unwrap()
    }

    /// Makes a table for events; answers its stream.
    async fn create(&self, name: &str) -> String {
        let table = json!({
            "TableName": name, "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "key", "AttributeType": "S" }, { "AttributeName": "id", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "key", "KeyType": "HASH" }, { "AttributeName": "id", "KeyType": "RANGE" }],
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
        });
        let made = self.call("DynamoDB_20120810.CreateTable", &table).await;
        made["TableDescription"]["LatestStreamArn"].as_str().unwrap().to_owned()
    }

    /// Writes all events, some at a time, each time with a change of the application's own.
    async fn write(&self, table: &str) {
        for first in (0..EVENTS).step_by(TOGETHER) {
            let item = |number: usize| json!({ "Put": { "TableName": table, "Item": item(number) } });
            let items: Vec<Value> = (first..first + TOGETHER).map(item).collect();
            self.call("DynamoDB_20120810.TransactWriteItems", &json!({ "TransactItems": items })).await;
        }
    }

    /// Reads the stream until it has all that is to come.
    async fn follow(&self, stream: &str, records: &Mutex<Vec<Value>>) {
        let told = self.call("DynamoDBStreams_20120810.DescribeStream", &json!({ "StreamArn": stream })).await;
        let shard = &told["StreamDescription"]["Shards"][0]["ShardId"];
        let from = json!({ "StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
        let mut at = self.call("DynamoDBStreams_20120810.GetShardIterator", &from).await["ShardIterator"].clone();
        while records.lock().unwrap().len() < EVENTS {
            let page = self.call("DynamoDBStreams_20120810.GetRecords", &json!({ "ShardIterator": at })).await;
            records.lock().unwrap().extend(page["Records"].as_array().unwrap().iter().cloned());
            at = page["NextShardIterator"].clone();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn item(number: usize) -> Value {
    let key = format!("order-{}", number % KEYS);
    let event = json!({ "specversion": "1.0", "id": number.to_string(), "source": "/shop", "type": "order.paid", "subject": key, "data": { "number": number } });
    json!({ "key": { "S": key }, "id": { "S": format!("{number:06}") }, "event": { "S": event.to_string() } })
}

/// A shard of a stream, as the mapping of a function with partial batches works it off: one batch at a time, and again from the first that failed.
#[derive(Default)]
struct Shard {
    records: Arc<Mutex<Vec<Value>>>,
    position: AtomicUsize,
    /// Batches that were in the hands of a process that was killed.
    lost: AtomicUsize,
}

impl Feed for Shard {
    const FUNCTION: &'static str = "outbox";
    const TIMEOUT: Duration = Duration::from_secs(60);
    type Batch = Vec<Value>;

    fn take(&self) -> Option<Vec<Value>> {
        let records = self.records.lock().unwrap();
        let batch: Vec<Value> = records.iter().skip(self.position.load(Ordering::SeqCst)).take(100).cloned().collect();
        Some(batch).filter(|batch| !batch.is_empty())
    }

    fn event(&self, batch: &Vec<Value>) -> Value {
        json!({ "Records": batch })
    }

    fn answered(&self, batch: Vec<Value>, failed: &[&str]) {
        let stays = batch.iter().position(|record| failed.iter().any(|failed| record["dynamodb"]["SequenceNumber"] == *failed));
        self.position.fetch_add(stays.unwrap_or(batch.len()), Ordering::SeqCst);
    }

    fn lost(&self, _: Vec<Value>) {
        self.lost.fetch_add(1, Ordering::SeqCst);
    }
}

fn settings(stack: &Stack, url: &str) -> Vec<(String, String)> {
    let transports = json!({ "theirs": { "backend": "sqs", "options": { "url": url, "format": "cloudevents" } } }).to_string();
    let vars = [
        ("AWS_LAMBDA_FUNCTION_NAME", "outbox"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "group"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
        ("AWS_LAMBDA_LOG_LEVEL", "ERROR"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", &stack.endpoint),
        ("ERRAND_QUEUE_URL", &stack.queue_url),
        ("ERRAND_DEAD_LETTER_URL", &stack.dead_letter_url),
        ("ERRAND_TRANSPORT", "theirs"),
        ("ERRAND_TRANSPORTS", &transports),
    ];
    vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Takes what is on a queue: bodies, in their order.
async fn receive(sqs: &aws_sdk_sqs::Client, url: &str) -> Vec<Value> {
    let (mut bodies, mut empty) = (Vec::new(), 0);
    while empty < 3 {
        let told = sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await.unwrap();
        let messages = told.messages.unwrap_or_default();
        empty = if messages.is_empty() { empty + 1 } else { 0 };
        for message in messages {
            bodies.push(serde_json::from_str(message.body().unwrap()).unwrap());
            sqs.delete_message().queue_url(url).receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
        }
    }
    bodies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the deployed stack"]
async fn an_outbox_that_is_killed_loses_nothing_and_keeps_the_order_of_each_key() {
    let (stack, (dice, seed)) = (Stack::new(), Dice::from_env());
    let (tables, sqs, name) = (Arc::new(Tables::new(&stack)), stack.sqs(), id("outbox"));
    let queue =
        sqs.create_queue().queue_name(format!("{name}.fifo")).attributes(QueueAttributeName::FifoQueue, "true").send().await.unwrap();
    let url = queue.queue_url().unwrap();
    let stream = tables.create(&name).await;
    let shard = Arc::new(Shard::default());
    let (writing, following) = (Arc::clone(&tables), (Arc::clone(&tables), Arc::clone(&shard.records)));
    let writer = tokio::spawn(async move { writing.write(&name).await });
    let reader = tokio::spawn(async move { following.0.follow(&stream, &following.1).await });
    let mut processes = Processes::start(1, settings(&stack, url), &shard).await;
    while shard.position.load(Ordering::SeqCst) < EVENTS {
        processes.kill_one(&dice).await;
        assert!(processes.kills < 2000, "it goes on (seed {seed})");
    }
    writer.await.unwrap();
    reader.await.unwrap();
    let events = receive(&sqs, url).await;
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for event in &events {
        let number = event["data"]["number"].as_u64().unwrap();
        assert_eq!((&event["source"], event["id"].as_str()), (&json!("/shop"), Some(number.to_string().as_str())), "the event itself");
        // SQS drops what comes again: none is seen twice.
        let before = last.insert(event["subject"].as_str().unwrap().to_owned(), number);
        assert!(before.is_none_or(|before| before < number), "{number} comes after {before:?} of its key (seed {seed})");
    }
    let lost = shard.lost.load(Ordering::SeqCst);
    println!("{} of {EVENTS} events, {} kills, {lost} of them with a batch in hand (seed {seed})", events.len(), processes.kills);
    assert_eq!(events.len(), EVENTS, "none is lost (seed {seed})");
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn an_event_that_an_application_writes_is_done_as_a_task() {
    let (stack, subject) = (Stack::new(), id("event"));
    let tables = Tables::new(&stack);
    let data = json!({ "to": ["someone@example.com"], "subject": subject, "body": "Written in a transaction." });
    let event = json!({ "specversion": "1.0", "id": subject, "source": "/shop", "type": "email", "data": data });
    let item = json!({ "key": { "S": "a" }, "id": { "S": subject }, "event": { "S": event.to_string() } });
    tables.call("DynamoDB_20120810.PutItem", &json!({ "TableName": std::env::var("TEST_OUTBOX_TABLE").unwrap(), "Item": item })).await;
    until("the mail is there", async || (stack.mails(&subject).await.len() == 1).then_some(())).await;
}
