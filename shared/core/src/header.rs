use serde::{Deserialize, Serialize};

use crate::{Context, Envelope, Json, TaskResult, Timestamp, envelope::DEFAULT_QUEUE};

/// What a [`TaskResult`] does not tell of its envelope: kept beside it, so that the envelope can be made again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    #[serde(skip_serializing_if = "String::is_empty")]
    queue: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim_check: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Json::is_null")]
    context: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

impl Header {
    /// The header of an envelope.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        Self {
            queue: if envelope.queue == DEFAULT_QUEUE { String::new() } else { envelope.queue.clone() },
            expires: envelope.expires,
            max_attempts: envelope.max_attempts,
            claim_check: envelope.claim_check.clone(),
            callback_url: envelope.callback_url.clone(),
            group: envelope.group.clone(),
            notification_id: envelope.notification_id.clone(),
            user: envelope.user.clone(),
            context: envelope.context.json.as_deref().map(Json::from).unwrap_or_default(),
            trace: envelope.trace.clone(),
        }
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &str {
        if self.queue.is_empty() { DEFAULT_QUEUE } else { &self.queue }
    }

    /// The recipient.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// What ties the envelopes of a notification together.
    #[must_use]
    pub fn notification_id(&self) -> Option<&str> {
        self.notification_id.as_deref()
    }

    /// Where the result is to be sent.
    #[must_use]
    pub fn callback_url(&self) -> Option<&str> {
        self.callback_url.as_deref()
    }

    /// The envelope that this header and the result are of; `None` when the result holds no arguments because they were too large.
    #[must_use]
    pub fn envelope(self, result: &TaskResult) -> Option<Envelope> {
        let elsewhere = self.claim_check.is_some();
        Some(Envelope {
            id: result.id.clone(),
            task: result.task.clone(),
            args: if elsewhere { None } else { Some(result.args.raw()?) },
            kwargs: if elsewhere { None } else { Some(result.kwargs.raw()?) },
            queue: if self.queue.is_empty() { DEFAULT_QUEUE.to_owned() } else { self.queue },
            run_after: result.run_after,
            expires: self.expires,
            max_attempts: self.max_attempts,
            claim_check: self.claim_check,
            callback_url: self.callback_url,
            group: self.group,
            notification_id: self.notification_id,
            user: self.user,
            context: self.context.raw().map(Context::of).unwrap_or_default(),
            trace: self.trace,
            sender: result.sender,
        })
    }
}
