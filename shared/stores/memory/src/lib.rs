//! A store in memory, for tests: it forgets everything with its process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use errand_core::{
    Begin, Cancel, Claim, Envelope, Filter, Finish, Outcome, Page, Status, Store, StoreError, TaskError, TaskResult, Timestamp,
};

/// A store in memory. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<HashMap<String, Entry>>>);

struct Entry {
    result: TaskResult,
    lease_until: Timestamp,
    done: Vec<usize>,
}

impl Entry {
    fn new(envelope: &Envelope, status: Status, backend: &str, now: Timestamp) -> Self {
        Self { result: TaskResult::new(envelope, status, backend, now), lease_until: now, done: Vec::new() }
    }

    /// Whether an attempt has it and may still be heard of.
    fn held(&self, now: Timestamp) -> bool {
        self.result.status == Status::Running && self.lease_until > now
    }

    fn end(&mut self, status: Status, now: Timestamp) {
        self.result.status = status;
        self.result.finished_at = Some(now);
    }

    fn fail(&mut self, error: &TaskError) {
        push_last(&mut self.result.errors, error.clone());
    }

    /// Sorts the newest last; ids tell records of the same millisecond apart.
    fn position(&self) -> String {
        format!("{}#{}", self.result.enqueued_at, self.result.id)
    }
}

fn push_last<T>(list: &mut Vec<T>, value: T) {
    if list.len() == TaskResult::ERRORS_LIMIT {
        list.remove(0);
    }
    list.push(value);
}

impl MemoryStore {
    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    async fn register(&self, envelope: &Envelope, status: Status, backend: &str, now: Timestamp) -> Result<(), StoreError> {
        self.entries().entry(envelope.id.clone()).or_insert_with(|| Entry::new(envelope, status, backend, now));
        Ok(())
    }

    async fn begin(&self, claim: &Claim<'_>) -> Result<Begin, StoreError> {
        let mut entries = self.entries();
        let entry =
            entries.entry(claim.envelope.id.clone()).or_insert_with(|| Entry::new(claim.envelope, Status::Ready, claim.backend, claim.now));
        if entry.result.status.ended() {
            return Ok(Begin::Ended(entry.result.status));
        }
        if entry.held(claim.now) {
            return Ok(Begin::Held { until: entry.lease_until });
        }
        entry.lease_until = claim.lease_until;
        let result = &mut entry.result;
        result.status = Status::Running;
        result.attempts += 1;
        result.started_at.get_or_insert(claim.now);
        result.last_attempted_at = Some(claim.now);
        push_last(&mut result.worker_ids, claim.worker.to_owned());
        Ok(Begin::Claimed { attempt: result.attempts, done: entry.done.clone() })
    }

    async fn finish(&self, id: &str, attempt: u32, outcome: &Outcome, now: Timestamp) -> Result<Finish, StoreError> {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(id).filter(|entry| entry.result.status == Status::Running && entry.result.attempts == attempt)
        else {
            return Ok(Finish::Stale);
        };
        match outcome {
            Outcome::Succeeded(value) => {
                entry.result.return_value = value.clone();
                entry.end(Status::Successful, now);
            }
            Outcome::Retry { error, done } => {
                entry.fail(error);
                entry.done.clone_from(done);
                entry.result.status = Status::Ready;
            }
            Outcome::Failed(error) => {
                entry.fail(error);
                entry.end(Status::Failed, now);
            }
            Outcome::Expired => entry.end(Status::Expired, now),
        }
        Ok(Finish::Recorded)
    }

    async fn get(&self, id: &str) -> Result<Option<TaskResult>, StoreError> {
        Ok(self.entries().get(id).map(|entry| entry.result.clone()))
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StoreError> {
        let entries = self.entries();
        let wanted = |entry: &&Entry| {
            filter.status.is_none_or(|status| entry.result.status == status)
                && filter.task.as_ref().is_none_or(|task| entry.result.task == *task)
                && filter.cursor.as_ref().is_none_or(|cursor| entry.position() < *cursor)
        };
        let mut found: Vec<&Entry> = entries.values().filter(wanted).collect();
        found.sort_by_key(|entry| std::cmp::Reverse(entry.position()));
        let more = found.len() > filter.limit;
        found.truncate(filter.limit);
        let cursor = found.last().filter(|_| more).map(|entry| entry.position());
        Ok(Page { results: found.into_iter().map(|entry| entry.result.clone()).collect(), cursor })
    }

    async fn cancel(&self, id: &str, now: Timestamp) -> Result<Cancel, StoreError> {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(id) else { return Ok(Cancel::Unknown) };
        if entry.result.status.ended() || entry.held(now) {
            return Ok(Cancel::TooLate(entry.result.clone()));
        }
        entry.end(Status::Cancelled, now);
        Ok(Cancel::Cancelled(entry.result.clone()))
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
