use errand_core::{StoreError, Timestamp};
use errand_store_sqlite::Database;
use rusqlite::{OptionalExtension, params};

use super::Mail;

/// The caught mails, in the server's database.
#[derive(Clone)]
pub(crate) struct Inbox(Database);

/// A mail with what the inbox adds to it.
pub(crate) struct Kept {
    pub(super) id: i64,
    pub(super) received_at: Timestamp,
    pub(super) mail: Mail,
}

/// The tables, by version, as [`Database::upgrade`] takes them. The first may be there from before there were versions.
const MIGRATIONS: [&str; 1] = ["CREATE TABLE IF NOT EXISTS mail (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    received_at INTEGER NOT NULL,
    mail TEXT NOT NULL
) STRICT"];

impl Inbox {
    /// The inbox of a database.
    pub(crate) async fn open(database: Database) -> Result<Self, StoreError> {
        database.upgrade("mail", &MIGRATIONS).await?;
        Ok(Self(database))
    }

    /// Keeps a mail once for each key; answers its id.
    pub(super) async fn keep(&self, key: &str, mail: Mail) -> Result<i64, StoreError> {
        let json = serde_json::to_string(&mail).map_err(|_| StoreError("a mail cannot be written as JSON".to_owned()))?;
        let (key, now) = (key.to_owned(), Timestamp::now().millis());
        self.0
            .call(move |connection| {
                connection.execute(
                    "INSERT INTO mail (key, received_at, mail) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO NOTHING",
                    params![key, now, json],
                )?;
                connection.query_row("SELECT id FROM mail WHERE key = ?1", [key], |row| row.get(0))
            })
            .await
    }

    /// A page of mails, the newest first: those before the mail `before`, if that is given.
    pub(super) async fn list(&self, before: Option<i64>, limit: u32) -> Result<Vec<Kept>, StoreError> {
        self.0
            .call(move |connection| {
                let mut query =
                    connection.prepare_cached("SELECT id, received_at, mail FROM mail WHERE id < ?1 ORDER BY id DESC LIMIT ?2")?;
                query.query_map(params![before.unwrap_or(i64::MAX), limit], kept)?.collect()
            })
            .await
    }

    /// One mail.
    pub(super) async fn get(&self, id: i64) -> Result<Option<Kept>, StoreError> {
        self.0
            .call(move |connection| connection.query_row("SELECT id, received_at, mail FROM mail WHERE id = ?1", [id], kept).optional())
            .await
    }
}

fn kept(row: &rusqlite::Row<'_>) -> rusqlite::Result<Kept> {
    let json: String = row.get(2)?;
    let mail = serde_json::from_str(&json)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, error.into()))?;
    Ok(Kept { id: row.get(0)?, received_at: Timestamp::from_millis(row.get(1)?), mail })
}
