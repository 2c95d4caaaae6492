use std::time::Duration;

use crate::{BODY_LIMIT, Envelope, Init, NoOptions, OptionError, PublishError, Published, Transport, TransportLimits};

/// An alias of the kind `inline` in functions that no call for it comes to: tasks that name it are home there, for the consumer to do as any. A function that runs them at
/// once has a transport of its own of this kind.
pub struct NotInline;

impl NotInline {
    /// The name of the kind.
    pub const KIND: &'static str = "inline";
}

impl Transport for NotInline {
    const BACKEND: &'static str = Self::KIND;
    type Options = NoOptions;

    fn new(_: &str, _: NoOptions, _: &Init) -> Result<Self, OptionError> {
        Ok(Self)
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::ZERO, bytes: BODY_LIMIT }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        let refused = |_| Err(PublishError::Misconfigured("inline: this function runs no tasks for a call".to_owned()));
        envelopes.iter().map(refused).collect()
    }

    async fn check(&self) -> Result<(), PublishError> {
        Ok(())
    }

    fn runs(&self) -> bool {
        true
    }
}
