//! What follows on a task that has ended, in Celery's own form: as a worker would have sent it.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{Envelope, FollowUps, ForeignMessage, ForeignResult, Status, TaskResult, Timestamp};
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};

use super::{envelope::Said, signature::Signature};
use crate::digest;

/// What is to be done about a task that came from Celery and ended with `result`: the next of its chain and its callbacks, or its errbacks; and its result, for
/// Celery's result backend. <https://github.com/celery/celery/blob/v5.7.0/celery/app/trace.py>
#[must_use]
pub fn follow_ups(envelope: &Envelope, result: &TaskResult) -> FollowUps {
    let Some(said) = Said::of(envelope) else { return FollowUps::default() };
    let parent = Parent { envelope, said: &said, now: result.finished_at.unwrap_or(result.enqueued_at) };
    let messages = match result.status {
        Status::Successful => parent.on_success(&result.return_value),
        Status::Failed => parent.on_failure(),
        _ => Vec::new(),
    };
    let result = if said.ignore_result { None } else { parent.result(result) };
    FollowUps { messages, result }
}

/// The task that has ended.
struct Parent<'a> {
    envelope: &'a Envelope,
    said: &'a Said,
    now: Timestamp,
}

/// What a signature that is sent is given by what it follows on.
#[derive(Clone, Default)]
struct Given {
    /// Comes before its own arguments, unless it is immutable.
    first: Option<Box<RawValue>>,
    /// What follows on it, the next one last.
    chain: Vec<Signature>,
    /// The group that it is a part of.
    group: Option<(String, usize)>,
    /// Tells it from others that follow on the same task, for its id.
    place: String,
}

impl Parent<'_> {
    fn on_success(&self, value: &Value) -> Vec<ForeignMessage> {
        let first = to_raw_value(value).ok();
        let mut messages = Vec::new();
        for (place, callback) in self.said.callbacks.iter().enumerate() {
            self.send(callback, &Given { first: first.clone(), place: format!("callback {place}"), ..Given::default() }, &mut messages);
        }
        if let Some((next, rest)) = self.said.chain.split_last() {
            self.send(next, &Given { first, chain: rest.to_vec(), group: None, place: "chain".to_owned() }, &mut messages);
        }
        messages
    }

    /// An errback is given the id of what failed, as a worker does that does not have the errback's code.
    fn on_failure(&self) -> Vec<ForeignMessage> {
        let mut messages = Vec::new();
        for (place, errback) in self.said.errbacks.iter().enumerate() {
            let first = to_raw_value(&self.envelope.id).ok();
            self.send(errback, &Given { first, place: format!("errback {place}"), ..Given::default() }, &mut messages);
        }
        messages
    }

    fn send(&self, signature: &Signature, given: &Given, messages: &mut Vec<ForeignMessage>) {
        if signature.is_group() {
            let id = signature.option("task_id").unwrap_or_else(|| self.id(&given.place));
            for (place, mut part) in signature.parts().into_iter().enumerate() {
                part.add("link_error", signature.signatures("link_error"));
                let group = Some((id.clone(), place));
                self.send(&part, &Given { group, place: format!("{} {place}", given.place), ..given.clone() }, messages);
            }
        } else if signature.is_chain() {
            let mut parts = signature.parts();
            for part in &mut parts {
                part.add("link_error", signature.signatures("link_error"));
            }
            if let Some(last) = parts.last_mut() {
                last.add("link", signature.signatures("link"));
            }
            parts.reverse();
            if let Some(first) = parts.pop() {
                let chain = given.chain.iter().cloned().chain(parts).collect();
                self.send(&first, &Given { chain, ..given.clone() }, messages);
            }
        } else {
            messages.push(self.message(signature, given));
        }
    }

    /// A message of protocol 2. <https://docs.celeryq.dev/en/stable/internals/protocol.html#version-2>
    fn message(&self, signature: &Signature, given: &Given) -> ForeignMessage {
        let id: String = signature.option("task_id").unwrap_or_else(|| self.id(&given.place));
        let routing_key: Option<String> = signature.option::<String>("queue").or_else(|| signature.option("routing_key"));
        let same_queue = routing_key.is_none() || routing_key == self.said.routing_key;
        let queue = if same_queue { self.envelope.queue.clone() } else { routing_key.clone().unwrap_or_default() };
        let root_id = self.said.root_id.as_ref().unwrap_or(&self.envelope.id);
        let group = given.group.as_ref();
        let mut headers = json!({
            "lang": "py", "task": signature.task, "id": id, "shadow": option(signature, "shadow"), "eta": self.eta(signature),
            "expires": self.expires(signature), "group": group.map(|(id, _)| id), "group_index": group.map(|(_, place)| place),
            "retries": signature.option::<u64>("retries").unwrap_or(0),
            "timelimit": [option(signature, "time_limit"), option(signature, "soft_time_limit")], "root_id": root_id, "parent_id": self.envelope.id,
            "argsrepr": "...", "kwargsrepr": "...", "origin": "errand", "ignore_result": signature.option::<bool>("ignore_result").unwrap_or(false),
            "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {},
        });
        let own: Map<String, Value> = signature.option("headers").unwrap_or_default();
        if let Value::Object(headers) = &mut headers {
            headers.extend(own);
        }
        let first = given.first.iter().filter(|_| !signature.immutable);
        let args: Vec<&RawValue> = first.chain(&signature.args).map(AsRef::as_ref).collect();
        let embed = json!({
            "callbacks": list(&signature.signatures("link")), "errbacks": list(&signature.signatures("link_error")), "chain": list(&given.chain), "chord": null,
        });
        let message_group: Option<String> = signature.option("MessageGroupId");
        let mut properties = json!({
            "correlation_id": id, "reply_to": option(signature, "reply_to").or_else(|| self.said.reply_to.clone().map(Value::from)), "delivery_mode": 2,
            "delivery_info": { "exchange": "", "routing_key": routing_key.or_else(|| self.said.routing_key.clone()) },
            "priority": signature.option::<u64>("priority").unwrap_or(0), "body_encoding": "base64", "delivery_tag": id,
        });
        if let Some(group) = &message_group {
            properties["MessageGroupId"] = json!(group);
        }
        // Texts, numbers and JSON that was parsed before: there is nothing here that serde can refuse.
        let body = serde_json::to_string(&(args, &signature.kwargs, embed)).unwrap_or_default();
        let envelope = json!({
            "body": STANDARD.encode(body), "content-encoding": "utf-8", "content-type": "application/json", "headers": headers, "properties": properties,
        });
        ForeignMessage {
            id,
            queue,
            group: message_group.or_else(|| self.envelope.group.clone()),
            body: STANDARD.encode(envelope.to_string()),
        }
    }

    /// The id of what follows in this place: sent twice, it has the same.
    fn id(&self, place: &str) -> String {
        digest::uuid(&[&self.envelope.id, place])
    }

    fn eta(&self, signature: &Signature) -> Option<String> {
        let countdown = signature.option::<f64>("countdown").and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        countdown.map(|countdown| (self.now + countdown).to_string()).or_else(|| time(signature, "eta"))
    }

    fn expires(&self, signature: &Signature) -> Option<String> {
        let seconds = signature.option::<f64>("expires").and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.map(|seconds| (self.now + seconds).to_string()).or_else(|| time(signature, "expires"))
    }

    /// What Celery's result backends keep of a task that has ended.
    /// <https://github.com/celery/celery/blob/v5.7.0/celery/backends/base.py>
    fn result(&self, result: &TaskResult) -> Option<ForeignResult> {
        let (status, value, traceback) = match result.status {
            Status::Successful => ("SUCCESS", result.return_value.clone(), Value::Null),
            Status::Failed => {
                let error = result.errors.last();
                let (path, told) = error.map_or(("", ""), |error| (error.exception_class_path.as_str(), error.traceback.as_str()));
                let (module, name) = path.rsplit_once('.').unwrap_or(("errand", path));
                let last_line = told.trim_end().lines().last().unwrap_or_default();
                ("FAILURE", json!({ "exc_type": name, "exc_message": [last_line], "exc_module": module }), told.into())
            }
            Status::Expired => ("REVOKED", revoked("expired"), Value::Null),
            Status::Cancelled => ("REVOKED", revoked("terminated"), Value::Null),
            Status::Ready | Status::Running | Status::Scheduled => return None,
        };
        let id = &self.envelope.id;
        let mut meta = json!({
            "status": status, "result": value, "traceback": traceback, "children": [], "date_done": self.now.to_string(), "task_id": id,
        });
        for (name, said) in [("parent_id", &self.said.parent_id), ("group_id", &self.said.group)] {
            if let Some(said) = said {
                meta[name] = json!(said);
            }
        }
        Some(ForeignResult { key: format!("celery-task-meta-{id}"), value: meta.to_string() })
    }
}

fn revoked(why: &str) -> Value {
    json!({ "exc_type": "TaskRevokedError", "exc_message": [why], "exc_module": "celery.exceptions" })
}

fn option(signature: &Signature, name: &str) -> Option<Value> {
    signature.option(name)
}

/// An option that is a time, as it was written: a text, or kombu's form of one.
fn time(signature: &Signature, name: &str) -> Option<String> {
    let special = || signature.option::<BTreeMap<String, String>>(name)?.remove("__value__");
    signature.option::<String>(name).or_else(special)
}

/// Signatures as a message has them; null where there are none.
fn list(signatures: &[Signature]) -> Option<&[Signature]> {
    (!signatures.is_empty()).then_some(signatures)
}
