//! What needs no broker: options, a stand-in for SQS, and brokers that are not there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{Context, Envelope, Environment, Fields, Init, OptionError, PublishError, Timestamp, Transport};
use errand_http::{References, aws::sdk_config};
use errand_testkit::{
    Answer, Peer, Request, Stub,
    transport::{conformance, delayed, envelope, failures},
};
use errand_transport_celery::Celery;
use serde_json::{Value, json, value::to_raw_value};

fn init(url: &str) -> Init {
    let env: Environment =
        [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_ENDPOINT_URL", url)]
            .into_iter()
            .collect();
    errand_testkit::init().with(sdk_config(&env).unwrap())
}

fn celery_at(url: &str, options: &Value) -> Result<Celery, OptionError> {
    Celery::new("workers", Fields::value(&options.to_string())?, &init(url))
}

fn celery(options: &Value) -> Result<Celery, OptionError> {
    celery_at("http://127.0.0.1:1", options)
}

fn told(options: &Value) -> String {
    celery(options).err().map(|error| error.to_string()).unwrap_or_default()
}

/// With what an alias says beside where SQS is.
fn sqs(url: &str, more: &Value) -> Celery {
    let mut options = json!({ "broker_url": "sqs://", "broker_transport_options": { "predefined_queues": {
        "default": { "url": "https://sqs/1/default" }, "mail.high": { "url": "https://sqs/1/mail-high" }, "ordered": { "url": "https://sqs/1/ordered.fifo" },
    } } });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    celery_at(url, &options).unwrap()
}

fn entries(request: &Request) -> Vec<Value> {
    serde_json::from_slice::<Value>(&request.body).unwrap()["Entries"].as_array().cloned().unwrap_or_default()
}

/// Takes every message of a batch.
fn accept(request: &Request) -> Answer {
    let sent: Vec<Value> =
        entries(request).iter().map(|entry| json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "" })).collect();
    Answer::json(200, &json!({ "Successful": sent, "Failed": [] }).to_string())
}

/// kombu's message in what was sent to SQS.
fn message(entry: &Value) -> Value {
    serde_json::from_slice(&STANDARD.decode(entry["MessageBody"].as_str().unwrap()).unwrap()).unwrap()
}

#[test]
fn options_are_checked_each_in_its_place() {
    for (options, problem) in [
        (json!({ "broker_url": "redis://h/1", "exchange": "tasks", "routing_key": "a.b", "priority": 9, "eta": true }), ""),
        (json!({ "broker_url": "rediss://:p@h:6379/0?ssl_cert_reqs=required" }), ""),
        (json!({ "broker_url": "amqps://u:p@h:5671//", "priority": 200, "expires": 60, "headers": { "a": [1] } }), ""),
        (json!({ "broker_url": "pyamqp://guest@localhost//" }), ""),
        (json!({}), "/broker_url: is required"),
        (json!({ "broker_url": "redis://h", "surprise": 1 }), "/surprise: "),
        (json!({ "broker_url": "ssm:/celery" }), "/broker_transport: is required beside a reference"),
        (json!({ "broker_url": "ssm:/celery", "broker_transport": "sqs" }), "/broker_transport: is required beside a reference"),
        (json!({ "broker_url": "redis://h", "broker_transport": "redis" }), "/broker_transport: is said by the broker_url"),
        (json!({ "broker_url": "ssm:celery" }), "/broker_url: expected ssm:/"),
        (json!({ "broker_url": "kafka://hunter2" }), "/broker_url: expected a URL that begins with"),
        (json!({ "broker_url": "sqs://key:hunter2@" }), "/broker_url: expected sqs:// alone"),
        (json!({ "broker_url": "sqs://" }), "/broker_transport_options/predefined_queues: is required"),
        (json!({ "broker_url": "amqp://h/v?heartbeat=1" }), "/broker_url: expected a URL such as amqp://"),
        (json!({ "broker_url": "amqp://hunter2@:x" }), "/broker_url: expected a URL such as amqp://"),
        (json!({ "broker_url": "rediss://h?ssl_cert_reqs=none" }), "/broker_url: expected ssl_cert_reqs=required"),
        (json!({ "broker_url": "redis://h/hunter2" }), "/broker_url: expected a URL such as redis://"),
        (json!({ "broker_url": "redis://h", "priority": 10 }), "/priority: expected a number from 0 to 9"),
        (json!({ "broker_url": "redis://h", "priority": "high" }), "/priority: "),
        (json!({ "broker_url": "redis://h", "routing_key": "a" }), "/routing_key: needs an exchange"),
        (json!({ "broker_url": "redis://h", "exchange": "a\nb" }), "/exchange: expected up to 255 bytes"),
        (json!({ "broker_url": "redis://h", "headers": [] }), "/headers: "),
        (json!({ "broker_url": "redis://h", "format": "django-notifs" }), ""),
        (json!({ "broker_url": "redis://h", "format": "cloudevents" }), "/format: expected native or django-notifs"),
        (json!({ "broker_url": "redis://h", "result_backend": "db+sqlite://hunter2" }), "/result_backend: expected a URL such as redis://"),
        (json!({ "broker_url": "redis://h", "result_timeout": 60 }), "/result_timeout: needs a result_backend"),
        (
            json!({ "broker_url": "redis://h", "result_backend": "redis://h", "result_timeout": 700_000 }),
            "/result_timeout: expected seconds from 1 to 604800",
        ),
        (
            json!({ "broker_url": "redis://h", "broker_transport_options": { "priority_steps": [3, 0] } }),
            "/broker_transport_options/priority_steps: ",
        ),
        (
            json!({ "broker_url": "redis://h", "broker_transport_options": { "visibility_timeout": 0 } }),
            "/broker_transport_options/visibility_timeout: ",
        ),
        (json!({ "broker_url": "redis://h", "broker_transport_options": { "retry": 1 } }), "/broker_transport_options/retry: "),
        (
            json!({ "broker_url": "redis://h", "broker_transport_options": { "predefined_queues": { "a": { "url": "https://x" } } } }),
            "/broker_transport_options/predefined_queues: is for SQS alone",
        ),
        (
            json!({ "broker_url": "sqs://", "exchange": "x", "broker_transport_options": { "predefined_queues": { "a": { "url": "https://x" } } } }),
            "/exchange: expected none",
        ),
        (
            json!({ "broker_url": "sqs://", "broker_transport_options": { "predefined_queues": { "a": { "url": "celery" } } } }),
            "/broker_transport_options/predefined_queues/a/url: expected the URL",
        ),
    ] {
        let told = told(&options);
        assert!(if problem.is_empty() { told.is_empty() } else { told.starts_with(problem) }, "{options}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_transport_on_sqs() {
    let working = Stub::start(accept).await;
    let failing = Stub::start(|_| Answer::json(503, r#"{"__type":"com.amazonaws.sqs#ServiceUnavailable"}"#)).await;
    let breaking_off = Stub::start(|_| Answer::BreakOff).await;
    let elsewhere = Envelope { destination: Some("no-such-queue".to_owned()), ..envelope("unknown") };
    conformance(&sqs(working.url(), &json!({})), Some(elsewhere)).await;
    let [failing, nobody, breaking_off] = [failing.url(), "http://127.0.0.1:1", breaking_off.url()].map(|url| sqs(url, &json!({})));
    failures(&failing, &nobody, &breaking_off).await;
}

#[test]
fn an_alias_has_the_queues_that_the_broker_can_have() {
    let celery = sqs("http://127.0.0.1:1", &json!({}));
    assert_eq!(celery.takes("mail.high"), Ok(()));
    assert_eq!(celery.takes("celery").unwrap_err(), "there is no queue of this name; there are: default, mail.high, ordered");
    let celery = self::celery(&json!({ "broker_url": "redis://h" })).unwrap();
    assert!(celery.takes("anything").is_ok() && celery.takes(&"x".repeat(256)).is_err());
}

#[tokio::test]
async fn a_task_goes_to_its_queue_of_sqs_in_base64() {
    let stub = Stub::start(accept).await;
    let grouped = |id: &str, queue: &str| Envelope { destination: Some(queue.to_owned()), group: Some("acme".to_owned()), ..envelope(id) };
    let sent = sqs(stub.url(), &json!({ "priority": 3, "headers": { "tenant": "a" } }))
        .publish(&[grouped("a", "mail.high"), grouped("b", "ordered"), envelope("c")])
        .await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    let find = |url: &str| {
        let requests = stub.requests();
        let request = requests.iter().find(|request| serde_json::from_slice::<Value>(&request.body).unwrap()["QueueUrl"] == url);
        entries(request.unwrap()).remove(0)
    };
    let high = find("https://sqs/1/mail-high");
    let message = message(&high);
    assert_eq!((&high["MessageGroupId"], &high["DelaySeconds"]), (&json!("acme"), &Value::Null));
    assert_eq!(
        (&message["headers"]["id"], &message["headers"]["tenant"], &message["properties"]["priority"]),
        (&json!("a"), &json!("a"), &json!(3))
    );
    assert_eq!(message["properties"]["delivery_info"], json!({ "exchange": "", "routing_key": "mail.high" }));
    let ordered = find("https://sqs/1/ordered.fifo");
    assert!(ordered["MessageGroupId"] == "acme" && ordered["MessageDeduplicationId"].is_string());
    assert_eq!(self::message(&find("https://sqs/1/default"))["headers"]["id"], "c");
}

#[tokio::test]
async fn what_a_task_says_comes_before_the_options_and_nothing_else_is_read() {
    let stub = Stub::start(accept).await;
    let celery = sqs(stub.url(), &json!({ "priority": 3, "headers": { "tenant": "a", "n": 1 }, "expires": 60 }));
    let with = |context: Value| Envelope { context: Context::of(to_raw_value(&context).unwrap()), ..envelope("a") };
    let said =
        with(json!({ "workers": { "priority": 9, "headers": { "tenant": "b" } }, "celery": { "routing_key": "elsewhere" }, "other": 1 }));
    assert!(celery.publish(&[said]).await[0].is_ok());
    let sent = message(&entries(&stub.requests()[0])[0]);
    assert_eq!((&sent["properties"]["priority"], &sent["headers"]["tenant"], &sent["headers"]["n"]), (&json!(9), &json!("b"), &json!(1)));
    assert!(sent["headers"]["expires"].as_str().unwrap().ends_with("+00:00"));
    for (said, problem) in [
        (json!({ "priority": 10 }), "context/workers: /priority: expected a number from 0 to 9"),
        (json!({ "exchange": "x" }), "context/workers: /exchange: expected none"),
        (json!({ "surprise": 1 }), "context/workers: /surprise: "),
        (json!({ "headers": [] }), "context/workers: /headers: expected an object"),
        (json!(7), "context/workers: "),
    ] {
        let answer = celery.publish(&[with(json!({ "workers": said })), envelope("b")]).await;
        assert!(matches!(&answer[0], Err(PublishError::Refused(why)) if why.starts_with(problem)), "{said}: {answer:?}");
        assert!(answer[1].is_ok());
    }
}

#[tokio::test]
async fn workers_are_left_no_more_of_a_delay_than_is_safe() {
    let stub = Stub::start(accept).await;
    assert_eq!(sqs(stub.url(), &json!({})).limits().delay, Duration::ZERO, "Errand holds what is not due");
    let eta = sqs(stub.url(), &json!({ "eta": true }));
    assert_eq!(eta.limits().delay, Duration::from_secs(900), "half of kombu's 30 minutes");
    assert!(eta.publish(&[delayed("a", Duration::from_secs(600))]).await[0].is_ok());
    let entry = entries(&stub.requests()[0]).remove(0);
    let due: Timestamp = message(&entry)["headers"]["eta"].as_str().unwrap().parse().unwrap();
    assert!(due > Timestamp::now() + Duration::from_secs(590) && entry["DelaySeconds"].is_null());
    let on_redis = celery(&json!({ "broker_url": "redis://h", "eta": true, "broker_transport_options": { "visibility_timeout": 43_200 } }));
    assert_eq!(on_redis.unwrap().limits().delay, Duration::from_secs(21_600));
}

#[tokio::test]
async fn what_is_too_large_for_sqs_is_told_before_it_is_sent() {
    let stub = Stub::start(accept).await;
    let celery = sqs(stub.url(), &json!({}));
    let of = |bytes: usize| Envelope { kwargs: Some(to_raw_value(&json!({ "a": "x".repeat(bytes) })).unwrap()), ..envelope("a") };
    let limit = celery.limits().bytes;
    assert!(celery.publish(&[of(limit - 100)]).await[0].is_ok());
    assert!(entries(&stub.requests()[0])[0]["MessageBody"].as_str().unwrap().len() <= 1024 * 1024);
    assert_eq!(celery.publish(&[of(limit)]).await[0], Err(PublishError::TooLarge { limit }));
    assert_eq!(stub.requests().len(), 1);
}

#[tokio::test]
async fn where_the_broker_is_may_be_kept_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    for scheme in ["redis", "amqp"] {
        let options = json!({ "broker_url": format!("file:{}", file.display()), "broker_transport": scheme });
        let cx = init("http://127.0.0.1:1");
        let references = References::new(&Environment::default(), &cx).unwrap();
        let celery = Celery::new("workers", Fields::value(&options.to_string()).unwrap(), &cx.with(references)).unwrap();
        let Err(PublishError::Misconfigured(why) | PublishError::Unavailable(why)) = celery.check().await else { panic!("no file") };
        assert!(why.starts_with("broker_url: refers to a file that cannot be read"), "{why}");
        std::fs::write(&file, format!("{scheme}://user:hunter2@127.0.0.1:1\n")).unwrap();
        let answers = celery.publish(&[envelope("a")]).await;
        assert!(matches!(&answers[0], Err(PublishError::Unavailable(why)) if why.contains("the connection is refused")), "{answers:?}");
        std::fs::remove_file(&file).unwrap();
    }
}

#[tokio::test]
async fn a_broker_that_is_not_there_or_says_nothing_is_told_in_a_moment() {
    let silent = Peer::start(|_, talk| talk.listen());
    for (scheme, name) in [("redis", "Redis"), ("amqp", "RabbitMQ")] {
        for (address, what) in
            [("127.0.0.1:1".to_owned(), "the connection is refused"), (silent.address().to_string(), "does not answer in time")]
        {
            let celery = celery(&json!({ "broker_url": format!("{scheme}://user:hunter2@{address}") })).unwrap();
            let begun = std::time::Instant::now();
            let answers = celery.publish(&[envelope("a"), envelope("b")]).await;
            for answer in answers.into_iter().map(|answer| answer.map(drop)).chain([celery.check().await]) {
                let Err(PublishError::Unavailable(why)) = answer else { panic!("{scheme} {address}: {answer:?}") };
                assert!(why.starts_with(name) && why.contains(what), "{why}");
            }
            assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        }
    }
}
