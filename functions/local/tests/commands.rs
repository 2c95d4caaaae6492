//! The commands, against a server of their own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use server::Server;

fn errand(server: &Server, arguments: &[&str], key: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_errand"));
    command.args(arguments).args(["--url", &server.url]).env_clear().env("ERRAND_API_KEY", key);
    command
}

fn run(server: &Server, arguments: &[&str], key: &str) -> Output {
    errand(server, arguments, key).output().unwrap()
}

/// The JSON that a command prints.
fn told(server: &Server, arguments: &[&str]) -> Value {
    let output = run(server, arguments, "");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_task_is_sent_asked_about_and_cancelled() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let done = told(&server, &["send", "console", r#"{"text":"hi"}"#, "--id", "a/1", "--wait"]);
    assert_eq!((&done["id"], &done["status"]), (&Value::from("a/1"), &Value::from("SUCCESSFUL")));
    assert_eq!(told(&server, &["status", "a/1"]), done);
    let late = told(&server, &["send", "console", "--countdown", "600"]);
    assert_eq!(late["status"], "SCHEDULED");
    assert_eq!(told(&server, &["cancel", late["id"].as_str().unwrap()])["status"], "CANCELLED");
    let wrong = complaint(&run(&server, &["send", "email", r#"{"subject":7}"#], ""));
    assert!(wrong.contains("/kwargs/subject: expected a string") && wrong.contains("/kwargs/to"), "{wrong}");
    assert!(complaint(&run(&server, &["status", "nobody"], "")).contains("no task with this id"));
    assert!(complaint(&run(&server, &["send", "email", "{"], "")).contains("expected JSON"));
}

#[tokio::test]
async fn a_key_for_a_server_that_asks_for_none_is_told_to_be_worth_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let made = run(&server, &["keys", "new", "shop", "--scope", "send"], "");
    assert!(made.status.success() && String::from_utf8_lossy(&made.stderr).contains("this server enforces no keys"), "{made:?}");
}

#[tokio::test]
async fn tail_tells_of_each_change() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut tail = errand(&server, &["tail", "--task", "console"], "").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let sent = told(&server, &["send", "console", "--countdown", "2"]);
    let lines = BufReader::new(tail.stdout.take().unwrap()).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let mut seen = Vec::new();
    for task in lines {
        assert_eq!(task["id"], sent["id"]);
        seen.push(task["status"].as_str().unwrap().to_owned());
        if task["status"] == "SUCCESSFUL" {
            break;
        }
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert_eq!((seen.first().map(String::as_str), seen.last().map(String::as_str)), (Some("SCHEDULED"), Some("SUCCESSFUL")));
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let data = tempfile::tempdir().unwrap();
    let first = Command::new(env!("CARGO_BIN_EXE_errand"))
        .args(["keys", "new", "root", "--scope", "admin", "--offline"])
        .env_clear()
        .output()
        .unwrap();
    let first: Value = serde_json::from_slice(&first.stdout).unwrap();
    let (root, setting) = (first["key"].as_str().unwrap(), first["ERRAND_API_KEYS"].as_str().unwrap());
    let server = Server::start_with(data.path(), &[("ERRAND_API_KEYS", setting)]);
    assert!(complaint(&run(&server, &["keys", "list"], "")).contains("set ERRAND_API_KEY"));
    let made = run(&server, &["keys", "new", "shop", "--scope", "send", "--rate", "600"], root);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let shop = made["key"].as_str().unwrap();
    assert_eq!(made["enforced"], true);
    assert!(run(&server, &["send", "console"], shop).status.success());
    assert!(complaint(&run(&server, &["keys", "list"], shop)).contains("lacks the scope admin"));
    let listed = String::from_utf8(run(&server, &["keys", "list"], root).stdout).unwrap();
    assert!(listed.lines().count() == 2 && listed.contains("shop") && !listed.contains(shop), "{listed}");
    assert!(run(&server, &["keys", "revoke", "shop"], root).status.success());
    assert!(complaint(&run(&server, &["send", "console"], shop)).contains("known API key"));
}
