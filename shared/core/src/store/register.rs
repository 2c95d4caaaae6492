use std::future::Future;

use crate::{Claim, Envelope, Finish, Known, Outcome, Status, StorageError, TaskError, Timestamp};

/// Notes what is sent, before anyone works on it: what sending asks of a store.
pub trait Register: Send + Sync + 'static {
    /// Notes an envelope that is handed to a transport, before that or after, unless its id is known already: then what is known is the answer. A record
    /// of other content that was never sent, since that failed, is not in the way.
    fn register(
        &self,
        envelope: &Envelope,
        status: Status,
        backend: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Known>, StorageError>> + Send;

    /// Notes of an envelope that was registered before it was sent that it was not, and why, unless it was attempted all the same; or that it was after all, or by
    /// the object store. Of an id that has ended or has other content, nothing is noted.
    fn sent(&self, envelope: &Envelope, failed: Option<&TaskError>) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Notes of an envelope that was handed to others, for them to do, how it stands by that: [`Outcome::Succeeded`] or [`Outcome::HandedOn`] of a first attempt. One that
    /// nobody has registered is. Of an id that was attempted, has ended, was moved or has other content, nothing is noted.
    fn handed_over(&self, claim: &Claim<'_>, outcome: &Outcome) -> impl Future<Output = Result<Finish, StorageError>> + Send;

    /// Whether it answers.
    fn check(&self) -> impl Future<Output = Result<(), StorageError>> + Send;
}

crate::erased! {
    /// What sending asks of [`Register`], with its type erased.
    DynRegister of Register {
        fn register(envelope: &'a Envelope, status: Status, backend: &'a str, now: Timestamp) -> Result<Option<Known>, StorageError>;
        fn sent(envelope: &'a Envelope, failed: Option<&'a TaskError>) -> Result<(), StorageError>;
        fn handed_over(claim: &'a Claim<'a>, outcome: &'a Outcome) -> Result<Finish, StorageError>;
        fn check() -> Result<(), StorageError>;
    }
}
