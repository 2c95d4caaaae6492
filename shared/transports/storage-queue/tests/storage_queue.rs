//! The transport against what speaks as Storage's queues do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_azure::TokenCredential;
use errand_core::{BoxFuture, DeliveryError, Envelope, Fields, Init, OptionError, PublishError, Secret, Timestamp, Transport};
use errand_http::Issued;
use errand_testkit::{
    Answer, Stopped, Stub,
    transport::{conformance, envelope, failures},
};
use errand_transport_storage_queue::{Options, StorageQueue};
use serde_json::{Value, json, value::to_raw_value};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_123);

fn init() -> Init {
    Stopped(NOW).init()
}

fn connection_string(url: &str) -> String {
    format!("AccountName=shop;AccountKey=c2VjcmV0;QueueEndpoint={url}/shop")
}

fn try_storage(options: &Value) -> Result<StorageQueue, OptionError> {
    StorageQueue::new("azure", Fields::value(&options.to_string())?, &init())
}

/// An account at this address, with more options.
fn storage(url: &str, more: Value) -> StorageQueue {
    let mut options = json!({ "connection_string": connection_string(url) });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let storage = try_storage(&options).unwrap();
    storage.takes("tasks").unwrap();
    storage
}

/// One for the queue `tasks`.
fn task(id: &str) -> Envelope {
    Envelope { destination: Some("tasks".to_owned()), ..envelope(id) }
}

async fn working() -> Stub {
    Stub::start(|request| match request.method.as_str() {
        "GET" => Answer::Reply(200, Vec::new(), String::new()),
        _ => Answer::Reply(
            201,
            Vec::new(),
            "<QueueMessagesList><QueueMessage><MessageId>0b1c</MessageId></QueueMessage></QueueMessagesList>".to_owned(),
        ),
    })
    .await
}

/// What Storage says of a refusal.
fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}\nRequestId:3a1b\nTime:2027-01-15T08:00:00.0000000Z</Message></Error>"
    );
    Answer::Reply(status, Vec::new(), body).header("x-ms-error-code", code).header("date", "Fri, 15 Jan 2027 08:00:00 GMT")
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_transport() {
    let (working, failing, breaking_off) =
        (working().await, Stub::always(&refusal(503, "ServerBusy", "The server is busy.")).await, Stub::always(&Answer::BreakOff).await);
    for more in
        [json!({}), json!({ "visibility_timeout": true, "encoding": "base64" }), json!({ "visibility_timeout": true, "time_to_live": -1 })]
    {
        conformance(&storage(working.url(), more), None).await;
    }
    failures(&storage(failing.url(), json!({})), &storage("http://127.0.0.1:1", json!({})), &storage(breaking_off.url(), json!({}))).await;
}

#[tokio::test]
async fn a_message_is_sent_as_text_or_as_base64() {
    let stub = working().await;
    let kwargs = to_raw_value(&json!({ "html": "<b>&amp; \u{ffff}</b>" })).ok();
    let envelope = Envelope { kwargs, ..task("order-7") };
    let body = errand_wire::encode(&envelope);
    let published = storage(stub.url(), json!({})).publish(std::slice::from_ref(&envelope)).await.remove(0).unwrap();
    assert_eq!(published.message_id.as_deref(), Some("0b1c"));
    storage(stub.url(), json!({ "encoding": "base64" })).publish(std::slice::from_ref(&envelope)).await.remove(0).unwrap();
    let requests = stub.requests();
    assert_eq!((requests[0].method.as_str(), requests[0].uri.to_string().as_str()), ("POST", "/shop/tasks/messages?timeout=4"));
    let header = |name: &str| requests[0].headers[name].to_str().unwrap();
    assert_eq!(
        (header("content-type"), header("x-ms-version"), header("x-ms-date")),
        ("application/xml", "2024-11-04", "Fri, 15 Jan 2027 08:00:00 GMT")
    );
    assert!(header("authorization").starts_with("SharedKey shop:"));
    let text = |place: usize| {
        let xml = String::from_utf8(requests[place].body.to_vec()).unwrap();
        xml.strip_prefix("<QueueMessage><MessageText>").unwrap().strip_suffix("</MessageText></QueueMessage>").unwrap().to_owned()
    };
    let read = text(0).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    assert!(!read.contains('\u{ffff}'), "no XML holds it");
    assert_eq!(serde_json::from_str::<Value>(&read).unwrap(), serde_json::from_str::<Value>(&body).unwrap());
    assert_eq!(STANDARD.decode(text(1)).unwrap(), body.as_bytes());
}

#[tokio::test]
async fn a_message_is_written_for_who_reads_it() {
    let stub = working().await;
    let envelope = Envelope { kwargs: Fields::value(r#"{"n":1}"#).ok(), ..task("a") };
    storage(stub.url(), json!({ "format": "django-tasks" })).publish(std::slice::from_ref(&envelope)).await.remove(0).unwrap();
    let body = String::from_utf8(stub.requests()[0].body.to_vec()).unwrap();
    let text = body.strip_prefix("<QueueMessage><MessageText>").unwrap().strip_suffix("</MessageText></QueueMessage>").unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), json!({ "task": "email", "args": [], "kwargs": { "n": 1 } }));
    let told = storage(stub.url(), json!({ "format": "django-notifs" }))
        .publish(&[Envelope { args: Fields::value("[1]").ok(), ..envelope }])
        .await;
    assert!(matches!(told[0], Err(PublishError::Refused(_))), "what it cannot say is refused: {told:?}");
}

#[tokio::test]
async fn how_long_it_is_hidden_and_kept_is_said_in_seconds() {
    let sent = async |more: Value, envelope: Envelope| {
        let stub = working().await;
        storage(stub.url(), more)
            .publish(&[envelope])
            .await
            .remove(0)
            .map(|_| stub.requests()[0].uri.query().unwrap().replace("timeout=4", ""))
    };
    let after = |seconds: u64| Some(NOW + Duration::from_secs(seconds));
    let [late, brief] =
        [Envelope { run_after: Some(NOW + Duration::from_millis(59_100)), ..task("a") }, Envelope { expires: after(90), ..task("a") }];
    assert_eq!(sent(json!({}), late.clone()).await.unwrap(), "", "others have held it back");
    assert_eq!(sent(json!({ "visibility_timeout": true }), late.clone()).await.unwrap(), "&visibilitytimeout=60", "not earlier");
    assert_eq!(
        sent(json!({ "visibility_timeout": true, "time_to_live": 3600 }), late.clone()).await.unwrap(),
        "&visibilitytimeout=60&messagettl=3600"
    );
    assert_eq!(sent(json!({}), brief.clone()).await.unwrap(), "&messagettl=90");
    assert_eq!(sent(json!({ "time_to_live": 60 }), brief.clone()).await.unwrap(), "&messagettl=60");
    assert_eq!(sent(json!({ "time_to_live": -1 }), brief).await.unwrap(), "&messagettl=90");
    assert_eq!(sent(json!({}), Envelope { expires: after(30 * 86400), ..task("a") }).await.unwrap(), "", "it is kept for a week");
    assert_eq!(sent(json!({ "time_to_live": -1 }), task("a")).await.unwrap(), "&messagettl=-1");
    let never = sent(json!({ "visibility_timeout": true }), Envelope { expires: after(60), ..late }).await;
    assert_eq!(never, Err(PublishError::Refused("Storage Queue: it expires before it is due".to_owned())));
    let longest = |more: Value| storage("http://x", more).limits().delay.as_secs();
    assert_eq!((longest(json!({})), longest(json!({ "visibility_timeout": true }))), (0, 7 * 86400 - 1));
    assert_eq!(
        (
            longest(json!({ "visibility_timeout": true, "time_to_live": 60 })),
            longest(json!({ "visibility_timeout": true, "time_to_live": -1 }))
        ),
        (59, 7 * 86400)
    );
}

#[tokio::test]
async fn a_message_is_as_large_as_it_is_sent() {
    let stub = working().await;
    let of = |text: String| Envelope { kwargs: to_raw_value(&text).ok(), ..task("a") };
    let [plain, marked] = [of("x".repeat(60_000)), of("&".repeat(20_000))];
    let answers = storage(stub.url(), json!({})).publish(&[plain.clone(), marked]).await;
    assert!(answers[0].is_ok());
    assert_eq!(answers[1], Err(PublishError::TooLarge { limit: 65_536 }), "each & is five characters");
    assert_eq!(
        storage(stub.url(), json!({ "encoding": "base64" })).publish(&[plain]).await[0],
        Err(PublishError::TooLarge { limit: 49_152 })
    );
    assert_eq!(stub.requests().len(), 1);
}

#[tokio::test]
async fn failures_are_told_apart_in_words() {
    type Told = fn(String) -> PublishError;
    for (status, code, message, told) in [
        (403, "AuthenticationFailed", "Server failed to authenticate the request.", PublishError::Misconfigured as Told),
        (403, "AuthorizationPermissionMismatch", "This request is not authorized to perform this operation.", PublishError::Misconfigured),
        (404, "QueueNotFound", "The specified queue does not exist.", PublishError::Misconfigured),
        (409, "QueueBeingDeleted", "The specified queue is being deleted.", PublishError::Unavailable),
        (400, "OutOfRangeQueryParameterValue", "One of the query parameters is out of range.", PublishError::Refused),
        (503, "ServerBusy", "The server is busy.", PublishError::Unavailable),
        (500, "OperationTimedOut", "The operation could not be completed within the permitted time.", PublishError::OutcomeUnknown),
        (500, "InternalError", "The server encountered an internal error.", PublishError::OutcomeUnknown),
    ] {
        let stub = Stub::always(&refusal(status, code, message)).await;
        let error = storage(stub.url(), json!({})).publish(&[task("a")]).await.remove(0).unwrap_err();
        let text = format!("Storage Queue answered HTTP {status} {code}: {}", message.trim_end_matches('.'));
        assert_eq!(error, told(text));
        assert_eq!(stub.requests().len(), 1, "what may be there is not sent again");
    }
    let stub = Stub::always(&refusal(413, "RequestBodyTooLarge", "The request body is too large.")).await;
    assert_eq!(storage(stub.url(), json!({})).publish(&[task("a")]).await[0], Err(PublishError::TooLarge { limit: 65_536 }));
    let refused = storage("http://127.0.0.1:1", json!({})).publish(&[task("a")]).await.remove(0).unwrap_err();
    assert!(matches!(&refused, PublishError::Unavailable(why) if why.contains("127.0.0.1:1")), "{refused:?}");
    // One does not stop the others.
    let stub = Stub::start(|request| {
        let taken = request.uri.path().contains("tasks");
        if taken {
            Answer::Reply(201, Vec::new(), String::new())
        } else {
            refusal(404, "QueueNotFound", "The specified queue does not exist.")
        }
    })
    .await;
    let answers = storage(stub.url(), json!({}))
        .publish(&[task("a"), Envelope { destination: Some("gone".to_owned()), ..envelope("b") }, task("c")])
        .await;
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}

#[tokio::test]
async fn the_check_tells_what_it_may_know() {
    let told = async |answer: Answer| {
        let stub = Stub::always(&answer).await;
        let told = storage(stub.url(), json!({})).check().await;
        assert_eq!(stub.requests()[0].uri, "/shop/tasks?comp=metadata");
        told.map_err(|error| error.to_string())
    };
    assert_eq!(told(Answer::Reply(200, Vec::new(), String::new())).await, Ok(()));
    assert_eq!(told(refusal(403, "AuthorizationPermissionMismatch", "No.")).await, Ok(()), "who may only add messages is known");
    assert_eq!(
        told(refusal(404, "QueueNotFound", "No.")).await.unwrap_err(),
        "misconfigured: Storage Queue answered HTTP 404 QueueNotFound: No"
    );
    assert!(told(refusal(403, "AuthenticationFailed", "No.")).await.is_err());
}

struct Ours;

impl TokenCredential for Ours {
    fn token<'a>(&'a self, scope: &'a str) -> BoxFuture<'a, Result<Issued, DeliveryError>> {
        assert_eq!(scope, "https://storage.azure.com/.default");
        Box::pin(async { Ok(Issued::ending_in(Duration::from_secs(3600), Secret::new("ours"))) })
    }
}

#[tokio::test]
async fn a_signature_goes_with_the_url_and_a_token_with_a_header() {
    let stub = working().await;
    let signed = format!("QueueEndpoint={}/shop;SharedAccessSignature=?sv=2024-11-04&sp=a&sig=a%2Bb%3D", stub.url());
    try_storage(&json!({ "STORAGE_ACCOUNT_CONNECTION_STRING": signed })).unwrap().publish(&[task("a")]).await.remove(0).unwrap();
    let options = Fields::value::<Options>(&json!({ "STORAGE_ACCOUNT_URL": stub.url() }).to_string()).unwrap();
    StorageQueue::with_credential(options, Arc::new(Ours), &init()).unwrap().publish(&[task("a")]).await.remove(0).unwrap();
    let [signed, token] = stub.requests().try_into().unwrap();
    assert_eq!(signed.uri, "/shop/tasks/messages?timeout=4&sv=2024-11-04&sp=a&sig=a%2Bb%3D");
    assert!(!signed.headers.contains_key("authorization"));
    assert_eq!(
        (token.uri.to_string().as_str(), &token.headers["authorization"]),
        ("/tasks/messages?timeout=4", &"Bearer ours".parse().unwrap())
    );
}

#[test]
fn options_are_checked() {
    let told = |options: Value| try_storage(&options).err().map(|error| error.to_string()).unwrap_or_default();
    let with = |name: &str, value: Value| json!({ "connection_string": connection_string("http://x"), name: value });
    assert_eq!(told(json!({})), "/connection_string: is required");
    assert_eq!(
        told(json!({ "connection_string": "AccountName=hunter2" })),
        "/connection_string: expected AccountName and AccountKey in it, or SharedAccessSignature"
    );
    assert!(
        told(json!({ "account_url": "https://x.queue.core.windows.net" }))
            .starts_with("/account_url: there is no credential for it: client secret: ")
    );
    assert!(
        told(json!({ "account_url": "https://x.queue.core.windows.net?sig=hunter2" }))
            .starts_with("/account_url: expected an http or https URL")
    );
    assert_eq!(told(with("encoding", json!("base64"))), "");
    assert!(told(with("encoding", json!("hex"))).starts_with("/encoding: "));
    assert_eq!(told(with("time_to_live", json!(0))), "/time_to_live: expected 1 second or more, or -1");
    assert!(told(with("visibility", json!(true))).starts_with("/visibility: "));
    let storage = storage("http://x", json!({}));
    for name in ["ab", "Tasks", "a--b", "-ab", "ab-", "a_b", &"x".repeat(64)] {
        assert!(storage.takes(name).is_err(), "{name}");
    }
    assert!(storage.takes("tasks-7").is_ok());
}
