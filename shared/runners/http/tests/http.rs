//! The runner against an application.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use errand_core::{DeliveryError, Environment, ErrorKind, Init, Job, Json, Ran, ReportTo, Runner, Secret};
use errand_http::{Client, References, aws};
use errand_runner_http::{Http, Route};
use errand_testkit::{
    Answer, Request, Stub, init,
    provider::{Contract, case, conformance},
    runner::{ARGUMENT, Running, task},
    written,
};
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn runner_of(vars: &[(&str, &str)], cx: Init) -> Http {
    Http::new(&vars.iter().copied().collect(), &cx.with(Client::new())).unwrap()
}

fn runner() -> Http {
    runner_of(&[("ERRAND_HTTP_SECRET", SECRET)], init())
}

async fn answered(answer: Answer, report: bool) -> (Result<Ran, DeliveryError>, Request) {
    let stub = Stub::always(&answer).await;
    let route = serde_json::from_value(json!({ "http": stub.url() })).unwrap();
    let report = report.then(|| ReportTo { url: "https://api/v1/tasks/x/result".to_owned(), token: Secret::new("token") });
    let ran = runner().run(&route, &Job { envelope: &task("order.7"), number: 2, report: report.as_ref() }).await;
    (ran, stub.requests().remove(0))
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_provider_and_every_answer_has_its_consequence() {
    let table = [
        (301, ErrorKind::Rejected),
        (400, ErrorKind::Rejected),
        (401, ErrorKind::Misconfigured),
        (403, ErrorKind::Misconfigured),
        (404, ErrorKind::Misconfigured),
        (405, ErrorKind::Misconfigured),
        (408, ErrorKind::Unavailable),
        (409, ErrorKind::Rejected),
        (425, ErrorKind::Unavailable),
        (429, ErrorKind::RateLimited),
        (500, ErrorKind::Unavailable),
        (504, ErrorKind::Unavailable),
    ];
    let contract = Contract {
        payload: r#"{"http":"{url}"}"#,
        secrets: &[SECRET, ARGUMENT],
        accepted: Answer::json(200, "{}"),
        cases: table.map(|(status, kind)| case(status, ARGUMENT, kind).after("retry-after", "7", 7)).into(),
    };
    conformance(|_, cx| Running(runner_of(&[("ERRAND_HTTP_SECRET", SECRET)], cx)), contract).await;
}

#[tokio::test]
async fn the_application_is_called_with_the_task_signed_and_its_answer_is_the_value() {
    let (ran, request) = answered(Answer::json(200, r#"{"shipped":true}"#), true).await;
    assert_eq!(ran.unwrap(), Ran::Done(json!({ "shipped": true }).into()));
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    let report = json!({ "url": "https://api/v1/tasks/x/result", "token": "token" });
    assert_eq!(
        sent,
        json!({ "task": "shop.ship", "args": [1], "kwargs": { "to": "secret-text" }, "id": "order.7", "attempt": 2, "report": report })
    );
    standardwebhooks::Webhook::new(SECRET).unwrap().verify(&request.body, &request.headers).unwrap();
    assert_eq!(answered(Answer::json(204, ""), false).await.0.unwrap(), Ran::Done(Json::default()));
    let value = written::object();
    assert_eq!(answered(Answer::json(200, value.get()), false).await.0.unwrap(), Ran::Done(value), "as it was written");
}

#[tokio::test]
async fn an_application_that_accepts_reports_by_itself_where_that_is_possible() {
    assert_eq!(answered(Answer::json(202, ""), true).await.0.unwrap(), Ran::Handed(std::time::Duration::from_secs(3600)));
    assert_eq!(answered(Answer::json(202, "1"), false).await.0.unwrap(), Ran::Done(json!(1).into()));
}

#[tokio::test]
async fn what_the_application_raises_is_the_tasks_error() {
    let errors = r#"{"errors":[{"exception_class_path":"shop.OutOfStock","traceback":"line 1"}]}"#;
    for (status, body, kind, exception) in [
        (422, errors, ErrorKind::Rejected, Some("shop.OutOfStock")),
        (422, "{", ErrorKind::Rejected, None),
        (500, errors, ErrorKind::TaskFailed, Some("shop.OutOfStock")),
        (503, errors, ErrorKind::TaskFailed, Some("shop.OutOfStock")),
    ] {
        let error = answered(Answer::json(status, body), true).await.0.unwrap_err();
        let told = error.exception.as_ref().map(|error| error.exception_class_path.as_str());
        assert_eq!((error.kind, told), (kind, exception), "{status} {body}");
        assert!(!error.message.contains("OutOfStock") && !error.message.contains("127.0.0.1"), "{}", error.message);
    }
}

#[test]
fn a_wrong_setting_or_route_is_refused() {
    let check =
        |route: Value| serde_json::from_value::<Route>(route).map_err(|error| error.to_string()).and_then(|route| runner().check(&route));
    for wrong in [
        json!({ "http": "ftp://x" }),
        json!({ "http": "/tasks" }),
        json!({ "http": "https://x", "timeout_seconds": 26 }),
        json!({ "http": "https://x", "report_seconds": 0 }),
        json!({ "http": "https://x", "retries": 3 }),
    ] {
        assert!(check(wrong.clone()).is_err(), "{wrong}");
    }
    assert_eq!(check(json!({ "http": "https://x/tasks", "timeout_seconds": 25, "report_seconds": 604_800 })), Ok(()));
    let env: Environment = [("ERRAND_HTTP_SECRET", "hunter2")].into_iter().collect();
    let error = Http::new(&env, &init().with(Client::new())).err().unwrap().to_string();
    assert!(error.starts_with("ERRAND_HTTP_SECRET: ") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_secret_by_reference_signs_and_its_time_is_taken_from_the_applications() {
    let kept = Stub::always(&Answer::json(200, &json!({ "SecretString": SECRET }).to_string())).await;
    let application = Stub::always(&Answer::json(200, "1")).await;
    let env: Environment = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", kept.url()),
        ("ERRAND_HTTP_SECRET", "secretsmanager:errand/http"),
    ]
    .into_iter()
    .collect();
    let cx = init().with(Client::new()).with(aws::sdk_config(&env).unwrap());
    let references = References::new(&env, &cx).unwrap();
    let runner = Http::new(&env, &cx.with(references)).unwrap();
    let of = |seconds: u64| serde_json::from_value(json!({ "http": "https://x", "timeout_seconds": seconds })).unwrap();
    assert_eq!((runner.timeout(&of(2)).as_secs(), runner.check(&of(22))), (5, Ok(())));
    assert_eq!(runner.check(&of(23)).unwrap_err(), "timeout_seconds: expected 1 to 22, since ERRAND_TIMEOUT_SECONDS is 30");
    for id in ["order.7", "order.8"] {
        let envelope = task(id);
        let route = serde_json::from_value(json!({ "http": application.url() })).unwrap();
        runner.run(&route, &Job { envelope: &envelope, number: 1, report: None }).await.unwrap();
    }
    for request in application.requests() {
        standardwebhooks::Webhook::new(SECRET).unwrap().verify(&request.body, &request.headers).unwrap();
    }
    assert_eq!((application.requests().len(), kept.requests().len()), (2, 1));
}
