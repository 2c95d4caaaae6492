use std::path::Path;

use errand_core::{StoreError, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{queue, store};

/// The tables, by version: each entry takes a file from one version to the next.
const MIGRATIONS: [&str; 7] = [
    include_str!("schema.sql"),
    "ALTER TABLE dead_letters ADD COLUMN visible_at INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE notes (
        kind TEXT NOT NULL, -- errand_core::NoteKind
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        until INTEGER, -- milliseconds since 1970
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE written (at INTEGER NOT NULL) STRICT; -- one row: when it was last tried whether the file can be written, in milliseconds since 1970
    INSERT INTO written VALUES (0);
    CREATE TABLE parts (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID; -- of the tables that Database::upgrade keeps",
    "ALTER TABLE messages ADD COLUMN queue TEXT NOT NULL DEFAULT 'default';
    ALTER TABLE messages ADD COLUMN lane TEXT; -- on a first-in-first-out queue: all but the first of a lane are never visible
    DROP INDEX messages_by_visible_at;
    CREATE INDEX messages_by_visible_at ON messages (queue, visible_at, id);
    CREATE INDEX messages_by_lane ON messages (queue, lane, id) WHERE lane IS NOT NULL",
    "ALTER TABLE messages ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}'; -- JSON: MessageAttribute by name
    ALTER TABLE messages ADD COLUMN message_id TEXT; -- what an outside client knows it by
    ALTER TABLE messages ADD COLUMN deduplication_id TEXT;
    ALTER TABLE messages ADD COLUMN sent_at INTEGER NOT NULL DEFAULT 0; -- milliseconds since 1970
    ALTER TABLE messages ADD COLUMN first_received_at INTEGER; -- milliseconds since 1970
    CREATE TABLE deduplications (
        queue TEXT NOT NULL,
        lane TEXT NOT NULL,
        id TEXT NOT NULL,
        message_id TEXT NOT NULL,
        place INTEGER NOT NULL, -- of the message of that id
        until INTEGER NOT NULL, -- milliseconds since 1970
        PRIMARY KEY (queue, lane, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX deduplications_by_until ON deduplications (until)",
    include_str!("conditions.sql"),
];

/// One SQLite file. All access goes through one connection on a thread of its own, so that there is one writer. Clones share it.
#[derive(Clone)]
pub struct Database {
    connection: tokio_rusqlite::Connection,
}

impl Database {
    /// Opens a file, and creates or updates what is in it.
    ///
    /// # Errors
    /// The file cannot be opened, is no database, or is of a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = tokio_rusqlite::Connection::open(path).await.map_err(|error| failed(&error))?;
        let database = Self { connection };
        let version = database.call(version).await?;
        let missing = MIGRATIONS.get(version..).ok_or_else(newer)?;
        database.call(|connection| prepare(connection, missing)).await?;
        Ok(database)
    }

    /// Creates or updates the tables that a `part` of another crate keeps in this file. As with this crate's own, each of `migrations` takes them from one
    /// version to the next, and none that is released is changed.
    ///
    /// # Errors
    /// The file cannot be written, or the part's tables are of a newer version.
    pub async fn upgrade(&self, part: &'static str, migrations: &'static [&'static str]) -> Result<(), StoreError> {
        let upgrade = move |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            let query = "SELECT version FROM parts WHERE name = ?1";
            let version: Option<u32> = transaction.query_row(query, [part], |row| row.get(0)).optional()?;
            let Some(missing) = migrations.get(version.unwrap_or(0) as usize..) else { return Ok(false) };
            for migration in missing {
                transaction.execute_batch(migration)?;
            }
            transaction
                .execute("INSERT OR REPLACE INTO parts (name, version) VALUES (?1, ?2)", params![part, migrations.len().to_string()])?;
            transaction.commit()?;
            Ok(true)
        };
        if self.call(upgrade).await? { Ok(()) } else { Err(newer()) }
    }

    /// Whether the file can be written, as is seen by writing; not more than once a second, since anyone may ask.
    ///
    /// # Errors
    /// Why not, such as a full disk.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let now = Timestamp::now().millis();
        let write = "UPDATE written SET at = ?1 WHERE at NOT BETWEEN ?1 - 1000 AND ?1";
        self.call(move |connection| connection.execute(write, [now])).await.map(drop)
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
        .await
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

fn newer() -> StoreError {
    StoreError("SQLite: the file is of a newer version of Errand".to_owned())
}

fn failed(error: &rusqlite::Error) -> StoreError {
    StoreError(format!("SQLite: {error}"))
}
