//! The handler over a store in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use errand_core::{Begin, Claim, Claims, Destinations, Envelope, HandedOn, Lookup, Outcome, Register, Status, Timestamp};
use errand_testkit::{transport::envelope, written};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{json, value::to_raw_value};
use world::{Sent, call, send, world};

const DAY: Duration = Duration::from_secs(86400);

#[tokio::test]
async fn a_task_is_told_with_the_names_of_djangos_task_result() {
    let tasks = world(&["email-1"]).await;
    let (status, task) = call(&tasks, "GET", "/v1/tasks/email-1").await;
    let mut names: Vec<&str> = task.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let wanted = [
        "args",
        "attempts",
        "backend",
        "callback_url",
        "enqueued_at",
        "errors",
        "expires",
        "finished_at",
        "group",
        "id",
        "kwargs",
        "last_attempted_at",
        "max_attempts",
        "next_attempt_at",
        "notification_id",
        "queue",
        "return_value",
        "run_after",
        "sender",
        "started_at",
        "status",
        "task",
        "trace",
        "user",
        "worker_ids",
    ];
    assert_eq!((status, names.as_slice()), (200, wanted.as_slice()));
    assert_eq!(call(&tasks, "GET", "/v1/tasks/nobody").await.0, 404);
}

#[tokio::test]
async fn what_waits_is_cancelled_once() {
    let tasks = world(&["a-1"]).await;
    let (status, task) = call(&tasks, "DELETE", "/v1/tasks/a-1").await;
    assert_eq!((status, &task["status"]), (200, &json!("CANCELLED")));
    let (status, problem) = call(&tasks, "DELETE", "/v1/tasks/a-1").await;
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("CANCELLED"));
    assert_eq!(call(&tasks, "DELETE", "/v1/tasks/nobody").await.0, 404);
}

#[tokio::test]
async fn what_celery_wants_to_follow_is_left_to_a_consumer_by_a_message_of_the_same_id() {
    let tasks = world(&["a-1"]).await;
    let mut envelope = envelope("celery-1");
    envelope.context.follow_ups = true;
    envelope.context.json = to_raw_value(&json!({ "celery": { "chain": [] } })).ok();
    tasks.store.register(&envelope, Status::Ready, "sqs", Timestamp::now()).await.unwrap();
    for id in ["a-1", "celery-1"] {
        assert_eq!(call(&tasks, "DELETE", &format!("/v1/tasks/{id}")).await.0, 200);
    }
    let sent = tasks.sent.envelopes.lock().unwrap();
    assert_eq!((sent.len(), sent[0].id.as_str(), sent[0].context.follow_ups), (1, "celery-1", true));
    assert_eq!(sent[0].payload(), "{}", "it is done: only what follows is to be known");
}

#[tokio::test]
async fn a_list_goes_on_where_it_ended() {
    let ids: Vec<String> = (0..5).map(|i| format!("a-{i}")).chain(["b-1".to_owned()]).collect();
    let tasks = world(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (mut seen, mut path) = (Vec::new(), "/v1/tasks?task=a&limit=2&status=READY".to_owned());
    loop {
        let (status, page) = call(&tasks, "GET", &path).await;
        assert_eq!(status, 200);
        seen.extend(page["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/v1/tasks?task=a&limit=2&status=READY&cursor={}", errand_core::percent_encode(cursor));
    }
    seen.sort();
    assert_eq!(seen, ["a-0", "a-1", "a-2", "a-3", "a-4"]);
}

#[tokio::test]
async fn a_wrong_query_is_told() {
    let tasks = world(&[]).await;
    for query in ["status=LOST", "limit=0", "limit=101", "limit=x", "colour=red"] {
        assert_eq!(call(&tasks, "GET", &format!("/v1/tasks?{query}")).await.0, 400, "{query}");
    }
    assert_eq!(call(&tasks, "GET", "/v1/tasks").await, (200, json!({ "tasks": [], "cursor": null })));
    assert_eq!(call(&tasks, "PUT", "/v1/tasks/x").await.0, 405);
}

#[tokio::test]
async fn the_sample_events_are_answered() {
    let operations = Arc::new(world(&["order-1"]).await.operations);
    for (sample, status, part) in [
        (include_str!("../../../events/status-get.json"), 200, "order-1"),
        (include_str!("../../../events/status-list.json"), 200, "order-1"),
        (include_str!("../../../events/status-move.json"), 200, "SCHEDULED"),
        (include_str!("../../../events/status-cancel.json"), 200, "CANCELLED"),
        (include_str!("../../../events/status-schedule.json"), 201, "digest"),
        (include_str!("../../../events/status-dead-letters.json"), 200, "complete"),
        (include_str!("../../../events/status-report.json"), 401, "token"),
        (include_str!("../../../events/status-openapi.json"), 200, "openapi"),
    ] {
        let event = LambdaEvent::new(serde_json::from_str(sample).unwrap(), Context::default());
        let answer = Arc::clone(&operations).invoke(event).await;
        assert!(answer.status_code == status && format!("{:?}", answer.body).contains(part), "{answer:?}");
    }
}

#[tokio::test]
async fn what_waits_is_moved_by_a_new_message_and_the_old_one_is_withdrawn() {
    let world = world(&[]).await;
    let (now, day) = (Timestamp::now(), DAY);
    let waiting = Envelope { run_after: Some(now + day), ..envelope("a") };
    world.store.register(&waiting, Status::Scheduled, "scheduler", now).await.unwrap();
    let (status, task) = send(&world, "PATCH", "/v1/tasks/a", &json!({ "run_after": (now + day * 2).to_string() })).await;
    assert_eq!((status, &task["status"], &task["run_after"]), (200, &json!("SCHEDULED"), &json!((now + day * 2).to_string())));
    assert_eq!(world.sent.envelopes.lock().unwrap()[0].run_after, Some(now + day * 2));
    assert_eq!(*world.sent.withdrawn.lock().unwrap(), [("a".to_owned(), now + day)]);
    let (status, task) = send(&world, "PATCH", "/v1/tasks/a", &json!({ "countdown": 0 })).await;
    assert_eq!((status, &task["status"]), (200, &json!("READY")));
    let (_, cancelled) = call(&world, "DELETE", "/v1/tasks/a").await;
    assert_eq!(cancelled["status"], "CANCELLED");
    assert_eq!(world.sent.withdrawn.lock().unwrap().len(), 3, "a cancelled task leaves no schedule");
    assert_eq!(send(&world, "PATCH", "/v1/tasks/a", &json!({ "countdown": 5 })).await.0, 409);
}

#[tokio::test]
async fn what_waits_for_other_peoples_workers_is_moved_until_they_have_it() {
    let mut world = world(&[]).await;
    let partner = Sent::default();
    world.operations.dispatch = world.operations.dispatch.with("partner", Arc::new(partner.clone()), Destinations::default());
    let now = Timestamp::now();
    let waiting = Envelope { run_after: Some(now + DAY), backend: Some("partner".to_owned()), ..envelope("a") };
    world.store.register(&waiting, Status::Scheduled, "partner", now).await.unwrap();
    for countdown in [60, 0] {
        assert_eq!(send(&world, "PATCH", "/v1/tasks/a", &json!({ "countdown": countdown })).await.0, 200);
        let moved = world.sent.envelopes.lock().unwrap().pop().unwrap();
        assert_eq!(moved.backend.as_deref(), Some("partner"), "our own consumer hands it over, and notes it");
    }
    let now = Timestamp::now();
    let claim = Claim { envelope: &envelope("a"), now, lease_until: now, worker: "w", token: None, backend: "partner" };
    assert!(matches!(world.store.begin(&claim).await, Ok(Begin::Claimed { attempt: 1, .. })));
    let to = HandedOn::now("partner".to_owned(), None, DAY, now);
    world.store.finish("a", 1, &Outcome::HandedOn(to), now).await.unwrap();
    assert_eq!(send(&world, "PATCH", "/v1/tasks/a", &json!({ "countdown": 60 })).await.0, 409);
    assert_eq!(call(&world, "DELETE", "/v1/tasks/a").await.0, 409);
    assert!(world.sent.envelopes.lock().unwrap().is_empty() && partner.envelopes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_move_that_cannot_be_is_told_and_changes_nothing() {
    let world = world(&["a-1"]).await;
    let large = serde_json::value::to_raw_value(&json!({ "a": "x".repeat(40_000) })).unwrap();
    world.store.register(&Envelope { kwargs: Some(large), ..envelope("large") }, Status::Ready, "sqs", Timestamp::now()).await.unwrap();
    for (id, body, wanted) in [
        ("nobody", json!({ "countdown": 5 }), 404),
        ("large", json!({ "countdown": 5 }), 409),
        ("a-1", json!({}), 422),
        ("a-1", json!({ "countdown": -1 }), 422),
        ("a-1", json!({ "countdown": 1e9 }), 422),
        ("a-1", json!({ "run_after": "tomorrow" }), 422),
        ("a-1", json!({ "countdown": 5, "run_after": "2026-11-20T12:00:00Z" }), 422),
        ("a-1", json!([]), 400),
    ] {
        assert_eq!(send(&world, "PATCH", &format!("/v1/tasks/{id}"), &body).await.0, wanted, "{id} {body}");
    }
    world.sent.failing.store(true, Ordering::SeqCst);
    let (status, problem) = send(&world, "PATCH", "/v1/tasks/a-1", &json!({ "countdown": 5 })).await;
    assert!(status == 503 && !problem.to_string().contains("secret"));
    assert_eq!(world.store.get("a-1").await.unwrap().unwrap().0.run_after, None, "what could not be sent is not moved");
}

#[tokio::test]
async fn what_nobody_reads_is_refused_with_what_was_meant() {
    let world = world(&["a-1"]).await;
    let schedule = json!({ "name": "n", "rate": "1 hour", "task": "console" });
    let with = |body: &serde_json::Value, field: &str| {
        let mut body = body.clone();
        body[field] = json!("x");
        body
    };
    let template = |field: &str| json!({ "channels": { "email": { field: "x" } } });
    for (method, path, body, pointer, meant) in [
        ("POST", "/v1/schedules", with(&schedule, "tz"), "/tz", "timezone"),
        ("POST", "/v1/schedules", with(&schedule, "pause"), "/pause", "paused"),
        ("PATCH", "/v1/tasks/a-1", json!({ "countdown": 60, "expires": null }), "/expires", "countdown"),
        ("PUT", "/v1/templates/t", json!({ "channels": { "slack": { "text": "x" } }, "locale": {} }), "/locale", "locales"),
        ("PUT", "/v1/templates/t", template("subjet"), "/channels/email/subjet", "subject"),
        (
            "PUT",
            "/v1/templates/t",
            json!({ "channels": {}, "locales": { "de": template("htm")["channels"] } }),
            "/locales/de/email/htm",
            "html",
        ),
        ("POST", "/v1/keys", json!({ "name": "k", "scopes": ["send"], "expire": "x" }), "/expire", "expires"),
        ("POST", "/v1/dead-letters/drop", json!({ "task": "x", "id": ["a"] }), "/id", "ids"),
        ("POST", "/v1/dead-letters/replay", json!({ "task": "x", "patch": {} }), "/patch", "known are ids"),
    ] {
        let (status, problem) = send(&world, method, path, &body).await;
        assert_eq!(
            (status, &problem["errors"][0]["pointer"], problem["errors"].as_array().unwrap().len()),
            (422, &json!(pointer), 1),
            "{problem}"
        );
        assert!(problem["errors"][0]["detail"].as_str().unwrap().contains(meant), "{problem}");
    }
    let free = json!({ "channels": { "email": { "text": "{{ a }}" }, "orders.ship": { "any": "x" } } });
    assert_eq!(send(&world, "PUT", "/v1/templates/t", &free).await.0, 200, "an alias, and a task of one's own");
    for (body, pointer) in [
        (json!({ "channels": { "email": 7 } }), "/channels/email"),
        (json!({ "channels": { "a/b": [] } }), "/channels/a~1b"),
        (json!({ "channels": {}, "locales": { "de": [] } }), "/locales/de"),
        (json!({}), "/channels"),
    ] {
        assert_eq!(send(&world, "PUT", "/v1/templates/t", &body).await.1["errors"][0]["pointer"], pointer, "{body}");
    }
}

#[tokio::test]
async fn others_json_is_told_moved_and_reported_as_it_was_written() {
    let world = world(&[]).await;
    let (args, kwargs, value) = (written::array(), written::object(), written::object());
    let now = Timestamp::now();
    let task = Envelope { args: args.raw(), kwargs: kwargs.raw(), run_after: Some(now), ..envelope("a") };
    world.store.register(&task, Status::Scheduled, "sqs", now).await.unwrap();
    let answer = async |method: &str, path: &str, body: String, token: &str| {
        let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {token}")).body(body.into()).unwrap();
        String::from_utf8(world.operations.handle(&request).await.body().to_vec()).unwrap()
    };
    let arguments = format!(r#""args":{args:?},"kwargs":{kwargs:?},"#);
    for (method, path, body) in [("GET", "/v1/tasks/a", ""), ("GET", "/v1/tasks", ""), ("PATCH", "/v1/tasks/a", r#"{"countdown":0}"#)] {
        let told = answer(method, path, body.to_owned(), "").await;
        assert!(told.contains(&arguments), "{told}");
    }
    let moved = world.sent.envelopes.lock().unwrap()[0].clone();
    assert_eq!((moved.args.unwrap().get(), moved.kwargs.unwrap().get()), (args.get(), kwargs.get()));

    let caller = Envelope { callback_url: Some("https://example.com".to_owned()), ..envelope("b") };
    let claim = Claim { envelope: &caller, now, lease_until: now + Duration::from_secs(60), worker: "w", token: Some("t"), backend: "sqs" };
    world.store.begin(&claim).await.unwrap();
    let report = format!(r#"{{"status":"SUCCESSFUL","return_value":{value:?}}}"#);
    let told = answer("POST", "/v1/tasks/b/result", report, "t").await;
    assert!(told.contains(&format!(r#""return_value":{value:?},"#)), "{told}");
    let callback = world.sent.envelopes.lock().unwrap()[1].clone();
    assert_eq!(callback.payload(), format!(r#"{{"url":"https://example.com","body":{told}}}"#));

    let schedule = format!(r#"{{"name":"s","rate":"5 minutes","task":"app.ship","args":{args:?},"kwargs":{kwargs:?}}}"#);
    for (method, path) in [("POST", "/v1/schedules"), ("GET", "/v1/schedules/s"), ("GET", "/v1/schedules"), ("DELETE", "/v1/schedules/s")] {
        let told = answer(method, path, schedule.clone(), "").await;
        assert!(told.contains(&format!(r#""args":{args:?},"kwargs":{kwargs:?}"#)), "{told}");
    }
}
