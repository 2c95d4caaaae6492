use std::future::Future;

use crate::{StorageError, Timestamp};

crate::named! {
    /// What a [`Note`] is about. Names are told apart within one kind.
    #[derive(PartialOrd, Ord)]
    pub enum NoteKind {
        /// An API key, by the SHA-256 of it.
        Key = "key",
        /// The answer to a call, by its idempotency key.
        Call = "call",
        /// A template of notifications, by its name.
        Template = "template",
        /// Calls of a key in a minute.
        Rate = "rate",
    }
}

/// A small text that the HTTP functions keep beside the tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// Its name, at most 1,024 bytes.
    pub name: String,
    /// What it says: at most [`Note::LIMIT`] bytes.
    pub text: String,
    /// When it is forgotten; never when `None`.
    pub until: Option<Timestamp>,
}

impl Note {
    /// How long a text may be, in bytes: DynamoDB keeps 400 KB with all that is beside it.
    pub const LIMIT: usize = 350 * 1024;
}

/// Keeps [`Note`]s: API keys, answers to calls, templates, counts.
///
/// A store of notes keeps this contract, and `errand-testkit` tests it: [`Notes::create`] and [`Notes::count`] are one write each, of which one of two
/// at once comes first; a note is gone at its `until` to the millisecond.
pub trait Notes: Send + Sync + 'static {
    /// The text of a note.
    fn get(&self, kind: NoteKind, name: &str, now: Timestamp) -> impl Future<Output = Result<Option<String>, StorageError>> + Send;
    /// Keeps a note, unless there is one of its name: that one's text is the answer then.
    fn create(&self, note: &Note, now: Timestamp) -> impl Future<Output = Result<Option<String>, StorageError>> + Send;
    /// Keeps a note, in place of one of its name.
    fn put(&self, note: &Note) -> impl Future<Output = Result<(), StorageError>> + Send;
    /// Forgets a note; answers whether there was one.
    fn delete(&self, kind: NoteKind, name: &str) -> impl Future<Output = Result<bool, StorageError>> + Send;
    /// Up to 100 names and texts of a kind that never expire on their own, sorted by name, from after the name `cursor` on.
    fn list(&self, kind: NoteKind, cursor: Option<&str>) -> impl Future<Output = Result<Vec<(String, String)>, StorageError>> + Send;
    /// Counts up, from nothing at first; answers the count.
    fn count(&self, kind: NoteKind, name: &str, until: Timestamp) -> impl Future<Output = Result<u64, StorageError>> + Send;
}

crate::erased! {
    /// What answering calls asks of [`Notes`], with its type erased. Apart from [`DynNoteList`], as the roles of a store are.
    DynNotes of Notes {
        fn get(kind: NoteKind, name: &'a str, now: Timestamp) -> Result<Option<String>, StorageError>;
        fn create(note: &'a Note, now: Timestamp) -> Result<Option<String>, StorageError>;
        fn put(note: &'a Note) -> Result<(), StorageError>;
        fn delete(kind: NoteKind, name: &'a str) -> Result<bool, StorageError>;
        fn count(kind: NoteKind, name: &'a str, until: Timestamp) -> Result<u64, StorageError>;
    }
}

crate::erased! {
    /// What keeping templates and keys asks of [`Notes`] beside that, with its type erased.
    DynNoteList of Notes {
        fn list(kind: NoteKind, cursor: Option<&'a str>) -> Result<Vec<(String, String)>, StorageError>;
    }
}
