//! Events that a function is invoked with when nothing stands between it and who invokes it.

use std::collections::BTreeMap;

use errand_core::{DEFAULT_QUEUE, Message};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The messages in an event: of SNS one for each of its records, else the event itself. `id` is that of the invocation, which Lambda keeps when it tries an
/// asynchronous one again. <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>
#[must_use]
pub fn messages(event: &str, id: &str) -> Vec<Message> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow, rename = "Records")]
        records: Vec<Record<'a>>,
    }
    #[derive(Deserialize)]
    struct Record<'a> {
        #[serde(borrow, rename = "Sns")]
        sns: &'a RawValue,
    }
    let bodies: Vec<String> = match serde_json::from_str::<Event<'_>>(event) {
        Ok(event) => event.records.iter().map(|record| record.sns.get().to_owned()).collect(),
        Err(_) => vec![event.to_owned()],
    };
    let several = bodies.len() > 1;
    let named = |(place, body)| Message { id: if several { format!("{id}-{place}") } else { id.to_owned() }, ..message(body) };
    bodies.into_iter().enumerate().map(named).collect()
}

/// A message of which nothing is known but its text.
#[must_use]
pub fn message(body: String) -> Message {
    Message {
        id: String::new(),
        receipt: String::new(),
        body,
        attributes: BTreeMap::new(),
        receive_count: 1,
        sent_at: None,
        queue: DEFAULT_QUEUE.to_owned(),
        lane: None,
    }
}
