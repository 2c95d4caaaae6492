//! The binary, started with settings that are missing or wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

const AWS: [(&str, &str); 4] =
    [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")];

fn last_word(vars: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_status")).env_clear().envs(vars.iter().copied()).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_stops_with_one_line_that_names_the_setting() {
    assert_eq!(last_word(&[]), "stopped: AWS_REGION: must be set\n");
    assert_eq!(last_word(&AWS), "stopped: ERRAND_TABLE: must be set\n");
    let with = |name, value| last_word(&[&AWS[..], &[("ERRAND_TABLE", "t"), (name, value)]].concat());
    assert!(with("ERRAND_API_KEYS", "x").starts_with("stopped: ERRAND_API_KEYS: entry 1 is not of the form"));
}
