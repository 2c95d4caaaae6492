//! What is kept of a message around an envelope: in the envelope's `context`.

use errand_core::{Envelope, Fields, json::Object};
use serde::Serialize;

/// Adds a field to an envelope's context, unless it has one of that name.
pub(crate) fn add(envelope: &mut Envelope, name: &'static str, facts: &impl Serialize) {
    let context = envelope.context.json.as_deref().and_then(|json| Fields::of(json.get()).ok());
    if context.as_ref().is_some_and(|context| context.raw(name).is_some()) {
        return;
    }
    let mut whole = Object::new();
    let others = context.into_iter().flat_map(Fields::into_entries).filter(|(other, _)| other != name);
    others.for_each(|(name, json)| whole.field(&name, json.get()));
    // Texts, numbers and JSON that was parsed before: there is nothing here that serde can refuse.
    whole.field(name, &serde_json::to_string(facts).unwrap_or_default());
    envelope.context.json = whole.raw();
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
        assert_eq!(envelope.context.json.unwrap().get(), r#"{"sns":1,"eventbridge":"x"}"#);
        envelope.context.json = serde_json::value::RawValue::from_string(r#"{"n":1e400,"sns":null,"none":null}"#.to_owned()).ok();
        add(&mut envelope, "sns", &1);
        assert_eq!(envelope.context.json.unwrap().get(), r#"{"n":1e400,"none":null,"sns":1}"#);
    }
}
