//! Which queues there are, and what is known of them.

use errand_core::is_fifo;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    ACCOUNT, LIMIT, Sqs,
    error::{Error, INVALID_ATTRIBUTE_NAME, UNSUPPORTED_OPERATION},
    protocol::{Call, whole},
};

/// How long a message is hidden that is received without a word of it, in seconds: as the deployment template has it.
pub(super) const VISIBILITY: i64 = 180;

/// What SQS may be asked of a queue and is not known here.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html>
const UNKNOWN: [&str; 9] = [
    "Policy",
    "MessageRetentionPeriod",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    queue_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    #[serde(default)]
    queue_name_prefix: String,
    #[serde(default, deserialize_with = "whole")]
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wanted {
    #[serde(default)]
    attribute_names: Vec<String>,
}

impl Sqs {
    pub(super) fn queue_url(&self, call: &Call) -> Result<Value, Error> {
        let Named { queue_name } = call.input()?;
        let name = self.named(&queue_name.ok_or_else(|| Error::missing("QueueName"))?)?;
        Ok(json!({ "QueueUrl": url(call, &name) }))
    }

    /// The settings make the queues: one that they name is there already, whatever is asked of it.
    pub(super) fn create_queue(&self, call: &Call) -> Result<Value, Error> {
        let Named { queue_name } = call.input()?;
        let name = queue_name.ok_or_else(|| Error::missing("QueueName"))?;
        let made = |error: Error| Error::new(UNSUPPORTED_OPERATION, format!("queues are made by ERRAND_QUEUES: {}", error.message));
        let name = self.named(&name).map_err(made)?;
        Ok(json!({ "QueueUrl": url(call, &name) }))
    }

    pub(super) fn list_queues(&self, call: &Call) -> Result<Value, Error> {
        let List { queue_name_prefix, max_results, next_token } = call.input()?;
        let after = |name: &&str| next_token.as_deref().is_none_or(|token| *name > token);
        let mut names: Vec<&str> = self.queue.all_names().filter(|name| name.starts_with(&queue_name_prefix)).filter(after).collect();
        names.sort_unstable();
        let most = max_results.and_then(|most| usize::try_from(most).ok()).unwrap_or(names.len());
        let more = names.len() > most;
        names.truncate(most);
        let mut told = json!({ "QueueUrls": names.iter().map(|name| url(call, name)).collect::<Vec<_>>() });
        if let Some(last) = names.last().filter(|_| more) {
            told["NextToken"] = json!(last);
        }
        Ok(told)
    }

    pub(super) async fn queue_attributes(&self, call: &Call) -> Result<Value, Error> {
        let queue = self.queue_of(call)?;
        let Wanted { attribute_names } = call.input()?;
        let counts = self.queue.counts(&queue).await?;
        let mut known = vec![
            ("QueueArn", format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}")),
            ("ApproximateNumberOfMessages", counts.visible.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string()),
            ("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string()),
            ("VisibilityTimeout", VISIBILITY.to_string()),
            ("MaximumMessageSize", LIMIT.to_string()),
            ("DelaySeconds", "0".to_owned()),
            ("ReceiveMessageWaitTimeSeconds", "0".to_owned()),
        ];
        let of_fifo = [
            ("FifoQueue", "true"),
            ("ContentBasedDeduplication", "true"),
            ("DeduplicationScope", "messageGroup"),
            ("FifoThroughputLimit", "perMessageGroupId"),
        ];
        known.extend(of_fifo.iter().filter(|_| is_fifo(&queue)).map(|(name, value)| (*name, (*value).to_owned())));
        let is_name = |name: &String| {
            name == "All"
                || known.iter().any(|(known, _)| known == name)
                || UNKNOWN.contains(&name.as_str())
                || of_fifo.iter().any(|(known, _)| known == name)
        };
        if let Some(wrong) = attribute_names.iter().find(|name| !is_name(name)) {
            return Err(Error::new(INVALID_ATTRIBUTE_NAME, format!("Unknown Attribute {wrong}.")));
        }
        let wanted = |name: &str| attribute_names.iter().any(|wanted| wanted == "All" || wanted == name);
        let told: Map<String, Value> =
            known.into_iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (name.to_owned(), json!(value))).collect();
        Ok(if told.is_empty() { json!({}) } else { json!({ "Attributes": told }) })
    }

    pub(super) async fn purge_queue(&self, call: &Call) -> Result<Value, Error> {
        let queue = self.queue_of(call)?;
        self.queue.purge(&queue).await?;
        Ok(json!({}))
    }
}

fn url(call: &Call, name: &str) -> String {
    format!("{}/{ACCOUNT}/{name}", call.origin)
}
