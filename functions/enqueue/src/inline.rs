//! Tasks that are run before their call is answered, by the providers of the consumer's build.

use std::sync::Arc;

use errand_core::{
    Dispatch, DynClaims, Environment, Init, Invocation, NotInline, SettingsError, backends_of,
    settings::all::{AWS_LAMBDA_LOG_STREAM_NAME, TABLE},
};
use errand_inline::Inline;

/// Has an enqueue function's tasks run by an engine of its own, where `ERRAND_TRANSPORTS` names such an alias: with the providers of the consumer's build.
///
/// # Errors
/// A setting is missing or wrong.
pub(crate) fn begin(env: &Environment, cx: Init, dispatch: &Dispatch, store: Option<Arc<dyn DynClaims>>) -> Result<(), SettingsError> {
    if !backends_of(env)?.iter().any(|kind| kind == NotInline::KIND) {
        return Ok(());
    }
    // What became of a task is told by its record.
    env.required(&TABLE)?;
    let (inline, invocation) = (cx.shared::<Inline>()?.clone(), Invocation::from_env(env)?);
    let cx = cx.with(invocation).with(errand_http::Client::new());
    let registry = errand_consumer::registry(env, &cx, dispatch, errand_consumer::providers)?;
    let worker = env.required(&AWS_LAMBDA_LOG_STREAM_NAME)?;
    let engine = Inline::engine(registry, store, dispatch, errand_consumer::policy(env)?, worker, cx.clock()?);
    inline.run_by(engine, invocation.length());
    Ok(())
}
