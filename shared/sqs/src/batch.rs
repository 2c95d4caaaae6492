use aws_sdk_sqs::{Client, types::SendMessageBatchRequestEntry};
use errand_core::{Digest, Entry, Envelope, PublishError, Published, is_fifo};
use errand_http::aws::{Failure, throttled};

use crate::SERVICE;

/// The most messages of one call. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
pub const BATCH: usize = 10;

/// The message of this text that is sent by this [call](deduplication_id) for an envelope to the queue at `url`. It is not to be seen for so many seconds, at most 900, or for as
/// long as the queue says; on a FIFO queue a message has no delay of its own.
///
/// # Errors
/// No message can be made of it.
pub fn entry(
    url: &str,
    body: String,
    envelope: &Envelope,
    delay_seconds: Option<i32>,
    call: &str,
) -> Result<Entry<SendMessageBatchRequestEntry>, PublishError> {
    let (size, ordered) = (body.len(), is_fifo(url));
    let mut request = SendMessageBatchRequestEntry::builder().id("0").message_body(body);
    if ordered {
        // Order is kept within a group: who receives what comes early hides it.
        request = request
            .message_group_id(envelope.group.as_deref().unwrap_or("default"))
            .message_deduplication_id(deduplication_id(&envelope.id, call));
    } else {
        // On a standard queue a group is a tenant, for fair queues.
        request = request.set_message_group_id(envelope.group.clone()).set_delay_seconds(delay_seconds);
    }
    let message = request.build().map_err(|_| PublishError::Refused("no SQS message can be made of the task".to_owned()))?;
    Ok(Entry { to: url.to_owned(), size, ordered, message })
}

/// Makes one call that sends messages to the queue at `url`: its answers, each with the place of its message.
///
/// # Errors
/// The call failed, for all.
pub async fn send(
    client: &Client,
    url: &str,
    messages: &[&SendMessageBatchRequestEntry],
) -> Result<Vec<(usize, Result<Published, PublishError>)>, PublishError> {
    let mut entries: Vec<SendMessageBatchRequestEntry> = messages.iter().map(|message| (*message).clone()).collect();
    entries.iter_mut().enumerate().for_each(|(place, entry)| entry.id = place.to_string());
    let call = client.send_message_batch().queue_url(url).set_entries(Some(entries));
    let told = call.send().await.map_err(|error| Failure::of(&error).to_publish(SERVICE))?;
    let sent = told.successful().iter().map(|sent| (sent.id(), Ok(Published { message_id: Some(sent.message_id().to_owned()) })));
    let failed = told.failed().iter().map(|failed| {
        let why = format!("{SERVICE}: {}", failed.code());
        // A throttled key service counts as the sender's fault, and passes all the same.
        let passes = !failed.sender_fault() || throttled(failed.code());
        (failed.id(), Err(if passes { PublishError::Unavailable(why) } else { PublishError::Refused(why) }))
    });
    Ok(sent.chain(failed).filter_map(|(id, answer)| Some((id.parse().ok()?, answer))).collect())
}

/// What tells a message from the same one sent again by the same `call`. SQS drops what has one that it saw in the last five minutes: an id that is sent to our own queue
/// once more, since it was moved or is replayed, must not be dropped. That it is done once is the claim's work. Elsewhere nobody else sees to that, and there is one call.
#[must_use]
pub fn deduplication_id(id: &str, call: &str) -> String {
    Digest::of(format!("{id} {call}").as_bytes()).to_string()
}
