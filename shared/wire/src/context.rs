//! What is kept of a message around an envelope: in the envelope's `context`.

use std::collections::BTreeMap;

use errand_core::Envelope;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Adds a field to an envelope's context, unless it has one of that name.
pub(crate) fn add(envelope: &mut Envelope, name: &str, facts: &impl Serialize) {
    let context = envelope.context.json.as_deref().and_then(|json| serde_json::from_str(json.get()).ok());
    let mut context: BTreeMap<String, Box<RawValue>> = context.unwrap_or_default();
    if context.contains_key(name) {
        return;
    }
    // Texts, numbers and JSON that was parsed before: there is nothing here that serde can refuse.
    context.extend(to_raw_value(facts).ok().map(|facts| (name.to_owned(), facts)));
    envelope.context.json = to_raw_value(&context).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays() {
        let mut envelope = Envelope::new("a".to_owned(), "t".to_owned());
        add(&mut envelope, "sns", &1);
        add(&mut envelope, "sns", &2);
        add(&mut envelope, "eventbridge", &"x");
        assert_eq!(envelope.context.json.unwrap().get(), r#"{"eventbridge":"x","sns":1}"#);
    }
}
