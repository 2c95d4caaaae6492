//! Any bytes as a message. The first says how: as a body, as base64 of one, or as Celery's inner body; with attributes or without.
#![no_main]

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{Message, Status, TaskResult, Timestamp};
use errand_wire::{Content, celery, decode, encode, lambda, native};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|data: &[u8]| {
    let Some((how, data)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(data).into_owned();
    let body = match how % 4 {
        0 => text.clone(),
        1 => STANDARD.encode(&text),
        2 => kombu(json!({ "task": "t", "id": "i" }), &text),
        _ => kombu(json!({ "compression": if how % 8 < 4 { "application/x-gzip" } else { "application/x-bz2" } }), data),
    };
    let attributes: BTreeMap<String, String> = if how & 0x10 == 0 {
        BTreeMap::new()
    } else {
        ["ce-specversion", "ce-id", "ce-source", "ce-type"].into_iter().map(|name| (name.to_owned(), "1.0".to_owned())).collect()
    };
    let message = Message { id: "m".to_owned(), attributes, ..lambda::message(body) };
    let Ok(decoded) = decode(&message) else { return };
    let Content::Envelopes(envelopes) = decoded.content else { return };
    for envelope in envelopes {
        let again = native::decode(&encode(&envelope), "other").expect("what is read can be read again");
        assert_eq!(encode(&again), encode(&envelope));
        for status in [Status::Successful, Status::Failed, Status::Expired] {
            let result = TaskResult::new(&envelope, status, "sqs", Timestamp::from_millis(0));
            for follow_up in celery::follow_ups(&envelope, &result).messages {
                // It may be nested deeper or be larger than what is read.
                let _ = decode(&lambda::message(follow_up.body));
            }
        }
    }
});

fn kombu(headers: serde_json::Value, body: impl AsRef<[u8]>) -> String {
    json!({
        "body": STANDARD.encode(body), "content-encoding": "utf-8", "content-type": "application/json", "headers": headers,
        "properties": { "body_encoding": "base64", "delivery_info": { "exchange": "", "routing_key": "celery" } },
    })
    .to_string()
}
