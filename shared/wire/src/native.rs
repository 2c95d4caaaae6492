//! Errand's own form: the JSON object of an [`Envelope`]'s fields.

use std::{collections::BTreeMap, time::Duration};

use errand_core::{
    BODY_LIMIT, Context, DEFAULT_QUEUE, Envelope, Fields, Fingerprint, FollowUps, Problems, Sender, Timestamp,
    json::{self, Object},
    limits,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{Layer, guard};

/// How often an envelope may be attempted at most.
pub const MAX_ATTEMPTS: u32 = 100;

/// The longest delay: a year with its leap day.
pub const LONGEST_DELAY: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Reads an envelope, noting every problem in `fields`; `id` names it when it does not do so itself.
pub fn read(fields: &mut Fields<'_>, id: impl FnOnce() -> String) -> Option<Envelope> {
    let task = task(fields);
    let id = if fields.raw("id").is_some() { fields.text("id", limits::id) } else { Some(id()) };
    let context = context(fields);
    let kwargs = if context.bulk {
        fields.json("kwargs", '[', "an array of payloads, since context.bulk is true")
    } else {
        fields.json("kwargs", '{', "an object")
    };
    let args = fields.json("args", '[', "an array").map(ToOwned::to_owned);
    let claim_check = claim_check(fields);
    let conditions = conditions(fields, id.unwrap_or_default(), task.unwrap_or_default(), context);
    // What is none is somebody else's field.
    let fingerprint = fields.raw("fingerprint").and_then(|text| serde_json::from_str::<Fingerprint>(text.get()).ok());
    Some(Envelope { args, kwargs: kwargs.map(ToOwned::to_owned), claim_check, fingerprint, ..conditions })
}

/// The fields of an envelope that can stand in a message's attributes, where the body does not have them.
const IN_ATTRIBUTES: [&str; 14] = [
    "task",
    "id",
    "queue",
    "run_after",
    "expires",
    "max_attempts",
    "callback_url",
    "group",
    "backend",
    "destination",
    "notification_id",
    "user",
    "trace",
    "traceparent",
];

/// Reads a message's envelope, of which the attributes beside the body may hold a part. Where they name the task and the body has no field of an
/// envelope's arguments, the whole body is the payload.
pub(crate) fn read_message(fields: Fields<'_>, layer: &Layer<'_>) -> Result<(Envelope, Vec<String>), Problems> {
    if !IN_ATTRIBUTES.iter().any(|name| layer.attributes.contains_key(*name)) {
        return read_whole(fields.noting(), layer.id, layer.queue);
    }
    read_whole(Fields::of(&with_attributes(&fields, layer.attributes))?.noting(), layer.id, layer.queue)
}

/// The envelope, of this id and on this queue unless it says so itself, and where its object has fields that nobody knows.
fn read_whole(mut fields: Fields<'_>, id: &str, queue: &str) -> Result<(Envelope, Vec<String>), Problems> {
    let mut envelope = read(&mut fields, || id.to_owned());
    if let Some(envelope) = &mut envelope
        && fields.raw("queue").is_none()
    {
        queue.clone_into(&mut envelope.queue);
    }
    let unread = fields.unread();
    Ok((fields.finish(envelope)?, unread))
}

/// The object with what only the attributes say.
fn with_attributes(fields: &Fields<'_>, attributes: &BTreeMap<String, String>) -> String {
    let is_payload = attributes.contains_key("task")
        && ["task", "task_name", "args", "kwargs", "claim_check"].iter().all(|name| fields.raw(name).is_none());
    let mut whole = Object::new();
    if is_payload {
        whole.field("kwargs", fields.source().trim());
    } else {
        fields.entries().for_each(|(name, json)| whole.field(name, json.get()));
    }
    let has = |name: &'static str| !is_payload && fields.raw(name).is_some();
    for name in IN_ATTRIBUTES {
        let Some(value) = attributes.get(name) else { continue };
        let field = if name == "traceparent" { "trace" } else { name };
        let said = has(field) || (field == "task" && has("task_name")) || (name == "traceparent" && attributes.contains_key("trace"));
        // A number's text is the number; all else is text.
        let number = field == "max_attempts" && value.parse::<u32>().is_ok();
        if !said {
            whole.field(field, &if number { value.clone() } else { json::text(value) });
        }
    }
    whole.end()
}

/// The envelope of a task whose arguments are some JSON: an object's fields, or one positional argument.
///
/// # Errors
/// It is no JSON, or nested too deep.
pub fn of_data(id: String, task: String, data: &str) -> Result<Envelope, Problems> {
    guard::check(data, BODY_LIMIT)?;
    let json = RawValue::from_string(data.trim().to_owned()).map_err(|error| Fields::not_json(&error, data))?;
    let envelope = Envelope::new(id, task);
    Ok(match json.get().as_bytes().first() {
        Some(b'{') => Envelope { kwargs: Some(json), ..envelope },
        Some(b'n') => envelope,
        _ => Envelope { args: to_raw_value(&[json]).ok(), ..envelope },
    })
}

/// Reads an envelope from the text that [`encode`] makes of one.
///
/// # Errors
/// It is none.
pub fn decode(body: &str, id: &str) -> Result<Envelope, Problems> {
    guard::check(body, BODY_LIMIT)?;
    read_whole(Fields::of(body)?, id, DEFAULT_QUEUE).map(|(envelope, _)| envelope)
}

/// Reads what an object says about how an envelope without arguments is to be run. A call's `queue` may be a broker's: who knows the transports checks it.
pub fn conditions(fields: &mut Fields<'_>, id: String, task: String, context: Context) -> Envelope {
    Envelope {
        id,
        task,
        args: None,
        kwargs: None,
        claim_check: None,
        fingerprint: None,
        queue: fields
            .text("queue", if fields.is_strict() { limits::destination } else { limits::queue })
            .unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
        run_after: fields.optional::<Timestamp>("run_after"),
        expires: fields.optional::<Timestamp>("expires"),
        max_attempts: max_attempts(fields),
        callback_url: fields.text("callback_url", limits::callback_url),
        group: fields.text("group", limits::id),
        backend: fields.text("backend", limits::backend),
        destination: fields.text("destination", limits::destination),
        notification_id: fields.text("notification_id", limits::label),
        user: fields.text("user", limits::label),
        trace: fields.text("trace", limits::traceparent),
        context,
        sender: Sender::Native,
    }
}

/// `task`, or `task_name` as django-tasks-cloud's documentation has it.
fn task(fields: &mut Fields<'_>) -> Option<String> {
    let name = if !fields.has("task") && fields.has("task_name") { "task_name" } else { "task" };
    if fields.raw(name).is_none() {
        fields.refuse(name, "is required: the name of what to do");
    }
    fields.text(name, limits::task)
}

fn context(fields: &mut Fields<'_>) -> Context {
    // Notes what is wrong with it; what else it has is its sender's own.
    fields.object("context", |context| {
        context.free();
        context.optional::<bool>("bulk")
    });
    fields.raw("context").map(|json| Context::of(json.to_owned())).unwrap_or_default()
}

/// Refuses what only a message on the queue may want to follow: a caller who may send tasks may not have messages sent to any queue.
pub fn refuse_follow_ups(fields: &mut Fields<'_>, envelope: &Envelope) {
    if envelope.context.follow_ups {
        fields.refuse(&format!("context/{}", FollowUps::CONTEXT), "is not for callers: it is what Celery's messages say");
    }
}

/// The key of arguments that are kept elsewhere; there are none here then.
fn claim_check(fields: &mut Fields<'_>) -> Option<String> {
    let key = fields.text("claim_check", limits::object_key)?;
    if fields.raw("args").is_some() || fields.raw("kwargs").is_some() {
        fields.refuse("claim_check", "expected no args and kwargs beside it");
    }
    Some(key)
}

fn max_attempts(fields: &mut Fields<'_>) -> Option<u32> {
    fields.number("max_attempts", 1..=MAX_ATTEMPTS.into()).and_then(|count| count.try_into().ok())
}

/// The delay of a call, `countdown`: seconds from now, as Celery and django-notifs say it. It takes the place of `run_after`.
pub fn countdown(fields: &mut Fields<'_>) -> Option<Duration> {
    let seconds = fields.optional::<f64>("countdown")?;
    if fields.raw("run_after").is_some() {
        fields.refuse("countdown", "expected either countdown or run_after, got both");
    }
    let delay = Duration::try_from_secs_f64(seconds).ok().filter(|delay| *delay <= LONGEST_DELAY);
    if delay.is_none() {
        fields.refuse("countdown", format!("expected seconds from 0 to {}", LONGEST_DELAY.as_secs()));
    }
    delay
}

/// The body of a message that carries an envelope: one line of JSON, of characters that every queue takes. A `destination` is said while there is a `backend`: both end
/// with the hand-over.
#[must_use]
pub fn encode(envelope: &Envelope) -> String {
    #[derive(Serialize)]
    struct Wire<'a> {
        task: &'a str,
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        args: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kwargs: Option<&'a RawValue>,
        queue: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        run_after: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        expires: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_attempts: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        claim_check: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        callback_url: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        backend: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        destination: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        notification_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        trace: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        fingerprint: Option<Fingerprint>,
    }
    // A field that is new must be written, or left out on purpose.
    let Envelope {
        id,
        task,
        args,
        kwargs,
        queue,
        run_after,
        expires,
        max_attempts,
        claim_check,
        callback_url,
        group,
        backend,
        destination,
        notification_id,
        user,
        context,
        trace,
        fingerprint,
        sender: _,
    } = envelope;
    let wire = Wire {
        task,
        id,
        args: args.as_deref(),
        kwargs: kwargs.as_deref(),
        queue,
        run_after: *run_after,
        expires: *expires,
        max_attempts: *max_attempts,
        claim_check: claim_check.as_deref(),
        callback_url: callback_url.as_deref(),
        group: group.as_deref(),
        backend: backend.as_deref(),
        destination: destination.as_deref().filter(|_| backend.is_some()),
        notification_id: notification_id.as_deref(),
        user: user.as_deref(),
        context: context.json.as_deref(),
        trace: trace.as_deref(),
        fingerprint: *fingerprint,
    };
    // Texts, numbers and JSON that was parsed before: there is nothing here that serde can refuse.
    escape(serde_json::to_string(&wire).unwrap_or_default())
}

/// Escapes the two characters that JSON allows as they are and SQS does not (it takes those of XML 1.0 only).
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
pub(crate) fn escape(json: String) -> String {
    // Both begin with this byte, as few others do.
    if memchr::memchr(0xef, json.as_bytes()).is_some() && json.contains(['\u{fffe}', '\u{ffff}']) {
        json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
    } else {
        json
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn problems(body: &str) -> String {
        decode(body, "m-1").unwrap_err().to_string()
    }

    #[test]
    fn a_field_may_stand_in_an_attribute_or_is_json_or_our_own() {
        let mut fields = Fields::of("{}").unwrap().strict();
        read(&mut fields, String::new);
        let beside: BTreeSet<&str> = ["args", "kwargs", "context", "claim_check", "fingerprint"].into_iter().collect();
        let attributes: BTreeSet<&str> = IN_ATTRIBUTES.into_iter().collect();
        assert_eq!(&fields.known().into_iter().chain(["traceparent"]).collect() - &beside, attributes);
        let page = include_str!("../../../docs/senders.md");
        let told = page.split_once("may stand in message attributes: ").unwrap().1.split_once(". ").unwrap().0;
        assert_eq!(told.split('`').skip(1).step_by(2).collect::<BTreeSet<_>>(), attributes, "docs/senders.md");
    }

    #[test]
    fn a_task_and_kwargs_are_a_complete_message() {
        let envelope = decode(r#"{"task":"email","kwargs":{"to":["a@example.com"]}}"#, "m-1").unwrap();
        assert_eq!((envelope.id.as_str(), envelope.task.as_str(), envelope.queue.as_str()), ("m-1", "email", "default"));
        assert_eq!(envelope.payload(), r#"{"to":["a@example.com"]}"#);
        assert_eq!((envelope.max_attempts, envelope.run_after), (None, None));
        assert_eq!(decode(r#"{"task_name":"t","surprise":1}"#, "m-1").unwrap().task, "t");
    }

    #[test]
    fn every_field_survives_encoding() {
        let body = r#"{"task":"a.b:c","id":"x/1","args":[1,"é"],"kwargs":{"n":1e400,"t":"\u0000\ud83d\ude00"},"queue":"fast","run_after":"2026-11-20T12:00:00.000Z","expires":"2026-11-21T12:00:00.000Z","max_attempts":3,"callback_url":"https://example.com/x","group":"g","backend":"partner","destination":"orders/ü","notification_id":"n","user":"u","context":{"k":[1]},"trace":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","fingerprint":"00000000000000000000000000000abc"}"#;
        assert_eq!(encode(&decode(body, "m-1").unwrap()), body);
    }

    #[test]
    fn what_was_handed_over_says_no_more_where_to() {
        let envelope = decode(r#"{"task":"t","id":"a","destination":"orders"}"#, "m").unwrap();
        assert_eq!(envelope.destination.as_deref(), Some("orders"));
        assert_eq!(encode(&envelope), r#"{"task":"t","id":"a","queue":"default"}"#);
    }

    #[test]
    fn control_characters_survive_the_queue() {
        let body = format!(r#"{{"task":"t","kwargs":{{"a":"{}","b":"\u0000\u001f"}}}}"#, "\u{fffe}\u{ffff}\u{7f}");
        let encoded = encode(&decode(&body, "m-1").unwrap());
        assert!(
            encoded.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)),
            "{encoded}"
        );
        let value = |body: &str| serde_json::from_str::<serde_json::Value>(decode(body, "m-1").unwrap().payload()).unwrap();
        assert_eq!(value(&encoded), value(&body));
    }

    #[test]
    fn a_callback_may_have_an_international_name() {
        let with =
            |url: &str| decode(&format!(r#"{{"task":"t","callback_url":"{url}"}}"#), "m-1").map(|envelope| envelope.callback_url.unwrap());
        for url in ["https://exämple.de/fertig?für=7", "https://example.com/ü", "http://localhost:8000/ü"] {
            assert_eq!(with(url).as_deref(), Ok(url));
        }
        for url in ["http://exämple.de/", "https://ä .de/", "https://", "ä", &format!("https://example.com/{}", "ü".repeat(400))] {
            assert!(with(url).is_err(), "{url}");
        }
    }

    #[test]
    fn bulk_takes_an_array_of_payloads() {
        assert!(decode(r#"{"task":"t","kwargs":[{}],"context":{"bulk":true}}"#, "m").unwrap().context.bulk);
        assert_eq!(
            problems(r#"{"task":"t","kwargs":{},"context":{"bulk":true}}"#),
            "/kwargs: expected an array of payloads, since context.bulk is true, got an object"
        );
        assert_eq!(problems(r#"{"task":"t","context":{"bulk":"yes"}}"#), "/context/bulk: expected a boolean, got a string");
    }

    #[test]
    fn every_wrong_field_is_named_with_what_was_expected() {
        let told = problems(
            r#"{"task":"no spaces","id":"","args":{},"kwargs":[],"queue":"a b","run_after":"tomorrow","expires":5,"max_attempts":101,"callback_url":"http://x","group":"","backend":"a b","destination":"","notification_id":"","user":7,"context":[],"trace":"x"}"#,
        );
        for pointer in [
            "task",
            "id",
            "args",
            "kwargs",
            "queue",
            "run_after",
            "expires",
            "max_attempts",
            "callback_url",
            "group",
            "backend",
            "destination",
            "notification_id",
            "user",
            "context",
            "trace",
        ] {
            assert!(told.contains(&format!("/{pointer}: expected ")), "{pointer} in {told}");
        }
    }

    #[test]
    fn poison_is_refused_with_the_reason() {
        for (body, reason) in [
            ("", "is not JSON: EOF while parsing a value (line 1, column 0)"),
            ("{not json", "is not JSON: key must be a string (line 1, column 2)"),
            ("\0{", "is not JSON: expected value (line 1, column 1)"),
            ("\u{feff}{}", "begins with a byte order mark; expected JSON (RFC 8259, section 8.1)"),
            ("[]", "expected a JSON object, got an array"),
            ("7", "expected a JSON object, got a number"),
            ("null", "expected a JSON object, got null"),
            ("{}", "/task: is required: the name of what to do"),
            (r#"{"task":null}"#, "/task: is required: the name of what to do"),
            (r#"{"task":"a","task":"b"}"#, "/task: is there twice"),
            (r#"{"task":"t","kwargs":{"a":NaN}}"#, "is not JSON: NaN is no number there (line 1, column 27)"),
        ] {
            assert_eq!(problems(body), reason, "{body}");
        }
        assert!(problems(&format!(r#"{{"task":"{}"}}"#, "x".repeat(errand_core::BODY_LIMIT))).ends_with("at most 1040384 are accepted"));
        assert!(decode(&format!(r#"{{"task":"t","kwargs":{{"a":"{}"}}}}"#, "x".repeat(1_000_000)), "m").is_ok());
    }
}
