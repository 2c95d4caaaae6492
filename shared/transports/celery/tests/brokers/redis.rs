//! Redis as it is: where messages are put, and that what was taken stays.

use std::{path::Path, process::Command, time::Duration};

use errand_core::{PublishError, Transport, WorkerResult};
use errand_redis::redis::{Client, Commands, Connection};
use serde_json::{Value, json};

use crate::world::{Server, are_all_there, celery, to};

/// Each write is on its disk before it is answered.
fn redis(folder: &Path, port: u16) -> Command {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
    command.current_dir(folder);
    command
}

async fn server() -> Server {
    Server::start(redis, |address| format!("redis://{address}/0")).await
}

fn connection(server: &Server) -> Connection {
    Client::open(server.url()).unwrap().get_connection().unwrap()
}

fn ids(connection: &mut Connection, list: &str) -> Vec<String> {
    let messages: Vec<String> = connection.lrange(list, 0, -1).unwrap();
    messages.iter().map(|text| serde_json::from_str::<Value>(text).unwrap()["headers"]["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
#[ignore = "needs the command of Redis"]
async fn messages_are_where_kombu_looks_for_them() {
    let server = server().await;
    let mut redis = connection(&server);
    for (priority, step) in [(0, None), (2, None), (3, Some("3")), (5, Some("3")), (6, Some("6")), (9, Some("9"))] {
        let queue = format!("mail.high-{priority}");
        let celery = celery(
            &json!({ "broker_url": server.url(), "priority": priority, "broker_transport_options": { "global_keyprefix": "shop:" } }),
        );
        assert!(celery.publish(&[to(&queue, "a"), to(&queue, "b")]).await.iter().all(Result::is_ok));
        let list = step.map_or(format!("shop:{queue}"), |step| format!("shop:{queue}\u{6}\u{16}{step}"));
        assert_eq!(ids(&mut redis, &list), ["b", "a"], "a worker takes from the other end");
    }
}

#[tokio::test]
#[ignore = "needs the command of Redis"]
async fn a_result_that_is_none_of_json_is_told() {
    let server = server().await;
    let options = json!({ "broker_url": server.url(), "result_backend": server.url(), "result_timeout": 60, "result_backend_transport_options": { "global_keyprefix": "shop:" } });
    let celery = celery(&options);
    assert_eq!((celery.reads_results(), celery.result("a", None).await), (Some(Duration::from_secs(60)), Ok(WorkerResult::Pending)));
    let put = |value: &[u8]| connection(&server).set::<_, _, ()>("shop:celery-task-meta-a", value).unwrap();
    put(b"\x80\x04\x95pickle");
    assert!(
        matches!(celery.result("a", None).await, Err(PublishError::Misconfigured(why)) if why.contains("result_serializer must be json"))
    );
    put(br#"{"status":"SUCCESS","result":7}"#);
    assert_eq!(celery.result("a", None).await, Ok(WorkerResult::Succeeded(json!(7).into())));
}

#[tokio::test]
#[ignore = "needs the command of Redis"]
async fn what_was_taken_is_there_after_the_broker_was_killed() {
    let mut server = server().await;
    let taken = server.is_killed_in_the_middle().await;
    are_all_there(&taken, &ids(&mut connection(&server), "celery"));
}
