//! Templates of notifications.

use errand_api::{ProblemDocument, Request, Response, json, json_body};
use errand_core::{Fields, Note, NoteKind, Problem, Problems, Timestamp, limits};
use errand_templates::Template;
use http::StatusCode;
use serde_json::{Value, json};

use crate::Operations;

impl Operations {
    pub(crate) async fn list_templates(&self, query: &str) -> Result<Response, ProblemDocument> {
        let crate::query::Page { limit, cursor } = crate::query::page(query)?;
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
        let template = read(json_body(request, Note::LIMIT)?).map_err(ProblemDocument::of_body)?;
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

fn read(body: &str) -> Result<Template, Problems> {
    errand_wire::check_body(body, Note::LIMIT)?;
    let mut fields = Fields::of(body)?;
    let channels = fields.required("channels");
    let locales = fields.optional("locales").unwrap_or_default();
    let template = fields.finish(channels.map(|channels| Template { channels, locales }))?;
    if template.channels.is_empty() && template.locales.is_empty() {
        return Err(Problems(vec![Problem { pointer: "/channels".to_owned(), detail: "expected at least one channel".to_owned() }]));
    }
    template.check().map(|()| template)
}

fn told(name: &str, template: &Template) -> Value {
    json!({ "name": name, "channels": template.channels, "locales": template.locales })
}

fn unknown() -> ProblemDocument {
    ProblemDocument::new(StatusCode::NOT_FOUND, "there is no template of this name")
}
