//! The one list of what a build contains, and the only `cfg`s: one feature and one call for each provider, transport and store.

use errand_core::{Environment, Init, Reader, Registry, Setting, SettingsError, Stranger};

#[cfg(feature = "payloads")]
use errand_core::Payloads;

#[cfg(any(feature = "sqs", feature = "scheduler", feature = "dynamodb"))]
use {errand_http::aws::SdkConfig, std::sync::Arc};

#[cfg(feature = "scheduler")]
pub use errand_transport_scheduler::EventBridgeScheduler;

/// Adds the providers and runners of this build.
///
/// # Errors
/// A provider's setting is missing or wrong.
pub fn providers(registry: &mut Registry, env: &Environment, cx: &Init) -> Result<(), SettingsError> {
    #[cfg(feature = "console")]
    registry.add::<errand_provider_console::Console>(env, cx)?;
    #[cfg(feature = "ses")]
    registry.add::<errand_provider_ses::Ses>(env, cx)?;
    #[cfg(feature = "slack")]
    registry.add::<errand_provider_slack::Slack>(env, cx)?;
    #[cfg(feature = "webhook")]
    registry.add::<errand_provider_webhook::Webhook>(env, cx)?;
    #[cfg(feature = "http")]
    registry.add_runner::<errand_provider_http::Http>(env, cx)?;
    // A server on one machine need not know AWS.
    #[cfg(feature = "lambda")]
    if cx.shared::<errand_http::aws::SdkConfig>().is_ok() {
        registry.add_runner::<errand_provider_lambda::Lambda>(env, cx)?;
    }
    let _ = (registry, env, cx);
    Ok(())
}

/// The providers and runners that a build may have.
const PROVIDERS: [&str; 6] = ["console", "http", "lambda", "ses", "slack", "webhook"];

/// The variables `ERRAND_…` that whoever starts does not read; `settings` are those of the providers and runners that it has.
#[must_use]
pub fn strangers(env: &Environment, reader: Reader, settings: &[Setting]) -> Vec<Stranger> {
    env.strangers(reader, settings, &PROVIDERS)
}

/// The tasks that can be called, with every provider's payload type and without the providers.
#[cfg(feature = "payloads")]
#[must_use]
pub fn payloads() -> Payloads {
    Payloads::default()
        .with::<errand_provider_console::Line>("console", errand_provider_console::TASKS)
        .with::<errand_provider_ses::Email>("ses", errand_provider_ses::TASKS)
        .with::<errand_provider_slack::Message>("slack", errand_provider_slack::TASKS)
        .with::<errand_provider_webhook::Call>("webhook", &["webhook"])
}

/// The transport to SQS.
///
/// # Errors
/// A setting is missing or wrong.
#[cfg(feature = "sqs")]
pub fn sqs(env: &Environment, sdk: &SdkConfig) -> Result<errand_transport_sqs::SqsTransport, SettingsError> {
    errand_transport_sqs::SqsTransport::new(env, sdk, errand_wire::encode)
}

/// Where Celery's clients look for results, if `ERRAND_CELERY_RESULT_BACKEND` says.
///
/// # Errors
/// The setting is wrong, or this build has no result backend.
#[cfg(feature = "sqs")]
pub fn result_backend(env: &Environment) -> Result<Option<Arc<dyn errand_core::DynResultBackend>>, SettingsError> {
    #[cfg(feature = "celery-results")]
    return Ok(errand_result_redis::Redis::from_env(env)?.map(|redis| Arc::new(redis) as _));
    #[cfg(not(feature = "celery-results"))]
    use errand_core::settings::all::CELERY_RESULT_BACKEND;
    #[cfg(not(feature = "celery-results"))]
    match env.get(&CELERY_RESULT_BACKEND) {
        None => Ok(None),
        Some(_) => Err(SettingsError::invalid(CELERY_RESULT_BACKEND.name, "build with the feature celery-results")),
    }
}

/// What reads the objects that others' messages point to, if this build can.
#[cfg(feature = "sqs")]
#[must_use]
pub fn foreign_objects(sdk: &SdkConfig) -> Option<Arc<dyn errand_core::DynForeignObjects>> {
    #[cfg(feature = "claim-check")]
    return Some(Arc::new(errand_object_s3::S3ForeignObjects::new(sdk)));
    #[cfg(not(feature = "claim-check"))]
    {
        let _ = sdk;
        None
    }
}

/// What runs schedules; `None` when its settings are not there.
///
/// # Errors
/// Some of its settings are there but not all, or one is wrong.
#[cfg(feature = "scheduler")]
pub fn scheduler(env: &Environment, sdk: &SdkConfig) -> Result<Option<Arc<EventBridgeScheduler>>, SettingsError> {
    use errand_core::settings::all::{QUEUE_ARN, SCHEDULER_GROUP, SCHEDULER_ROLE_ARN};
    if [QUEUE_ARN, SCHEDULER_ROLE_ARN, SCHEDULER_GROUP].iter().all(|setting| !env.has(setting)) {
        return Ok(None);
    }
    Ok(Some(Arc::new(EventBridgeScheduler::new(env, sdk, errand_wire::encode, errand_wire::native::decode)?)))
}

/// Where arguments go that no queue can carry, if `ERRAND_BUCKET` names it and this build can.
#[cfg(any(feature = "sqs", feature = "scheduler"))]
#[must_use]
pub fn objects(env: &Environment, sdk: &SdkConfig) -> Option<Arc<dyn errand_core::DynObjects>> {
    #[cfg(feature = "claim-check")]
    if let Some(bucket) = env.get(&errand_core::settings::all::BUCKET) {
        return Some(Arc::new(errand_object_s3::S3Objects::new(sdk, bucket)));
    }
    let _ = (env, sdk);
    None
}

/// The dead-letter queues, if `ERRAND_DEAD_LETTER_URL` or `ERRAND_QUEUES` name any.
///
/// # Errors
/// A setting is missing or wrong.
#[cfg(feature = "sqs")]
pub fn dead_letters(env: &Environment, sdk: &SdkConfig) -> Result<Option<Arc<dyn errand_core::DynDeadLetters>>, SettingsError> {
    Ok(errand_transport_sqs::SqsDeadLetters::from_env(env, sdk)?.map(|letters| Arc::new(letters) as _))
}

/// The queue that a consumer's messages come from.
///
/// # Errors
/// One of its settings is missing or wrong.
#[cfg(feature = "sqs")]
pub fn queue(env: &Environment, sdk: &SdkConfig) -> Result<Arc<dyn errand_core::DynQueue>, SettingsError> {
    Ok(Arc::new(errand_transport_sqs::SqsQueue::new(env, sdk)?))
}

/// The store that `ERRAND_TABLE` names, if it is set.
#[cfg(feature = "dynamodb")]
#[must_use]
pub fn store(env: &Environment, sdk: &SdkConfig) -> Option<errand_store_dynamodb::DynamoStore> {
    Some(errand_store_dynamodb::DynamoStore::new(sdk, env.get(&errand_core::settings::all::TABLE)?))
}
