//! Templates of notifications.

use errand_api::{ProblemDocument, Query, Request, Response, json, json_body};
use errand_core::{Fields, Note, NoteKind, Payloads, Problems, Timestamp, limits};
use errand_templates::{Channels, Template};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Operations, page::Page};

impl Operations {
    pub(crate) async fn list_templates(&self, query: &Query) -> Result<Response, ProblemDocument> {
        let Page { limit, cursor } = Page::of(query)?;
        let mut names: Vec<String> =
            self.note_list.list(NoteKind::Template, cursor.as_deref()).await?.into_iter().map(|(name, _)| name).collect();
        let more = names.len() > limit || names.len() == 100;
        names.truncate(limit);
        let cursor = names.last().filter(|_| more);
        Ok(json(StatusCode::OK, &json!({ "templates": names, "cursor": cursor })))
    }

    pub(crate) async fn template(&self, name: &str) -> Result<Response, ProblemDocument> {
        let text = self.notes.get(NoteKind::Template, name, Timestamp::now()).await?.ok_or_else(unknown)?;
        let template: Template = serde_json::from_str(&text).map_err(|_| {
            ProblemDocument::new(StatusCode::SERVICE_UNAVAILABLE, "what is kept is no template: keep another one in its place")
        })?;
        Ok(json(StatusCode::OK, &told(name, &template)))
    }

    pub(crate) async fn put_template(&self, name: &str, request: &Request) -> Result<Response, ProblemDocument> {
        if let Err(expected) = limits::schedule(name) {
            return Err(ProblemDocument::new(StatusCode::BAD_REQUEST, &format!("the name: expected {expected}")));
        }
        let template = read(json_body(request, Note::LIMIT)?, &self.payloads).map_err(ProblemDocument::of_body)?;
        let text = serde_json::to_string(&template).unwrap_or_default();
        if text.len() > Note::LIMIT {
            return Err(ProblemDocument::new(StatusCode::PAYLOAD_TOO_LARGE, &format!("the template is larger than {} bytes", Note::LIMIT)));
        }
        self.notes.put(&Note { kind: NoteKind::Template, name: name.to_owned(), text, until: None }).await?;
        Ok(json(StatusCode::OK, &told(name, &template)))
    }

    pub(crate) async fn delete_template(&self, name: &str) -> Result<Response, ProblemDocument> {
        if self.notes.delete(NoteKind::Template, name).await? { Ok(json(StatusCode::OK, &json!({ "name": name }))) } else { Err(unknown()) }
    }
}

fn read(body: &str, payloads: &Payloads) -> Result<Template, Problems> {
    errand_wire::check_body(body, Note::LIMIT)?;
    let mut fields = Fields::of(body)?.strict();
    if fields.raw("channels").is_none() {
        fields.refuse("channels", "is required");
    }
    let of_channels = |fields: &mut Fields<'_>| Some(channels(fields, payloads));
    let channels = fields.object("channels", of_channels).unwrap_or_default();
    let locales = fields.object("locales", |locales| Some(locales.each(|_, locale| of_channels(locale)))).unwrap_or_default();
    if channels.is_empty() && locales.is_empty() {
        fields.refuse("channels", "expected at least one channel");
    }
    let template = fields.finish(Some(Template { channels, locales }))?;
    template.check().map(|()| template)
}

/// The payloads of channels. A field that a channel's task does not know would be refused at each notification.
fn channels(fields: &mut Fields<'_>, payloads: &Payloads) -> Channels {
    fields.each(|channel, payload| {
        for problem in payloads.unknown(channel, payload.source()) {
            payload.refuse(problem.pointer.trim_start_matches('/'), problem.detail);
        }
        serde_json::from_str(payload.source()).ok()
    })
}

fn told(name: &str, template: &Template) -> Value {
    json!({ "name": name, "channels": template.channels, "locales": template.locales })
}

fn unknown() -> ProblemDocument {
    ProblemDocument::new(StatusCode::NOT_FOUND, "there is no template of this name")
}
