//! Amazon SQS, for all that speaks to it: a client that is made late, and calls that send several messages.

mod batch;
mod client;

pub use batch::{BATCH, deduplication_id, entry, send};
pub use client::LazyClient;

/// What a message may hold with its attributes, and a batch of messages, in bytes.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub const LIMIT: usize = 1024 * 1024;

/// The service's name in errors.
pub const SERVICE: &str = "SQS";
