//! The provider against a service that speaks as Slack does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use errand_core::{DeliveryError, Environment, ErrorKind, Init, Payload, Provider, Receipt, Registry};
use errand_http::{Client, References, aws};
use errand_payloads::slack::Message;
use errand_provider_slack::Slack;
use errand_testkit::{
    Answer, Stub, answers, init,
    provider::{Contract, attempt, case, conformance},
};
use serde_json::json;

fn slack(url: &str) -> Slack {
    slack_of(url, init())
}

fn slack_of(url: &str, cx: Init) -> Slack {
    let env: Environment = [("ERRAND_SLACK_TOKEN", "xoxb-hunter2"), ("ERRAND_SLACK_URL", url)].into_iter().collect();
    Slack::new(&env, &cx.with(Client::new())).unwrap()
}

const MESSAGE: &str = r##"{"channel":"#secret-channel","text":"secret-text"}"##;

#[tokio::test]
async fn a_message_is_posted_with_the_token() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"ok":true,"channel":"C1","ts":"1700000000.000100","message":{}}"#)).await;
    let receipt = slack(stub.url()).deliver(Message::from_json(MESSAGE).unwrap(), &attempt("k")).await.unwrap();
    assert_eq!(receipt.0, json!({ "channel": "C1", "ts": "1700000000.000100" }).into());
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
    assert_eq!(receipt.0, json!({ "channel": "C1", "ts": "1.2" }).into());
}

#[tokio::test]
async fn every_answer_of_the_web_api_has_its_consequence() {
    answers::check(slack_of, MESSAGE, include_str!("web-api.json"), 45).await;
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
    registry.add::<Slack>(&env, &init().with(Client::new())).map_err(|error| error.to_string())?;
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
    let slack = Slack::new(&env, &init().with(Client::new())).unwrap();
    let error = slack.deliver(Message::from_json(MESSAGE).unwrap(), &attempt("k")).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Misconfigured, "not configured: set ERRAND_SLACK_TOKEN"));
}

/// A world in which the token is a parameter, which is rotated when `rotated` is set.
struct Rotating {
    slack: Stub,
    parameters: Stub,
    rotated: Arc<AtomicBool>,
}

impl Rotating {
    async fn start() -> Self {
        let rotated = Arc::new(AtomicBool::new(false));
        let (taken, kept) = (Arc::clone(&rotated), Arc::clone(&rotated));
        let token = |rotated: &AtomicBool| if rotated.load(Ordering::Relaxed) { "xoxb-new" } else { "xoxb-old" };
        let slack = Stub::start(move |request| {
            let is_taken = request.headers["authorization"] == format!("Bearer {}", token(&taken));
            Answer::json(200, if is_taken { r#"{"ok":true,"channel":"C1","ts":"1.2"}"# } else { r#"{"ok":false,"error":"invalid_auth"}"# })
        });
        let parameters = Stub::start(move |_| Answer::json(200, &json!({ "Parameter": { "Value": token(&kept) } }).to_string()));
        Self { slack: slack.await, parameters: parameters.await, rotated }
    }

    fn slack(&self, token: &str) -> Result<Slack, String> {
        let env: Environment = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "key"),
            ("AWS_ENDPOINT_URL_SSM", self.parameters.url()),
            ("ERRAND_SLACK_URL", self.slack.url()),
            ("ERRAND_SLACK_TOKEN", token),
        ]
        .into_iter()
        .collect();
        let cx = init().with(Client::new()).with(aws::sdk_config(&env).unwrap());
        let references = References::new(&env, &cx).unwrap();
        Slack::new(&env, &cx.with(references)).map_err(|error| error.to_string())
    }

    /// How often the parameter was read, and Slack called.
    fn counts(&self) -> (usize, usize) {
        (self.parameters.requests().len(), self.slack.requests().len())
    }
}

async fn send(slack: &Slack) -> Result<Receipt, DeliveryError> {
    slack.deliver(Message::from_json(MESSAGE).unwrap(), &attempt("k")).await
}

#[tokio::test]
async fn a_token_by_reference_is_read_when_it_is_needed() {
    let world = Rotating::start().await;
    let slack = world.slack("ssm:/errand/slack").unwrap();
    assert_eq!((world.counts(), slack.timeout().as_secs()), ((0, 0), 11), "there is time to read it, and nothing is read at the start");
    for _ in 0..3 {
        send(&slack).await.unwrap();
    }
    assert_eq!(world.counts(), (1, 3));
    // Rotated within a minute: the refusal stands, and stops the others.
    world.rotated.store(true, Ordering::Relaxed);
    let error = send(&slack).await.unwrap_err();
    assert_eq!((error.kind, error.stops, world.counts()), (ErrorKind::Misconfigured, true, (1, 4)));
    let wrong = world.slack("ssm:errand/slack").err().unwrap();
    assert!(wrong.starts_with("ERRAND_SLACK_TOKEN: expected ssm:/ and the name of a parameter"), "{wrong}");
}

#[tokio::test]
async fn a_token_that_cannot_be_read_sends_nothing() {
    let gone = Stub::always(&Answer::json(400, r#"{"__type":"ParameterNotFound"}"#)).await;
    let world = Rotating { parameters: gone, ..Rotating::start().await };
    let error = send(&world.slack("ssm:/errand/slack").unwrap()).await.unwrap_err();
    assert_eq!((error.kind, error.stops, world.counts()), (ErrorKind::Misconfigured, true, (1, 0)));
    assert!(error.message.starts_with("ERRAND_SLACK_TOKEN: what it refers to cannot be read: Parameter Store answered"), "{error}");
}
