//! Who may call: keys that are made, listed and revoked while the functions run.

use errand_api::{ApiKey, ProblemDocument, RATE_LIMIT, Request, Response, Scope, generate_key, json, json_body, key_note};
use errand_core::{BODY_LIMIT, Fields, NoteKind, Problems, Timestamp};
use http::StatusCode;
use serde_json::{Value, json};

use crate::Operations;

impl Operations {
    pub(crate) async fn list_keys(&self) -> Result<Response, ProblemDocument> {
        let own = self.access.keys().map(|key| told(key, false));
        let kept = self.kept_keys().await?;
        let keys: Vec<Value> = own.chain(kept.iter().map(|(_, key)| told(key, true))).collect();
        Ok(json(StatusCode::OK, &json!({ "keys": keys })))
    }

    /// Makes a key. This answer is the only one that holds it.
    pub(crate) async fn create_key(&self, request: &Request) -> Result<Response, ProblemDocument> {
        let key = read(json_body(request, BODY_LIMIT)?, Timestamp::now()).map_err(ProblemDocument::of_body)?;
        let known = self.access.keys().any(|known| known.name == key.name)
            || self.kept_keys().await?.iter().any(|(_, known)| known.name == key.name);
        if known {
            return Err(ProblemDocument::new(StatusCode::CONFLICT, "there is a key of this name: revoke it first, or use another name"));
        }
        let (secret, hash) = generate_key()
            .ok_or_else(|| ProblemDocument::new(StatusCode::SERVICE_UNAVAILABLE, "there is no source of random numbers. Try again"))?;
        self.notes.put(&key_note(&key, &hash)).await?;
        let mut told = told(&key, true);
        told["key"] = Value::from(secret);
        told["enforced"] = Value::from(!self.access.is_open());
        Ok(json(StatusCode::CREATED, &told))
    }

    pub(crate) async fn revoke_key(&self, name: &str) -> Result<Response, ProblemDocument> {
        let Some((hash, key)) = self.kept_keys().await?.into_iter().find(|(_, key)| key.name == name) else {
            return Err(if self.access.keys().any(|key| key.name == name) {
                ProblemDocument::new(StatusCode::CONFLICT, "this key stands in ERRAND_API_KEYS: the operator takes it out there")
            } else {
                ProblemDocument::new(StatusCode::NOT_FOUND, "there is no key of this name")
            });
        };
        self.notes.delete(NoteKind::Key, &hash).await?;
        Ok(json(StatusCode::OK, &told(&key, true)))
    }

    /// The keys among the notes, by their hash.
    async fn kept_keys(&self) -> Result<Vec<(String, ApiKey)>, ProblemDocument> {
        let mut keys = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.note_list.list(NoteKind::Key, cursor.as_deref()).await?;
            let Some((last, _)) = page.last() else { return Ok(keys) };
            cursor = Some(last.clone());
            keys.extend(page.into_iter().filter_map(|(hash, text)| Some((hash, serde_json::from_str(&text).ok()?))));
        }
    }
}

fn read(body: &str, now: Timestamp) -> Result<ApiKey, Problems> {
    let mut fields = Fields::of(body)?.strict();
    let name = fields.required_text("name", ApiKey::check_name).unwrap_or_default();
    let scopes = fields.list::<Scope>("scopes");
    if scopes.is_empty() && fields.raw("scopes").is_none_or(|scopes| scopes.get().starts_with('[')) {
        fields.refuse("scopes", format!("is required: one or more of {}", Scope::names()));
    }
    let expires = fields.optional::<Timestamp>("expires");
    if expires.is_some_and(|expires| expires <= now) {
        fields.refuse("expires", "expected a time that is ahead");
    }
    let rate = fields.number("rate", 1..=RATE_LIMIT.into()).and_then(|rate| rate.try_into().ok());
    fields.finish(Some(ApiKey { name, scopes, expires, rate }))
}

fn told(key: &ApiKey, revocable: bool) -> Value {
    json!({ "name": key.name, "scopes": key.scopes, "expires": key.expires, "rate": key.rate, "revocable": revocable })
}
