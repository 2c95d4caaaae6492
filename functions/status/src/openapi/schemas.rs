use errand_api::{RATE_LIMIT, Scope};
use errand_core::{Payloads, Sender, Status, TaskResult};
use errand_wire::native;
use serde_json::{Map, Value, json};

use super::operations::reference;

/// Every schema that calls and answers refer to, and one for the payload of each task.
pub(super) fn all(payloads: &Payloads) -> Map<String, Value> {
    let mut schemas = answers();
    schemas.extend(calls(payloads));
    schemas.extend(payloads.schemas().filter_map(|(task, schema)| Some((kwargs(task), serde_json::from_str(schema).ok()?))));
    schemas
}

/// The name of the schema of a task's payload.
fn kwargs(task: &str) -> String {
    format!("Kwargs.{task}")
}

/// A problem document for each status that calls are refused with.
pub(super) fn responses() -> Map<String, Value> {
    let statuses = [
        (400, "The call cannot be read."),
        (401, "There is no key, or it is not known or has expired."),
        (403, "The key lacks the scope."),
        (404, "There is no such thing."),
        (409, "It is in no state for that."),
        (413, "It is too large."),
        (415, "It is not JSON."),
        (422, "Fields are wrong: errors names each."),
        (429, "The key has called too often: see RateLimit and Retry-After."),
        (501, "The operator has not set this up."),
        (503, "A part does not answer: try again."),
    ];
    let problem = |(status, description): (u16, &str)| {
        let content = json!({ "application/problem+json": { "schema": reference("Problem") } });
        (status.to_string(), json!({ "description": description, "content": content }))
    };
    statuses.map(problem).into_iter().collect()
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

/// The same for what is sent: a field that need not be there may be null as well.
fn sent(required: &[&str], properties: Value) -> Value {
    let properties: Map<String, Value> = map(properties)
        .into_iter()
        .map(|(name, mut property)| {
            if !required.contains(&name.as_str()) {
                let types = property.get("type").cloned();
                if let Some(Value::String(one)) = types {
                    property["type"] = json!([one, "null"]);
                } else if let Some(types) =
                    property.get_mut("type").and_then(Value::as_array_mut).filter(|types| !types.contains(&json!("null")))
                {
                    types.push(json!("null"));
                }
                if let Some(alternatives) = property.get_mut("anyOf").and_then(Value::as_array_mut) {
                    alternatives.push(json!({ "type": "null" }));
                }
            }
            (name, property)
        })
        .collect();
    object(required, Value::from(properties))
}

fn list(name: &str, of: Value) -> Value {
    object(
        &[name, "cursor"],
        json!({ name: { "type": "array", "items": of }, "cursor": { "type": ["string", "null"], "description": "Where to go on; null at the end." } }),
    )
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn optional_text() -> Value {
    json!({ "type": ["string", "null"] })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn optional_time() -> Value {
    json!({ "type": ["string", "null"], "format": "date-time" })
}

fn map(schemas: Value) -> Map<String, Value> {
    match schemas {
        Value::Object(schemas) => schemas,
        _ => Map::new(),
    }
}

/// How an envelope is to be run: what tasks, notifications and schedules have in common.
fn conditions() -> Map<String, Value> {
    let label = |description: &str| json!({ "type": "string", "minLength": 1, "maxLength": 256, "description": description });
    map(json!({
        "queue": { "type": "string", "pattern": r"^[A-Za-z0-9_-]{1,80}(\.fifo)?$", "default": "default" },
        "max_attempts": { "type": "integer", "minimum": 1, "maximum": native::MAX_ATTEMPTS, "default": 6 },
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

fn calls(payloads: &Payloads) -> Map<String, Value> {
    let id = json!({ "type": "string", "pattern": "^[!-~]{1,128}$", "description": "Names the piece of work: the same id is done once." });
    let task = json!({ "type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,200}$", "description": format!("What to do. Known here: {}.", payloads.names().collect::<Vec<_>>().join(", ")) });
    // What a task takes is told by its name, as code tells it: a schema of alternatives would tell all that is wrong with each.
    let known: Vec<Value> = payloads
        .schemas()
        .map(|(task, _)| json!({ "if": { "properties": { "task": { "const": task } } }, "then": { "properties": { "kwargs": { "anyOf": [reference(&kwargs(task)), { "type": "array" }] } } } }))
        .collect();
    let mut envelope = map(json!({
        "task": task,
        "args": { "type": "array" },
        "kwargs": { "type": ["object", "array"], "description": "The task's payload; an array of payloads with context.bulk." },
        "notification_id": { "type": "string", "minLength": 1, "maxLength": 256 },
    }));
    envelope.extend(conditions());
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
    schedule.insert("name".to_owned(), json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,62}$" }));
    let mut schedule = sent(&["name", "task"], Value::from(schedule));
    schedule["oneOf"] = json!([
        { "required": ["cron"], "properties": { "cron": text(), "rate": { "type": "null" } } },
        { "required": ["rate"], "properties": { "rate": text(), "cron": { "type": "null" } } },
    ]);
    let mut notification = conditions();
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
        "template": { "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,62}$" },
        "locale": { "type": "string", "pattern": "^[A-Za-z0-9_-]{2,35}$" },
        "variables": { "type": "object", "description": "What the template names beside the fields." },
    })));
    let channels = json!({ "type": "object", "additionalProperties": { "type": "object" } });
    let error = sent(&["exception_class_path"], json!({ "exception_class_path": text(), "traceback": text() }));
    let named = json!({ "type": "string", "minLength": 1 });
    let event = sent(
        &["specversion", "id", "source", "type"],
        json!({
            "specversion": { "const": "1.0" }, "id": named, "source": named, "type": { "type": "string", "minLength": 1, "description": "The task." },
            "time": time(), "subject": text(), "datacontenttype": text(), "dataschema": text(), "data": { "description": "The task's payload; what is no object is its one positional argument." },
            "data_base64": { "type": "string", "contentEncoding": "base64" }, "expirytime": { "type": "string", "format": "date-time", "description": "Not later than." },
            "partitionkey": { "type": "string", "pattern": "^[!-~]{1,128}$", "description": "Tenant, or ordering key on a FIFO queue." },
            "traceparent": { "type": "string", "description": "W3C traceparent." },
        }),
    );
    let time_or_countdown = json!([{ "required": ["run_after"] }, { "required": ["countdown"] }]);
    let mut schemas = map(json!({
        "Batch": sent(&["tasks"], json!({ "tasks": { "type": "array", "minItems": 1, "maxItems": 1000, "items": { "description": "A Task. One that is wrong is answered in its place." } } })),
        "CloudEvent": event,
        "CloudEvents": { "type": "array", "maxItems": 1000, "items": { "description": "A CloudEvent. One that is wrong is answered in its place." } },
        "Notification": sent(&["channels"], Value::from(notification)),
        "Time": { "type": "object", "properties": times(), "anyOf": time_or_countdown },
        "Schedule": schedule,
        "ScheduleChange": sent(&[], Value::from(change)),
        "Report": sent(&["status"], json!({
            "status": { "type": "string", "enum": ["RUNNING", "SUCCESSFUL", "FAILED"] },
            "return_value": {},
            "errors": { "type": "array", "maxItems": TaskResult::ERRORS_LIMIT, "items": error },
            "worker_id": { "type": "string", "minLength": 1, "maxLength": 256 },
        })),
        "Selection": { "type": "object", "description": "Letters that are all of what is said; all of them with all.", "properties": {
            "ids": { "type": "array", "items": text() }, "task": text(), "kind": text(), "reason": text(), "since": time(), "until": time(), "all": { "type": "boolean" },
            "limit": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 },
            "edit": { "type": "object", "description": "Of replays: a JSON merge patch of each envelope." },
        } },
        "Template": sent(&["channels"], json!({ "channels": channels, "locales": { "type": "object", "additionalProperties": channels } })),
        "NewKey": sent(&["name", "scopes"], json!({
            "name": { "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$" },
            "scopes": { "type": "array", "minItems": 1, "items": { "type": "string", "enum": Scope::ALL.map(Scope::as_str) } },
            "expires": optional_time(),
            "rate": { "type": ["integer", "null"], "minimum": 1, "maximum": RATE_LIMIT, "description": "Calls in a minute." },
        })),
    }));
    let mut task = sent(&["task"], Value::from(own));
    task["allOf"] = Value::from(known);
    schemas.insert("Task".to_owned(), task);
    schemas
}

fn answers() -> Map<String, Value> {
    let error = object(&["exception_class_path", "traceback"], json!({ "exception_class_path": text(), "traceback": text() }));
    let letter = json!({
        "key": text(), "id": optional_text(), "task": optional_text(), "kind": text(), "reason": text(), "attempts": { "type": ["integer", "null"] }, "buried_at": time(), "body": text(),
    });
    let key = json!({
        "name": text(), "scopes": { "type": "array", "items": text() }, "expires": optional_time(), "rate": { "type": ["integer", "null"] },
        "revocable": { "type": "boolean", "description": "Whether this API can revoke it." }, "key": text(),
        "enforced": { "type": "boolean", "description": "Whether calls need a key: not on a machine that was started without any." },
    });
    let last_run = json!({
        "type": ["object", "null"], "description": "The last run that was due and of which there is a record.", "required": ["id", "at", "status"],
        "properties": { "id": { "type": "string", "description": "Its task's." }, "at": { "type": "string", "format": "date-time", "description": "When it was due." }, "status": { "type": "string", "enum": Status::ALL.map(Status::as_str) } },
    });
    let schedule = object(
        &["name", "timezone", "paused", "task", "next_run", "last_run"],
        json!({
            "name": text(), "cron": text(), "rate": text(), "timezone": text(), "paused": { "type": "boolean" }, "task": text(), "kwargs": {}, "args": {}, "queue": text(),
            "next_run": { "type": ["string", "null"], "format": "date-time", "description": "Null while it is paused." }, "last_run": last_run,
        }),
    );
    let channels = json!({ "type": "object", "additionalProperties": { "type": "object" } });
    let each = json!({ "type": "array", "items": { "anyOf": [reference("TaskResult"), reference("Problem")] } });
    let letters = |name: &str| {
        object(
            &[name, "complete"],
            json!({ name: { "type": "array", "items": { "type": "object" } }, "refused": { "type": "array", "items": { "type": "object" } }, "complete": { "type": "boolean" } }),
        )
    };
    map(json!({
        "TaskResult": object(
            &["id", "task", "status", "enqueued_at", "started_at", "finished_at", "last_attempted_at", "run_after", "args", "kwargs", "backend", "sender", "errors", "worker_ids", "return_value", "attempts"],
            json!({
                "id": text(), "task": text(), "status": { "type": "string", "enum": Status::ALL.map(Status::as_str) },
                "enqueued_at": time(), "started_at": optional_time(), "finished_at": optional_time(), "last_attempted_at": optional_time(), "run_after": optional_time(),
                "args": { "type": ["array", "null"] }, "kwargs": { "type": ["object", "array", "null"], "description": "Null when they are larger than 32 KiB." },
                "backend": text(), "sender": { "type": "string", "enum": Sender::ALL.map(Sender::as_str), "description": "Whose message it came in." }, "errors": { "type": "array", "items": error }, "worker_ids": { "type": "array", "items": text() }, "return_value": {}, "attempts": { "type": "integer" },
            }),
        ),
        "Problem": object(&["type", "title", "status", "detail"], json!({
            "type": text(), "title": text(), "status": { "type": "integer" }, "detail": text(),
            "errors": { "type": "array", "items": object(&["pointer", "detail"], json!({ "pointer": { "type": "string", "description": "A JSON pointer (RFC 6901)." }, "detail": text() })) },
        })),
        "EventsAnswer": { "anyOf": [reference("TaskResult"), reference("BatchAnswer")] },
        "BatchAnswer": object(&["tasks"], json!({ "tasks": each })),
        "NotificationAnswer": object(&["id", "tasks"], json!({ "id": text(), "tasks": each })),
        "Preview": object(&["channels"], json!({ "channels": { "type": "object" } })),
        "TaskList": list("tasks", reference("TaskResult")),
        "ScheduleAnswer": schedule,
        "ScheduleList": list("schedules", reference("ScheduleAnswer")),
        "DeadLetter": object(&["key", "kind", "reason", "buried_at"], letter),
        "DeadLetterList": object(&["dead_letters", "complete", "total"], json!({ "dead_letters": { "type": "array", "items": reference("DeadLetter") }, "complete": { "type": "boolean" }, "total": { "type": "integer" } })),
        "Dropped": letters("dropped"),
        "Replayed": letters("replayed"),
        "TemplateList": list("templates", text()),
        "TemplateAnswer": object(&["name", "channels", "locales"], json!({ "name": text(), "channels": channels, "locales": { "type": "object", "additionalProperties": channels } })),
        "Name": object(&["name"], json!({ "name": text() })),
        "Key": object(&["name", "scopes", "expires", "rate", "revocable"], key),
        "KeyList": object(&["keys"], json!({ "keys": { "type": "array", "items": reference("Key") } })),
        "Health": object(&["status", "checks"], json!({ "status": { "type": "string", "enum": ["ok", "failing"] }, "checks": { "type": "object", "additionalProperties": text() } })),
        "Document": { "type": "object", "description": "An OpenAPI document." },
    }))
}
