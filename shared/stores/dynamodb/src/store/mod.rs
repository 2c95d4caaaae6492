//! The roles of a store, each in conditional writes: what [`Record`](errand_core::Record) says in code stands here as conditions.

mod claims;
mod register;
mod results;

use std::sync::LazyLock;

use aws_sdk_dynamodb::{
    Client,
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use errand_core::{Environment, Known, Lookup, Outcome, Status, StorageError, Timestamp, settings::all::TABLE};
use errand_http::aws::{Failure, SdkConfig};

use crate::item::{self, Item, Reader, number, text, time};

/// What no attempt holds: it waits, or whoever had it was not heard of in time.
static FREE: LazyLock<String> =
    LazyLock::new(|| format!("#status IN ({}) OR (#status = :running AND lease_until <= :now)", names(Status::waits)));

/// Appends failures.
const ERRORS: &str = ", errors = list_append(if_not_exists(errors, :none), :errors)";

/// The store in a table. Clones share a client.
#[derive(Clone)]
pub struct DynamoStore {
    pub(crate) client: Client,
    pub(crate) table: String,
}

/// A conditional write: done, or the item that stood in its way, if there is one.
type Written = Result<Item, Option<Item>>;

impl DynamoStore {
    /// The store in the table of this name.
    #[must_use]
    pub fn new(sdk: &SdkConfig, table: &str) -> Self {
        Self { client: Client::new(sdk), table: table.to_owned() }
    }

    /// The store that `ERRAND_TABLE` names, if it is set.
    #[must_use]
    pub fn from_env(env: &Environment, sdk: &SdkConfig) -> Option<Self> {
        Some(Self::new(sdk, env.get(&TABLE)?))
    }

    async fn item(&self, id: &str) -> Result<Option<Item>, StorageError> {
        let told = self.client.get_item().table_name(&self.table).key("id", text(id)).consistent_read(true).send().await;
        Ok(told.map_err(|error| failed(&Failure::of(&error)))?.item)
    }

    fn update(&self, id: &str, set: &str, condition: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("id", text(id))
            .update_expression(set)
            .condition_expression(condition)
            .expression_attribute_names("#status", "status")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// The write that notes an outcome where the condition holds.
    fn outcome(&self, id: &str, outcome: &Outcome, condition: &str, now: Timestamp) -> UpdateItemFluentBuilder {
        let mut set = "SET #status = :status, #ttl = :ttl".to_owned();
        if outcome.status().ended() {
            set.push_str(", finished_at = :now");
        }
        match outcome {
            Outcome::Succeeded(_) => set.push_str(", return_value = :value"),
            Outcome::Retry { .. } => {
                set.push_str(ERRORS);
                set.push_str(", done = :done, spared = spared + :spared, next_attempt_at = :at");
            }
            Outcome::Failed { .. } => {
                set.push_str(ERRORS);
                set.push_str(", done = :done");
            }
            Outcome::Expired => {}
            Outcome::Handed { .. } => set.push_str(", lease_until = :until"),
            Outcome::Started { .. } => set.push_str(", workers = list_append(workers, :worker)"),
        }
        let mut update = self
            .update(id, &set, condition)
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":status", status(outcome.status()))
            .expression_attribute_values(":running", status(Status::Running))
            .expression_attribute_values(":ttl", item::ttl(now));
        if outcome.status().ended() {
            update = update.expression_attribute_values(":now", time(now));
        }
        let errors = match outcome {
            Outcome::Retry { error, .. } => error.as_slice(),
            Outcome::Failed { errors, .. } => errors,
            _ => &[],
        };
        if matches!(outcome, Outcome::Retry { .. } | Outcome::Failed { .. }) {
            update =
                update.expression_attribute_values(":errors", item::errors(errors)).expression_attribute_values(":none", item::nothing());
        }
        match outcome {
            Outcome::Succeeded(value) => update.expression_attribute_values(":value", text(value.get())),
            Outcome::Retry { progress, counts, at, .. } => update
                .expression_attribute_values(":at", time(*at))
                .expression_attribute_values(":done", item::progress(progress))
                .expression_attribute_values(":spared", number(u32::from(!counts))),
            Outcome::Handed { until } => update.expression_attribute_values(":until", time(*until)),
            Outcome::Started { worker } => update.expression_attribute_values(":worker", item::workers(worker)),
            Outcome::Failed { progress, .. } => update.expression_attribute_values(":done", item::progress(&progress.at_the_end())),
            Outcome::Expired => update,
        }
    }
}

async fn write(update: UpdateItemFluentBuilder) -> Result<Written, StorageError> {
    // On the heap: the call's state takes kilobytes, which would be moved with every future around it.
    match Box::pin(update.send()).await {
        Ok(told) => Ok(Ok(told.attributes.unwrap_or_default())),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(stood)) => Ok(Err(stood.item.clone().filter(|item| !item.is_empty()))),
            _ => Err(failed(&Failure::of(&error))),
        },
    }
}

pub(crate) fn failed(failure: &Failure) -> StorageError {
    StorageError(format!("DynamoDB: {failure}"))
}

fn status(status: Status) -> AttributeValue {
    text(status.as_str())
}

/// The statuses of which this is so, as a condition names them.
fn names(is: fn(Status) -> bool) -> String {
    Status::ALL.into_iter().filter(|status| is(*status)).map(name).collect::<Vec<_>>().join(", ")
}

/// What a condition names a status by.
fn name(status: Status) -> String {
    format!(":{}", status.as_str().to_lowercase())
}

/// The values of those names.
fn values(update: UpdateItemFluentBuilder, is: fn(Status) -> bool) -> UpdateItemFluentBuilder {
    let named = Status::ALL.into_iter().filter(|status| is(*status));
    named.fold(update, |update, named| update.expression_attribute_values(name(named), status(named)))
}

/// The values that [`FREE`] compares with.
fn free(update: UpdateItemFluentBuilder, now: Timestamp) -> UpdateItemFluentBuilder {
    values(update, Status::waits)
        .expression_attribute_values(name(Status::Running), status(Status::Running))
        .expression_attribute_values(":now", time(now))
}

impl Lookup for DynamoStore {
    async fn get(&self, id: &str) -> Result<Option<Known>, StorageError> {
        self.item(id).await?.map(|item| Reader(&item).known()).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_name_every_status_that_they_are_about() {
        assert_eq!(*FREE, "#status IN (:ready, :scheduled) OR (#status = :running AND lease_until <= :now)");
        assert_eq!(names(Status::ended), ":successful, :failed, :cancelled, :expired");
    }
}
