//! The traits with their futures on the heap, so that a function can choose an implementation by its settings. Nobody implements these:
//! each has one blanket implementation. What has its health told, and is no transport, implements [`DynCheck`].

use std::time::Duration;

use futures_util::FutureExt;

use crate::{
    Begin, BoxFuture, Buried, Change, Claim, DeadLetter, DeadLetters, Envelope, Filter, Finish, ForeignMessage, ForeignObjects,
    ForeignResult, Forward, Header, Message, Note, NoteKind, Notes, ObjectError, Objects, Outcome, Page, PublishError, Published, Queue,
    QueueError, Report, ResultBackend, Schedule, Schedules, Status, Store, StoreError, TaskError, TaskResult, Timestamp, Transport,
};

/// Declares a trait's erased twin and implements it for all that implement the trait.
macro_rules! erased {
    ($(#[$doc:meta])* $twin:ident of $of:ident { $(fn $method:ident($($arg:ident: $ty:ty),*) -> $out:ty;)* } $(const { $($name:ident() -> $value:ty = $constant:ident;)* })?) => {
        $(#[$doc])*
        pub trait $twin: Send + Sync {
            $(#[doc = concat!("[`", stringify!($of), "::", stringify!($method), "`].")]
            fn $method<'a>(&'a self $(, $arg: $ty)*) -> BoxFuture<'a, $out>;)*
            $($(#[doc = concat!("[`", stringify!($of), "::", stringify!($constant), "`].")]
            fn $name(&self) -> $value;)*)?
        }

        impl<T: $of> $twin for T {
            $(fn $method<'a>(&'a self $(, $arg: $ty)*) -> BoxFuture<'a, $out> {
                $of::$method(self $(, $arg)*).boxed()
            })*
            $($(fn $name(&self) -> $value {
                T::$constant
            })*)?
        }
    };
}

erased! {
    /// [`Queue`] with its type erased.
    DynQueue of Queue {
        fn hide(message: &'a Message, duration: Duration) -> Result<(), QueueError>;
        fn bury(message: &'a Message, letter: &'a DeadLetter) -> Result<(), QueueError>;
    }
}

erased! {
    /// [`DeadLetters`] with its type erased.
    DynDeadLetters of DeadLetters {
        fn take(lease: Duration) -> Result<Vec<Buried>, QueueError>;
        fn release(letters: &'a [Buried]) -> Result<(), QueueError>;
        fn remove(letters: &'a [Buried]) -> Result<(), QueueError>;
        fn count() -> Result<u64, QueueError>;
    }
}

erased! {
    /// What answering calls asks of [`Notes`], with its type erased. Apart from [`DynNoteList`], as the parts of a [`Store`] are.
    DynNotes of Notes {
        fn get(kind: NoteKind, name: &'a str, now: Timestamp) -> Result<Option<String>, StoreError>;
        fn create(note: &'a Note, now: Timestamp) -> Result<Option<String>, StoreError>;
        fn put(note: &'a Note) -> Result<(), StoreError>;
        fn delete(kind: NoteKind, name: &'a str) -> Result<bool, StoreError>;
        fn count(kind: NoteKind, name: &'a str, until: Timestamp) -> Result<u64, StoreError>;
    }
}

erased! {
    /// What keeping templates and keys asks of [`Notes`] beside that, with its type erased.
    DynNoteList of Notes {
        fn list(kind: NoteKind, cursor: Option<&'a str>) -> Result<Vec<(String, String)>, StoreError>;
    }
}

erased! {
    /// [`Objects`] with its type erased.
    DynObjects of Objects {
        fn put(key: &'a str, content: String) -> Result<(), ObjectError>;
        fn get(key: &'a str) -> Result<Option<String>, ObjectError>;
        fn delete(key: &'a str) -> Result<(), ObjectError>;
    }
}

erased! {
    /// What sending asks of a [`Transport`], with its type erased.
    DynTransport of Transport {
        fn publish(envelopes: &'a [Envelope]) -> Vec<Result<Published, PublishError>>;
        fn withdraw(id: &'a str, run_after: Timestamp) -> Result<(), PublishError>;
    }
    const {
        name() -> &'static str = NAME;
        max_delay() -> Duration = MAX_DELAY;
    }
}

erased! {
    /// What telling of its health asks of a [`Transport`]. Apart from [`DynTransport`], as the parts of a [`Store`] are.
    DynCheck of Transport {
        fn check() -> Result<(), PublishError>;
    }
    const {
        name() -> &'static str = NAME;
    }
}

erased! {
    /// [`ForeignObjects`] with its type erased.
    DynForeignObjects of ForeignObjects {
        fn fetch(bucket: &'a str, key: &'a str) -> Result<Option<String>, ObjectError>;
    }
}

erased! {
    /// [`Forward`] with its type erased.
    DynForward of Forward {
        fn forward(message: &'a ForeignMessage) -> Result<(), PublishError>;
    }
}

erased! {
    /// [`ResultBackend`] with its type erased.
    DynResultBackend of ResultBackend {
        fn keep(result: &'a ForeignResult) -> Result<(), PublishError>;
    }
}

erased! {
    /// [`Schedules`] with its type erased.
    DynSchedules of Schedules {
        fn create(schedule: &'a Schedule) -> Result<bool, PublishError>;
        fn get(name: &'a str) -> Result<Option<Schedule>, PublishError>;
        fn list(limit: usize, cursor: Option<&'a str>) -> Result<(Vec<Schedule>, Option<String>), PublishError>;
        fn delete(name: &'a str) -> Result<bool, PublishError>;
        fn update(schedule: &'a Schedule) -> Result<bool, PublishError>;
    }
}

erased! {
    /// What an engine asks of a [`Store`], with its type erased. Apart from [`DynRegister`] and [`DynResults`], so that a function links no more of its
    /// database's client than it uses.
    DynClaims of Store {
        fn begin(claim: &'a Claim<'a>) -> Result<Begin, StoreError>;
        fn finish(id: &'a str, attempt: u32, outcome: &'a Outcome, now: Timestamp) -> Result<Finish, StoreError>;
        fn get(id: &'a str) -> Result<Option<(TaskResult, Header)>, StoreError>;
    }
}

erased! {
    /// What sending asks of a [`Store`], with its type erased.
    DynRegister of Store {
        fn register(envelope: &'a Envelope, status: Status, backend: &'a str, now: Timestamp) -> Result<Option<(TaskResult, Header)>, StoreError>;
        fn sent(envelope: &'a Envelope, failed: Option<&'a TaskError>) -> Result<(), StoreError>;
        fn check() -> Result<(), StoreError>;
    }
}

erased! {
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
