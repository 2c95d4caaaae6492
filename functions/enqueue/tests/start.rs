//! The binary, started with settings that are missing or wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use errand_testkit::{Answer, Peer};

const AWS: [(&str, &str); 4] =
    [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")];

fn last_word(vars: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_enqueue")).env_clear().envs(vars.iter().copied()).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_stops_with_one_line_that_names_the_setting() {
    assert_eq!(last_word(&[]), "stopped: AWS_REGION: must be set\n");
    assert_eq!(last_word(&AWS), "stopped: ERRAND_QUEUE_URL: must be set\n");
    let queue = [&AWS[..], &[("ERRAND_QUEUE_URL", "https://sqs/1/q")]].concat();
    let with = |name, value| last_word(&[&queue[..], &[(name, value)]].concat());
    assert!(with("ERRAND_QUEUE_ARN", "arn:aws:sqs:eu-west-1:1:q").starts_with("stopped: ERRAND_SCHEDULER_ROLE_ARN: must be set"));
    assert!(with("ERRAND_QUEUES", "x").starts_with("stopped: ERRAND_QUEUES: expected a JSON object"));
    assert!(with("ERRAND_API_KEYS", "x").starts_with("stopped: ERRAND_API_KEYS: entry 1 is not of the form"));
}

#[test]
fn what_is_whole_by_reference_is_read_once_before_all_else() {
    let start = |answer: Answer| {
        let (answer, asked) = (answer.to_http(), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&asked);
        let peer = Peer::start(move |_, talk| {
            while talk.request().is_some() {
                seen.fetch_add(1, Ordering::Relaxed);
                talk.say(&answer);
            }
        });
        let endpoint = format!("http://{}", peer.address());
        let vars = [("AWS_ENDPOINT_URL", &*endpoint), ("ERRAND_QUEUE_URL", "https://sqs/1/q"), ("ERRAND_ROUTES", "ssm:/errand/routes")];
        let word = last_word(&[&AWS[..], &vars].concat());
        (word, asked.load(Ordering::Relaxed))
    };
    let (word, asked) = start(Answer::json(200, r#"{"Parameter":{"Value":"hunter2"}}"#));
    assert!(word.starts_with("stopped: ERRAND_ROUTES: ") && !word.contains("refers to") && word.lines().count() == 1, "{word}");
    assert_eq!(asked, 1);
    let (word, asked) = start(Answer::json(400, r#"{"__type":"ParameterNotFound","message":"hunter2"}"#));
    let told = "stopped: ERRAND_ROUTES: what it refers to cannot be read: Parameter Store answered HTTP 400 ParameterNotFound: make it, in the account and region of what reads it\n";
    assert_eq!((word.as_str(), asked), (told, 1));
}
