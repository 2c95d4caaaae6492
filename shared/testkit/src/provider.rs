//! What every provider must do, tested over a [`Stub`].

use std::time::Duration;

use errand_core::{Attempt, DeliveryError, ErrorKind, Payload, Provider};

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
    Attempt { key: key.to_owned(), task: "test".to_owned(), number: 1, trace: None }
}

/// Delivers `payload` once to a service that answers `answer`.
///
/// # Errors
/// What the provider says.
///
/// # Panics
/// The payload is not the provider's.
pub async fn deliver<P: Provider>(build: impl Fn(&str) -> P, payload: &str, answer: Answer) -> Result<errand_core::Receipt, DeliveryError> {
    let stub = Stub::start(move |_| answer.clone()).await;
    build(stub.url()).deliver(P::Payload::from_json(payload).expect("a valid payload"), &attempt("key-1")).await
}

/// Runs a provider against everything that its service may do. `build` makes one that calls the given base URL; none of `secrets`, texts of
/// its settings and of `payload`, may show in an error.
///
/// # Panics
/// The provider breaks the contract; the message says how.
pub async fn conformance<P: Provider>(build: impl Fn(&str) -> P, payload: &str, secrets: &[&str], cases: Vec<Case>) {
    for Case { answer, kind, retry_after } in cases {
        let told = format!("{answer:?}");
        let error = deliver(&build, payload, answer).await.expect_err(&told);
        assert_eq!((error.kind, error.retry_after.map(|delay| delay.as_secs())), (kind, retry_after), "{told}");
        assert_discreet(&error, secrets);
    }
    let provider = build("http://127.0.0.1:1");
    let refused = provider
        .deliver(P::Payload::from_json(payload).expect("a valid payload"), &attempt("key-1"))
        .await
        .expect_err("nobody listens there");
    assert_eq!(refused.kind, ErrorKind::Unavailable, "a connection that was refused carried nothing");
    assert_discreet(&refused, secrets);

    let silent =
        tokio::time::timeout(Provider::timeout(&provider) + Duration::from_secs(1), deliver(&build, payload, Answer::Silence)).await;
    let silent = silent.expect("a provider keeps its timeout").expect_err("nobody answered");
    assert_eq!(silent.kind, ErrorKind::OutcomeUnknown, "a request that left without an answer may have been done");
    assert_discreet(&silent, secrets);
}

fn assert_discreet(error: &DeliveryError, secrets: &[&str]) {
    let told = format!("{error} {error:?}");
    for secret in secrets {
        assert!(!told.contains(secret), "an error tells what it must not: {told}");
    }
}
