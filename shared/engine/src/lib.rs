//! One batch of messages in, one verdict per message out.
//!
//! What the engine promises, each tested in `tests/promises.rs`:
//! 1. One bad message never fails its batch, whatever it does.
//! 2. Nothing is acknowledged that was not delivered, recorded as dead, or found done, cancelled or expired.
//! 3. An id is delivered once while the store answers: it is claimed by one conditional write with a lease.
//! 4. Retries wait hidden on the queue, with exponential backoff and full jitter; nothing is sent to the own queue again.
//! 5. No call starts that may not end in the time left; what did not start returns to the queue, and goes on where it stopped.
//!    A message of which nothing was done comes back at once only where the next invocation has more time for it.
//! 6. Of a first-in-first-out group, nothing overtakes a message that must stay; other groups go on.
//! 7. Early arrivals wait; late ones are recorded and not run; cancelled ones are dropped.
//! 8. What is given up goes to the dead letters with its reason, and only then is acknowledged.
//!
//! The way of a message, a file for each step: `batch` (which messages wait for which) → `attempt` (what is to be done about this one) → `gate` (may it begin now?) →
//! `claim` (is it ours?) → `deliver` and `round` (leg by leg, payload by payload, while there is time) → `settle` (what becomes of the record) → `callback`, `sequel`
//! (who is told) and `leave` (what becomes of the message). `follow` asks other people's workers how what was handed to them ended. `event` says what happened, and `log` writes it down.

mod attempt;
mod backoff;
mod batch;
mod call;
mod callback;
mod circuit;
mod claim;
mod claim_check;
mod deliver;
mod event;
mod follow;
mod gate;
mod leave;
mod log;
mod once;
mod parts;
mod round;
mod sequel;
mod settle;
mod share;
mod split;
mod time;

use std::{sync::Arc, time::Duration};

use errand_core::{Clock, DeliveryError, Dispatch, DynClaims, DynObjects, DynQueue, Envelope, Message, Registry};

pub use circuit::Circuits;
pub use event::{Event, Watch};
pub use log::Log;
pub use sequel::Sequel;

/// A message and what it was read as.
#[derive(Debug)]
pub struct Received {
    /// As the queue handed it over.
    pub message: Message,
    /// The envelopes in it, or why there are none. A message that asks for nothing has none either.
    pub work: Result<Vec<Envelope>, DeliveryError>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The queue can forget it.
    Acknowledge,
    /// The queue must hand it over again.
    Keep,
}

/// How patient the engine is.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The longest wait after the first failure; doubles with each further one.
    pub retry_base: Duration,
    /// Attempts before an envelope that does not say itself is given up.
    pub max_attempts: u32,
    /// Messages of a batch that are worked on together.
    pub concurrency: usize,
    /// How long the queue keeps a message that says when it was sent.
    pub retention: Duration,
    /// What follows when a request left and no answer came.
    pub unknown: Unknown,
}

/// What follows when nobody knows whether an attempt delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// Another attempt: rather twice than not at all.
    #[default]
    Retry,
    /// A dead letter, for a person to decide: rather not at all than twice.
    Hold,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            retry_base: Duration::from_secs(5),
            max_attempts: 6,
            concurrency: 50,
            // SQS's own default: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
            retention: Duration::from_secs(4 * 24 * 60 * 60),
            unknown: Unknown::Retry,
        }
    }
}

/// Takes batches through claim, delivery, retry, dead letter and record. Of its own it only knows which providers
/// said stop: any number of batches may run at once.
pub struct Engine {
    /// The providers.
    pub registry: Registry,
    /// Remembers ids. Without one delivery is at least once, and attempts are counted by the queue's receives.
    pub store: Option<Arc<dyn DynClaims>>,
    /// Where the messages came from.
    pub queue: Arc<dyn DynQueue>,
    /// Where arguments are that no queue can carry.
    pub objects: Option<Arc<dyn DynObjects>>,
    /// Where callbacks go, and the parts of messages that hold several envelopes: tasks of their own.
    pub dispatch: Option<Dispatch>,
    /// Does what an envelope's sender wants to have done when the task has ended.
    pub sequel: Option<Sequel>,
    /// The address of the HTTP API, where remote workers report.
    pub api_url: Option<String>,
    /// Tells the time and waits.
    pub clock: Arc<dyn Clock>,
    /// How patient it is.
    pub policy: Policy,
    /// Who is told what happens: the [`Log`], and whoever counts or tells others.
    pub watchers: Vec<Box<dyn Watch>>,
    /// Which providers said stop; empty at the start.
    pub circuits: Circuits,
    /// Names this execution environment in records.
    pub worker: String,
    /// Names in records the way that messages come.
    pub backend: String,
}
