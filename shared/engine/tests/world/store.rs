use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use errand_core::{
    Begin, Change, Claim, Claims, Envelope, Filter, Finish, Known, Lookup, Objects, Outcome, Page, Register, Report, Results, Status,
    StorageError, TaskError, Timestamp,
};
use errand_store_memory::MemoryStore;

/// A store that can be taken down.
#[derive(Clone, Default)]
pub struct Faulty {
    pub inner: MemoryStore,
    pub begin_down: Arc<AtomicBool>,
    pub finish_down: Arc<AtomicBool>,
    pub get_down: Arc<AtomicBool>,
    /// How many claims and outcomes were written.
    pub writes: Arc<AtomicU32>,
    /// Ids that cannot be claimed.
    pub unclaimable: Arc<Mutex<BTreeSet<String>>>,
    /// Ids whose attempts' ends cannot be recorded.
    pub unrecordable: Arc<Mutex<BTreeSet<String>>>,
}

impl Faulty {
    fn up(down: &AtomicBool) -> Result<(), StorageError> {
        if down.load(Ordering::SeqCst) { Err(StorageError("down".to_owned())) } else { Ok(()) }
    }

    pub fn spares(faulty: &Mutex<BTreeSet<String>>, id: &str) -> Result<(), StorageError> {
        if faulty.lock().unwrap().contains(id) { Err(StorageError("throttled".to_owned())) } else { Ok(()) }
    }
}

impl Lookup for Faulty {
    async fn get(&self, id: &str) -> Result<Option<Known>, StorageError> {
        Self::up(&self.get_down)?;
        self.inner.get(id).await
    }
}

impl Claims for Faulty {
    async fn begin(&self, claim: &Claim<'_>) -> Result<Begin, StorageError> {
        Self::up(&self.begin_down)?;
        Self::spares(&self.unclaimable, &claim.envelope.id)?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.inner.begin(claim).await
    }

    async fn refuse(&self, claim: &Claim<'_>, error: &TaskError) -> Result<Finish, StorageError> {
        Self::up(&self.begin_down)?;
        Self::up(&self.finish_down)?;
        Self::spares(&self.unclaimable, &claim.envelope.id)?;
        Self::spares(&self.unrecordable, &claim.envelope.id)?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.inner.refuse(claim, error).await
    }

    async fn finish(&self, id: &str, attempt: u32, outcome: &Outcome, now: Timestamp) -> Result<Finish, StorageError> {
        Self::up(&self.finish_down)?;
        Self::spares(&self.unrecordable, id)?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.inner.finish(id, attempt, outcome, now).await
    }
}

impl Register for Faulty {
    async fn register(&self, envelope: &Envelope, status: Status, backend: &str, now: Timestamp) -> Result<Option<Known>, StorageError> {
        self.inner.register(envelope, status, backend, now).await
    }

    async fn sent(&self, envelope: &Envelope, failed: Option<&TaskError>) -> Result<(), StorageError> {
        self.inner.sent(envelope, failed).await
    }

    async fn handed_over(&self, claim: &Claim<'_>, outcome: &Outcome) -> Result<Finish, StorageError> {
        self.inner.handed_over(claim, outcome).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        self.inner.check().await
    }
}

impl Results for Faulty {
    async fn report(&self, id: &str, token: &str, outcome: &Outcome, now: Timestamp) -> Result<Report, StorageError> {
        self.inner.report(id, token, outcome, now).await
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StorageError> {
        self.inner.list(filter).await
    }

    async fn cancel(&self, id: &str, now: Timestamp) -> Result<Change, StorageError> {
        self.inner.cancel(id, now).await
    }

    async fn reschedule(&self, id: &str, run_after: Timestamp, now: Timestamp) -> Result<Change, StorageError> {
        self.inner.reschedule(id, run_after, now).await
    }

    async fn reopen(&self, envelope: &Envelope, now: Timestamp) -> Result<Change, StorageError> {
        self.inner.reopen(envelope, now).await
    }
}

/// Keeps objects in memory.
#[derive(Clone, Default)]
pub struct Shelf(pub Arc<Mutex<BTreeMap<String, String>>>);

impl Objects for Shelf {
    async fn put(&self, key: &str, content: String) -> Result<(), StorageError> {
        self.0.lock().unwrap().insert(key.to_owned(), content);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<String>, StorageError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.0.lock().unwrap().remove(key);
        Ok(())
    }
}
