use errand_api::{RATE_LIMIT, Scope};
use errand_core::{DEFAULT_QUEUE, Payloads, TaskResult};
use errand_templates::VARIABLES_LIMIT;
use errand_wire::native;
use serde_json::{Map, Value, json};

use super::{array, both, kwargs, map, name, one_of, optional_time, reference, sent, task_id, text, time};

/// How an envelope is to be run: what tasks, notifications and schedules have in common.
fn conditions(payloads: &Payloads) -> Map<String, Value> {
    let queue = match payloads.queues() {
        Some(known) => json!({ "type": "string", "enum": known, "default": DEFAULT_QUEUE }),
        None => json!({ "type": "string", "pattern": r"^[A-Za-z0-9_-]{1,80}(\.fifo)?$", "default": DEFAULT_QUEUE }),
    };
    let label = |description: &str| json!({ "type": "string", "minLength": 1, "maxLength": 256, "description": description });
    map(json!({
        "queue": queue,
        "max_attempts": { "type": "integer", "minimum": 1, "maximum": native::MAX_ATTEMPTS, "description": "The operator's ERRAND_MAX_ATTEMPTS when not said." },
        "callback_url": { "type": "string", "maxLength": 2048, "description": "An https URL to which the result is POSTed, signed as Standard Webhooks." },
        "group": { "type": "string", "pattern": "^[!-~]{1,128}$", "description": "Tenant, or ordering key on a FIFO queue." },
        "user": label("The recipient."),
        "context": { "type": "object", "properties": { "bulk": { "type": "boolean", "description": "kwargs is an array of payloads." } } },
        "trace": { "type": "string", "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$", "description": "W3C traceparent." },
    }))
}

fn times() -> Map<String, Value> {
    map(json!({
        "run_after": { "type": "string", "format": "date-time", "description": "Not earlier than; within 366 days." },
        "countdown": { "type": "number", "minimum": 0, "maximum": native::LONGEST_DELAY.as_secs(), "description": "The same, in seconds from now." },
        "expires": { "type": "string", "format": "date-time", "description": "Not later than." },
    }))
}

/// The name of a task that is known here, or that a route takes.
fn task_name(payloads: &Payloads) -> Value {
    let name = |name: &str| match name.strip_suffix('*') {
        Some(prefix) => format!("{}[A-Za-z0-9_.:-]+", prefix.replace('.', r"\.")),
        None => name.replace('.', r"\."),
    };
    let known: Vec<String> = payloads.names().map(name).collect();
    json!({ "type": "string", "maxLength": 200, "pattern": format!("^(?:{})$", known.join("|")), "description": "What to do." })
}

/// What a task takes, by its name, as code tells it: a schema of alternatives would tell all that is wrong with each.
fn by_task(payloads: &Payloads) -> Vec<Value> {
    let payload = |task: &str| {
        let payload = reference(&kwargs(task));
        json!({
            "if": { "properties": { "task": { "const": task } } },
            "then": { "required": ["kwargs"], "properties": { "args": { "maxItems": 0 }, "kwargs": { "anyOf": [payload, { "type": "array", "items": payload }] } } },
        })
    };
    let bulk = json!({
        "if": { "required": ["context"], "properties": { "context": { "type": "object", "required": ["bulk"], "properties": { "bulk": { "const": true } } } } },
        "then": { "properties": { "kwargs": { "type": ["array", "null"], "items": { "type": "object" } } } },
        "else": { "properties": { "kwargs": { "type": ["object", "null"] } } },
    });
    payloads.schemas().map(|(task, _)| payload(task)).chain([bulk]).collect()
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
    let mut conditions = one_of(&["task", "queue", "kind", "reason", "since", "until"]);
    conditions.push(json!({ "required": ["ids"], "properties": { "ids": { "type": "array", "items": text(), "minItems": 1 } } }));
    conditions.push(json!({ "required": ["all"], "properties": { "all": { "const": true } } }));
    selection["anyOf"] = json!(conditions);
    selection
}

/// What calls send, a schema for each kind of body.
pub(super) fn calls(payloads: &Payloads) -> Map<String, Value> {
    let mut id = task_id();
    id["description"] = json!("Names the piece of work: the same id is done once.");
    let mut envelope = map(json!({
        "task": task_name(payloads),
        "args": array(),
        "kwargs": { "type": ["object", "array"], "items": { "type": "object" }, "description": "The task's payload; an array of payloads with context.bulk." },
        "notification_id": { "type": "string", "minLength": 1, "maxLength": 256 },
    }));
    envelope.extend(conditions(payloads));
    let mut own = envelope.clone();
    own.extend(times());
    own.insert("id".to_owned(), id.clone());
    let mut change = envelope;
    change.extend(map(json!({
        "cron": { "type": "string", "description": "Minute, hour, day of the month, month, day of the week, as crontab has them, with EventBridge's ?, L, W and #; or @daily and its like." },
        "rate": { "type": "string", "pattern": "^[0-9]+ (minute|hour|day)s?$" },
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
        "recipient": { "type": "string", "minLength": 1, "maxLength": 256, "description": "The same as user, as django-notifs says it." },
        "source": text(), "source_display_name": text(), "action": text(), "category": text(), "url": text(), "short_description": text(),
        "obj": {}, "extra_data": { "type": "object" },
        "silent": { "type": "boolean", "default": false, "description": "Not for the inbox." },
        "template": name(),
        "locale": { "type": "string", "pattern": "^[A-Za-z0-9_-]{2,35}$" },
        "variables": { "type": "object", "description": format!("What the template names beside the fields: at most {VARIABLES_LIMIT} bytes of JSON together with them.") },
    })));
    let channels = json!({ "type": "object", "additionalProperties": { "type": "object" } });
    let error = sent(&["exception_class_path"], json!({ "exception_class_path": text(), "traceback": text() }));
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
            "worker_id": { "type": "string", "minLength": 1, "maxLength": 256 },
        })),
        "Template": sent(&["channels"], json!({ "channels": channels, "locales": { "type": "object", "additionalProperties": channels } })),
        "NewKey": sent(&["name", "scopes"], json!({
            "name": { "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$" },
            "scopes": { "type": "array", "minItems": 1, "items": { "type": "string", "enum": Scope::ALL.map(Scope::as_str) } },
            "expires": optional_time(),
            "rate": { "type": ["integer", "null"], "minimum": 1, "maximum": RATE_LIMIT, "description": "Calls in a minute." },
        })),
    }));
    let mut task = sent(&["task"], Value::from(own));
    task["not"] = both("countdown", "run_after");
    task["allOf"] = Value::from(by_task(payloads));
    let mut notification = sent(&["channels"], Value::from(notification));
    notification["not"] = json!({ "anyOf": [both("countdown", "run_after"), both("user", "recipient")] });
    let mut schedule = sent(&["name", "task"], Value::from(schedule));
    schedule["anyOf"] = json!(one_of(&["cron", "rate"]));
    schedule["not"] = both("cron", "rate");
    schedule["allOf"] = Value::from(by_task(payloads));
    let mut change = sent(&[], Value::from(change));
    change["not"] = both("cron", "rate");
    let mut at = sent(&[], json!({ "run_after": times()["run_after"], "countdown": times()["countdown"] }));
    at["anyOf"] = json!(one_of(&["run_after", "countdown"]));
    at["not"] = both("countdown", "run_after");
    schemas.extend(map(json!({
        "Task": task,
        "Notification": notification,
        "Schedule": schedule,
        "ScheduleChange": change,
        "Time": at,
        "Drop": selection(json!({})),
        "Replay": selection(json!({ "edit": { "type": "object", "description": "A JSON merge patch of each envelope." } })),
    })));
    schemas
}
