//! What settings refer to, against services that speak as AWS's do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use errand_core::{
    CallTimeout, DeliveryError, Environment, ErrorKind, Init, Reader, Secret,
    settings::all::{API_KEYS, ROUTES},
};
use errand_http::{Credential, References, aws, sign, token};
use errand_testkit::{Answer, Request, Stub};
use serde_json::{Value, json};

errand_core::settings! {
    const SETTINGS;
    /// Its token.
    TOKEN = "ERRAND_SHOP_TOKEN", Secret("a token"), "", [Consumer];
    /// What its calls are signed with.
    SECRET = "ERRAND_SHOP_SECRET", Secret("secrets"), "", [Consumer];
}

const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn env(url: &str, vars: &[(&str, &str)]) -> Environment {
    let aws = [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "key"), ("AWS_ENDPOINT_URL", url)];
    aws.iter().chain(vars).copied().collect()
}

fn init(env: &Environment) -> Init {
    let cx = errand_testkit::init().with(aws::sdk_config(env).unwrap()).with(CallTimeout(Duration::from_millis(900)));
    let references = References::new(env, &cx).unwrap();
    cx.with(references)
}

async fn read(url: &str, reference: &str) -> Result<String, DeliveryError> {
    let env = env(url, &[(TOKEN.name, reference)]);
    let token = Credential::from_env(&env, &TOKEN, &init(&env), token).unwrap().unwrap();
    token.get().await.map(|token| token.expose().to_owned())
}

/// What a request asks for, by its target and its name.
fn asked(request: &Request) -> (String, String) {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let name = body["Name"].as_str().or(body["SecretId"].as_str()).unwrap();
    (request.headers["x-amz-target"].to_str().unwrap().to_owned(), name.to_owned())
}

fn parameter(value: &str) -> Answer {
    Answer::json(200, &json!({ "Parameter": { "Name": "/x", "Type": "SecureString", "Value": value, "Version": 3 } }).to_string())
}

fn secret(value: &str) -> Answer {
    Answer::json(200, &json!({ "ARN": "arn", "Name": "x", "SecretString": value, "VersionStages": ["AWSCURRENT"] }).to_string())
}

#[tokio::test]
async fn each_kind_is_asked_for_as_its_service_has_it() {
    let stub = Stub::start(|request| {
        if asked(request).0.starts_with("AmazonSSM") { parameter("p") } else { secret(r#"{"token":"s","port":5432,"none":null}"#) }
    })
    .await;
    assert_eq!(read(stub.url(), "ssm:/errand/token").await.unwrap(), "p");
    assert_eq!(read(stub.url(), "secretsmanager:errand/shop#token").await.unwrap(), "s");
    assert_eq!(read(stub.url(), "secretsmanager:errand/shop#port").await.unwrap(), "5432");
    let requests = stub.requests();
    assert_eq!(asked(&requests[0]), ("AmazonSSM.GetParameter".to_owned(), "/errand/token".to_owned()));
    assert_eq!(asked(&requests[1]), ("secretsmanager.GetSecretValue".to_owned(), "errand/shop".to_owned()));
    assert_eq!(serde_json::from_slice::<Value>(&requests[0].body).unwrap()["WithDecryption"], true);
    for (request, service) in [(&requests[0], "ssm"), (&requests[1], "secretsmanager")] {
        assert_eq!((request.method.as_str(), request.uri.path()), ("POST", "/"));
        assert_eq!(request.headers["content-type"], "application/x-amz-json-1.1");
        let authorization = request.headers["authorization"].to_str().unwrap();
        assert!(authorization.contains(&format!("/eu-west-1/{service}/aws4_request")), "{authorization}");
    }
    let whole = Stub::always(&secret("whole-text")).await;
    assert_eq!(read(whole.url(), "secretsmanager:errand/shop").await.unwrap(), "whole-text");
}

#[tokio::test]
async fn the_end_of_a_line_that_an_editor_wrote_is_no_part_of_a_secret() {
    for value in ["xoxb-1\n", "xoxb-1\r\n", "\u{feff}xoxb-1", "xoxb-1\n\n"] {
        let stub = Stub::always(&parameter(value)).await;
        assert_eq!(read(stub.url(), "ssm:/token").await.unwrap(), "xoxb-1", "{value:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "xoxb-1\n").unwrap();
    for form in ["file:", "file://"] {
        assert_eq!(read("http://127.0.0.1:1", &format!("{form}{}", path.display())).await.unwrap(), "xoxb-1");
    }
}

#[tokio::test]
async fn a_file_needs_no_aws() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "xoxb-1").unwrap();
    let file = format!("file:{}", path.display());
    let of = |reference: &str| {
        let env: Environment = [(TOKEN.name, reference)].into_iter().collect();
        let cx = errand_testkit::init();
        let references = References::new(&env, &cx).unwrap();
        Credential::from_env(&env, &TOKEN, &cx.with(references), token).unwrap().unwrap()
    };
    assert_eq!(of(&file).get().await.unwrap(), Secret::new("xoxb-1"));
    let error = of("ssm:/token").get().await.unwrap_err();
    assert_eq!((error.kind, error.stops), (ErrorKind::Misconfigured, true));
    assert_eq!(error.message, "ERRAND_SHOP_TOKEN: refers to AWS, and this function has no AWS configuration");
    // A file that never ends, and those that cannot be read.
    for (path, told) in [
        ("/dev/zero", "refers to a file of more than 64 KiB"),
        ("/none/such", "refers to a file that cannot be read: entity not found"),
        (folder.path().to_str().unwrap(), "refers to a file that cannot be read: is a directory"),
    ] {
        let error = of(&format!("file:{path}")).get().await.unwrap_err();
        assert_eq!((error.kind, error.message), (ErrorKind::Misconfigured, format!("ERRAND_SHOP_TOKEN: {told}")));
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_told_with_the_setting_and_what_to_do() {
    let ssm = |status, code: &str| Answer::json(status, &json!({ "__type": code, "message": "hunter2" }).to_string());
    let cases = [
        (
            "ssm:/x",
            ssm(400, "ParameterNotFound"),
            "what it refers to cannot be read: Parameter Store answered HTTP 400 ParameterNotFound: make it, in the account and region of what reads it",
        ),
        (
            "ssm:/x",
            ssm(400, "AccessDeniedException"),
            "what it refers to cannot be read: Parameter Store answered HTTP 400 AccessDeniedException: allow what reads it to do so, and to decrypt with its key",
        ),
        (
            "ssm:/x",
            ssm(400, "com.amazonaws.ssm#InvalidKeyId"),
            "what it refers to cannot be read: Parameter Store answered HTTP 400 InvalidKeyId: see to the key that it is encrypted with",
        ),
        (
            "ssm:/x",
            ssm(400, "UnrecognizedClientException"),
            "what it refers to cannot be read: Parameter Store answered HTTP 400 UnrecognizedClientException",
        ),
        (
            "secretsmanager:x",
            ssm(400, "ResourceNotFoundException"),
            "what it refers to cannot be read: Secrets Manager answered HTTP 400 ResourceNotFoundException: make it, in the account and region of what reads it",
        ),
        (
            "secretsmanager:x",
            ssm(400, "DecryptionFailure"),
            "what it refers to cannot be read: Secrets Manager answered HTTP 400 DecryptionFailure: see to the key that it is encrypted with",
        ),
        (
            "secretsmanager:x",
            ssm(400, "InvalidRequestException"),
            "what it refers to cannot be read: Secrets Manager answered HTTP 400 InvalidRequestException: it was deleted, or has no value yet",
        ),
        (
            "secretsmanager:x",
            Answer::json(200, r#"{"SecretBinary":"aHVudGVyMg=="}"#),
            "refers to a secret that is binary: store it as text",
        ),
        ("secretsmanager:x#token", secret(r#"{"tokn":"hunter2"}"#), "refers to a field that its secret does not have"),
        ("secretsmanager:x#token", secret(r#"{"token":null}"#), "refers to a field that its secret does not have"),
        (
            "secretsmanager:x#token",
            secret("hunter2"),
            "refers to a field of a secret that is no JSON object: leave out the # and the field",
        ),
        ("ssm:/x", parameter("\n"), "refers to what is empty"),
        ("ssm:/x", parameter("hunter2 hunter2"), "what it refers to is wrong: holds a character that no token has"),
    ];
    for (reference, answer, told) in cases {
        let stub = Stub::always(&answer).await;
        let error = read(stub.url(), reference).await.unwrap_err();
        assert_eq!(
            (error.kind, error.stops, error.message.as_str()),
            (ErrorKind::Misconfigured, true, format!("ERRAND_SHOP_TOKEN: {told}").as_str())
        );
        assert_eq!(stub.requests().len(), 1, "what does not pass is not tried again: {told}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn what_passes_is_tried_again_in_its_time_and_never_a_delivery_that_may_have_been_done() {
    let asked = AtomicU32::new(0);
    let throttled = Answer::json(400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#);
    let busy = throttled.clone();
    // As when many functions start at once.
    let stub = Stub::start(move |_| if asked.fetch_add(1, Ordering::Relaxed) < 2 { busy.clone() } else { parameter("p") }).await;
    assert_eq!((read(stub.url(), "ssm:/x").await.unwrap().as_str(), stub.requests().len()), ("p", 3));
    for answer in [throttled, Answer::json(500, r#"{"__type":"InternalServerError"}"#), Answer::json(200, "<html>"), Answer::Silence] {
        let (stub, begun) = (Stub::always(&answer).await, Instant::now());
        let error = read(stub.url(), "ssm:/x").await.unwrap_err();
        assert_eq!((error.kind, error.stops), (ErrorKind::Unavailable, false), "{answer:?}");
        assert!(
            error.message.starts_with("ERRAND_SHOP_TOKEN: what it refers to ") && begun.elapsed() < Duration::from_secs(3),
            "{}",
            error.message
        );
    }
    assert_eq!(read("http://127.0.0.1:1", "ssm:/x").await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_secret_as_long_as_there_are_is_read_whole() {
    let long = "\"".repeat(65_536);
    let stub = Stub::always(&secret(&long)).await;
    assert_eq!(read(stub.url(), "secretsmanager:x").await.unwrap(), long);
}

#[tokio::test]
async fn keys_are_made_of_what_is_read_and_a_wrong_reference_stops_the_start() {
    let stub = Stub::always(&secret(&format!(r#"{{"keys":"{SIGNING} {SIGNING}"}}"#))).await;
    let of = |value: &str| {
        let env = env(stub.url(), &[(SECRET.name, value)]);
        sign::keys(&env, &SECRET, &init(&env)).map_err(|error| error.to_string())
    };
    assert_eq!(of("secretsmanager:x#keys").unwrap().get().await.unwrap().len(), 2);
    assert_eq!(of(SIGNING).unwrap().get().await.unwrap().len(), 1);
    assert_eq!(of("").unwrap().get().await.unwrap().len(), 0);
    assert_eq!((of(SIGNING).unwrap().patience(), of("ssm:/x").unwrap().patience() > Duration::from_millis(900)), (Duration::ZERO, true));
    assert!(of("hunter2").unwrap_err().starts_with("ERRAND_SHOP_SECRET: expected whsec_"));
    assert!(of("ssm:hunter2").unwrap_err().starts_with("ERRAND_SHOP_SECRET: expected ssm:/ and the name of a parameter"));
    let nothing = Credential::from_env(&env(stub.url(), &[(TOKEN.name, "ssm:/x")]), &TOKEN, &Init::default(), token);
    assert!(nothing.unwrap_err().to_string().contains("main does not provide it"));
    assert_eq!((stub.requests().len(), SETTINGS.len()), (1, 2), "and nothing but what was used was read");
}

#[tokio::test]
async fn a_setting_that_is_whole_by_reference_is_read_once() {
    let routes = r#"{"a.*":{"http":"https://example.com"}}"#;
    let stub = Stub::start(move |request| if asked(request).1 == "/keys" { parameter("root:admin:00") } else { secret(routes) }).await;
    let vars = [(ROUTES.name, "secretsmanager:routes"), (API_KEYS.name, "ssm:/keys"), (TOKEN.name, "ssm:/token")];
    let env = env(stub.url(), &vars);
    let references = init(&env);
    let references = references.shared::<References>().unwrap();
    let whole = references.whole(&env, Reader::Status).await.unwrap();
    assert_eq!((whole.get(&ROUTES), whole.get(&API_KEYS), whole.get(&TOKEN)), (Some(routes), Some("root:admin:00"), Some("ssm:/token")));
    let names: Vec<String> = stub.requests().iter().map(|request| asked(request).1).collect();
    assert_eq!(names, ["/keys", "routes"], "and no secret");
    assert_eq!(references.whole(&env, Reader::Consumer).await.unwrap().get(&API_KEYS), Some("ssm:/keys"), "which it does not read");
    let gone = Stub::always(&Answer::json(400, r#"{"__type":"AccessDeniedException"}"#)).await;
    let env = self::env(gone.url(), &vars);
    let error = init(&env).shared::<References>().unwrap().whole(&env, Reader::Consumer).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "ERRAND_ROUTES: what it refers to cannot be read: Secrets Manager answered HTTP 400 AccessDeniedException: allow what reads it to do so, and to decrypt with its key"
    );
}
