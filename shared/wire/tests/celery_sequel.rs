//! What follows on Celery's tasks: as a Celery worker would send it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{Envelope, FollowUps, Json, Status, TaskError, TaskResult, Timestamp};
use errand_wire::{Content, celery::follow_ups, decode, encode, lambda, native};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A task of protocol 2 with what follows on it.
fn envelope(embed: &Value, headers: &Value) -> Envelope {
    let mut all = json!({ "lang": "py", "task": "shop.add", "id": "parent-1", "root_id": "root-1", "parent_id": "above-1" });
    all.as_object_mut().unwrap().extend(headers.as_object().unwrap().clone());
    let inner = json!([[1, 2], {}, embed]).to_string();
    let message = json!({
        "body": STANDARD.encode(inner), "content-encoding": "utf-8", "content-type": "application/json", "headers": all,
        "properties": { "body_encoding": "base64", "reply_to": "reply-1", "delivery_info": { "exchange": "", "routing_key": "celery" } },
    });
    let decoded = decode(&lambda::message(STANDARD.encode(message.to_string()))).unwrap();
    let Content::Envelopes(mut envelopes) = decoded.content else { panic!("an envelope") };
    // As it is after it was moved, or was read from a table: what follows is kept in its own form.
    Envelope { queue: "main".to_owned(), ..native::decode(&encode(&envelopes.remove(0)), "m").unwrap() }
}

fn result(envelope: &Envelope, status: Status, value: Value) -> TaskResult {
    TaskResult { return_value: value.into(), finished_at: Some(NOW), ..TaskResult::new(envelope, status, "sqs", NOW) }
}

/// What was sent: the queue, the headers, arguments, named arguments, and what follows.
fn sent(follow_ups: &FollowUps) -> Vec<(String, Value, Value, Value, Value)> {
    let read = |text: &[u8]| serde_json::from_slice::<Value>(&STANDARD.decode(text).unwrap()).unwrap();
    let read = |message: &errand_core::ForeignMessage| {
        let envelope = read(message.body.as_bytes());
        assert_eq!((&envelope["content-type"], &envelope["properties"]["body_encoding"]), (&json!("application/json"), &json!("base64")));
        assert_eq!(envelope["properties"]["correlation_id"], json!(message.id));
        assert_eq!(envelope["headers"]["id"], json!(message.id));
        let body = read(envelope["body"].as_str().unwrap().as_bytes());
        (message.queue.clone(), envelope["headers"].clone(), body[0].clone(), body[1].clone(), body[2].clone())
    };
    follow_ups.messages.iter().map(read).collect()
}

fn signature(task: &str, args: &Value, options: &Value) -> Value {
    json!({ "task": task, "args": args, "kwargs": {}, "options": options, "subtask_type": null, "immutable": false })
}

#[test]
fn the_next_of_a_chain_is_given_the_result_and_the_rest() {
    let chain = json!([
        { "task": "shop.done", "args": ["done"], "kwargs": {}, "options": { "task_id": "third" }, "subtask_type": null, "immutable": true },
        signature("shop.add", &json!([3]), &json!({ "task_id": "second" })),
    ]);
    let envelope = envelope(&json!({ "chain": chain, "callbacks": null, "errbacks": null, "chord": null }), &json!({}));
    let follow_ups = follow_ups(&envelope, &result(&envelope, Status::Successful, json!({ "n": 3 })));
    let sent = sent(&follow_ups);
    assert_eq!(sent.len(), 1);
    let (queue, headers, args, kwargs, embed) = &sent[0];
    assert_eq!((queue.as_str(), args, kwargs), ("main", &json!([{ "n": 3 }, 3]), &json!({})));
    for (name, value) in [("task", "shop.add"), ("id", "second"), ("root_id", "root-1"), ("parent_id", "parent-1"), ("lang", "py")] {
        assert_eq!(headers[name], json!(value), "{name}");
    }
    assert_eq!(embed["chain"], json!([chain[0]]));
    // What was sent is read as Celery's own, and the last of the chain is not given the result.
    let last = decode(&lambda::message(follow_ups.messages[0].body.clone())).unwrap();
    let Content::Envelopes(last) = last.content else { panic!("an envelope") };
    let follow_ups = errand_wire::celery::follow_ups(&last[0], &result(&last[0], Status::Successful, json!(6)));
    assert_eq!(self::sent(&follow_ups)[0].2, json!(["done"]));
    assert_eq!(follow_ups.messages[0].id, "third");
}

#[test]
fn a_result_is_handed_on_as_it_was_written() {
    let value = r#"{"z": 1e400, "a": [20e1, 12345678901234567890123, 100.10, "\u00e9\/"]}"#;
    let envelope = envelope(&json!({ "callbacks": [signature("shop.log", &json!([3]), &json!({}))] }), &json!({}));
    let done = TaskResult { return_value: Json::parse(value.as_bytes()).unwrap(), ..result(&envelope, Status::Successful, json!(null)) };
    let FollowUps { messages, result } = follow_ups(&envelope, &done);
    let Content::Envelopes(next) = decode(&lambda::message(messages[0].body.clone())).unwrap().content else { panic!("an envelope") };
    assert_eq!(next[0].args.as_deref().unwrap().get(), format!("[{value},3]"));
    assert!(result.unwrap().value.contains(&format!(r#""result":{value},"#)));
}

#[test]
fn callbacks_follow_on_success_and_errbacks_on_failure() {
    let embed = json!({
        "callbacks": [signature("shop.log", &json!([1]), &json!({ "queue": "mail.high", "priority": 3, "countdown": 60, "link": [signature("x", &json!([]), &json!({}))] })), signature("shop.log", &json!([2]), &json!({}))],
        "errbacks": [signature("shop.on_error", &json!(["x"]), &json!({}))],
    });
    let envelope = envelope(&embed, &json!({}));
    let succeeded = sent(&follow_ups(&envelope, &result(&envelope, Status::Successful, json!("ok"))));
    let (queue, headers, args, _, embed) = &succeeded[0];
    assert_eq!((queue.as_str(), args, &headers["eta"]), ("mail.high", &json!(["ok", 1]), &json!("2027-01-15T08:01:00.000+00:00")));
    assert_eq!(embed["callbacks"][0]["task"], "x");
    assert_eq!((succeeded.len(), succeeded[1].0.as_str(), &succeeded[1].2), (2, "main", &json!(["ok", 2])));
    assert_ne!(succeeded[0].1["id"], succeeded[1].1["id"]);
    let failed = sent(&follow_ups(&envelope, &result(&envelope, Status::Failed, Value::Null)));
    assert_eq!((failed.len(), &failed[0].1["task"], &failed[0].2), (1, &json!("shop.on_error"), &json!(["parent-1", "x"])));
    for status in [Status::Expired, Status::Cancelled] {
        assert!(follow_ups(&envelope, &result(&envelope, status, Value::Null)).messages.is_empty());
    }
}

#[test]
fn what_is_sent_twice_has_the_same_id() {
    let envelope =
        envelope(&json!({ "callbacks": [signature("a", &json!([]), &json!({})), signature("a", &json!([]), &json!({}))] }), &json!({}));
    let once = follow_ups(&envelope, &result(&envelope, Status::Successful, json!(1)));
    let twice = follow_ups(&envelope, &result(&envelope, Status::Successful, json!(1)));
    assert_eq!(once, twice);
    assert_eq!(once.messages[0].id.len(), 36);
}

#[test]
fn groups_and_chains_that_follow_are_sent_task_by_task() {
    let group = json!({
        "task": "celery.group", "args": [], "kwargs": { "tasks": [signature("a", &json!([1]), &json!({ "task_id": "g1" })), signature("b", &json!([2]), &json!({ "task_id": "g2" }))] },
        "options": { "task_id": "group-1", "link_error": [signature("oops", &json!([]), &json!({}))] }, "subtask_type": "group", "immutable": false,
    });
    let chain = json!({
        "task": "celery.chain", "args": [], "kwargs": { "tasks": [signature("c", &json!([]), &json!({})), signature("d", &json!([]), &json!({}))] },
        "options": { "link": [signature("after", &json!([]), &json!({}))] }, "subtask_type": "chain", "immutable": false,
    });
    let envelope = envelope(&json!({ "callbacks": [chain], "chain": [group] }), &json!({}));
    let sent = sent(&follow_ups(&envelope, &result(&envelope, Status::Successful, json!("r"))));
    let tasks: Vec<&Value> = sent.iter().map(|(_, headers, ..)| &headers["task"]).collect();
    assert_eq!(tasks, ["c", "a", "b"]);
    assert_eq!((&sent[0].2, &sent[0].4["chain"][0]["task"]), (&json!(["r"]), &json!("d")));
    assert_eq!(sent[0].4["chain"][0]["options"]["link"][0]["task"], "after");
    assert_eq!((&sent[1].2, &sent[1].1["group"], &sent[1].1["group_index"]), (&json!(["r", 1]), &json!("group-1"), &json!(0)));
    assert_eq!((&sent[2].1["group_index"], &sent[2].4["errbacks"][0]["task"]), (&json!(1), &json!("oops")));
}

#[test]
fn results_are_as_celerys_backends_keep_them() {
    let envelope = envelope(&json!({}), &json!({ "group": "g" }));
    let meta = |result: &TaskResult| {
        let result = follow_ups(&envelope, result).result.unwrap();
        assert_eq!(result.key, "celery-task-meta-parent-1");
        serde_json::from_str::<Value>(&result.value).unwrap()
    };
    let succeeded = meta(&result(&envelope, Status::Successful, json!([1])));
    assert_eq!(
        succeeded,
        json!({
            "status": "SUCCESS", "result": [1], "traceback": null, "children": [], "date_done": "2027-01-15T08:00:00.000+00:00", "task_id": "parent-1",
            "parent_id": "above-1", "group_id": "g",
        })
    );
    let errors =
        vec![TaskError { exception_class_path: "shop.errors.OutOfStock".to_owned(), traceback: "Traceback:\n  x\nno 7 left".to_owned() }];
    let failed = meta(&TaskResult { errors, ..result(&envelope, Status::Failed, Value::Null) });
    assert_eq!(failed["result"], json!({ "exc_type": "OutOfStock", "exc_message": ["no 7 left"], "exc_module": "shop.errors" }));
    assert_eq!((&failed["status"], &failed["traceback"]), (&json!("FAILURE"), &json!("Traceback:\n  x\nno 7 left")));
    let expired = meta(&result(&envelope, Status::Expired, Value::Null));
    assert_eq!((&expired["status"], &expired["result"]["exc_type"]), (&json!("REVOKED"), &json!("TaskRevokedError")));
    let ignored = self::envelope(&json!({}), &json!({ "ignore_result": true }));
    assert_eq!(follow_ups(&ignored, &result(&ignored, Status::Successful, json!(1))), FollowUps::default());
}

#[test]
fn nothing_follows_on_what_is_not_celerys() {
    let envelope = native::decode(r#"{"task":"t","context":{"x":1}}"#, "m").unwrap();
    assert!(!envelope.context.follow_ups);
    assert_eq!(follow_ups(&envelope, &result(&envelope, Status::Successful, json!(1))), FollowUps::default());
}
