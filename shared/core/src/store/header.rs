use serde::{Deserialize, Serialize};

use crate::{Context, Envelope, Fingerprint, Json, TaskResult};

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
    /// Whether it was to be sent and could not be: see [`Register::sent`](crate::Register::sent).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unsent: bool,
}

impl Header {
    /// The header of an envelope.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        let context = envelope.context.json.as_deref();
        let kept = context.filter(|context| context.get().len() <= TaskResult::ARGUMENTS_LIMIT);
        Self {
            claim_check: envelope.claim_check.clone(),
            context: kept.map(Json::from).unwrap_or_default(),
            context_too_large: context.is_some() && kept.is_none(),
            fingerprint: Some(envelope.content()),
            unsent: false,
        }
    }

    /// Whether this is the content of its id; in records of before it was noted, any is.
    #[must_use]
    pub fn is_of(&self, content: Fingerprint) -> bool {
        self.fingerprint.is_none_or(|known| known == content)
    }

    /// The envelope that this header and the result are of; `None` when its arguments or its context are not kept, since they are large.
    #[must_use]
    pub fn envelope(self, result: &TaskResult) -> Option<Envelope> {
        if self.context_too_large {
            return None;
        }
        let elsewhere = self.claim_check.is_some();
        Some(Envelope {
            args: if elsewhere { None } else { Some(result.args.raw()?) },
            kwargs: if elsewhere { None } else { Some(result.kwargs.raw()?) },
            claim_check: self.claim_check,
            context: self.context.raw().map(Context::of).unwrap_or_default(),
            fingerprint: self.fingerprint,
            ..result.conditions()
        })
    }
}

impl TaskResult {
    /// The envelope without its content: when and how it is to be run.
    fn conditions(&self) -> Envelope {
        Envelope {
            queue: self.queue.clone(),
            run_after: self.run_after,
            expires: self.expires,
            max_attempts: self.max_attempts,
            callback_url: self.callback_url.clone(),
            group: self.group.clone(),
            notification_id: self.notification_id.clone(),
            user: self.user.clone(),
            trace: self.trace.clone(),
            sender: self.sender,
            ..Envelope::new(self.id.clone(), self.task.clone())
        }
    }

    /// The envelope to send when the same content comes again: the recorded time stands, as does all that is not content.
    #[must_use]
    pub fn again(&self, content: Envelope) -> Envelope {
        let Envelope { args, kwargs, claim_check, context, fingerprint, .. } = content;
        Envelope { args, kwargs, claim_check, context, fingerprint, ..self.conditions() }
    }
}
