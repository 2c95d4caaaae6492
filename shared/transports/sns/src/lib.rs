//! Amazon SNS: publishes envelopes to topics, with attributes that subscriptions filter by.

mod attributes;
mod topics;
mod transport;

pub use transport::{Options, SnsTransport};
