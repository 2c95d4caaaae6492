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
use errand_core::{Envelope, Environment, Outbox, PublishError, Published, Transport};
use errand_enqueue::Enqueue;
use errand_store_memory::{MemoryNotes, MemoryStore};
use serde_json::{Value, json};

/// Keeps what it gets, or answers as it is told.
#[derive(Clone, Default)]
pub struct Kept<const MAX_SECONDS: u64> {
    pub envelopes: Arc<Mutex<Vec<Envelope>>>,
    pub calls: Arc<AtomicUsize>,
    pub answer: Option<PublishError>,
}

impl<const MAX_SECONDS: u64> Transport for Kept<MAX_SECONDS> {
    const NAME: &'static str = if MAX_SECONDS == SOON { "soon" } else { "late" };
    const MAX_DELAY: Duration = Duration::from_secs(MAX_SECONDS);

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        if let Some(error) = &self.answer {
            return vec![Err(error.clone()); envelopes.len()];
        }
        self.envelopes.lock().unwrap().extend_from_slice(envelopes);
        self.calls.fetch_add(1, Ordering::SeqCst);
        vec![Ok(Published::default()); envelopes.len()]
    }

    async fn check(&self) -> Result<(), PublishError> {
        self.answer.clone().map_or(Ok(()), Err)
    }
}

pub const SOON: u64 = 900;
pub const LATE: u64 = 366 * 24 * 60 * 60;

pub struct World {
    pub enqueue: Enqueue,
    pub soon: Kept<SOON>,
    pub late: Kept<LATE>,
    pub store: MemoryStore,
    pub notes: MemoryNotes,
}

impl World {
    pub fn new() -> Self {
        Self::answering(None)
    }

    pub fn answering(answer: Option<PublishError>) -> Self {
        let (soon, late, store) =
            (Kept { answer: answer.clone(), ..Kept::default() }, Kept { answer, ..Kept::default() }, MemoryStore::default());
        let notes = MemoryNotes::default();
        let enqueue = Enqueue {
            access: Access::new(&Environment::default(), None).unwrap().open_without_keys(),
            payloads: errand_payloads::payloads()
                .with_routes(&[("ERRAND_ROUTES", r#"{"app.*":{"http":"https://app.example.com"}}"#)].into_iter().collect())
                .unwrap()
                .with_queues(["default", "fast", "slow"].into_iter()),
            outbox: Outbox { soon: Arc::new(soon.clone()), late: Some(Arc::new(late.clone())), objects: None },
            checks: vec![Arc::new(soon.clone()), Arc::new(late.clone())],
            store: Some(Arc::new(store.clone())),
            notes: Some(Arc::new(notes.clone())),
        };
        Self { enqueue, soon, late, store, notes }
    }

    pub async fn post(&self, body: impl ToString) -> (u16, Value) {
        self.post_to("/v1/tasks", body).await
    }

    pub async fn post_to(&self, path: &str, body: impl ToString) -> (u16, Value) {
        told(&self.enqueue.handle(&request("POST", path, body)).await)
    }

    pub fn queued(&self) -> usize {
        self.soon.envelopes.lock().unwrap().len() + self.late.envelopes.lock().unwrap().len()
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
