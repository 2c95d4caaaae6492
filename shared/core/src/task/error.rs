use std::{error::Error, fmt, time::Duration};

use crate::TaskError;

crate::named! {
    /// Why a delivery failed. What follows from it is [`ErrorKind::consequence`]. Its name is that in dead letters, results and logs.
    pub enum ErrorKind {
        /// The message on the queue is no envelope, or one that is too large.
        Malformed = "malformed",
        /// The payload is not what the provider takes.
        InvalidPayload = "invalid_payload",
        /// The service refused this message for good.
        Rejected = "rejected",
        /// The recipient does not exist any more or does not want to be reached.
        RecipientGone = "recipient_gone",
        /// The service asks to be called less often.
        RateLimited = "rate_limited",
        /// The service cannot be reached or fails.
        Unavailable = "unavailable",
        /// The provider did not end in the time it has.
        Timeout = "timeout",
        /// A setting, credential or permission is missing or wrong: an operator must act.
        Misconfigured = "misconfigured",
        /// This build has no provider for the task.
        UnknownProvider = "unknown_provider",
        /// No route says what is done about a notice: see [`Sender::is_notice`](crate::Sender::is_notice).
        Unrouted = "unrouted",
        /// The task's own code failed.
        TaskFailed = "task_failed",
        /// The provider's code panicked.
        Panicked = "panicked",
        /// The request left and no answer came: it may have been done.
        OutcomeUnknown = "outcome_unknown",
        /// Every allowed attempt began and none ended: the process died each time.
        Crashed = "crashed",
        /// The queue would forget the message before it could be run.
        RetentionEnds = "retention_ends",
    }
}

/// What the engine does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Never again: to the dead letters.
    Never,
    /// Again after a delay.
    Later,
    /// Again after a delay, and tell the operator.
    LaterAndAlarm,
}

/// Whether a task was done all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing of it was, and another provider can do it.
    No,
    /// Nothing of it was, and another provider would fail at it as well.
    Nowhere,
    /// It may be.
    Perhaps,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consequence {
    /// What is done about it.
    pub advice: Advice,
    /// Whether the task was done.
    pub done: Done,
}

impl ErrorKind {
    /// What follows from a failure of this kind: all that is ever decided by a kind is decided here.
    #[must_use]
    pub const fn consequence(self) -> Consequence {
        let (advice, done) = match self {
            Self::Malformed
            | Self::InvalidPayload
            | Self::Rejected
            | Self::RecipientGone
            | Self::Unrouted
            | Self::Crashed
            | Self::RetentionEnds => (Advice::Never, Done::Nowhere),
            Self::RateLimited | Self::Unavailable => (Advice::Later, Done::No),
            Self::Misconfigured => (Advice::LaterAndAlarm, Done::No),
            Self::TaskFailed => (Advice::Later, Done::Nowhere),
            Self::UnknownProvider => (Advice::LaterAndAlarm, Done::Nowhere),
            // A twin is the lesser evil: most services either did nothing or know the idempotency key.
            Self::Timeout | Self::OutcomeUnknown => (Advice::Later, Done::Perhaps),
            Self::Panicked => (Advice::LaterAndAlarm, Done::Perhaps),
        };
        Consequence { advice, done }
    }

    /// What the engine does about a failure of this kind.
    #[must_use]
    pub const fn advice(self) -> Advice {
        self.consequence().advice
    }

    /// Whether a failure of this kind can leave the task done.
    #[must_use]
    pub const fn may_have_delivered(self) -> bool {
        matches!(self.consequence().done, Done::Perhaps)
    }

    /// Whether after a failure of this kind another provider can do the task: nothing of it was done.
    #[must_use]
    pub const fn elsewhere(self) -> bool {
        matches!(self.consequence().done, Done::No)
    }

    /// Whether an operator must act.
    #[must_use]
    pub const fn alarms(self) -> bool {
        matches!(self.consequence().advice, Advice::LaterAndAlarm)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A delivery that failed.
///
/// The message is for an operator and reaches logs and dead letters: it holds the service's status and error code, and never a token,
/// an address or a body.
#[derive(Debug)]
pub struct DeliveryError {
    /// Why.
    pub kind: ErrorKind,
    /// How long the service asked to wait. Wins over our own backoff.
    pub retry_after: Option<Duration>,
    /// What happened, in one line.
    pub message: String,
    /// Whether the service refuses everything from this account until somebody acts or a quota is renewed: the provider's other messages then wait,
    /// and this attempt does not count.
    pub stops: bool,
    /// What the task's own code said, for its result. It is as personal as the task, and so for nothing else.
    pub exception: Option<TaskError>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl DeliveryError {
    /// A failure of this kind.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, retry_after: None, message: message.into(), stops: false, exception: None, source: None }
    }

    /// With the delay that the service asked for.
    #[must_use]
    pub fn retry_after(mut self, delay: Option<Duration>) -> Self {
        self.retry_after = delay;
        self
    }

    /// Of a service that refuses everything: see [`DeliveryError::stops`].
    #[must_use]
    pub fn stopping(mut self) -> Self {
        self.stops = true;
        self
    }

    /// With what the task's own code said.
    #[must_use]
    pub fn with_exception(mut self, exception: TaskError) -> Self {
        self.exception = Some(exception);
        self
    }

    /// With the error that caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl Error for DeliveryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_told_of_every_kind() {
        let page = include_str!("../../../../docs/dead-letters.md");
        let (_, kinds) = page.split_once("## Kinds").unwrap();
        for kind in ErrorKind::ALL {
            assert!(kinds.contains(&format!("`{kind}`")), "docs/dead-letters.md does not tell of {kind}");
        }
    }
}
