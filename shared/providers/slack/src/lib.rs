//! Messages to Slack: the payload of task `slack`, and, with feature `client`, its delivery.

#[cfg(feature = "client")]
mod answer;
mod blocks;
mod payload;
mod settings;
#[cfg(feature = "client")]
mod slack;

pub use payload::Message;
pub use settings::SETTINGS;
#[cfg(feature = "client")]
pub use slack::Slack;

/// The tasks that this crate does.
pub const TASKS: &[&str] = &["slack"];
