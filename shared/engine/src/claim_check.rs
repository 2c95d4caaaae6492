//! Arguments that no queue can carry: fetched before a delivery, forgotten after it.

use std::borrow::Cow;

use errand_core::{DeliveryError, Envelope, ErrorKind};

use crate::{Engine, Event};

impl Engine {
    /// The envelope with its arguments in their place.
    pub(crate) async fn check_out<'a>(&self, envelope: &'a Envelope) -> Result<Cow<'a, Envelope>, DeliveryError> {
        let Some(key) = &envelope.claim_check else { return Ok(Cow::Borrowed(envelope)) };
        let objects = self.objects.as_ref().ok_or_else(|| {
            DeliveryError::new(
                ErrorKind::Misconfigured,
                "the arguments are in the object store: build with claim-check, and set ERRAND_BUCKET",
            )
        })?;
        let kept = objects.get(key).await.map_err(|error| DeliveryError::new(ErrorKind::Unavailable, error.to_string()))?;
        let content = kept.ok_or_else(|| DeliveryError::new(ErrorKind::Malformed, "the arguments are gone from the object store"))?;
        let mut whole = envelope.clone();
        whole.check_out(&content).map_err(|error| DeliveryError::new(ErrorKind::Malformed, error.to_string()))?;
        Ok(Cow::Owned(whole))
    }

    /// Forgets the arguments of an envelope that is delivered. Where that fails they expire.
    pub(crate) async fn discard(&self, envelope: &Envelope) {
        if let (Some(key), Some(objects)) = (&envelope.claim_check, &self.objects)
            && let Err(error) = objects.delete(key).await
        {
            self.saw(&Event::NotDiscarded { envelope, error: &error });
        }
    }
}
