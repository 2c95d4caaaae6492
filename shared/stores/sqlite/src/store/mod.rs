//! The roles of a store: each call reads a record, changes it and writes it.

mod claims;
mod register;
mod results;

use errand_core::{Known, Lookup, Record, Status, StorageError, TaskResult, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};

use crate::Database;

/// The store in a [`Database`]. Clones share it.
#[derive(Clone)]
pub struct SqliteStore(Database);

impl SqliteStore {
    /// The store of a database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self(database)
    }

    /// Reads a record, or makes one, changes it and writes it, in one step.
    async fn change<T: Send + 'static>(
        &self,
        id: String,
        new: Option<Record>,
        now: Timestamp,
        change: impl FnOnce(&mut Record) -> T + Send + 'static,
    ) -> Result<Option<T>, StorageError> {
        self.0
            .write(move |connection| {
                let Some(mut record) = load(connection, &id)?.or(new) else { return Ok(None) };
                let told = change(&mut record);
                save(connection, &record, now)?;
                Ok(Some(told))
            })
            .await
    }
}

impl Lookup for SqliteStore {
    async fn get(&self, id: &str) -> Result<Option<Known>, StorageError> {
        let id = id.to_owned();
        let record = self.0.read(move |connection| load(connection, &id)).await?;
        Ok(record.map(|record| (record.result, record.header)))
    }
}

/// Ends every claim.
pub(crate) fn release_all(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let mut query = connection.prepare("SELECT record FROM tasks WHERE status = ?1")?;
    let running = query.query_map([Status::Running.as_str()], record)?.collect::<rusqlite::Result<Vec<_>>>()?;
    for mut record in running {
        record.release(now);
        save(connection, &record, now)?;
    }
    Ok(())
}

/// Forgets what ended long ago.
pub(crate) fn forget_old(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let before = now.millis() - TaskResult::RETENTION_SECONDS * 1000;
    for status in Status::ALL.into_iter().filter(|status| status.ended()) {
        connection.execute("DELETE FROM tasks WHERE status = ?1 AND changed_at < ?2", params![status.as_str(), before])?;
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
