use std::future::Future;

use crate::{Envelope, Known, Lookup, Outcome, Register, Status, StorageError, TaskResult, Timestamp};

/// Tells how ids stand and changes what has not run: what the calls about tasks ask of a store.
pub trait Results: Lookup + Register {
    /// Notes what a remote worker reports of the attempt that it was given with `token`.
    fn report(&self, id: &str, token: &str, outcome: &Outcome, now: Timestamp)
    -> impl Future<Output = Result<Report, StorageError>> + Send;

    /// What is known of many, the newest first.
    fn list(&self, filter: &Filter) -> impl Future<Output = Result<Page, StorageError>> + Send;

    /// Cancels an id that waits to be run.
    fn cancel(&self, id: &str, now: Timestamp) -> impl Future<Output = Result<Change, StorageError>> + Send;

    /// Moves an id that waits to another time. Messages that come before it are then turned away: one for that time must be on its way already.
    fn reschedule(&self, id: &str, run_after: Timestamp, now: Timestamp) -> impl Future<Output = Result<Change, StorageError>> + Send;

    /// Lets an id that was given up wait again, with all its attempts ahead, as the envelope has it now: what its record told of other content, it tells as
    /// [`TaskResult::replaced`] from then on. An id that waits is only given other content.
    fn reopen(&self, envelope: &Envelope, now: Timestamp) -> impl Future<Output = Result<Change, StorageError>> + Send;
}

/// The answer to [`Results::report`].
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Noted; this is its state now.
    Recorded(TaskResult),
    /// Not noted, since it has ended; this is its state.
    Ended(TaskResult),
    /// No attempt that may still be reported of has this id and token.
    Unknown,
}

/// The answer to a wish to change what has not run: [`Results::cancel`], [`Results::reschedule`], [`Results::reopen`].
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

crate::erased! {
    /// What telling and changing ask of [`Results`], with its type erased.
    DynResults of Results {
        fn report(id: &'a str, token: &'a str, outcome: &'a Outcome, now: Timestamp) -> Result<Report, StorageError>;
        fn list(filter: &'a Filter) -> Result<Page, StorageError>;
        fn cancel(id: &'a str, now: Timestamp) -> Result<Change, StorageError>;
        fn reschedule(id: &'a str, run_after: Timestamp, now: Timestamp) -> Result<Change, StorageError>;
        fn reopen(envelope: &'a Envelope, now: Timestamp) -> Result<Change, StorageError>;
    } and Lookup {
        fn get(id: &'a str) -> Result<Option<Known>, StorageError>;
    } and Register {
        fn register(envelope: &'a Envelope, status: Status, backend: &'a str, now: Timestamp) -> Result<Option<Known>, StorageError>;
    }
}
