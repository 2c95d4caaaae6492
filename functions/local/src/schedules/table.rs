use std::{sync::Arc, time::Duration};

use errand_core::{PublishError, Recurrence, Schedule, Schedules, StoreError, Timestamp};
use errand_store_sqlite::Database;
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::calendar::{next, zone};

/// The schedules in the server's database.
#[derive(Clone)]
pub(crate) struct LocalSchedules {
    database: Database,
    /// Told when the next run may be another one.
    changed: Arc<Notify>,
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schedules (
    name TEXT PRIMARY KEY,
    entry TEXT NOT NULL, -- JSON: Entry
    next_at INTEGER -- milliseconds since 1970; null while it is paused, or when it never runs again
) STRICT";

/// A schedule as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    cron: Option<String>,
    rate: Option<String>,
    timezone: String,
    paused: bool,
    made_at: Timestamp,
    /// The envelope in its native form.
    envelope: String,
}

impl LocalSchedules {
    /// The schedules of a database.
    pub(crate) async fn open(database: Database) -> Result<Self, StoreError> {
        database.call(|connection| connection.execute(TABLE, [])).await?;
        Ok(Self { database, changed: Arc::default() })
    }

    /// When the next run is due.
    pub(super) async fn next_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let next: Option<i64> =
            self.database.call(|connection| connection.query_row("SELECT min(next_at) FROM schedules", [], |row| row.get(0))).await?;
        Ok(next.map(Timestamp::from_millis))
    }

    /// The schedules that are due, each with the time of its run: the last one, when several went by while nothing ran.
    pub(super) async fn due(&self, now: Timestamp) -> Result<Vec<(Schedule, Timestamp)>, StoreError> {
        let due = self
            .database
            .call(move |connection| {
                let mut query = connection.prepare_cached("SELECT name, entry, next_at FROM schedules WHERE next_at <= ?1")?;
                query.query_map([now.millis()], |row| Ok((row.get(0)?, entry(row)?, row.get(2)?)))?.collect::<rusqlite::Result<Vec<_>>>()
            })
            .await?;
        let last = |(name, entry, first): (String, Entry, i64)| {
            let last = entry.last(Timestamp::from_millis(first), now);
            Some((entry.schedule(name)?, last))
        };
        Ok(due.into_iter().filter_map(last).collect())
    }

    /// Waits until the next run may be another one.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Notes that a run was sent.
    pub(super) async fn ran(&self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        self.change(name, move |entry| entry.next(at)).await.map(drop)
    }

    /// Changes an entry, and says when it runs next; answers whether there is one.
    async fn change(&self, name: &str, change: impl FnOnce(&mut Entry) -> Option<Timestamp> + Send + 'static) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.database
            .call(move |connection| {
                let transaction = connection.transaction()?;
                let Some(mut entry) = load(&transaction, &name)? else { return Ok(false) };
                let next = change(&mut entry).filter(|_| !entry.paused).map(Timestamp::millis);
                transaction.execute("UPDATE schedules SET entry = ?2, next_at = ?3 WHERE name = ?1", params![name, json(&entry)?, next])?;
                transaction.commit()?;
                Ok(true)
            })
            .await
    }
}

impl Entry {
    fn new(schedule: &Schedule) -> Self {
        let (cron, rate) = match &schedule.recurrence {
            Recurrence::Cron(cron) => (Some(cron.to_string()), None),
            Recurrence::Rate(rate) => (None, Some(rate.to_string())),
        };
        let envelope = errand_wire::encode(&schedule.envelope);
        Self { cron, rate, timezone: schedule.timezone.clone(), paused: schedule.paused, made_at: Timestamp::now(), envelope }
    }

    fn recurrence(&self) -> Option<Recurrence> {
        let rate = || self.rate.as_ref().and_then(|rate| rate.parse().ok().map(Recurrence::Rate));
        self.cron.as_ref().and_then(|cron| cron.parse().ok().map(Recurrence::Cron)).or_else(rate)
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        next(&self.recurrence()?, &zone(&self.timezone)?, self.made_at, after)
    }

    /// The last run up to `now` of those from the run `first` on. It is looked for backwards, in ever longer steps: there may be a great many.
    fn last(&self, first: Timestamp, now: Timestamp) -> Timestamp {
        let mut back = Duration::from_secs(60);
        let mut last = loop {
            match self.next(now - back) {
                _ if now - back <= first => break first,
                Some(run) if run <= now => break run,
                _ => back *= 2,
            }
        };
        while let Some(later) = self.next(last).filter(|later| *later <= now) {
            last = later;
        }
        last
    }

    fn schedule(self, name: String) -> Option<Schedule> {
        let (recurrence, envelope) = (self.recurrence()?, errand_wire::native::decode(&self.envelope, &name).ok()?);
        Some(Schedule { name, recurrence, timezone: self.timezone, paused: self.paused, envelope })
    }
}

impl Schedules for LocalSchedules {
    async fn create(&self, schedule: &Schedule) -> Result<bool, PublishError> {
        let entry = Entry::new(schedule);
        if zone(&entry.timezone).is_none() {
            return Err(PublishError::Refused(
                "there is no timezone of this name: expected one that the IANA names, such as Europe/Berlin".to_owned(),
            ));
        }
        let next = entry.next(entry.made_at).filter(|_| !entry.paused).map(Timestamp::millis);
        let name = schedule.name.clone();
        let insert = move |connection: &mut Connection| {
            let sql = "INSERT INTO schedules (name, entry, next_at) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING";
            connection.execute(sql, params![name, json(&entry)?, next])
        };
        let made = self.database.call(insert).await.map_err(unavailable)? == 1;
        self.changed.notify_one();
        Ok(made)
    }

    async fn get(&self, name: &str) -> Result<Option<Schedule>, PublishError> {
        let wanted = name.to_owned();
        let entry = self.database.call(move |connection| load(connection, &wanted)).await.map_err(unavailable)?;
        Ok(entry.and_then(|entry| entry.schedule(name.to_owned())))
    }

    async fn list(&self, limit: usize, cursor: Option<&str>) -> Result<(Vec<Schedule>, Option<String>), PublishError> {
        let (after, one_more) = (cursor.unwrap_or_default().to_owned(), u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1));
        let query = move |connection: &mut Connection| {
            let mut query = connection.prepare_cached("SELECT name, entry FROM schedules WHERE name > ?1 ORDER BY name LIMIT ?2")?;
            query
                .query_map(params![after, one_more], |row| Ok((row.get(0)?, entry(row)?)))?
                .collect::<rusqlite::Result<Vec<(String, Entry)>>>()
        };
        let mut found = self.database.call(query).await.map_err(unavailable)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let cursor = found.last().filter(|_| more).map(|(name, _)| name.clone());
        Ok((found.into_iter().filter_map(|(name, entry)| entry.schedule(name)).collect(), cursor))
    }

    async fn delete(&self, name: &str) -> Result<bool, PublishError> {
        let name = name.to_owned();
        let deleted = self.database.call(move |connection| connection.execute("DELETE FROM schedules WHERE name = ?1", [name])).await;
        Ok(deleted.map_err(unavailable)? == 1)
    }

    async fn pause(&self, name: &str, paused: bool) -> Result<bool, PublishError> {
        let change = move |entry: &mut Entry| {
            entry.paused = paused;
            entry.next(Timestamp::now())
        };
        let known = self.change(name, change).await.map_err(unavailable)?;
        self.changed.notify_one();
        Ok(known)
    }
}

fn load(connection: &Connection, name: &str) -> rusqlite::Result<Option<Entry>> {
    connection.prepare_cached("SELECT name, entry FROM schedules WHERE name = ?1")?.query_row([name], entry).optional()
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let json: String = row.get(1)?;
    serde_json::from_str(&json).map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, Type::Text, error.into()))
}

fn json(entry: &Entry) -> rusqlite::Result<String> {
    serde_json::to_string(entry).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn unavailable(error: StoreError) -> PublishError {
    PublishError::Unavailable(error.0)
}
