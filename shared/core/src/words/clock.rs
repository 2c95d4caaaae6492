use std::time::Duration;

use crate::{BoxFuture, Timestamp};

/// Tells the time and waits: what the engine needs of an async runtime.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
    /// Ends after this long.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}
