//! What has no meaning of its own here: text, time, JSON, hashes.

mod ascii;
mod base64_text;
mod clock;
mod digest;
pub mod json;
mod named;
mod noted;
mod percent;
mod storage_error;
mod timestamp;
mod unread;

pub use ascii::{HTTP_URL, ascii_domain, ascii_url, http_url};
pub use base64_text::from_base64;
pub use clock::Clock;
pub use digest::{Digest, hex};
pub use json::Json;
pub use noted::Noted;
pub use percent::percent_encode;
pub use storage_error::StorageError;
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use unread::tell_unread;
