//! The transport against what speaks as Service Bus does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use errand_core::{CallTimeout, Envelope, Fields, Init, OptionError, PublishError, Timestamp, Transport};
use errand_testkit::{
    Answer, Request, Stopped, Stub,
    transport::{conformance, envelope, failures},
};
use errand_transport_servicebus::{ServiceBusQueue, ServiceBusTopic};
use serde_json::{Value, json, value::to_raw_value};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_123);

fn init() -> Init {
    Stopped(NOW).init()
}

fn connection_string(url: &str) -> String {
    format!("Endpoint={url};SharedAccessKeyName=send;SharedAccessKey=c2VjcmV0")
}

fn try_queue(options: &Value) -> Result<ServiceBusQueue, OptionError> {
    ServiceBusQueue::new("azure", Fields::value(&options.to_string())?, &init())
}

/// A queue at this address, with more options.
fn queue(url: &str, more: Value) -> ServiceBusQueue {
    let mut options = json!({ "connection_string": connection_string(url) });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let queue = try_queue(&options).unwrap();
    queue.takes("tasks").unwrap();
    queue
}

/// One for the queue `tasks`.
fn task(id: &str) -> Envelope {
    Envelope { destination: Some("tasks".to_owned()), ..envelope(id) }
}

async fn created() -> Stub {
    Stub::start(|request| match request.method.as_str() {
        "GET" => Answer::Reply(200, Vec::new(), "<entry xmlns=\"http://www.w3.org/2005/Atom\"></entry>".to_owned()),
        _ => Answer::Reply(201, Vec::new(), String::new()),
    })
    .await
}

/// What Service Bus says of a refusal.
fn refusal(status: u16, detail: &str) -> Answer {
    let detail = format!("{detail}. TrackingId:3a1b_G10, SystemTracker:shop.servicebus.windows.net:tasks, Timestamp:2027-01-15T08:00:00");
    Answer::Reply(status, Vec::new(), format!("<Error><Code>{status}</Code><Detail>{detail}</Detail></Error>"))
        .header("date", "Fri, 15 Jan 2027 08:00:00 GMT")
}

fn is_batch(request: &Request) -> bool {
    request.headers["content-type"] == "application/vnd.microsoft.servicebus.json"
}

fn entries(request: &Request) -> Vec<Value> {
    serde_json::from_slice(&request.body).unwrap()
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_transport() {
    let (working, failing, breaking_off) = (
        created().await,
        Stub::always(&refusal(503, "The request was terminated because the namespace shop is being throttled")).await,
        Stub::always(&Answer::BreakOff).await,
    );
    for scheduled in [false, true] {
        conformance(&queue(working.url(), json!({ "scheduled_enqueue_time": scheduled })), None).await;
    }
    failures(&queue(failing.url(), json!({})), &queue("http://127.0.0.1:1", json!({})), &queue(breaking_off.url(), json!({}))).await;
}

#[tokio::test]
async fn one_message_is_sent_as_it_is_with_its_properties_in_a_header() {
    let stub = created().await;
    let expires = Some(NOW + Duration::from_millis(89_500));
    let envelope =
        Envelope { group: Some("Zoë 🚀".to_owned()), expires, destination: Some("shop/tasks".to_owned()), ..envelope("order-7") };
    let published = queue(stub.url(), json!({ "time_to_live": 3600 })).publish(std::slice::from_ref(&envelope)).await.remove(0).unwrap();
    assert_eq!(published.message_id.as_deref(), Some("order-7"));
    let request = stub.requests().remove(0);
    assert_eq!((request.method.as_str(), request.uri.to_string().as_str()), ("POST", "/shop/tasks/messages?timeout=4"));
    assert_eq!(request.headers["content-type"], "application/json");
    let signed = request.headers["authorization"].to_str().unwrap();
    assert!(
        signed.starts_with("SharedAccessSignature sr=http%3A%2F%2F127.0.0.1%3A") && signed.contains("%2Fshop%2Ftasks&sig="),
        "{signed}"
    );
    assert!(signed.ends_with("&se=1800001200&skn=send"), "{signed}");
    let properties = request.headers["brokerproperties"].to_str().unwrap();
    assert!(properties.is_ascii());
    assert_eq!(
        serde_json::from_str::<Value>(properties).unwrap(),
        json!({ "MessageId": "order-7", "Label": "email", "SessionId": "Zoë 🚀", "TimeToLive": 90 }),
        "a task that expires sooner than messages do is kept for as long"
    );
    assert_eq!(request.body, errand_wire::encode(&envelope).into_bytes());
    assert!(!String::from_utf8_lossy(&request.body).contains("destination"), "it ends with the hand-over");
}

#[tokio::test]
async fn a_message_is_written_for_who_reads_it() {
    let stub = created().await;
    let sent = async |format: Value, count: usize| {
        let answers = queue(stub.url(), json!({ "format": format }))
            .publish(&vec![Envelope { kwargs: Fields::value(r#"{"n":1}"#).ok(), ..task("a") }; count])
            .await;
        assert!(answers.iter().all(Result::is_ok));
        stub.requests().pop().unwrap()
    };
    let django = sent(json!("django-tasks"), 1).await;
    assert_eq!(serde_json::from_slice::<Value>(&django.body).unwrap(), json!({ "task": "email", "args": [], "kwargs": { "n": 1 } }));
    assert_eq!(django.headers["content-type"], "application/json");
    let event = sent(json!({ "cloudevents": { "source": "shop" } }), 1).await;
    assert_eq!(event.headers["content-type"], "application/cloudevents+json");
    assert_eq!(serde_json::from_slice::<Value>(&event.body).unwrap()["source"], "shop");
    let events = entries(&sent(json!("cloudevents"), 2).await);
    assert_eq!(events[0]["BrokerProperties"]["ContentType"], "application/cloudevents+json");
}

#[tokio::test]
async fn many_go_in_batches_of_a_hundred_and_of_what_a_tier_takes() {
    let stub = created().await;
    let many: Vec<Envelope> = (0..250).map(|i| task(&format!("t{i}"))).collect();
    assert!(queue(stub.url(), json!({})).publish(&many).await.iter().all(Result::is_ok));
    let requests = stub.requests();
    assert_eq!(requests.iter().map(|request| entries(request).len()).collect::<Vec<_>>(), [100, 100, 50]);
    assert!(requests.iter().all(|request| is_batch(request) && !request.headers.contains_key("brokerproperties")));
    let first = &entries(&requests[0])[0];
    assert_eq!(first["Body"], errand_wire::encode(&many[0]));
    assert_eq!(first["BrokerProperties"], json!({ "MessageId": "t0", "Label": "email", "ContentType": "application/json" }));
    for (tier, sizes) in [("basic", vec![2, 1]), ("standard", vec![2, 1]), ("premium", vec![3])] {
        let stub = created().await;
        let large = |id: &str| Envelope { kwargs: to_raw_value(&"\"".repeat(30_000)).ok(), ..task(id) };
        assert!(queue(stub.url(), json!({ "tier": tier })).publish(&[large("a"), large("b"), large("c")]).await.iter().all(Result::is_ok));
        let sent: Vec<usize> = stub.requests().iter().map(|request| if is_batch(request) { entries(request).len() } else { 1 }).collect();
        assert_eq!(sent, sizes, "{tier}: a quote that was escaped is escaped again");
        assert!(stub.requests().iter().all(|request| request.body.len() <= if tier == "premium" { 1 << 20 } else { 1 << 18 }));
    }
}

#[tokio::test]
async fn entities_share_no_call_and_each_keeps_its_order() {
    let stub = created().await;
    let to = |i: usize| Envelope { destination: Some(["a", "b"][i % 2].to_owned()), ..envelope(&i.to_string()) };
    assert!(queue(stub.url(), json!({})).publish(&(0..6).map(to).collect::<Vec<_>>()).await.iter().all(Result::is_ok));
    let mut sent: Vec<(String, Vec<Value>)> = stub
        .requests()
        .iter()
        .map(|request| {
            (request.uri.path().to_owned(), entries(request).iter().map(|entry| entry["BrokerProperties"]["MessageId"].clone()).collect())
        })
        .collect();
    sent.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        sent,
        [
            ("/a/messages".to_owned(), vec![json!("0"), json!("2"), json!("4")]),
            ("/b/messages".to_owned(), vec![json!("1"), json!("3"), json!("5")])
        ]
    );
}

#[tokio::test]
async fn what_is_due_later_is_held_back_by_service_bus_where_an_option_says_so() {
    let stub = created().await;
    let due =
        |id: &str| Envelope { run_after: Some(NOW + Duration::from_secs(60)), expires: Some(NOW + Duration::from_secs(90)), ..task(id) };
    let scheduled = queue(stub.url(), json!({ "scheduled_enqueue_time": true }));
    assert_eq!(scheduled.limits().delay, Duration::from_secs(366 * 86400));
    scheduled.publish(&[due("a")]).await.remove(0).unwrap();
    scheduled.publish(&[due("a"), due("b")]).await.remove(1).unwrap();
    let by_itself: Value = serde_json::from_str(stub.requests()[0].headers["brokerproperties"].to_str().unwrap()).unwrap();
    let expected = (json!("Fri, 15 Jan 2027 08:01:01 GMT"), json!(30));
    assert_eq!((by_itself["ScheduledEnqueueTimeUtc"].clone(), by_itself["TimeToLive"].clone()), expected, "to the second, and not earlier");
    let in_batch = &entries(&stub.requests()[1])[1]["BrokerProperties"];
    assert_eq!((in_batch["ScheduledEnqueueTimeUtc"].clone(), in_batch["TimeToLive"].clone()), expected);
    // Without it others hold it back, and it is sent when it is due.
    let held = queue(stub.url(), json!({}));
    assert_eq!(held.limits().delay, Duration::ZERO);
    held.publish(&[due("a")]).await.remove(0).unwrap();
    assert!(!stub.requests()[2].headers["brokerproperties"].to_str().unwrap().contains("Scheduled"));
}

#[tokio::test]
async fn a_lost_answer_is_sent_again_with_its_id_only_where_duplicates_are_dropped() {
    for (detection, calls) in [(true, 2), (false, 1)] {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        CALLS.store(0, Ordering::SeqCst);
        // It may have been done: the connection breaks, or the service itself does not know.
        let stub = Stub::start(move |_| match CALLS.fetch_add(1, Ordering::SeqCst) {
            0 => refusal(500, "The operation did not complete within the allocated time 00:00:04"),
            _ => Answer::Reply(201, Vec::new(), String::new()),
        })
        .await;
        let answers = queue(stub.url(), json!({ "duplicate_detection": detection })).publish(&[task("a"), task("b")]).await;
        let sent = stub.requests();
        assert_eq!(sent.len(), calls);
        if detection {
            assert!(answers.iter().all(Result::is_ok));
            assert_eq!(sent[0].body, sent[1].body, "with the same ids");
        } else {
            assert!(answers.iter().all(|answer| matches!(answer, Err(PublishError::OutcomeUnknown(_)))), "{answers:?}");
        }
    }
    // What is not answered at all is not waited for for ever.
    let silent = Stub::always(&Answer::Silence).await;
    let options = json!({ "connection_string": connection_string(silent.url()), "duplicate_detection": true });
    let cx = init().with(CallTimeout(Duration::from_millis(100)));
    let queue = ServiceBusQueue::new("azure", Fields::value(&options.to_string()).unwrap(), &cx).unwrap();
    assert!(matches!(queue.publish(&[task("a")]).await.remove(0), Err(PublishError::OutcomeUnknown(_))));
    assert_eq!(silent.requests().len(), 2);
}

#[tokio::test]
async fn one_message_that_is_refused_does_not_stop_those_beside_it() {
    let stub = Stub::start(|request| {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        if text.contains("bad") { refusal(400, "The property is wrong") } else { Answer::Reply(201, Vec::new(), String::new()) }
    })
    .await;
    let ids = ["a", "b", "bad", "c", "d"];
    let answers = queue(stub.url(), json!({})).publish(&ids.map(task)).await;
    for (id, answer) in ids.iter().zip(&answers) {
        assert_eq!(answer.is_ok(), *id != "bad", "{id}: {answer:?}");
    }
    assert_eq!(answers[2], Err(PublishError::Refused("Service Bus answered HTTP 400: The property is wrong".to_owned())));
    let accepted: Vec<String> = stub
        .requests()
        .iter()
        .filter(|request| !String::from_utf8_lossy(&request.body).contains("bad"))
        .map(|request| String::from_utf8_lossy(&request.body).into_owned())
        .collect();
    for id in ["a", "b", "c", "d"] {
        assert_eq!(
            accepted.iter().filter(|body| body.contains(&format!("\"{id}\"")) || body.contains(&format!("\\\"{id}\\\""))).count(),
            1,
            "{id} is there once"
        );
    }
}

#[tokio::test]
async fn what_comes_behind_a_failure_neither_overtakes_nor_waits() {
    let stub = Stub::always(&Answer::BreakOff).await;
    let many: Vec<Envelope> = (0..150).map(|i| task(&format!("t{i}"))).collect();
    let answers = queue(stub.url(), json!({})).publish(&many).await;
    assert_eq!(stub.requests().len(), 1);
    assert!(matches!(answers[99], Err(PublishError::OutcomeUnknown(_))), "it was sent perhaps");
    assert!(matches!(answers[100], Err(PublishError::Unavailable(_))), "it was not");
}

#[tokio::test]
async fn failures_are_told_apart_in_words() {
    type Told = fn(String) -> PublishError;
    for (status, detail, told, words) in [
        (
            401,
            "InvalidSignature: The token has an invalid signature",
            PublishError::Misconfigured as Told,
            "HTTP 401: its credential is refused; InvalidSignature: The token has an invalid signature",
        ),
        (401, "ExpiredToken: ", PublishError::Misconfigured, "HTTP 401: its credential is refused; ExpiredToken:"),
        (
            403,
            "Unauthorized access. &apos;Send&apos; claim are required to perform this operation",
            PublishError::Misconfigured,
            "HTTP 403: its credential may not send; ",
        ),
        (
            403,
            "The maximum entity size has been reached or exceeded for Queue: tasks. QuotaType: EntitySize (QuotaExceeded)",
            PublishError::Unavailable,
            "HTTP 403: the queue is full; The maximum entity size",
        ),
        (
            404,
            "The messaging entity could not be found",
            PublishError::Misconfigured,
            "HTTP 404: there is no such queue; The messaging entity could not be found",
        ),
        (410, "", PublishError::Misconfigured, "HTTP 410: there is no such queue"),
        (
            405,
            "The SessionId was not set on a message, and it cannot be sent to the entity",
            PublishError::Refused,
            "HTTP 405: a queue with sessions takes tasks with a group alone; The SessionId",
        ),
        (429, "", PublishError::Unavailable, "HTTP 429: it is busy"),
        (
            503,
            "The request was terminated because the namespace is being throttled",
            PublishError::Unavailable,
            "HTTP 503: it is busy; The request was terminated",
        ),
        (504, "", PublishError::OutcomeUnknown, "HTTP 504: it did not end in time"),
    ] {
        let stub = Stub::always(&refusal(status, detail)).await;
        let error = queue(stub.url(), json!({})).publish(&[task("a")]).await.remove(0).unwrap_err();
        let text = match &error {
            PublishError::Refused(text)
            | PublishError::Misconfigured(text)
            | PublishError::Unavailable(text)
            | PublishError::OutcomeUnknown(text) => text.clone(),
            PublishError::TooLarge { .. } => String::new(),
        };
        assert_eq!(error, told(text.clone()), "{status} {detail}");
        assert!(text.starts_with(&format!("Service Bus answered {words}")), "{text}");
        assert!(!text.contains("3a1b") && !text.contains("shop."), "{text}");
    }
    let large = refusal(
        403,
        "The received message (delivery-id:0, size:300000 bytes) exceeds the limit (262144 bytes) currently allowed on the link",
    );
    for large in [large, refusal(413, "")] {
        let stub = Stub::always(&large).await;
        let queue = queue(stub.url(), json!({}));
        assert_eq!(queue.publish(&[task("a")]).await[0], Err(PublishError::TooLarge { limit: queue.limits().bytes }));
    }
    let refused = queue("http://127.0.0.1:1", json!({})).publish(&[task("a")]).await.remove(0).unwrap_err();
    assert!(matches!(&refused, PublishError::Unavailable(why) if why.contains("127.0.0.1:1")), "{refused:?}");
    let expired = "<Error><Code>401</Code><Detail>ExpiredToken: The token is expired</Detail></Error>".to_owned();
    let off = Stub::always(&Answer::Reply(401, Vec::new(), expired).header("date", "Fri, 15 Jan 2027 07:00:00 GMT")).await;
    let error = queue(off.url(), json!({})).publish(&[task("a")]).await.remove(0).unwrap_err().to_string();
    assert!(error.ends_with("; this machine's clock is 3600 seconds ahead of the service's"), "{error}");
}

#[tokio::test]
async fn the_check_tells_what_it_may_know() {
    let told = async |answer: Answer| {
        let stub = Stub::always(&answer).await;
        let told = queue(stub.url(), json!({})).check().await;
        assert_eq!(stub.requests()[0].uri, "/tasks?api-version=2017-04");
        told.map_err(|error| error.to_string())
    };
    assert_eq!(told(Answer::Reply(200, Vec::new(), "<entry></entry>".to_owned())).await, Ok(()));
    assert_eq!(told(refusal(401, "Manage,EntityRead claims required for this operation")).await, Ok(()), "who may only send is known");
    let none = Err("misconfigured: Service Bus: there is no such queue".to_owned());
    assert_eq!(told(Answer::Reply(200, Vec::new(), "<feed></feed>".to_owned())).await, none, "so it tells of an entity that is not there");
    assert_eq!(told(Answer::Reply(204, Vec::new(), String::new())).await, none);
    assert!(
        told(refusal(401, "InvalidSignature: The token has an invalid signature")).await.unwrap_err().contains("its credential is refused")
    );
    assert!(told(refusal(404, "No service is hosted at the specified address")).await.unwrap_err().contains("there is no such queue"));
}

#[tokio::test]
async fn a_connection_string_of_one_entity_is_good_for_that_alone() {
    let stub = created().await;
    let queue =
        try_queue(&json!({ "SERVICEBUS_CONNECTION_STRING": format!("{};EntityPath=tasks", connection_string(stub.url())) })).unwrap();
    let other = Envelope { destination: Some("other".to_owned()), ..envelope("b") };
    let answers = queue.publish(&[task("a"), other]).await;
    assert!(answers[0].is_ok());
    let why = "Service Bus: the connection string is for another queue: its EntityPath says so".to_owned();
    assert_eq!(answers[1], Err(PublishError::Misconfigured(why)));
}

#[tokio::test]
async fn a_session_has_no_longer_id_than_service_bus_takes() {
    let stub = created().await;
    let answers =
        queue(stub.url(), json!({})).publish(&[129, 128].map(|length| Envelope { group: Some("g".repeat(length)), ..task("a") })).await;
    assert!(matches!(&answers[0], Err(PublishError::Refused(why)) if why.contains("128 characters")) && answers[1].is_ok());
}

#[test]
fn options_are_checked() {
    let told = |options: Value| try_queue(&options).err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(told(json!({})), "/connection_string: is required");
    assert_eq!(told(json!({ "connection_string": "hunter2" })), "/connection_string: expected a connection string: Name=value;Name=value");
    assert!(
        told(json!({ "namespace": "x.servicebus.windows.net" })).starts_with("/namespace: there is no credential for it: client secret: ")
    );
    assert_eq!(told(json!({ "namespace": "x", "tenant_id": "t", "client_id": "c", "client_secret": "s" })), "");
    assert!(
        told(json!({ "namespace": "a b", "tenant_id": "t", "client_id": "c", "client_secret": "s" }))
            .starts_with("/namespace: expected a host")
    );
    let with = |more: Value| {
        let mut options = json!({ "connection_string": connection_string("sb://x") });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options
    };
    assert_eq!(told(with(json!({ "tier": "premium", "time_to_live": 1 }))), "");
    assert!(told(with(json!({ "tier": "free" }))).starts_with("/tier: "));
    assert_eq!(told(with(json!({ "time_to_live": 0 }))), "/time_to_live: expected 1 second or more");
    assert!(told(with(json!({ "session": "x" }))).starts_with("/session: "));
    let topic = ServiceBusTopic::new("azure", Fields::value(&with(json!({ "tier": "basic" })).to_string()).unwrap(), &init());
    assert_eq!(topic.err().unwrap().to_string(), "/tier: Basic has no topics: expected standard or premium");
    let queue = try_queue(&with(json!({}))).unwrap();
    assert_eq!(queue.takes("-a"), Err("no queue can be called so".to_owned()));
}
