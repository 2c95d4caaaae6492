//! The transport against a service that speaks as EventBridge does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use errand_core::{Envelope, Fields, Message, OptionError, PublishError, Transport};
use errand_http::aws::sdk_config;
use errand_testkit::{
    Answer, Request, Stub,
    aws::{Emulator, settings},
    init,
    transport::{conformance, envelope, failures},
};
use errand_transport_eventbridge::EventBridgeTransport;
use errand_wire::Content;
use serde_json::{Value, json, value::to_raw_value};

fn made(url: &str, options: &str) -> Result<EventBridgeTransport, OptionError> {
    let env = settings(url);
    EventBridgeTransport::new("events", Fields::value(options)?, &init().with(sdk_config(&env).unwrap()).with(env))
}

fn transport(url: &str) -> EventBridgeTransport {
    made(url, r#"{"buses":{"default":"orders"}}"#).unwrap()
}

fn to(id: &str, destination: &str) -> Envelope {
    Envelope { destination: Some(destination.to_owned()), ..envelope(id) }
}

fn is_put(request: &Request) -> bool {
    request.headers["x-amz-target"] == "AWSEvents.PutEvents"
}

fn entries(request: &Request) -> Vec<Value> {
    serde_json::from_slice::<Value>(&request.body).unwrap()["Entries"].as_array().unwrap().clone()
}

fn puts(stub: &Stub) -> Vec<Request> {
    stub.requests().into_iter().filter(is_put).collect()
}

/// Takes every event, and has every bus.
fn accept(request: &Request) -> Answer {
    if !is_put(request) {
        return Answer::json(200, "{}");
    }
    let told: Vec<Value> = (0..entries(request).len()).map(|place| json!({ "EventId": format!("e-{place}") })).collect();
    Answer::json(200, &json!({ "FailedEntryCount": 0, "Entries": told }).to_string())
}

fn error(status: u16, code: &str) -> Answer {
    Answer::json(status, &json!({ "__type": code, "message": "hunter2" }).to_string())
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_transport() {
    let working = Stub::start(accept).await;
    let failing = Stub::always(&error(500, "InternalException")).await;
    let breaking_off = Stub::start(|request| if is_put(request) { Answer::BreakOff } else { accept(request) }).await;
    conformance(&transport(working.url()), Some(to("unknown", "no bus' name"))).await;
    failures(&transport(failing.url()), &transport("http://127.0.0.1:1"), &transport(breaking_off.url())).await;
}

#[tokio::test]
async fn an_event_has_a_cloudevent_as_its_detail() {
    let stub = Stub::start(accept).await;
    let options = r#"{"buses":{"default":"arn:aws:events:eu-west-1:1:event-bus/orders"}}"#;
    let sent = made(stub.url(), options).unwrap().publish(&[envelope("a"), to("b", "other")]).await;
    assert_eq!(sent[0].as_ref().unwrap().message_id.as_deref(), Some("e-0"));
    let mut events: Vec<Value> = puts(&stub).iter().flat_map(entries).collect();
    events.sort_by_key(|event| event["EventBusName"].to_string());
    assert_eq!(events[0]["EventBusName"], "arn:aws:events:eu-west-1:1:event-bus/orders");
    assert_eq!((&events[0]["Source"], &events[0]["DetailType"]), (&json!("errand"), &json!("email")));
    let detail: Value = serde_json::from_str(events[0]["Detail"].as_str().unwrap()).unwrap();
    let cloud_event =
        json!({ "specversion": "1.0", "type": "email", "source": "errand", "id": "a", "datacontenttype": "application/json" });
    assert_eq!(detail, cloud_event);
    assert_eq!(events[1]["EventBusName"], "other");
    let request = puts(&stub).remove(0);
    assert!(request.headers["authorization"].to_str().unwrap().contains("/eu-west-1/events/"), "where the buses are");
    assert_eq!(request.headers["content-type"], "application/x-amz-json-1.1");
    let said = made(stub.url(), r#"{"source":"shop.orders","detail_type":"Order Shipped"}"#).unwrap();
    assert!(said.publish(&[to("a", "default")]).await[0].is_ok());
    let event = entries(&puts(&stub).pop().unwrap()).remove(0);
    assert_eq!(
        (&event["Source"], &event["DetailType"], &event["EventBusName"]),
        (&json!("shop.orders"), &json!("Order Shipped"), &json!("default"))
    );
}

#[tokio::test]
async fn a_call_takes_ten_events_and_less_than_one_mebibyte() {
    let stub = Stub::start(accept).await;
    let large = |id: &str, size: usize| Envelope { kwargs: to_raw_value(&json!({ "x": "x".repeat(size) })).ok(), ..envelope(id) };
    let mut batch: Vec<Envelope> = (0..25).map(|i| envelope(&format!("{i}"))).collect();
    batch.extend([large("a", 400_000), large("b", 400_000), large("c", 400_000)]);
    assert!(transport(stub.url()).publish(&batch).await.iter().all(Result::is_ok));
    let mut sizes: Vec<usize> = puts(&stub).iter().map(|request| entries(request).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 7, 10, 10]);
    let room = 1024 * 1024 - 1 - errand_wire::cloudevents::encode(&large("d", 0), "errand", None).len() - "errand".len() - "email".len();
    let sent = transport(stub.url()).publish(&[large("d", room), large("e", room + 1)]).await;
    assert!(sent[0].is_ok() && sent[1] == Err(PublishError::TooLarge { limit: 1024 * 1024 - 1 }), "{sent:?}");
}

#[tokio::test]
async fn what_is_refused_in_an_answer_of_200_is_told_by_its_place() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let stub = Stub::start(|request| {
        if !is_put(request) || CALLS.fetch_add(1, Ordering::SeqCst) > 0 {
            return accept(request);
        }
        let refused = |code: &str| json!({ "ErrorCode": code, "ErrorMessage": "the detail 'hunter2' is wrong" });
        let told = [
            json!({ "EventId": "e" }),
            refused("MalformedDetail"),
            refused("ThrottlingException"),
            refused("NotAuthorizedForSourceException"),
            json!({}),
        ];
        Answer::json(200, &json!({ "FailedEntryCount": 3, "Entries": told }).to_string())
    })
    .await;
    let sent = transport(stub.url()).publish(&["a", "b", "c", "d", "e"].map(envelope)).await;
    assert_eq!(sent[0].as_ref().unwrap().message_id.as_deref(), Some("e"));
    assert_eq!(sent[1], Err(PublishError::Refused("EventBridge: MalformedDetail: the detail … is wrong".to_owned())));
    assert_eq!(sent[2].as_ref().unwrap().message_id.as_deref(), Some("e-0"), "sent again, alone");
    let denied = "EventBridge: NotAuthorizedForSourceException: the detail … is wrong".to_owned();
    assert_eq!(sent[3], Err(PublishError::Misconfigured(denied)));
    assert_eq!(sent[4], Err(PublishError::unanswered()));
    assert_eq!(entries(&puts(&stub)[1]).len(), 1);
    for told in [json!([]), json!([{ "EventId": "a" }, { "EventId": "b" }]), json!("x")] {
        let answer = Answer::json(200, &json!({ "FailedEntryCount": 0, "Entries": told }).to_string());
        let stub = Stub::start(move |request| if is_put(request) { answer.clone() } else { accept(request) }).await;
        let sent = transport(stub.url()).publish(&[envelope("a")]).await.remove(0);
        assert!(matches!(sent, Err(PublishError::OutcomeUnknown(_))), "whose answers are these? {told} {sent:?}");
    }
}

/// EventBridge answers that it took what is for a bus that there is not, or has a long detail-type, and drops it.
#[tokio::test]
async fn what_would_be_dropped_without_a_word_is_not_sent() {
    let stub = Stub::start(|request| if is_put(request) { accept(request) } else { error(400, "ResourceNotFoundException") }).await;
    let missing = Err(PublishError::Misconfigured("EventBridge answered HTTP 400 ResourceNotFoundException".to_owned()));
    assert_eq!(transport(stub.url()).publish(&["a", "b"].map(envelope)).await, [missing.clone(), missing]);
    assert!(puts(&stub).is_empty());
    let task = Envelope { task: "t".repeat(129), ..envelope("a") };
    let stub = Stub::start(accept).await;
    let sent = transport(stub.url()).publish(&[task.clone(), envelope("b")]).await;
    assert!(matches!(&sent[0], Err(PublishError::Refused(why)) if why.contains("128 characters")) && sent[1].is_ok(), "{sent:?}");
    let said = made(stub.url(), r#"{"detail_type":"Task"}"#).unwrap();
    assert!(said.publish(&[task]).await[0].is_ok());
    // A bus is looked for once; one of another account may not let us look.
    let transport = transport(stub.url());
    let before = stub.requests().len();
    for _ in 0..3 {
        assert!(transport.publish(&[envelope("a")]).await[0].is_ok());
    }
    assert_eq!(stub.requests().len() - before, 4);
    let theirs = Stub::start(|request| if is_put(request) { accept(request) } else { error(400, "AccessDeniedException") }).await;
    assert!(made(theirs.url(), "{}").unwrap().publish(&[to("a", "arn:aws:events:us-east-1:2:event-bus/theirs")]).await[0].is_ok());
}

#[tokio::test]
async fn who_must_act_is_told_apart() {
    for (status, code, expected) in [
        (400, "AccessDeniedException", PublishError::Misconfigured("EventBridge answered HTTP 400 AccessDeniedException".to_owned())),
        (
            400,
            "UnrecognizedClientException",
            PublishError::Misconfigured("EventBridge answered HTTP 400 UnrecognizedClientException".to_owned()),
        ),
        (400, "ThrottlingException", PublishError::Unavailable("EventBridge answered HTTP 400 ThrottlingException".to_owned())),
        (500, "InternalException", PublishError::Unavailable("EventBridge answered HTTP 500 InternalException".to_owned())),
        (400, "ValidationException", PublishError::Refused("EventBridge answered HTTP 400 ValidationException".to_owned())),
    ] {
        let stub = Stub::start(move |request| if is_put(request) { error(status, code) } else { accept(request) }).await;
        let sent = transport(stub.url()).publish(&["a", "b"].map(envelope)).await;
        assert_eq!(sent, [Err(expected.clone()), Err(expected)], "{code}");
    }
}

#[tokio::test]
async fn its_check_asks_for_each_bus_that_is_named_or_that_is_a_queue_of_the_alias() {
    let stub = Stub::start(accept).await;
    let asked = transport(stub.url());
    assert_eq!((asked.takes("default"), asked.takes("other")), (Ok(()), Ok(())));
    assert_eq!(asked.takes("a b"), Err("expected the name or the ARN of an event bus".to_owned()));
    assert_eq!(asked.check().await, Ok(()));
    let buses: Vec<Value> = stub.requests().iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
    assert_eq!(buses, [json!({ "Name": "orders" }), json!({ "Name": "other" })]);
    assert!(stub.requests().iter().all(|request| request.headers["x-amz-target"] == "AWSEvents.DescribeEventBus"));
}

#[test]
fn wrong_options_are_refused_with_their_place() {
    for (options, wrong) in [
        (r#"{"source":"aws.orders"}"#, "/source: expected 1 to 256 bytes that do not begin with aws."),
        (r#"{"source":""}"#, "/source: "),
        (&format!(r#"{{"detail_type":"{}"}}"#, "é".repeat(129)), "/detail_type: expected 1 to 128 characters"),
        (r#"{"buses":{"a/b":"a b"}}"#, "/buses/a~1b: expected the name or the ARN of an event bus"),
        (r#"{"buses":{"a":"arn:aws:events:us-east-1:1:rule/x"}}"#, "/buses/a: "),
        (
            r#"{"buses":{"a":"arn:aws:events:us-east-1:1:event-bus/x"},"AWS_REGION":"eu-west-1"}"#,
            "expected one region, got eu-west-1, us-east-1",
        ),
        (r#"{"bus":"a"}"#, "/bus: "),
    ] {
        let told = made("http://127.0.0.1:1", options).err().unwrap().to_string();
        assert!(told.starts_with(wrong), "{options}: {told}");
    }
}

/// What a queue that is a rule's target was given.
fn decoded(message: &Message) -> Envelope {
    let Content::Envelopes(mut envelopes) = errand_wire::decode(message).unwrap().content else { panic!("{message:?}") };
    envelopes.remove(0)
}

#[tokio::test]
#[ignore = "needs EventBridge and SQS at TEST_AWS_ENDPOINT"]
async fn a_consumer_behind_a_rule_is_given_the_same_task() {
    let emulator = Emulator::get();
    let queue = emulator.queue("events").await;
    let bus = emulator.bus("orders", &json!({ "source": ["errand"], "detail-type": ["order.shipped"] }), &queue).await;
    let kwargs = json!({ "text": "é🚀", "n": 12_345_678_901_234_567_890_u64 });
    let shipped = Envelope {
        task: "order.shipped".to_owned(),
        kwargs: to_raw_value(&kwargs).ok(),
        group: Some("acme".to_owned()),
        ..envelope("order-7")
    };
    let transport = made(&emulator.url, &format!(r#"{{"buses":{{"default":"{bus}"}}}}"#)).unwrap();
    assert_eq!(transport.check().await, Ok(()));
    let mut batch: Vec<Envelope> = (0..12).map(|i| envelope(&format!("other-{i}"))).collect();
    batch.insert(5, shipped);
    assert!(transport.publish(&batch).await.iter().all(Result::is_ok));
    let message = emulator.messages(&queue, 1).await.remove(0);
    let read = decoded(&message);
    assert_eq!((read.id.as_str(), read.task.as_str(), read.group.as_deref()), ("order-7", "order.shipped", Some("acme")));
    assert_eq!(serde_json::from_str::<Value>(read.kwargs.as_deref().unwrap().get()).unwrap(), kwargs);
    let missing = made(&emulator.url, "{}").unwrap().publish(&[to("a", "no-such-bus")]).await.remove(0);
    assert!(matches!(missing, Err(PublishError::Misconfigured(_))), "{missing:?}");
}

#[tokio::test]
#[ignore = "needs the emulator at TEST_MINISTACK"]
async fn what_was_taken_is_found_on_the_other_side_after_the_emulator_was_ended() {
    let folder = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(folder.path());
    let queue = emulator.queue("taken").await;
    let bus = emulator.bus("orders", &json!({ "source": ["errand"] }), &queue).await;
    let transport = made(&emulator.url, &format!(r#"{{"buses":{{"default":"{bus}"}}}}"#)).unwrap();
    let envelopes: Vec<Envelope> = (0..500).map(|i| envelope(&format!("{i:03}"))).collect();
    let taken = emulator.taken_while_it_is_ended(&transport, &envelopes).await;
    let found: BTreeSet<String> = emulator.all_messages(&queue).await.iter().map(|message| decoded(message).id).collect();
    let lost: Vec<&String> = taken.iter().filter(|id| !found.contains(*id)).collect();
    assert!(lost.is_empty(), "of {} that were taken {lost:?} are lost", taken.len());
}
