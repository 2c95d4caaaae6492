//! What Celery says of a task: protocol 2 in the message's headers and a body of arguments, protocol 1 in the body alone.

use errand_core::{Context, Envelope, Fields, FollowUps, Problems, json::Object, limits};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    message::{self, Message},
    signature::Signature,
    special_types, time,
};
use crate::{context, django_notifs};

/// What is kept of a message in its envelope's context, under [`FollowUps::CONTEXT`]: what is to follow, and what that needs to know.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) root_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_id: Option<String>,
    /// The group that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
    /// How often Celery itself has tried it before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reply_to: Option<String>,
    /// Celery's own name of the queue that it came on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) routing_key: Option<String>,
    /// Whether nobody asks for its result.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) ignore_result: bool,
    /// What follows on success, beside the chain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) callbacks: Vec<Signature>,
    /// What follows on failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errbacks: Vec<Signature>,
    /// What follows on success, one after the other: the next one last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) chain: Vec<Signature>,
    /// What the caller says beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) headers: Option<Box<RawValue>>,
}

/// The headers that are Celery's own in protocol 2, and those that kombu has or that are told elsewhere.
pub(super) const CELERYS_HEADERS: [&str; 21] = [
    "lang",
    "task",
    "id",
    "shadow",
    "eta",
    "expires",
    "group",
    "group_index",
    "retries",
    "timelimit",
    "root_id",
    "parent_id",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "ignore_result",
    "replaced_task_nesting",
    "stamped_headers",
    "stamps",
    "compression",
    "traceparent",
];

/// Reads a message's envelope.
///
/// # Errors
/// It is in a format that is refused, part of a chord, or wrong.
pub(crate) fn read(mut fields: Fields<'_>) -> Result<Envelope, Problems> {
    let headers = fields.raw("headers").map_or("{}", RawValue::get);
    let message = message::read(&mut fields);
    let Message { body, routing_key, reply_to } = fields.finish(message).map_err(|problems| of_task(headers, problems))?;
    let headers = Fields::of(headers).map_err(|problems| problems.under("/headers"))?;
    let envelope = if headers.raw("task").is_some() { protocol_2(headers, &body) } else { protocol_1(&headers, &body) };
    let (mut envelope, said) = envelope?;
    if envelope.task == django_notifs::CELERY_TASK {
        let notification = django_notifs::of_celery(envelope.args.as_deref().map_or("[]", RawValue::get), &envelope.id);
        let Envelope { task, kwargs, context, .. } = notification.map_err(|problems| problems.under("/body/0"))?;
        envelope = Envelope { task, kwargs, context, args: None, ..envelope };
    }
    let said = Said { routing_key, reply_to, ..said };
    context::add(&mut envelope, FollowUps::CONTEXT, &said);
    envelope.context.follow_ups = true;
    Ok(envelope)
}

/// Names the task of a message that is refused, for who has to find it.
fn of_task(headers: &str, Problems(mut problems): Problems) -> Problems {
    let task = || serde_json::from_str::<String>(Fields::of(headers).ok()?.raw("task")?.get()).ok();
    if let (Some(task), Some(first)) = (task().filter(|task| limits::task(task).is_ok()), problems.first_mut()) {
        first.detail = format!("{} (task {task})", first.detail);
    }
    Problems(problems)
}

fn protocol_2(mut headers: Fields<'_>, body: &str) -> Result<(Envelope, Said), Problems> {
    let (id, task) = (id(&mut headers), headers.text("task", limits::task));
    let (run_after, expires) = (time::read(&mut headers, "eta"), time::read(&mut headers, "expires"));
    let said = Said {
        root_id: headers.optional("root_id"),
        parent_id: headers.optional("parent_id"),
        group: headers.optional("group"),
        retries: headers.optional("retries").filter(|retries| *retries > 0),
        ignore_result: headers.optional("ignore_result").unwrap_or_default(),
        headers: custom(&headers, &CELERYS_HEADERS),
        ..Said::default()
    };
    let trace = headers.text("traceparent", limits::traceparent);
    let (id, task) = headers.finish(id.zip(task)).map_err(|problems| problems.under("/headers"))?;
    let parts: Vec<&RawValue> = serde_json::from_str(body).map_err(|error| Fields::not_json(&error, body).under("/body"))?;
    let [args, kwargs, embed] = parts[..] else {
        return Err(Problems::whole("expected an array of arguments, named arguments, and what follows").under("/body"));
    };
    let (args, kwargs) = (begins(args, '[', "/body/0", "an array")?, begins(kwargs, '{', "/body/1", "an object")?);
    let embed = if embed.get() == "null" { "{}" } else { embed.get() };
    let said = following(Fields::of(embed), said).map_err(|problems| problems.under("/body/2"))?;
    let context = Context::default();
    Ok((Envelope { args: some(args), kwargs: some(kwargs), run_after, expires, trace, context, ..Envelope::new(id, task) }, said))
}

fn protocol_1(headers: &Fields<'_>, body: &str) -> Result<(Envelope, Said), Problems> {
    let read = || {
        let mut fields = Fields::of(body)?;
        let (id, task) = (id(&mut fields), fields.text("task", limits::task));
        if fields.raw("task").is_none() {
            fields.refuse("task", "is required");
        }
        let (run_after, expires) = (time::read(&mut fields, "eta"), time::read(&mut fields, "expires"));
        let said = Said {
            group: fields.optional::<String>("group").or_else(|| fields.optional("taskset")),
            retries: fields.optional("retries").filter(|retries| *retries > 0),
            headers: custom(headers, &["compression"]),
            ..Said::default()
        };
        let (args, kwargs) = (fields.json("args", '[', "an array"), fields.json("kwargs", '{', "an object"));
        let (args, kwargs) = (args.and_then(some), kwargs.and_then(some));
        let (id, task) = fields.finish(id.zip(task))?;
        let said = following(Fields::of(body), said)?;
        Ok((Envelope { args, kwargs, run_after, expires, ..Envelope::new(id, task) }, said))
    };
    read().map_err(|problems: Problems| problems.under("/body"))
}

fn id(fields: &mut Fields<'_>) -> Option<String> {
    if fields.raw("id").is_none() {
        fields.refuse("id", "is required");
    }
    fields.text("id", limits::id)
}

/// The headers that are not of these, as an object; nothing where there are none.
fn custom(headers: &Fields<'_>, known: &[&str]) -> Option<Box<RawValue>> {
    let mut own = Object::new();
    headers.entries().filter(|(name, _)| !known.contains(name)).for_each(|(name, json)| own.field(name, json.get()));
    own.raw().filter(|own| own.get() != "{}")
}

/// Arguments as plain JSON; nothing where there are none.
fn some(json: &RawValue) -> Option<Box<RawValue>> {
    let json = special_types::plain(json);
    (json.get().len() > 2).then(|| json.into_owned())
}

fn begins<'a>(json: &'a RawValue, with: char, pointer: &str, expected: &str) -> Result<&'a RawValue, Problems> {
    if json.get().starts_with(with) { Ok(json) } else { Err(Problems::whole(format!("expected {expected}")).under(pointer)) }
}

/// Reads what follows on a task.
fn following(fields: Result<Fields<'_>, Problems>, said: Said) -> Result<Said, Problems> {
    let mut fields = fields?;
    if fields.raw("chord").is_some() {
        fields.refuse("chord", Signature::NO_CHORDS);
    }
    let mut list = |name: &'static str| {
        let signatures = Signature::list(&mut fields, name);
        if let Some(why) = signatures.iter().find_map(|signature| signature.refused(0)) {
            fields.refuse(name, why);
        }
        signatures
    };
    let said = Said { callbacks: list("callbacks"), errbacks: list("errbacks"), chain: list("chain"), ..said };
    if said.chain.iter().skip(1).any(Signature::is_group) {
        fields.refuse("chain", Signature::NO_CHORDS);
    }
    fields.finish(Some(said))
}

impl Said {
    /// What an envelope's context keeps.
    pub(super) fn of(envelope: &Envelope) -> Option<Self> {
        let mut context = Fields::of(envelope.context.json.as_deref()?.get()).ok()?;
        let read = |said: &mut Fields<'_>| {
            Some(Self {
                root_id: said.optional("root_id"),
                parent_id: said.optional("parent_id"),
                group: said.optional("group"),
                reply_to: said.optional("reply_to"),
                routing_key: said.optional("routing_key"),
                ignore_result: said.optional("ignore_result").unwrap_or_default(),
                callbacks: Signature::list(said, "callbacks"),
                errbacks: Signature::list(said, "errbacks"),
                chain: Signature::list(said, "chain"),
                retries: said.optional("retries"),
                headers: said.json("headers", '{', "an object").map(ToOwned::to_owned),
            })
        };
        context.object(FollowUps::CONTEXT, read)
    }
}
