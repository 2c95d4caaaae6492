//! What a stream of DynamoDB invokes a function with, as far as it is read.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>

use std::{borrow::Cow, collections::BTreeMap};

use errand_core::{ErrorKind, Timestamp};
use errand_relay::{Event, Unreadable};
use serde::Deserialize;

use crate::attribute::{Attribute, object};

#[derive(Deserialize)]
struct Invocation<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow)]
    event_name: Cow<'a, str>,
    dynamodb: Change,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    sequence_number: String,
    /// Seconds since 1970.
    approximate_creation_date_time: Option<f64>,
    new_image: Option<BTreeMap<String, Attribute>>,
    keys: Option<BTreeMap<String, Attribute>>,
}

/// The events that were written, in their order: an item that is changed or removed is none. `None` where these are no records of a stream.
pub(crate) fn events(invocation: &str) -> Option<Vec<Event>> {
    let Invocation { records } = serde_json::from_str(invocation).ok()?;
    Some(records.into_iter().filter(|record| record.event_name == "INSERT").map(|record| record.dynamodb.event()).collect())
}

impl Change {
    fn event(self) -> Event {
        let Self { sequence_number, approximate_creation_date_time, new_image, keys } = self;
        let item = new_image.as_ref();
        let text = |name: &str| item.or(keys.as_ref())?.get(name)?.text().map(ToOwned::to_owned);
        let content = match item {
            Some(item) => content(item),
            None => Err(Unreadable {
                kind: ErrorKind::Misconfigured,
                reason: "the stream does not bring what was written: its view type must be NEW_IMAGE, or NEW_AND_OLD_IMAGES".to_owned(),
                body: keys.as_ref().map(object).unwrap_or_default(),
            }),
        };
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 are whole")]
        let written_at = approximate_creation_date_time.map(|seconds| Timestamp::from_millis((seconds * 1000.0) as i64));
        Event { key: text("key"), queue: text("queue"), name: sequence_number, content, written_at }
    }
}

/// The event in an item: a map, or the text of one.
fn content(item: &BTreeMap<String, Attribute>) -> Result<String, Unreadable> {
    match item.get("event") {
        Some(event @ Attribute::M(_)) => Ok(event.json()),
        Some(Attribute::S(text)) => Ok(text.clone()),
        _ => Err(Unreadable {
            kind: ErrorKind::Malformed,
            reason: "the item has no event: expected a map, or its JSON as a text, in the attribute event".to_owned(),
            body: object(item),
        }),
    }
}
