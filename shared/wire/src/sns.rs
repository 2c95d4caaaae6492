//! Amazon SNS: what a topic hands to a queue, with its wrapper. With raw delivery there is none, and nothing to be told apart.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>

use std::collections::BTreeMap;

use errand_core::{Fields, Problems, Sender, limits};
use serde::Serialize;

use crate::{Content, Decoded, Layer, MOST_LAYERS, Refused, context, notice::Notice, ses};

/// What SNS signs of a message, and with what.
/// <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The text that is signed.
    pub text: String,
    /// The signature in base64; empty where there is none, as on first-in-first-out topics.
    pub signature: String,
    /// `1` for SHA-1, `2` for SHA-256.
    pub version: String,
    /// Where the certificate is.
    pub certificate_url: String,
}

/// A message's wrapper.
#[derive(Default)]
struct Wrapper {
    id: String,
    topic: String,
    message: String,
    subject: Option<String>,
    timestamp: String,
    attributes: BTreeMap<String, String>,
    signed: Option<Signed>,
}

/// What of the wrapper is kept in an envelope's context.
#[derive(Serialize)]
struct Facts<'a> {
    topic: &'a str,
    message_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    timestamp: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, String>,
}

pub(crate) fn read(mut fields: Fields<'_>, layer: &Layer<'_>) -> Result<Decoded, Refused> {
    let refused = |problems: Problems| Refused::by(Sender::Sns, problems);
    match fields.required::<String>("Type").as_deref() {
        Some("Notification") => {}
        Some("UnsubscribeConfirmation") => return Ok(nothing("the queue was unsubscribed from a topic")),
        Some("SubscriptionConfirmation") => {
            return Err(Refused::whole(
                Sender::Sns,
                "a subscription waits to be confirmed: open its SubscribeURL once, or subscribe as the queue's owner",
            ));
        }
        Some(_) => fields.refuse("Type", "expected Notification, SubscriptionConfirmation or UnsubscribeConfirmation"),
        None => {}
    }
    let wrapper = wrapper(&mut fields);
    let wrapper = fields.finish(wrapper).map_err(refused)?;
    let inner = layer.inner(&wrapper.id, &wrapper.message, &wrapper.attributes);
    let mut decoded = crate::read(&inner).or_else(|refused| notice(&wrapper, &inner, refused))?;
    if let Content::Envelopes(envelopes) = &mut decoded.content {
        let Wrapper { id, topic, subject, timestamp, attributes, .. } = &wrapper;
        let facts = Facts { topic, message_id: id, subject: subject.as_deref(), timestamp, attributes };
        envelopes.iter_mut().for_each(|envelope| context::add(envelope, "sns", &facts));
    }
    // Of messages in one another, what was signed last is what came.
    decoded.signed = wrapper.signed;
    Ok(decoded)
}

/// What is in none of the known forms and asks for no task, as a notice.
fn notice(wrapper: &Wrapper, inner: &Layer<'_>, refused: Refused) -> Result<Decoded, Refused> {
    let Wrapper { id, topic, message, subject, attributes, .. } = wrapper;
    let notice = Notice { subject: subject.as_deref(), message, topic, attributes };
    if matches!(refused.sender, None | Some(Sender::Native)) && inner.depth <= MOST_LAYERS && !notice.is_task() {
        return Ok(ses::read_text(message).unwrap_or_else(|| Decoded::one(notice.envelope(id))));
    }
    Err(Refused::by(refused.sender.unwrap_or(Sender::Sns), refused.problems.under("/Message")))
}

fn nothing(why: &'static str) -> Decoded {
    Decoded::new(Sender::Sns, Content::Nothing(why))
}

fn wrapper(fields: &mut Fields<'_>) -> Option<Wrapper> {
    let attributes =
        fields.object("MessageAttributes", |attributes| Some(attributes.each(|_, attribute| attribute.required::<String>("Value"))));
    let wrapper = Wrapper {
        id: fields.text("MessageId", limits::id).unwrap_or_default(),
        topic: fields.required("TopicArn")?,
        message: fields.required("Message")?,
        subject: fields.optional("Subject"),
        timestamp: fields.optional("Timestamp").unwrap_or_default(),
        attributes: attributes.unwrap_or_default(),
        signed: None,
    };
    let signed = Signed {
        text: signed_text(&wrapper),
        signature: fields.optional("Signature").unwrap_or_default(),
        version: fields.optional("SignatureVersion").unwrap_or_default(),
        // Lambda spells it otherwise.
        certificate_url: fields.optional("SigningCertURL").or_else(|| fields.optional("SigningCertUrl")).unwrap_or_default(),
    };
    if wrapper.id.is_empty() {
        fields.refuse("MessageId", "is required");
    }
    Some(Wrapper { signed: Some(signed), ..wrapper })
}

/// Names and values in turn, each on a line, in the order of the names.
fn signed_text(Wrapper { id, topic, message, subject, timestamp, .. }: &Wrapper) -> String {
    let subject = subject.as_ref().map(|subject| format!("Subject\n{subject}\n")).unwrap_or_default();
    format!("Message\n{message}\nMessageId\n{id}\n{subject}Timestamp\n{timestamp}\nTopicArn\n{topic}\nType\nNotification\n")
}
