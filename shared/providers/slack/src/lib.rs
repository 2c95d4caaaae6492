//! Messages to Slack: the payload of task `slack`, and, with feature `client`, its delivery.

#[cfg(feature = "client")]
mod answer;
mod blocks;
mod payload;
#[cfg(feature = "client")]
mod slack;

pub use payload::Message;
#[cfg(feature = "client")]
pub use slack::{Settings, Slack};

/// The tasks that this crate does.
pub const TASKS: &[&str] = &["slack"];
