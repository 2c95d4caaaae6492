use std::{error::Error, sync::Arc};

use errand_core::{PublishError, Recurrence, Schedule, Schedules, StorageError, Timestamp};
use errand_store_sqlite::Database;
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// The schedules in the server's database.
#[derive(Clone)]
pub(crate) struct LocalSchedules {
    database: Database,
    /// Told when the next run may be another one.
    changed: Arc<Notify>,
}

/// A schedule as it is kept.
#[derive(Serialize, Deserialize)]
struct Entry {
    cron: Option<String>,
    rate: Option<String>,
    timezone: String,
    paused: bool,
    #[serde(rename = "made_at")]
    since: Timestamp,
    /// The envelope in its native form.
    envelope: String,
}

impl LocalSchedules {
    /// The schedules of a database.
    pub(crate) fn new(database: Database) -> Self {
        Self { database, changed: Arc::default() }
    }

    /// When the next run is due.
    pub(super) async fn next_at(&self) -> Result<Option<Timestamp>, StorageError> {
        let next: Option<i64> =
            self.database.read(|connection| connection.query_row("SELECT min(next_at) FROM schedules", [], |row| row.get(0))).await?;
        Ok(next.map(Timestamp::from_millis))
    }

    /// The schedules that are due, each with the time of its run: the last one, when several went by while nothing ran.
    pub(super) async fn due(&self, now: Timestamp) -> Result<Vec<(Schedule, Timestamp)>, StorageError> {
        let due = self
            .database
            .read(move |connection| {
                let mut query = connection.prepare_cached("SELECT name, entry, next_at FROM schedules WHERE next_at <= ?1")?;
                query.query_map([now.millis()], |row| Ok((schedule(row)?, row.get(2)?)))?.collect::<rusqlite::Result<Vec<_>>>()
            })
            .await?;
        let last = |(schedule, noted): (Schedule, i64)| {
            let noted = Timestamp::from_millis(noted);
            let last = errand_calendar::last(&schedule, now).map_or(noted, |last| last.max(noted));
            (schedule, last)
        };
        Ok(due.into_iter().map(last).collect())
    }

    /// Waits until the next run may be another one.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Notes that a run was sent.
    pub(super) async fn ran(&self, name: &str, at: Timestamp) -> Result<(), StorageError> {
        let name = name.to_owned();
        let note = move |connection: &Connection| {
            if let Some((schedule, _)) = load(connection, &name)? {
                connection.execute("UPDATE schedules SET next_at = ?2 WHERE name = ?1", params![name, next(&schedule, at)])?;
            }
            Ok(())
        };
        self.database.write(note).await
    }
}

impl Schedules for LocalSchedules {
    async fn create(&self, schedule: &Schedule) -> Result<bool, PublishError> {
        let schedule = schedule.clone();
        let insert = move |connection: &Connection| {
            let sql = "INSERT INTO schedules (name, entry, next_at) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING";
            connection.execute(sql, params![schedule.name, entry(&schedule)?, next(&schedule, Timestamp::now())])
        };
        let made = self.database.write(insert).await.map_err(unavailable)? == 1;
        self.changed.notify_one();
        Ok(made)
    }

    async fn get(&self, name: &str) -> Result<Option<Schedule>, PublishError> {
        let name = name.to_owned();
        let found = self.database.read(move |connection| load(connection, &name)).await.map_err(unavailable)?;
        Ok(found.map(|(schedule, _)| schedule))
    }

    async fn list(&self, limit: usize, cursor: Option<&str>) -> Result<(Vec<Schedule>, Option<String>), PublishError> {
        let (after, one_more) = (cursor.unwrap_or_default().to_owned(), u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1));
        let query = move |connection: &Connection| {
            let mut query = connection.prepare_cached("SELECT name, entry FROM schedules WHERE name > ?1 ORDER BY name LIMIT ?2")?;
            query.query_map(params![after, one_more], schedule)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        let mut found = self.database.read(query).await.map_err(unavailable)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let cursor = found.last().filter(|_| more).map(|schedule| schedule.name.clone());
        Ok((found, cursor))
    }

    async fn delete(&self, name: &str) -> Result<bool, PublishError> {
        let name = name.to_owned();
        let deleted = self.database.write(move |connection| connection.execute("DELETE FROM schedules WHERE name = ?1", [name])).await;
        Ok(deleted.map_err(unavailable)? == 1)
    }

    async fn update(&self, schedule: &Schedule) -> Result<bool, PublishError> {
        let schedule = schedule.clone();
        let update = move |connection: &Connection| {
            let Some((known, noted)) = load(connection, &schedule.name)? else { return Ok(false) };
            let at_the_same_times = |known: &Schedule| {
                !known.paused
                    && known.recurrence == schedule.recurrence
                    && known.timezone == schedule.timezone
                    && known.since == schedule.since
            };
            // A run that is due already is not lost.
            let noted = noted.filter(|_| !schedule.paused && at_the_same_times(&known));
            let next = noted.or_else(|| next(&schedule, Timestamp::now()));
            let sql = "UPDATE schedules SET entry = ?2, next_at = ?3 WHERE name = ?1";
            connection.execute(sql, params![schedule.name, entry(&schedule)?, next])?;
            Ok(true)
        };
        let known = self.database.write(update).await.map_err(unavailable)?;
        self.changed.notify_one();
        Ok(known)
    }
}

/// When a schedule runs next, in milliseconds since 1970.
fn next(schedule: &Schedule, after: Timestamp) -> Option<i64> {
    errand_calendar::next(schedule, after).filter(|_| !schedule.paused).map(Timestamp::millis)
}

/// A schedule, and when it was noted to run next.
fn load(connection: &Connection, name: &str) -> rusqlite::Result<Option<(Schedule, Option<i64>)>> {
    let mut query = connection.prepare_cached("SELECT name, entry, next_at FROM schedules WHERE name = ?1")?;
    query.query_row([name], |row| Ok((schedule(row)?, row.get(2)?))).optional()
}

fn schedule(row: &Row<'_>) -> rusqlite::Result<Schedule> {
    let (name, json): (String, String) = (row.get(0)?, row.get(1)?);
    read(name, &json).map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, Type::Text, error))
}

fn read(name: String, json: &str) -> Result<Schedule, Box<dyn Error + Send + Sync>> {
    let entry: Entry = serde_json::from_str(json)?;
    let recurrence = match (entry.cron, entry.rate) {
        (Some(cron), _) => Recurrence::Cron(cron.parse()?),
        (None, rate) => Recurrence::Rate(rate.unwrap_or_default().parse()?),
    };
    let envelope = errand_wire::native::decode(&entry.envelope, &name)?;
    Ok(Schedule { name, recurrence, timezone: entry.timezone, since: entry.since, paused: entry.paused, envelope })
}

/// A schedule as JSON.
fn entry(schedule: &Schedule) -> rusqlite::Result<String> {
    let (cron, rate) = match &schedule.recurrence {
        Recurrence::Cron(cron) => (Some(cron.to_string()), None),
        Recurrence::Rate(rate) => (None, Some(rate.to_string())),
    };
    let Schedule { timezone, since, paused, envelope, .. } = schedule.clone();
    let entry = Entry { cron, rate, timezone, paused, since, envelope: errand_wire::encode(&envelope) };
    serde_json::to_string(&entry).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn unavailable(error: StorageError) -> PublishError {
    PublishError::Unavailable(error.0)
}
