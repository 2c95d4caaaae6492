use std::{sync::Arc, time::Duration};

use errand_core::{BoxFuture, Clock, Init, Timestamp};

/// A clock that stands still, and waits for real.
#[derive(Clone, Copy, Debug)]
pub struct Stopped(pub Timestamp);

impl Stopped {
    /// What a function has that is starting, and whose clock is this.
    #[must_use]
    pub fn init(self) -> Init {
        Init::default().with(Arc::new(self) as Arc<dyn Clock>)
    }
}

/// What a function has that is starting now.
#[must_use]
pub fn init() -> Init {
    Stopped(Timestamp::now()).init()
}

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
