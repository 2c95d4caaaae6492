//! CloudEvents over HTTP.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use errand_api::Request;
use serde_json::{Value, json};
use world::*;

fn event(id: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/shop", "type": "console", "data": { "text": "hello" } })
}

fn sent(headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Request {
    let builder = headers.iter().fold(http::Request::post("/v1/events"), |builder, (name, value)| builder.header(*name, *value));
    builder.body(body.into().into()).unwrap()
}

async fn post(world: &World, media_type: &str, body: &Value) -> (u16, Value) {
    told(&world.enqueue.handle(&sent(&[("content-type", media_type)], body.to_string())).await)
}

const ONE: &str = "application/cloudevents+json; charset=utf-8";
const MANY: &str = "application/cloudevents-batch+json";

#[tokio::test]
async fn an_event_is_a_task_in_either_mode_and_the_same_event_is_the_same_task() {
    let world = World::new();
    let (status, structured) = post(&world, ONE, &event("1")).await;
    assert_eq!((status, &structured["task"], &structured["sender"]), (202, &json!("console"), &json!("cloudevents")));
    assert_eq!(structured["kwargs"], json!({ "text": "hello" }));
    let headers =
        [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "%2Fshop"), ("ce-type", "console"), ("content-type", "application/json")];
    let (status, binary) = told(&world.enqueue.handle(&sent(&headers, r#"{"text":"hello"}"#)).await);
    assert_eq!((status, &binary["id"], &binary["kwargs"]), (202, &structured["id"], &structured["kwargs"]));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut traced = event("2");
    traced["traceparent"] = json!(trace);
    post(&world, ONE, &traced).await;
    let envelopes = world.soon.envelopes.lock().unwrap();
    assert_eq!((envelopes.len(), envelopes[2].trace.as_deref()), (3, Some(trace)));
    assert_ne!(envelopes[0].id, envelopes[2].id);
}

#[tokio::test]
async fn of_a_batch_each_event_is_answered_in_its_place() {
    let world = World::new();
    let (status, answer) = post(&world, MANY, &json!([event("1"), { "specversion": "1.0" }, event("3")])).await;
    assert_eq!(status, 207);
    let statuses: Vec<&Value> = answer["tasks"].as_array().unwrap().iter().map(|task| &task["status"]).collect();
    assert_eq!(statuses, [&json!("READY"), &json!(422), &json!("READY")]);
    assert_eq!(pointers(&answer["tasks"][1]), ["/id", "/source", "/type"]);
    assert_eq!(post(&world, MANY, &json!([])).await.0, 202);
    let many: Vec<Value> = (0..1001).map(|id| event(&id.to_string())).collect();
    assert_eq!(post(&world, MANY, &json!(many)).await.0, 400);
    assert_eq!(world.queued(), 2);
}

#[tokio::test]
async fn a_wrong_event_is_refused_and_queues_nothing() {
    let world = World::new();
    let mut unknown = event("1");
    unknown["type"] = json!("order.shipped");
    let (status, problem) = post(&world, ONE, &unknown).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["/type"]));
    let mut mail = event("1");
    mail["type"] = json!("email");
    let (status, problem) = post(&world, ONE, &mail).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["/data/subject", "/data/to"]), "{problem}");
    assert_eq!(post(&world, "application/json", &event("1")).await.0, 415);
    assert_eq!(post(&world, ONE, &json!([1])).await.0, 400);
    let huge = sent(
        &[("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "s"), ("ce-type", "console")],
        vec![b'x'; errand_core::BODY_LIMIT + 1],
    );
    assert_eq!(world.enqueue.handle(&huge).await.status(), 413);
    assert_eq!(world.queued(), 0);
}

#[tokio::test]
async fn nobody_but_the_queue_can_want_celerys_messages_to_be_sent() {
    let world = World::new();
    let (status, problem) = world.post(with("context", json!({ "celery": { "chain": [] } }))).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["/context/celery"]));
    let notification = json!({ "channels": { "console": { "text": "x" } }, "context": { "celery": {} } });
    assert_eq!(world.post_to("/v1/notifications", notification).await.0, 422);
    assert_eq!(world.queued(), 0);
}
