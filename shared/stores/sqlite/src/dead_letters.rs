use std::{collections::BTreeMap, time::Duration};

use errand_core::{Buried, DEFAULT_QUEUE, DeadLetter, DeadLetters, Epitaph, StorageError, Timestamp};
use rusqlite::{Connection, Row, params, types::Type};

use crate::SqliteQueue;

/// How many letters are taken at once.
const MOST: u32 = 100;

impl DeadLetters for SqliteQueue {
    async fn take(&self, lease: Duration) -> Result<Vec<Buried>, StorageError> {
        let now = Timestamp::now();
        self.change(move |connection| {
            let mut take = connection.prepare_cached(
                "UPDATE dead_letters SET visible_at = ?2 WHERE id IN (SELECT id FROM dead_letters WHERE visible_at <= ?1 ORDER BY id LIMIT ?3)
                 RETURNING id, body, attributes, buried_at",
            )?;
            take.query_map(params![now.millis(), (now + lease).millis(), MOST], buried)?.collect()
        })
        .await
    }

    async fn release(&self, letters: &[Buried]) -> Result<(), StorageError> {
        self.each(letters, "UPDATE dead_letters SET visible_at = 0 WHERE id = ?1").await
    }

    async fn remove(&self, letters: &[Buried]) -> Result<(), StorageError> {
        self.each(letters, "DELETE FROM dead_letters WHERE id = ?1").await
    }

    async fn count(&self) -> Result<u64, StorageError> {
        let count = |connection: &Connection| connection.query_row("SELECT count(*) FROM dead_letters", [], |row| row.get::<_, u32>(0));
        self.database.read(count).await.map(u64::from)
    }
}

impl SqliteQueue {
    async fn each(&self, letters: &[Buried], sql: &'static str) -> Result<(), StorageError> {
        let ids: Vec<i64> = letters.iter().filter_map(|letter| letter.receipt.parse().ok()).collect();
        self.change(move |connection| {
            let mut change = connection.prepare_cached(sql)?;
            ids.into_iter().try_for_each(|id| change.execute([id]).map(drop))
        })
        .await
    }

    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.database.write(work).await
    }
}

fn buried(row: &Row<'_>) -> rusqlite::Result<Buried> {
    let (id, json): (i64, String) = (row.get(0)?, row.get(2)?);
    let attributes: BTreeMap<String, String> =
        serde_json::from_str(&json).map_err(|error| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, error.into()))?;
    Ok(Buried {
        key: id.to_string(),
        receipt: id.to_string(),
        body: row.get(1)?,
        buried_at: Timestamp::from_millis(row.get(3)?),
        queue: DeadLetter::queue(&attributes).unwrap_or(DEFAULT_QUEUE).to_owned(),
        letter: Epitaph::read(&attributes),
        attributes: DeadLetter::original(attributes),
    })
}
