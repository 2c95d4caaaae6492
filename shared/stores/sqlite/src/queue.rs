use std::{collections::BTreeMap, time::Duration};

use errand_core::{
    BODY_LIMIT, DeadLetter, Envelope, ForeignMessage, Forward, Message, PublishError, Published, Queue, QueueError, StoreError, Timestamp,
    Transport,
};
use rusqlite::{Row, Transaction, params};

use crate::Database;

/// The queue in a [`Database`]: messages with visibility, receive count, delay and dead letters, as SQS has them. Clones share it.
#[derive(Clone)]
pub struct SqliteQueue {
    pub(crate) database: Database,
    encode: fn(&Envelope) -> String,
}

impl SqliteQueue {
    /// The queue of a database; `encode` makes a message's body.
    #[must_use]
    pub fn new(database: Database, encode: fn(&Envelope) -> String) -> Self {
        Self { database, encode }
    }

    /// Takes up to `most` messages that are visible, the one that waits longest first, and hides them for `visibility`.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub async fn receive(&self, most: u32, visibility: Duration) -> Result<Vec<Message>, StoreError> {
        let now = Timestamp::now();
        let received: Vec<Message> = self
            .database
            .call(move |connection| {
                let mut take = connection.prepare_cached(
                    "UPDATE messages SET visible_at = ?2, receive_count = receive_count + 1, in_flight = 1
                     WHERE id IN (SELECT id FROM messages WHERE visible_at <= ?1 ORDER BY visible_at, id LIMIT ?3)
                     RETURNING id, body, receive_count",
                )?;
                take.query_map(params![now.millis(), (now + visibility).millis(), most], message)?.collect()
            })
            .await?;
        if received.len() == most as usize {
            // There may be more, for another worker.
            self.database.arrivals.notify_one();
        }
        Ok(received)
    }

    /// Forgets messages, unless they have been received again since.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn acknowledge(&self, messages: &[Message]) -> Result<(), StoreError> {
        let receipts: Vec<(i64, u32)> = messages.iter().map(receipt).collect();
        self.database
            .call(move |connection| {
                let transaction = connection.transaction()?;
                for (id, count) in receipts {
                    transaction.execute("DELETE FROM messages WHERE id = ?1 AND receive_count = ?2", params![id, count])?;
                }
                transaction.commit()
            })
            .await
    }

    /// When the next message is visible; `None` when there is none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn next_visible_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let next: Option<i64> =
            self.database.call(|connection| connection.query_row("SELECT min(visible_at) FROM messages", [], |row| row.get(0))).await?;
        Ok(next.map(Timestamp::from_millis))
    }

    /// Waits until there may be more to receive, or to wait for.
    pub async fn changed(&self) {
        self.database.arrivals.notified().await;
    }
}

impl Queue for SqliteQueue {
    async fn hide(&self, message: &Message, duration: Duration) -> Result<(), QueueError> {
        let (id, count) = receipt(message);
        let until = (Timestamp::now() + duration).millis();
        let hidden = self
            .database
            .call(move |connection| {
                connection.execute(
                    "UPDATE messages SET visible_at = ?3, in_flight = 0 WHERE id = ?1 AND receive_count = ?2",
                    params![id, count, until],
                )
            })
            .await
            .map_err(|error| QueueError(error.0))?;
        self.database.arrivals.notify_one();
        if hidden == 1 { Ok(()) } else { Err(QueueError("the message is gone, or was received again".to_owned())) }
    }

    async fn bury(&self, message: &Message, letter: &DeadLetter) -> Result<(), QueueError> {
        let attributes: BTreeMap<&str, String> = letter.attributes(message).into_iter().collect();
        let attributes = serde_json::to_string(&attributes).map_err(|_| QueueError("a reason cannot be written as JSON".to_owned()))?;
        let (body, now) = (message.body.clone(), Timestamp::now().millis());
        self.database
            .call(move |connection| {
                connection
                    .execute("INSERT INTO dead_letters (body, attributes, buried_at) VALUES (?1, ?2, ?3)", params![body, attributes, now])
            })
            .await
            .map(drop)
            .map_err(|error| QueueError(error.0))
    }
}

impl Transport for SqliteQueue {
    const NAME: &'static str = "local";
    const MAX_DELAY: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        let now = Timestamp::now();
        let rows = envelopes.iter().map(|envelope| ((self.encode)(envelope), envelope.run_after.unwrap_or(now).max(now).millis()));
        // As on SQS: what is larger would be refused when it is received.
        let rows: Vec<Option<(String, i64)>> = rows.map(|row| Some(row).filter(|(body, _)| body.len() <= BODY_LIMIT)).collect();
        let fits: Vec<bool> = rows.iter().map(Option::is_some).collect();
        let published: Result<Vec<i64>, StoreError> = self
            .database
            .call(move |connection| {
                let transaction = connection.transaction()?;
                let mut ids = Vec::new();
                for (body, visible_at) in rows.into_iter().flatten() {
                    transaction.execute("INSERT INTO messages (body, visible_at) VALUES (?1, ?2)", params![body, visible_at])?;
                    ids.push(transaction.last_insert_rowid());
                }
                transaction.commit()?;
                Ok(ids)
            })
            .await;
        self.database.arrivals.notify_one();
        let mut ids = published.as_ref().map(|ids| ids.iter()).map_err(|error| PublishError::Unavailable(error.0.clone()));
        let answer = |fits: bool| match &mut ids {
            _ if !fits => Err(PublishError::TooLarge { limit: BODY_LIMIT }),
            Ok(ids) => Ok(Published { message_id: ids.next().map(ToString::to_string) }),
            Err(error) => Err(error.clone()),
        };
        fits.into_iter().map(answer).collect()
    }

    async fn check(&self) -> Result<(), PublishError> {
        self.database.check().await.map_err(|error| PublishError::Unavailable(error.0))
    }
}

impl Forward for SqliteQueue {
    /// There is one queue here, whatever it is called elsewhere.
    async fn forward(&self, message: &ForeignMessage) -> Result<(), PublishError> {
        let (body, now) = (message.body.clone(), Timestamp::now().millis());
        let insert = move |connection: &mut rusqlite::Connection| {
            connection.execute("INSERT INTO messages (body, visible_at) VALUES (?1, ?2)", params![body, now])
        };
        self.database.call(insert).await.map_err(|error| PublishError::Unavailable(error.0))?;
        self.database.arrivals.notify_one();
        Ok(())
    }
}

/// Shows every message that a process which died had received.
pub(crate) fn release_all(transaction: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
    transaction.execute("UPDATE messages SET visible_at = ?1, in_flight = 0 WHERE in_flight = 1", [now.millis()]).map(drop)
}

/// A message's id, and the count that its receipt was given at.
fn receipt(message: &Message) -> (i64, u32) {
    (message.receipt.parse().unwrap_or(-1), message.receive_count)
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let id: i64 = row.get(0)?;
    Ok(Message {
        id: id.to_string(),
        receipt: id.to_string(),
        body: row.get(1)?,
        receive_count: row.get(2)?,
        sent_at: None,
        attributes: BTreeMap::new(),
        queue: "default".to_owned(),
        lane: None,
    })
}
