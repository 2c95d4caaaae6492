use std::{fmt, future::Future, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{DeliveryError, Envelope, ErrorKind, Init, Json, Problems, Receipt, SettingsError, Timestamp, WorkerResult};

/// What envelopes are handed to, so that somebody takes them there: a consumer of Errand's, or whoever reads what a broker holds. One crate, one Cargo feature. Settings name
/// as many of a kind as they like, each with options of its own: an alias.
///
/// A transport keeps this contract, and `errand-testkit` tests it: one answer for each envelope, in their order; an envelope that is
/// answered `Ok` is durable; one refused envelope does not stop the others; a transient failure of one is tried again before it is
/// answered; what was sent and not answered is [`PublishError::OutcomeUnknown`].
pub trait Transport: Sized + Send + Sync + 'static {
    /// The name that settings know its kind by: `sqs`.
    const BACKEND: &'static str;
    /// What an alias says in its `options`. Fields that it does not know should be refused: `#[serde(deny_unknown_fields)]`; [`NoOptions`] where it takes none.
    type Options: DeserializeOwned;

    /// Checks an alias' options and makes its transport: no I/O, and what costs is put off until it is first used, since most of a deployment's functions use few aliases.
    ///
    /// # Errors
    /// An option is wrong, or the function that is starting lacks something.
    fn new(alias: &str, options: Self::Options, cx: &Init) -> Result<Self, OptionError>;

    /// What it can carry.
    fn limits(&self) -> TransportLimits;

    /// Whether it can have a queue of this name. It is asked of each queue that its alias lists, when that is made: no I/O.
    ///
    /// # Errors
    /// There can be none, for this reason.
    fn takes(&self, _destination: &str) -> Result<(), String> {
        Ok(())
    }

    /// Hands over envelopes, each to be seen no earlier than its `run_after`, as far as the transport can tell. `backend` has ended here and is none. `destination` says where
    /// to, and is one of the queues of the alias, whatever the envelope's `queue` is; at home alone it is none, and `queue` is one of our own. It ends with this call.
    fn publish(&self, envelopes: &[Envelope]) -> impl Future<Output = Vec<Result<Published, PublishError>>> + Send;

    /// Whether it could publish now.
    fn check(&self) -> impl Future<Output = Result<(), PublishError>> + Send;

    /// Whether it hands tasks to nobody but runs them itself, before it answers: what became of them is then in their records. To the consumer such an alias is home.
    fn runs(&self) -> bool {
        false
    }

    /// For how long after the hand-over the results of its workers are read back, where the alias has that done: at most [`WorkerResult::LONGEST`]. A task that is handed over ends
    /// with its worker's result then, and as one whose outcome is unknown where there is none by that time. `None`: a task ends with the hand-over.
    fn reads_results(&self) -> Option<Duration> {
        None
    }

    /// What a worker has left of a task, by the envelope's `id` and the `destination` that it was published with. It is asked again and again, and asks for no more than one
    /// thing of its service.
    fn result(&self, id: &str, destination: Option<&str>) -> impl Future<Output = Result<WorkerResult, PublishError>> + Send {
        let _ = (id, destination);
        async { Ok(WorkerResult::Pending) }
    }
}

/// What holds envelopes back until they are due, and puts them on their queue then: for delays that a transport cannot keep.
pub trait Hold: Send + Sync + 'static {
    /// Its name in results: `scheduler`.
    const NAME: &'static str;

    /// What it can hold.
    fn limits(&self) -> TransportLimits;

    /// Keeps envelopes, each until its `run_after`, with the `backend` that it has. One whose queue is another's waits on ours named `default`.
    fn hold(&self, envelopes: &[Envelope]) -> impl Future<Output = Vec<Result<Published, PublishError>>> + Send;

    /// Takes back what waits here. What is gone is no error.
    fn withdraw(&self, id: &str, run_after: Timestamp) -> impl Future<Output = Result<(), PublishError>> + Send;
}

/// What a transport can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportLimits {
    /// The longest delay that it can keep by itself.
    pub delay: Duration,
    /// The largest body, in bytes.
    pub bytes: usize,
}

/// The options of a transport that takes none.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

/// Why no transport can be made of an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// Its options are wrong: where in them, and what was expected.
    Options(Problems),
    /// The function that is starting lacks something.
    Setting(SettingsError),
}

impl From<Problems> for OptionError {
    fn from(problems: Problems) -> Self {
        Self::Options(problems)
    }
}

impl From<SettingsError> for OptionError {
    fn from(error: SettingsError) -> Self {
        Self::Setting(error)
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(problems) => problems.fmt(f),
            Self::Setting(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OptionError {}

/// An envelope that was handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The transport's own id of the message, where it has one.
    pub message_id: Option<String>,
}

impl Published {
    /// The return value of a task that has ended by this.
    #[must_use]
    pub fn value(&self) -> Json {
        self.message_id.as_ref().map(|id| Receipt::message_id(id).0).unwrap_or_default()
    }
}

/// An envelope that was not handed over, or not surely. The text is for the caller: it names no internal address and repeats no payload.
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
    /// It was sent perhaps: the request left, and no answer came. Sent again it may be there twice, under the same id.
    OutcomeUnknown(String),
}

impl PublishError {
    /// The caller names a queue that is not there; `known` are those that are.
    pub fn no_such_queue<'a>(known: impl Iterator<Item = &'a str>) -> Self {
        Self::Refused(format!("there is no queue of this name; there are: {}", known.collect::<Vec<_>>().join(", ")))
    }

    /// The request left, and the transport told nothing of this envelope.
    #[must_use]
    pub fn unanswered() -> Self {
        Self::OutcomeUnknown("the transport did not answer".to_owned())
    }

    /// What a failure of this kind means for who wanted to hand something over.
    #[must_use]
    pub fn of(kind: ErrorKind, why: String) -> Self {
        match kind {
            ErrorKind::Malformed | ErrorKind::InvalidPayload | ErrorKind::Rejected | ErrorKind::RecipientGone => Self::Refused(why),
            ErrorKind::RateLimited | ErrorKind::Unavailable => Self::Unavailable(why),
            ErrorKind::Timeout | ErrorKind::OutcomeUnknown | ErrorKind::Panicked => Self::OutcomeUnknown(why),
            ErrorKind::Misconfigured
            | ErrorKind::UnknownProvider
            | ErrorKind::Unrouted
            | ErrorKind::TaskFailed
            | ErrorKind::Crashed
            | ErrorKind::RetentionEnds => Self::Misconfigured(why),
        }
    }

    /// Whether trying again later may help.
    #[must_use]
    pub const fn passes(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::OutcomeUnknown(_) => true,
            Self::Refused(_) | Self::TooLarge { .. } | Self::Misconfigured(_) => false,
        }
    }

    /// What is said of what was not sent, since it comes behind what failed so.
    #[must_use]
    pub fn behind(self) -> Self {
        match self {
            Self::OutcomeUnknown(why) => Self::Unavailable(format!("not sent, since what comes before it is sent perhaps: {why}")),
            error => error,
        }
    }

    /// What it is for an envelope that cannot be handed over.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(_) | Self::TooLarge { .. } => ErrorKind::Rejected,
            Self::Misconfigured(_) => ErrorKind::Misconfigured,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::OutcomeUnknown(_) => ErrorKind::OutcomeUnknown,
        }
    }
}

impl From<DeliveryError> for PublishError {
    fn from(error: DeliveryError) -> Self {
        Self::of(error.kind, error.message)
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::TooLarge { limit } => write!(f, "larger than the {limit} bytes that this way takes"),
            Self::Misconfigured(why) => write!(f, "misconfigured: {why}"),
            Self::Unavailable(why) => write!(f, "unavailable: {why}"),
            Self::OutcomeUnknown(why) => write!(f, "sent perhaps: {why}"),
        }
    }
}

impl std::error::Error for PublishError {}

crate::erased! {
    /// What sending asks of a [`Transport`], with its type erased.
    DynTransport of Transport {
        fn publish(envelopes: &'a [Envelope]) -> Vec<Result<Published, PublishError>>;
        fn result(id: &'a str, destination: Option<&'a str>) -> Result<WorkerResult, PublishError>;
    }
    value {
        limits() -> TransportLimits;
        reads_results() -> Option<Duration>;
        runs() -> bool;
    }
}

crate::erased! {
    /// What sending and moving ask of a [`Hold`], with its type erased.
    DynHold of Hold {
        fn hold(envelopes: &'a [Envelope]) -> Vec<Result<Published, PublishError>>;
        fn withdraw(id: &'a str, run_after: Timestamp) -> Result<(), PublishError>;
    }
    value {
        limits() -> TransportLimits;
    }
    const {
        name() -> &'static str = NAME;
    }
}

crate::erased! {
    /// What telling of its health asks of a [`Transport`]. Apart from [`DynTransport`], as the roles of a store are.
    DynCheck of Transport {
        fn check() -> Result<(), PublishError>;
    }
}
