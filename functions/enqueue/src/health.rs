//! Whether the parts work, for monitors.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use errand_api::{Response, json};
use futures_util::future::join_all;
use http::StatusCode;
use serde::Serialize;
use tokio::time::timeout;

use crate::Enqueue;

/// How long a part may take to answer: who asks has little patience, and gives up on all where one is silent.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Health {
    status: &'static str,
    /// By name: `ok`, or why not.
    checks: BTreeMap<String, String>,
}

impl Enqueue {
    /// Asks all parts at once.
    pub(crate) async fn health(&self) -> Response {
        let transports = join_all(self.checks.iter().map(async |(name, check)| (name.clone(), told(check.check()).await)));
        let store = async {
            match &self.store {
                Some(store) => Some(("store".to_owned(), told(store.check()).await)),
                None => None,
            }
        };
        let (transports, store) = futures_util::join!(transports, store);
        let checks: BTreeMap<String, String> = transports.into_iter().chain(store).collect();
        let ok = checks.values().all(|told| told == "ok");
        let (code, status) = if ok { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failing") };
        json(code, &Health { status, checks })
    }
}

async fn told<E: Display>(check: impl Future<Output = Result<(), E>>) -> String {
    match timeout(PATIENCE, check).await {
        Ok(Ok(())) => "ok".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("does not answer within {} seconds", PATIENCE.as_secs()),
    }
}
