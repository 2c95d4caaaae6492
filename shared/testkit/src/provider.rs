//! What every provider must do, tested over a [`Stub`].

use std::time::Duration;

use errand_core::{Attempt, DeliveryError, ErrorKind, Payload, Provider, Receipt};

use crate::{Answer, Stub};

/// A service's answer and what must follow from it.
pub struct Case {
    /// What the service answers.
    pub answer: Answer,
    /// What that means.
    pub kind: ErrorKind,
    /// The delay that it asks for, in seconds.
    pub retry_after: Option<u64>,
}

/// A case without a delay.
#[must_use]
pub fn case(status: u16, body: &str, kind: ErrorKind) -> Case {
    Case { answer: Answer::json(status, body), kind, retry_after: None }
}

impl Case {
    /// With a header in the answer, and the delay that must come of it.
    #[must_use]
    pub fn after(mut self, header: &'static str, value: &str, seconds: u64) -> Self {
        self.answer = self.answer.header(header, value);
        self.retry_after = Some(seconds);
        self
    }
}

/// An attempt with this key.
#[must_use]
pub fn attempt(key: &str) -> Attempt {
    Attempt { id: key.to_owned(), key: key.to_owned(), task: "test".to_owned(), number: 1, trace: None }
}

/// A base URL where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// Runs a provider against everything that its service may do. `build` makes one that calls the given base URL; `{url}` in `payload` stands for
/// the same. None of `secrets`, texts of its settings and of `payload`, may show in an error.
///
/// # Panics
/// The provider breaks the contract; the message says how.
pub async fn conformance<P: Provider>(build: impl Fn(&str) -> P + Sync, payload: &str, secrets: &[&str], cases: Vec<Case>) {
    let provider = std::thread::scope(|scope| scope.spawn(|| build(NOBODY)).join());
    let provider = provider.expect("`new` does no I/O: it needs no runtime and nobody who listens");
    let refused = deliver(&provider, payload, NOBODY).await.expect_err("nobody listens there");
    assert_eq!(refused.kind, ErrorKind::Unavailable, "a connection that was refused carried nothing");
    assert_discreet(&refused, secrets);

    for Case { answer, kind, retry_after } in cases {
        let told = format!("{answer:?}");
        let error = answered(&build, payload, answer).await;
        assert_eq!((error.kind, error.retry_after.map(|delay| delay.as_secs())), (kind, retry_after), "{told}");
        assert_discreet(&error, secrets);
    }

    let silent =
        tokio::time::timeout(Provider::timeout(&provider) + Duration::from_millis(500), answered(&build, payload, Answer::Silence));
    let silent = silent.await.expect("a provider keeps its timeout");
    assert_eq!(silent.kind, ErrorKind::OutcomeUnknown, "a request that left without an answer may have been done");
    assert_discreet(&silent, secrets);
}

/// How a delivery fails when the service does `answer` about every request.
async fn answered<P: Provider>(build: impl Fn(&str) -> P, payload: &str, answer: Answer) -> DeliveryError {
    let told = format!("{answer:?}");
    let stub = Stub::start(move |_| answer.clone()).await;
    let error = deliver(&build(stub.url()), payload, stub.url()).await.expect_err(&told);
    let seen = stub.requests();
    assert!(!seen.is_empty(), "the service was asked: {told}");
    let again =
        seen.iter().enumerate().any(|(i, one)| seen[..i].iter().any(|other| (&one.method, &one.uri) == (&other.method, &other.uri)));
    assert!(!again, "one delivery does its work at most once: {told}");
    error
}

async fn deliver<P: Provider>(provider: &P, payload: &str, url: &str) -> Result<Receipt, DeliveryError> {
    let payload = P::Payload::from_json(&payload.replace("{url}", url)).expect("a valid payload");
    provider.deliver(payload, &attempt("key-1")).await
}

fn assert_discreet(error: &DeliveryError, secrets: &[&str]) {
    let told = format!("{error} {error:?}");
    for secret in secrets {
        assert!(!told.contains(secret), "an error tells what it must not: {told}");
    }
}
