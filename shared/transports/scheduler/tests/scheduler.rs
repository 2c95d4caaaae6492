//! The transport against a service that speaks as EventBridge Scheduler does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use errand_core::{Envelope, Environment, PublishError, Timestamp, Transport};
use errand_http::aws::sdk_config;
use errand_testkit::{
    Answer, Stub,
    transport::{conformance, delayed, envelope},
};
use errand_transport_scheduler::SchedulerTransport;
use serde_json::{Value, json};

const QUEUE: (&str, &str) = ("ERRAND_QUEUE_ARN", "arn:aws:sqs:eu-west-1:1:main");
const ROLE: (&str, &str) = ("ERRAND_SCHEDULER_ROLE_ARN", "arn:aws:iam::1:role/scheduler");

fn with(url: &str, vars: &[(&str, &str)]) -> Result<SchedulerTransport, String> {
    let aws = [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_ENDPOINT_URL", url)];
    let env: Environment = aws.iter().chain(vars).copied().collect();
    let encode =
        |envelope: &Envelope| envelope.kwargs.as_ref().map_or(format!("body of {}", envelope.id), |kwargs| kwargs.get().to_owned());
    SchedulerTransport::new(&env, &sdk_config(&env).unwrap(), encode).map_err(|error| error.to_string())
}

fn transport(url: &str) -> SchedulerTransport {
    with(url, &[QUEUE, ROLE, ("ERRAND_SCHEDULER_GROUP", "errand"), ("ERRAND_DEAD_LETTER_URL", "https://sqs/1/dead")]).unwrap()
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_transport() {
    let working = Stub::start(|_| Answer::json(200, r#"{"ScheduleArn":"arn"}"#)).await;
    let failing = Stub::start(|_| Answer::json(503, "")).await;
    conformance(&transport(working.url()), &transport(failing.url()), &transport("http://127.0.0.1:1")).await;
}

#[tokio::test]
async fn a_schedule_fires_a_minute_early_once_and_is_gone() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"ScheduleArn":"arn"}"#)).await;
    let due = Timestamp::from_millis(1_900_000_000_000);
    let envelope = Envelope { run_after: Some(due), ..envelope("a") };
    transport(stub.url()).publish(&[envelope]).await.remove(0).unwrap();
    let request = stub.requests().remove(0);
    let name = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    assert_eq!((request.method.as_str(), request.uri.path()), ("POST", format!("/schedules/{name}").as_str()));
    let wanted = json!({
        "ClientToken": name,
        "GroupName": "errand",
        "ScheduleExpression": "at(2030-03-17T17:45:40)",
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": { "Mode": "OFF" },
        "ActionAfterCompletion": "DELETE",
        "Target": { "Arn": QUEUE.1, "RoleArn": ROLE.1, "Input": "body of a", "DeadLetterConfig": { "Arn": "arn:aws:sqs:eu-west-1:1:dead" } },
    });
    assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), wanted);
}

#[tokio::test]
async fn a_fifo_queue_gets_a_group_and_its_dead_letter_queue_is_not_the_schedules() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"ScheduleArn":"arn"}"#)).await;
    let vars = [("ERRAND_QUEUE_ARN", "arn:aws:sqs:eu-west-1:1:main.fifo"), ROLE, ("ERRAND_DEAD_LETTER_URL", "https://sqs/1/dead.fifo")];
    let envelope = Envelope { group: Some("tenant".to_owned()), ..delayed("a", Duration::from_secs(3600)) };
    with(stub.url(), &vars).unwrap().publish(&[envelope]).await.remove(0).unwrap();
    let sent: Value = serde_json::from_slice(&stub.requests()[0].body).unwrap();
    assert_eq!(sent["Target"]["SqsParameters"], json!({ "MessageGroupId": "tenant" }));
    assert_eq!(sent["Target"]["DeadLetterConfig"], Value::Null);
}

#[tokio::test]
async fn an_id_that_is_scheduled_already_is_on_its_way() {
    let stub = Stub::start(|_| Answer::json(409, r#"{"Message":"exists"}"#).header("x-amzn-errortype", "ConflictException")).await;
    assert!(transport(stub.url()).publish(&[delayed("a", Duration::from_secs(3600))]).await[0].is_ok());
}

#[tokio::test]
async fn what_cannot_go_this_way_is_refused_and_what_an_operator_must_mend_is_told_apart() {
    let stub = Stub::start(|_| Answer::json(404, r#"{"Message":"secret"}"#).header("x-amzn-errortype", "ResourceNotFoundException")).await;
    let transport = transport(stub.url());
    assert_eq!(
        transport.publish(&[envelope("a")]).await,
        [Err(PublishError::Misconfigured("EventBridge Scheduler: HTTP 404 ResourceNotFoundException".to_owned()))]
    );
    let large = Envelope { kwargs: Some(serde_json::value::to_raw_value(&"x".repeat(256 * 1024)).unwrap()), ..envelope("a") };
    assert_eq!(transport.publish(&[large]).await, [Err(PublishError::TooLarge { limit: 256 * 1024 })]);
    assert!(!transport.check().await.unwrap_err().to_string().contains("secret"));
}

#[test]
fn settings_are_checked_when_the_function_starts() {
    let error = |vars: &[(&str, &str)]| with("http://127.0.0.1:1", vars).err().unwrap();
    assert_eq!(error(&[ROLE]), "ERRAND_QUEUE_ARN: must be set");
    assert_eq!(error(&[QUEUE]), "ERRAND_SCHEDULER_ROLE_ARN: must be set");
    assert!(error(&[("ERRAND_QUEUE_ARN", "https://sqs/1/main"), ROLE]).starts_with("ERRAND_QUEUE_ARN: expected an ARN"));
    assert!(error(&[QUEUE, ROLE, ("ERRAND_DEAD_LETTER_URL", "https://sqs/1/")]).starts_with("ERRAND_DEAD_LETTER_URL: expected the URL"));
}
