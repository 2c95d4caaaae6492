//! Transport and queue against a service that speaks as SQS does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use errand_core::{
    Clock, DeadLetter, DeadLetters, Envelope, Environment, ErrorKind, Fields, ForeignMessage, Forward, Init, Message, OptionError,
    PublishError, Queue, Queues, Timestamp, Transport,
};
use errand_http::aws::{SdkConfig, sdk_config};
use errand_testkit::{
    Answer, Request, Stopped, Stub,
    transport::{conformance, envelope, failures, on_no_queue},
};
use errand_transport_sqs::{Options, SqsDeadLetters, SqsQueue, SqsTransport};
use serde_json::{Value, json};

fn settings(url: &str) -> (Environment, SdkConfig) {
    let env: Environment = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_ENDPOINT_URL", url),
        ("ERRAND_QUEUE_URL", "https://sqs/1/main"),
        ("ERRAND_QUEUES", r#"{"ordered":{"url":"https://sqs/1/ordered.fifo","dead_letter_url":"https://sqs/1/ordered-dead.fifo"}}"#),
        ("ERRAND_FOREIGN_QUEUES", r#"{"replies":"https://sqs/2/replies"}"#),
        ("ERRAND_DEAD_LETTER_URL", "https://sqs/1/dead"),
    ]
    .into_iter()
    .collect();
    let sdk = sdk_config(&env).unwrap();
    (env, sdk)
}

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn cx(env: &Environment, sdk: SdkConfig, now: Timestamp) -> Init {
    Init::default().with(sdk).with(Queues::from_env(env).unwrap()).with(Arc::new(Stopped(now)) as Arc<dyn Clock>)
}

fn transport(url: &str) -> SqsTransport {
    let (env, sdk) = settings(url);
    SqsTransport::own(&cx(&env, sdk, NOW)).unwrap()
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// Takes every message of a batch.
fn accept(request: &Request) -> Answer {
    let entries = body(request)["Entries"].as_array().cloned().unwrap_or_default();
    let sent: Vec<Value> = entries.iter().map(|entry| json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "" })).collect();
    Answer::Reply(
        200,
        vec![("content-type".to_owned(), "application/x-amz-json-1.0".to_owned())],
        json!({ "Successful": sent, "Failed": [] }).to_string(),
    )
}

#[tokio::test]
async fn a_thousand_go_in_a_hundred_calls() {
    let stub = Stub::start(accept).await;
    let thousand: Vec<Envelope> = (0..1000).map(|i| envelope(&format!("t{i}"))).collect();
    assert!(transport(stub.url()).publish(&thousand).await.iter().all(Result::is_ok));
    assert_eq!(stub.requests().len(), 100);
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_transport() {
    let working = Stub::start(accept).await;
    let failing = Stub::start(|_| Answer::json(503, r#"{"__type":"com.amazonaws.sqs#ServiceUnavailable"}"#)).await;
    let breaking_off = Stub::start(|_| Answer::BreakOff).await;
    conformance(&transport(working.url()), Some(on_no_queue())).await;
    failures(&transport(failing.url()), &transport("http://127.0.0.1:1"), &transport(breaking_off.url())).await;
}

#[tokio::test]
async fn messages_go_in_batches_of_ten_and_of_one_mebibyte() {
    let stub = Stub::start(accept).await;
    let large = |id: &str| Envelope { kwargs: Some(serde_json::value::to_raw_value(&"x".repeat(400_000)).unwrap()), ..envelope(id) };
    let mut batch: Vec<Envelope> = (0..25).map(|i| envelope(&format!("{i}"))).collect();
    batch.extend([large("a"), large("b"), large("c")]);
    assert!(transport(stub.url()).publish(&batch).await.iter().all(Result::is_ok));
    let mut sizes: Vec<usize> = stub.requests().iter().map(|request| body(request)["Entries"].as_array().unwrap().len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 7, 10, 10], "two large ones fit beside the five small ones, the third does not");
}

#[tokio::test]
async fn only_the_messages_that_failed_are_sent_again() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let stub = Stub::start(|request| {
        if CALLS.fetch_add(1, Ordering::SeqCst) > 0 {
            return accept(request);
        }
        let failed = json!([{ "Id": "1", "SenderFault": false, "Code": "InternalError" }, { "Id": "2", "SenderFault": true, "Code": "InvalidParameterValue" }]);
        Answer::json(200, &json!({ "Successful": [{ "Id": "0", "MessageId": "m", "MD5OfMessageBody": "0" }], "Failed": failed }).to_string())
    })
    .await;
    let answers = transport(stub.url()).publish(&[envelope("a"), envelope("b"), envelope("c")]).await;
    assert!(answers[0].is_ok() && answers[1].is_ok());
    assert_eq!(answers[2], Err(PublishError::Refused("SQS: InvalidParameterValue".to_owned())));
    let bodies: Vec<Value> =
        body(&stub.requests()[1])["Entries"].as_array().unwrap().iter().map(|entry| entry["MessageBody"].clone()).collect();
    assert_eq!(bodies, [errand_wire::encode(&envelope("b"))]);
}

#[tokio::test]
async fn a_call_that_fails_is_repeated_by_the_sdk_and_not_again() {
    let stub = Stub::start(|_| Answer::json(503, r#"{"__type":"com.amazonaws.sqs#ServiceUnavailable"}"#)).await;
    assert!(matches!(transport(stub.url()).publish(&[envelope("a")]).await[0], Err(PublishError::Unavailable(_))));
    assert_eq!(stub.requests().len(), 3);
}

#[tokio::test]
async fn a_key_service_that_throttles_is_no_fault_of_the_caller() {
    let stub =
        Stub::start(|_| Answer::json(200, r#"{"Successful":[],"Failed":[{"Id":"0","SenderFault":true,"Code":"KmsThrottled"}]}"#)).await;
    let answer = transport(stub.url()).publish(&[envelope("a")]).await.remove(0);
    assert_eq!(answer, Err(PublishError::Unavailable("SQS: KmsThrottled".to_owned())));
}

#[tokio::test]
async fn envelopes_for_several_queues_share_no_call_and_fill_theirs() {
    let stub = Stub::start(accept).await;
    let to = |i: usize| Envelope { queue: if i.is_multiple_of(2) { "default" } else { "ordered" }.to_owned(), ..envelope(&i.to_string()) };
    let batch: Vec<Envelope> = (0..20).map(to).collect();
    assert!(transport(stub.url()).publish(&batch).await.iter().all(Result::is_ok));
    assert_eq!(stub.requests().len(), 2);
}

#[tokio::test]
async fn a_fifo_queue_gets_its_batches_one_after_another() {
    // The first call has to be repeated: a second one that did not wait for it would overtake it.
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let stub = Stub::start(|request| {
        if CALLS.fetch_add(1, Ordering::SeqCst) == 0 {
            return Answer::json(503, r#"{"__type":"com.amazonaws.sqs#ServiceUnavailable"}"#);
        }
        accept(request)
    })
    .await;
    let batch: Vec<Envelope> = (0..30).map(|i| Envelope { queue: "ordered".to_owned(), ..envelope(&format!("{i:02}")) }).collect();
    assert!(transport(stub.url()).publish(&batch).await.iter().all(Result::is_ok));
    let accepted: Vec<String> = stub.requests()[1..]
        .iter()
        .flat_map(|request| body(request)["Entries"].as_array().unwrap().clone())
        .map(|entry| errand_wire::native::decode(entry["MessageBody"].as_str().unwrap(), "m").unwrap().id)
        .collect();
    assert_eq!(accepted, (0..30).map(|i| format!("{i:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_overtakes_what_a_fifo_queue_did_not_get() {
    let stub = Stub::start(|_| Answer::json(503, r#"{"__type":"com.amazonaws.sqs#ServiceUnavailable"}"#)).await;
    let batch: Vec<Envelope> = (0..30).map(|i| Envelope { queue: "ordered".to_owned(), ..envelope(&i.to_string()) }).collect();
    let answers = transport(stub.url()).publish(&batch).await;
    assert!(answers.len() == 30 && answers.iter().all(|answer| matches!(answer, Err(PublishError::Unavailable(_)))));
    assert_eq!(stub.requests().len(), 3, "the first batch, and twice again by the SDK");
}

#[tokio::test]
async fn delay_group_and_identity_are_what_each_kind_of_queue_takes() {
    let stub = Stub::start(accept).await;
    let tenant = Envelope { group: Some("tenant".to_owned()), run_after: Some(NOW + Duration::from_millis(4_500)), ..envelope("a") };
    let ordered = Envelope { queue: "ordered".to_owned(), ..tenant.clone() };
    assert!(transport(stub.url()).publish(&[tenant, ordered]).await.iter().all(Result::is_ok));
    let requests = stub.requests();
    let entry = |queue: &str| {
        let request = requests.iter().map(body).find(|body| body["QueueUrl"].as_str().unwrap().ends_with(queue)).unwrap();
        request["Entries"][0].clone()
    };
    let standard = entry("main");
    assert_eq!(
        (&standard["DelaySeconds"], &standard["MessageGroupId"], &standard["MessageDeduplicationId"]),
        (&json!(5), &json!("tenant"), &Value::Null)
    );
    let fifo = entry("ordered.fifo");
    assert_eq!((&fifo["DelaySeconds"], &fifo["MessageGroupId"]), (&Value::Null, &json!("tenant")));
    // An id that is sent again, since it was moved or is replayed, is no duplicate: SQS would drop it.
    let again = Stub::start(accept).await;
    let (env, sdk) = settings(again.url());
    let later = SqsTransport::own(&cx(&env, sdk, NOW + Duration::from_millis(1))).unwrap();
    assert!(later.publish(&[Envelope { queue: "ordered".to_owned(), ..envelope("a") }]).await[0].is_ok());
    let (first, second) = (fifo["MessageDeduplicationId"].as_str().unwrap(), body(&again.requests()[0]));
    assert!(first.len() == 64 && second["Entries"][0]["MessageDeduplicationId"] != first);
}

#[tokio::test]
async fn what_an_operator_must_mend_is_told_apart() {
    let stub =
        Stub::start(|_| Answer::json(403, r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"secret"}"#)).await;
    let answer = transport(stub.url()).publish(&[envelope("a")]).await.remove(0);
    assert_eq!(answer, Err(PublishError::Misconfigured("SQS: HTTP 403 AccessDeniedException".to_owned())));
    let huge = Envelope { kwargs: Some(serde_json::value::to_raw_value(&"x".repeat(1_100_000)).unwrap()), ..envelope("a") };
    assert!(matches!(transport(stub.url()).publish(&[huge]).await[0], Err(PublishError::TooLarge { .. })));
}

fn message(queue: &str) -> Message {
    Message {
        id: "m-1".to_owned(),
        receipt: "r-1".to_owned(),
        body: "{not json".to_owned(),
        attributes: BTreeMap::new(),
        receive_count: 1,
        sent_at: None,
        queue: queue.to_owned(),
        lane: None,
    }
}

#[tokio::test]
async fn a_message_is_hidden_on_its_own_queue_and_buried_with_its_reason() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"MessageId":"m"}"#)).await;
    let (env, sdk) = settings(stub.url());
    let queue = SqsQueue::new(&env, &sdk).unwrap();
    let message = Message { lane: Some("g".to_owned()), ..message("ordered") };
    queue.hide(&message, Duration::from_millis(76_001)).await.unwrap();
    let hidden = body(&stub.requests()[0]);
    assert_eq!(hidden, json!({ "QueueUrl": "https://sqs/1/ordered.fifo", "ReceiptHandle": "r-1", "VisibilityTimeout": 77 }));
    let letter = DeadLetter { kind: ErrorKind::Malformed, reason: "is not JSON".to_owned(), attempts: 0, id: None, task: None };
    queue.bury(&message, &letter).await.unwrap();
    let buried = body(&stub.requests()[1]);
    assert_eq!((&buried["QueueUrl"], &buried["MessageBody"]), (&json!("https://sqs/1/ordered-dead.fifo"), &json!("{not json")));
    assert_eq!(
        (&buried["MessageGroupId"], &buried["MessageDeduplicationId"]),
        (&json!("g"), &json!("m-1")),
        "its own dead letters keep order"
    );
    assert_eq!(buried["MessageAttributes"]["errand-queue"]["StringValue"], "ordered");
    assert_eq!(buried["MessageAttributes"]["errand-reason"]["StringValue"], "is not JSON");
    assert_eq!(buried["MessageAttributes"]["errand-kind"]["StringValue"], "malformed");
    let refusing = Stub::start(|_| Answer::json(400, r#"{"__type":"com.amazonaws.sqs#ReceiptHandleIsInvalid"}"#)).await;
    let (env, sdk) = settings(refusing.url());
    let error = SqsQueue::new(&env, &sdk).unwrap().hide(&message, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.to_string(), "SQS: HTTP 400 ReceiptHandleIsInvalid");
}

#[tokio::test]
async fn the_letters_of_all_queues_are_taken_and_each_is_changed_where_it_is() {
    let stub = Stub::start(|request| {
        let url = body(request)["QueueUrl"].as_str().unwrap_or_default().to_owned();
        if request.headers["x-amz-target"] != "AmazonSQS.ReceiveMessage" {
            return Answer::json(200, "{}");
        }
        let attributes = if url.ends_with(".fifo") {
            json!({ "errand-kind": { "DataType": "String", "StringValue": "rejected" }, "errand-queue": { "DataType": "String", "StringValue": "ordered" } })
        } else {
            json!({})
        };
        let message = json!({ "MessageId": url, "ReceiptHandle": format!("r of {url}"), "Body": "{}", "MessageAttributes": attributes });
        Answer::json(200, &json!({ "Messages": [message] }).to_string())
    })
    .await;
    let (env, sdk) = settings(stub.url());
    let letters = SqsDeadLetters::from_env(&env, &sdk).unwrap().unwrap();
    let taken = letters.take(Duration::from_secs(60)).await.unwrap();
    let mut queues: Vec<(&str, &str)> = taken.iter().map(|letter| (letter.queue.as_str(), letter.key.as_str())).collect();
    queues.sort_unstable();
    queues.dedup();
    assert_eq!(queues, [("default", "https://sqs/1/dead"), ("ordered", "https://sqs/1/ordered-dead.fifo")]);
    let before = stub.requests().len();
    letters.remove(&taken).await.unwrap();
    for request in &stub.requests()[before..] {
        let sent = body(request);
        let url = sent["QueueUrl"].as_str().unwrap();
        for entry in sent["Entries"].as_array().unwrap() {
            assert_eq!(entry["ReceiptHandle"], format!("r of {url}"));
        }
    }
    assert_eq!(stub.requests().len(), before + 2);
}

#[tokio::test]
async fn what_follows_may_go_to_others_queues_and_a_task_may_not() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"MessageId":"m"}"#)).await;
    let message = ForeignMessage { id: "a".to_owned(), queue: "replies".to_owned(), group: None, body: "b".to_owned() };
    transport(stub.url()).forward(&message).await.unwrap();
    assert_eq!(body(&stub.requests()[0])["QueueUrl"], "https://sqs/2/replies");
    let answer = transport(stub.url()).publish(&[Envelope { queue: "replies".to_owned(), ..envelope("a") }]).await.remove(0);
    assert_eq!(answer, Err(PublishError::Refused("there is no queue of this name; there are: default, ordered".to_owned())));
}

#[tokio::test]
async fn an_alias_is_to_others_queues_and_none_of_its_own() {
    let stub = Stub::start(accept).await;
    let (env, sdk) = settings(stub.url());
    let cx = cx(&env, sdk, NOW);
    let made = |options: &str| SqsTransport::new("partner", Fields::value(options).unwrap(), &cx);
    let theirs = r#"{"url":"https://sqs/3/theirs","queues":{"slow":"https://sqs/3/slow"},"region":"us-east-1"}"#;
    let to = |queue: &str| Envelope { destination: Some(queue.to_owned()), ..envelope("a") };
    let partner = made(theirs).unwrap();
    let answers = partner.publish(&[to("default"), to("slow"), to("ordered")]).await;
    assert!(answers[0].is_ok() && answers[1].is_ok());
    assert_eq!(answers[2], Err(PublishError::Refused("there is no queue of this name; there are: default, slow".to_owned())));
    let mut urls: Vec<Value> = stub.requests().iter().map(|request| body(request)["QueueUrl"].clone()).collect();
    urls.sort_by_key(ToString::to_string);
    assert_eq!(urls, ["https://sqs/3/slow", "https://sqs/3/theirs"]);
    assert!(partner.takes("slow").is_ok() && partner.takes("ordered").unwrap_err().ends_with("there are: default, slow"));
    let slow = stub.requests().iter().map(body).find(|body| body["QueueUrl"] == "https://sqs/3/slow").unwrap();
    let sent: Value = serde_json::from_str(slow["Entries"][0]["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(sent, json!({ "task": "email", "id": "a", "queue": "slow" }), "there it belongs on that queue");
    assert!(stub.requests().iter().all(|request| request.headers["authorization"].to_str().unwrap().contains("/us-east-1/sqs/")));
    let wrong = Fields::value::<Options>(r#"{"format":"celery"}"#).err().unwrap().to_string();
    assert!(wrong.starts_with("/format: expected one of native, cloudevents, django-tasks, django-notifs"), "{wrong}");
    let for_django = made(r#"{"url":"https://sqs/3/theirs","format":"django-tasks"}"#).unwrap();
    assert!(for_django.publish(&[to("default")]).await[0].is_ok());
    let sent = body(stub.requests().last().unwrap())["Entries"][0]["MessageBody"].clone();
    assert_eq!(sent, r#"{"task":"email","args":[],"kwargs":{}}"#);
    for (wrong, told) in [
        ("{}", "/url: is required: the URL of the queue that tasks go to"),
        (r#"{"url":"main"}"#, "/url: expected the URL of a queue, such as"),
        (r#"{"url":"https://sqs/3/x","queues":{"a b":"https://sqs/3/y"}}"#, "/queues/a b: expected the name of a queue"),
        (r#"{"url":"https://sqs/1/main"}"#, "default is a queue of this deployment's own: a task names it as its queue"),
        (r#"{"url":"https://sqs/3/x","queues":{"o":"https://sqs/1/ordered.fifo"}}"#, "o is a queue of this deployment's own"),
    ] {
        let error = made(wrong).err().unwrap();
        assert!(matches!(&error, OptionError::Options(problems) if problems.to_string().starts_with(told)), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs SQS at TEST_AWS_ENDPOINT"]
async fn it_keeps_the_contract_of_dead_letters() {
    let endpoint = std::env::var("TEST_AWS_ENDPOINT").unwrap();
    let vars =
        [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_ENDPOINT_URL", &endpoint)];
    let sdk = sdk_config(&vars.into_iter().collect()).unwrap();
    let made = aws_sdk_sqs::Client::new(&sdk).create_queue().queue_name(format!("dead-{}", std::process::id())).send().await.unwrap();
    let url = made.queue_url.unwrap();
    let env: Environment = vars.into_iter().chain([("ERRAND_QUEUE_URL", "https://sqs/1/main"), ("ERRAND_DEAD_LETTER_URL", &url)]).collect();
    let queue = SqsQueue::new(&env, &sdk).unwrap();
    let bury = async |body: &str| {
        let (reason, task) = ("HTTP 400".to_owned(), Some("email".to_owned()));
        let letter = DeadLetter { kind: ErrorKind::Rejected, reason, attempts: 2, id: Some("a".to_owned()), task };
        queue.bury(&Message { body: body.to_owned(), ..message("default") }, &letter).await.unwrap();
    };
    errand_testkit::dead_letters::conformance(&SqsDeadLetters::from_env(&env, &sdk).unwrap().unwrap(), bury).await;
}
