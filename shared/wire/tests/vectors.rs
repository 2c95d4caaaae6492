//! Messages that real clients have written, and what no reader may fall over: each with what it must be read as.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use errand_core::Message;
use errand_wire::{Content, decode, encode};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Vector {
    name: String,
    body: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    expected: Vec<Value>,
}

/// What a message is read as, as the vectors have it.
fn read(vector: &Vector) -> Vec<Value> {
    let message =
        Message { id: "m-1".to_owned(), attributes: vector.attributes.clone(), ..errand_wire::lambda::message(vector.body.clone()) };
    let decoded = match decode(&message) {
        Ok(decoded) => decoded,
        Err(refused) => return vec![json!({ "sender": refused.sender, "refused": refused.problems.to_string() })],
    };
    let sender = decoded.sender;
    match decoded.content {
        Content::Envelopes(envelopes) => envelopes
            .iter()
            .map(|envelope| {
                assert_eq!(envelope.sender, sender, "{}", vector.name);
                json!({ "sender": sender, "envelope": serde_json::from_str::<Value>(&encode(envelope)).unwrap() })
            })
            .collect(),
        Content::Nothing(why) => vec![json!({ "sender": sender, "ignored": why })],
        Content::Elsewhere(pointer) => vec![json!({ "sender": sender, "elsewhere": format!("s3://{}/{}", pointer.bucket, pointer.key) })],
    }
}

fn check(vectors: &str) -> usize {
    let vectors: Vec<Vector> = serde_json::from_str(vectors).unwrap();
    for vector in &vectors {
        assert_eq!(read(vector), vector.expected, "{}", vector.name);
    }
    vectors.len()
}

#[test]
fn aws_services_are_read() {
    assert!(check(include_str!("vectors/aws.json")) >= 75);
}

#[test]
#[cfg(feature = "compression")]
fn celery_is_read() {
    assert!(check(include_str!("vectors/celery.json")) >= 81);
}

#[test]
fn cloudevents_are_read() {
    assert!(check(include_str!("vectors/cloudevents.json")) >= 20);
}

#[test]
fn django_notifs_is_read() {
    assert!(check(include_str!("vectors/django-notifs.json")) >= 44);
}

#[test]
fn django_tasks_cloud_is_read() {
    assert!(check(include_str!("vectors/django-tasks-cloud.json")) >= 16);
}

#[test]
#[cfg(feature = "compression")]
fn poison_is_refused_with_the_reason() {
    assert!(check(include_str!("vectors/poison.json")) >= 71);
}

/// Read again in Errand's own form, an envelope is the same: so it travels when it is split, moved or replayed.
#[test]
fn every_envelope_survives_its_own_form() {
    for vectors in [
        include_str!("vectors/aws.json"),
        include_str!("vectors/celery.json"),
        include_str!("vectors/cloudevents.json"),
        include_str!("vectors/django-notifs.json"),
        include_str!("vectors/django-tasks-cloud.json"),
    ] {
        for vector in serde_json::from_str::<Vec<Vector>>(vectors).unwrap() {
            for envelope in vector.expected.iter().filter_map(|expected| expected.get("envelope")) {
                let again = errand_wire::native::decode(&envelope.to_string(), "other").unwrap();
                assert_eq!(serde_json::from_str::<Value>(&encode(&again)).unwrap(), *envelope, "{}", vector.name);
            }
        }
    }
}

#[test]
fn a_task_belongs_to_the_queue_that_it_came_on_unless_it_says_another_in_our_own_form() {
    let celery = r#"{"body":"W1tdLHt9LHt9XQ==","content-encoding":"utf-8","content-type":"application/json","headers":{"task":"t","id":"a","lang":"py"},"properties":{"body_encoding":"base64","delivery_info":{"routing_key":"celery"}}}"#;
    let wrapped = r#"{"Type":"Notification","MessageId":"n","TopicArn":"arn:aws:sns:x:1:t","Message":"{\"task\":\"t\"}"}"#;
    for (body, wanted) in [
        (r#"{"task":"t"}"#, "slow"),
        (r#"{"task":"t","queue":"fast"}"#, "fast"),
        (r#"{"task":"t","args":[],"kwargs":{}}"#, "slow"),
        (celery, "slow"),
        (wrapped, "slow"),
    ] {
        let message = Message { id: "m-1".to_owned(), queue: "slow".to_owned(), ..errand_wire::lambda::message(body.to_owned()) };
        match decode(&message).unwrap().content {
            Content::Envelopes(envelopes) => assert_eq!(envelopes[0].queue, wanted, "{body}"),
            other => panic!("{body} is {other:?}"),
        }
    }
}
