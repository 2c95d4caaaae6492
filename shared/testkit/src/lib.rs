//! Conformance kits for providers, runners, transports and stores, and what their tests need. A dev-dependency only.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a kit fails its test by panicking")]

mod clock;
mod peer;
mod redis_server;
mod stub;
mod tried;

pub mod answers;
pub mod aws;
pub mod dead_letters;
pub mod model;
pub mod notes;
pub mod objects;
pub mod provider;
pub mod runner;
pub mod schedules;
pub mod schema;
pub mod store;
pub mod transport;
pub mod written;

pub use clock::{Stopped, init};
pub use peer::{Peer, Talk};
pub use redis_server::RedisServer;
pub use stub::{Answer, Request, Stub};
