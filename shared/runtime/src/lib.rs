//! What the functions' mains share: logs, the clock, and the way from settings to a running function.

mod logs;

use std::{process::ExitCode, sync::Arc, time::Duration};

use errand_core::{BoxFuture, Clock, Environment, Init, Reader, SettingsError, Timestamp};
use errand_http::{References, aws};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

pub use logs::{hide_panics, start_logs, tell_strangers};

/// Tokio's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// When the invocation of an event ends.
#[must_use]
pub fn deadline<T>(event: &LambdaEvent<T>) -> Timestamp {
    Timestamp::from_millis(i64::try_from(event.context.deadline).unwrap_or(i64::MAX))
}

/// A function's whole `main`: reads the environment, builds the handler from it and runs it on the Lambda runtime until the execution
/// environment ends. `build` must do no I/O. Settings of `reader` that are [whole](Environment::whole_references) by reference are read before: the only I/O of an init, and
/// only where there are any.
///
/// A setting that is missing or wrong ends the process before its first invocation, with one line on standard error that names it.
pub fn serve<H, In, Out, Fut>(reader: Reader, build: impl FnOnce(&Environment) -> Result<H, SettingsError>) -> ExitCode
where
    H: Fn(LambdaEvent<In>) -> Fut + Clone + Send + Sync + 'static,
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
    Fut: Future<Output = Out> + Send + 'static,
{
    serve_raw(reader, |env| {
        let handler = build(env)?;
        Ok(move |event: LambdaEvent<Box<RawValue>>| {
            // The runtime's own reader notes the path to each value as it goes, which takes code and time for every field.
            let answer =
                serde_json::from_str(event.payload.get()).map(|payload| Box::pin(handler(LambdaEvent::new(payload, event.context))));
            async move { Ok(answer?.await) }
        })
    })
}

/// The same for a handler that is given the event's text, and may answer an error.
pub fn serve_raw<H, Out, Fut>(reader: Reader, build: impl FnOnce(&Environment) -> Result<H, SettingsError>) -> ExitCode
where
    H: Fn(LambdaEvent<Box<RawValue>>) -> Fut + Clone + Send + Sync + 'static,
    Out: Serialize + Send + 'static,
    Fut: Future<Output = Result<Out, Error>> + Send + 'static,
{
    let env: Environment = std::env::vars().collect();
    start_logs(&env);
    hide_panics();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return stop(&error),
    };
    let handler = match runtime.block_on(whole(env, reader)).and_then(|env| build(&env)) {
        Ok(handler) => handler,
        Err(error) => return stop(&error),
    };
    // On the heap: each layer of the runtime would move all of its state.
    let handler = move |event| Box::pin(handler(event));
    match runtime.block_on(lambda_runtime::run(service_fn(handler))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => stop(&error),
    }
}

/// The settings, those that are whole by reference with what they refer to.
async fn whole(env: Environment, reader: Reader) -> Result<Environment, SettingsError> {
    let env = env.with_more(reader)?;
    if env.whole_references(reader)?.is_empty() {
        return Ok(env);
    }
    let cx = Init::default().with(Arc::new(TokioClock) as Arc<dyn Clock>).with(aws::sdk_config(&env)?);
    References::new(&env, &cx)?.whole(&env, reader).await
}

#[expect(clippy::print_stderr, reason = "what stops a function is its last word, in any log format")]
fn stop(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("stopped: {error}");
    ExitCode::FAILURE
}
