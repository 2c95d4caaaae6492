use std::time::Duration;

use errand_core::{BoxFuture, Clock, Timestamp};

/// A clock that stands still, and waits for real.
#[derive(Clone, Copy, Debug)]
pub struct Stopped(pub Timestamp);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
