use std::{path::Path, sync::Arc};

use errand_core::{StoreError, Timestamp};
use rusqlite::Connection;
use tokio::sync::Notify;

use crate::{queue, store};

/// The tables, by version: each entry takes a file from one version to the next.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema.sql"),
    "ALTER TABLE dead_letters ADD COLUMN visible_at INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE notes (
        kind TEXT NOT NULL, -- errand_core::NoteKind
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        until INTEGER, -- milliseconds since 1970
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID",
];

/// One SQLite file. All access goes through one connection on a thread of its own, so that there is one writer. Clones share it.
#[derive(Clone)]
pub struct Database {
    connection: tokio_rusqlite::Connection,
    /// Told when there may be more to receive.
    pub(crate) arrivals: Arc<Notify>,
}

impl Database {
    /// Opens a file, and creates or updates what is in it.
    ///
    /// # Errors
    /// The file cannot be opened, is no database, or is of a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = tokio_rusqlite::Connection::open(path).await.map_err(|error| failed(&error))?;
        let database = Self { connection, arrivals: Arc::default() };
        let version = database.call(version).await?;
        let missing = MIGRATIONS.get(version..).ok_or_else(|| StoreError("SQLite: the file is of a newer version of Errand".to_owned()))?;
        database.call(|connection| prepare(connection, missing)).await?;
        Ok(database)
    }

    /// Runs `work` on the connection.
    ///
    /// # Errors
    /// What `work` says.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.connection.call(work).await.map_err(|error| match error {
            tokio_rusqlite::Error::Error(error) => failed(&error),
            error => StoreError(format!("SQLite: {error}")),
        })
    }

    /// Takes up what a process that died left: its messages can be received, and its claims hold no more. Only for a process that knows to be the
    /// only one on the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn release_all(&self) -> Result<(), StoreError> {
        let now = Timestamp::now();
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            queue::release_all(&transaction, now)?;
            store::release_all(&transaction, now)?;
            transaction.commit()
        })
        .await?;
        self.arrivals.notify_one();
        Ok(())
    }
}

fn version(connection: &mut Connection) -> rusqlite::Result<usize> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(version as usize)
}

fn prepare(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    let transaction = connection.transaction()?;
    for migration in migrations {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len().to_string())?;
    store::forget_old(&transaction, Timestamp::now())?;
    transaction.commit()
}

fn failed(error: &rusqlite::Error) -> StoreError {
    StoreError(format!("SQLite: {error}"))
}
