//! What calls send by Redis and Azure, as real workers and clients of others run and receive it: at once, and when it is due.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod server;

use std::{
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Instant,
};

use serde_json::{Value, json};
use server::{PATIENCE, Server, until};

/// A process that ends with its test, and what it prints.
struct Process(Child, Receiver<String>);

impl Process {
    /// Python, of the environment of this name, in the folder of the workers' code.
    fn python(environment: &str, arguments: &[&str]) -> Self {
        Self::python_with(environment, arguments, &[])
    }

    fn python_with(environment: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/workers");
        let mut command = Command::new(format!("{}/{environment}/bin/python", std::env::var("TEST_WORKERS").unwrap()));
        command.args(arguments).current_dir(folder).env("PYTHONPATH", folder).envs(variables.iter().copied());
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (lines, received) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        Self(child, received)
    }

    fn line(&self) -> String {
        self.1.recv_timeout(PATIENCE).expect("a line in time")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // RQ's scheduler is a process of its own, which ends with its worker when that is asked to.
        Command::new("kill").arg(self.0.id().to_string()).status().ok();
        self.0.wait().ok();
    }
}

fn url() -> String {
    std::env::var("TEST_REDIS").unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn listens(port: u16) {
    until(|| TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
}

/// The id of the task that a message holds.
fn id_of(message: &Value) -> Value {
    serde_json::from_str::<Value>(message["body"].as_str().unwrap()).unwrap()["id"].clone()
}

/// A name that no other test has.
fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

fn start(data: &Path, transports: &Value) -> Server {
    Server::start_with(data, &[("ERRAND_TRANSPORTS", &transports.to_string()), ("ERRAND_TRANSPORT", "theirs")])
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS and the environment worker-rq of TEST_WORKERS"]
async fn a_worker_of_rq_runs_what_a_call_sends() {
    let (data, queue) = (tempfile::tempdir().unwrap(), unique("calls"));
    let worker = ["-m", "rq.cli", "worker", "--url", &url(), "--serializer", "rq.serializers.JSONSerializer", "--with-scheduler", &queue];
    let _worker = Process::python("worker-rq", &worker);
    let options = json!({ "url": url(), "module": "rq_tasks", "result_timeout": 60 });
    let server = start(data.path(), &json!({ "theirs": { "backend": "rq", "queues": [queue], "options": options } }));
    let [now, later, fails] = ["now", "later", "fails"].map(unique);
    let begun = Instant::now();
    server.send(json!({ "task": "note", "id": now, "queue": queue, "args": [1], "kwargs": { "é": 1.50 }, "countdown": 0.1 })).await;
    server.send(json!({ "task": "fail", "id": fails, "queue": queue, "countdown": 0.1 })).await;
    server.send(json!({ "task": "note", "id": later, "queue": queue, "countdown": 1.5 })).await;
    let done = server.wait_for(&now, "SUCCESSFUL").await;
    assert_eq!(done["return_value"], json!({ "args": [1], "kwargs": { "é": 1.5 } }), "{done}");
    let failed = server.wait_for(&fails, "FAILED").await;
    assert_eq!(failed["errors"][0]["exception_class_path"], "ValueError", "{failed}");
    assert_eq!(server.wait_for(&later, "SUCCESSFUL").await["return_value"], json!({ "args": [], "kwargs": {} }));
    assert!(begun.elapsed().as_millis() >= 1500);
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS and the environment worker-celery of TEST_WORKERS"]
async fn a_worker_of_celery_runs_what_a_call_sends() {
    let (data, queue) = (tempfile::tempdir().unwrap(), unique("shop"));
    let options = json!({ "broker_url": url(), "result_backend": url() });
    let server = start(data.path(), &json!({ "theirs": { "backend": "celery", "queues": [queue], "options": options } }));
    let [now, later, fails] = ["now", "later", "fails"].map(|name| unique(&format!("celery-{name}")));
    let context = json!({ "theirs": { "headers": { "tenant": "acme" }, "priority": 3 } });
    server
        .send(json!({ "task": "shop.echo", "id": now, "queue": queue, "args": [7], "kwargs": { "k": "Grüße" }, "context": context }))
        .await;
    server.send(json!({ "task": "shop.echo", "id": later, "queue": queue, "args": [1], "countdown": 1 })).await;
    server.send(json!({ "task": "shop.ship", "id": fails, "queue": queue, "args": [7] })).await;
    server.wait_for(&later, "RUNNING").await;
    let (status, problem) = server.call("DELETE", &format!("/v1/tasks/{later}"), None).await;
    assert_eq!(status, 409, "its workers have it: {problem}");
    let _worker =
        Process::python_with("worker-celery", &["celery_worker.py", &queue], &[("WORKER_BROKER", &url()), ("WORKER_RESULTS", &url())]);
    let done = server.wait_for(&now, "SUCCESSFUL").await["return_value"].clone();
    assert_eq!((&done["id"], &done["args"], &done["kwargs"]), (&json!(now), &json!([7]), &json!({ "k": "Grüße" })));
    assert_eq!((&done["tenant"], &done["priority"], &done["routing_key"]), (&json!("acme"), &json!(3), &json!(queue)));
    let script = "import json, sys; from celery import Celery; print(json.dumps(Celery(backend=sys.argv[1]).AsyncResult(sys.argv[2]).get(timeout=9)))";
    assert_eq!(Process::python("worker-celery", &["-c", script, &url(), &now]).json(), done, "a client of Celery finds it as well");
    assert_eq!(server.wait_for(&later, "SUCCESSFUL").await["return_value"]["args"], json!([1]));
    let failed = server.wait_for(&fails, "FAILED").await;
    let error = failed["errors"].as_array().unwrap().last().unwrap();
    assert_eq!(error["exception_class_path"], "builtins.LookupError", "{failed}");
    assert!(error["traceback"].as_str().unwrap().contains("no order 7"), "{failed}");
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS and the environment worker-channels of TEST_WORKERS"]
async fn consumers_of_channels_receive_what_a_call_sends() {
    let (data, prefix) = (tempfile::tempdir().unwrap(), unique("site"));
    let receivers = Process::python(
        "worker-channels",
        &["channels_receive.py", "core", &url(), "lobby", "common", &json!({ "prefix": prefix }).to_string()],
    );
    receivers.line();
    assert_eq!(receivers.json()["ready"], true);
    let options = json!({ "url": url(), "prefix": prefix, "target": "group" });
    let server = start(data.path(), &json!({ "theirs": { "backend": "channels", "queues": ["lobby"], "options": options } }));
    for (text, countdown) in [("now", 0), ("later", 1)] {
        server.send(json!({ "task": "chat.message", "queue": "lobby", "kwargs": { "text": text }, "countdown": countdown })).await;
        for _ in 0..3 {
            let got = receivers.json();
            assert_eq!(got["message"], json!({ "type": "chat.message", "text": text }));
            assert!(got["to"].as_str().unwrap().starts_with("member "));
        }
    }
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS and the environment worker-streams of TEST_WORKERS"]
async fn readers_of_streams_read_what_a_call_sends() {
    let (data, stream) = (tempfile::tempdir().unwrap(), unique("orders"));
    let reader = Process::python("worker-streams", &["streams_read.py", &url(), &stream, "2"]);
    assert_eq!(reader.line(), "ready");
    let options = json!({ "url": url(), "stream_name": stream });
    let server = start(data.path(), &json!({ "theirs": { "backend": "redis-streams", "options": options } }));
    for (id, countdown) in [("now", 0), ("later", 1)] {
        server.send(json!({ "task": "order.shipped", "id": unique(id), "kwargs": { "order": 7 }, "countdown": countdown })).await;
    }
    for id in ["now", "later", "now", "later"] {
        let read = reader.json();
        assert_eq!((&read["attributes"]["id"], &read["data"]), (&json!(unique(id)), &json!({ "order": 7 })));
    }
    assert_eq!(reader.json()["pending"], 0);
}

#[tokio::test]
#[ignore = "needs the environment worker-azure of TEST_WORKERS"]
async fn the_sdk_of_azure_receives_what_a_call_sends_to_service_bus() {
    let (data, rest, amqp) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let _service_bus = Process::python("worker-azure", &["azure_servicebus.py", &rest.to_string(), &amqp.to_string()]);
    listens(rest).await;
    listens(amqp).await;
    let key = "SharedAccessKeyName=send;SharedAccessKey=c2VuZA==";
    let options = json!({ "connection_string": format!("Endpoint=http://127.0.0.1:{rest};{key}") });
    let server = start(
        data.path(),
        &json!({
            "theirs": { "backend": "servicebus-queue", "queues": ["tasks"], "options": options },
            "events": { "backend": "servicebus-topic", "queues": ["events"], "options": options },
        }),
    );
    let begun = Instant::now();
    server.send(json!({ "task": "note", "id": "late", "queue": "tasks", "countdown": 1.5 })).await;
    server.send(json!({ "task": "note", "id": "now", "queue": "tasks", "group": "g" })).await;
    server.send(json!({ "task": "note", "id": "event", "backend": "events", "queue": "events" })).await;
    let connection_string = format!("Endpoint=sb://127.0.0.1:{amqp};{key};UseDevelopmentEmulator=true");
    let receive =
        |place: &[&str]| Process::python("worker-azure", &[&["azure_receive.py", "servicebus", &connection_string], place].concat());
    let queue = receive(&["queue", "tasks", "2"]);
    let now = queue.json();
    assert_eq!((id_of(&now), &now["id"], &now["session"]), (json!("now"), &json!("now"), &json!("g")));
    assert_eq!(queue.json()["id"], "late");
    assert!(begun.elapsed().as_millis() >= 1500);
    for subscription in ["audit", "mail"] {
        assert_eq!(receive(&["topic", "events", subscription, "1"]).json()["id"], "event");
    }
    let (status, health) = server.call("GET", "/v1/health", None).await;
    assert!(status == 200 && health.contains("\"theirs\":\"ok\""), "{health}");
}

#[tokio::test]
#[ignore = "needs Azurite in TEST_NODE and the environment worker-azure of TEST_WORKERS"]
async fn the_sdk_of_azure_receives_what_a_call_sends_to_storage() {
    let (data, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut azurite = Command::new(Path::new(&std::env::var("TEST_NODE").unwrap()).join("node_modules/.bin/azurite-queue"));
    azurite.args(["--queueHost", "127.0.0.1", "--queuePort", &port.to_string(), "--silent", "--disableTelemetry", "--skipApiVersionCheck"]);
    azurite.arg("--location").arg(data.path());
    let _azurite = Process::start(azurite);
    listens(port).await;
    // The account that Azurite has, with the key that all know.
    const ACCOUNT: &str =
        "AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    let connection_string = format!("{ACCOUNT};QueueEndpoint=http://127.0.0.1:{port}/devstoreaccount1");
    let options = json!({ "connection_string": connection_string });
    let server = start(data.path(), &json!({ "theirs": { "backend": "storage-queue", "queues": ["jobs"], "options": options } }));
    let (status, problem) = server.call("POST", "/v1/tasks", Some(&json!({ "task": "note", "queue": "jobs" }))).await;
    assert!(status == 503 && problem.contains("the transport theirs is misconfigured"), "{status} {problem}");
    assert!(Process::python("worker-azure", &["azure_receive.py", "storage-make", &connection_string, "jobs"]).0.wait().unwrap().success());
    let begun = Instant::now();
    server.send(json!({ "task": "note", "id": "late", "queue": "jobs", "countdown": 1.5 })).await;
    server.send(json!({ "task": "note", "id": "now", "queue": "jobs" })).await;
    let reader = Process::python("worker-azure", &["azure_receive.py", "storage", &connection_string, "jobs", "2"]);
    assert_eq!((id_of(&reader.json()), id_of(&reader.json())), (json!("now"), json!("late")));
    assert!(begun.elapsed().as_millis() >= 1500);
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_told_by_health_and_by_calls() {
    let data = tempfile::tempdir().unwrap();
    let nowhere = json!({ "host": "127.0.0.1", "port": 1 });
    let server = start(data.path(), &json!({ "theirs": { "backend": "redis-streams", "options": nowhere } }));
    let (status, health) = server.call("GET", "/v1/health", None).await;
    let health: Value = serde_json::from_str(&health).unwrap();
    assert!(status == 503 && health["checks"]["theirs"] != "ok" && health["checks"]["local"] == "ok", "{health}");
    let (status, problem) = server.call("POST", "/v1/tasks", Some(&json!({ "task": "order.shipped" }))).await;
    assert!(status == 503 && problem.contains("nothing was queued"), "{status} {problem}");
}
