//! What the consumer hands to others: tasks that waited for their time, and those of routes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod env;

use std::{path::Path, sync::Arc};

use env::env;
use errand_consumer::Function;
use errand_core::Timestamp;
use errand_testkit::{Answer, Stub};
use errand_transport_console::Console;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json, value::to_raw_value};

fn consumer(sqs: &str, folder: &Path, routes: &str) -> Result<Arc<Function>, String> {
    let transports = json!({
        "audit": { "backend": "console", "queues": [], "options": { "file": folder.join("audit") } },
        "trial": { "backend": "console", "queues": ["first", "orders", "returns"], "options": { "file": folder.join("trial") } },
    });
    let env = env(&[("AWS_ENDPOINT_URL", sqs), ("ERRAND_TRANSPORTS", &transports.to_string()), ("ERRAND_ROUTES", routes)]);
    let function = Function::with_backends(
        &env,
        |_, _, _| Ok(()),
        |backends| {
            errand_consumer::backends(backends);
            backends.add::<Console>();
        },
    );
    function.map(Arc::new).map_err(|error| error.to_string())
}

/// Runs messages; answers the ids of those that stay.
async fn run(consumer: &Arc<Function>, bodies: &[Value]) -> Vec<String> {
    let record = |(place, body): (usize, &Value)| {
        json!({
            "messageId": place.to_string(), "receiptHandle": "r", "body": body.to_string(), "md5OfBody": "", "messageAttributes": {}, "eventSource": "aws:sqs",
            "awsRegion": "eu-west-1", "eventSourceARN": "arn:aws:sqs:eu-west-1:1:main", "attributes": { "ApproximateReceiveCount": "1" },
        })
    };
    let records: Vec<Value> = bodies.iter().enumerate().map(record).collect();
    let mut context = Context::default();
    context.deadline = u64::try_from(Timestamp::now().millis()).unwrap() + 30_000;
    let event = LambdaEvent::new(to_raw_value(&json!({ "Records": records })).unwrap(), context);
    let response = Arc::clone(consumer).invoke(event).await.unwrap();
    let mut kept: Vec<String> = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    kept.sort();
    kept
}

fn lines(file: &Path) -> Vec<Value> {
    let mut lines: Vec<Value> =
        std::fs::read_to_string(file).unwrap_or_default().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| line["id"].to_string());
    lines
}

#[tokio::test]
async fn what_names_a_transport_is_handed_to_it_whatever_its_task_is() {
    let sqs = Stub::start(|_| Answer::json(200, r#"{"MessageId":"m"}"#)).await;
    let folder = tempfile::tempdir().unwrap();
    let routes = r#"{"theirs.*":{"transport":"trial","destination":"orders"},"plain.*":{"transport":"trial"}}"#;
    let consumer = consumer(sqs.url(), folder.path(), routes).unwrap();
    let bodies = [
        json!({ "task": "email", "id": "a", "kwargs": { "n": 1 }, "backend": "audit", "destination": "d", "callback_url": "https://example.com" }),
        json!({ "task": "theirs.ship", "id": "b" }),
        json!({ "task": "theirs.ship", "id": "c", "destination": "returns" }),
        json!({ "task": "theirs.ship", "id": "d", "backend": "audit" }),
        json!({ "task": "x", "id": "e", "backend": "nowhere" }),
        json!({ "task": "plain.x", "id": "f", "queue": "returns" }),
        json!({ "task": "plain.x", "id": "g", "queue": "slow" }),
        json!({ "task": "x", "id": "h", "backend": "trial", "destination": "elsewhere" }),
    ];
    assert_eq!(run(&consumer, &bodies).await, ["4"], "what nobody is named for stays until an operator has mended it");
    let letter = sqs.requests().iter().find_map(|request| {
        let letter: Value = serde_json::from_slice(&request.body).ok()?;
        (letter["MessageAttributes"]["errand-id"]["StringValue"] == "h")
            .then(|| letter["MessageAttributes"]["errand-reason"]["StringValue"].clone())
    });
    assert_eq!(letter.unwrap(), "the destination is no queue of trial, which has: first, orders, returns");
    let audited = lines(&folder.path().join("audit"));
    let first = json!({ "task": "email", "id": "a", "kwargs": { "n": 1 }, "queue": "default", "backend": "audit", "destination": "d" });
    assert_eq!((audited.len(), &audited[0]), (2, &first), "that it was handed over is ours to tell");
    let tried = lines(&folder.path().join("trial"));
    let destinations: Vec<&Value> = tried.iter().map(|line| &line["destination"]).collect();
    assert_eq!(destinations, ["orders", "returns", "returns", "first"], "said, of the route, of the queue's name, the first");
    assert_eq!(audited[1]["destination"], "default", "an alias that lists none has any");
}

#[tokio::test]
async fn a_route_to_our_own_queue_or_to_what_is_not_there_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let of = |routes: &str| consumer("http://127.0.0.1:1", folder.path(), routes).map(drop);
    assert_eq!(
        of(r#"{"*":{"transport":"sqs"}}"#).unwrap_err(),
        "ERRAND_ROUTES: *: sqs is this deployment's own queue: name what is to do it, or leave the route out"
    );
    assert_eq!(
        of(r#"{"a":{"transport":"trial","destination":"x"}}"#).unwrap_err(),
        "ERRAND_ROUTES: a: /destination: is no queue of trial, which has: first, orders, returns"
    );
    assert_eq!(
        of(r#"{"a":{"transport":"x"}}"#).unwrap_err(),
        "ERRAND_ROUTES: a: there is no transport x; ERRAND_TRANSPORTS names: audit, trial"
    );
}
