use std::time::Duration;

use aws_sdk_sqs::types::MessageAttributeValue;
use errand_core::{
    Address, DeadLetter, Environment, Message, Queue, Queues, SettingsError, StorageError, is_fifo, settings::all::DEAD_LETTER_URL,
};
use errand_http::aws::{Failure, SdkConfig};
use errand_sqs::LazyClient;

use crate::bury::Burial;

/// The queues that a consumer's messages come from, and their dead-letter queues.
pub struct SqsQueue {
    client: LazyClient,
    queues: Queues,
}

impl SqsQueue {
    /// The queues of the settings. Without `ERRAND_DEAD_LETTER_URL` there would be messages that can go nowhere.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn new(env: &Environment, sdk: &SdkConfig) -> Result<Self, SettingsError> {
        env.required(&DEAD_LETTER_URL)?;
        Ok(Self { client: LazyClient::new(sdk, None), queues: Queues::from_env(env)? })
    }

    /// Where the queue is that a message came from.
    fn address(&self, message: &Message) -> Result<&Address, StorageError> {
        self.queues.named(&message.queue).map_err(|error| StorageError(error.to_string()))
    }
}

impl Queue for SqsQueue {
    async fn hide(&self, message: &Message, duration: Duration) -> Result<(), StorageError> {
        let seconds = i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let call = self.client.get().change_message_visibility().queue_url(&self.address(message)?.url).receipt_handle(&message.receipt);
        call.visibility_timeout(seconds).send().await.map(drop).map_err(|error| StorageError(format!("SQS: {}", Failure::of(&error))))
    }

    async fn bury(&self, message: &Message, letter: &DeadLetter) -> Result<(), StorageError> {
        let url = self.address(message)?.dead_letter_url.as_deref().unwrap_or_default();
        let Burial { body, attributes } = Burial::of(message, letter);
        let mut call = self.client.get().send_message().queue_url(url).message_body(body);
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            call = call
                .message_attributes(name, value.map_err(|_| StorageError("an attribute of the dead letter cannot be written".to_owned()))?);
        }
        if is_fifo(url) {
            call = call.message_group_id(message.lane.as_deref().unwrap_or("default")).message_deduplication_id(&message.id);
        }
        call.send().await.map(drop).map_err(|error| StorageError(format!("SQS: {}", Failure::of(&error))))
    }
}
