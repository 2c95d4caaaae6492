//! Puts messages on a queue.

use std::time::Duration;

use errand_core::{Digest, Timestamp, is_fifo, limits};
use errand_store_sqlite::{Kept, Sent};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    LIMIT, Sqs,
    attributes::{self, Attributes, allowed_in_text, md5_of_attributes, md5_of_body},
    batch,
    error::{BATCH_REQUEST_TOO_LONG, Error, INVALID_MESSAGE_CONTENTS},
    protocol::{Call, whole},
    receive::sequence_number,
};

/// The longest delay of a message, in seconds.
const LONGEST_DELAY: i64 = 900;

/// A message to be sent.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    message_body: Option<String>,
    #[serde(default, deserialize_with = "whole")]
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: Attributes,
    #[serde(default)]
    message_system_attributes: Attributes,
    message_deduplication_id: Option<String>,
    message_group_id: Option<String>,
}

/// A message that SQS would take.
struct Checked {
    sent: Sent,
    size: usize,
    /// What is told of it when it is sent.
    told: Value,
}

impl Sqs {
    pub(super) async fn send_message(&self, call: &Call) -> Result<Value, Error> {
        let queue = self.queue_of(call)?;
        let Checked { sent, mut told, .. } = call.input::<Entry>()?.check(&queue)?;
        let kept = self.queue.send(&queue, vec![sent]).await?;
        kept.iter().for_each(|kept| tell(kept, &queue, &mut told));
        Ok(told)
    }

    pub(super) async fn send_message_batch(&self, call: &Call) -> Result<Value, Error> {
        let queue = self.queue_of(call)?;
        let (mut outcomes, mut sent, mut size) = (Vec::new(), Vec::new(), 0);
        for (id, entry) in batch::entries::<Entry>(call)? {
            let checked = entry.check(&queue);
            size += checked.as_ref().map_or(0, |checked| checked.size);
            outcomes.push((
                id,
                checked.map(|checked| {
                    sent.push(checked.sent);
                    checked.told
                }),
            ));
        }
        if size > LIMIT {
            let told = format!("Batch requests cannot be longer than {LIMIT} bytes. You have sent {size} bytes.");
            return Err(Error::new(BATCH_REQUEST_TOO_LONG, told));
        }
        let kept = self.queue.send(&queue, sent).await?;
        let good = outcomes.iter_mut().filter_map(|(_, outcome)| outcome.as_mut().ok());
        good.zip(&kept).for_each(|(told, kept)| tell(kept, &queue, told));
        Ok(batch::answer(outcomes))
    }
}

/// Adds what a message is known by to what is told of it.
fn tell(kept: &Kept, queue: &str, told: &mut Value) {
    told["MessageId"] = json!(kept.message_id);
    if is_fifo(queue) {
        told["SequenceNumber"] = json!(sequence_number(kept.place));
    }
}

impl Entry {
    /// Checks what SQS checks.
    fn check(self, queue: &str) -> Result<Checked, Error> {
        let body = self.message_body.filter(|body| !body.is_empty()).ok_or_else(|| Error::missing("MessageBody"))?;
        if let Some(c) = body.chars().find(|c| !allowed_in_text(*c)) {
            let told = format!(
                "Invalid binary character '#x{:X}' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
                u32::from(c)
            );
            return Err(Error::new(INVALID_MESSAGE_CONTENTS, told));
        }
        let size = body.len() + attributes::check(&self.message_attributes)?;
        if size > LIMIT {
            return Err(Error::invalid("MessageBody", &format!("Message must be shorter than {LIMIT} bytes.")));
        }
        let delay = self.delay_seconds.unwrap_or_default();
        if !(0..=LONGEST_DELAY).contains(&delay) {
            return Err(Error::invalid("DelaySeconds", &format!("DelaySeconds must be >= 0 and <= {LONGEST_DELAY}.")));
        }
        for (name, id) in [("MessageGroupId", &self.message_group_id), ("MessageDeduplicationId", &self.message_deduplication_id)] {
            if id.as_ref().is_some_and(|id| limits::id(id).is_err()) {
                return Err(Error::invalid(name, "it can only include alphanumeric and punctuation characters, 1 to 128 in length."));
            }
        }
        let mut deduplication_id = self.message_deduplication_id;
        if is_fifo(queue) {
            if delay > 0 {
                return Err(Error::invalid("DelaySeconds", "a first-in-first-out queue takes no delay of a single message."));
            }
            if self.message_group_id.is_none() {
                return Err(Error::missing("MessageGroupId"));
            }
            // Deduplication by content is on, as the deployment template has it.
            deduplication_id.get_or_insert_with(|| Digest::of(body.as_bytes()).to_string());
        } else if deduplication_id.is_some() {
            return Err(Error::invalid(
                "MessageDeduplicationId",
                "The request includes a parameter that is not valid for this queue type.",
            ));
        }
        let mut told = json!({ "MD5OfMessageBody": md5_of_body(&body) });
        for (name, attributes) in
            [("MD5OfMessageAttributes", &self.message_attributes), ("MD5OfMessageSystemAttributes", &self.message_system_attributes)]
        {
            if let Some(digest) = md5_of_attributes(attributes) {
                told[name] = json!(digest);
            }
        }
        let sent = Sent {
            body,
            attributes: self.message_attributes,
            visible_at: Timestamp::now() + Duration::from_secs(delay.unsigned_abs()),
            group: self.message_group_id,
            deduplication_id,
        };
        Ok(Checked { sent, size, told })
    }
}
