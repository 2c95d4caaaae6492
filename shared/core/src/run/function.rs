use std::{future::Future, marker::PhantomData, time::Duration};

use futures_util::FutureExt;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Attempt, BoxFuture, DeliveryError, Envelope, ErrorKind, Fields, Job, Json, Problems, Ran, Target, Task};

/// A Rust function as a task.
pub(crate) struct Function<A, F> {
    pub(crate) function: F,
    /// How long it may take.
    pub(crate) timeout: Duration,
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
        Target::FUNCTION
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn run<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Ran, DeliveryError>> {
        async move {
            let called = (self.function)(arguments(job.envelope)?, Attempt::of(&job));
            let value = serde_json::value::to_raw_value(&called.await?);
            value
                .map(|value| Ran::Done(Json::from(value)))
                .map_err(|_| DeliveryError::new(ErrorKind::TaskFailed, "the return value cannot be written as JSON"))
        }
        .boxed()
    }
}

/// A function's arguments: the fields of a struct, by their names or, from `args`, in their order.
fn arguments<A: DeserializeOwned>(envelope: &Envelope) -> Result<A, DeliveryError> {
    let positional = envelope.args.as_deref().map(|args| args.get()).filter(|_| envelope.has_args());
    let named = envelope.kwargs.as_deref().map(|kwargs| kwargs.get()).filter(|kwargs| !kwargs.trim_matches(['{', '}', ' ']).is_empty());
    let read = match (positional, named) {
        (Some(args), None) => Fields::value(args).map_err(|problems| problems.under("/args")),
        (None, named) => Fields::value(named.unwrap_or("{}")).map_err(|problems| problems.under("/kwargs")),
        (Some(_), Some(_)) => Err(Problems::at("/args", "expected arguments in args or in kwargs, got both")),
    };
    read.map_err(|problems| DeliveryError::new(ErrorKind::InvalidPayload, problems.to_string()))
}
