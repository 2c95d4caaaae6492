//! The commands of README and docs, as they stand there: each page against a server of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use errand_testkit::{Answer, Stub};
use serde_json::{Value, json};
use server::{Server, until};

/// What is not run, by how it begins or the page that it stands on, and why.
const NOT_RUN: [(&str, &str); 21] = [
    ("cargo run", "builds for minutes; what it starts is the server that answers here"),
    ("cargo install", "builds for minutes"),
    ("cargo lambda build", "builds for minutes, by tests/run"),
    ("tests/run", "is what runs this"),
    ("python3 -m venv", "is followed by an installation, as tests/run does it"),
    ("pip install", "installs for minutes, as tests/run does"),
    ("sam deploy", "needs an AWS account; tests/run does it with an emulator"),
    ("aws sesv2", "needs an AWS account"),
    ("aws ssm", "needs an AWS account; tests/run keeps what is referred to with an emulator"),
    ("ERRAND_TRANSPORTS=", "starts a server; the one that answers here has the transport"),
    ("git pull", "changes the repository, and needs an AWS account"),
    ("export ERRAND_URL=", "names a deployed stack"),
    (
        "curl -X POST \"$report_url\" -H \"authorization: Bearer $report_token\" -H 'content-type: application/json' -d '{\"status\": \"FAILED\"",
        "reports otherwise what the line before has reported",
    ),
    ("errand outbox", "needs a database of an application; the tests of relays do what these say"),
    ("ERRAND_OUTBOX_DATABASE=", "needs PostgreSQL; the same tests"),
    ("ERRAND_QUEUE_URL=…", "needs an AWS account"),
    ("aws dynamodb ", "needs an AWS account; tests/run makes such a table of an emulator"),
    ("rq worker", "starts a worker of RQ's; the tests of workers start it so"),
    ("docs/performance.md", "measures for minutes, with a tool of its own"),
    ("docs/examples/django/README.md", "needs three terminals; the tests of that example run its files"),
    ("docs/examples/lambda/README.md", "needs an AWS account; tests/run does it with an emulator"),
];

/// What fails as its page says, by a part of it.
const FAILS: [&str; 1] = ["\"subjekt\""];

/// What goes on until it is stopped.
const ENDLESS: [&str; 1] = ["errand tail"];

/// An answer that is no success is a failure, and no client of AWS reaches anything but the server here.
const PRELUDE: &str = "set -o pipefail
curl() { command curl --silent --show-error --fail-with-body \"$@\"; }
aws() { command aws --endpoint-url $URL \"$@\"; }
";

#[tokio::test]
#[ignore = "needs curl, jq, openssl and the aws CLI"]
async fn every_command_of_the_documentation_does_what_it_says() {
    let (mut unused, mut ran, mut wrong) = (BTreeSet::from(NOT_RUN.map(|(begins, _)| begins)), 0, Vec::new());
    for page in pages() {
        let commands: Vec<String> =
            blocks(&fs::read_to_string(root().join(&page)).unwrap()).iter().flat_map(|block| commands(block)).collect();
        let left = |command: &str| NOT_RUN.iter().map(|(what, _)| *what).find(|what| page == *what || command.starts_with(what));
        unused.retain(|begins| !commands.iter().any(|command| left(command) == Some(begins)));
        let commands: Vec<String> = commands.into_iter().filter(|command| left(command).is_none()).collect();
        if !commands.is_empty() {
            ran += commands.len();
            wrong.extend(run(&page, &commands).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(unused.is_empty(), "no page has these any more: {unused:?}");
    assert!(ran >= 50, "{ran} commands were found");
}

/// Runs a page's commands one after the other in one shell; answers those that did not do what they should.
async fn run(page: &str, commands: &[String]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::start(services).await;
    let server = start(folder.path(), &stub).await;
    let report = handed_over(&server, &stub).await;
    let mut script = PRELUDE.to_owned();
    for command in commands {
        let command = command.replace("http://127.0.0.1:3000", &server.url).replace("https://example.com", stub.url());
        let endless = if ENDLESS.iter().any(|begins| command.starts_with(begins)) { "timeout 2 " } else { "" };
        script += &format!("{endless}{command}\nprintf '\\n:: %s\\n' $?\n");
    }
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(folder.path()).env_clear().env("PATH", path()).env("HOME", folder.path()).stdin(Stdio::null());
    shell.envs([("URL", server.url.clone()), ("ERRAND_URL", server.url.clone()), ("KEY", "any".to_owned())]);
    shell.envs([("QUEUE_URL", format!("{}/000000000000/default", server.url)), ("AWS_ENDPOINT_URL_SQS", server.url.clone())]);
    shell.envs([("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "any"), ("AWS_SECRET_ACCESS_KEY", "key")]);
    shell.envs([("report_url", &report[0]), ("report_token", &report[1])]);
    let output = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let ends: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix(":: ")).collect();
    assert_eq!(ends.len(), commands.len(), "{page}: {told}\n{errors}");
    let wanted = |command: &str| match command {
        command if FAILS.iter().any(|part| command.contains(part)) => "22",
        command if ENDLESS.iter().any(|begins| command.starts_with(begins)) => "124",
        _ => "0",
    };
    let wrong = commands.iter().zip(ends).filter(|(command, end)| *end != wanted(command));
    wrong.map(|(command, end)| format!("{page}: {command}\n  ended with {end}; all that was said on the page:\n{told}\n{errors}")).collect()
}

/// The services that tasks of the documentation reach.
fn services(request: &errand_testkit::Request) -> Answer {
    let body = String::from_utf8_lossy(&request.body);
    match request.uri.path() {
        "/refuse" => Answer::json(400, "{}"),
        "/run" => Answer::json(202, "{}"),
        "/chat.postMessage" if body.contains("#gone") => Answer::json(200, r#"{"ok":false,"error":"channel_not_found"}"#),
        "/chat.postMessage" => Answer::json(200, r#"{"ok":true,"channel":"C1","ts":"1.2"}"#),
        _ => Answer::json(200, "{}"),
    }
}

/// A server where there is what the documentation speaks of: a mail to Ann, dead letters, files.
async fn start(folder: &Path, stub: &Stub) -> Server {
    let template = json!({ "channels": { "email": { "subject": "Order {{ order.id }}", "body": "It is on its way." } } });
    let message = json!({ "task": "console", "kwargs": { "text": "Hello" } });
    for (name, content) in [("shipped.json", &template), ("message.json", &message), ("body.json", &message)] {
        fs::write(folder.join(name), content.to_string()).unwrap();
    }
    let routes = json!({ "orders.*": { "http": format!("{}/run", stub.url()) } }).to_string();
    let transports = json!({ "audit": { "backend": "console", "options": { "file": folder.join("audit.jsonl") } } }).to_string();
    let vars = [
        ("ERRAND_SLACK_TOKEN", "xoxb-test"),
        ("ERRAND_SLACK_URL", stub.url()),
        ("ERRAND_ROUTES", &routes),
        ("ERRAND_TRANSPORTS", &transports),
    ];
    let server = Server::start_with(&folder.join("data"), &vars);
    server.send(json!({ "task": "email", "kwargs": { "to": ["ann@example.com"], "subject": "Hello", "body": "It works." } })).await;
    let refused = json!({ "url": format!("{}/refuse", stub.url()) });
    for (id, task, kwargs) in [
        ("order-7", "webhook", &refused),
        ("order-8", "webhook", &refused),
        ("gone-1", "slack", &json!({ "channel": "#gone", "text": "Hello" })),
    ] {
        server.send(json!({ "id": id, "task": task, "kwargs": kwargs })).await;
        server.wait_for(id, "FAILED").await;
    }
    server
}

/// Where and with which token a worker reports that was given a task.
async fn handed_over(server: &Server, stub: &Stub) -> [String; 2] {
    server.send(json!({ "task": "orders.ship" })).await;
    let job = || stub.requests().into_iter().find(|request| request.uri.path() == "/run");
    until(|| job().is_some()).await;
    let job: Value = serde_json::from_slice(&job().unwrap().body).unwrap();
    ["url", "token"].map(|part| job["report"][part].as_str().unwrap().to_owned())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `errand` as it was built, the aws CLI that the senders have, and what the machine has.
fn path() -> OsString {
    let errand = Path::new(env!("CARGO_BIN_EXE_errand")).parent().unwrap().to_owned();
    let aws = Path::new(&std::env::var_os("TEST_SENDERS").unwrap()).join("sender-sqs/bin");
    let machine = std::env::var_os("PATH").unwrap();
    std::env::join_paths([errand, aws].into_iter().chain(std::env::split_paths(&machine))).unwrap()
}

/// README and the pages of docs, by their paths.
fn pages() -> Vec<String> {
    let (mut pages, mut folders) = (vec!["README.md".to_owned()], vec!["docs".to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap().map(Result::unwrap) {
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(path),
                _ if path.ends_with(".md") => pages.push(path),
                _ => {}
            }
        }
    }
    pages.sort();
    pages
}

/// The blocks of a page that are for a shell.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut fence = None;
    for line in page.lines() {
        match (fence, line.strip_prefix("```")) {
            (None, Some(language)) => {
                fence = Some(language);
                blocks.extend((language == "sh").then(String::new));
            }
            (Some(_), Some(_)) => fence = None,
            (Some("sh"), None) => blocks.last_mut().unwrap().push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    blocks
}

/// The commands of a block, without comments: one goes on in the next line within quotes and behind a backslash.
fn commands(block: &str) -> Vec<String> {
    let (mut commands, mut command, mut quote) = (Vec::new(), String::new(), None);
    let mut letters = block.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, '#') if command.is_empty() || command.ends_with(char::is_whitespace) => {
                while letters.next_if(|letter| *letter != '\n').is_some() {}
                continue;
            }
            (None, '\n') => {
                commands.push(std::mem::take(&mut command));
                continue;
            }
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None | Some('"'), '\\') => {
                command.push(letter);
                command.extend(letters.next());
                continue;
            }
            _ => {}
        }
        command.push(letter);
    }
    commands.into_iter().map(|command| command.trim().to_owned()).filter(|command| !command.is_empty()).collect()
}

#[test]
fn a_block_falls_into_its_commands() {
    let block = "# first\none 'it''s # no comment\nhere'   # a comment, isn't it\ntwo \\\n    \"a \\\" b\"\n\nthree#4\n";
    assert_eq!(commands(block), ["one 'it''s # no comment\nhere'", "two \\\n    \"a \\\" b\"", "three#4"]);
}
