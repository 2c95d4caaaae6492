use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{DeadLetter, Message};
use errand_sqs::LIMIT;

/// Says that the body is the base64 of what was received.
pub(crate) const ENCODING: (&str, &str) = ("errand-encoding", "base64");

/// A dead letter as a message that SQS takes: whatever the body was, and with as many attributes as fit beside it.
pub(crate) struct Burial {
    pub(crate) body: String,
    pub(crate) attributes: Vec<(&'static str, String)>,
}

impl Burial {
    pub(crate) fn of(message: &Message, letter: &DeadLetter) -> Self {
        let (body, mut attributes) = (message.body.as_str(), Vec::new());
        let body = if body.is_empty() {
            // SQS takes no message without a body.
            " ".to_owned()
        } else if body.chars().all(allowed) {
            body.to_owned()
        } else {
            attributes.push((ENCODING.0, ENCODING.1.to_owned()));
            STANDARD.encode(body)
        };
        let mut room = LIMIT.saturating_sub(body.len() + attributes.iter().map(size).sum::<usize>());
        for (name, value) in letter.attributes(message) {
            let attribute = (name, clean(&value).into_owned());
            if !attribute.1.is_empty() && size(&attribute) <= room {
                room -= size(&attribute);
                attributes.push(attribute);
            }
        }
        Self { body, attributes }
    }
}

/// What an attribute counts: its name, its type and its value.
fn size((name, value): &(&'static str, String)) -> usize {
    name.len() + "String".len() + value.len()
}

/// The characters that SQS takes. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(allowed) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().map(|c| if allowed(c) { c } else { '?' }).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use errand_core::{BODY_LIMIT, ErrorKind};

    use super::*;

    fn of(body: &str) -> Burial {
        Burial::of(&message(body), &letter())
    }

    fn message(body: &str) -> Message {
        Message {
            id: "m".to_owned(),
            receipt: "r".to_owned(),
            body: body.to_owned(),
            attributes: BTreeMap::new(),
            receive_count: 1,
            sent_at: None,
            queue: "default".to_owned(),
            lane: None,
        }
    }

    fn letter() -> DeadLetter {
        DeadLetter {
            kind: ErrorKind::Malformed,
            reason: "x\0".repeat(4096),
            attempts: 6,
            id: Some("i".repeat(128)),
            task: Some("t".repeat(200)),
        }
    }

    fn total(burial: &Burial) -> usize {
        burial.body.len() + burial.attributes.iter().map(size).sum::<usize>()
    }

    #[test]
    fn the_largest_body_has_room_for_every_attribute() {
        let burial = of(&"x".repeat(BODY_LIMIT));
        assert!(total(&burial) <= LIMIT);
        assert_eq!(burial.attributes.len(), 6);
    }

    #[test]
    fn what_was_said_beside_the_body_is_kept() {
        let said = BTreeMap::from([("ce-type".to_owned(), "order.shipped".to_owned())]);
        let burial = Burial::of(&Message { attributes: said.clone(), ..message("{}") }, &letter());
        let attributes: BTreeMap<String, String> = burial.attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(DeadLetter::original(attributes), said);
        assert_eq!(DeadLetter::original(said.clone()), said, "one that the queue itself gave up has them still");
    }

    #[test]
    fn a_body_that_fills_a_message_is_still_buried() {
        let burial = of(&"x".repeat(LIMIT));
        assert_eq!((burial.body.len(), burial.attributes.len()), (LIMIT, 0));
        let burial = of(&"x".repeat(LIMIT - 100));
        assert!(total(&burial) <= LIMIT && burial.attributes.iter().any(|(name, _)| *name == "errand-kind"));
    }

    #[test]
    fn what_sqs_refuses_is_encoded_and_replaced() {
        let burial = of("\0{");
        assert_eq!((burial.body.as_str(), &burial.attributes[0]), ("AHs=", &(ENCODING.0, ENCODING.1.to_owned())));
        assert!(burial.attributes.iter().all(|(_, value)| value.chars().all(allowed)));
        assert!(!of("").body.is_empty());
    }
}
