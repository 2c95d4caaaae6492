//! The roles of a store, each in conditional writes: what [`Record`](errand_core::Record) says in code stands here as conditions.

mod claims;
mod register;
mod results;

use std::sync::LazyLock;

use errand_core::{Environment, Init, Known, Lookup, Outcome, SettingsError, Status, StorageError, Timestamp, settings::all::TABLE};

use crate::{
    item::{self, Reader, number, text, time},
    table::{ALL_OLD, GET, Request, Table, Told, UPDATE, Written},
    value::{Item, Owned, Value},
};

/// What no attempt holds: it waits, or whoever had it was not heard of in time, which other people's workers need not be.
static FREE: LazyLock<String> = LazyLock::new(|| {
    format!("#status IN ({}) OR (#status = :RUNNING AND lease_until <= :now AND attribute_not_exists(handed_on))", names(Status::waits))
});

/// Appends failures.
const ERRORS: &str = "errors = list_append(if_not_exists(errors, :none), :errors)";

/// The store in a table. Clones share connections.
#[derive(Clone)]
pub struct DynamoStore {
    pub(crate) table: Table,
}

impl DynamoStore {
    /// The store in the table of this name.
    ///
    /// # Errors
    /// The function that is starting has no clock or no AWS configuration.
    pub fn new(env: &Environment, cx: &Init, table: &str) -> Result<Self, SettingsError> {
        Ok(Self { table: Table::new(env, cx, table)? })
    }

    /// The store that `ERRAND_TABLE` names, if it is set.
    ///
    /// # Errors
    /// The function that is starting has no clock or no AWS configuration.
    pub fn from_env(env: &Environment, cx: &Init) -> Result<Option<Self>, SettingsError> {
        env.get(&TABLE).map(|table| Self::new(env, cx, table)).transpose()
    }

    /// Makes the table, as the deployment template does: for tests, and for an emulator that nothing is deployed to.
    ///
    /// # Errors
    /// It cannot be made.
    pub async fn create_table(&self) -> Result<(), StorageError> {
        self.table.create().await
    }

    /// The item of this id, as it is now.
    pub(crate) async fn item(&self, id: Value<'_>) -> Result<Option<Item<'static>>, StorageError> {
        let told: Told = self.table.call(GET, &Request { consistent_read: true, ..self.table.request().of(id) }).await?;
        Ok((!told.item.is_empty()).then_some(told.item))
    }

    /// A write of a record's state where a condition holds.
    fn update<'a>(&'a self, id: &'a str, set: &'a str, condition: &'a str) -> Request<'a> {
        let update = Request {
            update_expression: set.into(),
            condition_expression: condition,
            return_values_on_condition_check_failure: ALL_OLD,
            ..self.table.request().of(text(id))
        };
        update.named("status")
    }

    /// The write that notes an outcome where the condition holds.
    fn outcome<'a>(&'a self, id: &'a str, outcome: &'a Outcome, condition: &'static str, now: Timestamp) -> Request<'a> {
        let mut update = self
            .update(id, "SET #status = :status, #ttl = :ttl", condition)
            .value("status", status(outcome.status()))
            .value(Status::Running.as_str(), status(Status::Running))
            .pair("ttl", item::ttl(now));
        if outcome.status().ended() {
            update = update.set("finished_at = :now", "now", time(now));
        }
        match outcome {
            Outcome::Succeeded(value) => update.set("return_value = :value", "value", text(value.get())),
            Outcome::Retry { error, progress, counts, at } => update
                .set(ERRORS, "errors", item::errors(error.as_slice()))
                .value("none", item::nothing())
                .set("done = :done", "done", item::progress(progress))
                .set("spared = spared + :spared", "spared", number(!counts))
                .set("next_attempt_at = :at", "at", time(*at)),
            Outcome::Failed { errors, progress } => update.set(ERRORS, "errors", item::errors(errors)).value("none", item::nothing()).set(
                "done = :done",
                "done",
                item::progress(&progress.at_the_end()),
            ),
            Outcome::Expired => update,
            Outcome::Handed { until } => update.set("lease_until = :until", "until", time(*until)),
            Outcome::HandedOn(to) => update.set("handed_on = :handed_on", "handed_on", item::handed_on(to)),
            Outcome::Started { worker } => update.set("workers = list_append(workers, :worker)", "worker", item::workers(worker)),
        }
    }

    async fn write(&self, update: Request<'_>) -> Result<Written, StorageError> {
        self.table.write(UPDATE, update).await
    }
}

fn status(status: Status) -> Owned {
    text(status.as_str())
}

/// The statuses of which this is so, as a condition names them.
fn names(is: fn(Status) -> bool) -> String {
    Status::ALL.into_iter().filter(|status| is(*status)).map(|status| format!(":{}", status.as_str())).collect::<Vec<_>>().join(", ")
}

/// The values of those names.
fn values(update: Request<'_>, is: fn(Status) -> bool) -> Request<'_> {
    let named = Status::ALL.into_iter().filter(|status| is(*status));
    named.fold(update, |update, named| update.value(named.as_str(), status(named)))
}

/// The values that [`FREE`] compares with.
fn free(update: Request<'_>, now: Timestamp) -> Request<'_> {
    values(update, Status::waits).value(Status::Running.as_str(), status(Status::Running)).value("now", time(now))
}

impl Lookup for DynamoStore {
    async fn get(&self, id: &str) -> Result<Option<Known>, StorageError> {
        self.item(text(id)).await?.map(|item| Reader(&item).known()).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_name_every_status_that_they_are_about() {
        let free = "#status IN (:READY, :SCHEDULED) OR (#status = :RUNNING AND lease_until <= :now AND attribute_not_exists(handed_on))";
        assert_eq!(*FREE, free);
        assert_eq!(names(Status::ended), ":SUCCESSFUL, :FAILED, :CANCELLED, :EXPIRED");
    }
}
