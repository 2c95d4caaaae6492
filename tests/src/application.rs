//! A user's application, which tasks are routed to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
    thread,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// The secret that calls to the application are signed with.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The token that the deployed consumer's settings refer to.
pub const SLACK_TOKEN: &str = "xoxb-test";

/// What the application was called with, by the id of the task.
type Calls = Arc<Mutex<HashMap<String, Vec<(HeaderMap, Bytes)>>>>;

/// The application. It runs `app.echo`, which returns what it was given; `app.refuse`, which fails for good; `app.flaky`, which fails the first time; and
/// `app.later`, which says that it will report; and whatever else is routed to it, as `app.echo`. It also stands for Slack, and takes the token [`SLACK_TOKEN`] alone.
pub struct Application {
    /// Where it is called.
    pub url: String,
    calls: Calls,
}

impl Application {
    /// The one of this process, on the port that the environment names, or on a free one. It lives as long as the process does.
    ///
    /// # Panics
    /// The port cannot be bound.
    pub fn get() -> &'static Self {
        static ONE: OnceLock<Application> = OnceLock::new();
        ONE.get_or_init(|| {
            let port = std::env::var("TEST_APP_PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0);
            let calls = Calls::default();
            let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
            let address = listener.local_addr().expect("a bound port");
            let state = Arc::clone(&calls);
            // A runtime of its own: those of the tests end with them.
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    listener.set_nonblocking(true).expect("a listener");
                    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                    axum::serve(listener, Router::new().fallback(run).with_state(state)).await.expect("a server");
                });
            });
            Application { url: format!("http://{address}/run"), calls }
        })
    }

    /// The bodies of all calls so far that hold `text`.
    ///
    /// # Panics
    /// A call before it panicked.
    #[must_use]
    pub fn told(&self, text: &str) -> Vec<Value> {
        let calls = self.calls.lock().expect("calls");
        let bodies = calls.values().flatten().map(|(_, body)| body).filter(|body| String::from_utf8_lossy(body).contains(text));
        bodies.filter_map(|body| serde_json::from_slice(body).ok()).collect()
    }

    /// The calls of a task so far.
    ///
    /// # Panics
    /// A call before it panicked.
    #[must_use]
    pub fn calls(&self, id: &str) -> Vec<(HeaderMap, Bytes)> {
        self.calls.lock().expect("calls").get(id).cloned().unwrap_or_default()
    }
}

async fn run(State(calls): State<Calls>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let call: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = call["id"].as_str().unwrap_or_default().to_owned();
    let has_token = headers.get(header::AUTHORIZATION).is_some_and(|value| *value == format!("Bearer {SLACK_TOKEN}"));
    calls.lock().expect("calls").entry(id).or_default().push((headers, body));
    let failed = |status, kind: &str| {
        let errors = json!({ "errors": [{ "exception_class_path": kind, "traceback": "Traceback: line 1" }] });
        (status, axum::Json(errors)).into_response()
    };
    match call["task"].as_str() {
        _ if uri.path().starts_with("/slack") && !has_token => axum::Json(json!({ "ok": false, "error": "invalid_auth" })).into_response(),
        _ if uri.path().starts_with("/slack") => axum::Json(json!({ "ok": true, "channel": "C1", "ts": "1.2" })).into_response(),
        Some("app.echo") => axum::Json(call).into_response(),
        Some("app.refuse") => failed(StatusCode::UNPROCESSABLE_ENTITY, "shop.errors.OutOfStock"),
        Some("app.flaky") if call["attempt"] == 1 => failed(StatusCode::SERVICE_UNAVAILABLE, "shop.errors.Busy"),
        Some("app.flaky") => axum::Json(json!("done")).into_response(),
        Some("app.later") => StatusCode::ACCEPTED.into_response(),
        Some(task) if !task.starts_with("app.") => axum::Json(call).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
