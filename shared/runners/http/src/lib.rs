//! Runs tasks by calls to the user's own application, of routes such as `{"http": "https://example.com/tasks"}`.

mod runner;
mod settings;

pub use runner::{Http, Route};
pub use settings::SETTINGS;
