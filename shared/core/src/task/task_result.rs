use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{DEFAULT_QUEUE, DeliveryError, Envelope, Json, Sender, StorageError, Timestamp};

crate::named! {
    /// Where an id stands. The first four are Django's `TaskResultStatus`.
    pub enum Status {
        /// Waits to be run, perhaps again.
        Ready = "READY",
        /// An attempt is under way.
        Running = "RUNNING",
        /// Done.
        Successful = "SUCCESSFUL",
        /// Given up.
        Failed = "FAILED",
        /// Waits for its time.
        Scheduled = "SCHEDULED",
        /// Cancelled before it ran.
        Cancelled = "CANCELLED",
        /// Was too late to run.
        Expired = "EXPIRED",
    }
}

impl Status {
    /// Whether nothing more can happen to the id.
    #[must_use]
    pub const fn ended(self) -> bool {
        match self {
            Self::Successful | Self::Failed | Self::Cancelled | Self::Expired => true,
            Self::Ready | Self::Running | Self::Scheduled => false,
        }
    }

    /// Whether it waits to be run, and is nobody's.
    #[must_use]
    pub const fn waits(self) -> bool {
        match self {
            Self::Ready | Self::Scheduled => true,
            Self::Running | Self::Successful | Self::Failed | Self::Cancelled | Self::Expired => false,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = StorageError;
    fn from_str(text: &str) -> Result<Self, StorageError> {
        Self::named(text).ok_or_else(|| StorageError("a record has a status that is none".to_owned()))
    }
}

/// What is known of an envelope, with the names of Django's `TaskResult`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// The envelope's id.
    pub id: String,
    /// The task's name.
    pub task: String,
    /// Where it stands.
    pub status: Status,
    /// When it was handed to a transport, or first seen.
    pub enqueued_at: Timestamp,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When its last attempt began.
    pub last_attempted_at: Option<Timestamp>,
    /// Not before when it is to run, where that was said.
    pub run_after: Option<Timestamp>,
    /// Positional arguments, as they were written; null when they were larger than [`TaskResult::ARGUMENTS_LIMIT`], or are in the object store.
    pub args: Json,
    /// Named arguments, likewise.
    pub kwargs: Json,
    /// How it came.
    pub backend: String,
    /// Whose message it came in.
    #[serde(default)]
    pub sender: Sender,
    /// The last failures, oldest first; at most [`TaskResult::ERRORS_LIMIT`].
    pub errors: Vec<TaskError>,
    /// Who tried, oldest first; at most [`TaskResult::ERRORS_LIMIT`].
    pub worker_ids: Vec<String>,
    /// What the task returned.
    pub return_value: Json,
    /// Attempts that began, those included that do not count.
    pub attempts: u32,
    /// The queue that it belongs on.
    #[serde(default = "default_queue")]
    pub queue: String,
    /// The recipient.
    #[serde(default)]
    pub user: Option<String>,
    /// What ties it to others of one notification.
    #[serde(default)]
    pub notification_id: Option<String>,
    /// Tenant or ordering key.
    #[serde(default)]
    pub group: Option<String>,
    /// Not later than when it is to run, where that was said.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// Attempts before it is given up, where that was said.
    #[serde(default)]
    pub max_attempts: Option<u32>,
    /// After a failed attempt, when the next one is due.
    #[serde(default)]
    pub next_attempt_at: Option<Timestamp>,
    /// Where the result is to be sent.
    #[serde(default)]
    pub callback_url: Option<String>,
    /// W3C `traceparent`.
    #[serde(default)]
    pub trace: Option<String>,
    /// What it was before replays changed it, oldest first; [`TaskResult::ARGUMENTS_LIMIT`] together, and at most [`TaskResult::REPLACED_LIMIT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
}

fn default_queue() -> String {
    DEFAULT_QUEUE.to_owned()
}

/// The content of a task before a replay changed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// When it was replaced.
    pub replaced_at: Timestamp,
    /// The task's name.
    pub task: String,
    /// Positional arguments; null where they are not kept.
    pub args: Json,
    /// Named arguments, likewise.
    pub kwargs: Json,
    /// The context, likewise; null also where there was none.
    pub context: Json,
}

impl Replaced {
    fn size(&self) -> usize {
        [&self.args, &self.kwargs, &self.context].map(|json| json.get().len()).iter().sum()
    }
}

impl TaskResult {
    /// Arguments up to this size, in bytes of JSON, are kept. DynamoDB holds 400 KB an item and charges each change by the item's size.
    pub const ARGUMENTS_LIMIT: usize = 32 * 1024;
    /// Return values of workers up to this size, in bytes of JSON, are kept: DynamoDB holds 400 KB an item.
    pub const VALUE_LIMIT: usize = 256 * 1024;
    /// How many failures and workers are kept: the last ones.
    pub const ERRORS_LIMIT: usize = 10;
    /// How many contents are kept that replays changed: the last ones.
    pub const REPLACED_LIMIT: usize = 3;
    /// How long after it ended an id is remembered, in seconds: 30 days, longer than a queue and its dead-letter queue (14 days each) hold a twin.
    pub const RETENTION_SECONDS: i64 = 30 * 24 * 60 * 60;

    /// The state of an envelope of which nothing else is known.
    #[must_use]
    pub fn new(envelope: &Envelope, status: Status, backend: &str, now: Timestamp) -> Self {
        Self {
            id: envelope.id.clone(),
            task: envelope.task.clone(),
            status,
            enqueued_at: now,
            started_at: None,
            finished_at: None,
            last_attempted_at: None,
            run_after: envelope.run_after,
            args: kept(envelope, envelope.args.as_deref(), "[]"),
            kwargs: kept(envelope, envelope.kwargs.as_deref(), "{}"),
            backend: backend.to_owned(),
            sender: envelope.sender,
            errors: Vec::new(),
            worker_ids: Vec::new(),
            return_value: Json::default(),
            attempts: 0,
            queue: envelope.queue.clone(),
            user: envelope.user.clone(),
            notification_id: envelope.notification_id.clone(),
            group: envelope.group.clone(),
            expires: envelope.expires,
            max_attempts: envelope.max_attempts,
            next_attempt_at: None,
            callback_url: envelope.callback_url.clone(),
            trace: envelope.trace.clone(),
            replaced: Vec::new(),
        }
    }

    /// Keeps its content as what was replaced, as much of it as is kept.
    pub(crate) fn replace(&mut self, context: Json, now: Timestamp) {
        let (task, args, kwargs) = (self.task.clone(), self.args.clone(), self.kwargs.clone());
        self.replaced.push(Replaced { replaced_at: now, task, args, kwargs, context });
        while self.replaced.len() > Self::REPLACED_LIMIT
            || (self.replaced.len() > 1 && self.replaced.iter().map(Replaced::size).sum::<usize>() > Self::ARGUMENTS_LIMIT)
        {
            self.replaced.remove(0);
        }
        if let Some(only) = self.replaced.first_mut().filter(|replaced| replaced.size() > Self::ARGUMENTS_LIMIT) {
            (only.args, only.kwargs, only.context) = (Json::default(), Json::default(), Json::default());
        }
    }
}

/// What a record keeps of arguments: `empty` where there are none.
fn kept(envelope: &Envelope, json: Option<&RawValue>, empty: &'static str) -> Json {
    match json {
        _ if envelope.claim_check.is_some() => Json::default(),
        None => Json::parse(empty.as_bytes()).unwrap_or_default(),
        Some(json) if json.get().len() > TaskResult::ARGUMENTS_LIMIT => Json::default(),
        Some(json) => json.into(),
    }
}

/// One failure in a [`TaskResult`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// The failure's kind, as a path: `errand.rejected`.
    pub exception_class_path: String,
    /// What happened, for an operator.
    pub traceback: String,
}

impl TaskError {
    /// How much of a failure's message is kept, in bytes: with a hundred of them, a record still fits DynamoDB's 400 KB.
    const MESSAGE_LIMIT: usize = 1024;

    /// A failure of this kind, as much of it as is kept: the end of a long traceback, which tells most.
    #[must_use]
    pub fn new(kind: &str, message: &str) -> Self {
        let kind = &kind[..kind.floor_char_boundary(200)];
        let message = &message[message.ceil_char_boundary(message.len().saturating_sub(Self::MESSAGE_LIMIT))..];
        Self { exception_class_path: kind.to_owned(), traceback: message.to_owned() }
    }
}

impl From<&DeliveryError> for TaskError {
    /// What the task's own code said, or what we say of it.
    fn from(error: &DeliveryError) -> Self {
        error.exception.clone().unwrap_or_else(|| Self::new(&format!("errand.{}", error.kind), &error.message))
    }
}
