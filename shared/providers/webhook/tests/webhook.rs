//! The provider against a receiver.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use errand_core::{Environment, ErrorKind, Init, Payload, Provider, Registry};
use errand_http::References;
use errand_payloads::webhook::Call;
use errand_provider_webhook::Webhook;
use errand_testkit::{
    Answer, Stub, answers, init,
    provider::{Contract, attempt, case, conformance},
};

const SECRETS: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn webhook(vars: &[(&str, &str)], cx: &Init) -> Webhook {
    Webhook::new(&vars.iter().copied().collect(), cx).unwrap()
}

fn local() -> Webhook {
    local_of(&init())
}

fn local_of(cx: &Init) -> Webhook {
    webhook(&[("ERRAND_WEBHOOK_ALLOW", "127.0.0.0/8"), ("ERRAND_WEBHOOK_SECRET", SECRETS)], cx)
}

const CALL: &str = r#"{"url":"{url}/hook?a=1","body":{ "n": 1.50, "to": "secret-text" },"headers":{"X-Key":"hunter2"}}"#;

fn call(url: &str) -> Call {
    Call::from_json(&CALL.replace("{url}", url)).unwrap()
}

#[tokio::test]
async fn a_call_is_signed_with_every_secret_and_sent_as_it_was_written() {
    let stub = Stub::start(|_| Answer::json(204, "")).await;
    local().deliver(call(stub.url()), &attempt("order-1")).await.unwrap();
    let request = stub.requests().remove(0);
    assert_eq!((request.method.as_str(), request.uri.to_string().as_str()), ("POST", "/hook?a=1"));
    assert_eq!(request.body, r#"{ "n": 1.50, "to": "secret-text" }"#);
    assert_eq!((&request.headers["webhook-id"], &request.headers["x-key"]), (&"order-1".parse().unwrap(), &"hunter2".parse().unwrap()));
    for secret in SECRETS.split(", ") {
        standardwebhooks::Webhook::new(secret).unwrap().verify(&request.body, &request.headers).unwrap();
    }
}

#[tokio::test]
async fn a_calls_own_secret_takes_the_place_of_the_operators() {
    let stub = Stub::start(|_| Answer::json(200, "")).await;
    let own = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let call = Call::from_json(&format!(r#"{{"url":"{}","secret":"{own}"}}"#, stub.url())).unwrap();
    local().deliver(call, &attempt("k")).await.unwrap();
    let request = stub.requests().remove(0);
    assert_eq!(request.headers["webhook-signature"].to_str().unwrap().split(' ').count(), 1);
    standardwebhooks::Webhook::new(own).unwrap().verify(&request.body, &request.headers).unwrap();
}

#[tokio::test]
async fn every_answer_has_its_consequence() {
    answers::check(|_, cx| local_of(&cx), CALL, include_str!("answers.json"), 50).await;
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_provider_and_repeats_nothing_of_a_call() {
    let contract = Contract {
        payload: CALL,
        secrets: &["hunter2", "secret-text", "/hook", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        accepted: Answer::json(200, ""),
        cases: vec![case(500, "hunter2", ErrorKind::Unavailable)],
    };
    conformance(|_, cx| local_of(&cx), contract).await;
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let elsewhere = Stub::start(|_| Answer::json(200, "")).await;
    let location = elsewhere.url().to_owned();
    let stub = Stub::start(move |_| Answer::json(307, "").header("location", &location)).await;
    assert_eq!(local().deliver(call(stub.url()), &attempt("k")).await.unwrap_err().kind, ErrorKind::Rejected);
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn an_address_that_is_not_public_is_called_only_when_the_operator_allows_it() {
    let stub = Stub::start(|_| Answer::json(200, "")).await;
    let by_name = stub.url().replace("127.0.0.1", "localhost");
    for url in [stub.url(), &by_name] {
        let error = webhook(&[], &init()).deliver(call(url), &attempt("k")).await.unwrap_err();
        let told = "the host's address is not public, and ERRAND_WEBHOOK_ALLOW does not name it";
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Rejected, told), "{url}");
    }
    assert!(stub.requests().is_empty());
    assert!(webhook(&[("ERRAND_WEBHOOK_ALLOW", "127.0.0.1/32,::1/128")], &init()).deliver(call(&by_name), &attempt("k")).await.is_ok());
}

#[test]
fn settings_are_checked_when_the_function_starts() {
    let add = |name: &str, value: &str| {
        let env: Environment = [(name, value)].into_iter().collect();
        Registry::default().add::<Webhook>(&env, &init()).map_err(|error| error.to_string())
    };
    assert_eq!(
        add("ERRAND_WEBHOOK_SECRET", "hunter2").unwrap_err(),
        "ERRAND_WEBHOOK_SECRET: expected whsec_ and the base64 of 24 to 64 bytes"
    );
    assert_eq!(add("ERRAND_WEBHOOK_SECRET", ", ").unwrap_err(), "ERRAND_WEBHOOK_SECRET: holds no secret: calls would not be signed");
    assert!(add("ERRAND_WEBHOOK_ALLOW", "here").unwrap_err().starts_with("ERRAND_WEBHOOK_ALLOW: "));
    assert!(add("ERRAND_WEBHOOK_TIMEOUT_SECONDS", "60").unwrap_err().starts_with("ERRAND_WEBHOOK_TIMEOUT_SECONDS: "));
    assert!(add("ERRAND_WEBHOOK_TIMEOUT_SECONDS", "x").unwrap_err().starts_with("ERRAND_WEBHOOK_TIMEOUT_SECONDS: "));
    assert!(add("ERRAND_OTHER", "x").is_ok());
}

#[tokio::test]
async fn a_secret_by_reference_is_read_for_calls_that_bring_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let vars = [("ERRAND_WEBHOOK_ALLOW", "127.0.0.0/8"), ("ERRAND_WEBHOOK_SECRET", &format!("file:{}", path.display()))];
    let cx = errand_testkit::init();
    let references = References::new(&Environment::default(), &cx).unwrap();
    let webhook = webhook(&vars, &cx.with(references));
    assert_eq!(webhook.timeout().as_secs(), 18, "a receiver has its 15 seconds");
    let stub = Stub::always(&Answer::json(200, "")).await;
    let own = Call::from_json(&format!(r#"{{"url":"{}","secret":"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}}"#, stub.url())).unwrap();
    webhook.deliver(own, &attempt("k")).await.unwrap();
    let error = webhook.deliver(call(stub.url()), &attempt("k")).await.unwrap_err();
    assert_eq!((error.kind, error.stops, stub.requests().len()), (ErrorKind::Misconfigured, true, 1));
    std::fs::write(&path, SECRETS).unwrap();
    webhook.deliver(call(stub.url()), &attempt("k")).await.unwrap();
    let request = stub.requests().remove(1);
    for secret in SECRETS.split(", ") {
        standardwebhooks::Webhook::new(secret).unwrap().verify(&request.body, &request.headers).unwrap();
    }
}
