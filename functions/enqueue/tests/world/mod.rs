//! The handler, with transports that keep what they get.

#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "a test fails by panicking, and no test uses all of it")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use errand_api::{Access, Request, Response};
use errand_core::{
    BODY_LIMIT, Destinations, Dispatch, Envelope, Environment, Hold, Init, NoOptions, OptionError, PublishError, Published, Timestamp,
    Transport, TransportLimits,
};
use errand_enqueue::{Enqueue, Health};
use errand_store_memory::{MemoryNotes, MemoryStore};
use serde_json::{Value, json};

/// Keeps what it gets, or answers as it is told.
#[derive(Clone, Default)]
pub struct Kept {
    pub delay: Duration,
    pub envelopes: Arc<Mutex<Vec<Envelope>>>,
    pub calls: Arc<AtomicUsize>,
    pub checks: Arc<AtomicUsize>,
    pub answer: Option<PublishError>,
    /// For how long its workers' results are waited for.
    pub reads: Option<Duration>,
}

impl Kept {
    pub fn of(delay: Duration, answer: Option<PublishError>) -> Self {
        Self { delay, answer, ..Self::default() }
    }

    fn keep(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        if let Some(error) = &self.answer {
            return vec![Err(error.clone()); envelopes.len()];
        }
        self.envelopes.lock().unwrap().extend_from_slice(envelopes);
        self.calls.fetch_add(1, Ordering::SeqCst);
        vec![Ok(Published { message_id: Some("m-1".to_owned()) }); envelopes.len()]
    }
}

impl Transport for Kept {
    const BACKEND: &'static str = "kept";
    type Options = NoOptions;

    fn new(_: &str, _: NoOptions, _: &Init) -> Result<Self, OptionError> {
        Ok(Self::default())
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: self.delay, bytes: BODY_LIMIT }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        self.keep(envelopes)
    }

    async fn check(&self) -> Result<(), PublishError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        self.answer.clone().map_or(Ok(()), Err)
    }

    fn reads_results(&self) -> Option<Duration> {
        self.reads
    }
}

impl Hold for Kept {
    const NAME: &'static str = "late";

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: self.delay, bytes: BODY_LIMIT }
    }

    async fn hold(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        self.keep(envelopes)
    }

    async fn withdraw(&self, _: &str, _: Timestamp) -> Result<(), PublishError> {
        Ok(())
    }
}

pub const SOON: Duration = Duration::from_secs(900);
pub const LATE: Duration = Duration::from_secs(366 * 24 * 60 * 60);

pub struct World {
    pub enqueue: Enqueue,
    pub soon: Kept,
    pub late: Kept,
    /// A transport of another name, which waits for nothing.
    pub partner: Kept,
    pub store: MemoryStore,
    pub notes: MemoryNotes,
}

impl World {
    pub fn new() -> Self {
        Self::answering(None)
    }

    pub fn answering(answer: Option<PublishError>) -> Self {
        let [soon, late, partner] = [SOON, LATE, Duration::ZERO].map(|delay| Kept::of(delay, answer.clone()));
        let (store, notes) = (MemoryStore::default(), MemoryNotes::default());
        let queues = Destinations::of(["orders", "returns"]);
        let dispatch = Dispatch::of("soon", Arc::new(soon.clone())).with("partner", Arc::new(partner.clone()), queues);
        let dispatch = dispatch.with_hold(Some(Arc::new(late.clone())));
        let routes = r#"{"app.*":{"http":"https://app.example.com"},"theirs.*":{"transport":"partner","destination":"orders"}}"#;
        let enqueue = Enqueue {
            access: Access::new(&Environment::default(), None).unwrap().open_without_keys(),
            payloads: errand_payloads::payloads()
                .with_transports(dispatch.transports())
                .with_routes(&[("ERRAND_ROUTES", routes)].into_iter().collect())
                .unwrap()
                .with_queues(["default", "fast", "slow"].into_iter()),
            dispatch,
            health: Health::of(vec![("soon".to_owned(), Arc::new(soon.clone())), ("late".to_owned(), Arc::new(late.clone()))]),
            store: Some(Arc::new(store.clone())),
            notes: Some(Arc::new(notes.clone())),
        };
        Self { enqueue, soon, late, partner, store, notes }
    }

    /// Has the partner read its workers' results back for an hour.
    pub fn reading(mut self) -> Self {
        self.partner.reads = Some(Duration::from_secs(3600));
        self.enqueue.dispatch =
            self.enqueue.dispatch.with("partner", Arc::new(self.partner.clone()), Destinations::of(["orders", "returns"]));
        self
    }

    pub async fn post(&self, body: impl ToString) -> (u16, Value) {
        self.post_to("/v1/tasks", body).await
    }

    pub async fn post_to(&self, path: &str, body: impl ToString) -> (u16, Value) {
        told(&self.enqueue.handle(&request("POST", path, body)).await)
    }

    pub fn queued(&self) -> usize {
        [&self.soon, &self.late, &self.partner].iter().map(|kept| kept.envelopes.lock().unwrap().len()).sum()
    }
}

pub fn request(method: &str, path: &str, body: impl ToString) -> Request {
    http::Request::builder().method(method).uri(path).header("content-type", "application/json").body(body.to_string().into()).unwrap()
}

pub fn told(response: &Response) -> (u16, Value) {
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

pub fn mail() -> Value {
    json!({ "task": "email", "kwargs": { "to": ["a@example.com"], "subject": "s", "body": "b" } })
}

pub fn with(name: &str, value: Value) -> Value {
    let mut task = mail();
    task[name] = value;
    task
}

pub fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}
