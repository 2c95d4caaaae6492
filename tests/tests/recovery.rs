//! What callers and operators do about tasks that wait or were given up, on the deployed stack.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use errand_core::Timestamp;
use errand_testkit::{Answer, Stub};
use errand_tests::{Stack, id, mail, until};
use serde_json::{Value, json};

fn time(task: &Value, name: &str) -> Timestamp {
    task[name].as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} of {task}"))
}

/// The inputs of the schedules in the stack's group.
async fn scheduled(stack: &Stack) -> Vec<String> {
    let client = aws_sdk_scheduler::Client::new(&stack.sdk);
    let list = client.list_schedules().group_name(&stack.schedule_group).send().await.unwrap();
    let mut inputs = Vec::new();
    for schedule in list.schedules() {
        // It may have been deleted by another test since.
        if let Ok(whole) = client.get_schedule().group_name(&stack.schedule_group).name(schedule.name().unwrap()).send().await {
            inputs.extend(whole.target().and_then(|target| target.input()).map(ToOwned::to_owned));
        }
    }
    inputs
}

async fn delayed(stack: &Stack, id: &str, seconds: u32) -> Value {
    let mut task = mail(id);
    task["countdown"] = json!(seconds);
    stack.send(&task).await
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_scheduled_task_is_moved_to_now_and_leaves_no_schedule() {
    let (stack, id) = (Stack::new(), id("moved"));
    delayed(&stack, &id, 7200).await;
    let (status, moved) = stack.call("PATCH", &format!("/v1/tasks/{id}"), Some(&json!({ "countdown": 86_400 }))).await;
    assert_eq!((status, &moved["status"]), (200, &json!("SCHEDULED")), "{moved}");
    let inputs = scheduled(&stack).await;
    let mine: Vec<&String> = inputs.iter().filter(|input| input.contains(&id)).collect();
    assert!(mine.len() == 1 && mine[0].contains(moved["run_after"].as_str().unwrap()), "{mine:?}");
    let (status, now) = stack.call("PATCH", &format!("/v1/tasks/{id}"), Some(&json!({ "countdown": 2 }))).await;
    assert_eq!(status, 200, "{now}");
    let done = stack.wait_for(&id, "SUCCESSFUL").await;
    assert!(time(&done, "started_at") >= time(&now, "run_after"));
    assert_eq!(stack.mails(&id).await.len(), 1);
    assert!(!scheduled(&stack).await.iter().any(|input| input.contains(&id)));
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_task_that_waits_in_the_queue_is_moved_to_a_later_time() {
    let (stack, id) = (Stack::new(), id("later"));
    delayed(&stack, &id, 3).await;
    let (status, moved) = stack.call("PATCH", &format!("/v1/tasks/{id}"), Some(&json!({ "countdown": 8 }))).await;
    assert_eq!(status, 200, "{moved}");
    let done = stack.wait_for(&id, "SUCCESSFUL").await;
    assert!(time(&done, "started_at") >= time(&moved, "run_after"), "{done}");
    assert_eq!((stack.mails(&id).await.len(), &done["attempts"]), (1, &json!(1)));
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_cancelled_task_leaves_no_schedule() {
    let (stack, id) = (Stack::new(), id("cancel"));
    delayed(&stack, &id, 7200).await;
    assert!(scheduled(&stack).await.iter().any(|input| input.contains(&id)));
    let (status, cancelled) = stack.call("DELETE", &format!("/v1/tasks/{id}"), None).await;
    assert_eq!((status, &cancelled["status"]), (200, &json!("CANCELLED")));
    assert!(!scheduled(&stack).await.iter().any(|input| input.contains(&id)));
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_schedule_is_made_told_paused_changed_and_deleted() {
    let (stack, name) = (Stack::new(), id("daily"));
    let body =
        json!({ "name": name, "cron": "0 9 * * fri#2", "timezone": "Europe/Berlin", "task": "email", "kwargs": mail(&name)["kwargs"] });
    let (status, made) = stack.call("POST", "/v1/schedules", Some(&body)).await;
    assert_eq!((status, &made["cron"], &made["paused"]), (201, &body["cron"], &json!(false)), "{made}");
    assert!(made["next_run"].is_string() && made["last_run"].is_null(), "{made}");
    assert_eq!(stack.call("POST", "/v1/schedules", Some(&body)).await, (200, made.clone()), "the same call again");
    let path = format!("/v1/schedules/{name}");
    assert_eq!(stack.call("POST", &format!("{path}/pause"), None).await.1["paused"], true);
    let (status, changed) = stack.call("PATCH", &path, Some(&json!({ "cron": "0 9 L * *", "kwargs": { "subject": "changed" } }))).await;
    assert_eq!((status, &changed["paused"], &changed["next_run"]), (200, &json!(true), &Value::Null), "{changed}");
    assert_eq!(
        (&changed["cron"], &changed["kwargs"]["subject"], &changed["kwargs"]["to"]),
        (&json!("0 9 L * *"), &json!("changed"), &made["kwargs"]["to"])
    );
    assert_eq!(stack.call("GET", &path, None).await, (200, changed));
    let client = aws_sdk_scheduler::Client::new(&stack.sdk);
    let kept = client.get_schedule().group_name(&stack.schedule_group).name(format!("r.{name}")).send().await.unwrap();
    assert_eq!(kept.schedule_expression(), Some("cron(0 9 L * ? *)"));
    assert_eq!(stack.call("PATCH", &path, Some(&body)).await.1["paused"], true);
    assert_eq!(stack.call("POST", &format!("{path}/resume"), None).await, (200, made.clone()));
    let (_, list) = stack.call("GET", "/v1/schedules?limit=100", None).await;
    assert!(list["schedules"].as_array().unwrap().contains(&made), "{list}");
    assert_eq!(stack.call("DELETE", &path, None).await.0, 200);
    assert_eq!(stack.call("GET", &path, None).await.0, 404);
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_schedule_runs_and_can_be_run_now() {
    let (stack, name) = (Stack::new(), id("minutely"));
    let body = json!({ "name": name, "cron": "* * * * *", "task": "email", "kwargs": mail(&name)["kwargs"] });
    assert_eq!(stack.call("POST", "/v1/schedules", Some(&body)).await.0, 201);
    let (status, task) = stack.call("POST", &format!("/v1/schedules/{name}/run"), None).await;
    assert_eq!(status, 202, "{task}");
    stack.wait_for(task["id"].as_str().unwrap(), "SUCCESSFUL").await;
    let now = stack.mails(&name).await.len();
    let patience = Timestamp::now() + Duration::from_secs(100);
    while stack.mails(&name).await.len() == now {
        assert!(Timestamp::now() < patience, "a schedule of each minute has not run");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(stack.call("DELETE", &format!("/v1/schedules/{name}"), None).await.0, 200);
}

/// Sends webhooks that the receiver does not want, and waits until they are dead letters.
async fn given_up(stack: &Stack, receiver: &Stub, ids: &[&str]) {
    for id in ids {
        stack.send(&json!({ "id": id, "task": "webhook", "kwargs": { "url": receiver.url(), "body": { "id": id } } })).await;
    }
    for id in ids {
        stack.wait_for(id, "FAILED").await;
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn dead_letters_are_looked_at_mended_replayed_once_and_dropped() {
    let (stack, name) = (Stack::new(), id("letters"));
    let (a, b) = (format!("{name}-a"), format!("{name}-b"));
    let status = Arc::new(AtomicU16::new(410));
    let told = Arc::clone(&status);
    let receiver = Stub::start(move |_| Answer::json(told.load(Ordering::SeqCst), "")).await;
    given_up(&stack, &receiver, &[&a, &b]).await;
    status.store(200, Ordering::SeqCst);
    // Letters of other tests are looked at as well: one that another call has taken is not seen for a moment.
    let list = until("both letters are seen", async || {
        let (code, list) = stack.call("GET", &format!("/v1/dead-letters?task=webhook&kind=recipient_gone&id={a}&id={b}"), None).await;
        assert_eq!(code, 200, "{list}");
        (list["dead_letters"].as_array().unwrap().len() == 2).then_some(list)
    })
    .await;
    assert!(list.to_string().contains("the receiver answered HTTP 410") && !list.to_string().contains("kwargs"), "{list}");
    until("the letter is replayed", async || {
        let replay = json!({ "ids": [a], "edit": { "kwargs": { "body": { "mended": true } } } });
        let (code, told) = stack.call("POST", "/v1/dead-letters/replay", Some(&replay)).await;
        assert!(code == 200 && told["refused"] == json!([]), "{told}");
        (told["replayed"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    let done = stack.wait_for(&a, "SUCCESSFUL").await;
    assert_eq!(done["attempts"], 2);
    let mended = receiver.requests().iter().filter(|request| String::from_utf8_lossy(&request.body).contains("mended")).count();
    assert_eq!(mended, 1);
    until("the letter is dropped", async || (stack.call("DELETE", &format!("/v1/dead-letters/{b}"), None).await.0 == 200).then_some(()))
        .await;
    let (_, left) = stack.call("GET", &format!("/v1/dead-letters?id={a}&id={b}"), None).await;
    assert_eq!(left["dead_letters"], json!([]));
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn what_the_queue_itself_gave_up_is_replayed() {
    let (stack, id) = (Stack::new(), id("redriven"));
    // A message as SQS moves it: as it was sent, without a reason.
    stack.sqs().send_message().queue_url(&stack.dead_letter_url).message_body(mail(&id).to_string()).send().await.unwrap();
    let key = until("the letter is seen", async || {
        let (_, list) = stack.call("GET", "/v1/dead-letters?kind=redriven", None).await;
        let letters = list["dead_letters"].as_array().unwrap().clone();
        letters.iter().find_map(|letter| letter["key"].as_str().map(ToOwned::to_owned))
    })
    .await;
    until("the letter is replayed", async || {
        let (_, told) = stack.call("POST", "/v1/dead-letters/replay", Some(&json!({ "ids": [key] }))).await;
        (told["replayed"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    stack.wait_for(&id, "SUCCESSFUL").await;
    assert_eq!(stack.mails(&id).await.len(), 1);
}
