use std::collections::BTreeMap;

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use errand_core::{Batching, Clock, Entry, Envelope, Init, OptionError, Problems, PublishError, Timestamp};
use errand_http::aws::{Failure, SdkConfig};
use errand_sqs::{LazyClient, SERVICE};

use crate::{Answer, Celery, Options};

/// The largest arguments, in bytes: in base64 twice, as kombu writes them, and with their headers they fit into a message.
pub(crate) const LIMIT: usize = 560 * 1024;

/// Queues of SQS.
pub(crate) struct Sqs {
    client: LazyClient,
    /// URLs by their queues' names.
    queues: BTreeMap<String, String>,
}

impl Sqs {
    pub(crate) fn new(options: &Options, cx: &Init) -> Result<Self, OptionError> {
        let said = &options.broker_transport_options;
        let queues: BTreeMap<String, String> =
            said.predefined_queues.iter().map(|(name, queue)| (name.clone(), queue.url.clone())).collect();
        if let Some((name, _)) = queues.iter().find(|(_, url)| !url.starts_with("https://") && !url.starts_with("http://")) {
            let pointer = format!("/broker_transport_options/predefined_queues/{}/url", errand_core::segment(name));
            return Err(Problems::at(&pointer, "expected the URL of a queue").into());
        }
        let client = LazyClient::new(cx.shared::<SdkConfig>()?, said.region.clone());
        Ok(Self { client, queues })
    }

    /// Where a queue is.
    pub(crate) fn url(&self, queue: &str) -> Result<&str, PublishError> {
        let known = || self.queues.keys().map(String::as_str);
        self.queues.get(queue).map(String::as_str).ok_or_else(|| PublishError::no_such_queue(known()))
    }

    /// Asks of each queue who it is.
    pub(crate) async fn check(&self) -> Result<(), PublishError> {
        for url in self.queues.values() {
            let call = self.client.get().get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
            call.send().await.map_err(|error| Failure::of(&error).to_publish(SERVICE))?;
        }
        Ok(())
    }
}

/// What is sent to SQS.
pub(crate) struct Outgoing<'a> {
    pub(crate) celery: &'a Celery,
    pub(crate) sqs: &'a Sqs,
}

impl Batching for Outgoing<'_> {
    type Message = SendMessageBatchRequestEntry;
    const MOST: usize = errand_sqs::BATCH;

    fn bytes(&self) -> usize {
        errand_sqs::LIMIT
    }

    fn clock(&self) -> &dyn Clock {
        self.celery.clock.as_ref()
    }

    fn entry(&self, envelope: &Envelope, now: Timestamp) -> Result<Entry<Self::Message>, PublishError> {
        let order = self.celery.order(envelope)?;
        let url = self.sqs.url(&order.route.routing_key)?;
        let body = self.celery.task(&order, now)?.message.base64();
        if body.len() > errand_sqs::LIMIT {
            return Err(PublishError::TooLarge { limit: LIMIT });
        }
        // Nobody there sees to it that an id is done once: on a FIFO queue, what is sent again is dropped.
        errand_sqs::entry(url, body, envelope, None, "")
    }

    async fn send(&self, url: &str, messages: &[&Self::Message]) -> Result<Vec<(usize, Answer)>, PublishError> {
        errand_sqs::send(self.sqs.client.get(), url, messages).await
    }
}
