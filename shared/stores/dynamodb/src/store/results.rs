use errand_core::{Change, Envelope, Filter, Json, Outcome, Page, Report, Results, Status, StorageError, Timestamp};

use super::{FREE, free, status};
use crate::{
    DynamoStore,
    item::{self, Conditions, Reader, number, text, time},
    table::Request,
};

/// The whole item as it is then.
const ALL_NEW: Option<&str> = Some("ALL_NEW");

impl Results for DynamoStore {
    async fn report(&self, id: &str, token: &str, outcome: &Outcome, now: Timestamp) -> Result<Report, StorageError> {
        let update = self.outcome(id, outcome, "#status = :RUNNING AND #token = :token", now).pair("token", text(token));
        match self.write(Request { return_values: ALL_NEW, ..update }).await? {
            Ok(new) => Ok(Report::Recorded(Reader(&new).result()?)),
            Err(Some(stood)) if Reader(&stood).text("token").is_ok_and(|known| known == token) => {
                Ok(Report::Ended(Reader(&stood).result()?))
            }
            Err(_) => Ok(Report::Unknown),
        }
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StorageError> {
        self.page(filter).await
    }

    async fn cancel(&self, id: &str, now: Timestamp) -> Result<Change, StorageError> {
        let update = free(self.update(id, "SET #status = :CANCELLED, finished_at = :now, #ttl = :ttl REMOVE next_attempt_at", &FREE), now);
        self.change(update.value(Status::Cancelled.as_str(), status(Status::Cancelled)), now).await
    }

    async fn reschedule(&self, id: &str, run_after: Timestamp, now: Timestamp) -> Result<Change, StorageError> {
        let state = if run_after > now { Status::Scheduled } else { Status::Ready };
        let update =
            free(self.update(id, "SET #status = :status, run_after = :at, #ttl = :ttl REMOVE next_attempt_at, unsent", &FREE), now)
                .value("status", status(state))
                .value("at", time(run_after));
        self.change(update, run_after.max(now)).await
    }

    /// What is replaced is read before: it may not change until it is written.
    async fn reopen(&self, envelope: &Envelope, now: Timestamp) -> Result<Change, StorageError> {
        let Some(item) = self.item(text(&envelope.id)).await? else { return Ok(Change::Unknown) };
        let mut record = Reader(&item).record()?;
        let (was, attempts) = (record.result.status, record.result.attempts);
        let Change::Changed(task) = record.reopen(envelope, now) else { return Ok(Change::Refused(record.result)) };
        let begun = if attempts == 0 { "attribute_not_exists(attempts)" } else { "attempts = :attempts" };
        let values = vec![
            ("status", status(task.status)),
            ("task", text(&task.task)),
            ("args", text(task.args.get())),
            ("kwargs", text(task.kwargs.get())),
            ("fingerprint", text(envelope.content().to_string())),
            ("spared", number(attempts)),
            ("done", item::progress(&record.progress)),
            ("replaced", text(Json::of(&task.replaced).get().to_owned())),
            ("header", text(Conditions::of(envelope))),
            ("run_after", item::run_after(task.run_after)),
        ];
        let gone = "REMOVE finished_at, next_attempt_at, unsent, handed_on, return_value";
        let set: Vec<String> = values.iter().map(|(name, _)| format!("#{name} = :{name}")).collect();
        let (set, condition) = (format!("SET #ttl = :ttl, {} {gone}", set.join(", ")), format!("#status = :was AND {begun}"));
        let mut update = self.update(&envelope.id, &set, &condition).value("was", status(was));
        if attempts > 0 {
            update = update.value("attempts", number(attempts));
        }
        for (name, value) in values {
            update = if name == "status" { update.value(name, value) } else { update.pair(name, value) };
        }
        self.change(update, now).await
    }
}

impl DynamoStore {
    /// Changes what may be changed; `alive` is the time from which on the record is kept for long enough.
    async fn change(&self, update: Request<'_>, alive: Timestamp) -> Result<Change, StorageError> {
        let update = update.pair("ttl", item::ttl(alive));
        match self.write(Request { return_values: ALL_NEW, ..update }).await? {
            Ok(new) => Ok(Change::Changed(Reader(&new).result()?)),
            Err(Some(old)) => Ok(Change::Refused(Reader(&old).result()?)),
            Err(None) => Ok(Change::Unknown),
        }
    }
}
