use std::collections::BTreeSet;

use errand_api::{RATE_LIMIT, Scope};
use errand_core::{Destinations, Payloads, TaskResult};
use errand_templates::VARIABLES_LIMIT;
use errand_wire::native;
use serde_json::{Map, Value, json};

use super::{array, both, described, each_there, kwargs, label, map, name, none_of, object, reference, sent, task_id, text, time};

/// What a callback's URL looks like: [`errand_core::limits::callback_url`].
const CALLBACK_URL: &str = r"^(https://[^/?#]|http://(localhost|127\.0\.0\.1|\[::1\])([:/?#]|$))";

/// How an envelope is to be run: what tasks, notifications and schedules have in common.
fn conditions(payloads: &Payloads) -> Map<String, Value> {
    let backend = match payloads.transports() {
        Some(known) => json!({ "type": "string", "enum": known.all.keys().collect::<Vec<_>>() }),
        None => json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" }),
    };
    map(json!({
        "queue": described(queue(payloads), "The queue it belongs on, or where it goes elsewhere, the broker's topic, stream, entity or channel: one that the transport has. There its `default`, else its first, when not said."),
        "backend": described(backend, "The transport that it is handed to, by its name."),
        "destination": described(destination(), "The same as `queue` of what goes elsewhere, before which it counts."),
        "max_attempts": { "type": "integer", "minimum": 1, "maximum": native::MAX_ATTEMPTS, "description": "The operator's ERRAND_MAX_ATTEMPTS when not said." },
        "callback_url": { "type": "string", "maxLength": 2048, "pattern": CALLBACK_URL, "description": "An https URL to which the result is POSTed, signed as Standard Webhooks." },
        "group": { "type": "string", "pattern": "^[!-~]{1,128}$", "description": "Tenant, or ordering key on a FIFO queue." },
        "user": described(label(), "The recipient."),
        "context": { "type": "object", "properties": { "bulk": { "type": "boolean", "description": "kwargs is an array of payloads." } } },
        "trace": { "type": "string", "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$", "description": "W3C traceparent." },
    }))
}

/// One of our own queues or of another transport's, which may have any.
fn queue(payloads: &Payloads) -> Value {
    let (Some(ours), Some(transports)) = (payloads.queues(), payloads.transports()) else { return destination() };
    let elsewhere = || transports.all.iter().filter(|(name, _)| **name != transports.home).map(|(_, queues)| queues);
    if elsewhere().any(|queues| queues.iter().next().is_none()) {
        return destination();
    }
    let known: BTreeSet<&str> = ours.iter().map(String::as_str).chain(elsewhere().flat_map(Destinations::iter)).collect();
    json!({ "type": "string", "enum": known })
}

fn destination() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 512, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$" })
}

fn times() -> Map<String, Value> {
    map(json!({
        "run_after": { "type": "string", "format": "date-time", "description": "Not earlier than; within 366 days." },
        "countdown": { "type": "number", "minimum": 0, "maximum": native::LONGEST_DELAY.as_secs(), "description": "The same, in seconds from now." },
        "expires": { "type": "string", "format": "date-time", "description": "Not later than." },
    }))
}

/// What says which task is to be run and how, as a schema for each task that a provider does, with its payload, and one for the tasks of routes; and one of
/// them all, by `name`.
fn for_each_task(name: &str, base: &Value, payloads: &Payloads) -> Map<String, Value> {
    let mut schemas = Map::new();
    for (task, _) in payloads.types() {
        let payload = reference(&kwargs(task));
        let mut one = base.clone();
        one["required"].as_array_mut().into_iter().for_each(|required| required.push(json!("kwargs")));
        one["properties"]["task"] = json!({ "const": task });
        one["properties"]["args"] = json!({ "type": ["array", "null"], "items": {}, "maxItems": 0 });
        one["properties"]["kwargs"] =
            json!({ "anyOf": [payload, { "type": "array", "items": payload }], "description": "An array of payloads with context.bulk." });
        schemas.insert(format!("{name}.{task}"), one);
    }
    if let Some(task) = routed(payloads) {
        let mut one = base.clone();
        one["properties"]["task"] = task;
        schemas.insert(format!("{name}.routed"), one);
    }
    let all: Vec<Value> = schemas.keys().map(|name| reference(name)).collect();
    schemas.insert(name.to_owned(), json!({ "anyOf": all }));
    schemas
}

/// The name of a task that a route takes, if any does.
fn routed(payloads: &Payloads) -> Option<Value> {
    let names: Vec<&str> = payloads.names().filter(|name| payloads.types().all(|(task, _)| task != *name)).collect();
    (!names.is_empty()).then(|| task_name(names.into_iter()))
}

/// One of these names of tasks, or patterns of routes.
fn task_name<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    let name = |name: &str| match name.strip_suffix('*') {
        Some(prefix) => format!("{}[A-Za-z0-9_.:-]+", prefix.replace('.', r"\.")),
        None => name.replace('.', r"\."),
    };
    let names: Vec<String> = names.map(name).collect();
    json!({ "type": "string", "maxLength": 200, "pattern": format!("^(?:{})$", names.join("|")), "description": "What to do." })
}

/// With an array of payloads where `context.bulk` says so, and else an object.
fn as_bulk_says(mut schema: Value) -> Value {
    schema["if"] = json!({ "required": ["context"], "properties": { "context": { "type": "object", "required": ["bulk"], "properties": { "bulk": { "const": true } } } } });
    schema["then"] = json!({ "properties": { "kwargs": { "type": ["array", "null"], "items": { "type": "object" } } } });
    schema["else"] = json!({ "properties": { "kwargs": { "type": ["object", "null"] } } });
    schema
}

/// Which dead letters are meant, and what else there is to say.
fn selection(more: Value) -> Value {
    let mut properties = map(json!({
        "ids": { "type": "array", "items": text() }, "task": text(), "queue": text(), "kind": text(), "reason": text(), "since": time(), "until": time(), "all": { "type": "boolean" },
        "limit": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 },
    }));
    properties.extend(map(more));
    let mut selection = sent(&[], Value::from(properties));
    selection["description"] = json!("Letters that are all of what is said; all of them with all.");
    let mut conditions = each_there(&["task", "queue", "kind", "reason", "since", "until"]);
    conditions.push(json!({ "required": ["ids"], "properties": { "ids": { "type": "array", "items": text(), "minItems": 1 } } }));
    conditions.push(json!({ "required": ["all"], "properties": { "all": { "const": true } } }));
    selection["not"] = none_of(&conditions);
    selection
}

/// What calls send, a schema for each kind of body.
pub(super) fn calls(payloads: &Payloads) -> Map<String, Value> {
    let id = described(task_id(), "Names the piece of work: the same id is done once.");
    let mut envelope = map(json!({
        "task": task_name(payloads.names()),
        "args": array(),
        "kwargs": { "type": ["object", "array"], "items": { "type": "object" }, "description": "The task's payload; an array of payloads with context.bulk." },
        "notification_id": label(),
    }));
    envelope.extend(conditions(payloads));
    let mut own = envelope.clone();
    own.extend(times());
    own.insert("id".to_owned(), id);
    let mut change = envelope;
    change.extend(map(json!({
        "cron": { "type": "string", "description": "Minute, hour, day of the month, month, day of the week, as crontab has them, with EventBridge's ?, L, W and #; or @daily and its like." },
        "rate": { "type": "string", "pattern": "^[1-9][0-9]{0,5} (minute|hour|day)s?$", "description": "Every so many; up to a year." },
        "timezone": { "type": "string", "default": "UTC", "description": "As the IANA names it." },
        "paused": { "type": "boolean", "default": false },
    })));
    let mut schedule = change.clone();
    schedule.insert("name".to_owned(), name());
    let mut notification = conditions(payloads);
    notification.extend(times());
    notification.extend(map(json!({
        "id": { "type": "string", "pattern": "^[!-~]{1,90}$" },
        "channels": {
            "description": "Payloads by the name of the channel, or a list of names. What a payload leaves out is rendered from the template.",
            "anyOf": [{ "type": "object", "minProperties": 1, "maxProperties": 20 }, { "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 20 }],
        },
        "recipient": described(label(), "The same as user, as django-notifs says it."),
        "source": text(), "source_display_name": text(), "action": text(), "category": text(), "url": text(), "short_description": text(),
        "obj": {}, "extra_data": { "type": "object" },
        "silent": { "type": "boolean", "default": false, "description": "Not for the inbox." },
        "template": name(),
        "locale": { "type": "string", "pattern": "^[A-Za-z0-9_-]{2,35}$" },
        "variables": { "type": "object", "description": format!("What the template names beside the fields: at most {VARIABLES_LIMIT} bytes of JSON together with them.") },
    })));
    let channels = json!({ "type": "object", "additionalProperties": { "type": "object" } });
    let mut error = object(&["exception_class_path"], json!({ "exception_class_path": text(), "traceback": text() }));
    error["additionalProperties"] = json!(false);
    let named = json!({ "type": "string", "minLength": 1 });
    let mut event = sent(
        &["specversion", "id", "source", "type"],
        json!({
            "specversion": { "const": "1.0" }, "id": named, "source": named, "type": { "type": "string", "minLength": 1, "description": "The task." },
            "time": time(), "subject": text(), "datacontenttype": text(), "dataschema": text(), "data": { "description": "The task's payload; what is no object is its one positional argument." },
            "data_base64": { "type": "string", "contentEncoding": "base64" }, "expirytime": { "type": "string", "format": "date-time", "description": "Not later than." },
            "partitionkey": { "type": "string", "pattern": "^[!-~]{1,128}$", "description": "Tenant, or ordering key on a FIFO queue." },
            "traceparent": { "type": "string", "description": "W3C traceparent." },
        }),
    );
    // Extensions are the sender's own: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#extension-context-attributes
    event["additionalProperties"] = json!(true);
    let mut schemas = map(json!({
        "Batch": sent(&["tasks"], json!({ "tasks": { "type": "array", "minItems": 1, "maxItems": 1000, "items": { "description": "A Task. One that is wrong is answered in its place." } } })),
        "CloudEvent": event,
        "CloudEvents": { "type": "array", "maxItems": 1000, "items": { "description": "A CloudEvent. One that is wrong is answered in its place." } },
        "Report": sent(&["status"], json!({
            "status": { "type": "string", "enum": ["RUNNING", "SUCCESSFUL", "FAILED"] },
            "return_value": {},
            "errors": { "type": "array", "maxItems": TaskResult::ERRORS_LIMIT, "items": error },
            "worker_id": label(),
        })),
        "Template": sent(&["channels"], json!({ "channels": channels, "locales": { "type": "object", "additionalProperties": channels } })),
        "NewKey": sent(&["name", "scopes"], json!({
            "name": { "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$" },
            "scopes": { "type": "array", "minItems": 1, "items": { "type": "string", "enum": Scope::ALL.map(Scope::as_str) } },
            "expires": time(),
            "rate": { "type": "integer", "minimum": 1, "maximum": RATE_LIMIT, "description": "Calls in a minute." },
        })),
    }));
    let mut task = sent(&["task"], Value::from(own));
    task["not"] = both("countdown", "run_after");
    let mut notification = sent(&["channels"], Value::from(notification));
    notification["not"] = json!({ "anyOf": [both("countdown", "run_after"), both("user", "recipient")] });
    let mut schedule = sent(&["name", "task"], Value::from(schedule));
    schedule["not"] = json!({ "anyOf": [both("cron", "rate"), none_of(&each_there(&["cron", "rate"]))] });
    // What a schedule cannot be without cannot be taken from it.
    let mut change = sent(&["task"], Value::from(change));
    change["required"] = json!([]);
    change["not"] = both("cron", "rate");
    let mut at = sent(&[], json!({ "run_after": times()["run_after"], "countdown": times()["countdown"] }));
    at["not"] = json!({ "anyOf": [both("countdown", "run_after"), none_of(&each_there(&["run_after", "countdown"]))] });
    for (name, of_any) in [("Task", task), ("Schedule", schedule)] {
        schemas.extend(for_each_task(name, &as_bulk_says(of_any), payloads));
    }
    schemas.extend(map(json!({
        "Notification": notification,
        "ScheduleChange": change,
        "Time": at,
        "Drop": selection(json!({})),
        "Replay": selection(json!({ "edit": { "type": "object", "description": "A JSON merge patch of each envelope." } })),
    })));
    schemas
}
