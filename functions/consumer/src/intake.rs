//! From a message to what it asks for. Nearly always that is reading alone; what SNS has signed may have to be verified, and what is in S3 fetched.

use std::sync::Arc;

use errand_core::{BoxFuture, DeliveryError, DynForeignObjects, Envelope, ErrorKind, Message, tell_unread};
use errand_engine::Received;
use errand_http::sns::{self, Verifier};
use errand_wire::{Content, Decoded, Pointer, sns::Signed};
use futures_util::{FutureExt, future::join_all};

/// Reads messages.
#[derive(Default)]
pub struct Intake {
    /// Reads what an extended client has put into S3, where this build can.
    pub objects: Option<Arc<dyn DynForeignObjects>>,
    /// Verifies what SNS has signed, where that is wanted.
    pub verifier: Option<Verifier>,
}

impl Intake {
    pub(crate) async fn read(&self, messages: Vec<Message>) -> Vec<Received> {
        let (mut received, mut unfinished) = (Vec::with_capacity(messages.len()), Vec::new());
        for (place, message) in messages.into_iter().enumerate() {
            let work = match errand_wire::decode(&message) {
                Ok(decoded) if self.is_unfinished(&decoded) => {
                    unfinished.push((place, decoded));
                    Ok(Vec::new())
                }
                decoded => decoded.map(|decoded| envelopes(decoded, &message)).map_err(DeliveryError::from),
            };
            received.push(Received { message, work });
        }
        if !unfinished.is_empty() {
            let finished = unfinished
                .into_iter()
                .map(|(place, decoded)| self.finish(decoded, &received[place].message).map(move |work| (place, work)));
            for (place, work) in join_all(finished.collect::<Vec<_>>()).await {
                received[place].work = work;
            }
        }
        received
    }

    /// Whether something is left to be done that takes time.
    fn is_unfinished(&self, decoded: &Decoded) -> bool {
        matches!(decoded.content, Content::Elsewhere(_)) || (self.verifier.is_some() && decoded.signed.is_some())
    }

    fn finish<'a>(&'a self, decoded: Decoded, message: &'a Message) -> BoxFuture<'a, Result<Vec<Envelope>, DeliveryError>> {
        Box::pin(async move {
            if let (Some(verifier), Some(signed)) = (&self.verifier, &decoded.signed) {
                let Signed { text, signature, version, certificate_url } = signed;
                verifier.verify(&sns::Signed { text, signature, version, certificate_url }).await?;
            }
            let decoded = match decoded.content {
                Content::Elsewhere(pointer) => errand_wire::decode_fetched(message, &self.fetch(&pointer).await?)?,
                _ => decoded,
            };
            match decoded.content {
                Content::Elsewhere(_) => Err(DeliveryError::new(ErrorKind::Malformed, "extended-client: the object is a pointer itself")),
                _ => Ok(envelopes(decoded, message)),
            }
        })
    }

    async fn fetch(&self, Pointer { bucket, key }: &Pointer) -> Result<String, DeliveryError> {
        let objects = self.objects.as_ref().ok_or_else(|| {
            DeliveryError::new(ErrorKind::Misconfigured, "extended-client: the body is in S3: build with the feature claim-check")
        })?;
        let found = objects.fetch(bucket, key).await.map_err(|error| DeliveryError::new(ErrorKind::Unavailable, error.to_string()))?;
        found.ok_or_else(|| DeliveryError::new(ErrorKind::Malformed, "extended-client: the object that holds the body is gone"))
    }
}

/// The envelopes of a message.
fn envelopes(Decoded { sender, content, unread, .. }: Decoded, message: &Message) -> Vec<Envelope> {
    tell_unread("message", &unread);
    match content {
        Content::Envelopes(envelopes) => envelopes,
        Content::Nothing(why) => {
            tracing::info!(message_id = message.id, %sender, why, "nothing to do");
            Vec::new()
        }
        Content::Elsewhere(_) => Vec::new(),
    }
}
