//! CloudEvents over HTTP, as their SDKs send them: one in structured or in binary mode, or many together.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_api::{ProblemDocument, Request, Response, body, check_id, json_body};
use errand_core::{Context, Envelope, Fields, OBJECT_LIMIT, Problems, Refusal};
use errand_wire::cloudevents;
use http::{StatusCode, header};
use serde_json::value::RawValue;

use crate::{
    Enqueue,
    call::{Asked, Call},
    send::MOST,
};

/// The media types that say that a body is an event, or many.
const ONE: &str = "application/cloudevents+json";
const MANY: &str = "application/cloudevents-batch+json";

impl Enqueue {
    /// Sends the tasks that events are: their `type` names what to do, their `data` is its arguments.
    pub(crate) async fn events(&self, request: &Request, call: &Call<'_>) -> Result<Response, ProblemDocument> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            MANY => {
                let body = json_body(request, OBJECT_LIMIT)?;
                let events = events(body)?;
                let read = |event: &&RawValue| {
                    let envelope = structured(event.get()).and_then(|envelope| call.event(envelope)).map_err(ProblemDocument::of_body);
                    (event.get().len(), envelope)
                };
                Ok(self.answer_each(events.iter().map(read).collect(), body.len(), call).await)
            }
            ONE => {
                self.answer_one(structured(json_body(request, self.body_limit())?).and_then(|envelope| call.event(envelope)), call).await
            }
            _ if request.headers().contains_key("ce-specversion") => {
                self.answer_one(binary(request, self.body_limit())?.and_then(|envelope| call.event(envelope)), call).await
            }
            _ => Err(ProblemDocument::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                &format!("send an event as {ONE}, many as {MANY}, or one's attributes as headers ce-…"),
            )),
        }
    }

    async fn answer_one(&self, envelope: Result<Asked, Problems>, call: &Call<'_>) -> Result<Response, ProblemDocument> {
        self.one_of(envelope.map_err(ProblemDocument::of_body)?, call).await
    }
}

impl Call<'_> {
    /// Checks an event's task and data, as a task's of a call.
    fn event(&self, envelope: Envelope) -> Result<Asked, Problems> {
        if !self.payloads.is_for_others(&envelope) {
            self.payloads.check(&envelope.task, envelope.payload(), false).map_err(|refusal| match refusal {
                Refusal::Payload(problems) => problems.under("/data"),
                refusal => Problems::at("/type", self.payloads.told(&refusal).unwrap_or_default()),
            })?;
        }
        check_id(&envelope.id).map_err(|expected| Problems::at("/id", expected))?;
        // An event's id is made of what names it. Its attributes may come in any order, and are no content.
        let content = Envelope { context: Context::default(), ..envelope.clone() }.content();
        let trace = envelope.trace.clone().or_else(|| self.own_trace());
        Ok(Asked { envelope: Envelope { trace, fingerprint: Some(content), ..envelope }, named: true })
    }
}

/// The events of a batch.
fn events(body: &str) -> Result<Vec<&RawValue>, ProblemDocument> {
    let read = || {
        errand_wire::check_body(body, OBJECT_LIMIT)?;
        let events: Vec<&RawValue> = serde_json::from_str(body).map_err(|error| Fields::not_json(&error, body))?;
        let fits = events.len() <= MOST;
        fits.then_some(events).ok_or_else(|| Problems::whole(format!("has too many events: expected {MOST} at most")))
    };
    read().map_err(ProblemDocument::of_body)
}

fn structured(event: &str) -> Result<Envelope, Problems> {
    errand_wire::check_body(event, OBJECT_LIMIT)?;
    cloudevents::read(Fields::of(event)?)
}

/// An event whose attributes are headers and whose data is the body; data that is no text as base64.
fn binary(request: &Request, limit: usize) -> Result<Result<Envelope, Problems>, ProblemDocument> {
    let body = body(request, limit)?;
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Some((name.to_string(), String::from_utf8(value.as_bytes().to_vec()).ok()?))
    };
    let headers: BTreeMap<String, String> = request.headers().iter().filter_map(text).collect();
    let body = String::from_utf8(body.to_vec()).unwrap_or_else(|error| STANDARD.encode(error.as_bytes()));
    Ok(errand_wire::check_body(&body, OBJECT_LIMIT).and_then(|()| cloudevents::binary(&headers, &body)))
}
