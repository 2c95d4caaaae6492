//! The transport against a service that speaks as SNS does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use errand_core::{Context, Envelope, Environment, Fields, Init, Message, OptionError, PublishError, Transport};
use errand_http::aws::sdk_config;
use errand_testkit::{
    Answer, Request, Stub,
    aws::{Emulator, settings},
    init,
    transport::{conformance, envelope, failures},
};
use errand_transport_sns::SnsTransport;
use errand_wire::{Content, Decoded};
use serde_json::{json, value::to_raw_value};

const PREFIX: &str = "arn:aws:sns:us-east-1:123456789012:";

fn cx(env: Environment) -> Init {
    init().with(sdk_config(&env).unwrap()).with(env)
}

fn made(url: &str, options: &str) -> Result<SnsTransport, OptionError> {
    SnsTransport::new("news", Fields::value(options)?, &cx(settings(url)))
}

fn transport(url: &str) -> SnsTransport {
    made(url, &format!(r#"{{"AWS_SNS_ARN_PREFIX":"{PREFIX}","AWS_DEFAULT_TOPIC_NAME":"email-ingestor"}}"#)).unwrap()
}

fn to(id: &str, destination: &str) -> Envelope {
    Envelope { destination: Some(destination.to_owned()), ..envelope(id) }
}

type Form = BTreeMap<String, String>;

fn form(request: &Request) -> Form {
    form_urlencoded::parse(&request.body).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// The entries of a call, each by the names of its parameters.
fn entries(request: &Request) -> Vec<Form> {
    let form = form(request);
    let entry = |number: usize| {
        let prefix = format!("PublishBatchRequestEntries.member.{number}.");
        form.iter().filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.to_owned(), value.clone()))).collect::<Form>()
    };
    (1..).map(entry).take_while(|entry| !entry.is_empty()).collect()
}

fn ids(request: &Request) -> Vec<String> {
    entries(request).iter().map(|entry| errand_wire::native::decode(&entry["Message"], "m").unwrap().id).collect()
}

fn xml(body: &str) -> Answer {
    Answer::Reply(200, vec![("content-type".to_owned(), "text/xml".to_owned())], body.to_owned())
}

/// Takes every message of a batch.
fn accept(request: &Request) -> Answer {
    let sent: String =
        entries(request).iter().map(|entry| format!("<member><Id>{}</Id><MessageId>m-{0}</MessageId></member>", entry["Id"])).collect();
    told(&sent, "")
}

fn told(sent: &str, failed: &str) -> Answer {
    xml(&format!(
        r#"<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult><Failed>{failed}</Failed><Successful>{sent}</Successful></PublishBatchResult></PublishBatchResponse>"#
    ))
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>hunter2</Message></Error></ErrorResponse>");
    Answer::Reply(status, vec![("content-type".to_owned(), "text/xml".to_owned())], body)
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_transport() {
    let working = Stub::start(accept).await;
    let failing = Stub::always(&error(503, "InternalFailure")).await;
    let breaking_off = Stub::start(|_| Answer::BreakOff).await;
    conformance(&transport(working.url()), Some(to("unknown", "no topic's name"))).await;
    failures(&transport(failing.url()), &transport("http://127.0.0.1:1"), &transport(breaking_off.url())).await;
}

#[tokio::test]
async fn a_message_goes_to_the_topic_of_its_destination_by_a_signed_call() {
    let stub = Stub::start(accept).await;
    let named = format!(r#"{{"AWS_SNS_ARN_PREFIX":"{PREFIX}","topics":{{"mail":"email-ingestor","far":"arn:aws:sns:us-east-1:2:far"}}}}"#);
    let transport = made(stub.url(), &named).unwrap();
    let batch = [envelope("a"), to("b", "mail"), to("c", "far"), to("d", "orders"), to("e", "arn:aws:sns:us-east-1:3:own")];
    assert!(transport.publish(&batch).await.iter().all(Result::is_ok));
    let mut topics: Vec<String> = stub.requests().iter().map(|request| form(request)["TopicArn"].clone()).collect();
    topics.sort();
    let own = ["default", "email-ingestor", "orders"].map(|name| format!("{PREFIX}{name}"));
    assert_eq!(topics, [&own[..], &["arn:aws:sns:us-east-1:2:far", "arn:aws:sns:us-east-1:3:own"].map(str::to_owned)].concat());
    let request = stub.requests().remove(0);
    assert!(request.headers["authorization"].to_str().unwrap().contains("/us-east-1/sns/aws4_request"));
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!((form(&request)["Action"].as_str(), form(&request)["Version"].as_str()), ("PublishBatch", "2010-03-31"));
    let only_named = made(stub.url(), r#"{"topics":{"far":"arn:aws:sns:eu-west-1:2:far"}}"#).unwrap();
    let refused = "SNS: there is no topic for this queue; there are those for: far".to_owned();
    assert_eq!(only_named.publish(&[to("a", "near")]).await, [Err(PublishError::Refused(refused))]);
    assert!(only_named.publish(&[to("a", "far")]).await[0].is_ok());
    let last = stub.requests().pop().unwrap();
    assert!(last.headers["authorization"].to_str().unwrap().contains("/eu-west-1/sns/"), "where the topics are");
}

#[tokio::test]
async fn what_the_settings_say_is_taken_where_the_alias_says_nothing() {
    let stub = Stub::start(accept).await;
    let aws = [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_ENDPOINT_URL", stub.url())];
    let env: Environment = aws.into_iter().chain([("AWS_SNS_ARN_PREFIX", PREFIX), ("AWS_DEFAULT_TOPIC_NAME", "email-ingestor")]).collect();
    let transport = SnsTransport::new("news", Fields::value("{}").unwrap(), &cx(env)).unwrap();
    assert!(transport.publish(&[to("a", "default")]).await[0].is_ok());
    assert_eq!(form(&stub.requests()[0])["TopicArn"], format!("{PREFIX}email-ingestor"));
}

#[tokio::test]
async fn a_call_takes_ten_messages_and_256_kib_with_their_attributes() {
    let stub = Stub::start(accept).await;
    let large = |id: &str, size: usize| Envelope { kwargs: to_raw_value(&json!({ "x": "x".repeat(size) })).ok(), ..envelope(id) };
    let mut batch: Vec<Envelope> = (0..25).map(|i| envelope(&format!("{i}"))).collect();
    batch.extend([large("a", 100_000), large("b", 100_000), large("c", 100_000)]);
    assert!(transport(stub.url()).publish(&batch).await.iter().all(Result::is_ok));
    let mut sizes: Vec<usize> = stub.requests().iter().map(|request| entries(request).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 7, 10, 10], "two large ones fit beside the five small ones, the third does not");
    // Attributes count: what would fit without them does not.
    let body = errand_wire::encode(&large("d", 0)).len();
    let counted = "task".len() + "email".len() + "queue".len() + "default".len() + 2 * "String".len();
    let most = 256 * 1024 - body - counted;
    let limit = PublishError::TooLarge { limit: 256 * 1024 };
    let answers = transport(stub.url()).publish(&[large("d", most), large("e", most + 1)]).await;
    assert!(answers[0].is_ok() && answers[1] == Err(limit), "{answers:?}");
    let larger = made(stub.url(), &format!(r#"{{"AWS_SNS_ARN_PREFIX":"{PREFIX}","MaximumMessageSize":1048576}}"#)).unwrap();
    assert!(larger.publish(&[large("e", most + 1)]).await[0].is_ok(), "a topic may take more");
}

#[tokio::test]
async fn a_message_is_written_for_who_reads_it() {
    let stub = Stub::start(accept).await;
    let of = |format: &str| made(stub.url(), &format!(r#"{{"AWS_SNS_ARN_PREFIX":"{PREFIX}","format":{format}}}"#));
    let bulk = Envelope { kwargs: Fields::value("[{}]").ok(), context: Context { bulk: true, ..Context::default() }, ..envelope("b") };
    let answers = of(r#""django-tasks""#).unwrap().publish(&[envelope("a"), bulk]).await;
    assert!(answers[0].is_ok() && matches!(answers[1], Err(PublishError::Refused(_))), "what a form cannot say is refused: {answers:?}");
    assert_eq!(entries(&stub.requests()[0])[0]["Message"], r#"{"task":"email","args":[],"kwargs":{}}"#);
    let wrong = of(r#""celery""#).err().unwrap().to_string();
    assert!(wrong.starts_with("/format: expected one of native"), "{wrong}");
}

fn attributes(entry: &Form) -> Form {
    let of = |number: usize, part: &str| entry.get(&format!("MessageAttributes.entry.{number}.{part}")).cloned();
    (1..).map_while(|number| Some((of(number, "Name")?, of(number, "Value.StringValue")?))).collect()
}

fn said(attributes: &str) -> Context {
    Context::of(serde_json::value::RawValue::from_string(format!(r#"{{"sns":{{"attributes":{attributes}}}}}"#)).unwrap())
}

#[tokio::test]
async fn subscriptions_can_filter_by_task_queue_group_and_what_is_said() {
    let stub = Stub::start(accept).await;
    let options = format!(r#"{{"AWS_SNS_ARN_PREFIX":"{PREFIX}","attributes":{{"stage":"prod","kind":"any","task":"x"}}}}"#);
    let transport = made(stub.url(), &options).unwrap();
    let tenant = Envelope { group: Some("acme".to_owned()), context: said(r#"{"kind":"order","group":"x"}"#), ..envelope("a") };
    assert!(transport.publish(&[tenant]).await[0].is_ok());
    let entry = entries(&stub.requests()[0]).remove(0);
    let wanted = [("task", "email"), ("queue", "default"), ("group", "acme"), ("kind", "order"), ("stage", "prod")];
    assert_eq!(attributes(&entry), wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!((entry["MessageGroupId"].as_str(), entry.get("MessageDeduplicationId")), ("acme", None), "for fair queues");
    // With more than ten, SNS hands a message to no queue that takes it as it is; and what is no printable ASCII to nobody who filters.
    let many: BTreeMap<String, u8> = (0..9).map(|number| (format!("n{number}"), number)).collect();
    let many = serde_json::to_string(&many.iter().map(|(name, value)| (name, value.to_string())).collect::<BTreeMap<_, _>>()).unwrap();
    for (attributes, told) in [
        (many.as_str(), "SNS: a message has 10 attributes at most, task, queue and group among them"),
        (r#"{"kind":"a\tb"}"#, "/context/sns/attributes/kind: expected printable ASCII: SNS filters by nothing else"),
        (r#"{"kind":""}"#, "/context/sns/attributes/kind: expected printable ASCII"),
        (r#"{"kind":"é"}"#, "/context/sns/attributes/kind: expected printable ASCII"),
        (r#"{"AWS.kind":"a"}"#, "/context/sns/attributes/AWS.kind: expected the name of an attribute"),
        (r#"{"kind":7}"#, "/context/sns/attributes/kind: expected a string, got a number"),
    ] {
        let answer = transport.publish(&[Envelope { context: said(attributes), ..envelope("a") }]).await.remove(0);
        assert!(matches!(&answer, Err(PublishError::Refused(why)) if why.starts_with(told)), "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_refused_alone_stops_no_other_and_keeps_its_place() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let stub = Stub::start(|request| {
        if CALLS.fetch_add(1, Ordering::SeqCst) > 0 {
            return accept(request);
        }
        let sent = "<member><Id>2</Id><MessageId>m-2</MessageId></member>";
        let failed = "<member><Id>1</Id><Code>InternalError</Code><Message>x</Message><SenderFault>false</SenderFault></member>\
                      <member><Id>0</Id><Code>InvalidParameter</Code><Message>Invalid parameter: &apos;hunter2&apos; is wrong</Message>\
                      <SenderFault>true</SenderFault></member>";
        told(sent, failed)
    })
    .await;
    let answers = transport(stub.url()).publish(&["a", "b", "c", "d"].map(envelope)).await;
    assert_eq!(answers[0], Err(PublishError::Refused("SNS: InvalidParameter: Invalid parameter: … is wrong".to_owned())));
    assert_eq!(answers[1].as_ref().unwrap().message_id.as_deref(), Some("m-0"), "sent again, alone");
    assert_eq!(answers[2].as_ref().unwrap().message_id.as_deref(), Some("m-2"));
    assert_eq!(answers[3], Err(PublishError::unanswered()), "of which nothing was told");
    assert_eq!(ids(&stub.requests()[1]), ["b"]);
}

#[tokio::test]
async fn a_topic_that_keeps_order_knows_what_it_was_given_before() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let stub = Stub::start(|request| if CALLS.fetch_add(1, Ordering::SeqCst) == 0 { Answer::BreakOff } else { accept(request) }).await;
    let many: Vec<Envelope> = (0..25).map(|i| to(&format!("{i:02}"), "orders.fifo")).collect();
    assert!(transport(stub.url()).publish(&many).await.iter().all(Result::is_ok), "the answer that was lost came the second time");
    assert_eq!(ids(&stub.requests()[0]), ids(&stub.requests()[1]));
    let order: Vec<String> = stub.requests()[1..].iter().flat_map(ids).collect();
    assert_eq!(order, (0..25).map(|i| format!("{i:02}")).collect::<Vec<_>>(), "one call after another");
    let entry = entries(&stub.requests()[0]).remove(3);
    assert_eq!((entry["MessageGroupId"].as_str(), entry["MessageDeduplicationId"].as_str()), ("default", "03"));
    // Of another topic all would be there twice.
    for (destination, calls) in [("orders.fifo", 3), ("orders", 1)] {
        let stub = Stub::always(&Answer::BreakOff).await;
        assert!(matches!(transport(stub.url()).publish(&[to("a", destination)]).await[0], Err(PublishError::OutcomeUnknown(_))));
        assert_eq!(stub.requests().len(), calls, "{destination}");
        assert!(stub.requests().iter().all(|request| ids(request) == ["a"]));
    }
}

#[tokio::test]
async fn who_must_act_is_told_apart() {
    for (status, code, expected) in [
        (404, "NotFound", PublishError::Misconfigured("SNS answered HTTP 404 NotFound".to_owned())),
        (403, "AuthorizationError", PublishError::Misconfigured("SNS answered HTTP 403 AuthorizationError".to_owned())),
        (400, "KMSAccessDenied", PublishError::Misconfigured("SNS answered HTTP 400 KMSAccessDenied".to_owned())),
        (400, "BatchRequestTooLong", PublishError::Misconfigured("SNS answered HTTP 400 BatchRequestTooLong".to_owned())),
        (403, "InvalidClientTokenId", PublishError::Misconfigured("SNS answered HTTP 403 InvalidClientTokenId".to_owned())),
        (400, "Throttling", PublishError::Unavailable("SNS answered HTTP 400 Throttling".to_owned())),
        (400, "KMSThrottling", PublishError::Unavailable("SNS answered HTTP 400 KMSThrottling".to_owned())),
        (500, "InternalFailure", PublishError::Unavailable("SNS answered HTTP 500 InternalFailure".to_owned())),
        (400, "InvalidParameter", PublishError::Refused("SNS answered HTTP 400 InvalidParameter".to_owned())),
    ] {
        let stub = Stub::always(&error(status, code)).await;
        let answers = transport(stub.url()).publish(&["a", "b"].map(envelope)).await;
        assert_eq!(answers, [Err(expected.clone()), Err(expected)], "{code}");
    }
}

#[tokio::test]
async fn its_check_asks_for_each_topic_that_is_named_or_that_is_a_queue_of_the_alias() {
    let stub = Stub::start(|_| xml("<GetTopicAttributesResponse/>")).await;
    let asked = transport(stub.url());
    assert_eq!((asked.takes("orders"), asked.takes("default")), (Ok(()), Ok(())));
    assert!(asked.takes("no topic's name").unwrap_err().starts_with("SNS: there is no topic for this queue"));
    assert_eq!(asked.check().await, Ok(()));
    let forms: Vec<Form> = stub.requests().iter().map(form).collect();
    assert!(forms.iter().all(|form| form["Action"] == "GetTopicAttributes"));
    let topics: Vec<&str> = forms.iter().map(|form| form["TopicArn"].as_str()).collect();
    assert_eq!(topics, ["email-ingestor", "orders"].map(|name| format!("{PREFIX}{name}")));
    let missing = Stub::always(&error(404, "NotFound")).await;
    assert!(matches!(transport(missing.url()).check().await, Err(PublishError::Misconfigured(_))));
}

#[test]
fn wrong_options_are_refused_with_their_place() {
    for (options, wrong) in [
        ("{}", "expected AWS_SNS_ARN_PREFIX, AWS_DEFAULT_TOPIC_NAME or topics: to where?"),
        (r#"{"AWS_SNS_ARN_PREFIX":"arn:aws:sqs:us-east-1:1:"}"#, "/AWS_SNS_ARN_PREFIX: expected what the ARNs of topics begin with"),
        (r#"{"AWS_SNS_ARN_PREFIX":"arn:aws:sns:us-east-1:1"}"#, "/AWS_SNS_ARN_PREFIX: "),
        (
            r#"{"AWS_DEFAULT_TOPIC_NAME":"mail"}"#,
            "/AWS_DEFAULT_TOPIC_NAME: expected the ARN of a topic, or with AWS_SNS_ARN_PREFIX its name",
        ),
        (r#"{"topics":{"a/b":"arn:aws:sns:us-east-1:1:a b"}}"#, "/topics/a~1b: expected the ARN of a topic"),
        (r#"{"topics":{"a":"arn:aws:sns:us-east-1:1:a"},"attributes":{"a b":"x"}}"#, "/attributes/a b: expected the name of an attribute"),
        (r#"{"topics":{"a":"arn:aws:sns:us-east-1:1:a"},"MaximumMessageSize":1}"#, "/MaximumMessageSize: expected bytes from 1024 to"),
        (
            r#"{"topics":{"a":"arn:aws:sns:us-east-1:1:a","b":"arn:aws:sns:eu-west-1:1:b"}}"#,
            "expected one region, got eu-west-1, us-east-1",
        ),
        (r#"{"topics":{"a":"arn:aws:sns:us-east-1:1:a"},"AWS_REGION":"eu-west-1"}"#, "expected one region, got eu-west-1, us-east-1"),
        (r#"{"topic":"a"}"#, "/topic: "),
    ] {
        let told = made("http://127.0.0.1:1", options).err().unwrap().to_string();
        assert!(told.starts_with(wrong), "{options}: {told}");
    }
}

/// What a queue that is subscribed to a topic was given is what was published.
fn decoded(message: &Message) -> Envelope {
    let Decoded { content: Content::Envelopes(mut envelopes), .. } = errand_wire::decode(message).unwrap() else { panic!("{message:?}") };
    envelopes.remove(0)
}

#[tokio::test]
#[ignore = "needs SNS and SQS at TEST_AWS_ENDPOINT"]
async fn a_consumer_behind_a_topic_is_given_the_same_envelope() {
    let emulator = Emulator::get();
    let (raw, wrapped, filtered) = (emulator.queue("raw").await, emulator.queue("wrapped").await, emulator.queue("filtered").await);
    let arn = emulator.topic("news").await;
    emulator.subscribe(&arn, &raw, &[("RawMessageDelivery", "true")]).await;
    emulator.subscribe(&arn, &wrapped, &[]).await;
    let policy = r#"{"task":["order.shipped"],"tenant":[{"prefix":"ac"}]}"#;
    emulator.subscribe(&arn, &filtered, &[("RawMessageDelivery", "true"), ("FilterPolicy", policy)]).await;
    let (prefix, name) = arn.rsplit_once(':').unwrap();
    let transport = made(&emulator.url, &format!(r#"{{"AWS_SNS_ARN_PREFIX":"{prefix}:"}}"#)).unwrap();
    let kwargs = r#"{"text":"é🚀 & <b>","n":1e400}"#;
    let shipped = Envelope {
        task: "order.shipped".to_owned(),
        kwargs: Fields::value(kwargs).ok(),
        group: Some("acme".to_owned()),
        user: Some("ann".to_owned()),
        context: said(r#"{"tenant":"acme"}"#),
        ..to("order-7", name)
    };
    let mut batch: Vec<Envelope> = (0..12).map(|i| to(&format!("other-{i}"), name)).collect();
    batch.insert(5, shipped.clone());
    assert!(transport.publish(&batch).await.iter().all(Result::is_ok));
    let wanted = errand_wire::encode(&Envelope { destination: None, ..shipped.clone() });
    for queue in [&raw, &wrapped] {
        let messages = emulator.messages(queue, 13).await;
        let found = messages.iter().map(decoded).find(|envelope| envelope.id == "order-7").unwrap();
        assert_eq!((found.kwargs.as_deref().unwrap().get(), found.queue.as_str()), (kwargs, "default"));
        assert_eq!(errand_wire::encode(&Envelope { context: shipped.context.clone(), ..found }), wanted);
    }
    assert_eq!(decoded(&emulator.messages(&filtered, 1).await[0]).id, "order-7", "by its attributes");
    let check = format!(r#"{{"topics":{{"a":"{arn}"}}}}"#);
    assert_eq!(made(&emulator.url, &check).unwrap().check().await, Ok(()));
    let missing = transport.publish(&[to("a", "no-such-topic")]).await.remove(0);
    assert_eq!(missing, Err(PublishError::Misconfigured("SNS answered HTTP 404 NotFound".to_owned())));
}

#[tokio::test]
#[ignore = "needs SNS and SQS at TEST_AWS_ENDPOINT"]
async fn a_topic_that_keeps_order_hands_on_each_once() {
    let emulator = Emulator::get();
    let queue = emulator.queue("ordered.fifo").await;
    let arn = emulator.topic("ordered.fifo").await;
    emulator.subscribe(&arn, &queue, &[("RawMessageDelivery", "true")]).await;
    let transport = made(&emulator.url, &format!(r#"{{"topics":{{"default":"{arn}"}}}}"#)).unwrap();
    let batch: Vec<Envelope> = (0..15).map(|i| envelope(&format!("{i:02}"))).collect();
    for _ in 0..2 {
        assert!(transport.publish(&batch).await.iter().all(Result::is_ok), "twice, as after an answer that was lost");
    }
    let ids: Vec<String> = emulator.messages(&queue, 15).await.iter().map(|message| decoded(message).id).collect();
    assert_eq!(ids, (0..15).map(|i| format!("{i:02}")).collect::<Vec<_>>());
}

#[tokio::test]
#[ignore = "needs the emulator at TEST_MINISTACK"]
async fn what_was_taken_is_found_on_the_other_side_after_the_emulator_was_ended() {
    let folder = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(folder.path());
    let queue = emulator.queue("taken").await;
    let arn = emulator.topic("news").await;
    emulator.subscribe(&arn, &queue, &[("RawMessageDelivery", "true")]).await;
    let transport = made(&emulator.url, &format!(r#"{{"topics":{{"default":"{arn}"}}}}"#)).unwrap();
    let envelopes: Vec<Envelope> = (0..500).map(|i| envelope(&format!("{i:03}"))).collect();
    let taken = emulator.taken_while_it_is_ended(&transport, &envelopes).await;
    let found: BTreeSet<String> = emulator.all_messages(&queue).await.iter().map(|message| decoded(message).id).collect();
    let lost: Vec<&String> = taken.iter().filter(|id| !found.contains(*id)).collect();
    assert!(lost.is_empty(), "of {} that were taken {lost:?} are lost", taken.len());
}
