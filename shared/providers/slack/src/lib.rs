//! Messages to Slack.

mod answer;
mod settings;
mod slack;

pub use settings::SETTINGS;
pub use slack::Slack;
