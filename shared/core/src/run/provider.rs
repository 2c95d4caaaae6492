use std::{future::Future, time::Duration};

use serde::Serialize;

use crate::{DeliveryError, Environment, ErrorKind, Fields, Init, Job, Json, Payload, Setting, SettingsError};

/// Code that does one kind of task. One crate, one Cargo feature.
///
/// A provider keeps this contract, and `errand-testkit` tests it:
/// - `new` does no I/O;
/// - `deliver` answers within [`Provider::timeout`], and does its work at most once for each call;
/// - an error's message holds the service's status and error code, and no token, address or body;
/// - a request that left without an answer is [`crate::ErrorKind::OutcomeUnknown`].
pub trait Provider: Sized + Send + Sync + 'static {
    /// The provider's name: `ses`. Its settings are `ERRAND_SES_*`.
    const NAME: &'static str;
    /// The tasks that it does: `email`.
    const TASKS: &'static [&'static str];
    /// Its settings, which begin with `ERRAND_` and its name: made by [`settings!`](crate::settings!).
    const SETTINGS: &'static [Setting] = &[];
    /// What a task's `kwargs` hold.
    type Payload: Payload + Sync;
    /// Of payloads that have parts, how many one call takes at most.
    const AT_ONCE: usize = 1;
    /// How many calls for the parts of one payload are in flight together. Of a bulk, payloads are in flight together, and the parts of each follow each other.
    const TOGETHER: usize = 10;

    /// Checks the settings and builds the provider.
    ///
    /// # Errors
    /// A setting is missing or wrong. When none of its settings is set at all, a missing one turns the provider off instead.
    fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError>;

    /// How long one delivery may take at most. The engine starts none with less time left, and cuts it off soon after.
    fn timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// What of a payload it cannot do, noted as problems: what callers are told who reach this provider by its task, its
    /// [`Taker`](crate::Taker) tells as well.
    fn limits(payload: &Self::Payload, fields: &mut Fields<'_>) {
        let _ = (payload, fields);
    }

    /// Does the task.
    fn deliver(&self, payload: Self::Payload, attempt: &Attempt) -> impl Future<Output = Result<Receipt, DeliveryError>> + Send;

    /// How many parts a payload has: tokens or recipients that are reached, fail and are tried again each by itself. The same payload has the same parts in the same
    /// order each time, since what was done is kept by their places. One that has several is delivered by [`Provider::deliver_parts`].
    fn parts(payload: &Self::Payload) -> usize {
        let _ = payload;
        1
    }

    /// Does the task for some parts of a payload, at most [`Provider::AT_ONCE`] of them, within [`Provider::timeout`]: `parts` are their places, from 0 on. Answers for
    /// each, in this order. What is the idempotency key of one part is told by [`Attempt::part`].
    fn deliver_parts(
        &self,
        payload: &Self::Payload,
        parts: &[usize],
        attempt: &Attempt,
    ) -> impl Future<Output = Vec<Result<Receipt, DeliveryError>>> + Send {
        let _ = (payload, attempt);
        let why = || DeliveryError::new(ErrorKind::Panicked, format!("provider {} has parts, and nothing that delivers them", Self::NAME));
        std::future::ready(parts.iter().map(|_| Err(why())).collect())
    }
}

/// One try at a piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The envelope's id.
    pub id: String,
    /// The same for every attempt at the same piece of work and for no other: the idempotency key for a service that takes one. The
    /// envelope's id; in a bulk envelope with `-` and the payload's place.
    pub key: String,
    /// The task's name.
    pub task: String,
    /// 1 for the first.
    pub number: u32,
    /// W3C `traceparent` to pass on.
    pub trace: Option<String>,
}

impl Attempt {
    /// The key of a payload's part: the same for every attempt at this part and for no other.
    #[must_use]
    pub fn part(&self, part: usize) -> String {
        format!("{}-{part}", self.key)
    }

    /// The attempt at a job.
    pub(crate) fn of(job: &Job<'_>) -> Self {
        let envelope = job.envelope;
        Self {
            id: envelope.id.clone(),
            key: envelope.id.clone(),
            task: envelope.task.clone(),
            number: job.number,
            trace: envelope.trace.clone(),
        }
    }
}

/// What a delivery left: becomes the task's `return_value`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Receipt(pub Json);

impl Receipt {
    /// With the service's own id of the message.
    #[must_use]
    pub fn message_id(id: &str) -> Self {
        #[derive(Serialize)]
        struct Sent<'a> {
            message_id: &'a str,
        }
        Self(Json::of(&Sent { message_id: id }))
    }
}
