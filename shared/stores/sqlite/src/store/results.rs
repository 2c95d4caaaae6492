use errand_core::{Change, Envelope, Filter, Outcome, Page, Record, Report, Results, Status, StorageError, Timestamp};
use rusqlite::params;

use super::record;
use crate::SqliteStore;

impl Results for SqliteStore {
    async fn report(&self, id: &str, token: &str, outcome: &Outcome, now: Timestamp) -> Result<Report, StorageError> {
        let (token, outcome) = (token.to_owned(), outcome.clone());
        let told = self.change(id.to_owned(), None, now, move |record| record.report(&token, &outcome, now)).await?;
        Ok(told.unwrap_or(Report::Unknown))
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StorageError> {
        let (since, before) = filter.positions();
        let Filter { status, task, queue, user, notification_id, limit, .. } = filter.clone();
        let one_more = u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1);
        let mut results: Vec<Record> = self
            .0
            .read(move |connection| {
                let mut query = connection.prepare_cached(
                    "SELECT record FROM tasks
                     WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR task = ?2) AND position >= ?3 AND (?4 IS NULL OR position < ?4)
                       AND (?5 IS NULL OR record ->> '$.result.queue' = ?5)
                       AND (?6 IS NULL OR record ->> '$.result.user' = ?6)
                       AND (?7 IS NULL OR record ->> '$.result.notification_id' = ?7)
                     ORDER BY position DESC LIMIT ?8",
                )?;
                let wanted = params![status.map(Status::as_str), task, since, before, queue, user, notification_id, one_more];
                query.query_map(wanted, record)?.collect()
            })
            .await?;
        let more = results.len() > limit;
        results.truncate(limit);
        let cursor = results.last().filter(|_| more).map(Record::position);
        Ok(Page { results: results.into_iter().map(|record| record.result).collect(), cursor })
    }

    async fn cancel(&self, id: &str, now: Timestamp) -> Result<Change, StorageError> {
        let told = self.change(id.to_owned(), None, now, move |record| record.cancel(now)).await?;
        Ok(told.unwrap_or(Change::Unknown))
    }

    async fn reschedule(&self, id: &str, run_after: Timestamp, now: Timestamp) -> Result<Change, StorageError> {
        let told = self.change(id.to_owned(), None, now, move |record| record.reschedule(run_after, now)).await?;
        Ok(told.unwrap_or(Change::Unknown))
    }

    async fn reopen(&self, envelope: &Envelope, now: Timestamp) -> Result<Change, StorageError> {
        let new = envelope.clone();
        let told = self.change(envelope.id.clone(), None, now, move |record| record.reopen(&new, now)).await?;
        Ok(told.unwrap_or(Change::Unknown))
    }
}
