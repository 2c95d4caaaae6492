//! Envelopes as messages of Celery's, for workers of Celery's: the other way of [`super::envelope`].

use errand_core::{Envelope, Timestamp};
use serde_json::value::{RawValue, to_raw_value};

use super::{
    envelope::Said,
    protocol_2::{DeliveryInfo, Embed, HIDDEN, Headers, Message, Properties, Stamps, json, with},
    signature::Json,
    time,
};
use crate::digest;

/// What is said of a message beside its envelope.
#[derive(Clone, Copy, Debug, Default)]
pub struct Publication<'a> {
    /// The exchange; empty for the one that leads to each queue by its name.
    pub exchange: &'a str,
    /// By which it goes on from there: a queue's name, unless there is an exchange.
    pub routing_key: &'a str,
    /// From 0 to 9, of which Redis takes 0 first and RabbitMQ 9.
    pub priority: u8,
    /// Objects of headers of others' own. Of one that is there twice, the last is sent; one that has a name of Celery's own is none.
    pub headers: [Option<&'a RawValue>; 2],
    /// Not to be run after, where the envelope does not say.
    pub expires: Option<Timestamp>,
}

/// An envelope as a message of protocol 2.
pub struct Published<'a>(Message<'a>);

/// Makes a message of an envelope that is sent `now`. Its task's id is that of the envelope, so that `AsyncResult` finds it by that.
///
/// What follows on a task that came from Celery is not in it: whoever hands it on sends that, as it does of what it runs itself.
///
/// # Errors
/// Celery has no such message: the text says what the caller can do.
pub fn encode<'a>(envelope: &'a Envelope, publication: &Publication<'a>, now: Timestamp) -> Result<Published<'a>, &'static str> {
    if envelope.context.bulk {
        return Err("Celery's workers take no bulk: send a task for each of its payloads");
    }
    if envelope.claim_check.is_some() {
        return Err("the arguments are in the object store, which Celery's workers do not read");
    }
    let said = Said::of(envelope).unwrap_or_default();
    let [mine, theirs] = publication.headers;
    let headers = Headers {
        lang: "py",
        task: &envelope.task,
        id: &envelope.id,
        shadow: None,
        eta: envelope.run_after.filter(|due| *due > now).map(time::write),
        expires: envelope.expires.or(publication.expires).map(time::write),
        group: said.group.as_deref(),
        group_index: None,
        retries: to_raw_value(&said.retries.unwrap_or_default()).unwrap_or_default(),
        timelimit: [None, None],
        root_id: said.root_id.as_deref().unwrap_or(&envelope.id),
        parent_id: said.parent_id.as_deref(),
        argsrepr: HIDDEN,
        kwargsrepr: HIDDEN,
        origin: "errand",
        ignore_result: said.ignore_result,
        replaced_task_nesting: 0,
        stamped_headers: None,
        stamps: Stamps {},
        traceparent: envelope.trace.as_deref(),
    };
    let headers = with(&headers, &[said.headers.as_deref(), mine, theirs]);
    let properties = Properties {
        correlation_id: &envelope.id,
        reply_to: said.reply_to,
        delivery_mode: 2,
        delivery_info: DeliveryInfo { exchange: publication.exchange, routing_key: Some(publication.routing_key) },
        priority: to_raw_value(&publication.priority).unwrap_or_default(),
        body_encoding: "base64",
        // Two messages of one id must not take each other's place.
        delivery_tag: digest::uuid(&[&envelope.id, &now.to_string()]),
        message_group_id: envelope.group.as_deref(),
    };
    let [args, kwargs] = [(&envelope.args, "[]"), (&envelope.kwargs, "{}")].map(|(json, none)| json.as_deref().map_or(none, RawValue::get));
    let body = format!("[{args},{kwargs},{}]", json(&Embed::default()));
    Ok(Published(Message { body, headers, properties }))
}

impl Published<'_> {
    /// As kombu keeps it on Redis: a JSON object.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.text()
    }

    /// As kombu writes it to SQS: the base64 of that.
    #[must_use]
    pub fn base64(&self) -> String {
        self.0.base64()
    }

    /// Arguments, named arguments and what follows, as JSON: all of the message where headers and properties are the broker's own, as on RabbitMQ.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.0.body
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.properties.correlation_id
    }

    /// The headers: an object.
    #[must_use]
    pub fn headers(&self) -> &Json {
        &self.0.headers
    }

    /// Where Celery's `rpc` results go, where it came from a client that waits there.
    #[must_use]
    pub fn reply_to(&self) -> Option<&str> {
        self.0.properties.reply_to.as_deref()
    }
}
