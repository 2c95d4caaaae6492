//! What is sent is received by Azure's own SDK, from what stands in for Service Bus: `tests/workers/azure_servicebus.py`. It checks signatures by the SDK's own signing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use errand_core::{BoxFuture, Clock, Envelope, Fields, Init, PublishError, Timestamp, Transport};
use errand_testkit::transport::envelope;
use errand_transport_servicebus::{ServiceBus, ServiceBusQueue, ServiceBusTopic};
use serde_json::{Value, json};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/workers");

struct Real;

impl Clock for Real {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

fn python() -> Command {
    Command::new(format!("{}/worker-azure/bin/python", env::var("TEST_WORKERS").unwrap()))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What stands in for Service Bus; it ends with the test.
struct StandIn {
    process: Child,
    rest: u16,
    amqp: u16,
}

impl StandIn {
    async fn start() -> Self {
        let (rest, amqp) = (free_port(), free_port());
        let process =
            python().arg(format!("{SCRIPTS}/azure_servicebus.py")).args([rest, amqp].map(|port| port.to_string())).spawn().unwrap();
        let stand_in = Self { process, rest, amqp };
        for _ in 0..200 {
            if [rest, amqp].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
                return stand_in;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not start");
    }

    fn options(&self, policy: &str, more: &Value) -> String {
        let key = if policy == "manage" { "bWFuYWdl" } else { "c2VuZA==" };
        let connection_string = format!("Endpoint=http://127.0.0.1:{};SharedAccessKeyName={policy};SharedAccessKey={key}", self.rest);
        let mut options = json!({ "connection_string": connection_string });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options.to_string()
    }

    fn queue(&self, more: &Value) -> ServiceBusQueue {
        make(&self.options("send", more))
    }

    /// What the SDK receives: so many messages, of a queue, or of a subscription of a topic.
    async fn receive(&self, place: &[&str], count: usize) -> Vec<Value> {
        let connection_string =
            format!("Endpoint=sb://127.0.0.1:{};SharedAccessKeyName=send;SharedAccessKey=c2VuZA==;UseDevelopmentEmulator=true", self.amqp);
        let mut receive = python();
        receive.arg(format!("{SCRIPTS}/azure_receive.py")).args(["servicebus", &connection_string]).args(place).arg(count.to_string());
        let received = tokio::task::spawn_blocking(move || receive.stderr(Stdio::inherit()).output().unwrap()).await.unwrap();
        let lines = String::from_utf8(received.stdout).unwrap();
        let messages: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(messages.len(), count, "{messages:?}");
        messages
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn make<K: errand_transport_servicebus::Kind>(options: &str) -> ServiceBus<K> {
    let cx = Init::default().with(Arc::new(Real) as Arc<dyn Clock>);
    ServiceBus::new("azure", Fields::value(options).unwrap(), &cx).unwrap()
}

fn to(entity: &str, id: &str) -> Envelope {
    Envelope { destination: Some(entity.to_owned()), ..envelope(id) }
}

#[tokio::test]
#[ignore = "needs the environment worker-azure of TEST_WORKERS"]
async fn the_sdk_receives_what_was_sent_from_a_queue() {
    let stand_in = StandIn::start().await;
    let queue = stand_in.queue(&json!({ "time_to_live": 3600 }));
    let single = Envelope {
        group: Some("Zoë 🚀".to_owned()),
        kwargs: Fields::value(r#"{"big":12345678901234567890123,"text":"\"quoted\" \\ ☃"}"#).ok(),
        ..to("tasks", "single")
    };
    queue.publish(std::slice::from_ref(&single)).await.remove(0).unwrap();
    let batch: Vec<Envelope> = (0..3).map(|i| Envelope { id: format!("batch-{i}"), ..single.clone() }).collect();
    assert!(queue.publish(&batch).await.iter().all(Result::is_ok));
    let received = stand_in.receive(&["queue", "tasks"], 4).await;
    for (message, sent) in received.iter().zip([&single].into_iter().chain(&batch)) {
        assert_eq!(message["body"], errand_wire::encode(sent), "as it was written");
        let beside = ["id", "subject", "session", "content_type", "ttl"].map(|name| message[name].clone());
        assert_eq!(beside, [json!(sent.id), json!("email"), json!("Zoë 🚀"), json!("application/json"), json!(3600.0)]);
    }
}

#[tokio::test]
#[ignore = "needs the environment worker-azure of TEST_WORKERS"]
async fn a_scheduled_message_is_not_received_early() {
    let stand_in = StandIn::start().await;
    let due = Timestamp::now() + Duration::from_millis(2500);
    let late = |id: &str| Envelope { run_after: Some(due), ..to("tasks", id) };
    let queue = stand_in.queue(&json!({ "scheduled_enqueue_time": true }));
    assert!(queue.publish(&[late("a"), late("b")]).await.iter().all(Result::is_ok));
    queue.publish(&[late("c")]).await.remove(0).unwrap();
    queue.publish(&[to("tasks", "now")]).await.remove(0).unwrap();
    let received = stand_in.receive(&["queue", "tasks"], 4).await;
    assert_eq!(received[0]["id"], "now");
    for message in &received[1..] {
        let early = due.millis() as f64 / 1000.0 - message["at"].as_f64().unwrap();
        assert!(early <= 0.0 && early > -10.0, "{early}");
    }
}

#[tokio::test]
#[ignore = "needs the environment worker-azure of TEST_WORKERS"]
async fn two_subscriptions_of_a_topic_receive_the_same() {
    let stand_in = StandIn::start().await;
    let topic: ServiceBusTopic = make(&stand_in.options("send", &json!({})));
    topic.publish(&[to("events", "a"), to("events", "b")]).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    topic.publish(&[to("events", "c")]).await.remove(0).unwrap();
    for subscription in ["audit", "mail"] {
        let received = stand_in.receive(&["topic", "events", subscription], 3).await;
        assert_eq!(received.iter().map(|message| message["id"].clone()).collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}

#[tokio::test]
#[ignore = "needs the environment worker-azure of TEST_WORKERS"]
async fn a_message_that_was_sent_twice_is_received_once_where_duplicates_are_dropped() {
    let stand_in = StandIn::start().await;
    let queue = stand_in.queue(&json!({ "duplicate_detection": true }));
    for ids in [["a", "b"], ["b", "c"]] {
        assert!(queue.publish(&ids.map(|id| to("once", id))).await.iter().all(Result::is_ok));
    }
    let received = stand_in.receive(&["queue", "once"], 3).await;
    assert_eq!(received.iter().map(|message| message["id"].clone()).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[tokio::test]
#[ignore = "needs the environment worker-azure of TEST_WORKERS"]
async fn what_is_refused_is_told_apart() {
    let stand_in = StandIn::start().await;
    let queue = stand_in.queue(&json!({}));
    let mut told = Vec::new();
    for envelope in [to("nowhere", "a"), to("sessions", "b"), to("small", "first"), to("small", "second")] {
        told.push(queue.publish(&[envelope]).await.remove(0).map(drop));
    }
    assert!(matches!(&told[0], Err(PublishError::Misconfigured(why)) if why.contains("there is no such queue")), "{told:?}");
    assert!(matches!(&told[1], Err(PublishError::Refused(why)) if why.contains("with a group alone")), "{told:?}");
    assert!(told[2].is_ok() && matches!(&told[3], Err(PublishError::Unavailable(why)) if why.contains("the queue is full")), "{told:?}");
    // Of a batch to a queue with sessions, those that have one are taken.
    let of = |id: &str, group: Option<&str>| Envelope { group: group.map(ToOwned::to_owned), ..to("sessions", id) };
    let answers = queue.publish(&[of("a", Some("g")), of("b", None), of("c", Some("g"))]).await;
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    let wrong_key = stand_in.options("send", &json!({})).replace("c2VuZA==", "d3Jvbmc=");
    let refused = make::<errand_transport_servicebus::Queue>(&wrong_key).publish(&[to("tasks", "a")]).await.remove(0);
    assert!(matches!(&refused, Err(PublishError::Misconfigured(why)) if why.contains("InvalidSignature")), "{refused:?}");
}

#[tokio::test]
#[ignore = "needs the environment worker-azure of TEST_WORKERS"]
async fn the_check_proves_what_its_policy_may_know() {
    let stand_in = StandIn::start().await;
    let check = async |policy: &str, entity: &str| {
        let queue: ServiceBusQueue = make(&stand_in.options(policy, &json!({})));
        queue.takes(entity).unwrap();
        queue.check().await
    };
    assert_eq!((check("manage", "tasks").await, check("send", "tasks").await), (Ok(()), Ok(())));
    assert!(matches!(check("manage", "nowhere").await, Err(PublishError::Misconfigured(_))));
    assert_eq!(check("send", "nowhere").await, Ok(()), "who may only send cannot be told that it is not there");
}
