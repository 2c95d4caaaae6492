//! Amazon SQS: publishes envelopes, and hides and buries what a consumer received.

mod bury;
mod client;
mod dead_letters;
mod queue;
mod transport;

pub use dead_letters::SqsDeadLetters;
pub use queue::SqsQueue;
pub use transport::{Options, SqsTransport};

/// What a message may hold with its attributes, and a batch of messages, in bytes.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const LIMIT: usize = 1024 * 1024;

/// The service's name in errors.
const SERVICE: &str = "SQS";
