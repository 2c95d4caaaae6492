//! What outside clients do with the queues, as SQS has it: they send with attributes, receive, and forget or hide what they received by its receipt.

use std::{collections::BTreeMap, time::Duration};

use errand_core::{StorageError, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    SqliteQueue,
    queue::{self, Draft, NEVER, lane},
};

/// How long a first-in-first-out queue knows a message again by its deduplication id.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-messagededuplicationid-property.html>
const DEDUPLICATION: Duration = Duration::from_secs(5 * 60);

/// One of the facts that a sender says beside a body, as SQS has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageAttribute {
    /// `String`, `Number` or `Binary`, and what the sender adds after a dot.
    #[serde(default)]
    pub data_type: String,
    /// The value of a text or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// The value of bytes, as base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
}

/// A message that a client sends.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The text.
    pub body: String,
    /// What is said beside it.
    pub attributes: BTreeMap<String, MessageAttribute>,
    /// Not to be received before; a first-in-first-out queue keeps no delay.
    pub visible_at: Timestamp,
    /// On a first-in-first-out queue, the group within which order is kept.
    pub group: Option<String>,
    /// On a first-in-first-out queue, by what the same message is known again for five minutes.
    pub deduplication_id: Option<String>,
}

/// A message that is on a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub message_id: String,
    /// Its place among all messages: later ones have a greater one.
    pub place: i64,
}

/// A message that a client has received.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its id.
    pub message_id: String,
    /// Its place among all messages.
    pub place: i64,
    /// By which it is forgotten or hidden, until it is received again.
    pub receipt: String,
    /// The text.
    pub body: String,
    /// What is said beside it.
    pub attributes: BTreeMap<String, MessageAttribute>,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// On a first-in-first-out queue, the group within which order is kept.
    pub lane: Option<String>,
    /// By what it is known again.
    pub deduplication_id: Option<String>,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When it was received for the first time.
    pub first_received_at: Timestamp,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Those that can be received, or wait behind one of their lane.
    pub visible: u32,
    /// Those that were received and are hidden.
    pub in_flight: u32,
    /// Those that were never received and are not due.
    pub delayed: u32,
}

impl SqliteQueue {
    /// Puts messages on a queue, all or none. One that a first-in-first-out queue knows again is not sent a second time, and answered as the first was.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn send(&self, queue: &str, messages: Vec<Sent>) -> Result<Vec<Kept>, StorageError> {
        let (name, now) = (queue.to_owned(), Timestamp::now());
        let kept = self.database.write(move |connection| {
            connection.execute("DELETE FROM deduplications WHERE until <= ?1", [now.millis()])?;
            messages.into_iter().map(|message| send(connection, &name, message, now)).collect::<rusqlite::Result<Vec<Kept>>>()
        });
        let kept = kept.await?;
        self.arrived(queue);
        Ok(kept)
    }

    /// Takes up to `most` messages of a queue as [`receive`](Self::receive) does, for a client that outlives this process.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub async fn take(&self, queue: &str, most: u32, visibility: Duration) -> Result<Vec<Taken>, StorageError> {
        let (name, now) = (queue.to_owned(), Timestamp::now());
        let taken = self.database.write(move |connection| {
            let mut take = connection.prepare_cached(
                "UPDATE messages SET visible_at = ?2, receive_count = receive_count + 1, in_flight = 0, first_received_at = coalesce(first_received_at, ?1)
                 WHERE id IN (SELECT id FROM messages WHERE queue = ?4 AND visible_at <= ?1 ORDER BY visible_at, id LIMIT ?3)
                 RETURNING id, message_id, receive_count, body, attributes, lane, deduplication_id, sent_at, first_received_at",
            )?;
            take.query_map(params![now.millis(), (now + visibility).millis(), most, name], taken)?.collect::<rusqlite::Result<Vec<Taken>>>()
        });
        let taken = taken.await?;
        // When they are shown again, a worker must not wait for later.
        self.arrived(queue);
        Ok(taken)
    }

    /// Forgets a message, unless it was received again since; answers whether the receipt is one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn forget(&self, receipt: &str) -> Result<bool, StorageError> {
        let (Some((id, count)), now) = (receipt_of(receipt), Timestamp::now().millis()) else { return Ok(false) };
        let forget = move |connection: &Connection| queue::forget(connection, id, count, now);
        if let Some(queue) = self.database.write(forget).await? {
            self.arrived(&queue);
        }
        Ok(true)
    }

    /// Hides a message of a queue for this long; answers whether it did, which it does not if the message is gone or was received again. `None` for a
    /// receipt that is none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn hide_for(&self, queue: &str, receipt: &str, duration: Duration) -> Result<Option<bool>, StorageError> {
        let Some((id, count)) = receipt_of(receipt) else { return Ok(None) };
        let hidden = self.hide_row(id, count, duration).await?;
        self.arrived(queue);
        Ok(Some(hidden))
    }

    /// How many messages a queue holds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn counts(&self, queue: &str) -> Result<Counts, StorageError> {
        let (queue, now) = (queue.to_owned(), Timestamp::now().millis());
        let count = move |connection: &Connection| {
            let mut count = connection.prepare_cached(
                "SELECT count(*) FILTER (WHERE visible_at <= ?2 OR visible_at = ?3),
                        count(*) FILTER (WHERE visible_at > ?2 AND visible_at < ?3 AND receive_count > 0),
                        count(*) FILTER (WHERE visible_at > ?2 AND visible_at < ?3 AND receive_count = 0)
                 FROM messages WHERE queue = ?1",
            )?;
            count.query_row(params![queue, now, NEVER], |row| {
                Ok(Counts { visible: row.get(0)?, in_flight: row.get(1)?, delayed: row.get(2)? })
            })
        };
        self.database.read(count).await
    }

    /// Forgets all messages of a queue.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn purge(&self, queue: &str) -> Result<(), StorageError> {
        let queue = queue.to_owned();
        self.database.write(move |connection| connection.execute("DELETE FROM messages WHERE queue = ?1", [queue])).await.map(drop)
    }
}

fn send(connection: &Connection, queue: &str, message: Sent, now: Timestamp) -> rusqlite::Result<Kept> {
    let lane = lane(queue, message.group.as_ref());
    let known_by = lane.as_ref().zip(message.deduplication_id.as_ref());
    if let Some((lane, id)) = known_by {
        let mut known =
            connection.prepare_cached("SELECT message_id, place FROM deduplications WHERE queue = ?1 AND lane = ?2 AND id = ?3")?;
        let known = known.query_row(params![queue, lane, id], |row| Ok(Kept { message_id: row.get(0)?, place: row.get(1)? })).optional()?;
        if let Some(known) = known {
            return Ok(known);
        }
    }
    let message_id = Uuid::new_v4().to_string();
    let attributes = serde_json::to_string(&message.attributes).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let visible_at = if lane.is_some() { now } else { message.visible_at.max(now) }.millis();
    let draft = Draft {
        queue: queue.to_owned(),
        lane: lane.clone(),
        body: message.body,
        attributes: Some(attributes),
        message_id: Some(message_id.clone()),
        deduplication_id: message.deduplication_id.clone(),
        visible_at,
    };
    let place = queue::insert(connection, &draft, now)?;
    if let Some((lane, id)) = lane.as_ref().zip(message.deduplication_id.as_ref()) {
        let mut note = connection
            .prepare_cached("INSERT INTO deduplications (queue, lane, id, message_id, place, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        note.execute(params![queue, lane, id, message_id, place, (now + DEDUPLICATION).millis()])?;
    }
    Ok(Kept { message_id, place })
}

fn taken(row: &Row<'_>) -> rusqlite::Result<Taken> {
    let (place, count): (i64, u32) = (row.get(0)?, row.get(2)?);
    Ok(Taken {
        message_id: row.get::<_, Option<String>>(1)?.unwrap_or_else(|| place.to_string()),
        place,
        receipt: format!("{place}.{count}"),
        receive_count: count,
        body: row.get(3)?,
        attributes: attributes(row, 4)?,
        lane: row.get(5)?,
        deduplication_id: row.get(6)?,
        sent_at: Timestamp::from_millis(row.get(7)?),
        first_received_at: Timestamp::from_millis(row.get(8)?),
    })
}

/// What is said beside a message, in this column.
pub(crate) fn attributes(row: &Row<'_>, column: usize) -> rusqlite::Result<BTreeMap<String, MessageAttribute>> {
    let json: String = row.get(column)?;
    serde_json::from_str(&json).map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

/// A row, and the count that its receipt was given at.
fn receipt_of(receipt: &str) -> Option<(i64, u32)> {
    let (id, count) = receipt.split_once('.')?;
    Some((id.parse().ok()?, count.parse().ok()?))
}
