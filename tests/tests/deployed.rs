//! The template, deployed to an emulator of AWS that checks permissions, with the functions as `cargo lambda build --release` made them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use errand_core::Timestamp;
use errand_testkit::{Answer, Stub};
use errand_tests::{
    Stack,
    application::{Application, SECRET},
    id, mail, until,
};
use serde_json::{Value, json};

fn time(task: &Value, name: &str) -> Timestamp {
    task[name].as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} of {task}"))
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_call_becomes_a_mail() {
    let (stack, id) = (Stack::new(), id("call"));
    let accepted = stack.send(&mail(&id)).await;
    assert_eq!((&accepted["id"], &accepted["status"], &accepted["backend"]), (&json!(id), &json!("READY"), &json!("sqs")));
    let done = stack.wait_for(&id, "SUCCESSFUL").await;
    assert_eq!((&done["attempts"], &done["errors"]), (&json!(1), &json!([])));
    assert!(done["return_value"]["message_id"].is_string() && time(&done, "started_at") >= time(&done, "enqueued_at"));
    assert_eq!(stack.mails(&id).await.len(), 1);
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_message_put_straight_on_the_queue_is_delivered() {
    let (stack, subject) = (Stack::new(), id("straight"));
    let body = json!({ "task": "email", "kwargs": { "to": ["someone@example.com"], "subject": subject, "body": "b" } });
    let sent = stack.sqs().send_message().queue_url(&stack.queue_url).message_body(body.to_string()).send().await.unwrap();
    stack.wait_for(sent.message_id().unwrap(), "SUCCESSFUL").await;
    assert_eq!(stack.mails(&subject).await.len(), 1);
}

/// The routes are a parameter, read when a function starts; what calls are signed with is one too, and Slack's token a field of a secret: both are read when they
/// are needed. The emulator checks that the template allows each.
#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn what_settings_refer_to_is_read_by_who_needs_it() {
    let (stack, app) = (Stack::new(), Application::get());
    let (message, task) = (id("slack"), id("routed"));
    stack.send(&json!({ "id": message, "task": "slack", "kwargs": { "channel": "#general", "text": message } })).await;
    stack.send(&json!({ "id": task, "task": "app.echo" })).await;
    let sent = stack.wait_for(&message, "SUCCESSFUL").await;
    assert_eq!((&sent["attempts"], &sent["return_value"]["ts"]), (&json!(1), &json!("1.2")), "Slack's token was the right one");
    stack.wait_for(&task, "SUCCESSFUL").await;
    let (headers, body) = app.calls(&task).remove(0);
    standardwebhooks::Webhook::new(SECRET).unwrap().verify(&body, &headers).unwrap();
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn an_id_that_is_sent_twice_is_delivered_once() {
    let (stack, id) = (Stack::new(), id("twice"));
    for _ in 0..3 {
        stack.send(&mail(&id)).await;
    }
    stack.wait_for(&id, "SUCCESSFUL").await;
    // A later one that is done tells that the earlier ones were taken.
    let last = errand_tests::id("after");
    stack.send(&mail(&last)).await;
    stack.wait_for(&last, "SUCCESSFUL").await;
    assert_eq!(stack.mails(&id).await.len(), 1);
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_failing_provider_is_tried_again_and_then_given_up_with_the_reason() {
    let (stack, id) = (Stack::new(), id("failing"));
    let receiver = Stub::start(|_| Answer::json(500, "")).await;
    stack.send(&json!({ "id": id, "task": "webhook", "max_attempts": 3, "kwargs": { "url": receiver.url(), "body": { "a": 1 } } })).await;
    let letter = stack.dead_letter(&id).await;
    let attributes = letter.message_attributes.unwrap();
    let told = |name: &str| attributes[name].string_value().unwrap().to_owned();
    assert_eq!(
        (told("errand-kind"), told("errand-attempts"), told("errand-task")),
        ("unavailable".to_owned(), "3".to_owned(), "webhook".to_owned())
    );
    assert_eq!((told("errand-reason"), told("errand-id")), ("the receiver answered HTTP 500".to_owned(), id.clone()));
    let failed = stack.wait_for(&id, "FAILED").await;
    assert_eq!((&failed["attempts"], failed["errors"].as_array().unwrap().len()), (&json!(3), 3));
    assert_eq!(receiver.requests().len(), 3);
    assert!(
        receiver.requests().iter().all(|request| request.headers["webhook-id"] == id.as_str()),
        "each attempt names the same piece of work"
    );
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_message_that_is_no_envelope_is_a_dead_letter_with_the_reason() {
    let (stack, id) = (Stack::new(), id("poison"));
    stack.sqs().send_message().queue_url(&stack.queue_url).message_body(format!("{{not json {id}")).send().await.unwrap();
    let attributes = stack.dead_letter(&id).await.message_attributes.unwrap();
    assert_eq!(attributes["errand-kind"].string_value(), Some("malformed"));
    assert!(attributes["errand-reason"].string_value().unwrap().starts_with("is not JSON"));
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_delay_is_kept_to_the_second() {
    let (stack, id) = (Stack::new(), id("later"));
    let mut task = mail(&id);
    task["countdown"] = json!(5);
    assert_eq!(stack.send(&task).await["status"], "SCHEDULED");
    let done = stack.wait_for(&id, "SUCCESSFUL").await;
    let waited = time(&done, "started_at").since(time(&done, "enqueued_at"));
    assert!(waited >= Duration::from_secs(5) && waited < Duration::from_secs(15), "{waited:?}");
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_long_delay_becomes_a_schedule() {
    let (stack, id) = (Stack::new(), id("schedule"));
    let mut task = mail(&id);
    task["countdown"] = json!(1200);
    let accepted = stack.send(&task).await;
    assert_eq!((&accepted["status"], &accepted["backend"]), (&json!("SCHEDULED"), &json!("scheduler")));
    let client = aws_sdk_scheduler::Client::new(&stack.sdk);
    let schedules = client.list_schedules().group_name(&stack.schedule_group).send().await.unwrap();
    let mut found = None;
    for schedule in schedules.schedules() {
        let whole = client.get_schedule().group_name(&stack.schedule_group).name(schedule.name().unwrap()).send().await.unwrap();
        found =
            found.or(Some(whole).filter(|whole| whole.target().and_then(|target| target.input()).is_some_and(|input| input.contains(&id))));
    }
    let schedule = found.expect("a schedule with the task in it");
    let target = schedule.target().unwrap();
    assert_eq!(target.arn(), stack.queue_arn);
    assert!(target.role_arn().contains("SchedulerRole"), "{}", target.role_arn());
    let at = (time(&accepted, "run_after") - Duration::from_secs(60)).to_string();
    assert_eq!(
        schedule.schedule_expression(),
        Some(format!("at({})", &at[..19]).as_str()),
        "a minute early: the consumer hides it for the rest"
    );
    assert_eq!(schedule.action_after_completion().map(|action| action.as_str()), Some("DELETE"));
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn what_is_cancelled_before_it_runs_is_never_delivered() {
    let (stack, id) = (Stack::new(), id("cancelled"));
    let mut task = mail(&id);
    task["countdown"] = json!(3);
    stack.send(&task).await;
    let (status, cancelled) = stack.call("DELETE", &format!("/v1/tasks/{id}"), None).await;
    assert_eq!((status, &cancelled["status"]), (200, &json!("CANCELLED")));
    // One that is due after it.
    let after = errand_tests::id("after");
    let mut task = mail(&after);
    task["countdown"] = json!(5);
    stack.send(&task).await;
    stack.wait_for(&after, "SUCCESSFUL").await;
    assert!(stack.mails(&id).await.is_empty());
    assert_eq!(stack.call("DELETE", &format!("/v1/tasks/{id}"), None).await.0, 409);
    assert_eq!(stack.call("DELETE", "/v1/tasks/nobody", None).await.0, 404);
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn tasks_are_listed_by_status_and_task() {
    let (stack, id) = (Stack::new(), id("listed"));
    let mut task = mail(&id);
    task["countdown"] = json!(600);
    stack.send(&task).await;
    let mut cursor = String::new();
    let found = until("the task is listed", async || {
        let (status, page) = stack.call("GET", &format!("/v1/tasks?status=SCHEDULED&task=email&limit=100{cursor}"), None).await;
        assert_eq!(status, 200, "{page}");
        assert!(page["tasks"].as_array().unwrap().iter().all(|task| task["status"] == "SCHEDULED" && task["task"] == "email"));
        cursor = page["cursor"].as_str().map(|cursor| format!("&cursor={}", cursor.replace('#', "%23"))).unwrap_or_default();
        page["tasks"].as_array().unwrap().iter().find(|task| task["id"] == id.as_str()).cloned()
    })
    .await;
    assert_eq!(found["kwargs"]["subject"], id.as_str());
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_refused_call_says_why_and_queues_nothing() {
    let (stack, id) = (Stack::new(), id("refused"));
    let (status, problem) = stack.call("POST", "/v1/tasks", Some(&json!({ "id": id, "task": "email", "kwargs": { "subject": 5 } }))).await;
    let pointers: Vec<&str> = problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!((status, pointers), (422, vec!["/kwargs/subject", "/kwargs/body", "/kwargs/to"]));
    assert_eq!(stack.call("PUT", "/v1/tasks", None).await.0, 405);
    assert_eq!(stack.call("GET", "/v1/nothing", None).await.0, 404);
    assert_eq!(stack.call_as("Bearer wrong", "GET", &format!("/v1/tasks/{id}"), None).await.0, 401);
    assert_eq!(stack.call_as("Bearer wrong", "POST", "/v1/tasks", Some(&mail(&id))).await.0, 401);
    assert_eq!(stack.call("GET", &format!("/v1/tasks/{id}"), None).await.0, 404);
    let (status, health) = stack.call("GET", "/v1/health", None).await;
    let checks = json!({ "scheduler": "ok", "sqs": "ok", "store": "ok" });
    assert_eq!((status, &health["status"], &health["checks"]), (200, &json!("ok"), &checks));
    let details = health["details"].as_object().unwrap();
    assert!(details.len() == 3 && details.values().all(|detail| detail["latency_ms"].is_u64() && detail["error"].is_null()), "{health}");
    let (status, told) = stack.call_as("", "GET", "/v1/health", None).await;
    assert_eq!((status, told), (200, json!({ "status": "ok", "checks": checks })), "without a key it says no more");
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_task_goes_by_its_own_queue_and_one_that_is_not_there_is_refused() {
    let (stack, id) = (Stack::new(), id("slow"));
    let on = |queue: &str| {
        let mut task = mail(&id);
        task["queue"] = json!(queue);
        task
    };
    stack.send(&on("slow")).await;
    stack.wait_for(&id, "SUCCESSFUL").await;
    let (_, page) = stack.call("GET", "/v1/tasks?queue=slow&limit=100", None).await;
    assert!(page["tasks"].as_array().unwrap().iter().any(|task| task["id"] == id.as_str()), "{page}");
    let (status, problem) = stack.call("POST", "/v1/tasks", Some(&on("fast"))).await;
    let detail = "is no queue that is known here; known are: default, orders.fifo, slow";
    assert_eq!((status, &problem["errors"]), (422, &json!([{ "pointer": "/queue", "detail": detail }])));
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_long_delay_ends_on_its_own_queue() {
    let (stack, id) = (Stack::new(), id("slowly"));
    let mut task = mail(&id);
    (task["queue"], task["countdown"]) = (json!("slow"), json!(1200));
    assert_eq!(stack.send(&task).await["backend"], "scheduler");
    let client = aws_sdk_scheduler::Client::new(&stack.sdk);
    let mut arns = Vec::new();
    for schedule in client.list_schedules().group_name(&stack.schedule_group).send().await.unwrap().schedules() {
        let whole = client.get_schedule().group_name(&stack.schedule_group).name(schedule.name().unwrap()).send().await.unwrap();
        arns.extend(
            whole.target().filter(|target| target.input().is_some_and(|input| input.contains(&id))).map(|target| target.arn().to_owned()),
        );
    }
    assert_eq!(arns, [format!("{}:errand-test-slow", stack.queue_arn.rsplit_once(':').unwrap().0)]);
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn each_queue_has_its_dead_letters_and_they_go_back_there() {
    let (stack, id) = (Stack::new(), id("slow-dead"));
    let receiver = Stub::start(|request| Answer::json(if request.uri.path() == "/good" { 200 } else { 400 }, "")).await;
    let task =
        |path: &str| json!({ "id": id, "task": "webhook", "queue": "slow", "kwargs": { "url": format!("{}{path}", receiver.url()) } });
    stack.send(&task("/bad")).await;
    stack.wait_for(&id, "FAILED").await;
    let letter = until("the letter is listed", async || {
        let (_, told) = stack.call("GET", &format!("/v1/dead-letters?queue=slow&id={id}"), None).await;
        told["dead_letters"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!((&letter["queue"], &letter["kind"]), (&json!("slow"), &json!("rejected")));
    let replay = json!({ "ids": [id], "edit": { "kwargs": { "url": format!("{}/good", receiver.url()) } } });
    let (status, told) = stack.call("POST", "/v1/dead-letters/replay", Some(&replay)).await;
    assert_eq!((status, told["replayed"].as_array().unwrap().len()), (200, 1), "{told}");
    stack.wait_for(&id, "SUCCESSFUL").await;
    let (_, page) = stack.call("GET", "/v1/tasks?queue=slow&task=webhook&limit=100", None).await;
    assert!(page["tasks"].as_array().unwrap().iter().any(|task| task["id"] == id.as_str()), "{page}");
}

#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_fifo_queue_keeps_order_within_a_group() {
    let (stack, run) = (Stack::new(), id("ordered"));
    let receiver = Stub::start(|_| Answer::json(200, "")).await;
    let tasks: Vec<Value> = (0..12)
        .map(|i| json!({ "id": format!("{run}-{i:02}"), "task": "webhook", "queue": "orders.fifo", "group": run, "kwargs": { "url": receiver.url() } }))
        .collect();
    assert_eq!(stack.call("POST", "/v1/tasks/batch", Some(&json!({ "tasks": tasks }))).await.0, 202);
    stack.wait_for(&format!("{run}-11"), "SUCCESSFUL").await;
    let seen: Vec<String> = receiver.requests().iter().map(|request| request.headers["webhook-id"].to_str().unwrap().to_owned()).collect();
    assert_eq!(seen, (0..12).map(|i| format!("{run}-{i:02}")).collect::<Vec<_>>());
}
