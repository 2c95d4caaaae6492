//! The handler with SQS events, and with a provider that is not ours.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod env;

use std::sync::{Arc, Mutex};

use env::env;
use errand_consumer::Function;
use errand_core::{Attempt, DeliveryError, Environment, Fields, Init, Payload, Provider, Receipt, Setting, SettingsError};
use errand_testkit::{Answer, Stub};
use lambda_runtime::{Context, LambdaEvent};
use serde::Deserialize;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

/// What a third party writes: a payload, settings, a provider.
#[derive(Deserialize)]
struct Ship {
    order: u64,
}

impl Payload for Ship {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.deserialize()
    }
}

errand_core::settings! {
    const SETTINGS;
    /// Where it ships from.
    WAREHOUSE = "ERRAND_WAREHOUSE_WAREHOUSE", Text("a name"), "", [Consumer];
}

struct Warehouse {
    from: String,
    shipped: Shipped,
}

#[derive(Clone, Default)]
struct Shipped(Arc<Mutex<Vec<String>>>);

impl Provider for Warehouse {
    const NAME: &'static str = "warehouse";
    const TASKS: &'static [&'static str] = &["orders.ship"];
    const SETTINGS: &'static [Setting] = SETTINGS;
    type Payload = Ship;

    fn new(env: &Environment, _: &Init) -> Result<Self, SettingsError> {
        Ok(Self { from: env.required(&WAREHOUSE)?.to_owned(), shipped: SHIPPED.with(Clone::clone) })
    }

    async fn deliver(&self, ship: Ship, _: &Attempt) -> Result<Receipt, DeliveryError> {
        self.shipped.0.lock().unwrap().push(format!("{} from {}", ship.order, self.from));
        Ok(Receipt::default())
    }
}

thread_local! {
    static SHIPPED: Shipped = Shipped::default();
}

fn consumer(sqs: &str) -> Result<Arc<Function>, SettingsError> {
    let env = env(&[("AWS_ENDPOINT_URL", sqs), ("ERRAND_WAREHOUSE_WAREHOUSE", "north")]);
    Function::from_env(&env, |registry, env, cx| {
        errand_consumer::providers(registry, env, cx)?;
        registry.add::<Warehouse>(env, cx)
    })
    .map(Arc::new)
}

fn event(records: &[(&str, &str, Option<&str>)]) -> LambdaEvent<Box<RawValue>> {
    let queue = if records.iter().any(|(_, _, group)| group.is_some()) { "main.fifo" } else { "main" };
    let record = |(id, body, group): &(&str, &str, Option<&str>)| {
        json!({
            "messageId": id, "receiptHandle": "r", "body": body, "md5OfBody": "", "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "eu-west-1",
            "eventSourceARN": format!("arn:aws:sqs:eu-west-1:1:{queue}"),
            "attributes": { "ApproximateReceiveCount": "1", "MessageGroupId": group.unwrap_or("tenant") },
        })
    };
    let records: Vec<Value> = records.iter().map(record).collect();
    let mut context = Context::default();
    context.deadline = u64::try_from(errand_core::Timestamp::now().millis()).unwrap() + 30_000;
    LambdaEvent::new(to_raw_value(&json!({ "Records": records })).unwrap(), context)
}

async fn failures(consumer: &Arc<Function>, records: &[(&str, &str, Option<&str>)]) -> Vec<String> {
    let response = Arc::clone(consumer).invoke(event(records)).await.unwrap();
    let mut ids: Vec<String> = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    ids.sort();
    ids
}

fn body(request: &errand_testkit::Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[tokio::test]
async fn a_third_partys_provider_runs_beside_ours_and_bad_messages_do_not_touch_it() {
    let sqs = Stub::start(|_| Answer::json(200, r#"{"MessageId":"m"}"#)).await;
    let consumer = consumer(sqs.url()).unwrap();
    let good = r#"{"task":"orders.ship","kwargs":{"order":7}}"#;
    let told = failures(
        &consumer,
        &[("1", good, None), ("2", "\0{", None), ("3", r#"{"task":"no.such.task"}"#, None), ("4", r#"{"task":"orders.ship"}"#, None)],
    )
    .await;
    assert_eq!(told, ["3"], "what this build lacks stays, for a build that has it");
    assert_eq!(*SHIPPED.with(Clone::clone).0.lock().unwrap(), ["7 from north"]);
    let buried: Vec<Value> = sqs.requests().iter().map(body).filter(|body| body["MessageBody"].is_string()).collect();
    assert_eq!(buried.len(), 2);
    assert!(buried.iter().any(|letter| letter["MessageAttributes"]["errand-encoding"]["StringValue"] == "base64"));
    assert!(buried.iter().any(|letter| letter["MessageAttributes"]["errand-kind"]["StringValue"] == "invalid_payload"));
}

#[tokio::test]
async fn a_group_is_kept_in_order_on_a_fifo_queue_and_nowhere_else() {
    let sqs = Stub::start(|_| Answer::json(200, r#"{"MessageId":"m"}"#)).await;
    let consumer = consumer(sqs.url()).unwrap();
    let (good, lacking) = (r#"{"task":"orders.ship","kwargs":{"order":1}}"#, r#"{"task":"no.such.task"}"#);
    assert_eq!(failures(&consumer, &[("1", lacking, Some("a")), ("2", good, Some("a")), ("3", good, Some("b"))]).await, ["1", "2"]);
    assert_eq!(failures(&consumer, &[("1", lacking, None), ("2", good, None)]).await, ["1"], "on a standard queue a group is a tenant");
}

#[tokio::test]
async fn nothing_is_failed_by_an_empty_event_or_a_queue_that_does_not_answer() {
    let consumer = consumer("http://127.0.0.1:1").unwrap();
    assert!(failures(&consumer, &[]).await.is_empty());
    assert_eq!(failures(&consumer, &[("1", "poison", None), ("2", r#"{"task":"orders.ship","kwargs":{"order":2}}"#, None)]).await, ["1"]);
}

#[tokio::test]
async fn the_sample_events_are_answered() {
    let sqs = Stub::start(|_| Answer::json(200, r#"{"MessageId":"m"}"#)).await;
    let consumer = consumer(sqs.url()).unwrap();
    let ids = async |sample: &str| {
        let event = LambdaEvent::new(serde_json::from_str(sample).unwrap(), event(&[]).context);
        let kept = Arc::clone(&consumer).invoke(event).await.unwrap().batch_item_failures;
        let mut ids: Vec<String> = kept.into_iter().map(|failure| failure.item_identifier[32..].to_owned()).collect();
        ids.sort();
        ids
    };
    // This consumer has no sender for mail: that stays. Poison and what is late do not.
    assert_eq!(ids(include_str!("../../../events/consumer-mail.json")).await, ["0001"]);
    assert_eq!(ids(include_str!("../../../events/consumer-mixed.json")).await, ["0001", "0003", "0004"]);
    assert_eq!(ids(include_str!("../../../events/consumer-fifo.json")).await, ["0001", "0002", "0003"]);
}
