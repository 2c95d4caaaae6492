//! The transport against a stand-in for Lambda.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use errand_core::{Envelope, Fields, OptionError, PublishError, Transport};
use errand_http::aws::sdk_config;
use errand_testkit::{
    Answer, Stub,
    aws::{Emulator, settings},
    init,
    transport::{conformance, envelope, failures},
};
use errand_transport_lambda::LambdaTransport;
use serde_json::{Value, json};

fn made(url: &str, options: &str) -> Result<LambdaTransport, OptionError> {
    let env = settings(url);
    LambdaTransport::new("workers", Fields::value(options)?, &init().with(sdk_config(&env).unwrap()).with(env))
}

fn transport(url: &str) -> LambdaTransport {
    made(url, r#"{"AWS_DEFAULT_LAMBDA_FUNCTION_NAME":"reports"}"#).unwrap()
}

fn to(id: &str, destination: &str) -> Envelope {
    Envelope { destination: Some(destination.to_owned()), ..envelope(id) }
}

fn taken() -> Answer {
    Answer::json(202, "").header("x-amzn-requestid", "r-1")
}

/// Takes events, and lets itself be asked.
async fn lambda() -> Stub {
    Stub::start(|request| if request.headers["x-amz-invocation-type"] == "DryRun" { Answer::json(204, "") } else { taken() }).await
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_transport() {
    let working = lambda().await;
    let failing = Stub::always(&Answer::json(500, "").header("x-amzn-errortype", "ServiceException")).await;
    let breaking_off = Stub::start(|_| Answer::BreakOff).await;
    conformance(&transport(working.url()), Some(to("unknown", "no function's name"))).await;
    failures(&transport(failing.url()), &transport("http://127.0.0.1:1"), &transport(breaking_off.url())).await;
}

#[tokio::test]
async fn a_function_is_invoked_with_the_task_and_not_waited_for() {
    let stub = lambda().await;
    let options = r#"{"functions":{"mail":"arn:aws:lambda:eu-west-1:1:function:mailer:live"}}"#;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let written = r#"{"to":"ann","n":1e400}"#;
    let mail = Envelope { trace: Some(trace.to_owned()), kwargs: Fields::value(written).ok(), ..to("a", "mail") };
    let sent = made(stub.url(), options).unwrap().publish(&[mail, to("b", "1:function:other:7"), envelope("c")]).await;
    assert!(sent.iter().all(|sent| sent.as_ref().unwrap().message_id.as_deref() == Some("r-1")), "what Lambda knows it by: {sent:?}");
    let mut requests = stub.requests();
    requests.sort_by_key(|request| request.uri.path().to_owned());
    let paths: Vec<&str> = requests.iter().map(|request| request.uri.path()).collect();
    let path = |function: &str| format!("/2015-03-31/functions/{function}/invocations");
    let mailer = "arn%3Aaws%3Alambda%3Aeu-west-1%3A1%3Afunction%3Amailer%3Alive";
    assert_eq!(paths, [path("1%3Afunction%3Aother%3A7"), path(mailer), path("default")]);
    let mail = &requests[1];
    assert_eq!(
        (&mail.headers["x-amz-invocation-type"], &mail.headers["traceparent"]),
        (&"Event".parse().unwrap(), &trace.parse().unwrap())
    );
    assert!(mail.headers["authorization"].to_str().unwrap().contains("/eu-west-1/lambda/"), "where the function is");
    let body = std::str::from_utf8(&mail.body).unwrap();
    assert!(body.contains(written), "arguments as they were written: {body}");
    let other: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(
        other,
        json!({ "task": "email", "id": "b", "args": [], "kwargs": {}, "queue": "default" }),
        "as django-tasks-cloud's functions read it"
    );
    // A function that is Errand's own consumer reads the same task.
    let message = errand_wire::lambda::messages(body, "r-1").remove(0);
    let errand_wire::Content::Envelopes(read) = errand_wire::decode(&message).unwrap().content else { panic!("{body}") };
    assert_eq!((read[0].id.as_str(), read[0].kwargs.as_deref().unwrap().get()), ("a", written));
}

#[tokio::test]
async fn an_event_is_written_for_who_reads_it() {
    let stub = lambda().await;
    assert!(made(stub.url(), r#"{"format":"django-tasks"}"#).unwrap().publish(&[to("a", "reports")]).await[0].is_ok());
    assert_eq!(stub.requests()[0].body, r#"{"task":"email","args":[],"kwargs":{}}"#);
    let wrong = made(stub.url(), r#"{"format":"celery"}"#).err().unwrap().to_string();
    assert!(wrong.starts_with("/format: expected one of native"), "{wrong}");
}

#[tokio::test]
async fn a_lost_answer_is_perhaps_and_is_not_asked_for_again() {
    let stub = Stub::always(&Answer::BreakOff).await;
    let sent = transport(stub.url()).publish(&[envelope("a")]).await.remove(0);
    assert!(matches!(sent, Err(PublishError::OutcomeUnknown(_))), "{sent:?}");
    assert_eq!(stub.requests().len(), 1, "the function would run twice");
    let another = Stub::always(&Answer::json(200, "{}")).await;
    let sent = transport(another.url()).publish(&[envelope("a")]).await.remove(0);
    assert!(matches!(sent, Err(PublishError::OutcomeUnknown(_))), "no answer of Lambda's: {sent:?}");
}

#[tokio::test]
async fn who_must_act_is_told_apart_and_one_stops_no_other() {
    for (status, code, expected) in [
        (404, "ResourceNotFoundException", PublishError::Misconfigured("Lambda answered HTTP 404 ResourceNotFoundException".to_owned())),
        (403, "AccessDeniedException", PublishError::Misconfigured("Lambda answered HTTP 403 AccessDeniedException".to_owned())),
        (429, "TooManyRequestsException", PublishError::Unavailable("Lambda answered HTTP 429 TooManyRequestsException".to_owned())),
        (409, "ResourceConflictException", PublishError::Unavailable("Lambda answered HTTP 409 ResourceConflictException".to_owned())),
        (413, "RequestTooLargeException", PublishError::Refused("Lambda answered HTTP 413 RequestTooLargeException".to_owned())),
        (
            400,
            "InvalidRequestContentException",
            PublishError::Refused("Lambda answered HTTP 400 InvalidRequestContentException".to_owned()),
        ),
    ] {
        let stub = Stub::start(move |request| {
            let other = request.uri.path().contains("/other/");
            if other { taken() } else { Answer::json(status, r#"{"Message":"hunter2"}"#).header("x-amzn-errortype", code) }
        })
        .await;
        let sent = transport(stub.url()).publish(&[to("a", "other"), envelope("b"), to("c", "other")]).await;
        assert!(sent[0].is_ok() && sent[1] == Err(expected) && sent[2].is_ok(), "{sent:?}");
    }
}

#[tokio::test]
async fn its_check_asks_whether_each_function_that_is_named_or_is_a_queue_may_be_invoked() {
    let stub = lambda().await;
    let options = r#"{"AWS_DEFAULT_LAMBDA_FUNCTION_NAME":"reports","functions":{"mail":"mailer"}}"#;
    let asked = made(stub.url(), options).unwrap();
    assert_eq!((asked.takes("orders"), asked.takes("mail")), (Ok(()), Ok(())));
    assert_eq!(asked.takes("a b"), Err("expected a function's name or ARN".to_owned()));
    assert_eq!(asked.check().await, Ok(()));
    let asked: Vec<(String, String)> = stub
        .requests()
        .iter()
        .map(|request| (request.uri.path().to_owned(), request.headers["x-amz-invocation-type"].to_str().unwrap().to_owned()))
        .collect();
    let of = |function: &str| (format!("/2015-03-31/functions/{function}/invocations"), "DryRun".to_owned());
    assert_eq!(asked, [of("mailer"), of("orders"), of("reports")]);
}

#[test]
fn wrong_options_are_refused_with_their_place() {
    for (options, wrong) in [
        (r#"{"AWS_DEFAULT_LAMBDA_FUNCTION_NAME":"a b"}"#, "/AWS_DEFAULT_LAMBDA_FUNCTION_NAME: expected a function's name or ARN"),
        (r#"{"functions":{"a":""}}"#, "/functions/a: expected a function's name or ARN"),
        (
            r#"{"functions":{"a":"arn:aws:lambda:us-east-1:1:function:f","b":"arn:aws:lambda:eu-west-1:1:function:f"}}"#,
            "expected one region",
        ),
        (r#"{"function":"a"}"#, "/function: "),
    ] {
        let told = made("http://127.0.0.1:1", options).err().unwrap().to_string();
        assert!(told.starts_with(wrong), "{options}: {told}");
    }
}

/// Tells the event that it was invoked with to the URL in it, as whoever wrote it for django-tasks-cloud does the work.
const HANDLER: &str = "import json, urllib.request
def handle(event, context):
    told = {'task': event['task'], 'args': event['args'], 'kwargs': event['kwargs'], 'id': event['id']}
    urllib.request.urlopen(urllib.request.Request(event['kwargs']['url'], json.dumps(told).encode()), timeout=5)
";

#[tokio::test]
#[ignore = "needs Lambda at TEST_AWS_ENDPOINT, and python3"]
async fn a_function_in_python_does_the_task() {
    let emulator = Emulator::get();
    let name = emulator.function("worker", HANDLER).await;
    let application = Stub::always(&Answer::json(200, "{}")).await;
    let transport = made(&emulator.url, &json!({ "functions": { "reports": name } }).to_string()).unwrap();
    assert_eq!(transport.check().await, Ok(()));
    let kwargs = json!({ "url": application.url(), "text": "é🚀" });
    let task = Envelope { args: Fields::value("[1]").ok(), kwargs: Fields::value(&kwargs.to_string()).ok(), ..to("order-7", "reports") };
    let sent = transport.publish(&[task, to("a", "no-such-function")]).await;
    assert!(sent[0].as_ref().unwrap().message_id.is_some());
    assert!(matches!(sent[1], Err(PublishError::Misconfigured(_))), "{sent:?}");
    for _ in 0..200 {
        if let Some(request) = application.requests().first() {
            let told: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(told, json!({ "task": "email", "args": [1], "kwargs": kwargs, "id": "order-7" }));
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the function was not invoked");
}
