//! Runs tasks by invoking the user's own Lambda functions, of routes such as `{"lambda": "orders"}`.

mod runner;

pub use runner::{Lambda, Route};
