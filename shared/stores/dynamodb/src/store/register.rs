use std::sync::LazyLock;

use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use errand_core::{Envelope, Known, Register, Status, StorageError, TaskError, TaskResult, Timestamp};
use errand_http::aws::Failure;

use super::{ERRORS, failed, names, status, values, write};
use crate::{
    DynamoStore,
    item::{self, Conditions, Reader, text},
};

/// What is of this content and has not ended.
static WAITS: LazyLock<String> = LazyLock::new(|| format!("fingerprint = :fingerprint AND NOT #status IN ({})", names(Status::ended)));

impl Register for DynamoStore {
    async fn register(&self, envelope: &Envelope, state: Status, backend: &str, now: Timestamp) -> Result<Option<Known>, StorageError> {
        let mut put = self.client.put_item().table_name(&self.table);
        put = put
            .condition_expression("attribute_not_exists(id) OR (unsent = :true AND fingerprint <> :fingerprint)")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":fingerprint", text(envelope.content().to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .item("id", text(&envelope.id))
            .item("status", status(state))
            .item("ttl", item::ttl(envelope.run_after.unwrap_or(now).max(now)));
        for (name, value) in item::lasting(envelope, &TaskResult::new(envelope, state, backend, now)) {
            put = put.item(name, value);
        }
        match put.send().await {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(stood)) => match &stood.item {
                    Some(item) => Reader(item).known().map(Some),
                    None => Err(StorageError("DynamoDB: a record is there and not told".to_owned())),
                },
                _ => Err(failed(&Failure::of(&error))),
            },
        }
    }

    async fn sent(&self, envelope: &Envelope, failed: Option<&TaskError>) -> Result<(), StorageError> {
        let id = &envelope.id;
        let update = match failed {
            Some(error) => self
                .update(id, &format!("SET unsent = :true{ERRORS}"), &format!("{} AND attribute_not_exists(attempts)", *WAITS))
                .expression_attribute_values(":true", AttributeValue::Bool(true))
                .expression_attribute_values(":errors", item::errors(std::slice::from_ref(error)))
                .expression_attribute_values(":none", item::nothing()),
            None => self
                .update(id, "SET header = :header REMOVE unsent", &WAITS)
                .expression_attribute_values(":header", text(Conditions::of(envelope))),
        };
        let update = values(update, Status::ended).expression_attribute_values(":fingerprint", text(envelope.content().to_string()));
        write(update).await.map(drop)
    }

    async fn check(&self) -> Result<(), StorageError> {
        // An id that no envelope can have.
        let told = self.client.get_item().table_name(&self.table).key("id", text(" ")).projection_expression("id").send().await;
        told.map(drop).map_err(|error| failed(&Failure::of(&error)))
    }
}
