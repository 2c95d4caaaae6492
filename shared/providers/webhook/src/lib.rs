//! Signed HTTP calls.

mod settings;
mod webhook;

pub use settings::{ALLOW, SETTINGS};
pub use webhook::Webhook;
