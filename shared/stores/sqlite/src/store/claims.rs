use errand_core::{Begin, Claim, Claims, Finish, Outcome, Record, Status, StoreError, Timestamp};

use crate::SqliteStore;

impl Claims for SqliteStore {
    async fn begin(&self, claim: &Claim<'_>) -> Result<Begin, StoreError> {
        let envelope = claim.envelope.clone();
        let Claim { now, lease_until, .. } = *claim;
        let (worker, backend, token) = (claim.worker.to_owned(), claim.backend.to_owned(), claim.token.map(ToOwned::to_owned));
        let new = Record::new(&envelope, Status::Ready, &backend, now);
        let told = self
            .change(envelope.id.clone(), Some(new), now, move |record| {
                record.begin(&Claim { envelope: &envelope, now, lease_until, worker: &worker, token: token.as_deref(), backend: &backend })
            })
            .await?;
        told.ok_or_else(|| StoreError("SQLite: a record that was just made is not there".to_owned()))
    }

    async fn finish(&self, id: &str, attempt: u32, outcome: &Outcome, now: Timestamp) -> Result<Finish, StoreError> {
        let outcome = outcome.clone();
        let told = self.change(id.to_owned(), None, now, move |record| record.finish(attempt, &outcome, now)).await?;
        Ok(told.unwrap_or(Finish::Stale))
    }
}
