//! Amazon SES's notices of what became of a mail: `notificationType` where an identity has topics for its feedback, `eventType` where a configuration set publishes
//! events. <https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html>,
//! <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html>

use errand_core::{Envelope, Fields, Sender};
use serde_json::value::RawValue;

use crate::{Content, Decoded, Layer, Refused, name};

/// What SES publishes when a topic is set up for an identity's feedback.
const SUBSCRIBED: &str = "\"AmazonSnsSubscriptionSucceeded\"";

/// What SES publishes when a topic is set up for a configuration set's events.
const VALIDATED: &str = "Successfully validated SNS topic for Amazon SES event publishing.";

/// Whether this is such a notice.
pub(crate) fn is_ses(fields: &Fields<'_>) -> bool {
    let is_of_mail = || fields.raw("mail").is_some_and(|mail| mail.get().starts_with('{'));
    kind(fields).is_some_and(|kind| kind.get() == SUBSCRIBED || kind.get().starts_with('"') && is_of_mail())
}

fn kind<'a>(fields: &Fields<'a>) -> Option<&'a RawValue> {
    fields.raw("notificationType").or_else(|| fields.raw("eventType"))
}

/// Reads a notice: the task `ses.` and its type, with the notice as its payload.
pub(crate) fn read(fields: &Fields<'_>, layer: &Layer<'_>) -> Result<Decoded, Refused> {
    let kind = kind(fields).map_or("\"\"", RawValue::get);
    if kind == SUBSCRIBED {
        return Ok(test());
    }
    let kind: String = serde_json::from_str(kind).map_err(|error| Refused::by(Sender::Ses, Fields::not_json(&error, kind)))?;
    let kwargs = RawValue::from_string(fields.source().trim().to_owned()).ok();
    let task = name::task(&format!("ses.{kind}"));
    Ok(Decoded::one(Envelope { kwargs, sender: Sender::Ses, ..Envelope::new(layer.id.to_owned(), task) }))
}

/// What a topic's text is that only says that SES can publish to it.
pub(crate) fn read_text(message: &str) -> Option<Decoded> {
    (message.trim() == VALIDATED).then(test)
}

fn test() -> Decoded {
    Decoded::new(Sender::Ses, Content::Nothing("a test of SES: its notices reach this queue"))
}
