//! Delays, dead letters and large arguments on one machine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod server;

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use errand_core::Timestamp;
use errand_testkit::{Answer, Stub};
use serde_json::{Value, json};
use server::{PATIENCE, Server, delayed, mail, until};

/// A receiver that answers as it is told.
async fn receiver(status: &Arc<AtomicU16>) -> Stub {
    let status = Arc::clone(status);
    Stub::start(move |_| Answer::json(status.load(Ordering::SeqCst), "")).await
}

fn webhook(id: &str, stub: &Stub) -> Value {
    json!({ "id": id, "task": "webhook", "kwargs": { "url": stub.url(), "body": { "id": id } } })
}

fn time(task: &Value, name: &str) -> Timestamp {
    task[name].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_waits_is_moved_to_an_earlier_and_to_a_later_time() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let earlier = server.send(delayed(mail("earlier"), 3600.0)).await;
    let later = server.send(delayed(mail("later"), 0.8)).await;
    let moved = server.call("PATCH", &format!("/v1/tasks/{earlier}"), Some(&json!({ "countdown": 0.5 }))).await;
    assert_eq!(moved.0, 200, "{}", moved.1);
    assert_eq!(server.call("PATCH", &format!("/v1/tasks/{later}"), Some(&json!({ "countdown": 2 }))).await.0, 200);
    for id in [&earlier, &later] {
        let task = server.wait_for(id, "SUCCESSFUL").await;
        let late = time(&task, "started_at").since(time(&task, "run_after"));
        assert!(time(&task, "started_at") >= time(&task, "run_after") && late < Duration::from_secs(10), "{task}");
        assert_eq!(task["attempts"], 1);
    }
    let (_, page) = server.call("GET", "/mail", None).await;
    assert!(page.matches("earlier").count() == 1 && page.matches("later").count() == 1, "each is delivered once");
    assert_eq!(server.call("PATCH", &format!("/v1/tasks/{earlier}"), Some(&json!({ "countdown": 1 }))).await.0, 409);
}

/// Runs `errand dead-letters …` against the server.
fn dead_letters(server: &Server, arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_errand"));
    let output = command.arg("dead-letters").args(arguments).args(["--url", &server.url]).env_clear().output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_shown_mended_replayed_once_and_dropped() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let status = Arc::new(AtomicU16::new(410));
    let stub = receiver(&status).await;
    for id in ["a", "b", "c"] {
        server.send(webhook(id, &stub)).await;
        server.wait_for(id, "FAILED").await;
    }
    let (ok, list, _) = dead_letters(&server, &["list", "--kind", "recipient_gone"]);
    assert!(ok && list.lines().count() == 3 && list.contains("answered HTTP 410") && !list.contains("kwargs"), "{list}");
    assert!(dead_letters(&server, &["show", "b"]).1.contains("kwargs"));
    let (ok, _, complaint) = dead_letters(&server, &["replay"]);
    assert!(!ok && complaint.contains("/all"), "{complaint}");
    status.store(200, Ordering::SeqCst);
    let (ok, replayed, progress) = dead_letters(&server, &["replay", "--id", "a", "--edit", r#"{"kwargs":{"body":{"mended":true}}}"#]);
    assert!(ok && replayed.contains(r#""id":"a""#) && progress.contains("replayed 1"), "{replayed} {progress}");
    let task = server.wait_for("a", "SUCCESSFUL").await;
    assert_eq!(task["attempts"], 2, "the attempts before are still told");
    let mended = stub.requests().iter().filter(|request| request.body.as_ref() == br#"{"id":"a","mended":true}"#).count();
    assert_eq!(mended, 1);
    assert!(dead_letters(&server, &["drop", "--id", "b"]).0);
    assert!(dead_letters(&server, &["replay", "--all"]).0);
    server.wait_for("c", "SUCCESSFUL").await;
    let (ok, list, _) = dead_letters(&server, &["list"]);
    assert!(ok && list.is_empty(), "{list}");
    let (ok, _, complaint) = dead_letters(&server, &["show", "a"]);
    assert!(!ok && complaint.contains("no dead letter"), "{complaint}");
}

#[tokio::test]
async fn arguments_that_no_queue_can_carry_arrive_whole_and_leave_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let stub = receiver(&Arc::new(AtomicU16::new(200))).await;
    let text = "x".repeat(3 * 1024 * 1024);
    let id = server.send(json!({ "task": "webhook", "kwargs": { "url": stub.url(), "body": { "text": text } } })).await;
    let task = server.wait_for(&id, "SUCCESSFUL").await;
    assert_eq!(task["kwargs"], Value::Null);
    assert!(stub.requests()[0].body.as_ref() == format!(r#"{{"text":"{text}"}}"#).as_bytes());
    // Removed after success.
    until(|| std::fs::read_dir(data.path().join("objects/soon")).unwrap().count() == 0).await;
    let key = json!({ "task": "console", "claim_check": "soon/other" });
    assert_eq!(server.call("POST", "/v1/tasks", Some(&key)).await.0, 422, "a caller cannot name another's arguments");
}

#[tokio::test]
async fn this_machine_is_called_and_no_other_without_leave() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let stub = receiver(&Arc::new(AtomicU16::new(200))).await;
    let mut task = webhook("here", &stub);
    task["callback_url"] = json!(stub.url());
    server.send(task).await;
    server.wait_for("here", "SUCCESSFUL").await;
    until(|| stub.requests().iter().any(|request| String::from_utf8_lossy(&request.body).contains("SUCCESSFUL"))).await;
    for host in ["169.254.169.254", "10.0.0.1"] {
        let id = server.send(json!({ "task": "webhook", "kwargs": { "url": format!("http://{host}/") } })).await;
        let failed = server.wait_for(&id, "FAILED").await.to_string();
        assert!(failed.contains("ERRAND_WEBHOOK_ALLOW does not name it"), "{failed}");
    }
}

#[tokio::test]
async fn a_disk_on_which_nothing_can_be_written_is_told() {
    let data = tempfile::tempdir().unwrap();
    // No file may grow past 2,048 blocks, of 512 or 1,024 bytes by the shell. The signal for that is ignored, and writing fails as on a full disk.
    let server = Server::start_limited("trap '' XFSZ; ulimit -f 2048", data.path(), &[], &[]);
    assert_eq!(server.call("GET", "/v1/health", None).await.0, 200);
    let started = Instant::now();
    // To the last page: where a large one does not fit, what health writes may.
    for size in [100_000, 1_000, 1] {
        let late = delayed(json!({ "task": "console", "kwargs": { "text": "x".repeat(size) } }), 3600.0);
        while server.call("POST", "/v1/tasks", Some(&late)).await.0 == 202 {
            assert!(started.elapsed() < PATIENCE, "it is never full");
        }
    }
    loop {
        let (status, health) = server.call("GET", "/v1/health", None).await;
        if status == 503 {
            break assert!(health.contains(r#""store":"SQLite: "#), "{health}");
        }
        assert!(started.elapsed() < PATIENCE, "{health}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn schedules_are_made_and_kept() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let daily = json!({ "name": "daily", "cron": "0 9 * * mon-fri", "timezone": "Europe/Berlin", "task": "console" });
    assert_eq!(server.call("POST", "/v1/schedules", Some(&daily)).await.0, 201);
    let mut mars = daily.clone();
    mars["name"] = json!("mars");
    mars["timezone"] = json!("Mars/Olympus");
    assert_eq!(server.call("POST", "/v1/schedules", Some(&mars)).await.0, 422);
    drop(server);
    let server = Server::start(data.path());
    let (status, told) = server.call("GET", "/v1/schedules/daily", None).await;
    assert!(status == 200 && told.contains("Europe/Berlin"), "{told}");
    let (status, told) = server.call("PATCH", "/v1/schedules/daily", Some(&json!({ "cron": "0 9 ? * fri#2", "paused": true }))).await;
    assert!(status == 200 && told.contains("fri#2") && told.contains(r#""next_run":null"#), "{told}");
    let (status, task) = server.call("POST", "/v1/schedules/daily/run", None).await;
    let task: Value = serde_json::from_str(&task).unwrap();
    assert_eq!((status, &task["task"]), (202, &json!("console")));
    server.wait_for(task["id"].as_str().unwrap(), "SUCCESSFUL").await;
    assert_eq!(server.call("DELETE", "/v1/schedules/daily", None).await.0, 200);
}

#[tokio::test]
async fn a_route_to_the_mail_service_is_caught_as_well() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[("ERRAND_ROUTES", r#"{"notify.*":"ses"}"#)]);
    let mut task = mail("routed");
    task["task"] = json!("notify.mail");
    let id = server.send(task).await;
    server.wait_for(&id, "SUCCESSFUL").await;
    assert!(server.call("GET", "/mail", None).await.1.contains("routed"));
    let (status, problem) = server.call("POST", "/v1/tasks", Some(&json!({ "task": "notify.mail", "kwargs": {} }))).await;
    assert!(status == 422 && problem.contains("/kwargs/to"), "the payload is the provider's: {problem}");
}

#[tokio::test]
async fn several_queues_are_worked_on_each_at_its_pace_and_one_keeps_order() {
    let data = tempfile::tempdir().unwrap();
    let receiver = Stub::start(|_| Answer::json(200, "")).await;
    let queues = r#"{"slow":{"concurrency":1,"batch_size":1},"orders.fifo":{}}"#;
    let server = Server::start_with(data.path(), &[("ERRAND_QUEUES", queues), ("ERRAND_WEBHOOK_ALLOW", "127.0.0.0/8")]);
    let task =
        |queue: &str, id: &str| json!({ "id": id, "task": "webhook", "queue": queue, "group": "g", "kwargs": { "url": receiver.url() } });
    let names: Vec<String> = (0..12).map(|i| format!("t-{i:02}")).collect();
    let ordered: Vec<Value> = names.iter().map(|name| task("orders.fifo", name)).collect();
    assert_eq!(server.call("POST", "/v1/tasks/batch", Some(&json!({ "tasks": ordered }))).await.0, 202);
    server.send(task("slow", "s")).await;
    server.wait_for("s", "SUCCESSFUL").await;
    server.wait_for("t-11", "SUCCESSFUL").await;
    let seen: Vec<String> = receiver.requests().iter().map(|request| request.headers["webhook-id"].to_str().unwrap().to_owned()).collect();
    assert_eq!(seen.iter().filter(|id| *id != "s").cloned().collect::<Vec<_>>(), names);
    let (_, listed) = server.call("GET", "/v1/tasks?queue=slow", None).await;
    assert!(listed.contains(r#""id":"s""#) && !listed.contains("t-11"), "{listed}");
    let (status, refused) = server.call("POST", "/v1/tasks", Some(&task("fast", "f"))).await;
    assert_eq!(status, 422);
    assert!(refused.contains("/queue") && refused.contains("known are: default, orders.fifo, slow"), "{refused}");
    let schedule = json!({ "name": "n", "rate": "1 minute", "task": "console", "queue": "fast", "kwargs": { "text": "t" } });
    assert_eq!(server.call("POST", "/v1/schedules", Some(&schedule)).await.0, 422);
}

#[tokio::test]
async fn dead_letters_go_back_to_the_queue_that_they_came_from() {
    let data = tempfile::tempdir().unwrap();
    let receiver = Stub::start(|request| Answer::json(if request.uri.path() == "/good" { 200 } else { 400 }, "")).await;
    let server = Server::start_with(data.path(), &[("ERRAND_QUEUES", r#"{"slow":{}}"#), ("ERRAND_WEBHOOK_ALLOW", "127.0.0.0/8")]);
    let id = server.send(json!({ "task": "webhook", "queue": "slow", "kwargs": { "url": format!("{}/bad", receiver.url()) } })).await;
    server.wait_for(&id, "FAILED").await;
    let (_, told) = server.call("GET", "/v1/dead-letters?queue=slow", None).await;
    assert!(told.contains(&id) && told.contains(r#""queue":"slow""#), "{told}");
    let (_, none) = server.call("GET", "/v1/dead-letters?queue=default", None).await;
    assert!(none.contains(r#""dead_letters":[]"#), "{none}");
    let edit = json!({ "kwargs": { "url": format!("{}/good", receiver.url()) } });
    let (status, told) = server.call("POST", "/v1/dead-letters/replay", Some(&json!({ "queue": "slow", "edit": edit }))).await;
    assert!(status == 200 && told.contains(&id), "{told}");
    server.wait_for(&id, "SUCCESSFUL").await;
    let (_, listed) = server.call("GET", "/v1/tasks?queue=slow", None).await;
    assert!(listed.contains(&id), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_moved_given_up_and_mended_arrives_as_it_was_written() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let status = Arc::new(AtomicU16::new(410));
    let stub = receiver(&status).await;
    let body = r#"{"z":12345678901234567890123,"a":[100.10, 1E+2 ,20e1,-0.0],"t":"\u00e9\/"}"#;
    let kwargs = format!(r#"{{"url":"{}","body":{body}}}"#, stub.url());
    let mut send = Command::new(env!("CARGO_BIN_EXE_errand"));
    let sent =
        send.args(["send", "webhook", &kwargs, "--id", "n", "--countdown", "1000", "--url", &server.url]).env_clear().output().unwrap();
    assert!(sent.status.success(), "{sent:?}");
    assert_eq!(server.call("PATCH", "/v1/tasks/n", Some(&json!({ "countdown": 0 }))).await.0, 200);
    let task = server.wait_for("n", "FAILED").await;
    assert_eq!((&task["queue"], &task["next_attempt_at"], task.get("replaced")), (&json!("default"), &Value::Null, None));
    status.store(200, Ordering::SeqCst);
    let edit = r#"{"kwargs":{"headers":{"x-by":"me"}}}"#;
    let (ok, _, told) = dead_letters(&server, &["replay", "--id", "n", "--edit", edit]);
    assert!(ok, "{told}");
    let task = server.wait_for("n", "SUCCESSFUL").await;
    assert_eq!((&task["kwargs"]["headers"]["x-by"], &task["replaced"][0]["kwargs"]["headers"]), (&json!("me"), &Value::Null));
    let received: Vec<_> = stub.requests().iter().map(|request| String::from_utf8(request.body.to_vec()).unwrap()).collect();
    assert_eq!(received, [body, body]);
}
