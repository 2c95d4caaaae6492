//! The API as others see it: a Django project over it, and a tester that makes calls up from its document.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
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
#[ignore = "needs Django at ERRAND_TEST_DJANGO"]
async fn a_django_project_has_its_tasks_run_and_reads_their_results() {
    let python = tool("ERRAND_TEST_DJANGO");
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/django");
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

/// No answer is a server's error, or another than the document tells.
fn conforms(api: &Api, host: Option<&str>, more: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    // Nobody waits for the tasks that it makes up.
    std::fs::write(folder.path().join("schemathesis.toml"), "[parameters]\n\"query.wait\" = 0\n").unwrap();
    let mut command = Command::new(tool("ERRAND_TEST_SCHEMATHESIS"));
    command.current_dir(folder.path()).args(["run", &format!("{}/v1/openapi.json", api.url())]);
    command.args(["--header", &format!("authorization: Bearer {KEY}"), "--seed", "1", "--request-timeout", "60", "--continue-on-failure"]);
    if let Some(host) = host {
        command.args(["--header", &format!("host: {host}")]);
    }
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method";
    let told = command.args(["--checks", checks]).args(more).output().unwrap();
    assert!(told.status.success(), "{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
}

#[test]
#[ignore = "needs Schemathesis at ERRAND_TEST_SCHEMATHESIS"]
fn every_answer_is_as_the_document_tells() {
    let routes = json!({ "app.*": { "http": Application::get().url } }).to_string();
    let api = Api::start(KEY, &[("ERRAND_ROUTES", &routes)]);
    conforms(&api, None, &["--phases", "examples,coverage,fuzzing", "--max-examples", "40"]);
}

#[test]
#[ignore = "needs the deployed stack, and Schemathesis at ERRAND_TEST_SCHEMATHESIS"]
fn every_answer_of_the_stack_is_as_the_document_tells() {
    let stack = Stack::new();
    conforms(&stack.api, stack.api.host(), &["--phases", "examples,fuzzing", "--max-examples", "5"]);
}
