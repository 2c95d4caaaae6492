//! What every store must do, by role. The checks use ids of their own, so that they can share a table with others.

mod claims;
mod register;
mod results;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use errand_core::{Begin, Claim, Claims, Envelope, Outcome, Progress, Register, Results, TaskError, TaskResult, Timestamp};

use crate::{
    transport::envelope,
    tried::{OF_STORES, Tried},
    written,
};

const LEASE: Duration = Duration::from_secs(60);

/// When failed attempts are to be followed by another.
const RETRY_AT: Timestamp = Timestamp::from_millis(1_900_000_000_123);

/// An id that no other check and no other run has.
fn id(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}-{}", Timestamp::now().millis(), std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

fn new(name: &str) -> Envelope {
    envelope(&id(name))
}

fn claim(envelope: &Envelope, now: Timestamp) -> Claim<'_> {
    Claim { envelope, now, lease_until: now + LEASE, worker: "worker", token: Some("token"), backend: "queue" }
}

fn other(envelope: &Envelope) -> Envelope {
    Envelope { kwargs: written::object().raw(), ..envelope.clone() }
}

fn error(text: &str) -> TaskError {
    TaskError { exception_class_path: "errand.unavailable".to_owned(), traceback: text.to_owned() }
}

async fn begin<S: Claims + Results>(store: &S, envelope: &Envelope, now: Timestamp) -> Begin {
    store.begin(&claim(envelope, now)).await.expect("the store answers")
}

async fn get<S: Claims + Results>(store: &S, id: &str) -> TaskResult {
    store.get(id).await.expect("the store answers").expect("the id is known").0
}

fn claimed(attempt: u32) -> Begin {
    Begin::Claimed { attempt, tries: attempt, died: false, progress: Progress::default() }
}

fn gave_up(text: &str) -> Outcome {
    Outcome::Failed { errors: vec![error(text)], progress: Progress::default() }
}

fn failed(text: &str) -> Outcome {
    Outcome::Retry { error: Some(error(text)), progress: Progress::default(), counts: true, at: RETRY_AT }
}

/// Runs all checks.
///
/// # Panics
/// The store breaks the contract; the message says how.
pub async fn conformance<S: Claims + Results>(store: S) {
    let store = Tried::new(store);
    store.check().await.expect("the store answers");
    register::conformance(&store).await;
    claims::conformance(&store).await;
    results::conformance(&store).await;
    store.all(OF_STORES);
}
