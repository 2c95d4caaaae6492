//! Transports by name on one machine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod server;

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
