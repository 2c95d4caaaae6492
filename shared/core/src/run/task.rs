use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;

use super::payload::Anything;
use crate::{
    Attempt, BoxFuture, DeliveryError, Envelope, ErrorKind, Job, Json, Payload, Provider, Ran, Receipt, Runner, Texts, tell_unread,
};

/// A provider or a runner's route with its types erased: what the engine calls. It knows of one payload alone; bulks and lists are the engine's.
pub trait Task: Send + Sync {
    /// The provider's or runner's name.
    fn provider(&self) -> &'static str;
    /// What its circuit is kept under: what stops together has the same.
    fn circuit(&self) -> &str {
        self.provider()
    }
    /// How long one call may take at most.
    fn timeout(&self) -> Duration;
    /// [`Payload::text`] of what it takes.
    fn texts(&self) -> Texts {
        Anything::text
    }
    /// Whether a remote worker may be given it, who needs to know how to report.
    fn hands_over(&self) -> bool {
        false
    }
    /// Reads what an envelope asks for, without any input or output: this is done once, and before the envelope is claimed where its arguments are at hand.
    ///
    /// # Errors
    /// The payload is not what it takes.
    fn read<'a>(&'a self, envelope: &Envelope) -> Result<Box<dyn Work + 'a>, DeliveryError>;
}

/// A payload that was read, with what delivers it.
pub trait Work: Send + Sync {
    /// Its parts, where it has several that are delivered and fail by themselves.
    fn parts(&self) -> Option<&dyn Parts> {
        None
    }
    /// Delivers it whole: one call.
    fn run<'a>(self: Box<Self>, job: Job<'a>) -> BoxFuture<'a, Result<Ran, DeliveryError>>
    where
        Self: 'a;
}

/// The parts of a payload: the tokens of a push, the recipients of a text.
pub trait Parts: Send + Sync {
    /// How many there are: 2 or more.
    fn count(&self) -> usize;
    /// [`Provider::AT_ONCE`].
    fn at_once(&self) -> usize;
    /// [`Provider::TOGETHER`].
    fn together(&self) -> usize;
    /// Delivers some of them, by their places: one call. Answers for each, in the order in which they are named.
    fn deliver<'a>(&'a self, parts: &'a [usize], job: Job<'a>) -> BoxFuture<'a, Vec<Result<Json, DeliveryError>>>;
}

impl<P: Provider> Task for P {
    fn provider(&self) -> &'static str {
        P::NAME
    }

    fn timeout(&self) -> Duration {
        Provider::timeout(self)
    }

    fn texts(&self) -> Texts {
        P::Payload::text
    }

    fn read<'a>(&'a self, envelope: &Envelope) -> Result<Box<dyn Work + 'a>, DeliveryError> {
        if envelope.has_args() {
            tell_unread(&envelope.task, &["/args".to_owned()]);
        }
        let payload = P::Payload::from_message(&envelope.task, envelope.payload(), P::limits)
            .map_err(|problems| DeliveryError::new(ErrorKind::InvalidPayload, problems.under("/kwargs").to_string()))?;
        Ok(Box::new(Delivery { provider: self, payload }))
    }
}

/// A provider and what it is to deliver.
struct Delivery<'p, P: Provider> {
    provider: &'p P,
    payload: P::Payload,
}

impl<P: Provider> Work for Delivery<'_, P> {
    fn parts(&self) -> Option<&dyn Parts> {
        if P::parts(&self.payload) > 1 { Some(self) } else { None }
    }

    fn run<'a>(self: Box<Self>, job: Job<'a>) -> BoxFuture<'a, Result<Ran, DeliveryError>>
    where
        Self: 'a,
    {
        async move {
            let Receipt(value) = self.provider.deliver(self.payload, &Attempt::of(&job)).await?;
            Ok(Ran::Done(value))
        }
        .boxed()
    }
}

impl<P: Provider> Parts for Delivery<'_, P> {
    fn count(&self) -> usize {
        P::parts(&self.payload)
    }

    fn at_once(&self) -> usize {
        P::AT_ONCE
    }

    fn together(&self) -> usize {
        P::TOGETHER
    }

    fn deliver<'a>(&'a self, parts: &'a [usize], job: Job<'a>) -> BoxFuture<'a, Vec<Result<Json, DeliveryError>>> {
        async move {
            let answers = self.provider.deliver_parts(&self.payload, parts, &Attempt::of(&job)).await;
            answers.into_iter().map(|answer| answer.map(|Receipt(value)| value)).collect()
        }
        .boxed()
    }
}

/// A runner with what one route says.
pub(crate) struct Routed<R: Runner> {
    pub(crate) runner: Arc<R>,
    pub(crate) route: R::Route,
    /// The route as it was said: another place has a circuit of its own.
    pub(crate) circuit: String,
}

impl<R: Runner> Task for Routed<R> {
    fn provider(&self) -> &'static str {
        R::NAME
    }

    fn circuit(&self) -> &str {
        &self.circuit
    }

    fn timeout(&self) -> Duration {
        self.runner.timeout(&self.route)
    }

    fn hands_over(&self) -> bool {
        true
    }

    /// The arguments are for who runs it to read.
    fn read<'a>(&'a self, _: &Envelope) -> Result<Box<dyn Work + 'a>, DeliveryError> {
        Ok(Box::new(self))
    }
}

impl<R: Runner> Work for &Routed<R> {
    fn run<'a>(self: Box<Self>, job: Job<'a>) -> BoxFuture<'a, Result<Ran, DeliveryError>>
    where
        Self: 'a,
    {
        async move { self.runner.run(&self.route, &job).await }.boxed()
    }
}
