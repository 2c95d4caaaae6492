//! Envelopes as messages. <https://learn.microsoft.com/rest/api/servicebus/message-headers-and-properties>

use std::fmt::Write as _;

use errand_azure::http_date;
use errand_core::{Envelope, PublishError, Timestamp};
use serde::Serialize;

use crate::Options;

/// The longest id of a session, in characters.
const LONGEST_SESSION: usize = 128;

/// What stands around a body in a batch: `{"Body":"","BrokerProperties":},`.
const FRAME: usize = 32;

/// What is sent of an envelope.
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    properties: Properties,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    message_id: String,
    label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_live: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_enqueue_time_utc: Option<String>,
    /// In a batch; of a message by itself it is a header of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'static str>,
}

impl Message {
    /// # Errors
    /// No message can be made of the envelope.
    pub(crate) fn of(envelope: &Envelope, options: &Options, now: Timestamp) -> Result<Self, PublishError> {
        let body = options.format.encode(envelope)?;
        if body.len() > options.body_limit() {
            return Err(PublishError::TooLarge { limit: options.body_limit() });
        }
        if envelope.group.as_ref().is_some_and(|group| group.chars().count() > LONGEST_SESSION) {
            let why = format!("Service Bus: the id of a session, which group is there, has at most {LONGEST_SESSION} characters");
            return Err(PublishError::Refused(why));
        }
        let due = envelope.run_after.filter(|due| options.scheduled_enqueue_time && *due > now);
        // A message's time begins when it can be received.
        let until_expiry = envelope.expires.map(|expires| expires.since(due.unwrap_or(now)).as_millis().div_ceil(1000).max(1));
        let until_expiry = until_expiry.and_then(|seconds| u64::try_from(seconds).ok());
        let properties = Properties {
            message_id: envelope.id.clone(),
            label: envelope.task.clone(),
            session_id: envelope.group.clone(),
            time_to_live: options.time_to_live.into_iter().chain(until_expiry).min(),
            // To the second, and not earlier.
            scheduled_enqueue_time_utc: due.map(|due| http_date(Timestamp::from_millis(due.millis() + 999))),
            content_type: Some(options.content_type()),
        };
        Ok(Self { id: envelope.id.clone(), body, properties })
    }

    /// How long it is in a batch, in bytes.
    pub(crate) fn length(&self) -> usize {
        escaped(&self.body) + json(&self.properties).len() + FRAME
    }

    /// The value of the header `BrokerProperties`: headers are ASCII.
    pub(crate) fn header(&self) -> String {
        let json = json(&Properties { content_type: None, ..self.properties.clone() });
        let mut header = String::with_capacity(json.len());
        for c in json.chars() {
            if c.is_ascii() {
                header.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a text cannot fail.
                let _ = write!(header, "\\u{unit:04x}");
            }
        }
        header
    }
}

/// The body of a call that sends several: <https://learn.microsoft.com/rest/api/servicebus/send-message-batch>
pub(crate) fn batch(messages: &[&Message]) -> String {
    let entry = |message: &&Message| format!(r#"{{"Body":{},"BrokerProperties":{}}}"#, json(&message.body), json(&message.properties));
    format!("[{}]", messages.iter().map(entry).collect::<Vec<_>>().join(","))
}

/// As JSON, which texts and numbers always are.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// How long a text of JSON is inside of another, in bytes: of what a string escapes there are line breaks and tabs between its tokens, quotes and backslashes.
fn escaped(json: &str) -> usize {
    json.len() + json.bytes().filter(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\')).count()
}
