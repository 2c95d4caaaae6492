//! Real brokers, and real workers of Celery on them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rabbitmq;
mod redis;
mod workers;
mod world;
