use errand_core::{Claim, Envelope, Finish, Known, Outcome, Record, Register, Status, StorageError, TaskError, Timestamp};

use super::{load, save};
use crate::SqliteStore;

impl Register for SqliteStore {
    async fn register(&self, envelope: &Envelope, status: Status, backend: &str, now: Timestamp) -> Result<Option<Known>, StorageError> {
        let (new, content) = (Record::new(envelope, status, backend, now), envelope.content());
        self.0
            .write(move |connection| {
                if let Some(known) = load(connection, &new.result.id)?.filter(|known| known.stands(content)) {
                    return Ok(Some((known.result, known.header)));
                }
                save(connection, &new, now)?;
                Ok(None)
            })
            .await
    }

    async fn sent(&self, envelope: &Envelope, failed: Option<&TaskError>) -> Result<(), StorageError> {
        let (sent, failed) = (envelope.clone(), failed.cloned());
        let note = move |record: &mut Record| record.sent(&sent, failed.as_ref());
        self.change(envelope.id.clone(), None, Timestamp::now(), note).await.map(drop)
    }

    async fn handed_over(&self, claim: &Claim<'_>, outcome: &Outcome) -> Result<Finish, StorageError> {
        let outcome = outcome.clone();
        self.claim(claim, move |record, claim| record.at_once(claim, &outcome)).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        self.0.check().await
    }
}
