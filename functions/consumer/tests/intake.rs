//! Messages that take more than reading: invocations without a queue, what SNS has signed, what is in S3.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod env;

use std::sync::{Arc, Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use env::env;
use errand_consumer::{Consumer, Function};
use errand_core::{
    Attempt, DeliveryError, DynForeignObjects, Environment, ErrorKind, Fields, ForeignObjects, Init, Message, Payload, Provider, Receipt,
    Registry, SettingsError, StorageError, Timestamp,
};
use errand_testkit::{Answer, Stub};
use lambda_runtime::{Context, LambdaEvent};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json, value::to_raw_value};

/// Whatever it is.
struct Anything(Value);

impl Payload for Anything {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.deserialize().map(Self)
    }
}

/// Keeps what it is given, and fails where that says so.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<(String, Value)>>>);

impl Provider for Kept {
    const NAME: &'static str = "kept";
    const TASKS: &'static [&'static str] = &["keep"];
    type Payload = Anything;

    fn new(_: &Environment, _: &Init) -> Result<Self, SettingsError> {
        Ok(Self::default())
    }

    async fn deliver(&self, Anything(payload): Anything, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        let fails = payload["fail"] == true;
        self.0.lock().unwrap().push((attempt.key.clone(), payload));
        if fails { Err(DeliveryError::new(ErrorKind::Unavailable, "HTTP 503")) } else { Ok(Receipt::default()) }
    }
}

struct World {
    sqs: Stub,
    kept: Kept,
    function: Arc<Function>,
}

impl World {
    async fn with(vars: &[(&str, &str)], change: impl FnOnce(&mut Consumer)) -> Self {
        let sqs = Stub::start(|request| {
            let batch = String::from_utf8_lossy(&request.body).contains("Entries");
            let sent = json!({ "Successful": [{ "Id": "0", "MessageId": "m" }, { "Id": "1", "MessageId": "m" }], "Failed": [] });
            Answer::json(200, &if batch { sent.to_string() } else { json!({ "MessageId": "m" }).to_string() })
        })
        .await;
        let env = env(&[&[("AWS_ENDPOINT_URL", sqs.url())], vars].concat());
        let kept = Kept::default();
        let mut function = Function::from_env(&env, |registry: &mut Registry, _, _| {
            registry.insert(kept.clone());
            Ok(())
        })
        .unwrap();
        change(&mut function.consumer);
        Self { sqs, kept, function: Arc::new(function) }
    }

    async fn new() -> Self {
        Self::with(&[], |_| {}).await
    }

    /// Invokes the function without a queue; answers whether it has to be invoked again.
    async fn invoke(&self, event: &Value) -> bool {
        let mut context = Context::default();
        context.deadline = u64::try_from(Timestamp::now().millis()).unwrap() + 30_000;
        context.request_id = "request-1".to_owned();
        Arc::clone(&self.function).invoke(LambdaEvent::new(to_raw_value(event).unwrap(), context)).await.is_err()
    }

    /// Takes one message from a queue; answers whether it stays.
    async fn take(&self, body: &str) -> bool {
        let message = Message { id: "m-1".to_owned(), receipt: "r".to_owned(), ..errand_wire::lambda::message(body.to_owned()) };
        !self.function.consumer.handle(vec![message], Timestamp::now() + std::time::Duration::from_secs(30)).await.is_empty()
    }

    fn delivered(&self) -> Vec<(String, Value)> {
        self.kept.0.lock().unwrap().clone()
    }

    /// The reasons of dead letters.
    fn reasons(&self) -> Vec<String> {
        let body = |request: &errand_testkit::Request| serde_json::from_slice::<Value>(&request.body).unwrap();
        let reason = |body: Value| Some(body["MessageAttributes"]["errand-reason"]["StringValue"].as_str()?.to_owned());
        self.sqs.requests().iter().map(body).filter_map(reason).collect()
    }
}

#[tokio::test]
async fn a_function_that_is_invoked_without_a_queue_does_the_same() {
    let world = World::new().await;
    assert!(!world.invoke(&json!({ "task": "keep", "args": [], "kwargs": { "n": 1 } })).await);
    assert!(!world.invoke(&json!({ "detail-type": "keep", "source": "my.app", "id": "event-1", "detail": { "n": 2 } })).await);
    let sns = |n: u8| {
        json!({ "EventSource": "aws:sns", "Sns": {
            "Type": "Notification", "MessageId": format!("sns-{n}"), "TopicArn": "arn:x", "Subject": null, "Timestamp": "2026-11-20T12:00:00Z",
            "Message": json!({ "task": "keep", "kwargs": { "n": n } }).to_string(), "MessageAttributes": {},
        } })
    };
    assert!(!world.invoke(&json!({ "Records": [sns(3), sns(4)] })).await);
    let ids: Vec<String> = world.delivered().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["request-1", "event-1", "sns-3", "sns-4"], "Lambda keeps the id of an invocation that it tries again");
    assert!(world.sqs.requests().is_empty());
}

#[tokio::test]
async fn lambda_tries_again_what_failed_and_nothing_that_never_can_succeed() {
    let world = World::new().await;
    assert!(world.invoke(&json!({ "task": "keep", "args": [], "kwargs": { "fail": true } })).await);
    assert!(world.sqs.requests().is_empty(), "there is no message to hide");
    assert!(!world.invoke(&json!({ "what": "is this?" })).await);
    assert_eq!(world.reasons(), ["/task: is required: the name of what to do"]);
}

#[tokio::test]
async fn what_comes_early_without_a_queue_goes_onto_one() {
    let world = World::new().await;
    let run_after = (Timestamp::now() + std::time::Duration::from_secs(7200)).to_string();
    assert!(!world.invoke(&json!({ "task": "keep", "kwargs": {}, "run_after": run_after })).await);
    let sent: Value = serde_json::from_slice(&world.sqs.requests()[0].body).unwrap();
    assert_eq!(sent["Entries"][0]["DelaySeconds"], 900);
    assert!(sent["Entries"][0]["MessageBody"].as_str().unwrap().contains(&run_after));
    assert!(world.delivered().is_empty());
}

#[tokio::test]
async fn the_parts_of_a_batch_of_events_become_messages_of_their_own() {
    let world = World::new().await;
    let event = |id: &str| json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "keep" });
    assert!(!world.take(&json!([event("1"), event("2")]).to_string()).await);
    let sent: Value = serde_json::from_slice(&world.sqs.requests()[0].body).unwrap();
    assert_eq!(sent["Entries"].as_array().unwrap().len(), 2);
    assert!(!world.take(r#"{"Event":"s3:TestEvent","Bucket":"b"}"#).await);
    assert_eq!(world.sqs.requests().len(), 1, "a test event is acknowledged, and that is all");
}

/// A message as SNS signs it: `signature` is of the text that is made of `message`.
fn notification(message: &str, certificate_url: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let text = format!(
        "Message\n{message}\nMessageId\nsns-1\nSubject\nHello\nTimestamp\n2026-11-20T12:00:00.000Z\nTopicArn\narn:x\nType\nNotification\n"
    );
    json!({
        "Type": "Notification", "MessageId": "sns-1", "TopicArn": "arn:x", "Subject": "Hello", "Message": message,
        "Timestamp": "2026-11-20T12:00:00.000Z", "SignatureVersion": "2", "SigningCertURL": certificate_url,
        "Signature": STANDARD.encode(sign(text.as_bytes())),
    })
    .to_string()
}

fn signature(text: &[u8]) -> Vec<u8> {
    let key = RsaKeyPair::from_pkcs8(include_bytes!("sns/key.pk8")).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).unwrap();
    signature
}

#[tokio::test]
async fn what_sns_has_signed_is_taken_and_what_only_says_so_is_a_dead_letter() {
    let certificates = Stub::start(|_| Answer::json(200, include_str!("sns/certificate.pem"))).await;
    let world = World::with(&[("ERRAND_SNS_VERIFY", "on"), ("AWS_ENDPOINT_URL_SNS", certificates.url())], |_| {}).await;
    let url = format!("{}/certificate.pem", certificates.url());
    let task = r#"{"task":"keep","args":[],"kwargs":{"n":1}}"#;
    for _ in 0..2 {
        assert!(!world.take(&notification(task, &url, signature)).await);
    }
    assert_eq!((world.delivered().len(), certificates.requests().len()), (2, 1), "a certificate is fetched once");
    let forged = notification(task, &url, signature).replace("Hello", "hello");
    assert!(!world.take(&forged).await);
    assert!(!world.take(&notification(task, &url, |_| vec![7; 256])).await);
    assert!(!world.take(&notification(task, "https://evil.example/certificate.pem", signature)).await);
    let unsigned = notification(task, &url, |_| Vec::new());
    assert!(!world.take(&unsigned).await);
    let of_version_1 = notification(task, &url, signature).replace(r#""SignatureVersion":"2""#, r#""SignatureVersion":"1""#);
    assert!(!world.take(&of_version_1).await, "a signature with SHA-256 is none with SHA-1");
    assert_eq!(world.delivered().len(), 2);
    let reasons = world.reasons();
    assert_eq!(reasons.len(), 5, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|reason| *reason == "sns: is not what SNS has signed").count(), 3);
    assert!(reasons.contains(&"sns: names a certificate that is not at SNS".to_owned()));
    assert!(!world.take(task).await, "what does not come from a topic is not signed");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_had_now_leaves_the_message_where_it_is() {
    let certificates = Stub::start(|_| Answer::json(503, "")).await;
    let world = World::with(&[("ERRAND_SNS_VERIFY", "on"), ("AWS_ENDPOINT_URL_SNS", certificates.url())], |_| {}).await;
    assert!(world.take(&notification(r#"{"task":"keep"}"#, &format!("{}/x.pem", certificates.url()), signature)).await);
    assert!(world.reasons().is_empty());
}

/// One object, and a bucket that does not answer.
struct Bucket;

impl ForeignObjects for Bucket {
    async fn fetch(&self, bucket: &str, key: &str) -> Result<Option<String>, StorageError> {
        match (bucket, key) {
            ("big", "one") => Ok(Some(format!(r#"{{"task":"keep","args":[],"kwargs":{{"text":"{}"}}}}"#, "x".repeat(2_000_000)))),
            ("big", "pointer") => Ok(Some(pointer("big", "one"))),
            ("big", _) => Ok(None),
            _ => Err(StorageError("S3: HTTP 503".to_owned())),
        }
    }
}

fn pointer(bucket: &str, key: &str) -> String {
    json!(["software.amazon.payloadoffloading.PayloadS3Pointer", { "s3BucketName": bucket, "s3Key": key }]).to_string()
}

#[tokio::test]
async fn what_an_extended_client_has_put_into_s3_is_fetched() {
    let objects: Arc<dyn DynForeignObjects> = Arc::new(Bucket);
    let world = World::with(&[], |consumer| consumer.intake.objects = Some(objects)).await;
    assert!(!world.take(&pointer("big", "one")).await);
    assert_eq!(world.delivered()[0].1["text"].as_str().unwrap().len(), 2_000_000);
    assert!(world.take(&pointer("elsewhere", "one")).await, "S3 does not answer: later");
    assert!(!world.take(&pointer("big", "gone")).await);
    assert!(!world.take(&pointer("big", "pointer")).await);
    assert_eq!(
        world.reasons(),
        ["extended-client: the object that holds the body is gone", "extended-client: the object is a pointer itself"]
    );
    let without = World::with(&[], |consumer| consumer.intake.objects = None).await;
    assert!(without.take(&pointer("big", "one")).await, "an operator can mend it");
}

#[test]
fn a_wrong_setting_is_named() {
    let with = |name, value| Function::from_env(&env(&[(name, value)]), |_, _, _| Ok(())).err().unwrap().to_string();
    assert_eq!(with("ERRAND_SNS_VERIFY", "yes"), "ERRAND_SNS_VERIFY: expected on or off");
}

/// What reaches the queue of a text that is published to a topic.
fn published(topic: &str, subject: &str, message: &str) -> String {
    json!({
        "Type": "Notification", "MessageId": "sns-1", "TopicArn": format!("arn:aws:sns:eu-west-1:123456789012:{topic}"), "Subject": subject,
        "Message": message, "Timestamp": "2026-11-20T10:07:07.287Z", "SignatureVersion": "1", "Signature": "EXAMPLE==",
    })
    .to_string()
}

#[tokio::test]
async fn a_notice_is_done_by_its_route_and_is_a_dead_letter_at_once_without_one() {
    let budget = published("billing", "AWS Budgets: Monthly", "Dear AWS Customer,\nthe ACTUAL Cost is $82.41.");
    let world = World::new().await;
    assert!(!world.take(&budget).await);
    assert_eq!(world.reasons(), ["no route takes the notice: name sns.billing in ERRAND_ROUTES, and replay it"]);
    for routes in [r#"{"sns.billing":{"task":"keep"}}"#, r#"{"sns.*":{"task":"keep"}}"#, r#"{"*":{"task":"keep"}}"#] {
        let world = World::with(&[("ERRAND_ROUTES", routes)], |_| {}).await;
        assert!(!world.take(&budget).await);
        let kwargs = json!({
            "subject": "AWS Budgets: Monthly", "message": "Dear AWS Customer,\nthe ACTUAL Cost is $82.41.",
            "topic": "arn:aws:sns:eu-west-1:123456789012:billing", "attributes": {},
        });
        assert_eq!(world.delivered(), [("sns-1".to_owned(), kwargs)], "{routes}");
        assert_eq!(world.reasons(), Vec::<String>::new(), "{routes}");
    }
    let bounce = json!({ "notificationType": "Bounce", "bounce": { "bounceType": "Permanent" }, "mail": { "messageId": "1" } });
    let world =
        World::with(&[("ERRAND_ROUTES", r#"{"ses.Bounce":{"task":"keep","payload":{"kind":"/kwargs/bounce/bounceType"}}}"#)], |_| {}).await;
    assert!(!world.take(&published("ses", "", &bounce.to_string())).await && !world.take(&bounce.to_string()).await);
    assert_eq!(
        world.delivered(),
        [("sns-1".to_owned(), json!({ "kind": "Permanent" })), ("m-1".to_owned(), json!({ "kind": "Permanent" }))]
    );
}

/// The setting of the documentation, as a shell would read it.
fn documented(setting: &str) -> &'static str {
    let mut lines = include_str!("../../../docs/senders.md").lines();
    lines.find_map(|line| line.strip_prefix(setting)?.strip_prefix("='")?.strip_suffix('\'')).unwrap()
}

#[tokio::test]
async fn alarms_of_a_topic_go_to_a_channel_by_one_line_of_settings() {
    let slack = Stub::start(|_| Answer::json(200, r#"{"ok":true,"channel":"C1","ts":"1.2"}"#)).await;
    let env = env(&[("ERRAND_SLACK_TOKEN", "xoxb-1"), ("ERRAND_SLACK_URL", slack.url()), ("ERRAND_ROUTES", documented("ERRAND_ROUTES"))]);
    let function = Function::from_env(&env, errand_consumer::providers).unwrap();
    let alarm = r#"{"AlarmName":"checkout-5xx","NewStateValue":"ALARM","OldStateValue":"OK","Trigger":{"Threshold":10.0}}"#;
    let body = published("alarms", "ALARM: \"checkout-5xx\" in EU (Ireland)", alarm);
    let message = Message { receipt: "r".to_owned(), ..errand_wire::lambda::message(body) };
    let kept = function.consumer.handle(vec![message], Timestamp::now() + std::time::Duration::from_secs(30)).await;
    assert!(kept.is_empty());
    let request = slack.requests().remove(0);
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        (request.uri.path(), &sent["channel"], &sent["text"]),
        ("/chat.postMessage", &json!("#ops"), &json!("checkout-5xx is ALARM"))
    );
}
