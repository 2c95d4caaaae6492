//! The handler over a store in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use errand_api::Access;
use errand_core::{Envelope, Environment, Status, Store, Timestamp};
use errand_status::Tasks;
use errand_store_memory::MemoryStore;
use errand_testkit::transport::envelope;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

async fn world(ids: &[&str]) -> Tasks {
    let store = MemoryStore::default();
    for id in ids {
        let task = Envelope { task: id.split('-').next().unwrap_or_default().to_owned(), ..envelope(id) };
        store.register(&task, Status::Ready, "sqs", Timestamp::now()).await.unwrap();
    }
    Tasks { access: Access::from_env(&Environment::default()).unwrap().open_without_keys(), store: Arc::new(store) }
}

async fn call(tasks: &Tasks, method: &str, path: &str) -> (u16, Value) {
    let response = tasks.handle(&http::Request::builder().method(method).uri(path).body(bytes::Bytes::new()).unwrap()).await;
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

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
        "enqueued_at",
        "errors",
        "finished_at",
        "id",
        "kwargs",
        "last_attempted_at",
        "return_value",
        "run_after",
        "started_at",
        "status",
        "task",
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
async fn a_list_goes_on_where_it_ended() {
    let ids: Vec<String> = (0..5).map(|i| format!("a-{i}")).chain(["b-1".to_owned()]).collect();
    let tasks = world(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (mut seen, mut path) = (Vec::new(), "/v1/tasks?task=a&limit=2&status=READY".to_owned());
    loop {
        let (status, page) = call(&tasks, "GET", &path).await;
        assert_eq!(status, 200);
        seen.extend(page["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/v1/tasks?task=a&limit=2&status=READY&cursor={}", errand_api::encode_segment(cursor));
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
    assert_eq!(call(&tasks, "PATCH", "/v1/tasks/x").await.0, 405);
}

#[tokio::test]
async fn the_sample_events_are_answered() {
    let tasks = Arc::new(world(&["order-1"]).await);
    for sample in [
        include_str!("../../../events/status-get.json"),
        include_str!("../../../events/status-list.json"),
        include_str!("../../../events/status-cancel.json"),
    ] {
        let event = LambdaEvent::new(serde_json::from_str(sample).unwrap(), Context::default());
        let answer = Arc::clone(&tasks).invoke(event).await;
        assert!(answer.status_code == 200 && format!("{:?}", answer.body).contains("order-1"), "{answer:?}");
    }
}
