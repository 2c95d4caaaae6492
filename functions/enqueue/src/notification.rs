//! Tells a user something on several channels: one envelope for each.

use std::collections::BTreeMap;

use errand_api::{ProblemDocument, Request, Response, json, json_body};
use errand_core::{Context, Envelope, Fields, NoteKind, OBJECT_LIMIT, Problems, json::Object, limits};
use errand_templates::Template;
use errand_wire::native;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    Enqueue,
    call::{Asked, Call},
    channels::Channel,
    send::{Answer, answer_all},
};

/// The most channels of a notification.
const MOST: usize = 20;

/// Leaves room in an envelope's id for the name of the channel.
const ID_LIMIT: usize = 90;

/// What a notification says, with django-notifs' names: templates can name all of them.
const FACTS: [&str; 8] = ["source", "source_display_name", "action", "category", "obj", "url", "short_description", "extra_data"];

/// A call's notification.
struct Notification<'a> {
    /// What all its envelopes have.
    base: Envelope,
    /// Whether they have the same ids when the call comes again.
    named: bool,
    /// The payload that each channel was given, if it was.
    channels: Vec<(String, Option<&'a RawValue>)>,
    template: Option<String>,
    locale: Option<String>,
    variables: Map<String, Value>,
}

impl Enqueue {
    pub(crate) async fn notify(&self, request: &Request, call: &Call<'_>) -> Result<Response, ProblemDocument> {
        #[derive(Serialize)]
        struct Told<'a> {
            id: String,
            tasks: &'a [Answer],
        }
        let (Asked { envelope: base, named }, payloads) = self.payloads_of(request, call).await?;
        let envelopes = payloads.into_iter().map(|(channel, kwargs)| Asked {
            envelope: Envelope {
                id: format!("{}.{channel}", base.id),
                task: channel,
                kwargs: Some(kwargs),
                notification_id: Some(base.id.clone()),
                ..base.clone()
            },
            named,
        });
        let sent = self.send(envelopes.collect(), call.now).await;
        if sent.iter().all(Result::is_err)
            && let Some(Err(problem)) = sent.first()
        {
            return Err(problem.clone());
        }
        let tasks: Vec<Answer> = sent.into_iter().map(Answer::from).collect();
        Ok(answer_all(&tasks, &Told { id: base.id, tasks: &tasks }))
    }

    /// Tells what each channel would be given, and sends nothing.
    pub(crate) async fn preview(&self, request: &Request, call: &Call<'_>) -> Result<Response, ProblemDocument> {
        #[derive(Serialize)]
        struct Told {
            channels: BTreeMap<String, Box<RawValue>>,
        }
        // Nothing is sent: what the consumer lacks for that is not asked.
        let payloads = self.payloads.clone().without_settings();
        let (_, payloads) = self.payloads_of(request, &Call { payloads: &payloads, ..*call }).await?;
        Ok(json(StatusCode::OK, &Told { channels: payloads.into_iter().collect() }))
    }

    /// What all envelopes of a notification have, and the payload of each channel.
    async fn payloads_of(&self, request: &Request, call: &Call<'_>) -> Result<(Asked, Vec<(String, Box<RawValue>)>), ProblemDocument> {
        let body = json_body(request, self.body_limit())?;
        let read = || {
            errand_wire::check_body(body, OBJECT_LIMIT)?;
            read(body, call)
        };
        let Notification { base, named, channels, template, locale, variables } = read().map_err(ProblemDocument::of_body)?;
        let template = match &template {
            Some(name) => Some(self.template(name, call).await?),
            None => None,
        };
        let channels = channels.into_iter().map(|(name, given)| {
            let template = match &template {
                Some(template) => template.payload(&name, locale.as_deref()).cloned(),
                None => call.payloads.notification(&name).and_then(|json| serde_json::from_str(json).ok()),
            };
            Channel { name, given, template: template.unwrap_or_default() }
        });
        let payloads = call.channel_payloads(channels.collect(), variables, base.context.bulk).await?;
        Ok((Asked { envelope: base, named }, payloads))
    }

    async fn template(&self, name: &str, call: &Call<'_>) -> Result<Template, ProblemDocument> {
        let text = match &self.notes {
            Some(notes) => notes.get(NoteKind::Template, name, call.now).await?,
            None => None,
        };
        text.and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(|| {
            let detail = "there is no template of this name: see GET /v1/templates".to_owned();
            ProblemDocument::of_body(Problems::at("/template", detail))
        })
    }
}

fn read<'a>(body: &'a str, call: &Call<'_>) -> Result<Notification<'a>, Problems> {
    let mut fields = Fields::of(body)?.strict();
    let named = fields.has("id") || call.seed.is_some();
    let id = fields.text("id", id).unwrap_or_else(|| call.new_id(0));
    let bulk = |context: &mut Fields<'_>| {
        context.free();
        context.optional::<bool>("bulk")
    };
    let bulk = fields.object("context", bulk).unwrap_or_default();
    let channels = channels(&mut fields, bulk);
    let recipient = fields.text("recipient", limits::label);
    if recipient.is_some() && fields.has("user") {
        fields.refuse("recipient", "expected either user or recipient, got both");
    }
    let facts = facts(&mut fields);
    let context = context(&mut fields, &facts);
    let mut base = native::conditions(&mut fields, id, String::new(), context);
    base.user = base.user.or(recipient);
    call.complete(&mut fields, &mut base);
    call.payloads.check_place(&mut fields, &base);
    for other in ["task", "task_name", "args", "kwargs", "claim_check", "fingerprint", "notification_id"] {
        if fields.has(other) {
            fields.refuse(other, "is not for notifications: each channel is a task, and its payload stands in channels");
        }
    }
    let template = fields.text("template", limits::schedule);
    let locale = fields.text("locale", locale);
    let mut variables: Map<String, Value> =
        facts.iter().filter_map(|(name, _)| Some(((*name).to_owned(), fields.optional(name)?))).collect();
    variables.extend(base.user.iter().map(|user| ("user".to_owned(), json!(user))));
    variables.extend(fields.optional::<Map<String, Value>>("variables").unwrap_or_default());
    fields.finish(Some(Notification { base, named, channels, template, locale, variables }))
}

/// The channels: an object of payloads, or a list of names.
fn channels<'a>(fields: &mut Fields<'a>, bulk: bool) -> Vec<(String, Option<&'a RawValue>)> {
    let channels: Vec<(String, Option<&RawValue>)> = match fields.raw("channels").map(RawValue::get) {
        None => {
            fields.refuse("channels", "is required: payloads by the name of the channel, or a list of names");
            return Vec::new();
        }
        Some(list) if list.starts_with('[') => fields.list::<String>("channels").into_iter().map(|name| (name, None)).collect(),
        Some(_) => {
            let payloads = fields.optional::<BTreeMap<String, &RawValue>>("channels").unwrap_or_default();
            payloads.into_iter().map(|(name, payload)| (name, Some(payload).filter(|payload| payload.get() != "null"))).collect()
        }
    };
    let (begins, expected) = if bulk { ('[', "an array of payloads, since context.bulk is true") } else { ('{', "an object") };
    for (name, payload) in &channels {
        if limits::task(name).is_err() || name.len() > 32 {
            fields.refuse("channels", "expected names of channels: 1 to 32 of the characters A-Z a-z 0-9 _ . : -");
        } else if payload.is_some_and(|payload| !payload.get().starts_with(begins)) {
            fields.refuse(&format!("channels/{name}"), format!("expected {expected}"));
        }
    }
    if !(1..=MOST).contains(&channels.len()) && fields.raw("channels").is_some_and(|raw| raw.get().starts_with(['[', '{'])) {
        fields.refuse("channels", format!("expected 1 to {MOST} channels"));
    }
    channels
}

/// What the notification says, those of [`FACTS`] that are there.
fn facts<'a>(fields: &mut Fields<'a>) -> Vec<(&'static str, &'a RawValue)> {
    let mut facts = Vec::new();
    for name in FACTS {
        let right = match name {
            "obj" => true,
            "extra_data" => fields.json(name, '{', "an object").is_some(),
            _ => fields.optional::<String>(name).is_some(),
        };
        facts.extend(fields.raw(name).filter(|_| right).map(|value| (name, value)));
    }
    facts
}

/// The context of the envelopes: the caller's, and what the notification says, which is for who receives it.
fn context(fields: &mut Fields<'_>, facts: &[(&str, &RawValue)]) -> Context {
    let mut notification = Object::new();
    facts.iter().for_each(|(name, value)| notification.field(name, value.get()));
    if fields.optional::<bool>("silent").unwrap_or_default() {
        notification.field("silent", "true");
    }
    let (notification, own) = (notification.end(), fields.raw("context"));
    if notification == "{}" {
        return own.map(|own| Context::of(own.to_owned())).unwrap_or_default();
    }
    let own = own.and_then(|own| Fields::of(own.get()).ok()).map(Fields::into_entries).unwrap_or_default();
    let mut context = Object::new();
    own.iter().filter(|(name, _)| name != "notification").for_each(|(name, value)| context.field(name, value.get()));
    context.field("notification", &notification);
    context.raw().map(Context::of).unwrap_or_default()
}

fn id(text: &str) -> Result<(), &'static str> {
    if limits::id(text).is_ok() && text.len() <= ID_LIMIT { Ok(()) } else { Err("1 to 90 visible ASCII characters") }
}

fn locale(text: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if (2..=35).contains(&text.len()) && text.bytes().all(allowed) { Ok(()) } else { Err("a language tag, such as de or de-AT") }
}
