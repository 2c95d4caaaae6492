//! Signed HTTP calls: the payload of task `webhook`, and, with feature `client`, its delivery.

mod payload;
mod settings;
#[cfg(feature = "client")]
mod webhook;

pub use payload::Call;
pub use settings::{ALLOW, SETTINGS};
#[cfg(feature = "client")]
pub use webhook::Webhook;

/// The tasks that this crate does.
pub const TASKS: &[&str] = &["webhook", errand_core::TaskResult::CALLBACK];
