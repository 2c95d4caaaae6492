//! The consumer with an event as SQS sends it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use errand_consumer::Function;
use errand_core::{Environment, Lookup, Status};
use errand_store_memory::MemoryStore;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{json, value::to_raw_value};

#[tokio::test]
async fn an_order_is_shipped() {
    let settings = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("ERRAND_QUEUE_URL", "http://127.0.0.1:1/000000000000/queue"),
        ("ERRAND_DEAD_LETTER_URL", "http://127.0.0.1:1/000000000000/dead"),
        ("ERRAND_ROUTES", r#"{"orders.*":"function"}"#),
    ];
    let env: Environment = settings.into_iter().collect();
    let mut function = Function::from_env(&env, orders::tasks).unwrap();
    let store = MemoryStore::default();
    function.consumer.engine.store = Some(Arc::new(store.clone()));
    let body = json!({ "id": "order-7", "task": "orders.ship", "kwargs": { "order": 7, "express": true } });
    let record = json!({ "messageId": "m-1", "receiptHandle": "r", "body": body.to_string(), "attributes": { "ApproximateReceiveCount": "1" }, "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue" });
    let event = to_raw_value(&json!({ "Records": [record] })).unwrap();
    let mut context = Context::default();
    context.deadline = u64::MAX / 2;
    let answer = Arc::new(function).invoke(LambdaEvent::new(event, context)).await.unwrap();
    assert!(answer.batch_item_failures.is_empty());
    let (result, _) = store.get("order-7").await.unwrap().unwrap();
    assert_eq!((result.status, result.return_value.get()), (Status::Successful, r#"{"order":7,"days":1}"#));
}
