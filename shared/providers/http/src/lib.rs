//! Runs tasks by calls to the user's own application, of routes such as `{"http": "https://example.com/tasks"}`.

#[cfg(feature = "client")]
mod runner;
mod settings;

#[cfg(feature = "client")]
pub use runner::{Http, Route};
pub use settings::SETTINGS;
