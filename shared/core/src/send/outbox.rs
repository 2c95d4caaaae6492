use std::sync::Arc;

use serde_json::value::RawValue;

use crate::{Digest, DynObjects, DynTransport, Envelope, PublishError, Timestamp};

/// Hands each envelope to the transport that can keep it until it is due, and what is too large for that to the object store first.
#[derive(Clone)]
pub struct Outbox {
    /// Takes what is due soon.
    pub soon: Arc<dyn DynTransport>,
    /// Takes what is due later than `soon` can wait.
    pub late: Option<Arc<dyn DynTransport>>,
    /// Takes arguments that no transport can carry.
    pub objects: Option<Arc<dyn DynObjects>>,
}

impl Outbox {
    /// Sends an envelope; answers the name of its transport. Its arguments may have gone to the object store on the way.
    ///
    /// # Errors
    /// It was not sent.
    pub async fn publish(&self, envelope: &mut Envelope, now: Timestamp) -> Result<&'static str, PublishError> {
        let transport = self.transport_for(envelope, now)?;
        let sent = publish(transport, envelope).await;
        match (sent, &self.objects) {
            (Err(PublishError::TooLarge { .. }), Some(objects)) if envelope.claim_check.is_none() => {
                let key = object_key(envelope, now);
                let content = envelope.check_in(key.clone());
                objects.put(&key, content).await.map_err(|error| PublishError::Unavailable(error.0))?;
                publish(transport, envelope).await
            }
            (sent, _) => sent,
        }?;
        Ok(transport.name())
    }

    /// Sends envelopes together; answers each with the name of its transport, in their order.
    pub async fn publish_all(&self, envelopes: Vec<Envelope>, now: Timestamp) -> Vec<(Envelope, Result<&'static str, PublishError>)> {
        let mut answers: Vec<Option<(Envelope, Result<&'static str, PublishError>)>> = envelopes.iter().map(|_| None).collect();
        let mut rest: Vec<(usize, Envelope)> = envelopes.into_iter().enumerate().collect();
        for transport in self.transports() {
            let (ours, others) = rest.into_iter().partition(|(_, envelope)| envelope.delay(now) <= transport.max_delay());
            rest = others;
            let (places, ours): (Vec<usize>, Vec<Envelope>) = Vec::into_iter(ours).unzip();
            let sent = if ours.is_empty() { Vec::new() } else { transport.publish(&ours).await };
            let sent = sent.into_iter().map(|sent| sent.map(|_| transport.name())).chain(std::iter::repeat_with(unanswered));
            for (place, answer) in places.into_iter().zip(ours.into_iter().zip(sent)) {
                answers[place] = Some(answer);
            }
        }
        // What no transport can keep is told why.
        for (place, mut envelope) in rest {
            let sent = self.publish(&mut envelope, now).await;
            answers[place] = Some((envelope, sent));
        }
        let mut answers: Vec<_> = answers.into_iter().flatten().collect();
        // What no transport can carry goes by the object store, where there is one.
        for (envelope, sent) in &mut answers {
            if matches!(sent, Err(PublishError::TooLarge { .. })) && self.objects.is_some() {
                *sent = self.publish(envelope, now).await;
            }
        }
        answers
    }

    /// Takes back what waits for its time outside of a queue, as far as that can be done. What comes all the same finds its id ended or moved.
    ///
    /// # Errors
    /// It may still come.
    pub async fn withdraw(&self, id: &str, run_after: Timestamp) -> Result<(), PublishError> {
        for transport in self.transports() {
            transport.withdraw(id, run_after).await?;
        }
        Ok(())
    }

    /// The transports.
    pub fn transports(&self) -> impl Iterator<Item = &dyn DynTransport> {
        [Some(&self.soon), self.late.as_ref()].into_iter().flatten().map(AsRef::as_ref)
    }

    /// The name of the transport that an envelope goes by.
    ///
    /// # Errors
    /// It can go by none.
    pub fn route(&self, envelope: &Envelope, now: Timestamp) -> Result<&'static str, PublishError> {
        self.transport_for(envelope, now).map(DynTransport::name)
    }

    fn transport_for(&self, envelope: &Envelope, now: Timestamp) -> Result<&dyn DynTransport, PublishError> {
        let delay = envelope.delay(now);
        self.transports().find(|transport| delay <= transport.max_delay()).ok_or_else(|| {
            let longest = self.late.as_ref().unwrap_or(&self.soon).max_delay().as_secs();
            let hint =
                if self.late.is_none() { "; for more, the operator sets ERRAND_QUEUE_ARN and ERRAND_SCHEDULER_ROLE_ARN" } else { "" };
            PublishError::Refused(format!("a task can be delayed by {longest} seconds at most{hint}"))
        })
    }
}

async fn publish(transport: &dyn DynTransport, envelope: &Envelope) -> Result<(), PublishError> {
    transport.publish(std::slice::from_ref(envelope)).await.pop().map_or_else(unanswered, |sent| sent.map(drop))
}

fn unanswered<T>() -> Result<T, PublishError> {
    Err(PublishError::Unavailable("the transport did not answer".to_owned()))
}

/// A key that only the same arguments of the same id at the same time have. Its first part says how long the object must live: what waits on a queue
/// and then as a dead letter is gone after 24 days, what is scheduled waits up to a year before.
fn object_key(envelope: &Envelope, now: Timestamp) -> String {
    let lifetime = if envelope.delay(now).is_zero() { "soon" } else { "late" };
    let [args, kwargs] = [&envelope.args, &envelope.kwargs].map(|json| json.as_deref().map_or("", RawValue::get));
    format!("{lifetime}/{}-{}", now.millis(), Digest::of_parts(&[&envelope.id, args, kwargs]).short())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_objects_key_is_made_of_the_arguments_in_every_build() {
        let now = Timestamp::from_millis(1_800_000_000_123);
        let kwargs = RawValue::from_string(r#"{"n":1e400}"#.to_owned()).ok();
        let soon = Envelope { kwargs, ..Envelope::new("order-7".to_owned(), "t".to_owned()) };
        assert_eq!(object_key(&soon, now), "soon/1800000000123-b321ed45436f9d2df3992e2781cb91fc");
        let late = Envelope { run_after: Some(now + Duration::from_secs(1)), ..soon };
        assert_eq!(object_key(&late, now), "late/1800000000123-b321ed45436f9d2df3992e2781cb91fc");
        assert!(crate::limits::object_key(&object_key(&late, now)).is_ok());
    }
}
