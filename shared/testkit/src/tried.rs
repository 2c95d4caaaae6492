//! A store that notes what is asked of it: an operation that a kit never tries is one that it does not check.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use errand_core::{
    Begin, Change, Claim, Claims, Envelope, Filter, Finish, Known, Lookup, Note, NoteKind, Notes, Outcome, Page, Register, Report, Results,
    Status, StorageError, TaskError, Timestamp,
};

pub(crate) struct Tried<S> {
    store: S,
    operations: Mutex<BTreeSet<&'static str>>,
}

impl<S> Tried<S> {
    pub(crate) fn new(store: S) -> Self {
        Self { store, operations: Mutex::default() }
    }

    /// Checks that all of these were tried.
    pub(crate) fn all(&self, operations: &[&str]) {
        let tried = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        let untried: Vec<&&str> = operations.iter().filter(|operation| !tried.contains(*operation)).collect();
        assert!(untried.is_empty(), "the kit has no check of {untried:?}");
    }
}

/// Declares the operations of a store, by the traits that have them: an operation that is new does not compile until it stands here.
macro_rules! tried {
    ($all:ident: $($role:ident { $(fn $operation:ident($($name:ident: $type:ty),*) -> $answer:ty;)+ })+) => {
        pub(crate) const $all: &[&str] = &[$($(stringify!($operation)),+),+];

        $(impl<S: $role> $role for Tried<S> {
            $(async fn $operation(&self $(, $name: $type)*) -> Result<$answer, StorageError> {
                self.operations.lock().unwrap_or_else(PoisonError::into_inner).insert(stringify!($operation));
                self.store.$operation($($name),*).await
            })+
        })+
    };
}

tried! {
    OF_STORES:
    Lookup {
        fn get(id: &str) -> Option<Known>;
    }
    Claims {
        fn begin(claim: &Claim<'_>) -> Begin;
        fn refuse(claim: &Claim<'_>, error: &TaskError) -> Finish;
        fn finish(id: &str, attempt: u32, outcome: &Outcome, now: Timestamp) -> Finish;
    }
    Register {
        fn register(envelope: &Envelope, status: Status, backend: &str, now: Timestamp) -> Option<Known>;
        fn sent(envelope: &Envelope, failed: Option<&TaskError>) -> ();
        fn handed_over(claim: &Claim<'_>, outcome: &Outcome) -> Finish;
        fn check() -> ();
    }
    Results {
        fn report(id: &str, token: &str, outcome: &Outcome, now: Timestamp) -> Report;
        fn list(filter: &Filter) -> Page;
        fn cancel(id: &str, now: Timestamp) -> Change;
        fn reschedule(id: &str, run_after: Timestamp, now: Timestamp) -> Change;
        fn reopen(envelope: &Envelope, now: Timestamp) -> Change;
    }
}

tried! {
    OF_NOTES:
    Notes {
        fn get(kind: NoteKind, name: &str, now: Timestamp) -> Option<String>;
        fn create(note: &Note, now: Timestamp) -> Option<String>;
        fn put(note: &Note) -> ();
        fn delete(kind: NoteKind, name: &str) -> bool;
        fn list(kind: NoteKind, cursor: Option<&str>) -> Vec<(String, String)>;
        fn count(kind: NoteKind, name: &str, until: Timestamp) -> u64;
    }
}
