use std::{future::Future, marker::PhantomData, time::Duration};

use futures_util::FutureExt;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Attempt, BoxFuture, DeliveryError, Envelope, ErrorKind, Fields, Job, Json, Problems, Ran, Target, Task, Work};

/// A Rust function as a task.
pub(crate) struct Function<A, F> {
    pub(crate) function: F,
    /// How long it may take.
    pub(crate) timeout: Duration,
    pub(crate) arguments: PhantomData<fn() -> A>,
}

impl<A, R, F, Fut> Task for Function<A, F>
where
    A: DeserializeOwned + Send + Sync + 'static,
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

    fn read<'a>(&'a self, envelope: &Envelope) -> Result<Box<dyn Work + 'a>, DeliveryError> {
        Ok(Box::new(Call { function: &self.function, arguments: arguments(envelope)? }))
    }
}

/// A function and what it is called with.
struct Call<'f, A, F> {
    function: &'f F,
    arguments: A,
}

impl<A, R, F, Fut> Work for Call<'_, A, F>
where
    A: Send + Sync,
    R: Serialize,
    F: Fn(A, Attempt) -> Fut + Send + Sync,
    Fut: Future<Output = Result<R, DeliveryError>> + Send,
{
    fn run<'a>(self: Box<Self>, job: Job<'a>) -> BoxFuture<'a, Result<Ran, DeliveryError>>
    where
        Self: 'a,
    {
        async move {
            let Self { function, arguments } = *self;
            let value = serde_json::value::to_raw_value(&function(arguments, Attempt::of(&job)).await?);
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
