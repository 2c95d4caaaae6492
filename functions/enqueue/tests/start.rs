//! The binary, started with settings that are missing or wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

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
