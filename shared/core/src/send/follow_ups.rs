use std::{fmt, future::Future, time::Duration};

use crate::PublishError;

/// What an envelope's sender wants to have done when the task has ended, in the sender's own form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowUps {
    /// Messages to send, in this order.
    pub messages: Vec<ForeignMessage>,
    /// The result, for where the sender's client looks.
    pub result: Option<ForeignResult>,
}

impl FollowUps {
    /// The field of an envelope's `context` that says what is wanted. So far Celery alone wants anything.
    pub const CONTEXT: &'static str = "celery";
}

/// A message in another's form.
#[derive(Clone, PartialEq, Eq)]
pub struct ForeignMessage {
    /// The id of the task in it: sent again, it is the same.
    pub id: String,
    /// The queue, by its name in the settings or its own.
    pub queue: String,
    /// Tenant or ordering key.
    pub group: Option<String>,
    /// The text.
    pub body: String,
}

impl fmt::Debug for ForeignMessage {
    /// Leaves out the body, which may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignMessage").field("id", &self.id).field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// A result in another's form.
#[derive(Clone, PartialEq, Eq)]
pub struct ForeignResult {
    /// Under which it is looked for.
    pub key: String,
    /// The text.
    pub value: String,
}

impl fmt::Debug for ForeignResult {
    /// Leaves out the value, which may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignResult").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Sends messages in another's form: a [`Transport`](crate::Transport) that can do so.
pub trait Forward: Send + Sync + 'static {
    /// Puts a message on its queue. One that is answered `Ok` is durable.
    fn forward(&self, message: &ForeignMessage) -> impl Future<Output = Result<(), PublishError>> + Send;
}

/// Where a sender's client looks for results, such as Celery's Redis.
pub trait ResultBackend: Send + Sync + 'static {
    /// How long a result is kept unless the settings say otherwise: a day, as Celery's `result_expires` has it.
    /// <https://docs.celeryq.dev/en/stable/userguide/configuration.html#result-expires>
    const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

    /// Keeps a result, in place of an earlier one, and tells who waits for it.
    fn keep(&self, result: &ForeignResult) -> impl Future<Output = Result<(), PublishError>> + Send;
}

crate::erased! {
    /// [`Forward`] with its type erased.
    DynForward of Forward {
        fn forward(message: &'a ForeignMessage) -> Result<(), PublishError>;
    }
}

crate::erased! {
    /// [`ResultBackend`] with its type erased.
    DynResultBackend of ResultBackend {
        fn keep(result: &'a ForeignResult) -> Result<(), PublishError>;
    }
}
