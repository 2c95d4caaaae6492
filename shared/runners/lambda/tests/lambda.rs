//! The runner against a stand-in for Lambda.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use errand_core::{DeliveryError, Environment, ErrorKind, Init, Job, Ran, ReportTo, Runner, Secret};
use errand_http::{Client, aws::sdk_config};
use errand_runner_lambda::{Lambda, Route};
use errand_testkit::{
    Answer, Request, Stub, answers, init,
    provider::{Contract, conformance},
    runner::{ARGUMENT, Running, task},
    written,
};
use serde_json::{Value, json};

fn runner_of(url: &str, cx: Init) -> Lambda {
    let vars = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_SESSION_TOKEN", "session"),
        ("AWS_ENDPOINT_URL_LAMBDA", url),
    ];
    let env: Environment = vars.into_iter().collect();
    Lambda::new(&env, &cx.with(Client::new()).with(sdk_config(&env).unwrap())).unwrap()
}

fn runner(url: &str) -> Lambda {
    runner_of(url, init())
}

async fn answered(answer: Answer, wait: bool, report: bool) -> (Result<Ran, DeliveryError>, Request) {
    let stub = Stub::always(&answer).await;
    let route = json!({ "lambda": "arn:aws:lambda:eu-west-1:1:function:reports:live", "wait": wait });
    let report = report.then(|| ReportTo { url: "https://api/v1/tasks/r-7/result".to_owned(), token: Secret::new("token") });
    let job = Job { envelope: &task("r-7"), number: 1, report: report.as_ref() };
    let ran = runner(stub.url()).run(&serde_json::from_value(route).unwrap(), &job).await;
    (ran, stub.requests().remove(0))
}

#[tokio::test]
async fn a_function_is_invoked_by_a_signed_call_and_its_answer_is_the_value() {
    let (ran, request) = answered(Answer::json(200, r#"{"total":6}"#), true, true).await;
    assert_eq!(ran.unwrap(), Ran::Done(json!({ "total": 6 }).into()));
    let value = written::object();
    assert_eq!(answered(Answer::json(200, value.get()), true, true).await.0.unwrap(), Ran::Done(value), "as it was written");
    assert_eq!(request.uri.path(), "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A1%3Afunction%3Areports%3Alive/invocations");
    let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
    assert_eq!((header("x-amz-invocation-type").as_str(), header("x-amz-security-token").as_str()), ("RequestResponse", "session"));
    let authorization = header("authorization");
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/") && authorization.contains("/eu-west-1/lambda/aws4_request"),
        "{authorization}"
    );
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        sent,
        json!({ "task": "shop.ship", "args": [1], "kwargs": { "to": "secret-text" }, "id": "r-7", "attempt": 1 }),
        "who is waited for reports nothing"
    );
}

#[tokio::test]
async fn a_function_that_is_not_waited_for_reports_by_itself() {
    let (ran, request) = answered(Answer::json(202, ""), false, true).await;
    assert_eq!(ran.unwrap(), Ran::Handed(Duration::from_secs(3600)));
    assert_eq!(request.headers["x-amz-invocation-type"], "Event");
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(sent["report"], json!({ "url": "https://api/v1/tasks/r-7/result", "token": "token" }));
    assert_eq!(answered(Answer::json(202, ""), false, false).await.0.unwrap(), Ran::Done(json!({ "status": 202 }).into()));
}

const ROUTE: &str = r#"{"lambda":"reports"}"#;

#[tokio::test]
async fn every_answer_has_its_consequence() {
    answers::check(|url, cx| Running(runner_of(url, cx)), ROUTE, include_str!("answers.json"), 16).await;
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_provider() {
    let secrets = &["hunter2", "session", ARGUMENT];
    let contract = Contract { payload: ROUTE, secrets, accepted: Answer::json(200, "{}"), cases: Vec::new() };
    conformance(|url, cx| Running(runner_of(url, cx)), contract).await;
}

#[tokio::test]
async fn what_the_function_raises_is_the_tasks_error() {
    let raised = r#"{"errorType":"ValueError","errorMessage":"secret-text","stackTrace":["  File \"handler.py\", line 3\n"]}"#;
    let error = answered(Answer::json(200, raised).header("x-amz-function-error", "Unhandled"), true, true).await.0.unwrap_err();
    let exception = error.exception.unwrap();
    assert_eq!(
        (error.kind, error.message.as_str(), exception.exception_class_path.as_str()),
        (ErrorKind::TaskFailed, "the function failed", "ValueError")
    );
    assert_eq!(exception.traceback, "  File \"handler.py\", line 3\nsecret-text");
    let timed_out = r#"{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out after 3.00 seconds"}"#;
    let error = answered(Answer::json(200, timed_out).header("x-amz-function-error", "Unhandled"), true, true).await.0.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout);
}

#[test]
fn a_wrong_route_is_refused() {
    let check = |value: Value| {
        serde_json::from_value::<Route>(value)
            .map_err(|error| error.to_string())
            .and_then(|route| runner("http://127.0.0.1:1").check(&route))
    };
    for wrong in [
        json!({ "lambda": "a b" }),
        json!({ "lambda": "" }),
        json!({ "lambda": "f", "timeout_seconds": 0 }),
        json!({ "lambda": "f", "wait": 1 }),
        json!({ "lambda": "f", "x": 1 }),
    ] {
        assert!(check(wrong.clone()).is_err(), "{wrong}");
    }
    assert_eq!(check(json!({ "lambda": "f", "wait": false, "report_seconds": 900 })), Ok(()));
}
