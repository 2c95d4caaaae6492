//! The API as others see it: a Django project over it, and a tester that makes calls up from its document.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command},
};

use errand_tests::{
    Api, Stack,
    application::{Application, SECRET},
    until,
};
use serde_json::json;

const KEY: &str = "key-of-the-tests";

fn tool(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/run"))
}

/// A process that ends with its test, and all that it started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
#[ignore = "needs Django at TEST_DJANGO"]
async fn a_django_project_has_its_tasks_run_and_reads_their_results() {
    let python = tool("TEST_DJANGO");
    let project = folder("docs/examples/django");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let routes = json!({ "shop.*": { "http": format!("http://127.0.0.1:{port}/errand/tasks") } }).to_string();
    let api = Api::start(KEY, &[("ERRAND_ROUTES", &routes), ("ERRAND_HTTP_SECRET", SECRET)]);
    let django = |arguments: &[&str]| {
        let mut command = Command::new(&python);
        command.args(arguments).current_dir(&project);
        command.envs([
            ("ERRAND_URL", api.url()),
            ("ERRAND_API_KEY", KEY),
            ("ERRAND_HTTP_SECRET", SECRET),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ]);
        command
    };
    let server = django(&["manage.py", "runserver", "--noreload", &format!("127.0.0.1:{port}")]).spawn().unwrap();
    let _server = Running(server);
    until("Django answers", async || TcpStream::connect(("127.0.0.1", port)).ok()).await;
    let check = django(&["check.py"]).output().unwrap();
    let told = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{told}{}", String::from_utf8_lossy(&check.stderr));
    assert!(told.contains(" checks passed"), "{told}");
}

/// A folder of this project.
fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A server with a provider of each kind, none of which reaches anyone.
fn server() -> Api {
    let routes = json!({ "app.*": { "http": Application::get().url } }).to_string();
    Api::start(KEY, &[("ERRAND_ROUTES", &routes), ("ERRAND_SLACK_TOKEN", "xoxb-none"), ("ERRAND_SLACK_URL", "http://127.0.0.1:9")])
}

/// Runs a command to its end, and answers what it said.
fn run(command: &mut Command) -> String {
    let told = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&told.stdout).into_owned(), String::from_utf8_lossy(&told.stderr).into_owned());
    assert!(told.status.success(), "{command:?}\n{out}{err}");
    out + &err
}

/// Every call that fits the document is taken, every other is refused, none without a key, and no answer is another than the document tells: all checks
/// of Schemathesis, with what no schema can say in tests/document.
async fn conforms(api: &Api, host: Option<&str>, more: &[&str]) {
    // What tests/document/hooks.py asks about.
    let text = json!({ "text": "Hello" });
    for (method, path, body) in [
        ("POST", "/v1/schedules", json!({ "name": "kept", "rate": "1 day", "paused": true, "task": "console", "kwargs": text })),
        ("PUT", "/v1/templates/kept", json!({ "channels": { "console": text } })),
        ("POST", "/v1/tasks", json!({ "id": "kept", "task": "console", "kwargs": text, "countdown": 800 })),
    ] {
        let (status, answer) = api.call(method, path, Some(&body)).await;
        assert!(status < 300, "{path}: {answer}");
    }
    // It keeps what it found in the folder that it runs in.
    let work = tempfile::tempdir().unwrap();
    for file in ["schemathesis.toml", "hooks.py"] {
        std::fs::copy(folder("tests/document").join(file), work.path().join(file)).unwrap();
    }
    let mut command = Command::new(tool("TEST_SCHEMATHESIS"));
    command.current_dir(work.path()).args(["run", &format!("{}/v1/openapi.json", api.url())]);
    command.args(["--seed", "1", "--request-timeout", "60", "--continue-on-failure", "--checks", "all"]);
    // To delete a task is to cancel it: it stays, and says so.
    command.args(["--exclude-checks", "use_after_free"]);
    // Of a generator, which has to find out what rules of "at least one of" leave.
    command.args(["--suppress-health-check", "large_base_example,filter_too_much"]);
    if let Some(host) = host {
        command.args(["--header", &format!("host: {host}")]);
    }
    run(command.args(more));
}

#[tokio::test]
#[ignore = "needs Schemathesis at TEST_SCHEMATHESIS"]
async fn calls_and_answers_are_as_the_document_tells() {
    conforms(&server(), None, &["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "40"]).await;
}

#[tokio::test]
#[ignore = "needs the deployed stack, and Schemathesis at TEST_SCHEMATHESIS"]
async fn calls_and_answers_of_the_stack_are_as_the_document_tells() {
    let stack = Stack::new();
    conforms(&stack.api, stack.api.host(), &["--phases", "examples,fuzzing", "--max-examples", "5"]).await;
}

/// The document, as a file of this name in the folder.
async fn document(api: &Api, folder: &Path, name: &str) {
    let (status, document) = api.call("GET", "/v1/openapi.json", None).await;
    assert_eq!(status, 200);
    std::fs::write(folder.join(name), document.to_string()).unwrap();
}

/// What both clients say: a task that was done, and the field that is wrong in another.
fn says_what_became_of_both(told: &str) {
    assert!(told.contains(" SUCCESSFUL") && told.contains("/kwargs/to/0 "), "{told}");
}

#[tokio::test]
#[ignore = "needs the linters in TEST_NODE"]
async fn linters_find_no_error_in_the_document() {
    let (api, work, bin) = (server(), tempfile::tempdir().unwrap(), Path::new(&tool("TEST_NODE")).join("node_modules/.bin"));
    document(&api, work.path(), "openapi.json").await;
    let rules = folder("tests/document");
    let spectral = run(Command::new(bin.join("spectral"))
        .args(["lint", "openapi.json", "--fail-severity", "warn", "--ruleset"])
        .arg(rules.join("spectral.yaml"))
        .current_dir(work.path()));
    assert!(spectral.contains("No results with a severity of 'warn' or higher found!"), "{spectral}");
    run(Command::new(bin.join("redocly"))
        .args(["lint", "openapi.json", "--max-problems", "50", "--config"])
        .arg(rules.join("redocly.yaml"))
        .current_dir(work.path()));
}

#[tokio::test]
#[ignore = "needs openapi-python-client in TEST_CLIENT"]
async fn a_python_client_comes_out_of_the_document() {
    let (api, work, bin) = (server(), tempfile::tempdir().unwrap(), Path::new(&tool("TEST_CLIENT")).join("bin"));
    document(&api, work.path(), "openapi.json").await;
    let generator = bin.join("openapi-python-client");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let made = run(Command::new(generator)
        .args(["generate", "--path", "openapi.json", "--fail-on-warning"])
        .current_dir(work.path())
        .env("PATH", path));
    assert!(!made.to_lowercase().contains("warning"), "{made}");
    let mut send = Command::new(bin.join("python"));
    send.arg(folder("docs/examples/clients/send.py")).env("PYTHONPATH", work.path().join("errand-client"));
    says_what_became_of_both(&run(send.envs([("ERRAND_URL", api.url()), ("ERRAND_API_KEY", KEY)])));
}

#[tokio::test]
#[ignore = "needs openapi-typescript in TEST_NODE"]
async fn a_typescript_client_comes_out_of_the_document() {
    let (api, work, node) = (server(), tempfile::tempdir().unwrap(), PathBuf::from(tool("TEST_NODE")));
    document(&api, work.path(), "openapi.json").await;
    let bin = node.join("node_modules/.bin");
    std::os::unix::fs::symlink(node.join("node_modules"), work.path().join("node_modules")).unwrap();
    std::fs::write(work.path().join("package.json"), r#"{"type":"module"}"#).unwrap();
    std::fs::copy(folder("docs/examples/clients/send.ts"), work.path().join("send.ts")).unwrap();
    run(Command::new(bin.join("openapi-typescript")).args(["openapi.json", "-o", "errand.ts"]).current_dir(work.path()));
    let compiler = ["--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "--types", "node", "send.ts"];
    run(Command::new(bin.join("tsc")).args(compiler).current_dir(work.path()));
    let mut send = Command::new("node");
    send.arg("send.js").current_dir(work.path());
    says_what_became_of_both(&run(send.envs([("ERRAND_URL", api.url()), ("ERRAND_API_KEY", KEY)])));
}
