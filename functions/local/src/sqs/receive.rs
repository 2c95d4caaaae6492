//! Hands messages to an outside client: a real receive, beside the server's own workers.

use std::time::Duration;

use errand_store_sqlite::Taken;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::{
    Sqs,
    attributes::{md5_of_attributes, md5_of_body},
    error::Error,
    protocol::{Call, whole},
    queues::VISIBILITY,
};

/// The most messages of one call, the longest wait, and the longest time that a message is hidden, in seconds.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>
const MOST: i64 = 10;
const LONGEST_WAIT: i64 = 20;
pub(super) const LONGEST_VISIBILITY: i64 = 12 * 60 * 60;

/// How often a call that waits looks for messages.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Receive {
    #[serde(default, deserialize_with = "whole")]
    max_number_of_messages: Option<i64>,
    #[serde(default, deserialize_with = "whole")]
    visibility_timeout: Option<i64>,
    #[serde(default, deserialize_with = "whole")]
    wait_time_seconds: Option<i64>,
    /// The older name of the next.
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

impl Sqs {
    pub(super) async fn receive_message(&self, call: &Call) -> Result<Value, Error> {
        let queue = self.queue_of(call)?;
        let wanted: Receive = call.input()?;
        let most = within("MaxNumberOfMessages", wanted.max_number_of_messages, 1, 1..=MOST)?;
        let wait = within("WaitTimeSeconds", wanted.wait_time_seconds, 0, 0..=LONGEST_WAIT)?;
        let visibility = within("VisibilityTimeout", wanted.visibility_timeout, VISIBILITY, 0..=LONGEST_VISIBILITY)?;
        let (until, visibility) = (Instant::now() + Duration::from_secs(wait), Duration::from_secs(visibility));
        loop {
            let taken = self.queue.take(&queue, u32::try_from(most).unwrap_or(1), visibility).await?;
            if !taken.is_empty() || Instant::now() >= until || *self.stopped.borrow() {
                let messages: Vec<Value> = taken.iter().map(|message| wanted.tell(message)).collect();
                return Ok(if messages.is_empty() { json!({}) } else { json!({ "Messages": messages }) });
            }
            sleep(PAUSE).await;
        }
    }
}

/// A parameter's number, which must be within a range.
pub(super) fn within(name: &str, said: Option<i64>, usual: i64, range: std::ops::RangeInclusive<i64>) -> Result<u64, Error> {
    let number = said.unwrap_or(usual);
    if range.contains(&number) {
        Ok(number.unsigned_abs())
    } else {
        Err(Error::invalid(name, &format!("Must be >= {} and <= {}, if provided.", range.start(), range.end())))
    }
}

impl Receive {
    /// A message as its receiver wants to have it told.
    fn tell(&self, taken: &Taken) -> Value {
        let Taken { message_id, receipt, body, attributes, .. } = taken;
        let mut told = json!({ "MessageId": message_id, "ReceiptHandle": receipt, "MD5OfBody": md5_of_body(body), "Body": body });
        let facts: Map<String, Value> = facts(taken)
            .into_iter()
            .filter(|(name, _)| self.wants_fact(name))
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        if !facts.is_empty() {
            told["Attributes"] = Value::from(facts);
        }
        let said: Vec<_> = attributes.iter().filter(|(name, _)| self.wants_attribute(name)).collect();
        if let Some(digest) = md5_of_attributes(said.iter().copied()) {
            told["MD5OfMessageAttributes"] = json!(digest);
            told["MessageAttributes"] =
                said.into_iter().map(|(name, attribute)| (name.clone(), json!(attribute))).collect::<Map<_, _>>().into();
        }
        told
    }

    fn wants_fact(&self, name: &str) -> bool {
        self.attribute_names.iter().chain(&self.message_system_attribute_names).any(|wanted| wanted == "All" || wanted == name)
    }

    /// Whether an attribute is named, alone or by what its name begins with, as in `foo.*`.
    fn wants_attribute(&self, name: &str) -> bool {
        let fits =
            |wanted: &String| wanted == "All" || wanted == name || wanted.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix));
        self.message_attribute_names.iter().any(fits)
    }
}

/// What SQS knows of a message.
fn facts(taken: &Taken) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("SenderId", super::ACCOUNT.to_owned()),
        ("SentTimestamp", taken.sent_at.millis().to_string()),
        ("ApproximateReceiveCount", taken.receive_count.to_string()),
        ("ApproximateFirstReceiveTimestamp", taken.first_received_at.millis().to_string()),
    ];
    if let Some(lane) = &taken.lane {
        facts.push(("MessageGroupId", lane.clone()));
        facts.push(("SequenceNumber", sequence_number(taken.place)));
        facts.extend(taken.deduplication_id.clone().map(|id| ("MessageDeduplicationId", id)));
    }
    facts
}

/// A message's place among all, in SQS's form.
pub(super) fn sequence_number(place: i64) -> String {
    format!("{place:020}")
}
