//! A store and a queue in one SQLite file: what one machine needs. What was answered survives `kill -9` and power loss.

mod clients;
mod database;
mod dead_letters;
mod migrations;
mod notes;
mod queue;
mod store;

pub use clients::{Counts, Kept, MessageAttribute, Sent, Taken};
pub use database::Database;
pub use notes::SqliteNotes;
pub use queue::SqliteQueue;
pub use store::SqliteStore;
