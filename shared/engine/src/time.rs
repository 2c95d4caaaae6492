use std::time::Duration;

use errand_core::Timestamp;

/// How much longer than its own time-out a call may take before it is cut off. The provider knows better what happened.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// The time of an invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    pub(crate) began: Timestamp,
    pub(crate) deadline: Timestamp,
}

impl Time {
    pub(crate) fn left(self, now: Timestamp) -> Duration {
        self.deadline.since(now)
    }

    pub(crate) fn whole(self) -> Duration {
        self.deadline.since(self.began)
    }
}
