//! Commands that speak to an endpoint, local or deployed.

mod dead_letters;
mod endpoint;
mod keys;
mod output;
mod tasks;

pub(crate) use dead_letters::DeadLetters;
pub(crate) use keys::Keys;
pub(crate) use output::say;
pub(crate) use tasks::{Cancel, Send, Status, Tail};
