//! What every provider must do, and as [`crate::runner::Running`] every runner, tested over a [`Stub`] and a [`Peer`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use errand_core::{Attempt, CallTimeout, DeliveryError, ErrorKind, Init, Payload, Provider, Receipt};
use futures_util::future::join_all;
use tokio::sync::Notify;

use crate::{Answer, Peer, Stub, init};

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

/// How long calls may take that are answered at once; the provider's own time-out, where a service says nothing, would be waited for in full.
const LONG: CallTimeout = CallTimeout(Duration::from_secs(10));
const SHORT: CallTimeout = CallTimeout(Duration::from_millis(200));

/// How long a provider may take whose calls have [`SHORT`].
const PATIENCE: Duration = Duration::from_secs(3);

/// What a provider is tried with.
pub struct Contract<'a> {
    /// A payload in JSON; `{url}` in it stands for the service's URL.
    pub payload: &'a str,
    /// Texts of its settings and of the payload, none of which may show in an error.
    pub secrets: &'a [&'a str],
    /// What the service answers when it has done what it was asked.
    pub accepted: Answer,
    /// What it answers otherwise, and what follows from it.
    pub cases: Vec<Case>,
}

/// Runs a provider against everything that its service and its network may do. `build` makes one that calls the given base URL and has the time-out that is in the
/// `Init`, to which it adds what the provider shares with others.
///
/// # Panics
/// The provider breaks the contract; the message says how.
pub async fn conformance<P: Provider>(build: impl Fn(&str, Init) -> P + Sync, contract: Contract<'_>) {
    let Contract { payload, secrets, accepted, cases } = contract;
    let provider = std::thread::scope(|scope| scope.spawn(|| build(NOBODY, init().with(LONG))).join());
    let provider = provider.expect("`new` does no I/O: it needs no runtime and nobody who listens");
    let refused = deliver(&provider, payload, NOBODY, "key-1").await.expect_err("nobody listens there");
    assert_eq!(refused.kind, ErrorKind::Unavailable, "a connection that was refused carried nothing");
    assert_discreet(&refused, secrets);

    for Case { answer, kind, retry_after } in cases {
        let told = format!("{answer:?}");
        let error = answered(&build, payload, answer, LONG).await;
        assert_eq!((error.kind, error.retry_after.map(|delay| delay.as_secs())), (kind, retry_after), "{told}");
        assert_discreet(&error, secrets);
    }

    let silent = tokio::time::timeout(PATIENCE, answered(&build, payload, Answer::Silence, SHORT));
    let silent = silent.await.expect("a provider has the time-out that `Init` says");
    assert_eq!(silent.kind, ErrorKind::OutcomeUnknown, "a request that left without an answer may have been done");
    assert_discreet(&silent, secrets);

    works_on_many_at_once(&build, payload, &accepted).await;
    survives_a_call_that_is_dropped(&build, payload, &accepted).await;
    survives_a_connection_that_dies_between_calls(&build, payload, &accepted).await;
}

/// As the payloads of a bulk are delivered: each is sent, and sent once.
async fn works_on_many_at_once<P: Provider>(build: &impl Fn(&str, Init) -> P, payload: &str, accepted: &Answer) {
    const MANY: usize = 8;
    let stub = Stub::always(accepted).await;
    let provider = build(stub.url(), init().with(LONG));
    let one = deliver(&provider, payload, stub.url(), "key").await;
    one.expect("a delivery that the service has accepted");
    let for_one = stub.requests().len();
    let keys: Vec<String> = (0..MANY).map(|place| format!("key-{place}")).collect();
    for delivered in join_all(keys.iter().map(|key| deliver(&provider, payload, stub.url(), key))).await {
        delivered.expect("one of many deliveries at once");
    }
    assert!(stub.requests().len() <= for_one * (MANY + 1), "one delivery does its work at most once");
    assert!(stub.requests().len() > MANY, "each of many deliveries does its work");
}

/// What was dropped may have been done and is not done again; what comes after it is none the worse.
async fn survives_a_call_that_is_dropped<P: Provider>(build: &impl Fn(&str, Init) -> P, payload: &str, accepted: &Answer) {
    let (accepted_by, accepted, asked) = (accepted, accepted.clone(), Arc::new(Notify::new()));
    let (first, arrived) = (AtomicBool::new(true), Arc::clone(&asked));
    let stub = Stub::start(move |_| {
        arrived.notify_one();
        if first.swap(false, Ordering::Relaxed) { Answer::Silence } else { accepted.clone() }
    })
    .await;
    let provider = build(stub.url(), init().with(LONG));
    tokio::select! {
        _ = deliver(&provider, payload, stub.url(), "dropped") => panic!("the service has not answered"),
        () = asked.notified() => {}
    }
    let next = tokio::time::timeout(LONG.0, deliver(&provider, payload, stub.url(), "next")).await;
    next.expect("a delivery waits for none that was dropped").expect("a delivery after one that was dropped");
    let fresh = Stub::always(accepted_by).await;
    deliver(&build(fresh.url(), init().with(LONG)), payload, fresh.url(), "next").await.expect("a delivery");
    assert_eq!(stub.requests().len(), 1 + fresh.requests().len(), "what was dropped is not sent again");
}

/// As while a function is frozen: nobody sees the connection end before the next call takes it.
async fn survives_a_connection_that_dies_between_calls<P: Provider>(build: &impl Fn(&str, Init) -> P, payload: &str, accepted: &Answer) {
    let (answer, requests) = (accepted.to_http(), Arc::new(AtomicUsize::new(0)));
    let (seen, (died, dead)) = (Arc::clone(&requests), mpsc::channel());
    let peer = Peer::start(move |number, talk| {
        while talk.request().is_some() {
            seen.fetch_add(1, Ordering::Relaxed);
            talk.say(&answer);
            if number == 0 {
                talk.close();
                died.send(()).ok();
            }
        }
    });
    let url = format!("http://{}", peer.address());
    let provider = build(&url, init().with(LONG));
    deliver(&provider, payload, &url, "key-1").await.expect("a delivery");
    // This blocks the runtime, until something arrives.
    dead.recv_timeout(LONG.0).expect("the connection was used");
    tokio::task::yield_now().await;
    let before = requests.load(Ordering::Relaxed);
    deliver(&provider, payload, &url, "key-2").await.expect("a delivery over a new connection, where the old one has died");
    assert_eq!(requests.load(Ordering::Relaxed), 2 * before, "one delivery does its work at most once");
}

/// How a delivery fails when the service does `answer` about every request.
async fn answered<P: Provider>(build: impl Fn(&str, Init) -> P, payload: &str, answer: Answer, timeout: CallTimeout) -> DeliveryError {
    let told = format!("{answer:?}");
    let stub = Stub::always(&answer).await;
    let error = deliver(&build(stub.url(), init().with(timeout)), payload, stub.url(), "key-1").await.expect_err(&told);
    let seen = stub.requests();
    assert!(!seen.is_empty(), "the service was asked: {told}");
    let again =
        seen.iter().enumerate().any(|(i, one)| seen[..i].iter().any(|other| (&one.method, &one.uri) == (&other.method, &other.uri)));
    assert!(!again, "one delivery does its work at most once: {told}");
    error
}

async fn deliver<P: Provider>(provider: &P, payload: &str, url: &str, key: &str) -> Result<Receipt, DeliveryError> {
    let payload = P::Payload::from_json(&payload.replace("{url}", url)).expect("a valid payload");
    provider.deliver(payload, &attempt(key)).await
}

fn assert_discreet(error: &DeliveryError, secrets: &[&str]) {
    let told = format!("{error} {error:?}");
    for secret in secrets {
        assert!(!told.contains(secret), "an error tells what it must not: {told}");
    }
}
