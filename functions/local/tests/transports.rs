//! Transports by name on one machine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod server;

use errand_testkit::{Answer, Stub, aws::Emulator};
use serde_json::{Value, json};
use server::{Server, until};

#[tokio::test]
async fn tasks_are_handed_to_two_consoles_at_once_or_when_they_are_due() {
    let data = tempfile::tempdir().unwrap();
    let [audit, trial] = ["audit", "trial"].map(|name| data.path().join(name));
    let transports = json!({
        "audit": { "backend": "console", "queues": ["default", "theirs"], "options": { "file": audit } },
        "trial": { "backend": "console", "queues": ["orders"], "options": { "file": trial } },
    });
    let routes = r#"{"theirs.*":{"transport":"trial","destination":"orders"}}"#;
    let server = Server::start_with(data.path(), &[("ERRAND_TRANSPORTS", &transports.to_string()), ("ERRAND_ROUTES", routes)]);
    let lines = |file: &std::path::Path| -> Vec<Value> {
        std::fs::read_to_string(file).unwrap_or_default().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    server.send(json!({ "task": "any", "id": "now", "backend": "audit" })).await;
    assert_eq!(lines(&audit)[0]["id"], "now", "it is handed over before the call is answered");
    server.send(json!({ "task": "any", "id": "later", "queue": "theirs", "backend": "audit", "countdown": 0.3 })).await;
    server.send(json!({ "task": "theirs.ship", "id": "routed" })).await;
    until(|| lines(&audit).len() == 2).await;
    let later = &lines(&audit)[1];
    assert_eq!((&later["id"], &later["destination"], &later["queue"]), (&json!("later"), &json!("theirs"), &json!("default")));
    assert_eq!(server.wait_for("later", "SUCCESSFUL").await["backend"], "audit");
    assert_eq!((&lines(&trial)[0]["id"], &lines(&trial)[0]["destination"]), (&json!("routed"), &json!("orders")));
    // What is taken back does not come.
    server.send(json!({ "task": "any", "id": "never", "backend": "audit", "countdown": 0.5 })).await;
    assert_eq!(server.call("DELETE", "/v1/tasks/never", None).await.0, 200);
    let (status, problem) = server.call("POST", "/v1/tasks", Some(&json!({ "task": "any", "backend": "x" }))).await;
    assert!(status == 422 && problem.contains("known are: audit, local, trial"), "{problem}");
    let (_, health) = server.call("GET", "/v1/health", None).await;
    let health: Value = serde_json::from_str(&health).unwrap();
    assert!(["audit", "local", "trial"].iter().all(|name| health["checks"][name] == "ok"), "{health}");
    server.send(json!({ "task": "any", "id": "after", "backend": "audit", "countdown": 0.6 })).await;
    until(|| lines(&audit).iter().any(|line| line["id"] == "after")).await;
    let ids: Vec<Value> = lines(&audit).iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, ["now", "later", "after"]);
}

/// A function that tells the URL in its event of that event.
const TELLS: &str = "import json, urllib.request
def handle(event, context):
    urllib.request.urlopen(urllib.request.Request(event['kwargs']['url'], json.dumps(event).encode()), timeout=5)
";

#[tokio::test]
#[ignore = "needs SNS, EventBridge, Lambda and SQS at TEST_AWS_ENDPOINT, and python3"]
async fn a_call_reaches_who_is_behind_a_topic_a_bus_and_a_function_at_once_or_when_it_is_due() {
    let emulator = Emulator::get();
    let (subscribed, handed) = (emulator.queue("subscribed").await, emulator.queue("handed").await);
    let topic = emulator.topic("orders").await;
    emulator.subscribe(&topic, &subscribed, &[("RawMessageDelivery", "true")]).await;
    let bus = emulator.bus("orders", &json!({ "source": ["errand"] }), &handed).await;
    let (function, application) = (emulator.function("worker", TELLS).await, Stub::always(&Answer::json(200, "{}")).await);
    let (prefix, name) = topic.rsplit_once(':').unwrap();
    let transports = json!({
        "news": { "backend": "sns", "queues": [name], "options": { "AWS_SNS_ARN_PREFIX": format!("{prefix}:") } },
        "events": { "backend": "eventbridge", "queues": ["orders"], "options": { "buses": { "orders": bus } } },
        "workers": { "backend": "lambda", "queues": ["reports"], "options": { "functions": { "reports": function } } },
        "lost": { "backend": "sns", "queues": ["nothing"], "options": { "AWS_SNS_ARN_PREFIX": format!("{prefix}:") } },
    });
    let data = tempfile::tempdir().unwrap();
    let (transports, region) = (transports.to_string(), "us-east-1");
    let aws =
        [("AWS_REGION", region), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_ENDPOINT_URL", &emulator.url)];
    let server = Server::start_with(data.path(), &[&aws[..], &[("ERRAND_TRANSPORTS", &transports)]].concat());
    for (backend, queue) in [("news", name), ("events", "orders"), ("workers", "reports")] {
        let task = |id: &str, countdown: f64| {
            let kwargs = json!({ "url": application.url(), "text": "é🚀" });
            json!({ "task": "order.shipped", "id": format!("{backend}-{id}"), "kwargs": kwargs, "backend": backend, "queue": queue, "countdown": countdown })
        };
        server.send(task("now", 0.0)).await;
        server.send(task("later", 0.3)).await;
        let ended = server.wait_for(&format!("{backend}-later"), "SUCCESSFUL").await;
        assert!(ended["return_value"]["message_id"].is_string(), "what it is known by there: {ended}");
    }
    for (backend, queue) in [("news", &subscribed), ("events", &handed)] {
        let messages = emulator.messages(queue, 2).await;
        let read = messages.iter().map(|message| {
            let errand_wire::Content::Envelopes(envelopes) = errand_wire::decode(message).unwrap().content else { panic!("{message:?}") };
            let kwargs: Value = serde_json::from_str(envelopes[0].kwargs.as_deref().unwrap().get()).unwrap();
            assert_eq!((envelopes[0].task.as_str(), &kwargs["text"]), ("order.shipped", &json!("é🚀")));
            envelopes[0].id.clone()
        });
        let mut ids: Vec<String> = read.collect();
        ids.sort();
        assert_eq!(ids, ["later", "now"].map(|id| format!("{backend}-{id}")));
    }
    until(|| application.requests().len() == 2).await;
    let (_, health) = server.call("GET", "/v1/health", None).await;
    let health: Value = serde_json::from_str(&health).unwrap();
    assert!(["news", "events", "workers"].iter().all(|name| health["checks"][name] == "ok"), "{health}");
    assert!(health["checks"]["lost"].as_str().is_some_and(|told| told.contains("NotFound")), "{health}");
    let (status, problem) = server.call("POST", "/v1/tasks", Some(&json!({ "task": "x", "backend": "lost", "queue": "nothing" }))).await;
    assert!(status == 503 && problem.contains("misconfigured"), "{status} {problem}");
    let large = json!({ "task": "x", "backend": "news", "queue": name, "kwargs": { "x": "x".repeat(300_000) } });
    let (status, problem) = server.call("POST", "/v1/tasks", Some(&large)).await;
    assert!(status == 413 && problem.contains("262144"), "{status} {problem}");
}

#[tokio::test]
async fn a_task_is_run_before_its_call_is_answered_where_it_says_so() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[("ERRAND_TRANSPORTS", r#"{"now":{"backend":"inline"}}"#)]);
    let post = async |task: Value| {
        let (status, answer) = server.call("POST", "/v1/tasks", Some(&task)).await;
        (status, serde_json::from_str::<Value>(&answer).unwrap())
    };
    let mail = json!({ "to": ["a@example.com"], "subject": "s", "body": "b" });
    let task = json!({ "task": "email", "id": "mail", "kwargs": mail, "backend": "now" });
    let (status, done) = post(task.clone()).await;
    assert_eq!((status, &done["status"], &done["attempts"]), (200, &json!("SUCCESSFUL"), &json!(1)), "{done}");
    assert!(done["return_value"].is_object() && done["finished_at"].is_string() && done["backend"] == "now");
    let (status, again) = post(task).await;
    assert_eq!(
        (status, &again["idempotent_replayed"], &again["finished_at"]),
        (202, &json!(true), &done["finished_at"]),
        "it is done once"
    );
    let (_, unnamed) = post(json!({ "task": "console", "kwargs": {}, "backend": "now" })).await;
    assert_eq!(server.wait_for(unnamed["id"].as_str().unwrap(), "SUCCESSFUL").await["return_value"], unnamed["return_value"]);

    // One attempt, however it ends; what was given up is nobody's any more.
    for (task, kwargs, error) in [
        ("email", json!({}), "errand.invalid_payload"),
        ("slack", json!({ "channel": "c", "text": "t" }), "errand.misconfigured"),
        ("no.such.task", json!({}), "errand.unknown_provider"),
    ] {
        let (status, failed) = post(json!({ "task": task, "kwargs": kwargs, "backend": "now" })).await;
        assert_eq!((status, &failed["status"], &failed["attempts"]), (200, &json!("FAILED"), &json!(1)), "{failed}");
        assert_eq!(failed["errors"][0]["exception_class_path"], error);
    }
    let (_, letters) = server.call("GET", "/v1/dead-letters", None).await;
    assert_eq!(serde_json::from_str::<Value>(&letters).unwrap()["dead_letters"], json!([]), "the call has told it");

    let (status, problem) = post(json!({ "task": "email", "kwargs": mail, "backend": "now", "countdown": 5 })).await;
    assert_eq!((status, problem["detail"].as_str()), (422, Some("now: a task that is run before its call is answered cannot be delayed")));
    let batch =
        json!({ "tasks": [{ "task": "email", "kwargs": mail, "backend": "now" }, { "task": "email", "kwargs": {}, "backend": "now" }] });
    let (status, answer) = server.call("POST", "/v1/tasks/batch", Some(&batch)).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["tasks"][0]["status"], &answer["tasks"][1]["status"]), (202, &json!("SUCCESSFUL"), &json!("FAILED")));
}
