//! Many tasks in one call, and calls that are made again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use errand_core::{Destinations, Dispatch, Lookup, Note, NoteKind, Notes, PublishError, Status, Timestamp};
use serde_json::{Value, json};
use world::{Kept, World, mail, pointers, request, told, with};

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
async fn a_batch_of_which_some_may_yet_pass_is_made_again_under_its_key_and_sends_what_was_not_sent() {
    let mut world = World::new();
    let [down, taking] = [Some(PublishError::Unavailable("secret".to_owned())), None].map(|answer| Kept::of(Duration::ZERO, answer));
    let with = |down: &Kept, dispatch: Dispatch| {
        let any = || Destinations::of(["default"]);
        dispatch.with("down", Arc::new(down.clone()), any()).with("taking", Arc::new(taking.clone()), any())
    };
    world.enqueue.dispatch = with(&down, world.enqueue.dispatch);
    world.enqueue.payloads = world.enqueue.payloads.with_transports(world.enqueue.dispatch.transports());
    let to = |backend: &str| json!({ "task": "theirs", "backend": backend });
    let batch = json!({ "tasks": [mail(), to("down"), to("taking"), { "task": "x y" }] });
    let call = async |world: &World| {
        let mut call = request("POST", PATH, &batch);
        call.headers_mut().insert("idempotency-key", "k".parse().unwrap());
        let response = world.enqueue.handle(&call).await;
        (response.headers().contains_key("idempotent-replayed"), told(&response).0, tasks(&told(&response).1).clone())
    };
    let statuses = |tasks: &[Value]| tasks.iter().map(|task| task["status"].clone()).collect::<Vec<_>>();
    let (_, status, first) = call(&world).await;
    assert_eq!((status, statuses(&first)), (207, vec![json!("READY"), json!(503), json!("SUCCESSFUL"), json!(422)]));
    assert_eq!(first[1]["detail"], "the transport down does not answer; nothing was queued. Try again");
    assert_eq!((&first[1]["retry_after"], first[3].get("retry_after")), (&json!(1), None));

    // It is not the last word: the same call is made, under the same ids.
    let (kept, status, again) = call(&world).await;
    assert_eq!((kept, status, statuses(&again)), (false, 207, statuses(&first)));
    assert_eq!((&again[0]["id"], &again[0]["idempotent_replayed"]), (&first[0]["id"], &json!(true)));
    assert_eq!(
        (taking.envelopes.lock().unwrap().len(), world.soon.envelopes.lock().unwrap().len()),
        (1, 2),
        "the claim drops a twin of ours"
    );

    let up = Kept::of(Duration::ZERO, None);
    world.enqueue.dispatch = with(&up, world.enqueue.dispatch);
    let (_, status, third) = call(&world).await;
    assert_eq!((status, statuses(&third)), (207, vec![json!("READY"), json!("SUCCESSFUL"), json!("SUCCESSFUL"), json!(422)]));
    assert_eq!((up.envelopes.lock().unwrap().len(), taking.envelopes.lock().unwrap().len()), (1, 1));
    let (kept, _, fourth) = call(&world).await;
    assert_eq!((kept, fourth), (true, third), "what cannot change any more is kept");

    // A notification is answered alike.
    let channels = json!({ "email": mail()["kwargs"], "theirs.ship": {} });
    world.enqueue.dispatch = world.enqueue.dispatch.with("partner", Arc::new(down.clone()), Destinations::of(["orders"]));
    let mut notify = request("POST", "/v1/notifications", json!({ "channels": channels }));
    notify.headers_mut().insert("idempotency-key", "n".parse().unwrap());
    for _ in 0..2 {
        let response = world.enqueue.handle(&notify).await;
        assert_eq!((response.status(), response.headers().contains_key("idempotent-replayed")), (207.try_into().unwrap(), false));
    }
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_told_to_be_there_twice_perhaps_where_no_claim_drops_it() {
    let mut world = World::answering(Some(PublishError::OutcomeUnknown("secret".to_owned())));
    for (backend, told) in [("partner", "it may be there twice, under that id"), ("soon", "and it runs once")] {
        let (status, problem) = world.post(json!({ "task": "email", "id": backend, "backend": backend, "kwargs": mail()["kwargs"] })).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == 503 && detail.contains("it may be there. ") && detail.ends_with(told) && !detail.contains("secret"), "{detail}");
        assert!(!world.store.get(backend).await.unwrap().unwrap().1.unsent, "it is not noted as not sent");
    }
    // Whoever sends it again wants it there.
    let up = World::new();
    world.enqueue.dispatch = up.enqueue.dispatch;
    let again = json!({ "task": "email", "id": "partner", "backend": "partner", "kwargs": mail()["kwargs"] });
    for sent in [1, 1] {
        assert_eq!(world.post(&again).await.1["status"], "SUCCESSFUL");
        assert_eq!(up.partner.envelopes.lock().unwrap().len(), sent);
    }
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
