use std::{collections::BTreeMap, future::Future, time::Duration};

use crate::{DeadLetter, StorageError, Timestamp};

/// A message on a dead-letter queue.
#[derive(Clone)]
pub struct Buried {
    /// The queue's own id of it.
    pub key: String,
    /// What the queue wants to see to let it be changed.
    pub receipt: String,
    /// What was received when it was given up.
    pub body: String,
    /// What was said beside the body then.
    pub attributes: BTreeMap<String, String>,
    /// When it was buried.
    pub buried_at: Timestamp,
    /// The queue that it goes back to, by its name in the settings.
    pub queue: String,
    /// Why, and what it was.
    pub letter: Epitaph,
}

/// Why a message is on a dead-letter queue, as far as it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epitaph {
    /// The kind of the last failure: [`ErrorKind::as_str`](crate::ErrorKind::as_str), or what [`Epitaph::read`] says of those that others gave up.
    pub kind: String,
    /// What happened last.
    pub reason: String,
    /// Attempts that were made, where they were counted.
    pub attempts: Option<u32>,
    /// The envelope's id, where the body was one.
    pub id: Option<String>,
    /// The task's name, where the body was an envelope.
    pub task: Option<String>,
}

impl Epitaph {
    /// Reads the attributes beside the body: those of [`DeadLetter::attributes`]; those of EventBridge Scheduler, which could not put the body on its
    /// queue; those of Lambda, which gave up invoking the function without a queue; or none, when the queue itself gave the message up.
    /// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html>
    /// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq>
    #[must_use]
    pub fn read(attributes: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| attributes.get(name).cloned();
        if let Some(kind) = text(DeadLetter::KIND) {
            return Self {
                kind,
                reason: text(DeadLetter::REASON).unwrap_or_default(),
                attempts: text(DeadLetter::ATTEMPTS).and_then(|count| count.parse().ok()),
                id: text(DeadLetter::ID),
                task: text(DeadLetter::TASK),
            };
        }
        if let (Some(_), Some(code)) = (text("RequestID"), text("ErrorCode")) {
            return Self {
                kind: "not_invoked".to_owned(),
                id: text("RequestID"),
                reason: format!("Lambda gave up invoking the function: {code} {}", text("ErrorMessage").unwrap_or_default()),
                ..Self::default()
            };
        }
        match text("ERROR_CODE") {
            Some(code) => Self {
                kind: "not_scheduled".to_owned(),
                reason: format!("EventBridge Scheduler could not put it on the queue: {code}"),
                ..Self::default()
            },
            None => Self {
                kind: "redriven".to_owned(),
                reason: "the queue gave it up: it was received too often, since its function died or could not be started".to_owned(),
                ..Self::default()
            },
        }
    }
}

/// The queue of what was given up, for those who look after it.
pub trait DeadLetters: Send + Sync + 'static {
    /// Takes some letters and hides them for `lease`; none when there are no more to be seen.
    fn take(&self, lease: Duration) -> impl Future<Output = Result<Vec<Buried>, StorageError>> + Send;
    /// Shows letters again.
    fn release(&self, letters: &[Buried]) -> impl Future<Output = Result<(), StorageError>> + Send;
    /// Forgets letters.
    fn remove(&self, letters: &[Buried]) -> impl Future<Output = Result<(), StorageError>> + Send;
    /// About how many there are, those that are hidden included.
    fn count(&self) -> impl Future<Output = Result<u64, StorageError>> + Send;
}

crate::erased! {
    /// [`DeadLetters`] with its type erased.
    DynDeadLetters of DeadLetters {
        fn take(lease: Duration) -> Result<Vec<Buried>, StorageError>;
        fn release(letters: &'a [Buried]) -> Result<(), StorageError>;
        fn remove(letters: &'a [Buried]) -> Result<(), StorageError>;
        fn count() -> Result<u64, StorageError>;
    }
}
