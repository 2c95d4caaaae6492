//! The consumer as a Lambda function: what it is invoked with, and what it answers.

use std::sync::Arc;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse};
use errand_core::{Backends, Environment, Init, Message, Queues, Registry, SettingsError, Timestamp};
use lambda_runtime::{Error, LambdaEvent};
use serde_json::value::RawValue;

use crate::{Consumer, event::Event};

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
        Self::with_backends(env, providers, crate::backends)
    }

    /// The same with transports of one's own: `backends` adds the kinds that it has.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn with_backends(
        env: &Environment,
        providers: impl FnOnce(&mut Registry, &Environment, &Init) -> Result<(), SettingsError>,
        backends: impl FnOnce(&mut Backends<false>),
    ) -> Result<Self, SettingsError> {
        Ok(Self { consumer: Consumer::from_env(env, providers, backends)?, queues: Queues::from_env(env)? })
    }

    /// Answers an invocation. For messages of SQS always with those that stay, never with an error, which would bring the whole batch back. For any other event with an
    /// error when it must come again, which Lambda sees to by its own rules.
    ///
    /// # Errors
    /// What it was invoked with without a queue is not done.
    pub async fn invoke(self: Arc<Self>, event: LambdaEvent<Box<RawValue>>) -> Result<SqsBatchResponse, Error> {
        let deadline = errand_runtime::deadline(&event);
        let Some(messages) = Event::read(event.payload.get()).map(|event| event.messages(&self.queues)) else {
            return self.invoke_directly(event.payload.get(), &event.context.request_id, deadline).await;
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

fn failure(message: Message) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = message.id;
    failure
}
