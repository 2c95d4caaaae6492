//! A call's task is done by a real worker of Celery, and what it made of it is told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod server;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use errand_core::Timestamp;
use serde_json::{Value, json};
use server::Server;

fn fact(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/run"))
}

fn python() -> PathBuf {
    Path::new(&fact("TEST_WORKERS")).join("worker-celery/bin/python")
}

/// A worker that ends with its test.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("it is ours to end");
    }
}

/// What `AsyncResult.get()` gives a client of Celery.
fn got(results: &str, id: &str) -> Value {
    let script = "import json, sys; from celery import Celery; print(json.dumps(Celery(backend=sys.argv[1]).AsyncResult(sys.argv[2]).get(timeout=30)))";
    let told = Command::new(python()).args(["-c", script, results, id]).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    serde_json::from_slice(&told.stdout).unwrap()
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS, and Celery at TEST_WORKERS"]
async fn a_worker_of_celery_does_what_is_called_for() {
    let data = tempfile::tempdir().unwrap();
    let queue = format!("shop-{}", Timestamp::now().millis());
    let [broker, results] = ["5", "6"].map(|database| format!("{}{database}", fact("TEST_REDIS").trim_end_matches('0')));
    let transports =
        json!({ "workers": { "backend": "celery", "queues": [queue], "options": { "broker_url": broker, "result_backend": results } } });
    let routes = r#"{"shop.*":{"transport":"workers"}}"#;
    let server = Server::start_with(data.path(), &[("ERRAND_TRANSPORTS", &transports.to_string()), ("ERRAND_ROUTES", routes)]);
    let id = |name: &str| format!("{queue}-{name}");
    let context = json!({ "workers": { "headers": { "tenant": "acme" }, "priority": 3 } });
    server.send(json!({ "task": "shop.echo", "id": id("now"), "args": [7], "kwargs": { "k": "Grüße" }, "context": context })).await;
    server.send(json!({ "task": "shop.echo", "id": id("later"), "args": [1], "countdown": 1 })).await;
    server.send(json!({ "task": "shop.ship", "id": id("fails"), "args": [7], "countdown": 1 })).await;
    let handed_on = server.wait_for(&id("later"), "RUNNING").await;
    let (status, problem) = server.call("DELETE", &format!("/v1/tasks/{}", id("later")), None).await;
    assert!(status == 409, "{problem}: {handed_on}");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/workers/celery_worker.py");
    let mut worker = Command::new(python());
    worker.arg(script).arg(&queue).envs([("WORKER_BROKER", &broker), ("WORKER_RESULTS", &results)]).env("PYTHONDONTWRITEBYTECODE", "1");
    let worker = Worker(worker.stdout(Stdio::null()).spawn().unwrap());
    let now = got(&results, &id("now"));
    assert_eq!((&now["id"], &now["args"], &now["kwargs"]), (&json!(id("now")), &json!([7]), &json!({ "k": "Grüße" })));
    assert_eq!((&now["tenant"], &now["priority"], &now["routing_key"]), (&json!("acme"), &json!(3), &json!(queue)));
    let later = server.wait_for(&id("later"), "SUCCESSFUL").await;
    assert_eq!((&later["return_value"]["id"], &later["return_value"]["args"]), (&json!(id("later")), &json!([1])));
    let failed = server.wait_for(&id("fails"), "FAILED").await;
    let error = failed["errors"].as_array().unwrap().last().unwrap();
    assert_eq!(error["exception_class_path"], "builtins.LookupError", "{failed}");
    assert!(error["traceback"].as_str().unwrap().contains("no order 7"), "{failed}");
    drop(worker);
}
