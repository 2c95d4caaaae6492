use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use errand_core::{
    BODY_LIMIT, DEFAULT_QUEUE, DeadLetter, Envelope, ForeignMessage, Forward, Hold, Init, Message, NoOptions, OptionError, PublishError,
    Published, Queue, StorageError, Timestamp, Transport, TransportLimits, celery_queue, is_fifo,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::Notify;

use crate::{Database, clients};

/// When a message is visible that waits behind another one of its lane: not before that is gone.
pub(crate) const NEVER: i64 = i64::MAX;

/// The group of what names none, on a first-in-first-out queue.
const DEFAULT_LANE: &str = "default";

/// The queues in a [`Database`]: messages with visibility, receive count, delay, order within a lane, and dead letters, as SQS has them. Clones share them.
#[derive(Clone)]
pub struct SqliteQueue {
    pub(crate) database: Database,
    /// Ours by name, each told when there may be more to receive.
    ours: Arc<BTreeMap<String, Notify>>,
    /// Others', which nobody here works on.
    foreign: Arc<BTreeSet<String>>,
}

/// A message to be kept.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) queue: String,
    pub(crate) lane: Option<String>,
    pub(crate) body: String,
    pub(crate) visible_at: i64,
    /// JSON: what a client says beside the body.
    pub(crate) attributes: Option<String>,
    /// What a client knows it by.
    pub(crate) message_id: Option<String>,
    pub(crate) deduplication_id: Option<String>,
}

impl SqliteQueue {
    /// The queue `default` of a database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        let ours = Arc::new(BTreeMap::from([(DEFAULT_QUEUE.to_owned(), Notify::new())]));
        Self { database, ours, foreign: Arc::default() }
    }

    /// With more queues beside `default`: ours, which tasks can be sent to, and others', which only what follows on a task goes to. One whose name ends in
    /// `.fifo` keeps order within a lane.
    #[must_use]
    pub fn with_queues(self, ours: impl Iterator<Item = String>, foreign: impl Iterator<Item = String>) -> Self {
        let ours = ours.chain([DEFAULT_QUEUE.to_owned()]).map(|name| (name, Notify::new())).collect();
        Self { ours: Arc::new(ours), foreign: Arc::new(foreign.collect()), ..self }
    }

    /// Whether there is a queue of this name, ours or another's.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.ours.contains_key(name) || self.foreign.contains(name)
    }

    /// The names of all, ours and others'.
    pub fn all_names(&self) -> impl Iterator<Item = &str> {
        self.names().chain(self.foreign.iter().map(String::as_str))
    }

    /// The names of ours.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.ours.keys().map(String::as_str)
    }

    /// Takes up to `most` messages of a queue that are visible, the one that waits longest first, and hides them for `visibility`. Of a lane it is the first
    /// one alone.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub async fn receive(&self, queue: &str, most: u32, visibility: Duration) -> Result<Vec<Message>, StorageError> {
        let (now, name) = (Timestamp::now(), queue.to_owned());
        let received: Vec<Message> = self
            .database
            .write(move |connection| {
                let mut take = connection.prepare_cached(
                    "UPDATE messages SET visible_at = ?2, receive_count = receive_count + 1, in_flight = 1, first_received_at = coalesce(first_received_at, ?1)
                     WHERE id IN (SELECT id FROM messages WHERE queue = ?4 AND visible_at <= ?1 ORDER BY visible_at, id LIMIT ?3)
                     RETURNING id, body, receive_count, queue, lane, message_id, attributes",
                )?;
                take.query_map(params![now.millis(), (now + visibility).millis(), most, name], message)?.collect()
            })
            .await?;
        if received.len() == most as usize {
            // There may be more, for another worker.
            self.arrived(queue);
        }
        Ok(received)
    }

    /// Forgets messages, unless they have been received again since.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn acknowledge(&self, messages: &[Message]) -> Result<(), StorageError> {
        let (receipts, now): (Vec<(i64, u32)>, _) = (messages.iter().map(receipt).collect(), Timestamp::now().millis());
        let shown: Vec<String> = self
            .database
            .write(move |connection| {
                let mut shown = Vec::new();
                for (id, count) in receipts {
                    shown.extend(forget(connection, id, count, now)?);
                }
                Ok(shown)
            })
            .await?;
        shown.iter().for_each(|queue| self.arrived(queue));
        Ok(())
    }

    /// When the next message of a queue is visible; `None` when there is none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn next_visible_at(&self, queue: &str) -> Result<Option<Timestamp>, StorageError> {
        let queue = queue.to_owned();
        let next = move |connection: &Connection| {
            let mut next = connection.prepare_cached("SELECT min(visible_at) FROM messages WHERE queue = ?1")?;
            next.query_row([queue], |row| row.get::<_, Option<i64>>(0))
        };
        Ok(self.database.read(next).await?.filter(|at| *at < NEVER).map(Timestamp::from_millis))
    }

    /// Waits until there may be more to receive of a queue, or to wait for; for ever, if it is none of ours.
    pub async fn changed(&self, queue: &str) {
        match self.ours.get(queue) {
            Some(arrivals) => arrivals.notified().await,
            None => std::future::pending().await,
        }
    }

    /// The queues that hold messages and are named no more, each with how many.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn left_behind(&self) -> Result<Vec<(String, u32)>, StorageError> {
        let count = |connection: &Connection| {
            let mut count = connection.prepare("SELECT queue, count(*) FROM messages GROUP BY queue")?;
            count.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Vec<(String, u32)>>>()
        };
        Ok(self.database.read(count).await?.into_iter().filter(|(name, _)| !self.knows(name)).collect())
    }

    /// Says that there may be more to receive of a queue.
    pub(crate) fn arrived(&self, queue: &str) {
        if let Some(arrivals) = self.ours.get(queue) {
            arrivals.notify_one();
        }
    }

    /// Keeps messages, all or none; answers their ids.
    async fn keep(&self, drafts: Vec<Draft>) -> Result<Vec<i64>, StorageError> {
        let queues: BTreeSet<String> = drafts.iter().map(|draft| draft.queue.clone()).collect();
        let now = Timestamp::now();
        let kept = self.database.write(move |connection| drafts.iter().map(|draft| insert(connection, draft, now)).collect());
        let ids: Vec<i64> = kept.await?;
        queues.iter().for_each(|queue| self.arrived(queue));
        Ok(ids)
    }

    /// Hides a message, if it was not received again since; answers whether it did.
    pub(crate) async fn hide_row(&self, id: i64, count: u32, duration: Duration) -> Result<bool, StorageError> {
        let until = (Timestamp::now() + duration).millis();
        let hide = move |connection: &Connection| {
            connection.execute(
                "UPDATE messages SET visible_at = ?3, in_flight = 0 WHERE id = ?1 AND receive_count = ?2",
                params![id, count, until],
            )
        };
        Ok(self.database.write(hide).await? == 1)
    }

    fn draft(&self, envelope: &Envelope, now: Timestamp) -> Result<Draft, PublishError> {
        let queue = match self.ours.get_key_value(&envelope.queue) {
            Some((name, _)) => name,
            // What is for another transport waits here until our consumer hands it over.
            None if envelope.backend.is_some() => DEFAULT_QUEUE,
            None => return Err(PublishError::no_such_queue(self.names())),
        };
        let body = errand_wire::encode(envelope);
        // As on SQS: what is larger would be refused when it is received.
        if body.len() > BODY_LIMIT {
            return Err(PublishError::TooLarge { limit: BODY_LIMIT });
        }
        let lane = lane(queue, envelope.group.as_ref());
        // A lane keeps no delay of a single message: the consumer hides what comes early, and its lane waits with it.
        let due = if lane.is_some() { now } else { envelope.run_after.unwrap_or(now).max(now) };
        Ok(Draft { queue: queue.to_owned(), lane, body, visible_at: due.millis(), ..Draft::default() })
    }
}

impl Queue for SqliteQueue {
    async fn hide(&self, message: &Message, duration: Duration) -> Result<(), StorageError> {
        let (id, count) = receipt(message);
        let hidden = self.hide_row(id, count, duration).await?;
        self.arrived(&message.queue);
        if hidden { Ok(()) } else { Err(StorageError("the message is gone, or was received again".to_owned())) }
    }

    async fn bury(&self, message: &Message, letter: &DeadLetter) -> Result<(), StorageError> {
        let attributes: BTreeMap<&str, String> = letter.attributes(message).into_iter().collect();
        let attributes = serde_json::to_string(&attributes).map_err(|_| StorageError("a reason cannot be written as JSON".to_owned()))?;
        let (body, now) = (message.body.clone(), Timestamp::now().millis());
        self.database
            .write(move |connection| {
                connection
                    .execute("INSERT INTO dead_letters (body, attributes, buried_at) VALUES (?1, ?2, ?3)", params![body, attributes, now])
            })
            .await
            .map(drop)
    }
}

/// The longest delay: a year with its leap day.
const LONGEST_DELAY: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl SqliteQueue {
    async fn put(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        let now = Timestamp::now();
        let (mut answers, mut drafts) = (Vec::with_capacity(envelopes.len()), Vec::with_capacity(envelopes.len()));
        for envelope in envelopes {
            answers.push(self.draft(envelope, now).map(|draft| drafts.push(draft)));
        }
        let kept = self.keep(drafts).await;
        let mut ids = kept.as_ref().map(|ids| ids.iter()).map_err(|error| PublishError::Unavailable(error.0.clone()));
        let answer = |answer: Result<(), PublishError>| match (&mut ids, answer) {
            (_, Err(refused)) => Err(refused),
            (Ok(ids), Ok(())) => Ok(Published { message_id: ids.next().map(ToString::to_string) }),
            (Err(error), Ok(())) => Err(error.clone()),
        };
        answers.into_iter().map(answer).collect()
    }
}

impl Transport for SqliteQueue {
    const BACKEND: &'static str = "local";
    type Options = NoOptions;

    /// The one that the server has made.
    fn new(_: &str, _: NoOptions, cx: &Init) -> Result<Self, OptionError> {
        Ok(cx.shared::<Self>()?.clone())
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: LONGEST_DELAY, bytes: BODY_LIMIT }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        self.put(envelopes).await
    }

    async fn check(&self) -> Result<(), PublishError> {
        self.database.check().await.map_err(|error| PublishError::Unavailable(error.0))
    }
}

impl Hold for SqliteQueue {
    const NAME: &'static str = "local";

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: LONGEST_DELAY, bytes: BODY_LIMIT }
    }

    async fn hold(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        self.put(envelopes).await
    }

    /// It stays: what it brings is found ended or moved.
    async fn withdraw(&self, _: &str, _: Timestamp) -> Result<(), PublishError> {
        Ok(())
    }
}

impl Forward for SqliteQueue {
    async fn forward(&self, message: &ForeignMessage) -> Result<(), PublishError> {
        let names = [message.queue.clone(), celery_queue(&message.queue)];
        let queue = names.into_iter().find(|name| self.knows(name)).ok_or_else(|| PublishError::no_such_queue(self.all_names()))?;
        let (lane, visible_at) = (lane(&queue, message.group.as_ref()), Timestamp::now().millis());
        let draft = Draft { queue, lane, body: message.body.clone(), visible_at, ..Draft::default() };
        self.keep(vec![draft]).await.map(drop).map_err(|error| PublishError::Unavailable(error.0))
    }
}

/// Shows every message that a process which died had received.
pub(crate) fn release_all(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection.execute("UPDATE messages SET visible_at = ?1, in_flight = 0 WHERE in_flight = 1", [now.millis()]).map(drop)
}

/// The group within which a queue keeps order, if it does.
pub(crate) fn lane(queue: &str, group: Option<&String>) -> Option<String> {
    is_fifo(queue).then(|| group.map_or(DEFAULT_LANE, String::as_str).to_owned())
}

/// Writes a message. One that is not the first of its lane waits for that to be gone.
pub(crate) fn insert(connection: &Connection, draft: &Draft, now: Timestamp) -> rusqlite::Result<i64> {
    let Draft { queue, lane, body, visible_at, attributes, message_id, deduplication_id } = draft;
    let mut insert = connection.prepare_cached(
        "INSERT INTO messages (queue, lane, body, visible_at, attributes, message_id, deduplication_id, sent_at)
         VALUES (?1, ?2, ?3, CASE WHEN EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND lane = ?2) THEN ?5 ELSE ?4 END, coalesce(?6, '{}'), ?7, ?8, ?9)",
    )?;
    insert.insert(params![queue, lane, body, visible_at, NEVER, attributes, message_id, deduplication_id, now.millis()])
}

/// Deletes a message, if it was not received again since, and shows the one that waits behind it; answers that one's queue.
pub(crate) fn forget(connection: &Connection, id: i64, count: u32, now: i64) -> rusqlite::Result<Option<String>> {
    let mut delete = connection.prepare_cached("DELETE FROM messages WHERE id = ?1 AND receive_count = ?2 RETURNING queue, lane")?;
    let gone = delete.query_row(params![id, count], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?))).optional()?;
    let Some((queue, Some(lane))) = gone else { return Ok(None) };
    let mut show = connection
        .prepare_cached("UPDATE messages SET visible_at = ?3 WHERE id = (SELECT min(id) FROM messages WHERE queue = ?1 AND lane = ?2)")?;
    Ok((show.execute(params![queue, lane, now])? == 1).then_some(queue))
}

/// A message's id, and the count that its receipt was given at.
fn receipt(message: &Message) -> (i64, u32) {
    (message.receipt.parse().unwrap_or(-1), message.receive_count)
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let id: i64 = row.get(0)?;
    // As text: bytes are base64 here as well.
    let said = clients::attributes(row, 6)?.into_iter();
    Ok(Message {
        id: row.get::<_, Option<String>>(5)?.unwrap_or_else(|| id.to_string()),
        receipt: id.to_string(),
        body: row.get(1)?,
        receive_count: row.get(2)?,
        sent_at: None,
        attributes: DeadLetter::original(said.filter_map(|(name, said)| Some((name, said.string_value.or(said.binary_value)?))).collect()),
        queue: row.get(3)?,
        lane: row.get(4)?,
    })
}
