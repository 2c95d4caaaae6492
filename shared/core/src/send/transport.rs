use std::{fmt, future::Future, time::Duration};

use crate::{Envelope, Timestamp};

/// What envelopes are handed to, so that a consumer gets them. One crate, one Cargo feature.
///
/// A transport keeps this contract, and `errand-testkit` tests it: one answer for each envelope, in their order; an envelope that is
/// answered `Ok` is durable; one refused envelope does not stop the others; a transient failure of one is tried again before it is
/// answered.
pub trait Transport: Send + Sync + 'static {
    /// The transport's name: `sqs`.
    const NAME: &'static str;
    /// The longest delay that it can keep by itself.
    const MAX_DELAY: Duration;

    /// Hands over envelopes, each to be seen by a consumer no earlier than its `run_after`, as far as the transport can tell.
    fn publish(&self, envelopes: &[Envelope]) -> impl Future<Output = Vec<Result<Published, PublishError>>> + Send;

    /// Takes back what this transport itself holds until `run_after`, where it does; by default it does not. What is gone is no error.
    fn withdraw(&self, id: &str, run_after: Timestamp) -> impl Future<Output = Result<(), PublishError>> + Send {
        let _ = (id, run_after);
        std::future::ready(Ok(()))
    }

    /// Whether it could publish now.
    fn check(&self) -> impl Future<Output = Result<(), PublishError>> + Send;
}

/// An envelope that was handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The transport's own id of the message, where it has one.
    pub message_id: Option<String>,
}

/// An envelope that was not handed over. The text is for the caller: it names no internal address and repeats no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// The envelope cannot go this way: the caller must change it.
    Refused(String),
    /// Larger than the transport takes.
    TooLarge {
        /// The largest body, in bytes.
        limit: usize,
    },
    /// A setting or permission is missing or wrong: an operator must act.
    Misconfigured(String),
    /// The transport cannot be reached, fails or throttles: later.
    Unavailable(String),
}

impl PublishError {
    /// The caller names a queue that is not there; `known` are those that are.
    pub fn no_such_queue<'a>(known: impl Iterator<Item = &'a str>) -> Self {
        Self::Refused(format!("there is no queue of this name; there are: {}", known.collect::<Vec<_>>().join(", ")))
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::TooLarge { limit } => write!(f, "larger than the {limit} bytes that this way takes"),
            Self::Misconfigured(why) => write!(f, "misconfigured: {why}"),
            Self::Unavailable(why) => write!(f, "unavailable: {why}"),
        }
    }
}

impl std::error::Error for PublishError {}

crate::erased! {
    /// What sending asks of a [`Transport`], with its type erased.
    DynTransport of Transport {
        fn publish(envelopes: &'a [Envelope]) -> Vec<Result<Published, PublishError>>;
        fn withdraw(id: &'a str, run_after: Timestamp) -> Result<(), PublishError>;
    }
    const {
        name() -> &'static str = NAME;
        max_delay() -> Duration = MAX_DELAY;
    }
}

crate::erased! {
    /// What telling of its health asks of a [`Transport`]. Apart from [`DynTransport`], as the roles of a store are.
    DynCheck of Transport {
        fn check() -> Result<(), PublishError>;
    }
    const {
        name() -> &'static str = NAME;
    }
}
