use std::{sync::Arc, time::Duration};

use errand_azure::TokenCredential;
use errand_core::{Batching as _, Envelope, Init, Noted, OptionError, PublishError, Published, Transport, TransportLimits};
use futures_util::future::join_all;

use crate::{Kind, Options, Queue, Topic, entity::is_name, namespace::Namespace};

/// How long a message can be held back: as long as any task.
const LONGEST_DELAY: Duration = Duration::from_secs(366 * 86400);

/// Sends to queues.
pub type ServiceBusQueue = ServiceBus<Queue>;

/// Sends to topics.
pub type ServiceBusTopic = ServiceBus<Topic>;

/// Sends to entities of one namespace.
pub struct ServiceBus<K> {
    namespace: Namespace<K>,
    /// The entities that the alias lists.
    listed: Noted,
}

impl<K: Kind> ServiceBus<K> {
    /// With credentials of one's own, in the place of [`DefaultAzureCredential`](errand_azure::DefaultAzureCredential).
    ///
    /// # Errors
    /// An option is wrong, or the function that is starting lacks something.
    pub fn with_credential(options: Options, credential: Arc<dyn TokenCredential>, cx: &Init) -> Result<Self, OptionError> {
        Ok(Self { namespace: Namespace::new(options, Some(credential), cx)?, listed: Noted::default() })
    }
}

impl<K: Kind> Transport for ServiceBus<K> {
    const BACKEND: &'static str = K::BACKEND;
    type Options = Options;

    fn new(_: &str, options: Options, cx: &Init) -> Result<Self, OptionError> {
        Ok(Self { namespace: Namespace::new(options, None, cx)?, listed: Noted::default() })
    }

    fn limits(&self) -> TransportLimits {
        let delay = if self.namespace.options.scheduled_enqueue_time { LONGEST_DELAY } else { Duration::ZERO };
        TransportLimits { delay, bytes: self.namespace.options.body_limit() }
    }

    fn takes(&self, destination: &str) -> Result<(), String> {
        if !is_name(destination) {
            return Err(format!("no {} can be called so", K::NAME));
        }
        self.listed.note(destination);
        Ok(())
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        self.namespace.publish_all(envelopes).await
    }

    async fn check(&self) -> Result<(), PublishError> {
        let listed = self.listed.all();
        if listed.is_empty() {
            return self.namespace.check().await;
        }
        join_all(listed.iter().map(|entity| self.namespace.find(entity))).await.into_iter().collect()
    }
}
