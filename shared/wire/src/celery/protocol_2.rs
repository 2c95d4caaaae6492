//! Messages of protocol 2 as they are written. <https://docs.celeryq.dev/en/stable/internals/protocol.html#version-2>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{Fields, json::Object};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{
    envelope::CELERYS_HEADERS,
    signature::{Json, Signature},
};

/// In place of arguments in texts that workers log and Flower shows: those may be personal.
pub(super) const HIDDEN: &str = "...";

/// A message, and what kombu says around it.
pub(super) struct Message<'a> {
    /// Arguments, named arguments, and what follows.
    pub(super) body: String,
    pub(super) headers: Json,
    pub(super) properties: Properties<'a>,
}

impl Message<'_> {
    /// As kombu's virtual transports keep it: one JSON object.
    pub(super) fn text(&self) -> String {
        #[derive(Serialize)]
        struct Text<'a> {
            body: String,
            // A worker reads a body that does not say its encoding as bytes, and one without a format as text.
            #[serde(rename = "content-encoding")]
            content_encoding: &'static str,
            #[serde(rename = "content-type")]
            content_type: &'static str,
            headers: &'a RawValue,
            properties: &'a Properties<'a>,
        }
        let Self { body, headers, properties } = self;
        json(&Text { body: STANDARD.encode(body), content_encoding: "utf-8", content_type: "application/json", headers, properties })
    }

    /// As kombu writes it to SQS.
    pub(super) fn base64(&self) -> String {
        STANDARD.encode(self.text())
    }
}

#[derive(Serialize)]
pub(super) struct Headers<'a> {
    pub(super) lang: &'static str,
    pub(super) task: &'a str,
    pub(super) id: &'a str,
    pub(super) shadow: Option<Json>,
    pub(super) eta: Option<String>,
    pub(super) expires: Option<String>,
    pub(super) group: Option<&'a str>,
    pub(super) group_index: Option<usize>,
    /// A worker adds to it: null would be an error.
    pub(super) retries: Json,
    pub(super) timelimit: [Option<Json>; 2],
    pub(super) root_id: &'a str,
    pub(super) parent_id: Option<&'a str>,
    pub(super) argsrepr: &'static str,
    pub(super) kwargsrepr: &'static str,
    pub(super) origin: &'static str,
    pub(super) ignore_result: bool,
    pub(super) replaced_task_nesting: u8,
    pub(super) stamped_headers: Option<()>,
    pub(super) stamps: Stamps,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<&'a str>,
}

/// None: an empty object.
#[derive(Serialize)]
pub(super) struct Stamps {}

#[derive(Serialize)]
pub(super) struct Properties<'a> {
    pub(super) correlation_id: &'a str,
    pub(super) reply_to: Option<String>,
    pub(super) delivery_mode: u8,
    /// Required with all of its fields: a worker on Redis ends without them.
    pub(super) delivery_info: DeliveryInfo<'a>,
    pub(super) priority: Json,
    pub(super) body_encoding: &'static str,
    /// Under which a worker on Redis keeps the message until it is acknowledged.
    pub(super) delivery_tag: String,
    #[serde(rename = "MessageGroupId", skip_serializing_if = "Option::is_none")]
    pub(super) message_group_id: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct DeliveryInfo<'a> {
    pub(super) exchange: &'a str,
    pub(super) routing_key: Option<&'a str>,
}

/// What follows on what follows; null where there is nothing.
#[derive(Default, Serialize)]
pub(super) struct Embed<'a> {
    #[serde(serialize_with = "or_null")]
    pub(super) callbacks: Vec<Signature>,
    #[serde(serialize_with = "or_null")]
    pub(super) errbacks: Vec<Signature>,
    #[serde(serialize_with = "or_null")]
    pub(super) chain: &'a [Signature],
    pub(super) chord: Option<()>,
}

fn or_null<S: Serializer>(signatures: &impl AsRef<[Signature]>, serializer: S) -> Result<S::Ok, S::Error> {
    let signatures = signatures.as_ref();
    if signatures.is_empty() { serializer.serialize_none() } else { signatures.serialize(serializer) }
}

/// Headers, and those of others that are not Celery's own: each once, as the last of them says it.
pub(super) fn with(headers: &Headers<'_>, others: &[Option<&RawValue>]) -> Json {
    let headers = json(headers);
    let mut all = Fields::of(&headers).map(Fields::into_entries).unwrap_or_default();
    for fields in others.iter().flatten().filter_map(|object| Fields::of(object.get()).ok()) {
        for (name, json) in fields.into_entries().into_iter().filter(|(name, _)| !CELERYS_HEADERS.contains(&name.as_ref())) {
            all.retain(|(known, _)| *known != name);
            all.push((name, json));
        }
    }
    let mut whole = Object::new();
    all.iter().for_each(|(name, json)| whole.field(name, json.get()));
    whole.raw().unwrap_or_default()
}

/// Texts, numbers and JSON that was parsed before: there is nothing here that serde can refuse.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
