//! Commands that speak to an endpoint, local or deployed.

mod dead_letters;
mod endpoint;
mod keys;
mod notify;
mod output;
mod schedules;
mod tasks;
mod templates;

pub(crate) use dead_letters::DeadLetters;
pub(crate) use keys::Keys;
pub(crate) use notify::Notify;
pub(crate) use output::{say, tell};
pub(crate) use schedules::Schedules;
pub(crate) use tasks::{Cancel, Move, Send, Status, Tail};
pub(crate) use templates::Templates;
