//! What follows on a task that has ended, in Celery's own form: as a worker would have sent it.

use std::time::Duration;

use errand_core::{Envelope, Fields, FollowUps, ForeignMessage, ForeignResult, Status, TaskResult, Timestamp, limits};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    envelope::Said,
    outcome::result_key,
    protocol_2::{DeliveryInfo, Embed, HIDDEN, Headers, Message, Properties, Stamps, json, with},
    signature::{Json, Signature},
    time,
};
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
    first: Option<String>,
    /// What follows on it, the next one last.
    chain: Vec<Signature>,
    /// The group that it is a part of.
    group: Option<(String, usize)>,
    /// Tells it from others that follow on the same task, for its id.
    place: String,
}

impl Parent<'_> {
    fn on_success(&self, value: &errand_core::Json) -> Vec<ForeignMessage> {
        let first = Some(value.get().to_owned());
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
            let first = Some(json(&self.envelope.id));
            self.send(errback, &Given { first, place: format!("errback {place}"), ..Given::default() }, &mut messages);
        }
        messages
    }

    fn send(&self, signature: &Signature, given: &Given, messages: &mut Vec<ForeignMessage>) {
        if signature.is_group() {
            let id = signature.text("task_id").unwrap_or_else(|| self.id(&given.place));
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
        let id = signature.text("task_id").filter(|id| limits::id(id).is_ok()).unwrap_or_else(|| self.id(&given.place));
        let routing_key = signature.text("queue").or_else(|| signature.text("routing_key"));
        let same_queue = routing_key.is_none() || routing_key == self.said.routing_key;
        let queue = if same_queue { self.envelope.queue.clone() } else { routing_key.clone().unwrap_or_default() };
        let group = signature.text("MessageGroupId");
        let headers = Headers {
            lang: "py",
            task: &signature.task,
            id: &id,
            shadow: signature.option("shadow"),
            eta: self.time(signature, "countdown", "eta"),
            expires: self.time(signature, "expires", "expires"),
            group: given.group.as_ref().map(|(id, _)| id.as_str()),
            group_index: given.group.as_ref().map(|(_, place)| *place),
            retries: signature.option("retries").unwrap_or_else(zero),
            timelimit: [signature.option("time_limit"), signature.option("soft_time_limit")],
            root_id: self.said.root_id.as_ref().unwrap_or(&self.envelope.id),
            parent_id: Some(&self.envelope.id),
            argsrepr: HIDDEN,
            kwargsrepr: HIDDEN,
            origin: "errand",
            ignore_result: signature.option("ignore_result").is_some_and(|ignored| ignored.get() == "true"),
            replaced_task_nesting: 0,
            stamped_headers: None,
            stamps: Stamps {},
            traceparent: None,
        };
        let properties = Properties {
            correlation_id: &id,
            reply_to: signature.text("reply_to").or_else(|| self.said.reply_to.clone()),
            delivery_mode: 2,
            delivery_info: DeliveryInfo { exchange: "", routing_key: routing_key.as_deref().or(self.said.routing_key.as_deref()) },
            priority: signature.option("priority").unwrap_or_else(zero),
            body_encoding: "base64",
            delivery_tag: id.clone(),
            message_group_id: group.as_deref(),
        };
        let message =
            Message { body: body(signature, given), headers: with(&headers, &[signature.option("headers").as_deref()]), properties };
        ForeignMessage { id: id.clone(), queue, group: group.clone().or_else(|| self.envelope.group.clone()), body: message.base64() }
    }

    /// The id of what follows in this place: sent twice, it has the same.
    fn id(&self, place: &str) -> String {
        digest::uuid(&[&self.envelope.id, place])
    }

    /// The time that is so many seconds from now, or that an option names: as it was written, or in kombu's form of one.
    fn time(&self, signature: &Signature, seconds: &'static str, named: &'static str) -> Option<String> {
        let from_now = signature.seconds(seconds).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let named = || signature.text(named).or_else(|| Fields::of(signature.option(named)?.get()).ok()?.optional("__value__"));
        from_now.map(|from_now| time::write(self.now + from_now)).or_else(named)
    }

    /// What Celery's result backends keep of a task that has ended.
    /// <https://github.com/celery/celery/blob/v5.7.0/celery/backends/base.py>
    fn result(&self, result: &TaskResult) -> Option<ForeignResult> {
        let (status, value, traceback) = match result.status {
            Status::Successful => ("SUCCESS", result.return_value.get().to_owned(), None),
            Status::Failed => {
                let error = result.errors.last();
                let (path, told) = error.map_or(("", ""), |error| (error.exception_class_path.as_str(), error.traceback.as_str()));
                let (exc_module, exc_type) = path.rsplit_once('.').unwrap_or(("errand", path));
                let last_line = told.trim_end().lines().last().unwrap_or_default();
                ("FAILURE", json(&Exception { exc_type, exc_message: [last_line], exc_module }), Some(told))
            }
            Status::Expired => ("REVOKED", json(&revoked("expired")), None),
            Status::Cancelled => ("REVOKED", json(&revoked("terminated")), None),
            Status::Ready | Status::Running | Status::Scheduled => return None,
        };
        let meta = Meta {
            status,
            result: RawValue::from_string(value).ok(),
            traceback,
            children: [],
            date_done: time::write(self.now),
            task_id: &self.envelope.id,
            parent_id: self.said.parent_id.as_deref(),
            group_id: self.said.group.as_deref(),
        };
        Some(ForeignResult { key: result_key(&self.envelope.id), value: json(&meta) })
    }
}

fn revoked(why: &str) -> Exception<'_> {
    Exception { exc_type: "TaskRevokedError", exc_message: [why], exc_module: "celery.exceptions" }
}

/// Arguments, named arguments, and what follows.
fn body(signature: &Signature, given: &Given) -> String {
    let embed =
        Embed { callbacks: signature.signatures("link"), errbacks: signature.signatures("link_error"), chain: &given.chain, chord: None };
    let own = signature.args.get().trim_start_matches('[');
    let args = match &given.first {
        Some(first) if !signature.immutable => {
            let comma = if own.trim_start().starts_with(']') { "" } else { "," };
            format!("[{first}{comma}{own}")
        }
        _ => signature.args.get().to_owned(),
    };
    format!("[{args},{},{}]", signature.kwargs.get(), json(&embed))
}

fn zero() -> Json {
    to_raw_value(&0).unwrap_or_default()
}

/// What a result backend keeps.
#[derive(Serialize)]
struct Meta<'a> {
    status: &'static str,
    result: Option<Json>,
    traceback: Option<&'a str>,
    children: [(); 0],
    date_done: String,
    task_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Exception<'a> {
    exc_type: &'a str,
    exc_message: [&'a str; 1],
    exc_module: &'a str,
}
