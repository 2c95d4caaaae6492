//! What all calls have in common, against a service.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use errand_core::{Attempt, CallTimeout, Environment, ErrorKind, Init, Job, Secret, Timestamp};
use errand_http::{Client, Credential, Meanings, Retry, Service, aws, sign, token};
use errand_testkit::{Answer, Stopped, Stub, provider::attempt, transport::envelope};
use http::{HeaderMap, Method, header};
use serde_json::json;

errand_core::settings! {
    const SETTINGS;
    /// The service's URL.
    URL = "ERRAND_SHOP_URL", Text("a URL"), "https://shop.example/api", [Consumer];
    /// What its calls are signed with.
    SECRET = "ERRAND_SHOP_SECRET", Secret("secrets"), "", [Consumer];
    /// Its token.
    TOKEN = "ERRAND_SHOP_TOKEN", Secret("a token"), "", [Consumer];
}

/// 2026-11-30T12:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_796_040_000_000);

fn init() -> Init {
    Stopped(NOW).init().with(Client::new())
}

fn at(url: &str) -> Service {
    let env: Environment = [(URL.name, url)].into_iter().collect();
    Service::new("Shop", Duration::from_secs(5), &init()).unwrap().at(&env, &URL).unwrap().keyed("idempotency-key")
}

fn traced() -> Attempt {
    Attempt { trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()), ..attempt("order-7") }
}

#[tokio::test]
async fn a_call_has_what_all_calls_have() {
    let stub = Stub::start(|_| Answer::json(201, r#"{"id":"o1"}"#)).await;
    let (secret, work) = (Secret::new("hunter2"), traced());
    let service = at(&format!("{}/api/", stub.url()));
    let answer = service.post("/orders?x=1").bearer(secret.clone()).json(&json!({ "n": 1 })).of(&work).send().await.unwrap();
    assert_eq!(
        (answer.success(), answer.told().get("id"), answer.receipt().0),
        (true, Some("o1".to_owned()), json!({ "status": 201 }).into())
    );
    let request = stub.requests().remove(0);
    assert_eq!(
        (request.method.as_str(), request.uri.to_string().as_str(), request.body.as_ref()),
        ("POST", "/api/orders?x=1", &br#"{"n":1}"#[..])
    );
    let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
    assert_eq!((header("authorization").as_str(), header("content-type").as_str()), ("Bearer hunter2", "application/json"));
    assert_eq!((header("traceparent"), header("idempotency-key").as_str()), (work.trace.unwrap(), "order-7"));
    assert_eq!(header("user-agent"), concat!("errand/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_form_and_a_secret_header_are_written_as_they_are_read() {
    let stub = Stub::start(|_| Answer::json(200, "{}")).await;
    let key = header::HeaderName::from_static("x-api-key");
    let service = at(stub.url());
    let call = service.post("/").form(&[("grant type", "a&b"), ("scope", "é=+")]).secret(key, Secret::new("hunter2"));
    assert!(call.send().await.unwrap().success());
    let request = stub.requests().remove(0);
    assert_eq!(request.body.as_ref(), b"grant%20type=a%26b&scope=%C3%A9%3D%2B");
    assert_eq!(
        (&request.headers["content-type"], &request.headers["x-api-key"]),
        (&"application/x-www-form-urlencoded".parse().unwrap(), &"hunter2".parse().unwrap())
    );
}

#[tokio::test]
async fn a_clock_that_is_off_is_told() {
    let told = async |date: &str| {
        let stub = Stub::always(&Answer::json(401, "{}").header("date", date)).await;
        at(stub.url()).post("/").send().await.unwrap().clock_off()
    };
    assert_eq!(told("Mon, 30 Nov 2026 12:00:59 GMT").await, None);
    assert_eq!(told("Mon, 30 Nov 2026 12:05:00 GMT").await.as_deref(), Some("this machine's clock is 300 seconds behind the service's"));
    assert_eq!(told("Mon, 30 Nov 2026 11:59:00 GMT").await.as_deref(), Some("this machine's clock is 60 seconds ahead of the service's"));
    assert_eq!(told("soon").await, None);
}

#[tokio::test]
async fn what_a_caller_sets_wins_and_a_job_is_worked_for_as_an_attempt_is() {
    let stub = Stub::start(|_| Answer::json(200, "")).await;
    let own: HeaderMap =
        [(header::USER_AGENT, "shop/1".parse().unwrap()), (header::CONTENT_TYPE, "text/x".parse().unwrap())].into_iter().collect();
    let job = Job { envelope: &envelope("order-8"), number: 1, report: None };
    at("https://elsewhere.example").call(Method::PUT, stub.url()).json_text("{ }").of(&job).headers(own).send().await.unwrap();
    let request = stub.requests().remove(0);
    let header = |name: &str| request.headers[name].to_str().unwrap();
    assert_eq!((request.method.as_str(), header("user-agent"), header("content-type")), ("PUT", "shop/1", "text/x"));
    assert_eq!((header("idempotency-key"), request.headers.get("traceparent"), request.body.as_ref()), ("order-8", None, &b"{ }"[..]));
}

#[tokio::test]
async fn a_message_is_signed_as_a_webhook_is() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let stub = Stub::start(|_| Answer::json(200, "")).await;
    let keys = sign::keys(&[(SECRET.name, secret)].into_iter().collect(), &SECRET, &init()).unwrap().get().await.unwrap();
    at(stub.url()).post("/").json_text("{}").webhook("order-7", &keys).send().await.unwrap();
    let request = stub.requests().remove(0);
    assert_eq!(request.headers["webhook-timestamp"], "1796040000");
    let theirs = standardwebhooks::Webhook::new(secret).unwrap().sign("order-7", NOW.seconds(), b"{}").unwrap();
    assert_eq!(request.headers["webhook-signature"], theirs);
}

#[tokio::test]
async fn a_date_to_wait_for_is_a_delay_from_now_on() {
    let at_date = |date: &'static str| async move {
        let stub = Stub::start(move |_| Answer::json(503, "").header("retry-after", date)).await;
        let answer = at(stub.url()).post("/").send().await.unwrap();
        answer.refused(&Meanings::default(), None, &[]).retry_after
    };
    assert_eq!(at_date("Mon, 30 Nov 2026 12:01:30 GMT").await, Some(Duration::from_secs(90)));
    assert_eq!(at_date("Mon, 30 Nov 2026 11:59:59 GMT").await, Some(Duration::ZERO));
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_without_being_repeated() {
    let service = at("http://127.0.0.1:1");
    let secret = Secret::new("hunter2\n");
    let told = |call: Result<errand_http::Answer, errand_core::DeliveryError>| call.err().map(|error| (error.kind, error.message)).unwrap();
    assert_eq!(
        told(service.post("/").bearer(secret.clone()).send().await),
        (ErrorKind::Misconfigured, "Shop: its token holds a character that no token has".to_owned())
    );
    assert_eq!(
        told(service.post("/ hunter2").send().await),
        (ErrorKind::Misconfigured, "Shop: no HTTP request can be made with its URL".to_owned())
    );
    let no_json = std::collections::BTreeMap::from([((1, 2), "hunter2")]);
    assert_eq!(
        told(service.post("/").json(&no_json).send().await),
        (ErrorKind::InvalidPayload, "Shop: it cannot be written as JSON".to_owned())
    );
    assert_eq!(told(service.post("/").send().await).0, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_wrong_setting_is_named_with_what_was_expected() {
    let service = |vars: &[(&str, &str)]| {
        let env: Environment = vars.iter().copied().collect();
        Service::new("Shop", Duration::from_secs(5), &init()).unwrap().at(&env, &URL).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(service(&[]), Ok(()), "it has a default");
    assert_eq!(
        service(&[(URL.name, "shop.example/hunter2")]).unwrap_err(),
        "ERRAND_SHOP_URL: expected an http or https URL with a host, without a user, and with no port or one up to 65535, such as https://shop.example/api"
    );
    let read = |value: &str| Credential::from_env(&[(TOKEN.name, value)].into_iter().collect(), &TOKEN, &init(), token);
    assert!(read("").unwrap().is_none());
    assert_eq!(read("hunter2").unwrap().unwrap().get().await.unwrap(), Secret::new("hunter2"));
    assert_eq!(read("hunter2\n").unwrap_err().to_string(), "ERRAND_SHOP_TOKEN: holds a character that no token has");
    assert!(Service::new("Shop", Duration::from_secs(5), &Stopped(NOW).init()).is_err(), "there is no client");
    assert!(Service::new("Shop", Duration::from_secs(5), &Init::default().with(Client::new())).is_err(), "there is no clock");
    assert_eq!(SETTINGS.len(), 3);
}

#[tokio::test]
async fn the_time_out_is_the_services_or_the_calls_or_the_one_of_the_start() {
    let stub = Stub::start(|_| Answer::Silence).await;
    let begun = Instant::now();
    let short = Service::new("Shop", Duration::from_secs(60), &init().with(CallTimeout(Duration::from_millis(50)))).unwrap();
    for call in [
        short.post(stub.url()),
        short.post(stub.url()).within(Duration::from_secs(60)),
        at(stub.url()).post("/").within(Duration::from_millis(50)),
    ] {
        assert_eq!(call.send().await.err().unwrap().kind, ErrorKind::OutcomeUnknown);
    }
    assert!(begun.elapsed() < Duration::from_secs(3) && short.timeout() == Duration::from_millis(50));
}

#[tokio::test]
async fn a_call_is_sent_again_as_its_policy_says() {
    async fn tries(retry: Retry, first: u16) -> (u16, usize) {
        let asked = AtomicU32::new(0);
        let stub = Stub::start(move |_| Answer::json(if asked.fetch_add(1, Ordering::Relaxed) < 2 { first } else { 200 }, "")).await;
        let answer = at(stub.url()).post("/").retried(retry).send().await.unwrap();
        (answer.status().as_u16(), stub.requests().len())
    }
    let wait = Duration::from_millis(1);
    assert_eq!(tries(Retry::NEVER, 429).await, (429, 1));
    assert_eq!(tries(Retry::once(3, wait), 429).await, (200, 3));
    assert_eq!(tries(Retry::once(3, wait), 503).await, (503, 1));
    assert_eq!(tries(Retry::repeatable(2, wait), 503).await, (503, 2));
    assert_eq!(tries(Retry::repeatable(3, wait), 503).await, (200, 3));
    // There is no time left for the wait that the service asks for.
    let stub = Stub::start(|_| Answer::json(429, "").header("retry-after", "60")).await;
    let begun = Instant::now();
    assert_eq!(at(stub.url()).post("/").retried(Retry::once(3, wait)).send().await.unwrap().status(), 429);
    assert!(begun.elapsed() < Duration::from_secs(3) && stub.requests().len() == 1);
}

#[tokio::test]
async fn a_service_of_aws_is_called_at_its_endpoint_with_a_signature() {
    const STORAGE: aws::Api = aws::Api { name: "Storage", id: "Cold Storage", host: "cold", signed_as: "cold-storage" };
    let stub = Stub::start(|_| Answer::json(400, r#"{"__type":"x#ThrottlingException","message":"hunter2"}"#)).await;
    let env: Environment = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_ENDPOINT_URL_COLD_STORAGE", stub.url()),
    ]
    .into_iter()
    .collect();
    let service = STORAGE.service(Duration::from_secs(5), &init().with(aws::sdk_config(&env).unwrap()), Client::aws(&env)).unwrap();
    let answer = service.post("/a%3Ab").json_text("{}").send().await.unwrap();
    let error = aws::refused(&answer, &Meanings::default());
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::RateLimited, "Storage answered HTTP 400 ThrottlingException"));
    let request = stub.requests().remove(0);
    let authorization = request.headers["authorization"].to_str().unwrap();
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/20261130/eu-west-1/cold-storage/aws4_request, "),
        "{authorization}"
    );
    assert!(authorization.contains(" SignedHeaders=content-type;host;x-amz-date, "), "{authorization}");
    assert_eq!(request.headers["x-amz-date"], "20261130T120000Z");
    assert_eq!(request.headers["host"], stub.url().trim_start_matches("http://"));
    assert!(STORAGE.service(Duration::from_secs(5), &init(), Client::aws(&env)).is_err(), "there is no AWS");
}
