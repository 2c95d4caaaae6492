//! Calls to services: the one HTTP client, what all calls have in common ([`Service`]), what answers mean ([`Answer`]), tokens, kept connections and what
//! settings refer to; and the AWS clients' settings. One TLS stack for all: rustls on ring.

mod answer;
pub mod aws;
mod classify;
mod client;
mod connect;
mod credential;
mod guard;
pub mod jwt;
mod kept;
mod references;
mod retry;
mod roots;
mod said;
mod service;
pub mod sign;
pub mod sns;
mod token;

pub use answer::{Answer, Told, is_code};
pub use classify::{Meaning, Meanings, is, kind_of, retry_after, stops};
pub use client::{Client, SendError};
pub use credential::{Credential, token};
pub use guard::{AllowList, is_public};
pub use kept::Kept;
pub use references::References;
pub use retry::Retry;
pub use said::said;
pub use service::{Call, Service, Work};
pub use token::{Issued, Token};
