//! Whether the parts work, for monitors.

use std::collections::BTreeMap;

use errand_api::{Response, json};
use http::StatusCode;
use serde::Serialize;

use crate::Enqueue;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    /// By name: `ok`, or why not.
    checks: BTreeMap<&'static str, String>,
}

impl Enqueue {
    pub(crate) async fn health(&self) -> Response {
        let mut checks = BTreeMap::new();
        for transport in &self.checks {
            checks.insert(transport.name(), told(transport.check().await));
        }
        if let Some(store) = &self.store {
            checks.insert("store", told(store.check().await));
        }
        let ok = checks.values().all(|told| told == "ok");
        let (code, status) = if ok { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failing") };
        json(code, &Health { status, checks })
    }
}

fn told<E: std::fmt::Display>(check: Result<(), E>) -> String {
    check.map_or_else(|error| error.to_string(), |()| "ok".to_owned())
}
