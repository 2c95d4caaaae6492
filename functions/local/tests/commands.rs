//! The commands, against a server of their own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
    time::Duration,
};

use errand_core::Timestamp;
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

/// How a command ended: its exit code, and what it complained of.
fn ended(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn a_task_is_moved() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    told(&server, &["send", "console", "--countdown", "600", "--id", "a"]);
    for word in ["move", "reschedule"] {
        let tomorrow = (Timestamp::now() + Duration::from_secs(86400)).to_string();
        assert_eq!(told(&server, &[word, "a", "--run-after", &tomorrow])["status"], "SCHEDULED");
    }
    assert_eq!(told(&server, &["move", "a", "--countdown", "0"])["id"], "a");
    assert_eq!(told(&server, &["status", "a", "--wait"])["status"], "SUCCESSFUL");
    assert!(complaint(&run(&server, &["move", "a", "--countdown", "9"], "")).contains("SUCCESSFUL"));
    assert_eq!(ended(&run(&server, &["move", "a"], "")).0, 2, "when to?");
}

#[tokio::test]
async fn schedules_are_made_told_changed_run_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let digits = r#"{"text":"hi","n":12345678901234567890123}"#;
    let made = told(
        &server,
        &["schedules", "create", "s", "--cron", "0 9 * * fri#2", "--timezone", "Europe/Berlin", "console", digits, "--max-attempts", "3"],
    );
    assert_eq!(
        (&made["cron"], &made["paused"], &made["max_attempts"]),
        (&Value::from("0 9 * * fri#2"), &Value::from(false), &Value::from(3))
    );
    let shown = run(&server, &["schedules", "show", "s"], "");
    assert!(String::from_utf8_lossy(&shown.stdout).contains(digits), "as it was written");
    assert_eq!(told(&server, &["schedules", "change", "s", "--rate", "1 hour", "--kwargs", r#"{"text":"ho"}"#])["rate"], "1 hour");
    let changed = told(&server, &["schedules", "change", "s", "--patch", r#"{"max_attempts":null}"#]);
    assert_eq!((&changed["max_attempts"], &changed["kwargs"]["text"]), (&Value::Null, &Value::from("ho")));
    assert_eq!(told(&server, &["schedules", "pause", "s"])["next_run"], Value::Null);
    assert!(told(&server, &["schedules", "resume", "s"])["next_run"].is_string());
    let task = told(&server, &["schedules", "run", "s"]);
    assert_eq!(told(&server, &["status", task["id"].as_str().unwrap(), "--wait"])["status"], "SUCCESSFUL");
    assert_eq!(told(&server, &["schedules", "list"])["name"], "s");
    told(&server, &["schedules", "delete", "s"]);
    assert!(run(&server, &["schedules", "list"], "").stdout.is_empty());
    assert!(complaint(&run(&server, &["schedules", "show", "s"], "")).contains("no schedule"));
    assert!(complaint(&run(&server, &["schedules", "create", "s", "console"], "")).contains("/cron: expected either"));
    assert_eq!(ended(&run(&server, &["schedules", "change", "s", "--patch", "{}", "--task", "x"], "")).0, 2);
}

#[tokio::test]
async fn templates_are_kept_and_notifications_previewed_and_sent() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let file = data.path().join("shipped.json");
    std::fs::write(&file, r#"{"channels":{"console":{"text":"Order {{ order.id }} for {{ user }}"}}}"#).unwrap();
    assert_eq!(told(&server, &["templates", "put", "shipped", file.to_str().unwrap()])["name"], "shipped");
    assert_eq!(told(&server, &["templates", "list"]), "shipped");
    assert_eq!(told(&server, &["templates", "show", "shipped"])["channels"]["console"]["text"], "Order {{ order.id }} for {{ user }}");
    let notify = ["notify", "--template", "shipped", "--user", "ann", "--variables", r#"{"order":{"id":7}}"#, "--channel", "console"];
    let preview = told(&server, &[&notify[..], &["--preview"]].concat());
    assert_eq!(preview["channels"]["console"]["text"], "Order 7 for ann");
    let sent = told(&server, &[&notify[..], &["--id", "n"]].concat());
    assert_eq!((&sent["id"], &sent["tasks"][0]["id"]), (&Value::from("n"), &Value::from("n.console")));
    let whole = told(&server, &["notify", r#"{"user":"ann","channels":{"console":{"text":"a"}}}"#, "--channel", r#"console={"text":"b"}"#]);
    assert_eq!(whole["tasks"][0]["kwargs"]["text"], "b");
    told(&server, &["templates", "delete", "shipped"]);
    assert!(complaint(&run(&server, &notify, "")).contains("/template"));
    assert!(complaint(&run(&server, &["templates", "put", "shipped", "nowhere.json"], "")).contains("nowhere.json"));
}

#[tokio::test]
async fn what_did_nothing_or_was_refused_ends_with_1() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    for (arguments, why) in [
        (&["dead-letters", "replay", "--id", "nope"][..], "no such dead letter: nope"),
        (&["dead-letters", "drop", "--all"], "nothing was done"),
        (&["dead-letters", "show", "nope"], "no dead letter"),
        (&["cancel", "nope"], "no task"),
        (&["schedules", "run", "nope"], "no schedule"),
        (&["templates", "delete", "nope"], "Not Found"),
    ] {
        let (code, told) = ended(&run(&server, arguments, ""));
        assert!(code == 1 && told.contains(why), "{arguments:?}: {code} {told}");
    }
    told(&server, &["send", "console", "--countdown", "600", "--id", "a"]);
    told(&server, &["cancel", "a"]);
    assert!(complaint(&run(&server, &["status", "a"], "")).contains("CANCELLED: it was not done"));
    let body = data.path().join("body");
    for (text, code) in [(r#"{"task":"t"}"#, 0), ("hello", 1), (r#"[{"task":1}]"#, 1), (r#"{"Event":"s3:TestEvent"}"#, 0)] {
        std::fs::write(&body, text).unwrap();
        let decoded = Command::new(env!("CARGO_BIN_EXE_errand")).arg("decode").arg(&body).env_clear().output().unwrap();
        assert!(decoded.status.code() == Some(code) && !decoded.stdout.is_empty(), "{text}");
    }
}

#[tokio::test]
async fn the_address_can_be_a_setting() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let errand = |arguments: &[&str], url: &str| {
        Command::new(env!("CARGO_BIN_EXE_errand")).args(arguments).env_clear().env("ERRAND_URL", url).output().unwrap()
    };
    assert!(errand(&["send", "console"], &server.url).status.success());
    assert!(complaint(&errand(&["send", "console"], "http://127.0.0.1:1")).contains("http://127.0.0.1:1: "));
    assert!(errand(&["send", "console", "--url", &server.url], "http://127.0.0.1:1").status.success(), "what is said goes before");
}
