//! What a consumer makes of a message: for whoever wires a sender.

use std::{collections::BTreeMap, error::Error, fmt, fs, io::Read, path::PathBuf};

use clap::Args;
use errand_core::{Message, Sender};
use errand_wire::{Content, Refused};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::client::say;

/// The id of a message that comes without one.
const NAMELESS: &str = "message";

/// Tell what a message on the queue is read as.
///
/// Prints one line of JSON for each task in it: the message's id, whose message it is, and the task in Errand's own form; or why it is refused; or why there is
/// nothing to do. Nothing is sent, fetched or verified.
#[derive(Args)]
#[command(after_help = r#"Ends with 1 when a message would be refused.

Examples:
  errand decode message.json
  aws sqs receive-message --queue-url $QUEUE_URL --message-attribute-names All | errand decode -
  echo '{"task":"email","kwargs":{}}' | errand decode -"#)]
pub(crate) struct Decode {
    /// A message's body, one record of an SQS event, a message as `aws sqs receive-message` tells it, or a whole event; - reads standard input
    file: PathBuf,
}

impl Decode {
    pub(crate) fn run(&self) -> Result<(), Box<dyn Error>> {
        let told = match String::from_utf8(self.read()?) {
            Ok(text) => messages(&text).iter().map(tell).collect(),
            Err(_) => vec![Err(Line { refused: Some("is not UTF-8".to_owned()), ..Line::of(NAMELESS, None) }.to_string())],
        };
        told.iter().for_each(|told| match told {
            Ok(lines) => lines.iter().for_each(say),
            Err(line) => say(line),
        });
        let refused = told.iter().filter(|told| told.is_err()).count();
        if refused > 0 { Err(format!("{refused} of {} would be refused", told.len()).into()) } else { Ok(()) }
    }

    fn read(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        if self.file.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
        fs::read(&self.file).map_err(|error| format!("{}: {error}", self.file.display()).into())
    }
}

/// What is told of one task, or of why there is none.
#[derive(Serialize)]
struct Line<'a> {
    message_id: &'a str,
    sender: Option<Sender>,
    #[serde(skip_serializing_if = "Option::is_none")]
    envelope: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignored: Option<&'static str>,
    /// Where fields stand that nobody reads.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    unread: &'a [String],
    /// Where the body is, of a message that holds no more than that.
    #[serde(skip_serializing_if = "Option::is_none")]
    elsewhere: Option<String>,
}

impl<'a> Line<'a> {
    fn of(message_id: &'a str, sender: Option<Sender>) -> Self {
        Self { message_id, sender, envelope: None, refused: None, ignored: None, unread: &[], elsewhere: None }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// The lines of a message; or the one that says why it is refused.
fn tell(message: &Message) -> Result<Vec<String>, String> {
    let refused =
        |refused: Refused| Line { refused: Some(refused.problems.to_string()), ..Line::of(&message.id, refused.sender) }.to_string();
    let decoded = errand_wire::decode(message).map_err(refused)?;
    let line = || Line { unread: &decoded.unread, ..Line::of(&message.id, Some(decoded.sender)) };
    Ok(match decoded.content {
        Content::Envelopes(envelopes) => {
            let told = |envelope| Line { envelope: RawValue::from_string(errand_wire::encode(envelope)).ok(), ..line() }.to_string();
            envelopes.iter().map(told).collect()
        }
        Content::Nothing(why) => vec![Line { ignored: Some(why), ..line() }.to_string()],
        Content::Elsewhere(pointer) => {
            vec![Line { elsewhere: Some(format!("s3://{}/{}", pointer.bucket, pointer.key)), ..line() }.to_string()]
        }
    })
}

/// A message as SQS tells it: to Lambda, or to who receives it.
#[derive(Deserialize)]
struct Told {
    #[serde(alias = "MessageId", rename = "messageId")]
    id: String,
    #[serde(alias = "Body", rename = "body")]
    body: String,
    #[serde(alias = "MessageAttributes", rename = "messageAttributes", default)]
    attributes: BTreeMap<String, Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    #[serde(alias = "StringValue", rename = "stringValue")]
    text: Option<String>,
    #[serde(alias = "BinaryValue", rename = "binaryValue")]
    base64: Option<String>,
}

/// Several of them.
#[derive(Deserialize)]
struct Several {
    #[serde(alias = "Messages", rename = "Records")]
    messages: Vec<Told>,
}

/// The messages in a text; the text itself, if it is none of what holds messages.
fn messages(text: &str) -> Vec<Message> {
    let several = serde_json::from_str::<Several>(text).map(|several| several.messages);
    match several.or_else(|_| serde_json::from_str::<Told>(text).map(|one| vec![one])) {
        Ok(told) => told.into_iter().map(message).collect(),
        Err(_) => errand_wire::lambda::messages(text, NAMELESS),
    }
}

fn message(Told { id, body, attributes }: Told) -> Message {
    let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name, value.text.or(value.base64)?)));
    Message { id, attributes: attributes.collect(), ..errand_wire::lambda::message(body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        messages(text).iter().flat_map(|message| tell(message).unwrap_or_else(|line| vec![line])).collect()
    }

    #[test]
    fn bodies_records_and_events_are_told_alike() {
        let envelope = r#""sender":"native","envelope":{"task":"t","id":"a","kwargs":{"n":1180591620717411303424},"queue":"default"}}"#;
        let body = r#"{"task":"t","id":"a","kwargs":{"n":1180591620717411303424}}"#;
        let quoted = serde_json::to_string(body).unwrap();
        let record = format!(r#"{{"messageId":"m","body":{quoted},"messageAttributes":{{}},"extra":1}}"#);
        assert_eq!(lines(body), [format!(r#"{{"message_id":"message",{envelope}"#)]);
        let with_id = [format!(r#"{{"message_id":"m",{envelope}"#)];
        for text in [
            record.clone(),
            format!(r#"{{"_extra":{{}},"Records":[{record}]}}"#),
            format!(r#"{{"Messages":[{{"MessageId":"m","Body":{quoted}}}]}}"#),
        ] {
            assert_eq!(lines(&text), with_id, "{text}");
        }
    }

    #[test]
    fn what_holds_no_task_says_why() {
        assert_eq!(
            lines("hello"),
            [r#"{"message_id":"message","sender":null,"refused":"is not JSON: expected value (line 1, column 1)"}"#]
        );
        assert!(lines(r#"{"task":"t","run_at":"now","id":"m"}"#)[0].ends_with(r#","unread":["/run_at"]}"#));
        assert!(lines(r#"{"Event":"s3:TestEvent"}"#)[0].contains(r#""sender":"s3","ignored":"a test event of S3"#));
        let attribute = r#"{"messageId":"m","body":"{\"n\":1}","messageAttributes":{"task":{"stringValue":"t","dataType":"String"}}}"#;
        assert!(lines(attribute)[0].contains(r#""envelope":{"task":"t","id":"m","kwargs":{"n":1}"#));
    }
}
