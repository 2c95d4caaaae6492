use errand_core::{
    Begin, Change, Claim, Envelope, Filter, Finish, Header, Outcome, Page, Record, Report, Status, Store, StoreError, TaskError,
    TaskResult, Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, types::Type};

use crate::Database;

/// What is known of an id.
type Known = (TaskResult, Header);

/// The store in a [`Database`]. Clones share it.
#[derive(Clone)]
pub struct SqliteStore(Database);

impl SqliteStore {
    /// The store of a database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self(database)
    }

    /// Reads a record, or makes one, changes it and writes it, in one transaction.
    async fn change<T: Send + 'static>(
        &self,
        id: String,
        new: Option<Record>,
        now: Timestamp,
        change: impl FnOnce(&mut Record) -> T + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        self.0
            .call(move |connection| {
                let transaction = connection.transaction()?;
                let Some(mut record) = load(&transaction, &id)?.or(new) else { return Ok(None) };
                let told = change(&mut record);
                save(&transaction, &record, now)?;
                transaction.commit()?;
                Ok(Some(told))
            })
            .await
    }
}

impl Store for SqliteStore {
    async fn register(&self, envelope: &Envelope, status: Status, backend: &str, now: Timestamp) -> Result<Option<Known>, StoreError> {
        let (new, content) = (Record::new(envelope, status, backend, now), envelope.content());
        self.0
            .call(move |connection| {
                let transaction = connection.transaction()?;
                if let Some(known) = load(&transaction, &new.result.id)?.filter(|known| known.stands(content)) {
                    return Ok(Some((known.result, known.header)));
                }
                save(&transaction, &new, now)?;
                transaction.commit()?;
                Ok(None)
            })
            .await
    }

    async fn sent(&self, envelope: &Envelope, failed: Option<&TaskError>) -> Result<(), StoreError> {
        let (sent, failed) = (envelope.clone(), failed.cloned());
        let note = move |record: &mut Record| record.sent(&sent, failed.as_ref());
        self.change(envelope.id.clone(), None, Timestamp::now(), note).await.map(drop)
    }

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

    async fn report(&self, id: &str, token: &str, outcome: &Outcome, now: Timestamp) -> Result<Report, StoreError> {
        let (token, outcome) = (token.to_owned(), outcome.clone());
        let told = self.change(id.to_owned(), None, now, move |record| record.report(&token, &outcome, now)).await?;
        Ok(told.unwrap_or(Report::Unknown))
    }

    async fn get(&self, id: &str) -> Result<Option<Known>, StoreError> {
        let id = id.to_owned();
        let record = self.0.call(move |connection| load(connection, &id)).await?;
        Ok(record.map(|record| (record.result, record.header)))
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StoreError> {
        let (since, before) = filter.positions();
        let Filter { status, task, queue, user, notification_id, limit, .. } = filter.clone();
        let one_more = u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1);
        let mut results: Vec<Record> = self
            .0
            .call(move |connection| {
                let mut query = connection.prepare_cached(
                    "SELECT record FROM tasks
                     WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR task = ?2) AND position >= ?3 AND (?4 IS NULL OR position < ?4)
                       AND (?5 IS NULL OR record ->> '$.result.queue' = ?5)
                       AND (?6 IS NULL OR record ->> '$.result.user' = ?6)
                       AND (?7 IS NULL OR record ->> '$.result.notification_id' = ?7)
                     ORDER BY position DESC LIMIT ?8",
                )?;
                let wanted = params![status.map(Status::as_str), task, since, before, queue, user, notification_id, one_more];
                query.query_map(wanted, record)?.collect()
            })
            .await?;
        let more = results.len() > limit;
        results.truncate(limit);
        let cursor = results.last().filter(|_| more).map(Record::position);
        Ok(Page { results: results.into_iter().map(|record| record.result).collect(), cursor })
    }

    async fn cancel(&self, id: &str, now: Timestamp) -> Result<Change, StoreError> {
        let told = self.change(id.to_owned(), None, now, move |record| record.cancel(now)).await?;
        Ok(told.unwrap_or(Change::Unknown))
    }

    async fn reschedule(&self, id: &str, run_after: Timestamp, now: Timestamp) -> Result<Change, StoreError> {
        let told = self.change(id.to_owned(), None, now, move |record| record.reschedule(run_after, now)).await?;
        Ok(told.unwrap_or(Change::Unknown))
    }

    async fn reopen(&self, envelope: &Envelope, now: Timestamp) -> Result<Change, StoreError> {
        let new = envelope.clone();
        let told = self.change(envelope.id.clone(), None, now, move |record| record.reopen(&new, now)).await?;
        Ok(told.unwrap_or(Change::Unknown))
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.0.check().await
    }
}

/// Ends every claim.
pub(crate) fn release_all(transaction: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let mut query = transaction.prepare("SELECT record FROM tasks WHERE status = ?1")?;
    let running = query.query_map([Status::Running.as_str()], record)?.collect::<rusqlite::Result<Vec<_>>>()?;
    for mut record in running {
        record.release(now);
        save(transaction, &record, now)?;
    }
    Ok(())
}

/// Forgets what ended long ago.
pub(crate) fn forget_old(transaction: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let before = now.millis() - TaskResult::RETENTION_SECONDS * 1000;
    for status in Status::ALL.into_iter().filter(|status| status.ended()) {
        transaction.execute("DELETE FROM tasks WHERE status = ?1 AND changed_at < ?2", params![status.as_str(), before])?;
    }
    Ok(())
}

fn load(connection: &Connection, id: &str) -> rusqlite::Result<Option<Record>> {
    connection.prepare_cached("SELECT record FROM tasks WHERE id = ?1")?.query_row([id], record).optional()
}

fn save(connection: &Connection, record: &Record, now: Timestamp) -> rusqlite::Result<()> {
    let json = serde_json::to_string(record).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let mut write = connection.prepare_cached(
        "INSERT INTO tasks (id, position, task, status, changed_at, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET position = excluded.position, task = excluded.task, status = excluded.status, changed_at = excluded.changed_at, record = excluded.record",
    )?;
    let result = &record.result;
    write.execute(params![result.id, record.position(), result.task, result.status.as_str(), now.millis(), json]).map(drop)
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let json: String = row.get(0)?;
    serde_json::from_str(&json).map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))
}
