use std::collections::BTreeMap;

use errand_core::{Context, DeliveryError, Envelope, ErrorKind, Message};
use errand_engine::Received;

/// An envelope that counts as the same content whatever the script says: it stands for the service that acts otherwise the next time.
pub fn envelope(id: &str, script: &str) -> Envelope {
    let kwargs = serde_json::value::to_raw_value(&serde_json::json!({ "do": script })).unwrap();
    let content = errand_testkit::transport::envelope(id);
    Envelope { task: "act".to_owned(), kwargs: Some(kwargs), fingerprint: Some(content.content()), ..content }
}

/// An envelope that is for these tokens.
pub fn push(id: &str, tokens: &[&str]) -> Envelope {
    let kwargs = serde_json::value::to_raw_value(&serde_json::json!({ "tokens": tokens })).unwrap();
    Envelope { task: "push".to_owned(), kwargs: Some(kwargs), ..envelope(id, "") }
}

/// A bulk of payloads for a task.
pub fn bulk(id: &str, task: &str, scripts: &[&str]) -> Envelope {
    let payloads: Vec<_> = scripts.iter().map(|script| serde_json::json!({ "do": script })).collect();
    let mut bulk = envelope(id, "");
    bulk.task = task.to_owned();
    bulk.kwargs = Some(serde_json::value::to_raw_value(&payloads).unwrap());
    bulk.context =
        Context { bulk: true, follow_ups: false, json: serde_json::value::RawValue::from_string(r#"{"bulk":true}"#.to_owned()).ok() };
    bulk
}

/// A message with the same id as its envelope.
pub fn record(envelope: Envelope) -> Received {
    Received { message: message(&envelope.id), work: Ok(vec![envelope]) }
}

pub fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        receipt: "r".to_owned(),
        body: "b".to_owned(),
        attributes: BTreeMap::new(),
        receive_count: 1,
        sent_at: None,
        queue: "default".to_owned(),
        lane: None,
    }
}

pub fn say(id: &str, script: &str) -> Received {
    record(envelope(id, script))
}

pub fn poison(id: &str) -> Received {
    Received { message: message(id), work: Err(DeliveryError::new(ErrorKind::Malformed, "is not JSON")) }
}

pub fn in_lane(mut record: Received, lane: &str) -> Received {
    record.message.lane = Some(lane.to_owned());
    record
}
