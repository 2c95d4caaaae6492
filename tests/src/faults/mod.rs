//! A world that breaks on purpose: receivers that hang up, a store that throttles, processes that are killed; and the books that are kept of it.

mod audit;
mod processes;
mod queue;
mod runtime;
mod services;
mod sink;

pub use audit::{Audit, Fault, Report};
pub use processes::Processes;
pub use queue::Queue;
pub use services::{Services, create_table};
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

/// Random numbers that can be had again.
pub struct Dice(Mutex<fastrand::Rng>);

impl Dice {
    /// By `ERRAND_TEST_SEED`, if it is set; else by chance. The seed is in the report.
    #[must_use]
    pub fn from_env() -> (Self, u64) {
        let seed = std::env::var("ERRAND_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
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

/// What the message of this number holds: a task for the sink, or poison of one of four kinds.
#[must_use]
pub fn body(audit: &Audit, number: u32, url: &str) -> String {
    let id = audit.id(number);
    match audit.poison(number) {
        None => format!(r#"{{"id":"{id}","task":"webhook","max_attempts":100,"kwargs":{{"url":"{url}","body":{{"number":{number}}}}}}}"#),
        Some(kind) => match kind % 4 {
            0 => format!(r#"{{"id":"{id}","#),
            1 => format!(r#"{{"id":"{id}","kwargs":{{}}}}"#),
            2 => format!(r#"{{"id":"{id}","task":"webhook","kwargs":[5]}}"#),
            _ => format!(r#"["{id}"]"#),
        },
    }
}
