use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use errand_core::{
    BODY_LIMIT, Clock, Digest, Envelope, ForeignMessage, Forward, Init, OptionError, Problems, PublishError, Published, Queues,
    SettingsError, Timestamp, Transport, TransportLimits, is_fifo,
};
use errand_http::aws::{Failure, SdkConfig, throttled};
use futures_util::{StreamExt, stream};
use serde::Deserialize;

use crate::{LIMIT, SERVICE, client::LazyClient};

/// The most messages of one call. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
const BATCH: usize = 10;

/// Calls that are under way together.
const CONCURRENCY: usize = 16;

/// How often a message that failed alone for a passing reason is sent at most, and how long is waited between, doubling. A whole call that
/// fails is repeated by the SDK.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// The longest delay of a message. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html>
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// Sends envelopes to SQS.
pub struct SqsTransport {
    client: LazyClient,
    queues: Queues,
    clock: Arc<dyn Clock>,
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

/// A message to send, and whose answer it is.
struct Entry {
    place: usize,
    url: String,
    request: SendMessageBatchRequestEntry,
    size: usize,
}

/// What one call sends: at most ten messages and 1 MiB, all to one queue.
type Batch = Vec<Entry>;

type Answer = Result<Published, PublishError>;

impl SqsTransport {
    /// A transport to this deployment's own queues.
    ///
    /// # Errors
    /// The function that is starting lacks something.
    pub fn own(cx: &Init) -> Result<Self, SettingsError> {
        let client = LazyClient::new(cx.shared::<SdkConfig>()?, None);
        Ok(Self { client, queues: cx.shared::<Queues>()?.clone(), clock: cx.clock()? })
    }

    fn entry(&self, place: usize, envelope: &Envelope, now: Timestamp) -> Result<Entry, PublishError> {
        let url = &self.queues.named(&envelope.queue)?.url;
        let body = errand_wire::encode(envelope);
        if body.len() > BODY_LIMIT {
            return Err(PublishError::TooLarge { limit: BODY_LIMIT });
        }
        let size = body.len();
        let mut request = SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(body);
        if is_fifo(url) {
            // Order is kept within a group, and a message's own delay is not allowed: the consumer hides what comes early.
            request = request
                .message_group_id(envelope.group.as_deref().unwrap_or("default"))
                .message_deduplication_id(deduplication_id(&envelope.id, &now.to_string()));
        } else {
            // On a standard queue a group is a tenant, for fair queues.
            request = request.set_message_group_id(envelope.group.clone()).delay_seconds(delay_seconds(envelope, now));
        }
        let request = request.build().map_err(|_| PublishError::Refused("no SQS message can be made of the task".to_owned()))?;
        Ok(Entry { place, url: url.clone(), request, size })
    }

    /// Sends batches one after another. A call that fails ends it: what comes behind must not overtake, nor wait for a dead service again.
    async fn send_all(&self, batches: Vec<Batch>) -> Vec<(usize, Answer)> {
        let (mut answers, mut batches) = (Vec::new(), batches.into_iter());
        while let Some(batch) = batches.next() {
            if let Err((unsent, error)) = self.send(batch, &mut answers).await {
                let unsent = unsent.into_iter().chain(batches.flatten());
                answers.extend(unsent.map(|entry| (entry.place, Err(error.clone()))));
                break;
            }
        }
        answers
    }

    /// Sends one batch, and again what of it failed for a passing reason. The error holds what has no answer when a call fails.
    async fn send(&self, mut batch: Batch, answers: &mut Vec<(usize, Answer)>) -> Result<(), (Batch, PublishError)> {
        for attempt in 1.. {
            let told = match self.send_once(&batch).await {
                Ok(told) => told,
                Err(error) => return Err((batch, error)),
            };
            let last = attempt == TRIES;
            batch.retain(|entry| {
                let answer = told.iter().find(|(place, _)| *place == entry.place).map(|(_, answer)| answer.clone());
                let answer = answer.unwrap_or_else(|| Err(PublishError::OutcomeUnknown("SQS: no answer for the message".to_owned())));
                let again = !last && answer.as_ref().is_err_and(PublishError::passes);
                if !again {
                    answers.push((entry.place, answer));
                }
                again
            });
            if batch.is_empty() {
                break;
            }
            self.clock.sleep(PAUSE * 2_u32.pow(attempt)).await;
        }
        Ok(())
    }

    async fn send_once(&self, batch: &[Entry]) -> Result<Vec<(usize, Answer)>, PublishError> {
        let Some(url) = batch.first().map(|entry| entry.url.as_str()) else { return Ok(Vec::new()) };
        let entries = batch.iter().map(|entry| entry.request.clone()).collect();
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
        Ok(Self { client, queues: options.queues(own)?, clock: cx.clock()? })
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: LONGEST_DELAY, bytes: BODY_LIMIT, destinations: false }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Answer> {
        let now = self.clock.now();
        let mut answers: Vec<Answer> = Vec::with_capacity(envelopes.len());
        let mut entries = Vec::with_capacity(envelopes.len());
        for (place, envelope) in envelopes.iter().enumerate() {
            // What is sent is answered below, in this place.
            let answer = self.entry(place, envelope, now).map(|entry| {
                entries.push(entry);
                Published::default()
            });
            answers.push(answer);
        }
        let sequences = sequences(batches(entries));
        for (place, answer) in stream::iter(sequences).map(|batches| self.send_all(batches)).buffer_unordered(CONCURRENCY).concat().await {
            answers[place] = answer;
        }
        answers
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

/// Batches queue by queue, in order within each.
fn batches(entries: Vec<Entry>) -> Vec<Batch> {
    let mut queues: Vec<Vec<Entry>> = Vec::new();
    for entry in entries {
        match queues.iter_mut().find(|queue| queue.first().is_some_and(|first| first.url == entry.url)) {
            Some(queue) => queue.push(entry),
            None => queues.push(vec![entry]),
        }
    }
    let mut batches: Vec<Batch> = Vec::new();
    for entry in queues.into_iter().flatten() {
        let fits = |batch: &&mut Batch| {
            let size: usize = batch.iter().map(|entry| entry.size).sum();
            batch.first().is_some_and(|first| first.url == entry.url) && batch.len() < BATCH && size + entry.size <= LIMIT
        };
        match batches.last_mut().filter(fits) {
            Some(batch) => batch.push(entry),
            None => batches.push(vec![entry]),
        }
    }
    batches
}

/// What must be sent one after another: all batches of a first-in-first-out queue. A batch of another queue is alone.
fn sequences(batches: Vec<Batch>) -> Vec<Vec<Batch>> {
    let mut sequences: Vec<Vec<Batch>> = Vec::new();
    for batch in batches {
        let fifo_url = batch.first().map(|entry| entry.url.as_str()).filter(|url| is_fifo(url));
        let follows = |sequence: &&mut Vec<Batch>| fifo_url.is_some() && sequence[0].first().map(|entry| entry.url.as_str()) == fifo_url;
        match sequences.last_mut().filter(follows) {
            Some(sequence) => sequence.push(batch),
            None => sequences.push(vec![batch]),
        }
    }
    sequences
}

/// The delay that SQS is asked for: not shorter than what is left, so that the message is not seen early.
fn delay_seconds(envelope: &Envelope, now: Timestamp) -> i32 {
    let delay = envelope.delay(now).min(LONGEST_DELAY);
    i32::try_from(delay.as_millis().div_ceil(1000)).unwrap_or_default()
}

/// What tells a message from the same one sent again by the same call. SQS drops what has one that it saw in the last five minutes: an id that is sent once
/// more, since it was moved or is replayed, must not be dropped. That it is done once is the claim's work.
fn deduplication_id(id: &str, call: &str) -> String {
    Digest::of(format!("{id} {call}").as_bytes()).to_string()
}
