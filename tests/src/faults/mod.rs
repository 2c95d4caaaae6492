//! A world that breaks on purpose: receivers that hang up, a store that throttles, processes that are killed; and the books that are kept of it.

mod audit;
mod messages;
mod processes;
mod queue;
mod runtime;
mod services;
mod sink;

pub use audit::{Audit, Fault, Kind, Report};
pub use messages::Messages;
pub use processes::Processes;
pub use queue::Queue;
pub use runtime::Feed;
pub use services::Services;
pub use sink::Sink;

use std::sync::{Mutex, PoisonError};

/// How often what goes wrong, in a thousand.
pub const CUTS: u32 = 10;
/// Receivers' answers that ask for later.
pub const RATE_LIMITS: u32 = 10;
/// Calls to the store that fail, however often they are tried.
pub const THROTTLES: u32 = 10;
/// Messages that come twice.
pub const DUPLICATES: u32 = 50;
/// Messages that are no envelopes.
pub const POISON: u32 = 5;
/// Messages that are bulks.
pub const BULKS: u32 = 2;
/// Messages that a list does, where there is one.
pub const LISTS: u32 = 250;

/// Payloads in a bulk.
pub const BULK_SIZE: u32 = 100;

/// The task that a list does: the sink's [`FIRST`] path, which declines most, and then a webhook.
pub const LISTED: &str = "listed";
/// What the first of the list does not do.
pub const DECLINES: u32 = 700;

/// Where the first of the list is.
pub const FIRST: &str = "/first";

/// Random numbers that can be had again.
pub struct Dice(Mutex<fastrand::Rng>);

impl Dice {
    /// By `TEST_SEED`, if it is set; else by chance. The seed is in the report.
    #[must_use]
    pub fn from_env() -> (Self, u64) {
        let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
        (Self(Mutex::new(fastrand::Rng::with_seed(seed))), seed)
    }

    /// True in so many of a thousand cases.
    pub fn falls(&self, of_a_thousand: u32) -> bool {
        self.below(1000) < of_a_thousand
    }

    /// A number below `end`.
    pub fn below(&self, end: u32) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).u32(..end)
    }
}

/// What the message of this number holds: a task for the sink, a bulk of them, or poison of one of four kinds.
#[must_use]
pub fn body(audit: &Audit, number: u32, url: &str) -> String {
    let id = audit.id(number);
    let task = |listed| if listed { LISTED } else { "webhook" };
    let payload = |number: u32| format!(r#"{{"url":"{url}","body":{{"number":{number}}}}}"#);
    match audit.kind(number) {
        Kind::Task { listed } => format!(r#"{{"id":"{id}","task":"{}","max_attempts":100,"kwargs":{}}}"#, task(listed), payload(number)),
        Kind::Bulk { listed } => {
            let payloads: Vec<String> = (number..number + BULK_SIZE).map(payload).collect();
            let (task, payloads) = (task(listed), payloads.join(","));
            format!(r#"{{"id":"{id}","task":"{task}","max_attempts":100,"context":{{"bulk":true}},"kwargs":[{payloads}]}}"#)
        }
        Kind::Poison(0) => format!(r#"{{"id":"{id}","#),
        Kind::Poison(1) => format!(r#"{{"id":"{id}","kwargs":{{}}}}"#),
        Kind::Poison(2) => format!(r#"{{"id":"{id}","task":"webhook","kwargs":[5]}}"#),
        Kind::Poison(_) | Kind::Payload => format!(r#"["{id}"]"#),
    }
}
