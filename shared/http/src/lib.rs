//! The one HTTP client of the providers, and the AWS clients' settings. One TLS stack for all: rustls on ring.

pub mod aws;
mod classify;
mod client;
mod connect;
mod guard;
mod roots;
mod said;
pub mod sign;

pub use classify::{failure, kind_of, retry_after};
pub use client::{Client, SendError};
pub use guard::{AllowList, is_public};
pub use said::said;
