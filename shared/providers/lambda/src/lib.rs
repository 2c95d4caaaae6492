//! Runs tasks by invoking the user's own Lambda functions, of routes such as `{"lambda": "orders"}`.

#[cfg(feature = "client")]
mod invoke;
#[cfg(feature = "client")]
mod runner;

#[cfg(feature = "client")]
pub use runner::{Lambda, Route};
