//! The binary, started with settings that are missing or wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

const AWS: [(&str, &str); 4] =
    [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")];

fn last_word(vars: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_outbox")).env_clear().envs(vars.iter().copied()).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_stops_with_one_line_that_names_the_setting() {
    assert_eq!(last_word(&[]), "stopped: AWS_REGION: must be set\n");
    assert_eq!(last_word(&AWS), "stopped: ERRAND_DEAD_LETTER_URL: must be set\n");
    let queue = [&AWS[..], &[("ERRAND_QUEUE_URL", "https://sqs/1/q"), ("ERRAND_DEAD_LETTER_URL", "https://sqs/1/d")]].concat();
    let with = |name, value| last_word(&[&queue[..], &[(name, value)]].concat());
    assert!(with("ERRAND_TRANSPORT", "kafka").starts_with("stopped: ERRAND_TRANSPORT: there is no transport kafka"));
    assert_eq!(with("ERRAND_OUTBOX_FAILURE", "drop"), "stopped: ERRAND_OUTBOX_FAILURE: expected wait or bury\n");
    assert!(with("ERRAND_OUTBOX_HOLD_SECONDS", "86400").starts_with("stopped: ERRAND_OUTBOX_HOLD_SECONDS: expected a whole number from 1"));
    // It came as far as Lambda's runtime, which is not there.
    assert_eq!(last_word(&queue), "");
}
