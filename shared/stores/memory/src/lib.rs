//! A store in memory, for tests: it forgets everything with its process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use errand_core::{
    Begin, Change, Claim, Claims, Envelope, Filter, Finish, Known, Lookup, Outcome, Page, Record, Register, Report, Results, Status,
    StorageError, TaskError, Timestamp,
};

mod notes;

pub use notes::MemoryNotes;

/// A store in memory. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<HashMap<String, Record>>>);

impl MemoryStore {
    fn records(&self) -> MutexGuard<'_, HashMap<String, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookup for MemoryStore {
    async fn get(&self, id: &str) -> Result<Option<Known>, StorageError> {
        Ok(self.records().get(id).map(|record| (record.result.clone(), record.header.clone())))
    }
}

impl Claims for MemoryStore {
    async fn begin(&self, claim: &Claim<'_>) -> Result<Begin, StorageError> {
        let new = || Record::new(claim.envelope, Status::Ready, claim.backend, claim.now);
        Ok(self.records().entry(claim.envelope.id.clone()).or_insert_with(new).begin(claim))
    }

    async fn refuse(&self, claim: &Claim<'_>, error: &TaskError) -> Result<Finish, StorageError> {
        let new = || Record::new(claim.envelope, Status::Ready, claim.backend, claim.now);
        Ok(self.records().entry(claim.envelope.id.clone()).or_insert_with(new).refuse(claim, error))
    }

    async fn finish(&self, id: &str, attempt: u32, outcome: &Outcome, now: Timestamp) -> Result<Finish, StorageError> {
        Ok(self.records().get_mut(id).map_or(Finish::Stale, |record| record.finish(attempt, outcome, now)))
    }
}

impl Register for MemoryStore {
    async fn register(&self, envelope: &Envelope, status: Status, backend: &str, now: Timestamp) -> Result<Option<Known>, StorageError> {
        let mut records = self.records();
        if let Some(record) = records.get(&envelope.id).filter(|record| record.stands(envelope.content())) {
            return Ok(Some((record.result.clone(), record.header.clone())));
        }
        records.insert(envelope.id.clone(), Record::new(envelope, status, backend, now));
        Ok(None)
    }

    async fn sent(&self, envelope: &Envelope, failed: Option<&TaskError>) -> Result<(), StorageError> {
        if let Some(record) = self.records().get_mut(&envelope.id) {
            record.sent(envelope, failed);
        }
        Ok(())
    }

    async fn handed_over(&self, claim: &Claim<'_>, outcome: &Outcome) -> Result<Finish, StorageError> {
        let new = || Record::new(claim.envelope, Status::Ready, claim.backend, claim.now);
        Ok(self.records().entry(claim.envelope.id.clone()).or_insert_with(new).at_once(claim, outcome))
    }

    async fn check(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

impl Results for MemoryStore {
    async fn report(&self, id: &str, token: &str, outcome: &Outcome, now: Timestamp) -> Result<Report, StorageError> {
        Ok(self.records().get_mut(id).map_or(Report::Unknown, |record| record.report(token, outcome, now)))
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StorageError> {
        let records = self.records();
        let (since, before) = filter.positions();
        let wanted = |record: &&Record| {
            let position = record.position();
            filter.fits(&record.result) && position >= since && before.as_ref().is_none_or(|before| position < *before)
        };
        let mut found: Vec<&Record> = records.values().filter(wanted).collect();
        found.sort_by_key(|record| std::cmp::Reverse(record.position()));
        let more = found.len() > filter.limit;
        found.truncate(filter.limit);
        let cursor = found.last().filter(|_| more).map(|record| record.position());
        Ok(Page { results: found.into_iter().map(|record| record.result.clone()).collect(), cursor })
    }

    async fn cancel(&self, id: &str, now: Timestamp) -> Result<Change, StorageError> {
        Ok(self.records().get_mut(id).map_or(Change::Unknown, |record| record.cancel(now)))
    }

    async fn reschedule(&self, id: &str, run_after: Timestamp, now: Timestamp) -> Result<Change, StorageError> {
        Ok(self.records().get_mut(id).map_or(Change::Unknown, |record| record.reschedule(run_after, now)))
    }

    async fn reopen(&self, envelope: &Envelope, now: Timestamp) -> Result<Change, StorageError> {
        Ok(self.records().get_mut(&envelope.id).map_or(Change::Unknown, |record| record.reopen(envelope, now)))
    }
}
