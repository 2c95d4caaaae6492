use errand_core::{
    Envelope, PublishError, Timestamp,
    json::{self, Object},
};
use serde_json::value::RawValue;

/// The time as Python's `isoformat` writes it, which its `fromisoformat` reads in every version.
pub(crate) fn time(at: Timestamp) -> String {
    at.to_string().replace('Z', "+00:00")
}

/// A task as a CloudEvent: its name is the type, and its arguments are the data.
///
/// # Errors
/// It has arguments that an event does not hold.
pub(crate) fn event(envelope: &Envelope, source: &str, time: &str) -> Result<String, PublishError> {
    if envelope.args.as_deref().is_some_and(|args| args.get().trim_start_matches('[').trim_ascii_start() != "]") {
        return Err(PublishError::Refused("the data of an event is the task's named arguments: expected no args".to_owned()));
    }
    let mut event = Object::new();
    let mut say = |name: &str, text: &str| event.field(name, &json::text(text));
    say("specversion", "1.0");
    say("type", &envelope.task);
    say("source", source);
    say("id", &envelope.id);
    say("time", time);
    say("datacontenttype", "application/json");
    let extensions = [
        ("expirytime", envelope.expires.map(self::time)),
        ("partitionkey", envelope.group.clone()),
        ("traceparent", envelope.trace.clone()),
    ];
    for (name, value) in extensions {
        value.iter().for_each(|value| say(name, value));
    }
    event.field("data", envelope.kwargs.as_deref().map_or("{}", RawValue::get));
    Ok(event.end())
}
