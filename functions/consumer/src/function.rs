//! The consumer as a Lambda function: what it is invoked with, and what it answers.

use std::{collections::BTreeMap, sync::Arc};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage, SqsMessageAttribute};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{DeadLetter, Environment, Init, Message, Queues, Registry, SettingsError, Timestamp};
use lambda_runtime::{Error, LambdaEvent};
use serde_json::value::RawValue;

use crate::Consumer;

/// The function. Holds no state but what it has learnt: any number of invocations may run at once.
pub struct Function {
    /// Runs what it is invoked with.
    pub consumer: Consumer,
    queues: Queues,
}

impl Function {
    /// The function with all that its settings and this build give it.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn from_env(
        env: &Environment,
        providers: impl FnOnce(&mut Registry, &Environment, &Init) -> Result<(), SettingsError>,
    ) -> Result<Self, SettingsError> {
        Ok(Self { consumer: Consumer::from_env(env, providers)?, queues: Queues::from_env(env)? })
    }

    /// Answers an invocation. For messages of SQS always with those that stay, never with an error, which would bring the whole batch back. For any other event with an
    /// error when it must come again, which Lambda sees to by its own rules.
    ///
    /// # Errors
    /// What it was invoked with without a queue is not done.
    pub async fn invoke(self: Arc<Self>, event: LambdaEvent<Box<RawValue>>) -> Result<SqsBatchResponse, Error> {
        let deadline = errand_runtime::deadline(&event);
        let messages = match serde_json::from_str::<SqsEvent>(event.payload.get()) {
            Ok(event) if event.records.iter().all(is_of_sqs) => {
                event.records.into_iter().filter_map(|record| message(record, &self.queues)).collect()
            }
            _ => return self.invoke_directly(event.payload.get(), &event.context.request_id, deadline).await,
        };
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = self.consumer.handle(messages, deadline).await.into_iter().map(failure).collect();
        Ok(response)
    }

    async fn invoke_directly(&self, event: &str, id: &str, deadline: Timestamp) -> Result<SqsBatchResponse, Error> {
        let kept = self.consumer.handle(errand_wire::lambda::messages(event, id), deadline).await;
        if kept.is_empty() { Ok(SqsBatchResponse::default()) } else { Err("not done: to be invoked again".into()) }
    }
}

fn is_of_sqs(record: &SqsMessage) -> bool {
    record.receipt_handle.is_some() && record.event_source.as_deref().is_none_or(|source| source == "aws:sqs")
}

/// A message of an SQS event. One without an id, which SQS never sends, could not be answered.
fn message(record: SqsMessage, queues: &Queues) -> Option<Message> {
    let source = record.event_source_arn.unwrap_or_default();
    let attribute = |name| record.attributes.get(name).map(String::as_str);
    // A group on a standard queue names a tenant and asks for no order.
    let lane = attribute("MessageGroupId").filter(|_| source.ends_with(".fifo")).map(ToOwned::to_owned);
    let receive_count = attribute("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1);
    let sent_at = attribute("SentTimestamp").and_then(|millis| millis.parse().ok()).map(Timestamp::from_millis);
    let id = record.message_id.filter(|id| !id.is_empty())?;
    let attributes: BTreeMap<String, String> =
        record.message_attributes.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect();
    Some(Message {
        id,
        receipt: record.receipt_handle.unwrap_or_default(),
        body: record.body.unwrap_or_default(),
        attributes: DeadLetter::original(attributes),
        receive_count,
        sent_at,
        queue: queues.name_of_arn(&source).to_owned(),
        lane,
    })
}

/// An attribute's value; bytes as base64.
fn text(attribute: SqsMessageAttribute) -> Option<String> {
    attribute.string_value.or_else(|| attribute.binary_value.map(|bytes| STANDARD.encode(&bytes[..])))
}

fn failure(message: Message) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = message.id;
    failure
}
