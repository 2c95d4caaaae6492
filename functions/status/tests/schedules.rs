//! Schedules over parts in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use errand_core::{Register, Status, Timestamp};
use errand_testkit::transport::envelope;
use serde_json::{Value, json};
use world::{World, call, send, world};

/// An answer about a schedule, without when it runs next, which depends on the clock.
fn said((status, mut told): (u16, Value)) -> (u16, Value) {
    let next = told.as_object_mut().and_then(|told| told.remove("next_run"));
    assert_eq!(next.is_some_and(|next| next.is_string()), told["paused"] == false, "{told}");
    (status, told)
}

#[tokio::test]
async fn a_schedule_is_made_once_told_paused_and_deleted() {
    let world = world(&[]).await;
    let daily =
        json!({ "name": "daily", "cron": "0 9 * * mon-fri", "timezone": "Europe/Berlin", "task": "console", "kwargs": { "text": "hi" } });
    let mut wanted = daily.clone();
    wanted.as_object_mut().unwrap().extend([
        ("queue".to_owned(), json!("default")),
        ("paused".to_owned(), json!(false)),
        ("last_run".to_owned(), json!(null)),
    ]);
    assert_eq!(said(send(&world, "POST", "/v1/schedules", &daily).await), (201, wanted.clone()));
    assert_eq!(said(send(&world, "POST", "/v1/schedules", &daily).await), (200, wanted.clone()), "the same call again is no mistake");
    let mut other = daily.clone();
    other["cron"] = json!("0 10 * * *");
    assert_eq!(send(&world, "POST", "/v1/schedules", &other).await.0, 409);
    assert_eq!(said(call(&world, "GET", "/v1/schedules/daily").await), (200, wanted.clone()));
    assert_eq!(said(call(&world, "POST", "/v1/schedules/daily/pause").await).1["paused"], true);
    assert_eq!(said(call(&world, "POST", "/v1/schedules/daily/resume").await), (200, wanted.clone()));
    let (_, list) = call(&world, "GET", "/v1/schedules").await;
    assert_eq!((list["schedules"][0]["name"].as_str(), &list["cursor"]), (Some("daily"), &Value::Null));
    assert_eq!(call(&world, "DELETE", "/v1/schedules/daily").await.0, 200);
    for (method, path) in [("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/run")] {
        assert_eq!(call(&world, method, &format!("/v1/schedules/daily{path}")).await.0, 404, "{method} {path}");
    }
    assert_eq!(send(&world, "PATCH", "/v1/schedules/daily", &json!({})).await.0, 404);
}

#[tokio::test]
async fn a_wrong_schedule_is_told_everything_that_is_wrong() {
    let world = world(&[]).await;
    let good = || json!({ "name": "n", "rate": "5 minutes", "task": "console" });
    for (change, pointer) in [
        (json!({ "name": "a b" }), "/name"),
        (json!({ "name": null }), "/name"),
        (json!({ "rate": "5 weeks" }), "/rate"),
        (json!({ "cron": "* * * * *" }), "/cron"),
        (json!({ "rate": null }), "/cron"),
        (json!({ "rate": null, "cron": "* * 1 * mon" }), "/cron"),
        (json!({ "rate": null, "cron": "@reboot" }), "/cron"),
        (json!({ "rate": null, "cron": "0 0 31W * *" }), "/cron"),
        (json!({ "timezone": "not a zone" }), "/timezone"),
        (json!({ "timezone": "Mars/Olympus" }), "/timezone"),
        (json!({ "timezone": 1 }), "/timezone"),
        (json!({ "task": "no.such.task" }), "/task"),
        (json!({ "task": "email" }), "/kwargs/subject"),
        (json!({ "id": "x" }), "/id"),
        (json!({ "countdown": 5 }), "/countdown"),
        (json!({ "expires": "2099-01-01T00:00:00Z" }), "/expires"),
    ] {
        let mut body = good();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, problem) = send(&world, "POST", "/v1/schedules", &body).await;
        let pointers: Vec<&Value> = problem["errors"].as_array().into_iter().flatten().map(|error| &error["pointer"]).collect();
        assert!(status == 422 && pointers.contains(&&json!(pointer)), "{body} got {problem}");
    }
}

async fn made(world: &World, schedule: &Value) {
    let (status, told) = send(world, "POST", "/v1/schedules", schedule).await;
    assert_eq!(status, 201, "{told}");
}

#[tokio::test]
async fn a_schedule_is_changed_by_a_merge_patch() {
    let world = world(&[]).await;
    made(
        &world,
        &json!({ "name": "s", "rate": "1 hour", "task": "console", "kwargs": { "text": "hi" }, "paused": true, "max_attempts": 3 }),
    )
    .await;
    for (patch, wanted) in [
        (json!({}), json!({ "rate": "1 hour", "paused": true, "kwargs": { "text": "hi" } })),
        (json!({ "kwargs": { "text": "ho" } }), json!({ "rate": "1 hour", "paused": true, "kwargs": { "text": "ho" } })),
        (json!({ "cron": "@daily" }), json!({ "cron": "@daily", "rate": null, "timezone": "UTC", "paused": true, "max_attempts": 3 })),
        (
            json!({ "timezone": "europe/berlin", "paused": false }),
            json!({ "cron": "@daily", "timezone": "Europe/Berlin", "paused": false }),
        ),
        (
            json!({ "max_attempts": null, "user": "ann", "name": "s" }),
            json!({ "max_attempts": null, "user": "ann", "timezone": "Europe/Berlin" }),
        ),
        (json!({ "rate": "2 days", "timezone": null }), json!({ "rate": "2 days", "cron": null, "timezone": "UTC", "user": "ann" })),
    ] {
        let (status, told) = said(send(&world, "PATCH", "/v1/schedules/s", &patch).await);
        assert_eq!(status, 200, "{patch}: {told}");
        for (field, value) in wanted.as_object().unwrap() {
            assert_eq!(&told[field], value, "{patch}: {told}");
        }
        assert_eq!(said(call(&world, "GET", "/v1/schedules/s").await), (200, told));
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_is_told_and_changes_nothing() {
    let world = world(&[]).await;
    made(&world, &json!({ "name": "s", "rate": "1 hour", "task": "console" })).await;
    let before = call(&world, "GET", "/v1/schedules/s").await;
    for (patch, pointer) in [
        (json!({ "name": "t" }), "/name"),
        (json!({ "rate": "1 week" }), "/rate"),
        (json!({ "rate": null }), "/cron"),
        (json!({ "cron": "@daily", "rate": "1 day" }), "/cron"),
        (json!({ "cron": "0 0 1 * mon" }), "/cron"),
        (json!({ "timezone": "Mars/Olympus" }), "/timezone"),
        (json!({ "task": "email" }), "/kwargs/subject"),
        (json!({ "task": null }), "/task"),
        (json!({ "timezome": "UTC" }), "/timezome"),
        (json!({ "timezome": null }), "/timezome"),
        (json!({ "run_after": "2099-01-01T00:00:00Z" }), "/run_after"),
    ] {
        let (status, problem) = send(&world, "PATCH", "/v1/schedules/s", &patch).await;
        let pointers: Vec<&Value> = problem["errors"].as_array().into_iter().flatten().map(|error| &error["pointer"]).collect();
        assert!(status == 422 && pointers.contains(&&json!(pointer)), "{patch} got {problem}");
    }
    assert_eq!(send(&world, "PATCH", "/v1/schedules/s", &json!([])).await.0, 400);
    assert_eq!(call(&world, "GET", "/v1/schedules/s").await, before);
}

/// The text of the answer to a call.
async fn text(world: &World, method: &str, path: &str, body: &'static str) -> String {
    let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json").body(body.into()).unwrap();
    String::from_utf8(world.operations.handle(&request).await.into_body().to_vec()).unwrap()
}

#[tokio::test]
async fn arguments_stay_as_they_were_written() {
    let world = world(&[]).await;
    let kwargs = r#""kwargs":{"url":"https://example.com","body":{"z":100.10,"n":12345678901234567890123,"a":1E+2}}"#;
    let body = r#"{"name":"s","cron":"@daily","task":"webhook","kwargs":{"url":"https://example.com","body":{"z":100.10,"n":12345678901234567890123,"a":1E+2}}}"#;
    for (method, path, body) in
        [("POST", "", body), ("PATCH", "/s", r#"{"timezone":"Europe/Berlin"}"#), ("POST", "/s/pause", ""), ("GET", "", "")]
    {
        let told = text(&world, method, &format!("/v1/schedules{path}"), body).await;
        assert!(told.contains(kwargs), "{method} {path}: {told}");
    }
}

#[tokio::test]
async fn a_schedule_is_run_now_under_an_id_that_is_none_of_its_own() {
    let world = world(&[]).await;
    made(
        &world,
        &json!({ "name": "s", "cron": "@yearly", "task": "console", "kwargs": { "text": "hi" }, "paused": true, "max_attempts": 3 }),
    )
    .await;
    let (status, task) = call(&world, "POST", "/v1/schedules/s/run").await;
    assert_eq!((status, &task["status"], &task["kwargs"]), (202, &json!("READY"), &json!({ "text": "hi" })));
    let id = task["id"].as_str().unwrap();
    let at = id.strip_prefix("s@").unwrap();
    assert!(at.parse::<Timestamp>().is_ok() && at.contains('.'), "{id}: those that are due have no fraction of a second");
    let sent = world.sent.envelopes.lock().unwrap().clone();
    assert_eq!((sent.len(), sent[0].id.as_str(), sent[0].max_attempts, sent[0].run_after), (1, id, Some(3), None));
    assert_eq!(call(&world, "GET", &format!("/v1/tasks/{id}")).await.1["id"], id);
    assert_eq!(call(&world, "GET", "/v1/schedules/s").await.1["paused"], true);
    world.sent.failing.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(call(&world, "POST", "/v1/schedules/s/run").await.0, 503);
}

#[tokio::test]
async fn the_last_and_the_next_run_are_told() {
    let world = world(&[]).await;
    made(&world, &json!({ "name": "s", "rate": "1 day", "task": "console" })).await;
    let told = async || call(&world, "GET", "/v1/schedules/s").await.1;
    let first = told().await;
    let next: Timestamp = first["next_run"].as_str().unwrap().parse().unwrap();
    let day = Duration::from_secs(86400);
    assert!(next.since(Timestamp::now()) <= day && first["last_run"].is_null(), "{first}");
    // The run before the last one: the last may be on its way.
    let at = next - day * 2;
    let id = format!("s@{}", at.to_string().replace(".000Z", "Z"));
    world.store.register(&envelope(&id), Status::Ready, "sqs", Timestamp::now()).await.unwrap();
    assert_eq!(told().await["last_run"], json!({ "id": id, "at": at.to_string(), "status": "READY" }));
    let (_, list) = call(&world, "GET", "/v1/schedules").await;
    assert_eq!(list["schedules"][0]["last_run"]["id"], id.as_str());
    assert_eq!(call(&world, "POST", "/v1/schedules/s/pause").await.1["next_run"], Value::Null);
}
