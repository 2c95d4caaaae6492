//! Runs a batch of messages from SQS: decode, claim, deliver, answer.
//!
//! A consumer with providers of its own is a `main` of a few lines over this library:
//!
//! ```no_run
//! # use std::process::ExitCode;
//! # mod my { pub type Ship = console::Console; }
//! fn main() -> ExitCode {
//!     errand_consumer::serve(|registry, env, cx| {
//!         errand_consumer::providers(registry, env, cx)?; // those of this build's features
//!         registry.add::<my::Ship>(env, cx) // and ours
//!     })
//! }
//! ```

mod backends;
mod event;
mod function;
mod intake;
mod kept;
mod providers;

pub use backends::backends;
pub use function::Function;
pub use intake::Intake;
pub use providers::providers;

use std::{process::ExitCode, sync::Arc, time::Duration};

use errand_core::{
    Backends, Clock, Dispatch, Environment, Init, Invocation, Message, Queues, Reader, Registry, SettingsError, Timestamp,
    settings::all::{API_URL, AWS_LAMBDA_LOG_STREAM_NAME, MAX_ATTEMPTS, OUTCOME_UNKNOWN, RETENTION_SECONDS, RETRY_BASE_SECONDS},
};
use errand_engine::{Circuits, Engine, Log, Policy, Sequel, Unknown, Verdict};
use errand_http::{References, sns::Verifier};
use errand_runtime::TokioClock;
use errand_store_dynamodb::DynamoStore;
use errand_transport_sqs::{SqsQueue, SqsTransport};

use crate::backends::HOME;

/// A consumer's whole `main`; `providers` fills the registry.
pub fn serve(providers: impl FnOnce(&mut Registry, &Environment, &Init) -> Result<(), SettingsError>) -> ExitCode {
    serve_with(providers, self::backends)
}

/// The same with transports of one's own: `backends` adds the kinds that it has.
pub fn serve_with(
    providers: impl FnOnce(&mut Registry, &Environment, &Init) -> Result<(), SettingsError>,
    backends: impl FnOnce(&mut Backends<false>),
) -> ExitCode {
    errand_runtime::serve_raw(Reader::Consumer, |env| {
        let function = Arc::new(Function::with_backends(env, providers, backends)?);
        Ok(move |event| Arc::clone(&function).invoke(event))
    })
}

/// What takes messages, wherever they come from. Holds no state but what it has learnt: any number of batches may run at once.
pub struct Consumer {
    /// Reads the messages.
    pub intake: Intake,
    /// Does what they ask for.
    pub engine: Engine,
}

impl Consumer {
    /// A consumer of SQS with all that its settings and this build give it; `providers` fills the registry, and `backends` adds the kinds of transports.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn from_env(
        env: &Environment,
        providers: impl FnOnce(&mut Registry, &Environment, &Init) -> Result<(), SettingsError>,
        backends: impl FnOnce(&mut Backends<false>),
    ) -> Result<Self, SettingsError> {
        let sdk = errand_http::aws::sdk_config(env)?;
        let queue = Arc::new(SqsQueue::new(env, &sdk)?);
        let objects = kept::objects(env, &sdk);
        let objects_of_others = kept::foreign_objects(&sdk);
        let cx = Init::default().with(Invocation::from_env(env)?).with(errand_http::Client::new()).with(sdk).with(env.clone());
        let cx = cx.with(Queues::from_env(env)?).with(Arc::new(TokioClock) as Arc<dyn Clock>);
        let references = References::new(env, &cx)?;
        let cx = cx.with(references);
        let store = DynamoStore::from_env(env, &cx)?.map(|store| Arc::new(store) as _);
        let intake = Intake { objects: objects_of_others, verifier: Verifier::from_env(env, &cx)? };
        let dispatch = Dispatch::from_env(env, backends, HOME, &cx)?.with_objects(objects.clone());
        let forward = Arc::new(SqsTransport::own(&cx)?);
        let sequel = Sequel { follow_ups: errand_wire::celery::follow_ups, forward, results: kept::results(env, &cx)? };
        let worker = env.required(&AWS_LAMBDA_LOG_STREAM_NAME)?.to_owned();
        let registry = registry(env, &cx, &dispatch, providers)?;
        errand_runtime::tell_strangers(&env.strangers(Reader::Consumer, registry.settings(), &errand_payloads::providers()));
        let engine = Engine {
            registry,
            store,
            queue,
            objects,
            dispatch: Some(dispatch),
            sequel: Some(sequel),
            api_url: env.get(&API_URL).map(ToOwned::to_owned),
            clock: Arc::new(TokioClock),
            policy: policy(env)?,
            watchers: vec![Box::new(Log)],
            circuits: Circuits::default(),
            worker,
            backend: HOME.to_owned(),
        };
        Ok(Self { intake, engine })
    }

    /// Runs messages; answers those that must stay on the queue.
    pub async fn handle(&self, messages: Vec<Message>, deadline: Timestamp) -> Vec<Message> {
        let batch = self.intake.read(messages).await;
        let verdicts = self.engine.run(batch, deadline).await;
        verdicts.into_iter().filter(|(_, verdict)| *verdict == Verdict::Keep).map(|(message, _)| message).collect()
    }
}

/// The providers, filled in by `fill`, and the transports that tasks can be handed to; what is off for lack of settings is said once.
///
/// # Errors
/// A provider's setting is missing or wrong.
pub fn registry(
    env: &Environment,
    cx: &Init,
    dispatch: &Dispatch,
    fill: impl FnOnce(&mut Registry, &Environment, &Init) -> Result<(), SettingsError>,
) -> Result<Registry, SettingsError> {
    let mut registry = Registry::new(cx.invocation());
    fill(&mut registry, env, cx)?;
    registry.add_transports(dispatch);
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
    if let Some(seconds) = env.number(&RETRY_BASE_SECONDS)? {
        policy.retry_base = Duration::from_secs(seconds.into());
    }
    if let Some(count) = env.number(&MAX_ATTEMPTS)? {
        policy.max_attempts = count;
    }
    if let Some(seconds) = env.number(&RETENTION_SECONDS)? {
        policy.retention = Duration::from_secs(seconds.into());
    }
    policy.unknown = if env.word(&OUTCOME_UNKNOWN)? == "hold" { Unknown::Hold } else { Unknown::Retry };
    Ok(policy)
}
