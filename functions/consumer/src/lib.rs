//! Runs a batch of messages from SQS: decode, claim, deliver, answer.
//!
//! A consumer with providers of its own is a `main` of a few lines over this library:
//!
//! ```no_run
//! # use std::process::ExitCode;
//! # mod my { pub type Ship = errand_provider_console::Console; }
//! fn main() -> ExitCode {
//!     errand_consumer::serve(|registry, env, cx| {
//!         errand_catalog::providers(registry, env, cx)?; // those of this build's features
//!         registry.add::<my::Ship>(env, cx) // and ours
//!     })
//! }
//! ```

use std::{process::ExitCode, sync::Arc, time::Duration};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use errand_core::{Environment, Init, Message, Outbox, Registry, SettingsError, Timestamp};
use errand_engine::{Circuits, Engine, Policy, Record, Unknown, Verdict};
use errand_runtime::TokioClock;
use lambda_runtime::LambdaEvent;

/// A consumer's whole `main`; `providers` fills the registry.
pub fn serve(providers: impl FnOnce(&mut Registry, &Environment, &Init) -> Result<(), SettingsError>) -> ExitCode {
    errand_runtime::serve(|env| {
        let consumer = Arc::new(Consumer::from_env(env, providers)?);
        Ok(move |event| Arc::clone(&consumer).invoke(event))
    })
}

/// The function. Holds no state: any number of batches may run at once.
pub struct Consumer {
    /// Takes the batches.
    pub engine: Engine,
}

impl Consumer {
    /// The function with all that its settings and this build give it.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn from_env(
        env: &Environment,
        providers: impl FnOnce(&mut Registry, &Environment, &Init) -> Result<(), SettingsError>,
    ) -> Result<Self, SettingsError> {
        let sdk = errand_http::aws::sdk_config(env)?;
        let queue = errand_catalog::queue(env, &sdk)?;
        let store = errand_catalog::store(env, &sdk).map(|store| Arc::new(store) as _);
        let objects = errand_catalog::objects(env, &sdk);
        let outbox = Outbox { soon: errand_catalog::soon(env, &sdk)?, late: None, objects: objects.clone() };
        let cx = Init::default().with(errand_http::Client::new()).with(sdk);
        let worker = env.get("AWS_LAMBDA_LOG_STREAM_NAME").unwrap_or("local").to_owned();
        let engine = Engine {
            registry: registry(env, &cx, providers)?,
            store,
            queue,
            objects,
            outbox: Some(outbox),
            api_url: env.get("ERRAND_API_URL").map(ToOwned::to_owned),
            clock: Arc::new(TokioClock),
            policy: policy(env)?,
            circuits: Circuits::default(),
            worker,
            backend: "sqs".to_owned(),
        };
        Ok(Self { engine })
    }

    /// Answers an invocation: always with the messages that stay, never with an error, which would bring the whole batch back.
    pub async fn invoke(self: Arc<Self>, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
        let deadline = errand_runtime::deadline(&event);
        let messages = event.payload.records.into_iter().filter_map(message).collect();
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = self.handle(messages, deadline).await.into_iter().map(failure).collect();
        response
    }

    /// Runs messages; answers those that must stay on the queue.
    pub async fn handle(&self, messages: Vec<Message>, deadline: Timestamp) -> Vec<Message> {
        let records =
            messages.into_iter().map(|message| Record { work: errand_wire::decode(&message.body, &message.id), message }).collect();
        let verdicts = self.engine.run(records, deadline).await;
        verdicts.into_iter().filter(|(_, verdict)| *verdict == Verdict::Keep).map(|(message, _)| message).collect()
    }
}

/// The providers, filled in by `fill`; what is off for lack of settings is said once.
///
/// # Errors
/// A provider's setting is missing or wrong.
pub fn registry(
    env: &Environment,
    cx: &Init,
    fill: impl FnOnce(&mut Registry, &Environment, &Init) -> Result<(), SettingsError>,
) -> Result<Registry, SettingsError> {
    let mut registry = Registry::default();
    fill(&mut registry, env, cx)?;
    registry.read_routes(env)?;
    for (task, missing) in registry.off() {
        tracing::info!(task, setting = missing.name, "off: the setting is not there");
    }
    Ok(registry)
}

/// How patient the engine is, by `ERRAND_RETRY_BASE_SECONDS`, `ERRAND_MAX_ATTEMPTS`, `ERRAND_RETENTION_SECONDS` and `ERRAND_OUTCOME_UNKNOWN`.
///
/// # Errors
/// One of them is wrong.
pub fn policy(env: &Environment) -> Result<Policy, SettingsError> {
    let mut policy = Policy::default();
    if let Some(seconds) = env.number("ERRAND_RETRY_BASE_SECONDS", 1..=3600)? {
        policy.retry_base = Duration::from_secs(seconds.into());
    }
    if let Some(count) = env.number("ERRAND_MAX_ATTEMPTS", 1..=errand_wire::native::MAX_ATTEMPTS)? {
        policy.max_attempts = count;
    }
    if let Some(seconds) = env.number("ERRAND_RETENTION_SECONDS", 60..=1_209_600)? {
        policy.retention = Duration::from_secs(seconds.into());
    }
    policy.unknown = match env.get("ERRAND_OUTCOME_UNKNOWN") {
        None | Some("retry") => Unknown::Retry,
        Some("hold") => Unknown::Hold,
        Some(_) => return Err(SettingsError::invalid("ERRAND_OUTCOME_UNKNOWN", "expected retry or hold")),
    };
    Ok(policy)
}

/// A message of an SQS event. One without an id, which SQS never sends, could not be answered.
fn message(record: SqsMessage) -> Option<Message> {
    let source = record.event_source_arn.unwrap_or_default();
    let attribute = |name| record.attributes.get(name).map(String::as_str);
    // A group on a standard queue names a tenant and asks for no order.
    let lane = attribute("MessageGroupId").filter(|_| source.ends_with(".fifo")).map(ToOwned::to_owned);
    let receive_count = attribute("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1);
    let id = record.message_id.filter(|id| !id.is_empty())?;
    Some(Message {
        id,
        receipt: record.receipt_handle.unwrap_or_default(),
        body: record.body.unwrap_or_default(),
        receive_count,
        sent_at: attribute("SentTimestamp").and_then(|millis| millis.parse().ok()).map(Timestamp::from_millis),
        source,
        lane,
    })
}

fn failure(message: Message) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = message.id;
    failure
}
