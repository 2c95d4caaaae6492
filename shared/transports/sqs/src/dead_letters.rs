use std::{collections::BTreeMap, time::Duration};

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{Buried, DeadLetter, DeadLetters, Environment, Epitaph, Queues, SettingsError, StorageError, Timestamp};
use errand_http::aws::{Failure, SdkConfig};
use errand_sqs::LazyClient;
use futures_util::{StreamExt, TryFutureExt, TryStreamExt, stream};

use crate::bury::ENCODING;

/// The most messages of one call. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>
const BATCH: usize = 10;

/// Calls that are under way together.
const CONCURRENCY: usize = 8;

/// The dead-letter queues.
pub struct SqsDeadLetters {
    client: LazyClient,
    graveyards: Vec<Graveyard>,
}

/// A dead-letter queue.
struct Graveyard {
    url: String,
    /// The name of the queue whose letters it holds; of several, the first.
    of: String,
}

impl SqsDeadLetters {
    /// The dead-letter queues of the settings, if there are any.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn from_env(env: &Environment, sdk: &SdkConfig) -> Result<Option<Self>, SettingsError> {
        let mut graveyards: Vec<Graveyard> = Vec::new();
        for (name, address) in Queues::from_env(env)?.iter() {
            if let Some(url) = &address.dead_letter_url
                && graveyards.iter().all(|known| known.url != *url)
            {
                graveyards.push(Graveyard { url: url.clone(), of: name.to_owned() });
            }
        }
        Ok(if graveyards.is_empty() { None } else { Some(Self { client: LazyClient::new(sdk, None), graveyards }) })
    }

    /// Receives up to ten messages; the wait makes SQS ask all of its servers, so that none means none.
    async fn receive(&self, graveyard: &Graveyard, lease: Duration) -> Result<Vec<Buried>, StorageError> {
        let call = self.client.get().receive_message().queue_url(&graveyard.url).max_number_of_messages(10).wait_time_seconds(1);
        let call = call.visibility_timeout(i32::try_from(lease.as_secs()).unwrap_or(i32::MAX)).message_attribute_names("All");
        let told = call.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp).send().await;
        let told = told.map_err(|error| failed(&Failure::of(&error)))?.messages.unwrap_or_default();
        Ok(told.into_iter().filter_map(|message| buried(message, graveyard)).collect())
    }
}

impl DeadLetters for SqsDeadLetters {
    async fn take(&self, lease: Duration) -> Result<Vec<Buried>, StorageError> {
        let calls = 0..self.graveyards.len().max(CONCURRENCY);
        stream::iter(calls)
            .map(|call| self.receive(&self.graveyards[call % self.graveyards.len()], lease))
            .buffer_unordered(CONCURRENCY)
            .try_concat()
            .await
    }

    async fn release(&self, letters: &[Buried]) -> Result<(), StorageError> {
        let batches = self.batches(letters, |place, receipt| {
            ChangeMessageVisibilityBatchRequestEntry::builder().id(place).receipt_handle(receipt).visibility_timeout(0).build().ok()
        });
        let calls = batches.into_iter().map(|(url, batch)| {
            let call = self.client.get().change_message_visibility_batch().queue_url(url).set_entries(Some(batch));
            // One that is not shown now is shown when its lease ends.
            call.send().map_ok(drop).map_err(|error| failed(&Failure::of(&error)))
        });
        stream::iter(calls).buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn remove(&self, letters: &[Buried]) -> Result<(), StorageError> {
        let batches = self
            .batches(letters, |place, receipt| DeleteMessageBatchRequestEntry::builder().id(place).receipt_handle(receipt).build().ok());
        let calls = batches.into_iter().map(async |(url, batch)| {
            let call = self.client.get().delete_message_batch().queue_url(url).set_entries(Some(batch));
            let told = call.send().await.map_err(|error| failed(&Failure::of(&error)))?;
            told.failed().first().map_or(Ok(()), |left| Err(StorageError(format!("SQS: {}", left.code()))))
        });
        stream::iter(calls).buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn count(&self) -> Result<u64, StorageError> {
        let counts = [QueueAttributeName::ApproximateNumberOfMessages, QueueAttributeName::ApproximateNumberOfMessagesNotVisible];
        let mut total = 0;
        for Graveyard { url, .. } in &self.graveyards {
            let told = self.client.get().get_queue_attributes().queue_url(url).set_attribute_names(Some(counts.to_vec())).send().await;
            let told = told.map_err(|error| failed(&Failure::of(&error)))?.attributes.unwrap_or_default();
            total += counts.iter().filter_map(|name| told.get(name)?.parse::<u64>().ok()).sum::<u64>();
        }
        Ok(total)
    }
}

impl SqsDeadLetters {
    /// What calls of ten say of letters, each with the URL of the queue that they are on.
    fn batches<T>(&self, letters: &[Buried], entry: impl Fn(String, &str) -> Option<T>) -> Vec<(String, Vec<T>)> {
        let of = |graveyard: &Graveyard| {
            let receipts: Vec<&str> =
                letters.iter().filter_map(|letter| letter.receipt.strip_prefix(&graveyard.url)?.strip_prefix(' ')).collect();
            let entries =
                |batch: &[&str]| batch.iter().enumerate().filter_map(|(place, receipt)| entry(place.to_string(), receipt)).collect();
            receipts.chunks(BATCH).map(entries).collect::<Vec<Vec<T>>>()
        };
        self.graveyards.iter().flat_map(|graveyard| of(graveyard).into_iter().map(|batch| (graveyard.url.clone(), batch))).collect()
    }
}

/// A message as a letter, whose receipt tells the queue that it is on as well.
fn buried(message: Message, graveyard: &Graveyard) -> Option<Buried> {
    let sent = message.attributes.as_ref().and_then(|attributes| attributes.get(&MessageSystemAttributeName::SentTimestamp));
    let buried_at = Timestamp::from_millis(sent.and_then(|millis| millis.parse().ok()).unwrap_or_default());
    let attributes: BTreeMap<String, String> =
        message.message_attributes.into_iter().flatten().filter_map(|(name, value)| Some((name, value.string_value?))).collect();
    let body = message.body.unwrap_or_default();
    let encoded = attributes.get(ENCODING.0).is_some_and(|encoding| encoding == ENCODING.1);
    let decoded = encoded.then(|| STANDARD.decode(&body).ok().and_then(|bytes| String::from_utf8(bytes).ok())).flatten();
    Some(Buried {
        key: message.message_id?,
        receipt: format!("{} {}", graveyard.url, message.receipt_handle?),
        body: decoded.unwrap_or(body),
        buried_at,
        queue: DeadLetter::queue(&attributes).unwrap_or(&graveyard.of).to_owned(),
        letter: Epitaph::read(&attributes),
        attributes: DeadLetter::original(attributes),
    })
}

fn failed(failure: &Failure) -> StorageError {
    StorageError(format!("SQS: {failure}"))
}
