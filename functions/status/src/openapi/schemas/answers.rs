use errand_core::{Sender, Status};
use serde_json::{Map, Value, json};

use super::{list, map, object, optional_text, optional_time, reference, text, time};

/// What is answered.
pub(super) fn answers() -> Map<String, Value> {
    let error = object(&["exception_class_path", "traceback"], json!({ "exception_class_path": text(), "traceback": text() }));
    let replaced = object(
        &["replaced_at", "task", "args", "kwargs", "context"],
        json!({
            "replaced_at": time(), "task": text(), "args": { "type": ["array", "null"], "items": {} }, "kwargs": { "type": ["object", "array", "null"], "items": {} }, "context": { "type": ["object", "null"] },
        }),
    );
    let letter = json!({
        "key": text(), "id": optional_text(), "task": optional_text(), "queue": text(), "kind": text(), "reason": text(), "attempts": { "type": ["integer", "null"] }, "buried_at": time(), "body": text(),
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
            &["id", "task", "status", "enqueued_at", "started_at", "finished_at", "last_attempted_at", "run_after", "args", "kwargs", "backend", "sender", "errors", "worker_ids", "return_value", "attempts", "queue", "user", "notification_id", "group", "expires", "max_attempts", "next_attempt_at", "callback_url", "trace"],
            json!({
                "id": text(), "task": text(), "status": { "type": "string", "enum": Status::ALL.map(Status::as_str) },
                "enqueued_at": time(), "started_at": optional_time(), "finished_at": optional_time(), "last_attempted_at": optional_time(), "run_after": optional_time(),
                "args": { "type": ["array", "null"], "items": {} }, "kwargs": { "type": ["object", "array", "null"], "items": {}, "description": "Null when they are larger than 32 KiB." },
                "backend": text(), "sender": { "type": "string", "enum": Sender::ALL.map(Sender::as_str), "description": "Whose message it came in." }, "errors": { "type": "array", "items": error }, "worker_ids": { "type": "array", "items": text() }, "return_value": {}, "attempts": { "type": "integer" },
                "queue": text(), "user": optional_text(), "notification_id": optional_text(), "group": optional_text(), "expires": optional_time(),
                "max_attempts": { "type": ["integer", "null"], "description": "As the caller said." },
                "next_attempt_at": { "type": ["string", "null"], "format": "date-time", "description": "After a failed attempt, when the next one is due." },
                "callback_url": optional_text(), "trace": optional_text(),
                "replaced": { "type": "array", "items": replaced, "description": "Where replays changed the task: what it was before, the last three at most." },
                "idempotent_replayed": { "type": "boolean", "description": "In answers to calls that send: the same was sent before under this id, and stands so." },
                "replay": { "type": "object", "description": "Beside that, where it was given up: the call that runs it again.", "properties": { "method": text(), "path": text(), "body": { "type": "object" } } },
            }),
        ),
        "Problem": object(&["type", "title", "status", "detail"], json!({
            "type": text(), "title": text(), "status": { "type": "integer" }, "detail": text(),
            "errors": { "type": "array", "items": object(&["pointer", "detail"], json!({ "pointer": { "type": "string", "description": "A JSON pointer (RFC 6901)." }, "detail": text() })) },
            "retry_after": { "type": "integer", "description": "In how many seconds to try again, where that may help: what the header Retry-After says, of each in a batch." },
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
        "Health": object(&["status", "checks"], json!({ "status": { "type": "string", "enum": ["ok", "failing"] }, "checks": { "type": "object", "additionalProperties": text() }, "details": { "type": "object", "description": "For who sends a key.", "additionalProperties": object(&["latency_ms", "error"], json!({ "latency_ms": { "type": "integer" }, "error": { "type": ["string", "null"] } })) } })),
        "Document": { "type": "object", "description": "An OpenAPI document." },
    }))
}
