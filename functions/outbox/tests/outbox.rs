//! The handler with what a stream brings: to our own queue, to others, and with a transport that is not ours.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, sync::Arc};

use errand_core::{Environment, Timestamp};
use errand_outbox::Outbox;
use errand_testkit::{Answer, Stub};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json, value::RawValue};

/// An SQS that takes what is not said to be refused, and answers as the service does.
async fn sqs(refuses: &'static str) -> Stub {
    Stub::start(move |request| {
        let call: Value = serde_json::from_slice(&request.body).unwrap();
        let Some(entries) = call["Entries"].as_array() else { return Answer::json(200, r#"{"MessageId":"m"}"#) };
        let refused = |entry: &&Value| !refuses.is_empty() && entry["MessageBody"].as_str().unwrap().contains(refuses);
        let (failed, sent): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(refused);
        let sent: Vec<Value> = sent.iter().map(|entry| json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "" })).collect();
        let failed: Vec<Value> =
            failed.iter().map(|entry| json!({ "Id": entry["Id"], "Code": "InvalidMessage", "SenderFault": true })).collect();
        Answer::json(200, &json!({ "Successful": sent, "Failed": failed }).to_string())
    })
    .await
}

fn outbox(sqs: &Stub, more: &[(&str, &str)]) -> Arc<Outbox> {
    let vars = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_ENDPOINT_URL", sqs.url()),
        ("ERRAND_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/tasks.fifo"),
        ("ERRAND_DEAD_LETTER_URL", "https://sqs.eu-west-1.amazonaws.com/1/dead"),
    ];
    let env: Environment = vars.iter().chain(more).copied().collect();
    Arc::new(
        Outbox::from_env(&env, |backends| {
            errand_outbox::backends(backends);
            backends.add::<errand_transport_console::Console>();
        })
        .unwrap(),
    )
}

async fn answer(outbox: &Arc<Outbox>, event: &Value) -> Value {
    let mut context = Context::default();
    context.deadline = u64::try_from(Timestamp::now().millis()).unwrap() + 60_000;
    let event = LambdaEvent::new(RawValue::from_string(event.to_string()).unwrap(), context);
    serde_json::to_value(Arc::clone(outbox).invoke(event).await.unwrap()).unwrap()
}

fn record(number: u32, key: &str, item: &Value) -> Value {
    let mut image = json!({ "key": { "S": key }, "id": { "S": number.to_string() } });
    image.as_object_mut().unwrap().extend(item.as_object().unwrap().clone());
    json!({
        "eventName": "INSERT", "eventSource": "aws:dynamodb",
        "dynamodb": { "ApproximateCreationDateTime": Timestamp::now().seconds(), "Keys": {}, "NewImage": image, "SequenceNumber": format!("{number}00") },
    })
}

fn event(number: u32, key: &str) -> Value {
    let text =
        json!({ "specversion": "1.0", "id": format!("e-{number}"), "source": "/shop", "type": "order.paid", "data": { "number": number } });
    record(number, key, &json!({ "event": { "S": text.to_string() } }))
}

/// The messages that were sent: to which queue, with the body read.
fn sent(sqs: &Stub) -> Vec<(String, Value, Value)> {
    let mut sent = Vec::new();
    for request in sqs.requests() {
        let call: Value = serde_json::from_slice(&request.body).unwrap();
        let queue = call["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        for entry in call["Entries"].as_array().cloned().unwrap_or_else(|| vec![call.clone()]) {
            let body = serde_json::from_str(entry["MessageBody"].as_str().unwrap()).unwrap();
            sent.push((queue.clone(), body, entry));
        }
    }
    sent
}

#[tokio::test]
async fn the_sample_event_becomes_two_tasks_in_order() {
    let sqs = sqs("").await;
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/outbox.json");
    let told = answer(&outbox(&sqs, &[]), &serde_json::from_str(&fs::read_to_string(sample).unwrap()).unwrap()).await;
    assert_eq!(told, json!({ "batchItemFailures": [] }));
    let sent = sent(&sqs);
    let [(queue, paid, entry), (_, shipped, _)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((queue.as_str(), &entry["MessageGroupId"]), ("tasks.fifo", &json!("order-7")));
    assert_eq!((&paid["task"], &shipped["task"]), (&json!("order.paid"), &json!("order.shipped")));
    assert!(entry["MessageBody"].as_str().unwrap().contains(r#""kwargs":{"order":7,"total":59.90}"#), "digit for digit");
    assert_eq!(paid["context"]["cloudevents"]["subject"], "order-7");
    assert!(paid["id"].as_str().unwrap().starts_with("ce-") && paid["id"] != shipped["id"] && paid.get("backend").is_none());
}

#[tokio::test]
async fn the_first_that_is_not_taken_is_reported_and_what_is_no_event_is_buried() {
    let sqs = sqs(r#""number":3"#).await;
    let outbox = outbox(&sqs, &[]);
    let no_event = record(1, "a", &json!({ "other": { "N": "1.50" } }));
    let removed = json!({ "eventName": "REMOVE", "dynamodb": { "SequenceNumber": "400", "Keys": {} } });
    let batch = json!({ "Records": [no_event, event(2, "a"), event(3, "a"), removed, event(5, "a")] });
    assert_eq!(answer(&outbox, &batch).await, json!({ "batchItemFailures": [{ "itemIdentifier": "300" }] }));
    let sent = sent(&sqs);
    let dead: Vec<_> = sent.iter().filter(|(queue, ..)| queue == "dead").collect();
    let [(_, _, call)] = &dead[..] else { panic!("{dead:?}") };
    let letter = (&call["MessageBody"], &call["MessageAttributes"]["errand-kind"]["StringValue"]);
    assert_eq!(letter, (&json!(r#"{"id":"1","key":"a","other":1.50}"#), &json!("malformed")));
    assert!(sent.iter().all(|(_, body, _)| body["kwargs"]["number"] != 5), "what is behind it waits");
}

#[tokio::test]
async fn with_the_other_setting_the_whole_event_is_buried_and_the_others_go_on() {
    let sqs = sqs(r#""number":2"#).await;
    let transports = r#"{"partner":{"backend":"sqs","options":{"url":"https://sqs.eu-west-1.amazonaws.com/2/theirs.fifo"}}}"#;
    let vars = [("ERRAND_TRANSPORTS", transports), ("ERRAND_TRANSPORT", "partner"), ("ERRAND_OUTBOX_FAILURE", "bury")];
    let batch = json!({ "Records": [event(1, "a"), event(2, "a"), event(3, "a")] });
    assert_eq!(answer(&outbox(&sqs, &vars), &batch).await, json!({ "batchItemFailures": [] }));
    assert_eq!(answer(&outbox(&sqs, &vars), &json!({ "Records": [event(1, "a")] })).await, json!({ "batchItemFailures": [] }));
    let sent = sent(&sqs);
    let theirs: Vec<_> = sent.iter().filter(|(queue, body, _)| queue == "theirs.fifo" && body["kwargs"]["number"] == 1).collect();
    assert_eq!(theirs[0].2["MessageDeduplicationId"], theirs[1].2["MessageDeduplicationId"], "SQS drops what comes again");
    let (_, letter, call) = sent.iter().find(|(queue, ..)| queue == "dead").unwrap();
    assert_eq!(
        (&letter["backend"], &letter["context"]["cloudevents"]["id"], &letter["kwargs"]),
        (&json!("partner"), &json!("e-2"), &json!({ "number": 2 }))
    );
    assert_eq!(call["MessageAttributes"]["errand-reason"]["StringValue"], "SQS: InvalidMessage");
}

#[tokio::test]
async fn a_route_says_where_events_of_a_type_go() {
    let sqs = sqs("").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let transports = json!({ "log": { "backend": "console", "options": { "file": file } } }).to_string();
    let outbox = outbox(&sqs, &[("ERRAND_TRANSPORTS", &transports), ("ERRAND_ROUTES", r#"{"order.*":{"transport":"log"}}"#)]);
    let other = record(2, "b", &json!({ "event": { "S": r#"{"specversion":"1.0","id":"2","source":"/s","type":"user.made"}"# } }));
    assert_eq!(answer(&outbox, &json!({ "Records": [event(1, "a"), other] })).await, json!({ "batchItemFailures": [] }));
    assert!(fs::read_to_string(file).unwrap().contains("order.paid"));
    assert_eq!(sent(&sqs).iter().map(|(_, body, _)| body["task"].as_str().unwrap().to_owned()).collect::<Vec<_>>(), ["user.made"]);
}

#[tokio::test]
async fn a_stream_that_brings_keys_alone_waits_for_the_operator() {
    let sqs = sqs("").await;
    let batch = json!({ "Records": [{ "eventName": "INSERT", "dynamodb": {
        "ApproximateCreationDateTime": 1.8e9, "Keys": { "key": { "S": "a" } }, "SequenceNumber": "100", "StreamViewType": "KEYS_ONLY",
    } }] });
    assert_eq!(answer(&outbox(&sqs, &[]), &batch).await, json!({ "batchItemFailures": [{ "itemIdentifier": "100" }] }));
    assert!(sqs.requests().is_empty());
}

#[tokio::test]
async fn what_is_no_stream_is_an_error() {
    let sqs = sqs("").await;
    let event =
        LambdaEvent::new(RawValue::from_string(r#"{"Records":[{"eventSource":"aws:sqs"}]}"#.to_owned()).unwrap(), Context::default());
    assert!(outbox(&sqs, &[]).invoke(event).await.is_err());
}
