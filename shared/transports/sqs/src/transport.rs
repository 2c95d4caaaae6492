use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use errand_core::{
    BODY_LIMIT, Batching, Clock, Digest, Entry, Envelope, ForeignMessage, Forward, Init, OptionError, Problems, PublishError, Published,
    Queues, SettingsError, Timestamp, Transport, TransportLimits, is_fifo,
};
use errand_http::aws::{Failure, SdkConfig, throttled};
use errand_wire::Format;
use serde::Deserialize;

use crate::{LIMIT, SERVICE, client::LazyClient};

/// The most messages of one call. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
const BATCH: usize = 10;

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
    const MOST: usize = BATCH;

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
        let (size, ordered) = (body.len(), is_fifo(url));
        let mut request = SendMessageBatchRequestEntry::builder().id("0").message_body(body);
        if ordered {
            // Order is kept within a group, and a message's own delay is not allowed: the consumer hides what comes early.
            let call = if self.is_own { now.to_string() } else { String::new() };
            request = request
                .message_group_id(envelope.group.as_deref().unwrap_or("default"))
                .message_deduplication_id(deduplication_id(&envelope.id, &call));
        } else {
            // On a standard queue a group is a tenant, for fair queues.
            request = request.set_message_group_id(envelope.group.clone()).delay_seconds(delay_seconds(envelope, now));
        }
        let message = request.build().map_err(|_| PublishError::Refused("no SQS message can be made of the task".to_owned()))?;
        Ok(Entry { to: url.clone(), size, ordered, message })
    }

    async fn send(&self, url: &str, messages: &[&Self::Message]) -> Result<Vec<(usize, Answer)>, PublishError> {
        let mut entries: Vec<Self::Message> = messages.iter().map(|message| (*message).clone()).collect();
        entries.iter_mut().enumerate().for_each(|(place, entry)| entry.id = place.to_string());
        let call = self.client.get().send_message_batch().queue_url(url).set_entries(Some(entries));
        let told = call.send().await.map_err(|error| Failure::of(&error).to_publish(SERVICE))?;
        let sent = told.successful().iter().map(|sent| (sent.id(), Ok(Published { message_id: Some(sent.message_id().to_owned()) })));
        let failed = told.failed().iter().map(|failed| {
            let why = format!("SQS: {}", failed.code());
            // A throttled key service counts as the sender's fault, and passes all the same.
            let passes = !failed.sender_fault() || throttled(failed.code());
            (failed.id(), Err(if passes { PublishError::Unavailable(why) } else { PublishError::Refused(why) }))
        });
        Ok(sent.chain(failed).filter_map(|(id, answer)| Some((id.parse().ok()?, answer))).collect())
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

/// What tells a message from the same one sent again by the same `call`. SQS drops what has one that it saw in the last five minutes: an id that is sent to our own queue
/// once more, since it was moved or is replayed, must not be dropped. That it is done once is the claim's work. Elsewhere nobody else sees to that, and there is one call.
fn deduplication_id(id: &str, call: &str) -> String {
    Digest::of(format!("{id} {call}").as_bytes()).to_string()
}
