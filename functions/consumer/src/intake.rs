//! From a message to what it asks for. Nearly always that is reading alone; what SNS has signed may have to be verified, and what is in S3 fetched.

use std::sync::Arc;

use errand_core::{DeliveryError, DynForeignObjects, Envelope, ErrorKind, Message, Sender};
use errand_engine::Record;
use errand_wire::{Content, Decoded, Pointer};

use crate::sns::Verifier;

/// Reads messages.
#[derive(Default)]
pub struct Intake {
    /// Reads what an extended client has put into S3, where this build can.
    pub objects: Option<Arc<dyn DynForeignObjects>>,
    /// Verifies what SNS has signed, where that is wanted.
    pub verifier: Option<Verifier>,
}

impl Intake {
    pub(crate) async fn record(&self, message: Message) -> Record {
        let work = self.read(&message).await;
        Record { message, work }
    }

    async fn read(&self, message: &Message) -> Result<Vec<Envelope>, DeliveryError> {
        let Decoded { sender, content, signed } = errand_wire::decode(message)?;
        if let (Some(verifier), Some(signed)) = (&self.verifier, &signed) {
            verifier.verify(signed).await?;
        }
        let content = match content {
            Content::Elsewhere(pointer) => errand_wire::decode_fetched(message, &self.fetch(&pointer).await?)?.content,
            content => content,
        };
        match content {
            Content::Envelopes(envelopes) => Ok(envelopes.into_iter().map(|envelope| on_queue(envelope, message)).collect()),
            Content::Nothing(why) => {
                tracing::info!(message_id = message.id, %sender, why, "nothing to do");
                Ok(Vec::new())
            }
            Content::Elsewhere(_) => Err(DeliveryError::new(ErrorKind::Malformed, "extended-client: the object is a pointer itself")),
        }
    }

    async fn fetch(&self, Pointer { bucket, key }: &Pointer) -> Result<String, DeliveryError> {
        let objects = self.objects.as_ref().ok_or_else(|| {
            DeliveryError::new(ErrorKind::Misconfigured, "extended-client: the body is in S3: build with the feature claim-check")
        })?;
        let found = objects.fetch(bucket, key).await.map_err(|error| DeliveryError::new(ErrorKind::Unavailable, error.to_string()))?;
        found.ok_or_else(|| DeliveryError::new(ErrorKind::Malformed, "extended-client: the object that holds the body is gone"))
    }
}

/// What others have sent belongs to the queue that it came on.
fn on_queue(envelope: Envelope, message: &Message) -> Envelope {
    if envelope.sender == Sender::Native { envelope } else { Envelope { queue: message.queue.clone(), ..envelope } }
}
