//! The transport by Errand's kit, and both functions with an event.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    process::{Child, Command},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use errand_core::{Envelope, Fields, Init, OptionError, Transport};
use errand_testkit::{
    Answer, Peer, Stub, Talk,
    transport::{conformance, envelope, failures},
};
use nats::Nats;
use serde_json::{Value, json};

type Published = Arc<Mutex<Vec<(String, Value)>>>;

/// A server of NATS that keeps what is published, by its subject.
fn server() -> (Peer, Published) {
    let published = Published::default();
    let keeps = Arc::clone(&published);
    let peer = Peer::start(move |_, talk| speak(talk, |subject, body| keeps.lock().unwrap().push((subject, body))));
    (peer, published)
}

fn speak(talk: &mut Talk, publish: impl Fn(String, Value)) {
    talk.say("INFO {\"server_id\":\"test\"}\r\n");
    while let Some(line) = talk.line() {
        if let Some(publication) = line.strip_prefix("PUB ") {
            let subject = publication.split(' ').next().unwrap().to_owned();
            publish(subject, serde_json::from_str(&talk.line().unwrap()).unwrap());
        } else if line == "PING" {
            // Whoever is asked may ask as well.
            talk.say("PING\r\nPONG\r\n");
        }
    }
}

fn nats(server: &str) -> Result<Nats, OptionError> {
    Nats::new("shop", Fields::value(&json!({ "server": server }).to_string())?, &Init::default())
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_transport() {
    let (server, published) = server();
    let refused = Envelope { destination: Some("no subject".to_owned()), ..envelope("refused") };
    conformance(&nats(server.address()).unwrap(), Some(refused)).await;
    assert_eq!(published.lock().unwrap()[0].0, "default");
    let refusing = Peer::start(|_, talk| {
        talk.say("INFO {}\r\n-ERR 'maximum connections exceeded'\r\n");
        talk.listen();
    });
    let breaking_off = Peer::start(|_, talk| {
        talk.say("INFO {}\r\n");
        while let Some(line) = talk.line().filter(|line| !line.starts_with("PUB ")) {
            if line == "PING" {
                talk.say("PONG\r\n");
            }
        }
        talk.close();
    });
    let nobody = nats("127.0.0.1:1").unwrap();
    failures(&nats(refusing.address()).unwrap(), &nobody, &nats(breaking_off.address()).unwrap()).await;
}

#[tokio::test]
async fn a_connection_that_died_while_it_was_idle_costs_nothing() {
    let published = Published::default();
    let keeps = Arc::clone(&published);
    let peer = Peer::start(move |number, talk| {
        if number > 0 {
            return speak(talk, |subject, body| keeps.lock().unwrap().push((subject, body)));
        }
        talk.say("INFO {}\r\n");
        (0..2).for_each(|_| drop(talk.line()));
        talk.say("PONG\r\n");
        talk.close();
    });
    let nats = nats(peer.address()).unwrap();
    assert_eq!(nats.check().await, Ok(()));
    assert!(nats.publish(&[envelope("a")]).await[0].is_ok());
    assert_eq!(published.lock().unwrap().len(), 1);
}

#[test]
fn a_wrong_option_or_subject_is_named() {
    let told = |options: &str| match Fields::value(options)
        .map_err(OptionError::from)
        .and_then(|options| Nats::new("shop", options, &Init::default()))
    {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    assert_eq!(told(r#"{"server":"nats"}"#), "/server: expected host:port");
    assert!(told(r#"{"server":"a:1","format":"x"}"#).starts_with("/format: "));
    let nats = nats("a:4222").unwrap();
    assert!(nats.takes("orders.new").is_ok());
    assert!(["orders.*", "orders.>", "a b", "a..b", ""].iter().all(|subject| nats.takes(subject).is_err()));
}

/// One of the binaries, ended with the test.
struct Function(Child);

impl Drop for Function {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Runs a binary with one event; tells what it answers.
async fn invoke(binary: &str, nats: &str, event: String) -> Value {
    let given = Arc::new(AtomicBool::new(false));
    let lambda = Stub::start(move |request| match request.uri.path() {
        "/2018-06-01/runtime/invocation/next" if given.swap(true, Ordering::SeqCst) => Answer::Silence,
        "/2018-06-01/runtime/invocation/next" => Answer::json(200, &event)
            .header("lambda-runtime-aws-request-id", "r-1")
            .header("lambda-runtime-deadline-ms", "4102444800000")
            .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:0:function:f"),
        _ => Answer::json(202, "{}"),
    })
    .await;
    let transports = json!({ "shop": { "backend": "nats", "queues": ["orders.new"], "options": { "server": nats } } }).to_string();
    let runtime = lambda.url().trim_start_matches("http://");
    let settings = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_LAMBDA_RUNTIME_API", runtime),
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "s"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "g"),
        ("ERRAND_QUEUE_URL", "http://127.0.0.1:1/000000000000/queue"),
        ("ERRAND_DEAD_LETTER_URL", "http://127.0.0.1:1/000000000000/dead"),
        ("ERRAND_API_KEYS", "test:send:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"),
        ("ERRAND_TRANSPORTS", &transports),
        ("ERRAND_ROUTES", r#"{"orders.*":{"transport":"shop"}}"#),
    ];
    let _function = Function(Command::new(binary).env_clear().envs(settings).spawn().unwrap());
    let started = Instant::now();
    loop {
        let requests = lambda.requests();
        if let Some(answer) = requests.iter().find(|request| request.uri.path().contains("/invocation/r-1/")) {
            return serde_json::from_slice(&answer.body).unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(30), "it does not answer: {requests:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn both_functions_hand_tasks_to_it() {
    let (server, published) = server();
    let mut call: Value = serde_json::from_str(include_str!("../../../../events/enqueue-health.json")).unwrap();
    call["rawPath"] = json!("/v1/tasks");
    call["requestContext"]["http"] = json!({ "method": "POST", "path": "/v1/tasks" });
    call["headers"]["authorization"] = json!("Bearer secret");
    call["body"] = json!(json!({ "task": "orders.ship", "id": "a", "queue": "orders.new" }).to_string());
    let answer = invoke(env!("CARGO_BIN_EXE_nats-enqueue"), server.address(), call.to_string()).await;
    assert_eq!(answer["statusCode"], 202, "{answer}");
    let record = json!({
        "messageId": "m-1", "receiptHandle": "r", "body": json!({ "task": "orders.ship", "id": "b" }).to_string(),
        "attributes": { "ApproximateReceiveCount": "1" }, "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue",
    });
    let answer = invoke(env!("CARGO_BIN_EXE_nats-consumer"), server.address(), json!({ "Records": [record] }).to_string()).await;
    assert_eq!(answer["batchItemFailures"], json!([]), "{answer}");
    let published = published.lock().unwrap();
    let told: Vec<(&str, &Value)> = published.iter().map(|(subject, body)| (subject.as_str(), &body["id"])).collect();
    assert_eq!(told, [("orders.new", &json!("a")), ("orders.new", &json!("b"))]);
}
