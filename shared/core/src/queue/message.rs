use std::{collections::BTreeMap, fmt, future::Future, time::Duration};

use crate::{ErrorKind, StorageError, Timestamp};

/// One message as a queue handed it over.
#[derive(Clone)]
pub struct Message {
    /// The queue's own id of the message.
    pub id: String,
    /// What the queue wants to see to let this receipt of the message be changed; empty for what came without a queue, by an invocation.
    pub receipt: String,
    /// The text.
    pub body: String,
    /// What was said beside it, by name; bytes as base64.
    pub attributes: BTreeMap<String, String>,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// When it was sent, where the queue forgets messages by their age.
    pub sent_at: Option<Timestamp>,
    /// The queue it came from, by its name in the settings.
    pub queue: String,
    /// On a first-in-first-out queue, the group within which order is kept.
    pub lane: Option<String>,
}

impl fmt::Debug for Message {
    /// Leaves out the body and the attributes, which may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("queue", &self.queue)
            .field("receive_count", &self.receive_count)
            .finish_non_exhaustive()
    }
}

/// Why a message was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The kind of the last failure.
    pub kind: ErrorKind,
    /// What happened last, for an operator; at most [`DeadLetter::REASON_LIMIT`] bytes.
    pub reason: String,
    /// Attempts that were made.
    pub attempts: u32,
    /// The envelope's id, where the body was one.
    pub id: Option<String>,
    /// The task's name, where the body was an envelope.
    pub task: Option<String>,
}

impl DeadLetter {
    /// How long a reason may be, in bytes: it has to fit beside the largest body.
    pub const REASON_LIMIT: usize = 4096;

    pub(crate) const REASON: &str = "errand-reason";
    pub(crate) const KIND: &str = "errand-kind";
    pub(crate) const ATTEMPTS: &str = "errand-attempts";
    pub(crate) const ID: &str = "errand-id";
    pub(crate) const TASK: &str = "errand-task";
    const QUEUE: &str = "errand-queue";
    const ATTRIBUTES: &str = "errand-attributes";

    /// The queue that a letter came from, of what is said beside it; those that others gave up do not say.
    #[must_use]
    pub fn queue(attributes: &BTreeMap<String, String>) -> Option<&str> {
        attributes.get(Self::QUEUE).map(String::as_str)
    }

    /// What was said beside a message before it was given up, of what is said beside it now: a dead letter that its queue has sent back is read as it was.
    #[must_use]
    pub fn original(mut attributes: BTreeMap<String, String>) -> BTreeMap<String, String> {
        if !attributes.contains_key(Self::KIND) {
            return attributes;
        }
        attributes.remove(Self::ATTRIBUTES).and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
    }

    /// The letter's facts as named attributes, to go beside the body of `message`, and what was said beside it before.
    #[must_use]
    pub fn attributes(&self, message: &Message) -> Vec<(&'static str, String)> {
        let reason = &self.reason[..self.reason.floor_char_boundary(Self::REASON_LIMIT)];
        let mut attributes =
            vec![(Self::REASON, reason.to_owned()), (Self::KIND, self.kind.to_string()), (Self::ATTEMPTS, self.attempts.to_string())];
        attributes.extend(self.id.clone().map(|id| (Self::ID, id)));
        attributes.extend(self.task.clone().map(|task| (Self::TASK, task)));
        attributes.push((Self::QUEUE, message.queue.clone()));
        if !message.attributes.is_empty() {
            attributes.extend(serde_json::to_string(&message.attributes).ok().map(|json| (Self::ATTRIBUTES, json)));
        }
        attributes
    }
}

/// The queue that messages came from, as far as the engine changes it. Acknowledging is not here: that is the engine's answer.
pub trait Queue: Send + Sync + 'static {
    /// Hides a message that stays on the queue for this long, at most 12 hours; zero shows it at once.
    fn hide(&self, message: &Message, duration: Duration) -> impl Future<Output = Result<(), StorageError>> + Send;
    /// Puts a copy of a message with its reason on the dead-letter queue.
    fn bury(&self, message: &Message, letter: &DeadLetter) -> impl Future<Output = Result<(), StorageError>> + Send;
}

crate::erased! {
    /// [`Queue`] with its type erased.
    DynQueue of Queue {
        fn hide(message: &'a Message, duration: Duration) -> Result<(), StorageError>;
        fn bury(message: &'a Message, letter: &'a DeadLetter) -> Result<(), StorageError>;
    }
}
