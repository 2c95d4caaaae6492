use std::sync::LazyLock;

use errand_core::{Claim, Claims, Envelope, Finish, Known, Outcome, Register, Status, StorageError, TaskError, TaskResult, Timestamp};

use super::{ERRORS, claims::REFUSABLE, names, status, values};
use crate::{
    DynamoStore,
    item::{self, Conditions, Reader, text},
    table::{ALL_OLD, GET, PUT, Request, Told},
    value::{Item, Value},
};

/// What is of this content and has not ended.
static WAITS: LazyLock<String> = LazyLock::new(|| format!("fingerprint = :fingerprint AND NOT #status IN ({})", names(Status::ended)));

impl Register for DynamoStore {
    async fn register(&self, envelope: &Envelope, state: Status, backend: &str, now: Timestamp) -> Result<Option<Known>, StorageError> {
        let mut item = Item::from([
            ("id", text(&envelope.id)),
            ("status", status(state)),
            ("ttl", item::ttl(envelope.run_after.unwrap_or(now).max(now))),
        ]);
        item.extend(item::lasting(envelope, TaskResult::new(envelope, state, backend, now)));
        let put = Request {
            item,
            condition_expression: "attribute_not_exists(id) OR (unsent = :true AND fingerprint <> :fingerprint)",
            return_values_on_condition_check_failure: ALL_OLD,
            ..self.table.request()
        };
        let put = put.value("true", Value::Bool(true)).value("fingerprint", text(envelope.content().to_string()));
        match self.table.write(PUT, put).await? {
            Ok(_) => Ok(None),
            Err(Some(item)) => Reader(&item).known().map(Some),
            Err(None) => Err(StorageError("DynamoDB: a record is there and not told".to_owned())),
        }
    }

    async fn sent(&self, envelope: &Envelope, failed: Option<&TaskError>) -> Result<(), StorageError> {
        let id = &envelope.id;
        let unattempted = format!("{} AND attribute_not_exists(attempts)", *WAITS);
        let update = match failed {
            Some(error) => self
                .update(id, "SET unsent = :true", &unattempted)
                .value("true", Value::Bool(true))
                .set(ERRORS, "errors", item::errors(std::slice::from_ref(error)))
                .value("none", item::nothing()),
            None => self.update(id, "SET header = :header REMOVE unsent", &WAITS).value("header", text(Conditions::of(envelope))),
        };
        let update = values(update, Status::ended).value("fingerprint", text(envelope.content().to_string()));
        self.write(update).await.map(drop)
    }

    async fn handed_over(&self, claim: &Claim<'_>, outcome: &Outcome) -> Result<Finish, StorageError> {
        let claiming = Request { condition_expression: &REFUSABLE, ..self.claiming(claim, None) };
        match self.write(claiming).await? {
            Ok(_) => self.finish(&claim.envelope.id, 1, outcome, claim.now).await,
            Err(_) => Ok(Finish::Stale),
        }
    }

    async fn check(&self) -> Result<(), StorageError> {
        // An id that no envelope can have.
        let get = Request { projection_expression: "id", ..self.table.request().of(text(" ")) };
        self.table.call::<Told>(GET, &get).await.map(drop)
    }
}
