use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use errand_core::{Note, NoteKind, Notes, StorageError, Timestamp};

type Texts = BTreeMap<(NoteKind, String), (String, Option<Timestamp>)>;

/// Notes in memory. Clones share them.
#[derive(Clone, Default)]
pub struct MemoryNotes(Arc<Mutex<Texts>>);

impl MemoryNotes {
    /// The kinds and names of all notes, those that have expired included.
    #[must_use]
    pub fn names(&self) -> Vec<(NoteKind, String)> {
        self.texts().keys().cloned().collect()
    }

    fn texts(&self) -> MutexGuard<'_, Texts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes for MemoryNotes {
    async fn get(&self, kind: NoteKind, name: &str, now: Timestamp) -> Result<Option<String>, StorageError> {
        let texts = self.texts();
        let known = texts.get(&(kind, name.to_owned()));
        Ok(known.filter(|(_, until)| until.is_none_or(|until| until > now)).map(|(text, _)| text.clone()))
    }

    async fn create(&self, note: &Note, now: Timestamp) -> Result<Option<String>, StorageError> {
        let known = self.get(note.kind, &note.name, now).await?;
        if known.is_none() {
            self.put(note).await?;
        }
        Ok(known)
    }

    async fn put(&self, note: &Note) -> Result<(), StorageError> {
        self.texts().insert((note.kind, note.name.clone()), (note.text.clone(), note.until));
        Ok(())
    }

    async fn delete(&self, kind: NoteKind, name: &str) -> Result<bool, StorageError> {
        Ok(self.texts().remove(&(kind, name.to_owned())).is_some())
    }

    async fn list(&self, kind: NoteKind, cursor: Option<&str>) -> Result<Vec<(String, String)>, StorageError> {
        let texts = self.texts();
        let wanted = texts
            .iter()
            .filter(|((other, name), (_, until))| *other == kind && until.is_none() && cursor.is_none_or(|cursor| name.as_str() > cursor));
        Ok(wanted.take(100).map(|((_, name), (text, _))| (name.clone(), text.clone())).collect())
    }

    async fn count(&self, kind: NoteKind, name: &str, until: Timestamp) -> Result<u64, StorageError> {
        let mut texts = self.texts();
        let (text, _) = texts.entry((kind, name.to_owned())).or_insert_with(|| ("0".to_owned(), Some(until)));
        let count = text.parse::<u64>().unwrap_or_default() + 1;
        *text = count.to_string();
        Ok(count)
    }
}
