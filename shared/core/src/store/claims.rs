use std::future::Future;

use crate::{Envelope, HandedOn, Json, Known, Lookup, Progress, Status, StorageError, TaskError, Timestamp};

/// Lets one attempt have an id for itself, and notes how it ended: what the engine asks of a store.
///
/// Many are asked for at the same time, one for each message of a batch. A store answers each by itself and may write those together that wait at the same
/// moment; then one that fails fails alone.
pub trait Claims: Lookup {
    /// Claims an id for one attempt, and counts the attempt.
    fn begin(&self, claim: &Claim<'_>) -> impl Future<Output = Result<Begin, StorageError>> + Send;

    /// Notes of an id that was never attempted that its first attempt has given it up, which is known before it begins: claims it and ends it, in one write. Of an id that
    /// was attempted since, has ended, was moved or has other content, nothing is noted.
    fn refuse(&self, claim: &Claim<'_>, error: &TaskError) -> impl Future<Output = Result<Finish, StorageError>> + Send;

    /// Notes how an attempt ended and gives the claim back.
    fn finish(
        &self,
        id: &str,
        attempt: u32,
        outcome: &Outcome,
        now: Timestamp,
    ) -> impl Future<Output = Result<Finish, StorageError>> + Send;
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
        /// The number of this attempt, 1 for the first; its fence in [`Claims::finish`].
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
    /// Other people's workers have it, and nobody else gets it: a [`FollowUp`](crate::FollowUp) ends it.
    HandedOn {
        /// The attempt that handed it on.
        attempt: u32,
        /// Who has it.
        to: HandedOn,
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
    /// Handed to other people's workers, who do not report: they are asked how it ended, and no other attempt begins.
    HandedOn(HandedOn),
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
            Self::Handed { .. } | Self::HandedOn(_) | Self::Started { .. } => Status::Running,
        }
    }
}

/// The answer to [`Claims::finish`] and [`Claims::refuse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Noted.
    Recorded,
    /// Not noted: another attempt has the id, or it has ended.
    Stale,
}

crate::erased! {
    /// What an engine asks of [`Claims`], with its type erased. Apart from [`DynRegister`](crate::DynRegister) and [`DynResults`](crate::DynResults), so that
    /// a function links no more of its database's client than it uses.
    DynClaims of Claims {
        fn begin(claim: &'a Claim<'a>) -> Result<Begin, StorageError>;
        fn refuse(claim: &'a Claim<'a>, error: &'a TaskError) -> Result<Finish, StorageError>;
        fn finish(id: &'a str, attempt: u32, outcome: &'a Outcome, now: Timestamp) -> Result<Finish, StorageError>;
    } and Lookup {
        fn get(id: &'a str) -> Result<Option<Known>, StorageError>;
    }
}
