use std::collections::BTreeMap;

use errand_core::{Envelope, Fields, Problems, PublishError, segment};
use serde::Deserialize;

/// How many attributes a message may have: with more, SNS hands it to no queue that takes messages as they are.
/// <https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html>
const MOST: usize = 10;

/// What a message says of itself beside its body, for subscriptions to filter by.
pub(crate) type Attributes = Vec<(String, String)>;

/// What the envelope's `context.sns` says, as it stands there when the envelope came from a topic.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    attributes: BTreeMap<String, String>,
}

/// The attributes of an envelope's message: `task`, `queue` and `group`, then what its context says, then those of the alias. What says the same as one before is left out.
pub(crate) fn of(envelope: &Envelope, alias: &BTreeMap<String, String>) -> Result<Attributes, PublishError> {
    let refused = |problems: Problems| PublishError::Refused(problems.under("/context/sns").to_string());
    let said = said(envelope).map_err(refused)?.attributes;
    check(&said).map_err(|problems| refused(problems.under("/attributes")))?;
    let own = [("task", Some(&envelope.task)), ("queue", Some(&envelope.queue)), ("group", envelope.group.as_ref())];
    let own = own.into_iter().filter_map(|(name, value)| Some((name, value?.as_str())));
    let mut attributes = Attributes::new();
    for (name, value) in own.chain(said.iter().chain(alias).map(|(name, value)| (name.as_str(), value.as_str()))) {
        if attributes.iter().all(|(known, _)| known != name) {
            attributes.push((name.to_owned(), value.to_owned()));
        }
    }
    if attributes.len() > MOST {
        return Err(PublishError::Refused(format!("SNS: a message has {MOST} attributes at most, task, queue and group among them")));
    }
    Ok(attributes)
}

fn said(envelope: &Envelope) -> Result<Said, Problems> {
    let context = envelope.context.json.as_deref().and_then(|json| Fields::of(json.get()).ok());
    context.and_then(|context| context.raw("sns")).map_or_else(|| Ok(Said::default()), |said| Fields::value(said.get()))
}

/// Checks names and values: SNS takes others and then, without a word, hands the message to no subscription that filters.
/// <https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html#SNSMessageAttributes.DataTypes>
pub(crate) fn check(attributes: &BTreeMap<String, String>) -> Result<(), Problems> {
    let allowed = |name: &str| {
        let lower = name.to_ascii_lowercase();
        (1..=256).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
            && !lower.starts_with("aws.")
            && !lower.starts_with("amazon.")
            && !name.starts_with('.')
            && !name.ends_with('.')
            && !name.contains("..")
    };
    for (name, value) in attributes {
        let pointer = format!("/{}", segment(name));
        if !allowed(name) {
            return Err(Problems::at(&pointer, "expected the name of an attribute: up to 256 of the characters A-Z a-z 0-9 _ - ."));
        }
        if value.is_empty() || !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err(Problems::at(&pointer, "expected printable ASCII: SNS filters by nothing else"));
        }
    }
    Ok(())
}

/// What they count of a message's size.
pub(crate) fn size(attributes: &Attributes) -> usize {
    attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum()
}
