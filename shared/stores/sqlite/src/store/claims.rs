use errand_core::{Begin, Claim, Claims, Finish, Outcome, Record, Status, StorageError, TaskError, Timestamp};

use crate::SqliteStore;

impl SqliteStore {
    /// Changes the record of a claim's id, which may begin by it.
    pub(super) async fn claim<T: Send + 'static>(
        &self,
        claim: &Claim<'_>,
        change: impl FnOnce(&mut Record, &Claim<'_>) -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        let envelope = claim.envelope.clone();
        let Claim { now, lease_until, .. } = *claim;
        let (worker, backend, token) = (claim.worker.to_owned(), claim.backend.to_owned(), claim.token.map(ToOwned::to_owned));
        let new = Record::new(&envelope, Status::Ready, &backend, now);
        let told = self.change(envelope.id.clone(), Some(new), now, move |record| {
            let claim = Claim { envelope: &envelope, now, lease_until, worker: &worker, token: token.as_deref(), backend: &backend };
            change(record, &claim)
        });
        told.await?.ok_or_else(|| StorageError("SQLite: a record that was just made is not there".to_owned()))
    }
}

impl Claims for SqliteStore {
    async fn begin(&self, claim: &Claim<'_>) -> Result<Begin, StorageError> {
        self.claim(claim, Record::begin).await
    }

    async fn refuse(&self, claim: &Claim<'_>, error: &TaskError) -> Result<Finish, StorageError> {
        let error = error.clone();
        self.claim(claim, move |record, claim| record.refuse(claim, &error)).await
    }

    async fn finish(&self, id: &str, attempt: u32, outcome: &Outcome, now: Timestamp) -> Result<Finish, StorageError> {
        let outcome = outcome.clone();
        let told = self.change(id.to_owned(), None, now, move |record| record.finish(attempt, &outcome, now)).await?;
        Ok(told.unwrap_or(Finish::Stale))
    }
}
