//! Messages to Slack.

mod settings;
mod slack;

pub use settings::SETTINGS;
pub use slack::Slack;
