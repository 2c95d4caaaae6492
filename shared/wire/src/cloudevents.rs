//! CloudEvents 1.0 in structured, binary and batched mode: `type` names the task, and `data` is its arguments.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>

use std::{borrow::Cow, collections::BTreeMap};

use errand_core::{
    Context, Envelope, Fields, Problems, Sender, Timestamp, from_base64,
    json::{self, Object},
    limits,
};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Content, Decoded, Layer, Refused, context, digest, name, native};

/// The most events of one batch.
const MOST: usize = 1000;

/// How the names of attributes begin that stand beside the data: as in HTTP, and as in AMQP and JMS.
const PREFIXES: [&str; 4] = ["ce-", "ce_", "cloudevents:", "cloudevents_"];

/// The `source` of the events that Errand itself writes: their ids are those of envelopes.
pub const SOURCE: &str = "errand";

/// Says of an event that its data is an object of `args` and `kwargs`, since named arguments alone would not say all. An extension of Errand's own.
const BOTH: &str = "errandarguments";

/// An envelope as an event in structured mode: the one that it was read from, if it was; else one of this source and time, which is RFC 3339. Its data is then the task's named
/// arguments as they were written, where there are no others.
#[must_use]
pub fn encode(envelope: &Envelope, source: &str, time: Option<&str>) -> String {
    if let Some(origin) = Origin::of(envelope) {
        return native::escape(origin.event(envelope));
    }
    let mut event = Object::new();
    let mut say = |name: &str, text: &str| event.field(name, &json::text(text));
    say("specversion", "1.0");
    say("type", &envelope.task);
    say("source", source);
    say("id", &envelope.id);
    let expires = envelope.expires.map(|at| at.to_string());
    let attributes = [
        ("time", time),
        ("expirytime", expires.as_deref()),
        ("partitionkey", envelope.group.as_deref()),
        ("traceparent", envelope.trace.as_deref()),
    ];
    attributes.into_iter().for_each(|(name, value)| value.into_iter().for_each(|value| say(name, value)));
    let kwargs = envelope.kwargs.as_deref().map(RawValue::get);
    let whole = envelope.has_args() || envelope.context.bulk;
    say("datacontenttype", "application/json");
    if whole {
        let mut data = Object::new();
        envelope.args.iter().for_each(|args| data.field("args", args.get()));
        kwargs.into_iter().for_each(|kwargs| data.field("kwargs", kwargs));
        event.field(BOTH, "true");
        event.field("data", &data.end());
    } else {
        kwargs.into_iter().for_each(|kwargs| event.field("data", kwargs));
    }
    native::escape(event.end())
}

/// The event that an envelope was read from: handed on, it is the same to who knows it by its source and id.
pub struct Origin {
    /// Its `id`.
    pub id: String,
    /// Its `source`.
    pub source: String,
    /// Its `type`.
    pub kind: String,
    /// Its `time`, as it was written.
    pub time: Option<String>,
    /// All but its data, in JSON.
    attributes: Vec<(String, Box<RawValue>)>,
}

impl Origin {
    /// That of an envelope which is the event's still.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Option<Self> {
        #[derive(Deserialize)]
        struct Said<'a> {
            #[serde(borrow)]
            cloudevents: &'a RawValue,
        }
        let context = envelope.context.json.as_deref().filter(|_| !envelope.context.bulk)?;
        let said: Said<'_> = serde_json::from_str(context.get()).ok()?;
        let mut fields = Fields::of(said.cloudevents.get()).ok()?;
        let (id, source, kind) =
            (fields.optional::<String>("id")?, fields.optional::<String>("source")?, fields.optional::<String>("type")?);
        // One that somebody else has said of a task of another id or name is none; what Errand itself has written is written anew.
        if id_of(&source, &id) != envelope.id || name::task(&kind) != envelope.task || fields.has(BOTH) {
            return None;
        }
        let time = fields.optional("time");
        let attributes = fields.entries().map(|(name, json)| (name.to_owned(), json.to_owned())).collect();
        Some(Self { id, source, kind, time, attributes })
    }

    /// It in structured mode, with what the envelope says beside it.
    fn event(&self, envelope: &Envelope) -> String {
        let mut event = Object::new();
        self.attributes.iter().for_each(|(name, json)| event.field(name, json.get()));
        for (name, value) in [("partitionkey", &envelope.group), ("traceparent", &envelope.trace)] {
            if let Some(value) = value.as_ref().filter(|_| self.attributes.iter().all(|(said, _)| said != name)) {
                event.field(name, &json::text(value));
            }
        }
        let alone = envelope.args.as_deref().and_then(|args| serde_json::from_str::<[&RawValue; 1]>(args.get()).ok());
        match (envelope.kwargs.as_deref(), alone) {
            (Some(data), _) => event.field("data", data.get()),
            (None, Some([data])) => event.field(if self.is_base64(data) { "data_base64" } else { "data" }, data.get()),
            (None, None) => {}
        }
        event.end()
    }

    /// Whether its data is the base64 of bytes: a text that is so, of a media type that is neither JSON's nor a text's.
    fn is_base64(&self, data: &RawValue) -> bool {
        let text = |json: &RawValue| serde_json::from_str::<String>(json.get()).ok();
        let media_type = self.attributes.iter().find(|(name, _)| name == "datacontenttype").and_then(|(_, json)| text(json));
        media_type.is_some_and(|media_type| !is_json(&media_type) && !media_type.starts_with("text/"))
            && text(data).is_some_and(|text| from_base64(&text).is_some())
    }
}

/// Reads an event in structured mode.
///
/// # Errors
/// It is no event.
pub fn read(mut fields: Fields<'_>) -> Result<Envelope, Problems> {
    let envelope = envelope(&mut fields);
    let data = match (fields.raw("data"), fields.raw("data_base64")) {
        (Some(_), Some(_)) => {
            fields.refuse("data_base64", "expected either data or data_base64, got both");
            None
        }
        (data, None) => Some(data.map(|data| Cow::Borrowed(data.get()))),
        (None, Some(_)) => encoded_data(&mut fields).map(|data| Some(Cow::Owned(data))),
    };
    let both = fields.has(BOTH);
    let (envelope, data) = fields.finish(envelope.zip(data))?;
    with_data(envelope, data.as_deref(), both).map_err(|problems| problems.under("/data"))
}

/// Reads a batch: each of its events, or all that is wrong with it.
pub(crate) fn read_batch(body: &str) -> Result<Decoded, Refused> {
    let events: Vec<&RawValue> =
        serde_json::from_str(body).map_err(|error| Refused { sender: None, problems: Fields::not_json(&error, body) })?;
    let is_event = |event: &&RawValue| Fields::of(event.get()).is_ok_and(|fields| fields.raw("specversion").is_some());
    if !events.iter().all(is_event) {
        return Err(Refused { sender: None, problems: Problems::whole("expected a JSON object, got an array") });
    }
    if events.len() > MOST {
        return Err(Refused::whole(Sender::CloudEvents, format!("is a batch of {} events; at most {MOST} are accepted", events.len())));
    }
    let (mut envelopes, mut problems) = (Vec::with_capacity(events.len()), Vec::new());
    for (place, event) in events.iter().enumerate() {
        match Fields::of(event.get()).and_then(read) {
            Ok(envelope) => envelopes.push(envelope),
            Err(wrong) => problems.extend(wrong.under(&format!("/{place}")).0),
        }
    }
    if !problems.is_empty() {
        return Err(Refused::by(Sender::CloudEvents, Problems(problems)));
    }
    let content = if envelopes.is_empty() { Content::Nothing("a batch without events") } else { Content::Envelopes(envelopes) };
    Ok(Decoded::new(Sender::CloudEvents, content))
}

/// Whether these attributes are those of an event whose data stands beside them.
pub(crate) fn is_binary(attributes: &BTreeMap<String, String>) -> bool {
    if attributes.is_empty() {
        return false;
    }
    let names: Vec<String> = attributes.keys().filter_map(|name| attribute(name)).collect();
    ["specversion", "id", "source", "type"].iter().all(|required| names.iter().any(|name| name == required))
}

pub(crate) fn read_binary(layer: &Layer<'_>) -> Result<Decoded, Refused> {
    crate::one(Sender::CloudEvents, binary(layer.attributes, layer.body))
}

/// Reads an event in binary mode: `attributes` are the headers beside the body, by their whole names in any case.
///
/// # Errors
/// It is no event.
pub fn binary(attributes: &BTreeMap<String, String>, body: &str) -> Result<Envelope, Problems> {
    let (mut event, mut media_type) = (Object::new(), None);
    for (header, value) in attributes {
        if let Some(name) = attribute(header) {
            event.field(&name, &json::text(&percent_decode_str(value).decode_utf8_lossy()));
        } else if header.eq_ignore_ascii_case("content-type") {
            event.field("datacontenttype", &json::text(value));
            media_type = Some(value.as_str());
        }
    }
    let json = event.end();
    let mut fields = Fields::of(&json)?;
    let envelope = envelope(&mut fields);
    let data = match media_type {
        // No queue takes an empty body.
        _ if body.trim_ascii().is_empty() => None,
        Some(media_type) if !is_json(media_type) => Some(json::text(body)),
        // Neither SDK names the type of JSON by itself.
        None if serde_json::from_str::<&RawValue>(body).is_err() => Some(json::text(body)),
        _ => Some(body.to_owned()),
    };
    let both = fields.has(BOTH);
    with_data(fields.finish(envelope)?, data.as_deref(), both)
}

/// The name of an event's attribute in the name of a header.
fn attribute(header: &str) -> Option<String> {
    let header = header.to_ascii_lowercase();
    PREFIXES.iter().find_map(|prefix| header.strip_prefix(prefix)).map(ToOwned::to_owned)
}

/// The envelope of an event without its data. What the event says of itself is kept in its context.
fn envelope(fields: &mut Fields<'_>) -> Option<Envelope> {
    let text = |fields: &mut Fields<'_>, name: &'static str| {
        let value = fields.required::<String>(name);
        if value.as_ref().is_some_and(String::is_empty) {
            fields.refuse(name, "expected a text that is not empty");
        }
        value.filter(|text| !text.is_empty())
    };
    let version = text(fields, "specversion");
    if version.is_some_and(|version| version != "1.0") {
        fields.refuse("specversion", "expected 1.0");
    }
    let (id, source, kind) = (text(fields, "id"), text(fields, "source"), text(fields, "type"));
    fields.optional::<Timestamp>("time");
    let expires = fields.optional::<Timestamp>("expirytime");
    let group = fields.text("partitionkey", limits::id);
    let trace = fields.text("traceparent", limits::traceparent);
    let json = facts(fields);
    let (source, id) = (source?, id?);
    let id = id_of(&source, &id);
    let context = Context { json, ..Context::default() };
    Some(Envelope { expires, group, trace, context, sender: Sender::CloudEvents, ..Envelope::new(id, name::task(&kind?)) })
}

/// The id of an event's envelope: of Errand's own, the event's.
fn id_of(source: &str, id: &str) -> String {
    if source == SOURCE && limits::id(id).is_ok() { id.to_owned() } else { digest::id("ce", &[source, id]) }
}

/// `{"cloudevents": …}` with all but the data.
fn facts(fields: &Fields<'_>) -> Option<Box<RawValue>> {
    let mut event = Object::new();
    for (name, json) in fields.entries().filter(|(name, _)| !matches!(*name, "data" | "data_base64")) {
        event.field(name, json.get());
    }
    let mut context = Object::new();
    context.field("cloudevents", &event.end());
    context.raw()
}

/// An event's data that is base64, as JSON: JSON where the event says so, else the base64 itself.
fn encoded_data(fields: &mut Fields<'_>) -> Option<String> {
    let encoded: String = fields.optional("data_base64")?;
    let Some(bytes) = from_base64(&encoded) else {
        fields.refuse("data_base64", "expected base64");
        return None;
    };
    let media_type: Option<String> = fields.optional("datacontenttype");
    match String::from_utf8(bytes) {
        Ok(json) if media_type.is_some_and(|media_type| is_json(&media_type)) => Some(json),
        _ => Some(json::text(&encoded)),
    }
}

fn with_data(envelope: Envelope, data: Option<&str>, both: bool) -> Result<Envelope, Problems> {
    let Some(data) = data else { return Ok(envelope) };
    if both {
        return with_both(envelope, data);
    }
    let Envelope { args, kwargs, .. } = native::of_data(String::new(), String::new(), data)?;
    Ok(Envelope { args, kwargs, ..envelope })
}

/// The same where the data holds `args` and `kwargs`, many payloads where that is an array.
fn with_both(mut envelope: Envelope, data: &str) -> Result<Envelope, Problems> {
    let mut fields = Fields::of(data)?;
    envelope.args = fields.json("args", '[', "an array").map(ToOwned::to_owned);
    let bulk = fields.raw("kwargs").is_some_and(|kwargs| kwargs.get().starts_with('['));
    envelope.kwargs = fields.json("kwargs", if bulk { '[' } else { '{' }, "an object").map(ToOwned::to_owned);
    if bulk {
        context::add(&mut envelope, "bulk", &true);
        envelope.context.bulk = true;
    }
    fields.finish(Some(envelope))
}

/// Whether a media type is JSON's: `application/json`, `text/json`, or one that ends in `+json`.
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}
