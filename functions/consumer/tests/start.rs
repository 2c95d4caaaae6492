//! The binary, started with settings that are missing or wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use errand_testkit::Peer;

const AWS: [(&str, &str); 4] =
    [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")];

fn last_word(vars: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_consumer")).env_clear().envs(vars.iter().copied()).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_stops_with_one_line_that_names_the_setting() {
    assert_eq!(last_word(&[]), "stopped: AWS_REGION: must be set\n");
    assert_eq!(last_word(&AWS), "stopped: ERRAND_DEAD_LETTER_URL: must be set\n");
    let queue = [&AWS[..], &[("ERRAND_QUEUE_URL", "https://sqs/1/q"), ("ERRAND_DEAD_LETTER_URL", "https://sqs/1/d")]].concat();
    let with = |name, value| last_word(&[&queue[..], &[(name, value)]].concat());
    assert!(with("ERRAND_MAX_ATTEMPTS", "many").starts_with("stopped: ERRAND_MAX_ATTEMPTS: expected a whole number from 1 to 100"));
    assert!(
        with("ERRAND_RETRY_BASE_SECONDS", "0").starts_with("stopped: ERRAND_RETRY_BASE_SECONDS: expected a whole number from 1 to 3600")
    );
    assert!(with("ERRAND_SES_FROM", "nobody").starts_with("stopped: ERRAND_SES_FROM: expected an e-mail address"));
    assert!(with("ERRAND_SES_CONFIGURATION_SET", "x").starts_with("stopped: ERRAND_SES_FROM: must be set"), "some but not all");
    assert!(with("ERRAND_SETTINGS", r#"{"ERRAND_SES_FROM":"nobody"}"#).starts_with("stopped: ERRAND_SES_FROM: expected an e-mail address"));
    assert!(with("ERRAND_SETTINGS", r#"{"FROM":"nobody"}"#).starts_with("stopped: ERRAND_SETTINGS: /FROM: expected the name of a setting"));
    assert!(with("ERRAND_WEBHOOK_SECRET", "hunter2").starts_with("stopped: ERRAND_WEBHOOK_SECRET: expected whsec_"));
}

#[test]
fn secrets_by_reference_are_looked_at_and_not_read_when_it_starts() {
    let connected = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&connected);
    let peer = Peer::start(move |_, _| seen.store(true, Ordering::Relaxed));
    let endpoint = format!("http://{}", peer.address());
    let vars = [("ERRAND_QUEUE_URL", "https://sqs/1/q"), ("ERRAND_DEAD_LETTER_URL", "https://sqs/1/d"), ("AWS_ENDPOINT_URL", &endpoint)];
    let with = |secrets: &[(&str, &str)]| last_word(&[&AWS[..], &vars, secrets].concat());
    let secrets = [
        ("ERRAND_SLACK_TOKEN", "ssm:/errand/slack"),
        ("ERRAND_SLACK_WEBHOOK_URL", "secretsmanager:errand/slack#webhook"),
        ("ERRAND_WEBHOOK_SECRET", "secretsmanager:errand/webhook"),
        ("ERRAND_HTTP_SECRET", "file:/run/secrets/http"),
    ];
    // It came as far as Lambda's runtime, which is not there.
    assert_eq!(with(&secrets), "");
    assert!(with(&[("ERRAND_WEBHOOK_SECRET", "ssm:webhook")]).starts_with("stopped: ERRAND_WEBHOOK_SECRET: expected ssm:/ and the name"));
    assert!(with(&[("ERRAND_SES_FROM", "ssm:/from")]).starts_with("stopped: ERRAND_SES_FROM: takes no reference"));
    let too_long = with(&[("ERRAND_WEBHOOK_SECRET", "ssm:/webhook"), ("ERRAND_WEBHOOK_TIMEOUT_SECONDS", "25")]);
    assert!(too_long.starts_with("stopped: ERRAND_WEBHOOK_TIMEOUT_SECONDS: expected a whole number from 1 to 22"), "{too_long}");
    assert!(!connected.load(Ordering::Relaxed), "nobody was asked");
}
