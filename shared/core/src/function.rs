use std::{future::Future, marker::PhantomData, time::Duration};

use futures_util::FutureExt;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Attempt, BoxFuture, DeliveryError, Envelope, ErrorKind, Handled, Json, Receipt, Run, Task, registry::attempt};

/// How long a function may take: what is left of a consumer's 30 seconds.
const TIMEOUT: Duration = Duration::from_secs(25);

/// A Rust function as a task.
pub(crate) struct Function<A, F> {
    pub(crate) function: F,
    pub(crate) arguments: PhantomData<fn() -> A>,
}

impl<A, R, F, Fut> Task for Function<A, F>
where
    A: DeserializeOwned + 'static,
    R: Serialize,
    F: Fn(A, Attempt) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, DeliveryError>> + Send + 'static,
{
    fn provider(&self) -> &'static str {
        crate::Target::FUNCTION
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn run<'a>(&'a self, run: Run<'a>) -> BoxFuture<'a, Handled> {
        let called =
            arguments(run.envelope).map(|arguments| (self.function)(arguments, attempt(run.envelope, run.envelope.id.clone(), run.number)));
        async move {
            Handled::One(match called {
                Ok(called) => called.await.and_then(|value| receipt(&value)),
                Err(error) => Err(error),
            })
        }
        .boxed()
    }
}

/// A function's arguments: the fields of a struct, by their names or, from `args`, in their order.
fn arguments<A: DeserializeOwned>(envelope: &Envelope) -> Result<A, DeliveryError> {
    let positional = envelope.args.as_deref().map(|args| args.get()).filter(|args| !args.trim_matches(['[', ']', ' ']).is_empty());
    let named = envelope.kwargs.as_deref().map(|kwargs| kwargs.get()).filter(|kwargs| !kwargs.trim_matches(['{', '}', ' ']).is_empty());
    let read = match (positional, named) {
        (Some(args), None) => serde_json::from_str(args),
        (None, named) => serde_json::from_str(named.unwrap_or("{}")),
        (Some(_), Some(_)) => {
            return Err(DeliveryError::new(ErrorKind::InvalidPayload, "/args: expected arguments in args or in kwargs, got both"));
        }
    };
    // What serde says repeats values, which may be personal.
    read.map_err(|error| {
        DeliveryError::new(ErrorKind::InvalidPayload, format!("/kwargs: not what this task takes (column {})", error.column()))
    })
}

fn receipt(value: &impl Serialize) -> Result<Receipt, DeliveryError> {
    serde_json::value::to_raw_value(value)
        .map(|value| Receipt(Json::from(value)))
        .map_err(|_| DeliveryError::new(ErrorKind::TaskFailed, "the return value cannot be written as JSON"))
}
