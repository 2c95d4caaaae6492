//! Commands that speak to an endpoint, local or deployed.

mod dead_letters;
mod endpoint;

pub(crate) use dead_letters::DeadLetters;
