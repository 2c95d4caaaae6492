//! Whether the parts work, for monitors.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use errand_api::{Request, Response, json};
use errand_core::{DynCheck, Timestamp};
use futures_util::future::join_all;
use http::StatusCode;
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

use crate::Enqueue;

/// How long a part may take to answer: who asks has little patience, and gives up on all where one is silent.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer is kept: anyone may ask, and is not to open connections to brokers by that.
const KEPT: Duration = Duration::from_secs(5);

/// What tells whether tasks can go where they go, by name, and what it has told last.
#[derive(Default)]
pub struct Health {
    checks: Vec<(String, Arc<dyn DynCheck>)>,
    told: Mutex<Option<Kept>>,
}

/// What all parts have told, by name.
type All = BTreeMap<String, Told>;

struct Kept {
    /// By the clock on the wall: an execution environment that is frozen has no other.
    at: Timestamp,
    told: Arc<All>,
}

/// What a part has told.
struct Told {
    /// `ok`, or why not.
    text: String,
    took: Duration,
}

/// What is answered.
#[derive(Serialize)]
struct Answer<'a> {
    status: &'static str,
    /// By name: `ok`, or why not.
    checks: BTreeMap<&'a str, &'a str>,
    /// For who has a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<BTreeMap<&'a str, Detail<'a>>>,
}

#[derive(Serialize)]
struct Detail<'a> {
    latency_ms: u128,
    error: Option<&'a str>,
}

impl Health {
    /// Of these parts, by their names.
    #[must_use]
    pub fn of(checks: Vec<(String, Arc<dyn DynCheck>)>) -> Self {
        Self { checks, told: Mutex::default() }
    }
}

impl Told {
    fn error(&self) -> Option<&str> {
        (self.text != OK).then_some(&self.text)
    }

    fn detail(&self) -> Detail<'_> {
        Detail { latency_ms: self.took.as_millis(), error: self.error() }
    }
}

const OK: &str = "ok";

impl Enqueue {
    /// Tells how all parts are; who has a key is told how long each took as well.
    pub(crate) async fn health(&self, request: &Request) -> Response {
        let known = async { timeout(PATIENCE, self.access.knows(request, Timestamp::now())).await.unwrap_or_default() };
        let (told, known) = futures_util::join!(self.told(), known);
        let details = || told.iter().map(|(name, told)| (name.as_str(), told.detail())).collect();
        let ok = told.values().all(|told| told.error().is_none());
        let (code, status) = if ok { (StatusCode::OK, OK) } else { (StatusCode::SERVICE_UNAVAILABLE, "failing") };
        let checks = told.iter().map(|(name, told)| (name.as_str(), told.text.as_str())).collect();
        json(code, &Answer { status, checks, details: known.then(details) })
    }

    /// What all parts have told, asked at once unless that was done a moment ago. Who asks meanwhile waits for the same answer.
    async fn told(&self) -> Arc<All> {
        let mut last = self.health.told.lock().await;
        if let Some(Kept { at, told }) = &*last
            && Timestamp::now().since(*at) < KEPT
        {
            return Arc::clone(told);
        }
        let transports = join_all(self.health.checks.iter().map(async |(name, check)| (name.clone(), ask(check.check()).await)));
        let store = async {
            match &self.store {
                Some(store) => Some(("store".to_owned(), ask(store.check()).await)),
                None => None,
            }
        };
        let (transports, store) = futures_util::join!(transports, store);
        let told: Arc<All> = Arc::new(transports.into_iter().chain(store).collect());
        *last = Some(Kept { at: Timestamp::now(), told: Arc::clone(&told) });
        told
    }
}

async fn ask<E: Display>(check: impl Future<Output = Result<(), E>>) -> Told {
    let begun = Instant::now();
    let text = match timeout(PATIENCE, check).await {
        Ok(Ok(())) => OK.to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("does not answer within {} seconds", PATIENCE.as_secs()),
    };
    Told { text, took: begun.elapsed() }
}
