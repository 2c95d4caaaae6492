//! Signed HTTP calls: the payload of task `webhook`, and, with feature `client`, its delivery.

mod payload;
#[cfg(feature = "client")]
mod webhook;

pub use payload::Call;
#[cfg(feature = "client")]
pub use webhook::{Settings, Webhook};

/// The tasks that this crate does.
pub const TASKS: &[&str] = &["webhook", errand_core::TaskResult::CALLBACK];
