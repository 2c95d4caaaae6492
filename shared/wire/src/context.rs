//! What is kept of a message around an envelope: in the envelope's `context`.

use errand_core::{Envelope, Fields};
use serde::Serialize;

use crate::object::Object;

/// Adds a field to an envelope's context, unless it has one of that name.
pub(crate) fn add(envelope: &mut Envelope, name: &str, facts: &impl Serialize) {
    let context = envelope.context.json.as_deref().and_then(|json| Fields::of(json.get()).ok());
    let mut whole = Object::new();
    if let Some(context) = &context {
        if context.raw(name).is_some() {
            return;
        }
        context.entries().for_each(|(name, json)| whole.field(name, json.get()));
    }
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
    }
}
