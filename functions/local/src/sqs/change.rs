//! What a receiver does with a message that it was handed: forget it, or hide it for another time.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Sqs, batch,
    error::{Error, MESSAGE_NOT_INFLIGHT, RECEIPT_HANDLE_IS_INVALID},
    protocol::{Call, whole},
    receive::{LONGEST_VISIBILITY, within},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    receipt_handle: Option<String>,
    #[serde(default, deserialize_with = "whole")]
    visibility_timeout: Option<i64>,
}

impl Sqs {
    pub(super) async fn delete_message(&self, call: &Call) -> Result<Value, Error> {
        self.queue_of(call)?;
        self.delete(&call.input()?).await
    }

    pub(super) async fn delete_message_batch(&self, call: &Call) -> Result<Value, Error> {
        self.queue_of(call)?;
        let mut outcomes = Vec::new();
        for (id, entry) in batch::entries(call)? {
            outcomes.push((id, self.delete(&entry).await));
        }
        Ok(batch::answer(outcomes))
    }

    pub(super) async fn change_message_visibility(&self, call: &Call) -> Result<Value, Error> {
        let queue = self.queue_of(call)?;
        self.hide(&queue, &call.input()?).await
    }

    pub(super) async fn change_message_visibility_batch(&self, call: &Call) -> Result<Value, Error> {
        let (queue, mut outcomes) = (self.queue_of(call)?, Vec::new());
        for (id, entry) in batch::entries(call)? {
            outcomes.push((id, self.hide(&queue, &entry).await));
        }
        Ok(batch::answer(outcomes))
    }

    /// Forgets a message. One that is gone, or was received again since, is no error, as on SQS.
    async fn delete(&self, entry: &Entry) -> Result<Value, Error> {
        let known = self.queue.forget(entry.receipt()?).await?;
        known.then(|| json!({})).ok_or_else(wrong_receipt)
    }

    async fn hide(&self, queue: &str, entry: &Entry) -> Result<Value, Error> {
        let receipt = entry.receipt()?;
        let seconds = entry.visibility_timeout.ok_or_else(|| Error::missing("VisibilityTimeout"))?;
        let seconds = within("VisibilityTimeout", Some(seconds), 0, 0..=LONGEST_VISIBILITY)?;
        match self.queue.hide_for(queue, receipt, Duration::from_secs(seconds)).await? {
            None => Err(wrong_receipt()),
            Some(false) => Err(Error::new(MESSAGE_NOT_INFLIGHT, "the message is not in flight: it is gone, or was received again")),
            Some(true) => Ok(json!({})),
        }
    }
}

impl Entry {
    fn receipt(&self) -> Result<&str, Error> {
        self.receipt_handle.as_deref().ok_or_else(|| Error::missing("ReceiptHandle"))
    }
}

fn wrong_receipt() -> Error {
    Error::new(RECEIPT_HANDLE_IS_INVALID, "The input receipt handle is invalid.")
}
