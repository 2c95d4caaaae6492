//! Tasks for Celery's workers: written as Celery writes them, and read by our own reader as what they were.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{Context, Envelope, Message, Sender, Timestamp};
use errand_wire::{
    Content,
    celery::{Publication, encode},
    decode, lambda, native,
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn read(text: String) -> Envelope {
    let decoded = decode(&lambda::message(text)).unwrap();
    let Content::Envelopes(mut envelopes) = decoded.content else { panic!("an envelope") };
    assert_eq!((decoded.sender, envelopes.len()), (Sender::Celery, 1));
    envelopes.remove(0)
}

fn to(queue: &str) -> Publication<'_> {
    Publication { routing_key: queue, ..Publication::default() }
}

fn written(envelope: &Envelope, publication: &Publication<'_>) -> Value {
    serde_json::from_str(&encode(envelope, publication, NOW).unwrap().text()).unwrap()
}

fn raw(json: &Value) -> Option<Box<RawValue>> {
    to_raw_value(json).ok()
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    body: String,
}

/// What Celery itself has written as protocol 2, as the object that it is in base64 on SQS, and as it is on Redis.
fn captured() -> Vec<(String, Value)> {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/celery.json")).unwrap();
    let object = |vector: Vector| {
        let text = STANDARD.decode(&vector.body).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or(vector.body);
        Some((vector.name, serde_json::from_str::<Value>(&text).ok()?))
    };
    vectors.into_iter().filter_map(object).filter(|(_, message)| message["headers"]["task"].is_string()).collect()
}

#[test]
fn what_celery_wrote_is_written_again_as_celery_wrote_it() {
    let mut compared = 0;
    for (name, message) in captured() {
        // Not what is compressed, of another format, a chord, or what is not read back as the same task.
        let told = decode(&Message { id: "m".to_owned(), ..lambda::message(message.to_string()) });
        let Ok(Content::Envelopes(envelopes)) = told.map(|told| told.content) else { continue };
        let plain = message["headers"]["compression"].is_null() && message["properties"]["body_encoding"] == "base64";
        if !plain || envelopes[0].task != message["headers"]["task"] {
            continue;
        }
        let routing_key = message["properties"]["delivery_info"]["routing_key"].as_str().unwrap_or_default();
        let priority = u8::try_from(message["properties"]["priority"].as_u64().unwrap_or_default()).unwrap();
        // As it was when Celery sent it.
        let sent = Timestamp::from_millis(0);
        let again = encode(&envelopes[0], &Publication { priority, ..to(routing_key) }, sent).unwrap();
        let again: Value = serde_json::from_str(&again.text()).unwrap();
        for part in ["headers", "properties"] {
            for (field, value) in message[part].as_object().unwrap() {
                let ours = &again[part][field];
                match field.as_str() {
                    // Of this message alone, of the process that sent it, or a second telling of the arguments or of when it expires.
                    "delivery_tag" | "origin" | "argsrepr" | "kwargsrepr" | "expiration" => {}
                    // What is for Celery alone is not told by an envelope.
                    "shadow" | "timelimit" | "group_index" | "stamped_headers" | "stamps" | "replaced_task_nesting" => {}
                    // Properties that Celery's sender gave to kombu.
                    "DelaySeconds" | "MessageGroupId" | "message_attributes" | "MessageAttributes" => {}
                    "delivery_info" => assert_eq!(ours["routing_key"], value["routing_key"], "{name}"),
                    "eta" | "expires" | "root_id" | "retries" if value.is_null() || value == "" => {}
                    "eta" | "expires" if !value.is_null() && value != "" => {
                        assert!(ours.as_str().unwrap().ends_with("+00:00"), "{name}: {ours}");
                    }
                    _ => assert_eq!(ours, value, "{name}: {part}/{field}"),
                }
            }
        }
        let body = |message: &Value| -> Option<Value> { serde_json::from_slice(&STANDARD.decode(message["body"].as_str()?).ok()?).ok() };
        // What is no JSON to us, such as NaN, is none of this; kombu's own forms of values have become plain.
        if let (Some(body), Some(ours)) = (body(&message), body(&again))
            && !body.to_string().contains("__type__")
        {
            assert_eq!((&ours[0], &ours[1]), (&body[0], &body[1]), "{name}");
        }
        compared += 1;
    }
    assert!(compared >= 35, "{compared}");
}

#[test]
fn it_is_all_that_a_worker_asks_for() {
    let envelope = Envelope {
        args: raw(&json!([1, "Grüße"])),
        kwargs: raw(&json!({ "k": null })),
        run_after: Some(NOW + std::time::Duration::from_secs(60)),
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ..Envelope::new("order-7".to_owned(), "shop.ship".to_owned())
    };
    let [mine, theirs] = [json!({ "tenant": "a", "task": "evil" }), json!({ "tenant": "b", "n": 1 })].map(|headers| raw(&headers));
    let expires = Some(NOW + std::time::Duration::from_secs(3600));
    let publication = Publication { priority: 6, headers: [mine.as_deref(), theirs.as_deref()], expires, ..to("mail.high") };
    let mut message = written(&envelope, &publication);
    let body = message["body"].take();
    let body: Value = serde_json::from_slice(&STANDARD.decode(body.as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(body, json!([[1, "Grüße"], { "k": null }, { "callbacks": null, "errbacks": null, "chain": null, "chord": null }]));
    let tag = message["properties"]["delivery_tag"].take();
    assert_eq!(
        message,
        json!({
            "body": null, "content-encoding": "utf-8", "content-type": "application/json",
            "headers": {
                "lang": "py", "task": "shop.ship", "id": "order-7", "shadow": null, "eta": "2027-01-15T08:01:00.000+00:00",
                "expires": "2027-01-15T09:00:00.000+00:00", "group": null, "group_index": null, "retries": 0, "timelimit": [null, null],
                "root_id": "order-7", "parent_id": null, "argsrepr": "...", "kwargsrepr": "...", "origin": "errand", "ignore_result": false,
                "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {}, "tenant": "b", "n": 1,
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            },
            "properties": {
                "correlation_id": "order-7", "reply_to": null, "delivery_mode": 2, "delivery_info": { "exchange": "", "routing_key": "mail.high" },
                "priority": 6, "body_encoding": "base64", "delivery_tag": null,
            },
        })
    );
    let later = encode(&envelope, &publication, NOW + std::time::Duration::from_millis(1)).unwrap().text();
    assert!(!later.contains(tag.as_str().unwrap()), "a second message of the same id is kept apart from the first");
}

#[test]
fn what_is_due_has_no_eta() {
    let due = Envelope { run_after: Some(NOW), ..Envelope::new("a".to_owned(), "t".to_owned()) };
    assert!(written(&due, &to("celery"))["headers"]["eta"].is_null());
}

#[test]
fn a_task_that_came_from_celery_goes_on_as_what_it_is() {
    let message = json!({
        "body": STANDARD.encode(r#"[[1],{},{"callbacks":null,"errbacks":null,"chain":[{"task":"x","args":[],"kwargs":{},"options":{},"subtask_type":null,"immutable":false}],"chord":null}]"#),
        "content-encoding": "utf-8", "content-type": "application/json",
        "headers": { "lang": "py", "task": "t", "id": "child", "root_id": "root", "parent_id": "above", "group": "g", "retries": 2, "ignore_result": true, "tenant": "acme" },
        "properties": { "body_encoding": "base64", "reply_to": "replies", "delivery_info": { "exchange": "", "routing_key": "celery" } },
    });
    // As it is when it was on a queue of ours.
    let envelope = native::decode(&errand_wire::encode(&read(message.to_string())), "m").unwrap();
    let again = written(&envelope, &to("other"));
    for field in ["root_id", "parent_id", "group", "retries", "ignore_result", "tenant"] {
        assert_eq!(again["headers"][field], message["headers"][field], "{field}");
    }
    assert_eq!(
        (&again["properties"]["reply_to"], &again["properties"]["delivery_info"]["routing_key"]),
        (&json!("replies"), &json!("other"))
    );
    let published = encode(&envelope, &to("other"), NOW).unwrap();
    assert_eq!(
        (published.body().contains(r#""chain":null"#), published.reply_to()),
        (true, Some("replies")),
        "what follows is sent by who hands it on"
    );
}

#[test]
fn what_celery_has_no_message_for_is_refused() {
    let bulk = Envelope { context: Context { bulk: true, ..Context::default() }, ..Envelope::new("a".to_owned(), "t".to_owned()) };
    assert!(encode(&bulk, &to("celery"), NOW).err().unwrap().contains("no bulk"));
    let large = Envelope { claim_check: Some("soon/1".to_owned()), ..Envelope::new("a".to_owned(), "t".to_owned()) };
    assert!(encode(&large, &to("celery"), NOW).err().unwrap().contains("object store"));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from), fields(inner).prop_map(Value::Object)]
    })
}

fn fields(values: impl Strategy<Value = Value>) -> impl Strategy<Value = serde_json::Map<String, Value>> {
    prop::collection::vec((any::<String>(), values), 0..4).prop_map(|fields| fields.into_iter().collect())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_as_the_same_task(
        args in prop::option::of(prop::collection::vec(values(), 1..4)),
        kwargs in prop::option::of(fields(values())),
        task in "[A-Za-z0-9_.:-]{1,40}",
        id in "[!-~]{1,128}",
        due in prop::option::of(1_i64..100_000_000),
        expires in prop::option::of(0_i64..100_000_000),
        priority in 0_u8..=9,
        on_sqs: bool,
    ) {
        let envelope = Envelope {
            args: args.and_then(|args| raw(&args.into())),
            kwargs: kwargs.filter(|fields| !fields.is_empty()).and_then(|fields| raw(&Value::Object(fields))),
            run_after: due.map(|due| Timestamp::from_millis(NOW.millis() + due)),
            expires: expires.map(|at| Timestamp::from_millis(NOW.millis() + at)),
            ..Envelope::new(id, task)
        };
        let published = encode(&envelope, &Publication { priority, ..to("celery") }, NOW).unwrap();
        let again = read(if on_sqs { published.base64() } else { published.text() });
        let json = |json: &Option<Box<RawValue>>| json.as_deref().map(|json| json.get().to_owned());
        prop_assert_eq!((&again.id, &again.task), (&envelope.id, &envelope.task));
        prop_assert_eq!((json(&again.args), json(&again.kwargs)), (json(&envelope.args), json(&envelope.kwargs)));
        prop_assert_eq!((again.run_after, again.expires), (envelope.run_after, envelope.expires));
    }
}
