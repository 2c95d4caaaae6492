use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use errand_core::{
    BODY_LIMIT, Batching, Clock, Entry, Envelope, ForeignMessage, Forward, Init, OptionError, Problems, PublishError, Published, Queues,
    SettingsError, Timestamp, Transport, TransportLimits, is_fifo,
};
use errand_http::aws::{Failure, SdkConfig};
use errand_sqs::{LIMIT, LazyClient, SERVICE, deduplication_id};
use errand_wire::Format;
use serde::Deserialize;

/// The longest delay of a message. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html>
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// Sends envelopes to SQS.
pub struct SqsTransport {
    client: LazyClient,
    queues: Queues,
    format: Format,
    clock: Arc<dyn Clock>,
    /// Whether what comes out of the queues is claimed by this deployment, which knows what was done.
    is_own: bool,
}

/// What an alias says: where queues are that are not this deployment's own. Those are under the name of this kind itself, and say nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The URL of the queue named `default`.
    url: Option<String>,
    /// The URLs of further queues, by their names.
    #[serde(default)]
    queues: BTreeMap<String, String>,
    /// The region that they are in: that of the function, when it is not said.
    region: Option<String>,
    /// What those read who take it there.
    #[serde(default)]
    format: Format,
}

impl Options {
    /// The queues of an alias, none of which may be among `own`: what comes back to this deployment's own consumer would be found done, or go round for ever.
    fn queues(self, own: Option<&Queues>) -> Result<Queues, Problems> {
        let Some(url) = self.url else { return Err(Problems::at("/url", "is required: the URL of the queue that tasks go to")) };
        let queues = Queues::elsewhere(url, self.queues)?;
        let is_own = |url: &str| own.is_some_and(|own| own.iter().any(|(_, address)| address.url == url));
        if let Some((name, _)) = queues.iter().find(|(_, address)| is_own(&address.url)) {
            return Err(Problems::whole(format!("{name} is a queue of this deployment's own: a task names it as its queue")));
        }
        Ok(queues)
    }
}

type Answer = Result<Published, PublishError>;

impl SqsTransport {
    /// A transport to this deployment's own queues.
    ///
    /// # Errors
    /// The function that is starting lacks something.
    pub fn own(cx: &Init) -> Result<Self, SettingsError> {
        let client = LazyClient::new(cx.shared::<SdkConfig>()?, None);
        Ok(Self { client, queues: cx.shared::<Queues>()?.clone(), format: Format::Native, clock: cx.clock()?, is_own: true })
    }
}

impl Batching for SqsTransport {
    type Message = SendMessageBatchRequestEntry;
    const MOST: usize = errand_sqs::BATCH;

    fn bytes(&self) -> usize {
        LIMIT
    }

    fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    fn entry(&self, envelope: &Envelope, now: Timestamp) -> Result<Entry<Self::Message>, PublishError> {
        // What is for another transport waits on a queue of ours, and says what it is for there.
        let elsewhere = envelope.destination.as_ref().filter(|_| envelope.backend.is_none());
        let url = &self.queues.named(elsewhere.map_or_else(|| self.queues.of(envelope), String::as_str))?.url;
        // To who takes it there, it belongs on that queue.
        let body = match (elsewhere, &self.format) {
            (Some(queue), Format::Native) => errand_wire::encode(&Envelope { queue: queue.clone(), ..envelope.clone() }),
            (_, format) => format.encode(envelope)?,
        };
        if body.len() > BODY_LIMIT {
            return Err(PublishError::TooLarge { limit: BODY_LIMIT });
        }
        // A message's own delay is not allowed on a FIFO queue: the consumer hides what comes early.
        let call = if self.is_own { now.to_string() } else { String::new() };
        errand_sqs::entry(url, body, envelope, Some(delay_seconds(envelope, now)), &call)
    }

    async fn send(&self, url: &str, messages: &[&Self::Message]) -> Result<Vec<(usize, Answer)>, PublishError> {
        errand_sqs::send(self.client.get(), url, messages).await
    }
}

impl Transport for SqsTransport {
    const BACKEND: &'static str = "sqs";
    type Options = Options;

    fn new(alias: &str, options: Options, cx: &Init) -> Result<Self, OptionError> {
        let own = cx.shared::<Queues>().ok();
        if alias == Self::BACKEND && own.is_some() {
            return Ok(Self::own(cx)?);
        }
        let client = LazyClient::new(cx.shared::<SdkConfig>()?, options.region.clone());
        let format = options.format.clone();
        Ok(Self { client, queues: options.queues(own)?, format, clock: cx.clock()?, is_own: false })
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: LONGEST_DELAY, bytes: BODY_LIMIT }
    }

    fn takes(&self, destination: &str) -> Result<(), String> {
        self.queues.named(destination).map(drop).map_err(|error| error.to_string())
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Answer> {
        self.publish_all(envelopes).await
    }

    async fn check(&self) -> Result<(), PublishError> {
        for (_, address) in self.queues.iter() {
            let told =
                self.client.get().get_queue_attributes().queue_url(&address.url).attribute_names(QueueAttributeName::QueueArn).send().await;
            told.map_err(|error| Failure::of(&error).to_publish(SERVICE))?;
        }
        Ok(())
    }
}

impl Forward for SqsTransport {
    async fn forward(&self, message: &ForeignMessage) -> Result<(), PublishError> {
        let url = &self.queues.known_as(&message.queue)?.url;
        if message.body.len() > LIMIT {
            return Err(PublishError::TooLarge { limit: LIMIT });
        }
        let mut call =
            self.client.get().send_message().queue_url(url).message_body(&message.body).set_message_group_id(message.group.clone());
        if is_fifo(url) {
            // The same message sent again within five minutes is dropped.
            let group = message.group.as_deref().unwrap_or("default");
            call = call.message_group_id(group).message_deduplication_id(deduplication_id(&message.id, ""));
        }
        call.send().await.map(drop).map_err(|error| Failure::of(&error).to_publish(SERVICE))
    }
}

/// The delay that SQS is asked for: not shorter than what is left, so that the message is not seen early.
fn delay_seconds(envelope: &Envelope, now: Timestamp) -> i32 {
    let delay = envelope.delay(now).min(LONGEST_DELAY);
    i32::try_from(delay.as_millis().div_ceil(1000)).unwrap_or_default()
}
