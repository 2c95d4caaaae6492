//! Messages that hold several envelopes, and those that no queue can hold back: each becomes a message of its own, to be tried again by itself. Without a store also
//! the payloads of a bulk, where nobody would remember which of them are delivered.

use errand_core::{Envelope, Message, PublishError, limits};
use serde_json::value::RawValue;

use crate::{Engine, Event, Verdict, claim::Claimed};

impl Engine {
    /// Sends each envelope of a message by itself. What could not be sent leaves the message where it is: sent twice, an envelope has the same id.
    pub(crate) async fn split(&self, message: &Message, envelopes: Vec<Envelope>) -> Verdict {
        let delay = self.own_wait(message);
        let Some(dispatch) = &self.dispatch else {
            self.saw(&Event::CannotSendOn { message });
            return self.hide_or_bury(message, delay, "this consumer has nothing to send its parts with").await;
        };
        let envelopes: Vec<Envelope> = envelopes
            .into_iter()
            .map(|envelope| Envelope { group: envelope.group.clone().or_else(|| message.lane.clone()), ..envelope })
            .collect();
        let count = envelopes.len();
        let sent = dispatch.requeue(&envelopes).await;
        let failed: Vec<&PublishError> = sent.iter().filter_map(|sent| sent.as_ref().err()).collect();
        let Some(first) = failed.first() else {
            self.saw(&Event::SentOn { message, count });
            return Verdict::Acknowledge;
        };
        self.saw(&Event::NotSentOn { message, count, failed: failed.len(), error: first });
        self.hide_or_bury(message, delay, &format!("its parts could not be sent: {first}")).await
    }

    /// Whether a bulk can be split where it must be: what follows on it follows once, on the whole, and its payloads' keys have to be ids.
    pub(crate) fn splits(&self, envelope: &Envelope) -> bool {
        let has_ids = || limits::id(&format!("{}-{}", envelope.id, u32::MAX)).is_ok();
        self.store.is_none() && self.dispatch.is_some() && !envelope.context.follow_ups && has_ids()
    }

    /// Sends payloads of a bulk by themselves. Their ids are the keys that they have in the bulk.
    pub(crate) async fn split_bulk(
        &self,
        claimed: &Claimed<'_>,
        bulk: &Envelope,
        payloads: impl Iterator<Item = (usize, &RawValue)>,
    ) -> Verdict {
        let head = bulk.head();
        let parts = payloads.map(|(place, payload)| head.part(place, payload)).collect();
        let verdict = self.split(claimed.message, parts).await;
        if verdict == Verdict::Acknowledge {
            self.discard(claimed.envelope).await;
        }
        verdict
    }
}
