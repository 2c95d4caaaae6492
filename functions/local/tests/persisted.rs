//! What a version has left on disk is read by every later one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use rusqlite::Connection;
use serde_json::{Value, json};
use server::Server;

/// Databases as versions have left them. None is ever changed: a version that keeps something otherwise adds its own.
const LEFT: [&str; 1] = [include_str!("persisted/0.1.0.sql")];

/// Of the call that the database remembers.
const ONCE: [(&str, &str); 2] = [("content-type", "application/json"), ("idempotency-key", "k-1")];

#[tokio::test]
async fn the_database_of_every_version_is_read_and_gone_on_with() {
    for sql in LEFT {
        let data = tempfile::tempdir().unwrap();
        let database = Connection::open(data.path().join("errand.sqlite3")).unwrap();
        database.execute_batch(sql).unwrap();
        // Whenever this runs, it is as it was: what has ended is not old, and what is tried again is not due.
        database
            .execute_batch(
                "UPDATE tasks SET changed_at = unixepoch() * 1000; UPDATE messages SET visible_at = max(visible_at, 3786912000000)",
            )
            .unwrap();
        drop(database);
        let server = Server::start_with(data.path(), &[("ERRAND_QUEUES", r#"{"slow":{"concurrency":1},"orders.fifo":{}}"#)]);
        tells_what_it_held(&server).await;
        goes_on(&server).await;
    }
}

async fn tells_what_it_held(server: &Server) {
    for (id, status) in [
        ("done-1", "SUCCESSFUL"),
        ("mail-1", "SUCCESSFUL"),
        ("refused-1", "FAILED"),
        ("later-1", "SCHEDULED"),
        ("slow-1", "SCHEDULED"),
        ("order-1", "SCHEDULED"),
        ("order-2", "READY"),
        ("cancelled-1", "CANCELLED"),
        ("bulk-1", "READY"),
    ] {
        assert_eq!(told(server, &format!("/v1/tasks/{id}")).await["status"], status, "{id}");
    }
    let (_, done) = server.call("GET", "/v1/tasks/done-1", None).await;
    assert!(done.contains(r#""n":12345678901234567890123"#), "{done}");
    let later = told(server, "/v1/tasks/later-1").await;
    assert_eq!(
        ["run_after", "expires", "group", "callback_url"].map(|name| later[name].as_str().unwrap()),
        ["2090-01-01T00:00:00.000Z", "2090-01-02T00:00:00.000Z", "g", "https://example.com/done"]
    );
    let bulk = told(server, "/v1/tasks/bulk-1").await;
    assert!(bulk["attempts"] == 1 && bulk["errors"][0]["traceback"].as_str().unwrap().contains("payloads are not delivered"), "{bulk}");
    for (path, pointer, wanted) in [
        ("/mail.json?to=ann@example.com", "/mails/0/subject", "Hello"),
        ("/v1/dead-letters", "/dead_letters/0/id", "refused-1"),
        ("/v1/schedules/digest", "/cron", "0 9 * * mon-fri"),
        ("/v1/schedules/pulse", "/rate", "5 minutes"),
        ("/v1/templates/shipped", "/channels/email/subject", "Order {{ order.id }}"),
        ("/v1/keys", "/keys/0/name", "shop"),
    ] {
        assert_eq!(told(server, path).await.pointer(pointer).unwrap(), wanted, "{path}");
    }
}

async fn goes_on(server: &Server) {
    let again = server.request("POST", "/v1/tasks", r#"{"task": "console", "id": "once-1"}"#, &ONCE).await;
    assert_eq!((again.status().as_u16(), again.headers()["idempotent-replayed"].as_bytes()), (202, &b"true"[..]));
    let (status, _) = server.call("POST", "/v1/tasks", Some(&json!({ "task": "console", "id": "mail-1" }))).await;
    assert_eq!(status, 409, "an id stays that of its content");
    for id in ["later-1", "slow-1"] {
        let (status, moved) = server.call("PATCH", &format!("/v1/tasks/{id}"), Some(&json!({ "countdown": 0 }))).await;
        assert_eq!(status, 200, "{moved}");
        server.wait_for(id, "SUCCESSFUL").await;
    }
}

async fn told(server: &Server, path: &str) -> Value {
    let (status, answer) = server.call("GET", path, None).await;
    assert_eq!(status, 200, "{path}: {answer}");
    serde_json::from_str(&answer).unwrap()
}
