//! Many tasks in one call, and calls that are made again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::sync::atomic::Ordering;

use errand_core::{Lookup, Note, NoteKind, Notes, PublishError, Status, Timestamp};
use serde_json::{Value, json};
use world::{World, mail, pointers, request, told, with};

const PATH: &str = "/v1/tasks/batch";

fn tasks(answer: &Value) -> &Vec<Value> {
    answer["tasks"].as_array().unwrap()
}

#[tokio::test]
async fn a_thousand_tasks_go_together_and_each_is_answered_in_its_place() {
    let world = World::new();
    let batch: Vec<Value> = (0..1000).map(|i| with("id", json!(format!("t{i}")))).collect();
    let (status, answer) = world.post_to(PATH, json!({ "tasks": batch })).await;
    assert_eq!((status, tasks(&answer).len(), world.queued()), (202, 1000, 1000));
    assert!(tasks(&answer).iter().enumerate().all(|(i, task)| task["id"] == format!("t{i}") && task["status"] == "READY"));
    assert_eq!(world.soon.calls.load(Ordering::SeqCst), 1, "the transport was handed all of them at once");
    assert_eq!(world.store.get("t999").await.unwrap().unwrap().0.status, Status::Ready);
}

#[tokio::test]
async fn the_good_ones_go_and_the_bad_ones_are_told_why() {
    let world = World::new();
    let batch =
        json!({ "tasks": [mail(), { "task": "email", "kwargs": {} }, 7, with("countdown", json!(5000)), { "task": "nothing" }, "{" ] });
    let (status, answer) = world.post_to(PATH, batch).await;
    let told: Vec<Value> = tasks(&answer).iter().map(|task| task["status"].clone()).collect();
    assert_eq!((status, told), (207, vec![json!("READY"), json!(422), json!(400), json!("SCHEDULED"), json!(422), json!(400)]));
    assert_eq!(pointers(&tasks(&answer)[1]), ["/kwargs/subject", "/kwargs/body", "/kwargs/to"]);
    assert_eq!((world.soon.envelopes.lock().unwrap().len(), world.late.envelopes.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn what_is_no_batch_is_refused_whole() {
    let world = World::new();
    let many: Vec<Value> = (0..1001).map(|_| mail()).collect();
    for (body, status) in [
        (json!({ "tasks": many }), 422),
        (json!({ "tasks": [] }), 422),
        (json!({ "tasks": {} }), 422),
        (json!({}), 422),
        (json!([mail()]), 400),
        (json!("tasks"), 400),
    ] {
        assert_eq!(world.post_to(PATH, &body).await.0, status);
    }
    assert_eq!(world.queued(), 0);
}

#[tokio::test]
async fn what_the_transport_refuses_of_a_batch_is_a_problem_in_its_place() {
    let world = World::answering(Some(PublishError::Unavailable("secret".to_owned())));
    let (status, answer) = world.post_to(PATH, json!({ "tasks": [mail(), mail()] })).await;
    assert_eq!((status, &tasks(&answer)[1]["status"]), (207, &json!(503)));
    assert!(!answer.to_string().contains("secret"));
}

#[tokio::test]
async fn the_same_call_with_the_same_key_sends_nothing_more() {
    let world = World::new();
    let call = async |path: &str, key: &str, body: &Value| {
        let mut call = request("POST", path, body);
        call.headers_mut().insert("idempotency-key", key.parse().unwrap());
        told(&world.enqueue.handle(&call).await)
    };
    let first = call("/v1/tasks", "k1", &mail()).await;
    assert_eq!((first.0, call("/v1/tasks", "k1", &mail()).await, world.queued()), (202, first, 1));
    assert_eq!(call("/v1/tasks", "k1", &with("group", json!("g"))).await.0, 422);
    let batch = json!({ "tasks": [mail(), { "task": "x y" }] });
    let first = call(PATH, "k2", &batch).await;
    assert_eq!((first.0, call(PATH, "k2", &batch).await, world.queued()), (207, first, 2));
    assert_eq!(call("/v1/tasks", "k3", &json!({})).await.0, 422, "a call that was refused is not kept");
    assert_eq!((call("/v1/tasks", "k3", &mail()).await.0, world.queued()), (202, 3));
}

#[tokio::test]
async fn a_call_that_died_is_made_again_under_the_same_ids() {
    let world = World::new();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut call = request("POST", "/v1/tasks", mail());
        call.headers_mut().insert("idempotency-key", "k".parse().unwrap());
        ids.push(told(&world.enqueue.handle(&call).await).1["id"].clone());
        // As if it had died before its answer was kept.
        for (kind, name) in world.notes.names() {
            Notes::put(&world.notes, &Note { kind, name, text: String::new(), until: Some(Timestamp::from_millis(0)) }).await.unwrap();
            assert_eq!(kind, NoteKind::Call);
        }
    }
    assert_eq!((ids[0] == ids[1], world.queued()), (true, 2), "the claim runs them once");
}
