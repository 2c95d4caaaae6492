//! Amazon EventBridge: events that a rule hands to a queue, and what its Scheduler sends when a schedule has no input of its own.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html>

use errand_core::{Envelope, Fields, Problems, Sender, limits};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Content, Decoded, Form, Layer, Refused, context, name, native};

/// The source of events that EventBridge Scheduler makes.
const SCHEDULER: &str = "aws.scheduler";

/// What of an event is kept in an envelope's context.
#[derive(Serialize)]
struct Facts<'a> {
    id: &'a str,
    source: &'a str,
    detail_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<&'a RawValue>,
}

pub(crate) fn read(mut fields: Fields<'_>, layer: &Layer<'_>) -> Result<Decoded, Refused> {
    let (source, detail_type) = (fields.required::<String>("source"), fields.required::<String>("detail-type"));
    let id = if fields.raw("id").is_some() { fields.text("id", limits::id) } else { Some(layer.id.to_owned()) };
    let detail = detail(&mut fields);
    let [account, region, time, resources] = ["account", "region", "time", "resources"].map(|name| fields.raw(name));
    let sender = if source.as_deref() == Some(SCHEDULER) { Sender::Scheduler } else { Sender::EventBridge };
    let found = source.zip(detail_type).zip(id).zip(detail);
    let (((source, detail_type), id), detail) = fields.finish(found).map_err(|problems| Refused::by(sender, problems))?;
    let mut decoded = if holds_task(&detail) {
        crate::read(&layer.inner(&id, &detail, layer.attributes))
            .map_err(|Refused { sender: inner, problems }| Refused::by(inner.unwrap_or(sender), problems.under("/detail")))?
    } else {
        let envelope = event(&id, &detail_type, &detail).map_err(|problems| Refused::by(sender, problems))?;
        Decoded::one(Envelope { sender, ..envelope })
    };
    if let Content::Envelopes(envelopes) = &mut decoded.content {
        let facts = Facts { id: &id, source: &source, detail_type: &detail_type, account, region, time, resources };
        envelopes.iter_mut().for_each(|envelope| context::add(envelope, "eventbridge", &facts));
    }
    Ok(decoded)
}

/// The detail as JSON. Scheduler has an object's text where rules have the object.
fn detail(fields: &mut Fields<'_>) -> Option<String> {
    let raw = fields.raw("detail")?.get();
    if raw.starts_with('"') { fields.optional("detail") } else { Some(raw.to_owned()) }
}

/// Whether a detail is a message for us, and not an event's own: a field of the name `task` alone says little.
fn holds_task(detail: &str) -> bool {
    let Ok(fields) = Fields::of(detail) else { return false };
    let arguments = fields.raw("args").or_else(|| fields.raw("kwargs")).is_some();
    match Form::of(&fields) {
        Form::Native => arguments && fields.raw("task").or_else(|| fields.raw("task_name")).is_some(),
        // SES's events have a type here as well.
        Form::EventBridge | Form::Ses => false,
        _ => true,
    }
}

/// The task that an event of this type is: its arguments are the detail.
fn event(id: &str, detail_type: &str, detail: &str) -> Result<Envelope, Problems> {
    let task = name::task(detail_type);
    if task.is_empty() {
        return Err(Problems::at("/detail-type", "expected the name of a type"));
    }
    native::of_data(id.to_owned(), task, detail).map_err(|problems| problems.under("/detail"))
}
