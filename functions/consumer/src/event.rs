//! What SQS invokes a function with, as far as it is read. Of some twenty texts of a record seven are read, and but for the body they stay where they are: the
//! types of `aws_lambda_events` own them all.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>

use std::{borrow::Cow, collections::BTreeMap};

use errand_core::{DeadLetter, Message, Queues, Timestamp};
use serde::Deserialize;

/// An event of SQS.
#[derive(Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow)]
    message_id: Option<Text<'a>>,
    #[serde(borrow)]
    receipt_handle: Option<Text<'a>>,
    body: Option<String>,
    #[serde(borrow)]
    attributes: Option<Attributes<'a>>,
    message_attributes: Option<BTreeMap<String, MessageAttribute>>,
    #[serde(rename = "eventSourceARN", borrow)]
    event_source_arn: Option<Text<'a>>,
    #[serde(borrow)]
    event_source: Option<Text<'a>>,
}

/// A text that is copied only where it is escaped.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What SQS itself says of a message.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes<'a> {
    #[serde(borrow)]
    approximate_receive_count: Option<Text<'a>>,
    #[serde(borrow)]
    message_group_id: Option<Text<'a>>,
    #[serde(borrow)]
    sent_timestamp: Option<Text<'a>>,
}

/// What its sender said beside the body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageAttribute {
    string_value: Option<String>,
    /// Bytes as base64.
    binary_value: Option<String>,
}

impl<'a> Event<'a> {
    /// The event in a text; `None` where it is none of SQS.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str::<Self>(text).ok().filter(|event| event.records.iter().all(Record::is_of_sqs))
    }

    /// Its messages. One without an id, which SQS never sends, could not be answered.
    pub(crate) fn messages(self, queues: &Queues) -> Vec<Message> {
        self.records.into_iter().filter_map(|record| record.message(queues)).collect()
    }
}

impl Record<'_> {
    fn is_of_sqs(&self) -> bool {
        self.receipt_handle.is_some() && self.event_source.as_ref().is_none_or(|source| source.0 == "aws:sqs")
    }

    fn message(self, queues: &Queues) -> Option<Message> {
        let source = self.event_source_arn.map_or(Cow::Borrowed(""), |source| source.0);
        let Attributes { approximate_receive_count, message_group_id, sent_timestamp } = self.attributes.unwrap_or_default();
        let attributes = self.message_attributes.unwrap_or_default().into_iter();
        let attributes = attributes.filter_map(|(name, value)| Some((name, value.string_value.or(value.binary_value)?)));
        Some(Message {
            id: self.message_id.filter(|id| !id.0.is_empty())?.0.into_owned(),
            receipt: self.receipt_handle.map(|receipt| receipt.0.into_owned()).unwrap_or_default(),
            body: self.body.unwrap_or_default(),
            attributes: DeadLetter::original(attributes.collect()),
            receive_count: approximate_receive_count.and_then(|count| count.0.parse().ok()).unwrap_or(1),
            sent_at: sent_timestamp.and_then(|millis| millis.0.parse().ok()).map(Timestamp::from_millis),
            queue: queues.name_of_arn(&source).to_owned(),
            // A group on a standard queue names a tenant and asks for no order.
            lane: message_group_id.filter(|_| source.ends_with(".fifo")).map(|group| group.0.into_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues() -> Queues {
        Queues::from_env(&[("ERRAND_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/1/tasks.fifo")].into_iter().collect()).unwrap()
    }

    #[test]
    fn a_record_is_read_whatever_is_escaped_null_or_not_known() {
        let event = r#"{"Records":[{"messageId":"\u0061-1","receiptHandle":"r\/1","body":"{\"task\":\"\u00fc\"}","eventSourceARN":"arn:aws:sqs:eu-west-1:1:tasks.fifo",
            "attributes":{"ApproximateReceiveCount":"3","SentTimestamp":"1700000000000","MessageGroupId":"g","SenderId":"x"},
            "messageAttributes":{"text":{"stringValue":"t","dataType":"String"},"bytes":{"binaryValue":"AP8=","stringListValues":[],"dataType":"Binary"},"none":{"dataType":"String"}},
            "md5OfBody":null,"awsRegion":"eu-west-1"},
            {"messageId":"b","receiptHandle":"r2","body":null,"attributes":null,"messageAttributes":null,"eventSource":"aws:sqs"},
            {"messageId":"","receiptHandle":"r3"}]}"#;
        let messages = Event::read(event).unwrap().messages(&queues());
        let [first, second] = &messages[..] else { panic!("two can be answered: {messages:?}") };
        assert_eq!((first.id.as_str(), first.receipt.as_str(), first.body.as_str()), ("a-1", "r/1", "{\"task\":\"ü\"}"));
        assert_eq!(
            (first.receive_count, first.sent_at.map(Timestamp::millis), first.lane.as_deref()),
            (3, Some(1_700_000_000_000), Some("g"))
        );
        assert_eq!(first.attributes, [("bytes", "AP8="), ("text", "t")].map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert_eq!((second.id.as_str(), second.body.as_str(), second.receive_count, second.attributes.len()), ("b", "", 1, 0));
    }

    #[test]
    fn what_is_no_event_of_sqs_is_told_from_one() {
        for other in [
            "[]",
            r#"{"task":"email"}"#,
            r#"{"Records":[{"eventSource":"aws:s3"}]}"#,
            r#"{"Records":[{"receiptHandle":"r","eventSource":"aws:other"}]}"#,
        ] {
            assert!(Event::read(other).is_none(), "{other}");
        }
    }
}
