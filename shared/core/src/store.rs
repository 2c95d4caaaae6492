use std::{fmt, future::Future, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{DEFAULT_QUEUE, DeliveryError, Envelope, Header, Json, Progress, Sender, Timestamp};

/// Remembers each envelope's state, so that an id is done once and can be asked about.
///
/// A store keeps this contract, and `errand-testkit` tests it: every change is one conditional write; of two that claim an id, one gets
/// it; a lease is compared with the claim's own `now` in that condition, and its end is no deletion; what a stale attempt says is not
/// written; only clean-up of ended records is left to an expiry time.
pub trait Store: Send + Sync + 'static {
    /// Notes an envelope that is handed to a transport, before that or after, unless its id is known already: then what is known is the answer. A record
    /// of other content that was never sent, since that failed, is not in the way.
    fn register(
        &self,
        envelope: &Envelope,
        status: Status,
        backend: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<(TaskResult, Header)>, StoreError>> + Send;

    /// Notes of an envelope that was registered before it was sent that it was not, and why, unless it was attempted all the same; or that it was after all, or by
    /// the object store. Of an id that has ended or has other content, nothing is noted.
    fn sent(&self, envelope: &Envelope, failed: Option<&TaskError>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Claims an id for one attempt, and counts the attempt.
    fn begin(&self, claim: &Claim<'_>) -> impl Future<Output = Result<Begin, StoreError>> + Send;

    /// Notes how an attempt ended and gives the claim back.
    fn finish(&self, id: &str, attempt: u32, outcome: &Outcome, now: Timestamp) -> impl Future<Output = Result<Finish, StoreError>> + Send;

    /// Notes what a remote worker reports of the attempt that it was given with `token`.
    fn report(&self, id: &str, token: &str, outcome: &Outcome, now: Timestamp) -> impl Future<Output = Result<Report, StoreError>> + Send;

    /// What is known of an id; with its header, [`Header::envelope`] makes its envelope again.
    fn get(&self, id: &str) -> impl Future<Output = Result<Option<(TaskResult, Header)>, StoreError>> + Send;

    /// What is known of many, the newest first.
    fn list(&self, filter: &Filter) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// Cancels an id that waits to be run.
    fn cancel(&self, id: &str, now: Timestamp) -> impl Future<Output = Result<Change, StoreError>> + Send;

    /// Moves an id that waits to another time. Messages that come before it are then turned away: one for that time must be on its way already.
    fn reschedule(&self, id: &str, run_after: Timestamp, now: Timestamp) -> impl Future<Output = Result<Change, StoreError>> + Send;

    /// Lets an id that was given up wait again, with all its attempts ahead, as the envelope has it now: what its record told of other content, it tells as
    /// [`TaskResult::replaced`] from then on. An id that waits is only given other content.
    fn reopen(&self, envelope: &Envelope, now: Timestamp) -> impl Future<Output = Result<Change, StoreError>> + Send;

    /// Whether it answers.
    fn check(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// One attempt's wish to have an id for itself.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The envelope to run.
    pub envelope: &'a Envelope,
    /// The time of the claim.
    pub now: Timestamp,
    /// Until when the claim holds if nothing is heard of it.
    pub lease_until: Timestamp,
    /// Who claims: an execution environment.
    pub worker: &'a str,
    /// What a remote worker has to show to report of this attempt, where there may be one.
    pub token: Option<&'a str>,
    /// How the envelope came, for records that begin here.
    pub backend: &'a str,
}

impl Claim<'_> {
    /// The time for which the envelope comes: a record that says a later one was moved since it was sent.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        self.envelope.run_after.unwrap_or(self.now).max(self.now)
    }
}

/// The answer to a [`Claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The id is the claimant's.
    Claimed {
        /// The number of this attempt, 1 for the first; its fence in [`Store::finish`].
        attempt: u32,
        /// How many attempts count against the most that are allowed, this one included.
        tries: u32,
        /// Whether the attempt before died without a word: it may have delivered.
        died: bool,
        /// How far it has come.
        progress: Progress,
    },
    /// Another attempt has it.
    Held {
        /// Until when, if nothing is heard of it.
        until: Timestamp,
    },
    /// It was moved to a later time, and a message for that time is on its way.
    Moved {
        /// When.
        until: Timestamp,
    },
    /// It is done, given up, cancelled or expired.
    Ended(Status),
    /// It is the id of other content, which stands so.
    Other(Status),
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Done, with the task's return value.
    Succeeded(Json),
    /// To be tried again, or to be gone on with.
    Retry {
        /// Why, where something failed.
        error: Option<TaskError>,
        /// How far it has come.
        progress: Progress,
        /// Whether the attempt counts against the most that are allowed.
        counts: bool,
        /// When it is to be tried again.
        at: Timestamp,
    },
    /// Given up.
    Failed {
        /// Why, the last failure last.
        errors: Vec<TaskError>,
        /// How far it has come.
        progress: Progress,
    },
    /// Too late to run.
    Expired,
    /// Handed to a remote worker, which reports by itself how it ended; no other attempt begins before `until`.
    Handed {
        /// When it counts as dead if nothing was heard of it.
        until: Timestamp,
    },
    /// A remote worker has begun.
    Started {
        /// Its name.
        worker: String,
    },
}

impl Outcome {
    /// Where the id stands then.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Succeeded(_) => Status::Successful,
            Self::Retry { .. } => Status::Ready,
            Self::Failed { .. } => Status::Failed,
            Self::Expired => Status::Expired,
            Self::Handed { .. } | Self::Started { .. } => Status::Running,
        }
    }
}

/// The answer to [`Store::report`].
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Noted; this is its state now.
    Recorded(TaskResult),
    /// Not noted, since it has ended; this is its state.
    Ended(TaskResult),
    /// No attempt that may still be reported of has this id and token.
    Unknown,
}

/// The answer to [`Store::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Noted.
    Recorded,
    /// Not noted: a newer attempt has the id, or it has ended.
    Stale,
}

/// The answer to a wish to change what has not run: [`Store::cancel`], [`Store::reschedule`], [`Store::reopen`].
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Changed; this is its state now.
    Changed(TaskResult),
    /// It is in no state to be changed so; this is its state.
    Refused(TaskResult),
    /// No such id.
    Unknown,
}

/// Where an id stands. The first four are Django's `TaskResultStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Waits to be run, perhaps again.
    Ready,
    /// An attempt is under way.
    Running,
    /// Done.
    Successful,
    /// Given up.
    Failed,
    /// Waits for its time.
    Scheduled,
    /// Cancelled before it ran.
    Cancelled,
    /// Was too late to run.
    Expired,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 7] =
        [Self::Ready, Self::Running, Self::Successful, Self::Failed, Self::Scheduled, Self::Cancelled, Self::Expired];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::Running => "RUNNING",
            Self::Successful => "SUCCESSFUL",
            Self::Failed => "FAILED",
            Self::Scheduled => "SCHEDULED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
        }
    }

    /// Whether nothing more can happen to the id.
    #[must_use]
    pub const fn ended(self) -> bool {
        matches!(self, Self::Successful | Self::Failed | Self::Cancelled | Self::Expired)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = StoreError;
    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| StoreError("a record has a status that is none".to_owned()))
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

/// Which results to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this status.
    pub status: Option<Status>,
    /// Only of this task.
    pub task: Option<String>,
    /// Only of this queue.
    pub queue: Option<String>,
    /// Only of this recipient.
    pub user: Option<String>,
    /// Only of this notification.
    pub notification_id: Option<String>,
    /// Only what was enqueued then or later.
    pub since: Option<Timestamp>,
    /// Only what was enqueued before.
    pub until: Option<Timestamp>,
    /// How many at most, 1 to 100.
    pub limit: usize,
    /// Where the page before ended: its [`Page::cursor`].
    pub cursor: Option<String>,
}

impl Filter {
    /// Whether a result is one of those, as far as its position does not tell.
    #[must_use]
    pub fn fits(&self, result: &TaskResult) -> bool {
        self.status.is_none_or(|status| result.status == status)
            && self.task.as_ref().is_none_or(|task| result.task == *task)
            && self.queue.as_ref().is_none_or(|queue| result.queue == *queue)
            && (self.user.is_none() || result.user == self.user)
            && (self.notification_id.is_none() || result.notification_id == self.notification_id)
    }

    /// Between which positions its results are: not before the first, before the second. See [`position`](crate::position).
    #[must_use]
    pub fn positions(&self) -> (String, Option<String>) {
        let since = self.since.map_or_else(String::new, |since| since.to_string());
        let until = self.until.map(|until| until.to_string());
        let before = match (&self.cursor, until) {
            (Some(cursor), Some(until)) => Some(cursor.clone().min(until)),
            (cursor, until) => cursor.clone().or(until),
        };
        (since, before)
    }
}

/// A page of results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The results, the newest first. May be fewer than asked for, even none, with more to come.
    pub results: Vec<TaskResult>,
    /// Where to go on; `None` when this is the end.
    pub cursor: Option<String>,
}

/// The store did not answer, or not as it should; for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(pub String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}
