//! Entries as they are written, and as redis-py reads them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use errand_core::{Envelope, Fields, OptionError, PublishError, Timestamp, Transport};
use errand_redis::redis;
use errand_testkit::{
    Peer, RedisServer, Stopped,
    transport::{conformance, failures},
};
use errand_transport_redis_streams::RedisStreams;
use serde_json::{Value, json};

fn at_time(options: &Value, now: Timestamp) -> Result<RedisStreams, OptionError> {
    RedisStreams::new("events", Fields::value(&options.to_string())?, &Stopped(now).init())
}

fn streams(options: &Value) -> Result<RedisStreams, OptionError> {
    at_time(options, Timestamp::now())
}

fn at(peer: &Peer) -> RedisStreams {
    streams(&json!({ "url": format!("redis://{}", peer.address()), "socket_timeout": 0.3 })).unwrap()
}

fn order(id: &str, stream: Option<&str>) -> Envelope {
    let kwargs = Fields::value(r#"{"n":1.10,"name":"Zoë","big":1e400}"#).ok();
    Envelope { destination: stream.map(str::to_owned), kwargs, ..Envelope::new(id.to_owned(), "order.shipped".to_owned()) }
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_transport() {
    let answers = |_, command: &[String]| Some(if command[0] == "PING" { "+PONG" } else { "+1-0" }.to_owned());
    conformance(&at(&Peer::redis(answers)), None).await;
    let failing = at(&Peer::redis(|_, _| Some("-LOADING Redis is loading the dataset in memory".to_owned())));
    let nobody = streams(&json!({ "host": "127.0.0.1", "port": 1 })).unwrap();
    failures(&failing, &nobody, &at(&Peer::redis(|_, _| None))).await;
}

#[test]
fn options_are_refused_with_their_place() {
    let told = |options: Value| streams(&options).err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(
        told(
            json!({ "host": "h", "port": 6379, "db": 0, "password": "p", "stream_name": "s", "max_len": 5, "connect_timeout": 5, "socket_timeout": 5 })
        ),
        ""
    );
    assert_eq!(told(json!({ "host": "h", "stream_name": "" })), "/stream_name: expected a text that is not empty");
    assert_eq!(told(json!({ "host": "h", "max_len": -1 })), "/max_len: expected a whole number that is not negative");
    assert!(told(json!({ "host": "h", "format": "celery" })).starts_with("/format: expected one of native, cloudevents"));
    if cfg!(feature = "cluster") {
        assert_eq!(told(json!({ "host": "h", "cluster": true, "db": 1 })), "/db: expected none: a cluster has one database");
    } else {
        let cluster = told(json!({ "host": "h", "cluster": true }));
        assert_eq!(cluster, "/cluster: this build speaks to no cluster: it needs the feature transport-redis-cluster");
    }
    assert!(told(json!({ "host": "h", "maxlen": 1 })).starts_with("/maxlen: expected "));
}

#[tokio::test]
async fn an_entry_has_the_fields_that_django_dispatch_writes() {
    let heard: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let peer = Peer::redis({
        let heard = Arc::clone(&heard);
        move |_, command| {
            heard.lock().unwrap().push(command.to_vec());
            Some("+1795209274960-0".to_owned())
        }
    });
    let now: Timestamp = "2026-11-20T21:14:34.949Z".parse().unwrap();
    let options = json!({ "url": format!("redis://{}", peer.address()), "format": { "cloudevents": { "source": "user-service" } } });
    let streams = at_time(&options, now).unwrap();
    let trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let whole = Envelope { group: Some("42".to_owned()), expires: Some(now), trace, kwargs: None, ..order("a", Some("audit")) };
    let sent = streams.publish(&[order("a", None), whole]).await;
    assert_eq!(sent[0].as_ref().unwrap().message_id.as_deref(), Some("1795209274960-0"));
    let heard = heard.lock().unwrap();
    let event = r#"{"specversion":"1.0","type":"order.shipped","source":"user-service","id":"a","time":"2026-11-20T21:14:34.949+00:00","datacontenttype":"application/json","data":{"n":1.10,"name":"Zoë","big":1e400}}"#;
    let entry = "XADD events MAXLEN ~ 10000 * event_id a event_type order.shipped source user-service timestamp 2026-11-20T21:14:34.949+00:00 cloud_event";
    assert_eq!(heard[0].join(" "), format!("{entry} {event}"));
    assert_eq!(heard[1][1], "audit");
    let whole: Value = serde_json::from_str(heard[1].last().unwrap()).unwrap();
    assert_eq!((&whole["partitionkey"], &whole["expirytime"]), (&json!("42"), &json!("2026-11-20T21:14:34.949Z")));
    assert!(whole["traceparent"].as_str().unwrap().starts_with("00-0af7"));
}

#[tokio::test]
async fn other_forms_stand_in_a_field_of_their_own() {
    for (format, body) in [
        ("native", r#"{"task":"order.shipped","id":"a","kwargs":{"n":1.10,"name":"Zoë","big":1e400},"queue":"audit"}"#),
        ("django-tasks", r#"{"task":"order.shipped","args":[],"kwargs":{"n":1.10,"name":"Zoë","big":1e400}}"#),
    ] {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let peer = Peer::redis({
            let heard = Arc::clone(&heard);
            move |_, command| {
                *heard.lock().unwrap() = command.to_vec();
                Some("+1-0".to_owned())
            }
        });
        let streams = streams(&json!({ "url": format!("redis://{}", peer.address()), "format": format })).unwrap();
        assert!(streams.publish(&[order("a", Some("audit"))]).await[0].is_ok());
        let heard = heard.lock().unwrap();
        assert_eq!(heard[heard.len() - 2..], ["body", body]);
    }
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS and the environment worker-streams of TEST_WORKERS"]
async fn redis_py_reads_what_was_sent_alone_and_in_a_group() {
    let url = std::env::var("TEST_REDIS").unwrap();
    let stream = format!("stream-{}", std::process::id());
    let streams = streams(&json!({ "url": url, "stream_name": stream })).unwrap();
    let kwargs = Fields::value(r#"{"user_id":123,"name":"Zoë"}"#).ok();
    let events: Vec<Envelope> = (0..300).map(|n| Envelope { kwargs: kwargs.clone(), ..order(&format!("event-{n}"), None) }).collect();
    assert!(streams.publish(&events).await.iter().all(Result::is_ok));
    let python = format!("{}/worker-streams/bin/python", std::env::var("TEST_WORKERS").unwrap());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/workers/streams_read.py");
    let read = Command::new(python).args([script, &url, &stream, "300"]).stderr(Stdio::inherit()).output().unwrap();
    assert!(read.status.success());
    let lines: Vec<Value> =
        String::from_utf8(read.stdout).unwrap().lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 601);
    for (n, line) in lines[..600].iter().enumerate() {
        let (by, id) = (if n < 300 { "xread" } else { "xreadgroup" }, format!("event-{}", n % 300));
        assert_eq!(
            (&line["by"], &line["attributes"]["id"], &line["attributes"]["type"]),
            (&json!(by), &json!(id), &json!("order.shipped"))
        );
        assert_eq!((&line["data"], &line["beside"]["event_id"]), (&json!({ "user_id": 123, "name": "Zoë" }), &json!(id)));
    }
    assert_eq!(lines[600]["pending"], 0);
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS"]
async fn a_stream_keeps_about_as_many_as_it_is_told_and_another_type_is_told_apart() {
    let url = std::env::var("TEST_REDIS").unwrap();
    let [stream, text] = ["short", "text"].map(|name| format!("{name}-{}", std::process::id()));
    let streams = streams(&json!({ "url": url, "max_len": 100 })).unwrap();
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let _: () = redis::pipe().set(&text, 1).query_async(&mut redis).await.unwrap();
    let events: Vec<Envelope> = (0..1000).map(|n| order(&n.to_string(), Some(&stream))).chain([order("a", Some(&text))]).collect();
    let mut answers = streams.publish(&events).await;
    let refused = answers.pop().unwrap();
    assert_eq!(refused, Err(PublishError::Misconfigured("Redis: what has this name there is of another type (WRONGTYPE)".to_owned())));
    assert!(answers.iter().all(Result::is_ok));
    let kept: usize = redis::cmd("XLEN").arg(&stream).query_async(&mut redis).await.unwrap();
    assert!((100..=300).contains(&kept), "{kept}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn what_was_taken_is_there_after_redis_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let server = RedisServer::start(folder.path().to_owned());
    let streams =
        RedisStreams::new("events", Fields::value(&json!({ "url": server.url() }).to_string()).unwrap(), &errand_testkit::init()).unwrap();
    let taken = server.taken_while_it_is_killed(&streams, (0..500).map(|n| order(&format!("event-{n}"), None)).collect()).await;
    let mut redis = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let found: Vec<(String, Vec<String>)> = redis::cmd("XRANGE").arg("events").arg("-").arg("+").query_async(&mut redis).await.unwrap();
    for id in &taken {
        assert_eq!(found.iter().filter(|(_, fields)| fields[1] == *id).count(), 1, "{id}");
    }
}

#[cfg(feature = "cluster")]
#[tokio::test]
#[ignore = "needs redis-server and redis-cli"]
async fn a_cluster_keeps_each_stream_where_it_belongs() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = RedisServer::cluster(folder.path());
    let whole = streams(&json!({ "url": nodes[0].url(), "cluster": true })).unwrap();
    assert_eq!(whole.check().await, Ok(()));
    let events: Vec<Envelope> = (0..300).map(|n| order(&n.to_string(), Some(&format!("stream-{}", n % 10)))).collect();
    let sent = whole.publish(&events).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    let mut lengths = [0; 10];
    for node in &nodes {
        let mut node = redis::Client::open(node.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut node).await.unwrap();
        assert!(!keys.is_empty(), "no node has all");
        for key in keys {
            let length: usize = redis::cmd("XLEN").arg(&key).query_async(&mut node).await.unwrap();
            lengths[key.strip_prefix("stream-").unwrap().parse::<usize>().unwrap()] += length;
        }
    }
    assert_eq!(lengths, [30; 10]);
    // Who does not know that it is a cluster is told so.
    let one = streams(&json!({ "url": nodes[0].url() })).unwrap().publish(&events[..10]).await;
    let moved =
        PublishError::Misconfigured("Redis: it is a node of a cluster and the key is another's (MOVED): see the option cluster".to_owned());
    assert!(one.iter().any(Result::is_ok) && one.contains(&Err(moved)), "{one:?}");
}
