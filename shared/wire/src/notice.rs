//! What reaches a topic and asks for no task: an alarm, a budget, a pipeline's notice, a person's text. It becomes the task `sns.` and the topic's name, for routes to
//! say what is done about it.

use std::collections::BTreeMap;

use errand_core::{BODY_LIMIT, Envelope, Fields, Sender};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{guard, name, native};

/// A notice, and what SNS says of it.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Notice<'a> {
    pub(crate) subject: Option<&'a str>,
    pub(crate) message: &'a str,
    /// The topic's ARN.
    pub(crate) topic: &'a str,
    pub(crate) attributes: &'a BTreeMap<String, String>,
}

impl Notice<'_> {
    /// Whether it asks for a task after all, though wrongly.
    pub(crate) fn is_task(&self) -> bool {
        const NAMES: [&str; 2] = ["task", "task_name"];
        if NAMES.iter().any(|name| self.attributes.contains_key(*name)) {
            return true;
        }
        match Fields::of(self.message).map(Fields::into_entries) {
            Ok(fields) => fields.iter().any(|(name, _)| NAMES.contains(&name.as_ref())),
            // A list, or cut off in its middle.
            Err(_) => is_json_like(self.message) && NAMES.iter().any(|name| self.message.contains(&format!("\"{name}\""))),
        }
    }

    /// Its task: an object or array is JSON as it was written, everything else is text, numbers as well.
    pub(crate) fn envelope(&self, id: &str) -> Envelope {
        #[derive(Serialize)]
        struct Json<'a> {
            subject: Option<&'a str>,
            message: &'a RawValue,
            topic: &'a str,
            attributes: &'a BTreeMap<String, String>,
        }
        let Self { subject, topic, attributes, .. } = *self;
        let topics_name = topic.rsplit(':').next().unwrap_or_default();
        let envelope = Envelope { sender: Sender::Sns, ..Envelope::new(id.to_owned(), name::task(&format!("sns.{topics_name}"))) };
        let json = is_json_like(self.message).then(|| serde_json::from_str::<&RawValue>(self.message).ok()).flatten();
        let json = json.and_then(|message| to_raw_value(&Json { subject, message, topic, attributes }).ok());
        let with = |kwargs| Envelope { kwargs, ..envelope.clone() };
        // As a message of our own it stands deeper than it came, and must not be too deep then.
        let with_json = json.map(|json| with(Some(json))).filter(|whole| guard::check(&native::encode(whole), BODY_LIMIT).is_ok());
        with_json.unwrap_or_else(|| with(to_raw_value(self).ok()))
    }
}

fn is_json_like(text: &str) -> bool {
    text.trim_ascii_start().starts_with(['{', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_as_it_was_written() {
        let attributes = BTreeMap::new();
        let kwargs = |message| {
            let notice = Notice { subject: Some("s"), message, topic: "arn:aws:sns:eu-west-1:1:t", attributes: &attributes };
            notice.envelope("m").payload().to_owned()
        };
        for (message, written) in [
            (r#" {"b":1180591620717411303424,"a":[100.10, 1E+2],"b":1} "#, r#"{"b":1180591620717411303424,"a":[100.10, 1E+2],"b":1}"#),
            ("1180591620717411303424", r#""1180591620717411303424""#),
            ("{broken", r#""{broken""#),
            (r#"{"half":"\ud800"}"#, r#""{\"half\":\"\\ud800\"}""#),
        ] {
            let expected = format!(r#"{{"subject":"s","message":{written},"topic":"arn:aws:sns:eu-west-1:1:t","attributes":{{}}}}"#);
            assert_eq!(kwargs(message), expected);
        }
    }
}
