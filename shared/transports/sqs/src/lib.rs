//! Amazon SQS: publishes envelopes, and hides and buries what a consumer received.

mod bury;
mod dead_letters;
mod queue;
mod transport;

pub use dead_letters::SqsDeadLetters;
pub use queue::SqsQueue;
pub use transport::{Options, SqsTransport};
