//! The HTTP API, wherever it is.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use errand_http::Client;
use serde_json::Value;

use crate::until;

/// Larger than any answer of a function.
pub(crate) const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// How long an answer may take: longer than a call can wait for a task.
const PATIENCE: Duration = Duration::from_secs(60);

/// The API of a server or of a deployed stack.
pub struct Api {
    client: Client,
    url: String,
    host: Option<String>,
    key: String,
    /// The server, where it was started for this; it ends with it.
    _server: Option<Server>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body, where it is JSON; else a string of it.
    pub body: Value,
}

/// A server on this machine, with a data folder of its own.
struct Server {
    process: Child,
    _data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Api {
    /// The API at a URL, called with a key.
    #[must_use]
    pub fn new(url: &str, key: &str) -> Self {
        Self { client: Client::new(), url: url.to_owned(), host: None, key: key.to_owned(), _server: None }
    }

    /// The same, called by another name.
    #[must_use]
    pub fn at(self, host: &str) -> Self {
        Self { host: Some(host.to_owned()), ..self }
    }

    /// A server on this machine, with these settings and a key that may do everything.
    ///
    /// # Panics
    /// There is no `errand` beside this test, or it does not start.
    #[must_use]
    pub fn start(key: &str, vars: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let mut process = Command::new(errand())
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .env_clear()
            .env("ERRAND_API_KEYS", format!("tests:admin:{}", sha256(key)))
            .envs(vars.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("errand, which cargo builds for `cargo test --workspace`");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let ready = lines.find_map(|line| Some(line.strip_prefix("errand is ready on ")?.split(',').next()?.to_owned()));
        // Its later lines are read and dropped, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let server = Server { process, _data: data };
        Self { _server: Some(server), ..Self::new(&ready.expect("it says that it is ready"), key) }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The name that it is called by, where that is not in the address.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Makes a call with these headers over the usual ones.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn request(&self, method: &str, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Answer {
        let body = body.map_or_else(String::new, Value::to_string);
        let authorization = format!("Bearer {}", self.key);
        let own = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let host = self.host.as_deref().map(|host| ("host", host));
        let usual = own.into_iter().filter(|(name, _)| headers.iter().all(|(other, _)| other != name));
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in usual.chain(host).chain(headers.iter().copied()) {
            request = request.header(name, value);
        }
        let request = request.body(Bytes::from(body)).expect("a request");
        let response = self.client.send_for(request, PATIENCE, ANSWER_LIMIT).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let text = || Value::from(String::from_utf8_lossy(&body).into_owned());
        Answer { status: parts.status.as_u16(), headers: parts.headers, body: serde_json::from_slice(&body).unwrap_or_else(|_| text()) }
    }

    /// Makes a call; answers status and body.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let answer = self.request(method, path, body, &[]).await;
        (answer.status, answer.body)
    }

    /// Sends a task.
    ///
    /// # Panics
    /// It is not accepted.
    pub async fn send(&self, task: &Value) -> Value {
        let (status, answer) = self.call("POST", "/v1/tasks", Some(task)).await;
        assert_eq!(status, 202, "{answer}");
        answer
    }

    /// Waits until a task has this status, and answers it.
    ///
    /// # Panics
    /// It ends otherwise, or takes too long.
    pub async fn wait_for(&self, id: &str, status: &str) -> Value {
        until(&format!("task {id} is {status}"), async || {
            let (code, task) = self.call("GET", &format!("/v1/tasks/{id}"), None).await;
            let told = task["status"].as_str().unwrap_or_default().to_owned();
            let ended = ["SUCCESSFUL", "FAILED", "CANCELLED", "EXPIRED"].contains(&told.as_str());
            assert!(told == status || !ended, "task {id} ended otherwise: {task}");
            (code == 200 && told == status).then_some(task)
        })
        .await
    }
}

fn sha256(key: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The server's binary, which cargo puts two folders above a test's own.
fn errand() -> PathBuf {
    let test = std::env::current_exe().expect("a test's path");
    let folder = test.ancestors().nth(2).expect("the folder of a profile");
    folder.join("errand")
}
