//! A running `errand`, and how to speak to it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, and no test uses all of it"
)]

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use errand_http::Client;
use serde_json::{Value, json};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running server; killed when it is dropped.
pub struct Server {
    pub process: Child,
    pub url: String,
    /// The `curl` that it printed.
    pub curl: String,
    smtp: Option<SocketAddr>,
}

pub fn command(data: &Path, vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_errand"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).env_clear().envs(vars.iter().copied());
    command
}

impl Server {
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    pub fn start_with(data: &Path, vars: &[(&str, &str)]) -> Self {
        Self::of(command(data, vars))
    }

    /// A server under limits that the shell sets by `limits`.
    pub fn start_limited(limits: &str, data: &Path, options: &[&str], vars: &[(&str, &str)]) -> Self {
        let server = command(data, vars);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")])
            .arg(server.get_program())
            .args(server.get_args())
            .args(options)
            .env_clear()
            .envs(vars.iter().copied());
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut smtp = None;
        let ready = lines.find(|line| {
            smtp = line.strip_prefix("errand takes mail by SMTP on ").map(|address| address.parse().unwrap()).or(smtp);
            line.starts_with("errand is ready on ")
        });
        let ready = ready.expect("a line that says it is ready");
        let curl = lines.next().unwrap();
        // Its later lines are read and dropped, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let url = ready.trim_start_matches("errand is ready on ").split(',').next().unwrap().to_owned();
        Self { process, url, curl, smtp }
    }

    /// Where it takes mail.
    pub fn smtp(&self) -> SocketAddr {
        self.smtp.unwrap()
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        self.call_with(method, path, body, &[]).await
    }

    pub async fn call_with(&self, method: &str, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> (u16, String) {
        let headers = [&[("content-type", "application/json")], headers].concat();
        let response = self.request(method, path, &body.map_or_else(String::new, ToString::to_string), &headers).await;
        (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
    }

    /// A call as it is said, and its whole answer.
    pub async fn request(&self, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> http::Response<Bytes> {
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Client::new().send(request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap(), PATIENCE).await.unwrap()
    }

    pub async fn send(&self, task: Value) -> String {
        let (status, answer) = self.call("POST", "/v1/tasks", Some(&task)).await;
        assert_eq!(status, 202, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub async fn wait_for(&self, id: &str, status: &str) -> Value {
        let started = Instant::now();
        loop {
            let (_, answer) = self.call("GET", &format!("/v1/tasks/{id}"), None).await;
            let task: Value = serde_json::from_str(&answer).unwrap();
            if task["status"] == status {
                return task;
            }
            assert!(started.elapsed() < PATIENCE, "{id} is not {status} but {task}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The task when it has ended, however.
    pub async fn wait_for_end(&self, id: &str) -> Value {
        let started = Instant::now();
        loop {
            let (_, answer) = self.call("GET", &format!("/v1/tasks/{id}?wait=5"), None).await;
            let task: Value = serde_json::from_str(&answer).unwrap();
            if ["SUCCESSFUL", "FAILED"].iter().any(|status| task["status"] == *status) {
                return task;
            }
            assert!(started.elapsed() < PATIENCE, "{id} has not ended but is {task}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status().unwrap().success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits for a condition.
pub async fn until(mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "it did not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn mail(subject: &str) -> Value {
    json!({ "task": "email", "kwargs": { "to": ["someone@example.com"], "subject": subject, "body": "It <works>." } })
}

pub fn delayed(mut task: Value, seconds: f64) -> Value {
    task["countdown"] = json!(seconds);
    task
}
