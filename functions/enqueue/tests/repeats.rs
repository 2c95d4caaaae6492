//! Ids that come again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use errand_core::{Begin, Claim, Claims, Envelope, Lookup, Outcome, Progress, PublishError, Results, Status, TaskError, Timestamp};
use serde_json::{Value, json};
use world::{World, request, told};

fn hook(id: &str, n: &str) -> String {
    format!(r#"{{"id":"{id}","task":"webhook","kwargs":{{"url":"https://example.com","body":{n}}}}}"#)
}

/// The answer's status, whether it is marked as one of before, and its body.
async fn post(world: &World, body: &str) -> (u16, bool, Value) {
    let response = world.enqueue.handle(&request("POST", "/v1/tasks", body)).await;
    let (status, body) = told(&response);
    (status, response.headers().get("idempotent-replayed").is_some_and(|value| value == "true"), body)
}

fn sent(world: &World) -> Envelope {
    world.soon.envelopes.lock().unwrap().last().unwrap().clone()
}

async fn attempt(world: &World, outcome: Outcome) {
    let (envelope, now) = (sent(world), Timestamp::now());
    let claim = Claim { envelope: &envelope, now, lease_until: now + Duration::from_secs(60), worker: "w", token: None, backend: "sqs" };
    let Ok(Begin::Claimed { attempt, .. }) = world.store.begin(&claim).await else { panic!("it is claimed") };
    world.store.finish(&envelope.id, attempt, &outcome, now).await.unwrap();
}

fn retry() -> Outcome {
    let error = TaskError::new("errand.unavailable", "HTTP 503");
    Outcome::Retry { error: Some(error), progress: Progress::default(), counts: true, at: Timestamp::now() }
}

fn failed() -> Outcome {
    Outcome::Failed { errors: vec![TaskError::new("errand.rejected", "HTTP 400")], progress: Progress::default() }
}

#[tokio::test]
async fn the_same_id_and_content_is_answered_with_the_state_that_is_known() {
    let world = World::new();
    let task = hook("a", "12345678901234567890123");
    let (status, before, first) = post(&world, &task).await;
    assert_eq!((status, before, &first["status"], first.get("idempotent_replayed")), (202, false, &json!("READY"), None));
    let (status, before, again) = post(&world, &task).await;
    assert_eq!((status, before, &again["idempotent_replayed"], world.queued()), (202, true, &json!(true), 2), "its message may be lost");
    assert_eq!(again["enqueued_at"], first["enqueued_at"]);

    attempt(&world, retry()).await;
    let (_, before, again) = post(&world, &task).await;
    assert_eq!((before, &again["status"], &again["attempts"], world.queued()), (true, &json!("READY"), &json!(1), 2), "it is in backoff");
    assert!(again["next_attempt_at"].is_string() && again.get("replay").is_none());
    attempt(&world, failed()).await;
    let (status, before, dead) = post(&world, &task).await;
    assert_eq!((status, before, &dead["status"], world.queued()), (202, true, &json!("FAILED"), 2));
    assert_eq!(dead["replay"], json!({ "method": "POST", "path": "/v1/dead-letters/replay", "body": { "ids": ["a"] } }));

    post(&world, &hook("b", "1")).await;
    attempt(&world, Outcome::Succeeded(json!({ "status": 200 }).into())).await;
    let (_, before, done) = post(&world, &hook("b", "1")).await;
    assert_eq!((before, &done["status"], &done["return_value"]["status"]), (true, &json!("SUCCESSFUL"), &json!(200)));
    post(&world, &hook("c", "1")).await;
    world.store.cancel("c", Timestamp::now()).await.unwrap();
    let queued = world.queued();
    assert_eq!((post(&world, &hook("c", "1")).await.2["status"].clone(), world.queued()), (json!("CANCELLED"), queued));
}

#[tokio::test]
async fn other_content_is_refused_and_nothing_is_sent() {
    let world = World::new();
    let task = hook("a", "100.10");
    post(&world, &task).await;
    let others = [
        hook("a", "100.1"),
        hook("a", "100.10").replace("webhook", "console"),
        hook("a", "100.10").replace(r#""task""#, r#""context":{"by":"me"},"task""#),
    ];
    for other in others {
        let (status, before, problem) = post(&world, &other).await;
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!((status, before, world.queued()), (409, false, 1), "{other}");
        assert!(detail.contains("the id a is that of another task") && detail.contains("is READY"), "{detail}");
    }
    let same = [
        task.replace(r#""task""#, r#""max_attempts":3,"queue":"fast","countdown":60,"task""#),
        task.replace(r#""task""#, r#""context":{},"group":"g","task""#),
    ];
    for same in same {
        let (status, before, told) = post(&world, &same).await;
        assert_eq!((status, before, &told["status"], &told["queue"]), (202, true, &json!("READY"), &json!("default")), "{same}");
        let sent = sent(&world);
        assert_eq!((sent.run_after, sent.max_attempts, sent.queue.as_str()), (None, None, "default"), "what was recorded stands");
    }
}

#[tokio::test]
async fn of_a_batch_each_is_answered_in_its_place() {
    let world = World::new();
    post(&world, &hook("a", "1")).await;
    attempt(&world, failed()).await;
    post(&world, &hook("b", "1")).await;
    let tasks = [hook("a", "1"), hook("b", "2"), hook("c", "1"), hook("c", "1"), hook("", "1").replace(r#""id":"","#, "")];
    let (status, answer) = world.post_to("/v1/tasks/batch", format!(r#"{{"tasks":[{}]}}"#, tasks.join(","))).await;
    let tasks = answer["tasks"].as_array().unwrap();
    let told: Vec<(&Value, bool)> = tasks.iter().map(|task| (&task["status"], task["idempotent_replayed"] == true)).collect();
    let (ready, failed, conflict) = (json!("READY"), json!("FAILED"), json!(409));
    assert_eq!((status, told), (207, vec![(&failed, true), (&conflict, false), (&ready, false), (&ready, true), (&ready, false)]));
    assert_eq!(tasks[0]["replay"]["body"], json!({ "ids": ["a"] }));
}

#[tokio::test]
async fn what_was_not_sent_is_sent_by_the_repeat_at_the_recorded_time() {
    let down = PublishError::Unavailable("SQS: HTTP 503".to_owned());
    let mut world = World::answering(Some(down));
    let task = hook("a", "1").replace(r#""task""#, r#""countdown":60,"task""#);
    assert_eq!(post(&world, &task).await.0, 503);
    let (record, header) = world.store.get("a").await.unwrap().unwrap();
    assert_eq!(
        (record.status, header.unsent, record.errors[0].exception_class_path.as_str()),
        (Status::Scheduled, true, "errand.not_sent")
    );
    let working = World::new();
    world.enqueue.dispatch = working.enqueue.dispatch;
    let (status, before, told) = post(&world, &task.replace("60", "70")).await;
    assert_eq!((status, before, &told["run_after"]), (202, true, &json!(record.run_after)));
    assert_eq!(working.soon.envelopes.lock().unwrap()[0].run_after, record.run_after);
    assert!(!world.store.get("a").await.unwrap().unwrap().1.unsent);
    assert_eq!(post(&world, &hook("a", "2")).await.0, 409);
}

#[tokio::test]
async fn what_was_never_sent_is_not_in_the_way_of_what_mends_it() {
    let mut world = World::answering(Some(PublishError::TooLarge { limit: 7 }));
    assert_eq!(post(&world, &hook("a", "1")).await.0, 413);
    let working = World::new();
    world.enqueue.dispatch = working.enqueue.dispatch;
    let (status, before, _) = post(&world, &hook("a", "2")).await;
    assert_eq!((status, before, world.store.get("a").await.unwrap().unwrap().1.unsent), (202, false, false));
    assert_eq!(post(&world, &hook("a", "1")).await.0, 409);
}

#[tokio::test]
async fn a_repeated_event_or_notification_is_one_and_another_under_its_id_is_refused() {
    let world = World::new();
    let notification = |text: &str| json!({ "id": "n", "short_description": text, "channels": { "slack": { "channel": "c" } } });
    let notify = async |text: &str| world.post_to("/v1/notifications", notification(text)).await;
    assert_eq!(notify("one").await.0, 202);
    let (status, again) = notify("one").await;
    assert_eq!((status, &again["tasks"][0]["idempotent_replayed"], &again["tasks"][0]["id"]), (202, &json!(true), &json!("n.slack")));
    assert_eq!(notify("two").await.0, 409);
    let event = async |text: &str| {
        let event = json!({ "specversion": "1.0", "id": "7", "source": "/shop", "type": "console", "data": { "text": text } });
        let mut request = request("POST", "/v1/events", event);
        request.headers_mut().insert("content-type", "application/cloudevents+json".parse().unwrap());
        told(&world.enqueue.handle(&request).await)
    };
    assert_eq!((event("one").await.0, event("one").await.1["idempotent_replayed"].clone(), event("two").await.0), (202, json!(true), 409));
}

#[tokio::test]
async fn without_a_table_nothing_is_known_and_messages_carry_no_fingerprint() {
    let mut world = World::new();
    assert_eq!(post(&world, &hook("a", "1")).await.0, 202);
    assert!(sent(&world).fingerprint.is_some());
    world.enqueue.store = None;
    assert_eq!((post(&world, &hook("a", "2")).await.0, sent(&world).fingerprint), (202, None));
    let (status, problem) =
        world.post(hook("x", "1").replace(r#""task""#, r#""fingerprint":"00000000000000000000000000000abc","task""#)).await;
    assert_eq!((status, world::pointers(&problem)), (422, vec!["/fingerprint"]));
}
