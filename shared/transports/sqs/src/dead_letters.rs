use std::{collections::BTreeMap, time::Duration};

use aws_sdk_sqs::{
    Client,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{Buried, DeadLetter, DeadLetters, Environment, Epitaph, QueueError, SettingsError, Timestamp};
use errand_http::aws::{Failure, SdkConfig};
use futures_util::{StreamExt, TryFutureExt, TryStreamExt, stream};

use crate::{bury::ENCODING, queues};

/// The most messages of one call. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>
const BATCH: usize = 10;

/// Calls that are under way together.
const CONCURRENCY: usize = 8;

/// The dead-letter queue.
pub struct SqsDeadLetters {
    client: Client,
    url: String,
}

impl SqsDeadLetters {
    /// The queue that `ERRAND_DEAD_LETTER_URL` names, if it is set.
    ///
    /// # Errors
    /// It is no queue's URL.
    pub fn from_env(env: &Environment, sdk: &SdkConfig) -> Result<Option<Self>, SettingsError> {
        const DEAD: &str = "ERRAND_DEAD_LETTER_URL";
        let url = env.get(DEAD).map(|url| queues::url(DEAD, url)).transpose()?;
        Ok(url.map(|url| Self { client: Client::new(sdk), url }))
    }

    /// Receives up to ten messages; the wait makes SQS ask all of its servers, so that none means none.
    async fn receive(&self, lease: Duration) -> Result<Vec<Message>, QueueError> {
        let call = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10).wait_time_seconds(1);
        let call = call.visibility_timeout(i32::try_from(lease.as_secs()).unwrap_or(i32::MAX)).message_attribute_names("All");
        let told = call.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp).send().await;
        Ok(told.map_err(|error| failed(&Failure::of(&error)))?.messages.unwrap_or_default())
    }
}

impl DeadLetters for SqsDeadLetters {
    async fn take(&self, lease: Duration) -> Result<Vec<Buried>, QueueError> {
        let told = stream::iter(0..CONCURRENCY).map(|_| self.receive(lease)).buffer_unordered(CONCURRENCY).try_concat().await?;
        Ok(told.into_iter().filter_map(buried).collect())
    }

    async fn release(&self, letters: &[Buried]) -> Result<(), QueueError> {
        let batches = batches(letters, |place, receipt| {
            ChangeMessageVisibilityBatchRequestEntry::builder().id(place).receipt_handle(receipt).visibility_timeout(0).build().ok()
        });
        let calls = batches.into_iter().map(|batch| {
            let call = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(batch));
            // One that is not shown now is shown when its lease ends.
            call.send().map_ok(drop).map_err(|error| failed(&Failure::of(&error)))
        });
        stream::iter(calls).buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn remove(&self, letters: &[Buried]) -> Result<(), QueueError> {
        let batches =
            batches(letters, |place, receipt| DeleteMessageBatchRequestEntry::builder().id(place).receipt_handle(receipt).build().ok());
        let calls = batches.into_iter().map(async |batch| {
            let call = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(batch));
            let told = call.send().await.map_err(|error| failed(&Failure::of(&error)))?;
            told.failed().first().map_or(Ok(()), |left| Err(QueueError(format!("SQS: {}", left.code()))))
        });
        stream::iter(calls).buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn count(&self) -> Result<u64, QueueError> {
        let counts = [QueueAttributeName::ApproximateNumberOfMessages, QueueAttributeName::ApproximateNumberOfMessagesNotVisible];
        let told = self.client.get_queue_attributes().queue_url(&self.url).set_attribute_names(Some(counts.to_vec())).send().await;
        let told = told.map_err(|error| failed(&Failure::of(&error)))?.attributes.unwrap_or_default();
        Ok(counts.iter().filter_map(|name| told.get(name)?.parse::<u64>().ok()).sum())
    }
}

/// What calls of ten say of letters.
fn batches<T>(letters: &[Buried], entry: impl Fn(String, &str) -> Option<T>) -> Vec<Vec<T>> {
    let batch =
        |batch: &[Buried]| batch.iter().enumerate().filter_map(|(place, letter)| entry(place.to_string(), &letter.receipt)).collect();
    letters.chunks(BATCH).map(batch).collect()
}

fn buried(message: Message) -> Option<Buried> {
    let sent = message.attributes.as_ref().and_then(|attributes| attributes.get(&MessageSystemAttributeName::SentTimestamp));
    let buried_at = Timestamp::from_millis(sent.and_then(|millis| millis.parse().ok()).unwrap_or_default());
    let attributes: BTreeMap<String, String> =
        message.message_attributes.into_iter().flatten().filter_map(|(name, value)| Some((name, value.string_value?))).collect();
    let body = message.body.unwrap_or_default();
    let encoded = attributes.get(ENCODING.0).is_some_and(|encoding| encoding == ENCODING.1);
    let decoded = encoded.then(|| STANDARD.decode(&body).ok().and_then(|bytes| String::from_utf8(bytes).ok())).flatten();
    Some(Buried {
        key: message.message_id?,
        receipt: message.receipt_handle?,
        body: decoded.unwrap_or(body),
        buried_at,
        letter: Epitaph::read(&attributes),
        attributes: DeadLetter::original(attributes),
    })
}

fn failed(failure: &Failure) -> QueueError {
    QueueError(format!("SQS: {failure}"))
}
