//! RabbitMQ as it is: what it refuses is told in its own words, and what it has confirmed it keeps.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use errand_core::{Envelope, PublishError, Transport};
use errand_testkit::transport::{conformance, envelope};
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::json;

use crate::world::{Server, are_all_there, at, celery, fact, fresh, saying, to};

fn url() -> String {
    fact("TEST_RABBITMQ")
}

async fn channel(url: &str) -> Channel {
    Connection::connect(url, ConnectionProperties::default()).await.unwrap().create_channel().await.unwrap()
}

async fn declare(channel: &Channel, queue: &str, arguments: &[(&str, AMQPValue)]) {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), table).await.unwrap();
}

/// The ids of all tasks on a queue, which are taken from it.
async fn ids(channel: &Channel, queue: &str) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(message) = channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap() {
        ids.push(message.properties.correlation_id().as_ref().unwrap().to_string());
        message.ack(BasicAckOptions::default()).await.unwrap();
    }
    ids
}

/// What an address leads to, over connections that can be cut off, or be heard of no more.
struct Proxy {
    address: String,
    connections: Arc<Mutex<Vec<(TcpStream, TcpStream)>>>,
    silent: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
}

impl Proxy {
    fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let proxy = Self { address, connections: Arc::default(), silent: Arc::default(), made: Arc::default() };
        let (connections, silent, made) = (Arc::clone(&proxy.connections), Arc::clone(&proxy.silent), Arc::clone(&proxy.made));
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                made.fetch_add(1, Ordering::SeqCst);
                let far = TcpStream::connect(&target).unwrap();
                // A silence is that of the connections that stand when it begins.
                let silent = if silent.swap(false, Ordering::SeqCst) { Arc::default() } else { Arc::clone(&silent) };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to, silent) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&silent));
                    thread::spawn(move || {
                        let mut bytes = [0; 4096];
                        while let Ok(read @ 1..) = from.read(&mut bytes) {
                            if !silent.load(Ordering::SeqCst) && to.write_all(&bytes[..read]).is_err() {
                                return;
                            }
                        }
                    });
                }
                connections.lock().unwrap().push((near, far));
            }
        });
        proxy
    }

    fn cut(&self) {
        for (near, far) in self.connections.lock().unwrap().drain(..) {
            near.shutdown(Shutdown::Both).and_then(|()| far.shutdown(Shutdown::Both)).unwrap_or_default();
        }
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ at TEST_RABBITMQ"]
async fn it_keeps_the_contract_of_a_transport() {
    declare(&channel(&url()).await, "default", &[]).await;
    conformance(&celery(&json!({ "broker_url": url(), "eta": true })), None).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ at TEST_RABBITMQ"]
async fn a_message_has_what_a_worker_asks_for() {
    let (channel, queue) = (channel(&url()).await, fresh("looked-at"));
    declare(&channel, &queue, &[]).await;
    let headers = json!({ "tenant": "acme", "deep": { "n": [1, 2.5, 5_000_000_000_i64, null, true] } });
    let envelope = saying(&json!({ "priority": 7, "headers": headers }), to(&queue, "order-7"));
    assert!(at(&url()).publish(&[envelope]).await[0].is_ok());
    let message = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap().unwrap();
    let properties = &message.properties;
    assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
    assert_eq!(properties.content_encoding().as_ref().unwrap().as_str(), "utf-8", "without it a worker reads bytes");
    assert_eq!((*properties.delivery_mode(), *properties.priority()), (Some(2), Some(7)));
    assert_eq!(properties.correlation_id().as_ref().unwrap().as_str(), "order-7");
    let headers = properties.headers().as_ref().unwrap().inner();
    for (name, value) in [("id", "order-7"), ("task", "email"), ("root_id", "order-7"), ("tenant", "acme"), ("lang", "py")] {
        assert_eq!(headers[name], AMQPValue::LongString(value.into()), "{name}");
    }
    assert_eq!(
        (&headers["retries"], &headers["eta"], &headers["ignore_result"]),
        (&AMQPValue::LongInt(0), &AMQPValue::Void, &AMQPValue::Boolean(false))
    );
    assert_eq!(headers["timelimit"], AMQPValue::FieldArray(vec![AMQPValue::Void, AMQPValue::Void].into()));
    let numbers =
        [AMQPValue::LongInt(1), AMQPValue::Double(2.5), AMQPValue::LongLongInt(5_000_000_000), AMQPValue::Void, AMQPValue::Boolean(true)];
    let AMQPValue::FieldTable(deep) = &headers["deep"] else { panic!("a table") };
    assert_eq!(deep.inner()["n"], AMQPValue::FieldArray(numbers.to_vec().into()));
    assert_eq!(message.data, br#"[[],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]"#);
}

#[tokio::test]
#[ignore = "needs RabbitMQ at TEST_RABBITMQ"]
async fn what_is_refused_is_told_apart() {
    let address = url().split_once('@').unwrap().1.to_owned();
    let host = address.split('/').next().unwrap();
    for (url, told) in [
        (format!("amqp://guest:hunter2@{address}"), "RabbitMQ: the user name or password is refused"),
        (
            format!("{}/no-such-host", url().trim_end_matches('/').trim_end_matches("%2f")),
            "RabbitMQ: there is no such virtual host, or the user may not use it",
        ),
    ] {
        let celery = at(&url);
        let misconfigured = Err(PublishError::Misconfigured(told.to_owned()));
        assert_eq!(
            (celery.check().await, celery.publish(&[envelope("a")]).await.remove(0).map(drop)),
            (misconfigured.clone(), misconfigured)
        );
    }
    assert!(at(&format!("amqp://guest:guest@{host}/")).check().await.is_ok(), "kombu's way to say the default virtual host");
    let channel = channel(&url()).await;
    let (queue, exchange) = (fresh("there"), fresh("not-there"));
    declare(&channel, &queue, &[]).await;
    let astray = saying(&json!({ "exchange": exchange, "routing_key": "a" }), to(&queue, "c"));
    let answers = at(&url()).publish(&[to(&queue, "a"), to("no-such-queue", "b"), astray, to(&queue, "d")]).await;
    assert!(answers[0].is_ok() && answers[3].is_ok(), "{answers:?}");
    let unknown = "RabbitMQ has no queue no-such-queue: a worker that listens to it makes it when it starts".to_owned();
    assert_eq!(answers[1], Err(PublishError::Misconfigured(unknown)));
    assert_eq!(answers[2], Err(PublishError::Misconfigured(format!("RabbitMQ has no exchange {exchange}"))));
    assert_eq!(ids(&channel, &queue).await, ["a", "d"], "in their order");
}

#[tokio::test]
#[ignore = "needs RabbitMQ at TEST_RABBITMQ"]
async fn a_queue_that_is_full_is_told() {
    let (channel, queue) = (channel(&url()).await, fresh("small"));
    let overflow = AMQPValue::LongString("reject-publish".into());
    declare(&channel, &queue, &[("x-max-length", AMQPValue::LongInt(2)), ("x-overflow", overflow)]).await;
    let tasks: Vec<Envelope> = (0..5).map(|number| to(&queue, &number.to_string())).collect();
    let answers = at(&url()).publish(&tasks).await;
    let full = |answer: &Result<_, PublishError>| matches!(answer, Err(PublishError::Unavailable(why)) if why.contains("the queue is full (its length limit)"));
    let taken: Vec<String> = tasks.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(task, _)| task.id.clone()).collect();
    assert!(taken.len() >= 2 && answers.iter().all(|answer| answer.is_ok() || full(answer)), "{answers:?}");
    assert_eq!(ids(&channel, &queue).await, taken);
}

#[tokio::test]
#[ignore = "needs RabbitMQ at TEST_RABBITMQ"]
async fn a_connection_that_died_idle_is_made_anew_and_nothing_goes_twice() {
    let (channel, queue) = (channel(&url()).await, fresh("idle"));
    declare(&channel, &queue, &[]).await;
    let target = url().split_once('@').unwrap().1.split('/').next().unwrap().to_owned();
    let proxy = Proxy::to(target.clone());
    let celery = at(&url().replace(&target, &proxy.address));
    let mut sent = 0;
    let mut send = async |what: &str| {
        sent += 1;
        let answer = celery.publish(&[to(&queue, &sent.to_string())]).await;
        assert!(answer[0].is_ok(), "{what}: {answer:?}");
    };
    send("the first").await;
    send("over the same connection").await;
    assert_eq!(proxy.made.load(Ordering::SeqCst), 1);
    proxy.cut();
    send("after it was cut").await;
    proxy.silent.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    send("after it fell silent").await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!((proxy.made.load(Ordering::SeqCst), ids(&channel, &queue).await), (3, ["1", "2", "3", "4"].map(str::to_owned).to_vec()));
}

/// A server of a test's own.
fn server(folder: &Path, port: u16) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/rabbitmq"));
    command.arg(folder).arg(port.to_string());
    command
}

#[tokio::test]
#[ignore = "needs the command of RabbitMQ"]
async fn what_was_taken_is_there_after_the_broker_was_killed() {
    let mut server = Server::start(server, |address| format!("amqp://guest:guest@{address}//")).await;
    declare(&channel(&server.url()).await, "celery", &[]).await;
    let taken = server.is_killed_in_the_middle().await;
    are_all_there(&taken, &ids(&channel(&server.url()).await, "celery").await);
}
