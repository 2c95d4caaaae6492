//! The provider against a service that speaks as Slack does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use errand_core::{Environment, ErrorKind, Init, Payload, Provider, Registry};
use errand_payloads::slack::Message;
use errand_provider_slack::Slack;
use errand_testkit::{
    Answer, Stub, answers,
    provider::{Contract, attempt, case, conformance},
};

fn slack(url: &str) -> Slack {
    slack_of(url, Init::default())
}

fn slack_of(url: &str, cx: Init) -> Slack {
    let env: Environment = [("ERRAND_SLACK_TOKEN", "xoxb-hunter2"), ("ERRAND_SLACK_URL", url)].into_iter().collect();
    Slack::new(&env, &cx.with(errand_http::Client::new())).unwrap()
}

const MESSAGE: &str = r##"{"channel":"#secret-channel","text":"secret-text"}"##;

#[tokio::test]
async fn a_message_is_posted_with_the_token() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"ok":true,"channel":"C1","ts":"1700000000.000100","message":{}}"#)).await;
    let receipt = slack(stub.url()).deliver(Message::from_json(MESSAGE).unwrap(), &attempt("k")).await.unwrap();
    assert_eq!(receipt.0, serde_json::json!({ "channel": "C1", "ts": "1700000000.000100" }).into());
    let request = stub.requests().remove(0);
    assert_eq!((request.method.as_str(), request.uri.path()), ("POST", "/chat.postMessage"));
    assert_eq!(
        (&request.headers["authorization"], &request.headers["content-type"]),
        (&"Bearer xoxb-hunter2".parse().unwrap(), &"application/json; charset=utf-8".parse().unwrap())
    );
    assert_eq!(request.body, MESSAGE);
}

#[tokio::test]
async fn a_message_that_slack_repeats_at_length_is_delivered() {
    let long = format!(r#"{{"ok":true,"channel":"C1","ts":"1.2","message":{{"text":"{}"}}}}"#, "x".repeat(100_000));
    let stub = Stub::start(move |_| Answer::json(200, &long)).await;
    let receipt = slack(stub.url()).deliver(Message::from_json(MESSAGE).unwrap(), &attempt("k")).await.unwrap();
    assert_eq!(receipt.0, serde_json::json!({ "channel": "C1", "ts": "1.2" }).into());
}

#[tokio::test]
async fn every_answer_of_the_web_api_has_its_consequence() {
    answers::check(slack, MESSAGE, include_str!("web-api.json"), 45).await;
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_provider_and_repeats_no_message() {
    let contract = Contract {
        payload: MESSAGE,
        secrets: &["hunter2", "secret-channel", "secret-text"],
        accepted: Answer::json(200, r#"{"ok":true,"channel":"C1","ts":"1.2"}"#),
        cases: vec![case(200, r#"{"ok":false,"error":"secret-text"}"#, ErrorKind::Rejected)],
    };
    conformance(slack_of, contract).await;
}

fn add(vars: &[(&str, &str)]) -> Result<Registry, String> {
    let mut registry = Registry::default();
    let env: Environment = vars.iter().copied().collect();
    registry.add::<Slack>(&env, &Init::default().with(errand_http::Client::new())).map_err(|error| error.to_string())?;
    Ok(registry)
}

#[test]
fn settings_are_checked_when_the_function_starts() {
    assert_eq!(add(&[]).unwrap().find("slack").err().unwrap().message, "not configured: set ERRAND_SLACK_TOKEN");
    assert_eq!(add(&[("ERRAND_SLACK_URL", "https://x")]).err().unwrap(), "ERRAND_SLACK_TOKEN: must be set, or ERRAND_SLACK_WEBHOOK_URL");
    assert!(add(&[("ERRAND_SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T/B/X")]).is_ok());
    let wrong = add(&[("ERRAND_SLACK_WEBHOOK_URL", "https://example.com/hunter2")]).err().unwrap();
    assert!(wrong.starts_with("ERRAND_SLACK_WEBHOOK_URL: ") && !wrong.contains("hunter2"));
    assert!(add(&[("ERRAND_SLACK_TOKEN", "x"), ("ERRAND_SLACK_URL", "nowhere")]).err().unwrap().starts_with("ERRAND_SLACK_URL: "));
}

#[tokio::test]
async fn a_message_without_a_channel_needs_an_incoming_webhook() {
    let error = slack("http://127.0.0.1:1").deliver(Message::from_json(r#"{"text":"x"}"#).unwrap(), &attempt("k")).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::InvalidPayload, "/kwargs/channel: is required, since ERRAND_SLACK_WEBHOOK_URL is not set")
    );
}

#[tokio::test]
async fn a_channel_without_a_token_is_told_what_to_set() {
    let env: Environment = [("ERRAND_SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T/B/X")].into_iter().collect();
    let slack = Slack::new(&env, &Init::default().with(errand_http::Client::new())).unwrap();
    let error = slack.deliver(Message::from_json(MESSAGE).unwrap(), &attempt("k")).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Misconfigured, "not configured: set ERRAND_SLACK_TOKEN"));
}
