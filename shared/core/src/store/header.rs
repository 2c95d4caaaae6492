use serde::{Deserialize, Serialize};

use crate::{Context, Envelope, Fingerprint, HandedOn, Json, TaskResult};

/// What a [`TaskResult`] does not tell of its envelope: kept beside it, so that the envelope can be made again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// The key of the arguments, where they are in the object store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_check: Option<String>,
    /// The context, as it was written; null where there is none, or one that is too large.
    #[serde(skip_serializing_if = "Json::is_null")]
    pub context: Json,
    /// Whether the context is not kept, since it is larger than [`TaskResult::ARGUMENTS_LIMIT`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub context_too_large: bool,
    /// Tells the content from any other under this id; none in records of before it was noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// The transport that it is to be handed to, where that is not the one whose consumer is to run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// What it is for there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Whether it was to be sent and could not be: see [`Register::sent`](crate::Register::sent).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unsent: bool,
    /// Whose workers have it, or had it when it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handed_on: Option<HandedOn>,
}

impl Header {
    /// The header of an envelope.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        // What a result tells of it is not here. A field that is new must be in one of both.
        let Envelope {
            claim_check,
            context,
            fingerprint: _,
            backend,
            destination,
            id: _,
            task: _,
            args: _,
            kwargs: _,
            queue: _,
            run_after: _,
            expires: _,
            max_attempts: _,
            callback_url: _,
            group: _,
            notification_id: _,
            user: _,
            trace: _,
            sender: _,
        } = envelope;
        let context = context.json.as_deref();
        let kept = context.filter(|context| context.get().len() <= TaskResult::ARGUMENTS_LIMIT);
        Self {
            claim_check: claim_check.clone(),
            context: kept.map(Json::from).unwrap_or_default(),
            context_too_large: context.is_some() && kept.is_none(),
            fingerprint: Some(envelope.content()),
            backend: backend.clone(),
            destination: destination.clone(),
            unsent: false,
            handed_on: None,
        }
    }

    /// Whether this is the content of its id; in records of before it was noted, any is.
    #[must_use]
    pub fn is_of(&self, content: Fingerprint) -> bool {
        self.fingerprint.is_none_or(|known| known == content)
    }

    /// The envelope that this header and the result are of; `None` when its arguments or its context are not kept, since they are large.
    #[must_use]
    pub fn envelope(&self, result: &TaskResult) -> Option<Envelope> {
        if self.context_too_large {
            return None;
        }
        let elsewhere = self.claim_check.is_some();
        Some(Envelope {
            args: if elsewhere { None } else { Some(result.args.raw()?) },
            kwargs: if elsewhere { None } else { Some(result.kwargs.raw()?) },
            claim_check: self.claim_check.clone(),
            context: self.context.raw().map(Context::of).unwrap_or_default(),
            fingerprint: self.fingerprint,
            ..self.conditions(result)
        })
    }

    /// The envelope to send when the same content comes again: the recorded time stands, as does all that is not content.
    #[must_use]
    pub fn again(&self, result: &TaskResult, content: Envelope) -> Envelope {
        let Envelope { args, kwargs, claim_check, context, fingerprint, .. } = content;
        Envelope { args, kwargs, claim_check, context, fingerprint, ..self.conditions(result) }
    }

    /// The envelope without its content: when and how it is to be run.
    fn conditions(&self, result: &TaskResult) -> Envelope {
        Envelope {
            id: result.id.clone(),
            task: result.task.clone(),
            args: None,
            kwargs: None,
            claim_check: None,
            context: Context::default(),
            fingerprint: None,
            queue: result.queue.clone(),
            run_after: result.run_after,
            expires: result.expires,
            max_attempts: result.max_attempts,
            callback_url: result.callback_url.clone(),
            group: result.group.clone(),
            backend: self.backend.clone(),
            destination: self.destination.clone(),
            notification_id: result.notification_id.clone(),
            user: result.user.clone(),
            trace: result.trace.clone(),
            sender: result.sender,
        }
    }
}
