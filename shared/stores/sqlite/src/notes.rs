use errand_core::{Note, NoteKind, Notes, StorageError, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::Database;

/// The notes in a [`Database`]. Clones share it.
#[derive(Clone)]
pub struct SqliteNotes(Database);

impl SqliteNotes {
    /// The notes of a database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self(database)
    }
}

impl Notes for SqliteNotes {
    async fn get(&self, kind: NoteKind, name: &str, now: Timestamp) -> Result<Option<String>, StorageError> {
        let name = name.to_owned();
        self.0.read(move |connection| load(connection, kind, &name, now)).await
    }

    async fn create(&self, note: &Note, now: Timestamp) -> Result<Option<String>, StorageError> {
        let note = note.clone();
        self.0
            .write(move |connection| {
                let known = load(connection, note.kind, &note.name, now)?;
                if known.is_none() {
                    save(connection, &note)?;
                }
                // What nobody reads any more goes when there is more to keep.
                connection.prepare_cached("DELETE FROM notes WHERE until <= ?1")?.execute([now.millis()])?;
                Ok(known)
            })
            .await
    }

    async fn put(&self, note: &Note) -> Result<(), StorageError> {
        let note = note.clone();
        self.0.write(move |connection| save(connection, &note)).await
    }

    async fn delete(&self, kind: NoteKind, name: &str) -> Result<bool, StorageError> {
        let name = name.to_owned();
        let delete = move |connection: &Connection| {
            connection.prepare_cached("DELETE FROM notes WHERE kind = ?1 AND name = ?2")?.execute(params![kind.as_str(), name])
        };
        Ok(self.0.write(delete).await? == 1)
    }

    async fn list(&self, kind: NoteKind, cursor: Option<&str>) -> Result<Vec<(String, String)>, StorageError> {
        let after = cursor.unwrap_or_default().to_owned();
        self.0
            .read(move |connection| {
                let sql = "SELECT name, text FROM notes WHERE kind = ?1 AND name > ?2 AND until IS NULL ORDER BY name LIMIT 100";
                let mut query = connection.prepare_cached(sql)?;
                query.query_map(params![kind.as_str(), after], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .await
    }

    async fn count(&self, kind: NoteKind, name: &str, until: Timestamp) -> Result<u64, StorageError> {
        let name = name.to_owned();
        let sql = "INSERT INTO notes (kind, name, text, until) VALUES (?1, ?2, '1', ?3)
                   ON CONFLICT (kind, name) DO UPDATE SET text = text + 1 RETURNING CAST(text AS INTEGER)";
        let count = move |connection: &Connection| {
            connection.prepare_cached(sql)?.query_row(params![kind.as_str(), name, until.millis()], |row| row.get::<_, u32>(0))
        };
        Ok(self.0.write(count).await?.into())
    }
}

fn load(connection: &Connection, kind: NoteKind, name: &str, now: Timestamp) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT text FROM notes WHERE kind = ?1 AND name = ?2 AND (until IS NULL OR until > ?3)")?
        .query_row(params![kind.as_str(), name, now.millis()], |row| row.get(0))
        .optional()
}

fn save(connection: &Connection, note: &Note) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO notes (kind, name, text, until) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![note.kind.as_str(), note.name, note.text, note.until.map(Timestamp::millis)])
        .map(drop)
}
