use std::{fmt, future::Future};

use crate::{Envelope, Header, Json, Progress, Status, TaskError, TaskResult, Timestamp};

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

crate::erased! {
    /// What an engine asks of a [`Store`], with its type erased. Apart from [`DynRegister`] and [`DynResults`], so that a function links no more of its
    /// database's client than it uses.
    DynClaims of Store {
        fn begin(claim: &'a Claim<'a>) -> Result<Begin, StoreError>;
        fn finish(id: &'a str, attempt: u32, outcome: &'a Outcome, now: Timestamp) -> Result<Finish, StoreError>;
        fn get(id: &'a str) -> Result<Option<(TaskResult, Header)>, StoreError>;
    }
}

crate::erased! {
    /// What sending asks of a [`Store`], with its type erased.
    DynRegister of Store {
        fn register(envelope: &'a Envelope, status: Status, backend: &'a str, now: Timestamp) -> Result<Option<(TaskResult, Header)>, StoreError>;
        fn sent(envelope: &'a Envelope, failed: Option<&'a TaskError>) -> Result<(), StoreError>;
        fn check() -> Result<(), StoreError>;
    }
}

crate::erased! {
    /// What telling and changing ask of a [`Store`], with its type erased.
    DynResults of Store {
        fn get(id: &'a str) -> Result<Option<(TaskResult, Header)>, StoreError>;
        fn report(id: &'a str, token: &'a str, outcome: &'a Outcome, now: Timestamp) -> Result<Report, StoreError>;
        fn list(filter: &'a Filter) -> Result<Page, StoreError>;
        fn cancel(id: &'a str, now: Timestamp) -> Result<Change, StoreError>;
        fn reschedule(id: &'a str, run_after: Timestamp, now: Timestamp) -> Result<Change, StoreError>;
        fn reopen(envelope: &'a Envelope, now: Timestamp) -> Result<Change, StoreError>;
        fn register(envelope: &'a Envelope, status: Status, backend: &'a str, now: Timestamp) -> Result<Option<(TaskResult, Header)>, StoreError>;
    }
}
