use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;

use super::payload::Anything;
use crate::{Attempt, BoxFuture, DeliveryError, ErrorKind, Job, Payload, Provider, Ran, Receipt, Runner, Texts, tell_unread};

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
    /// Parses the payload and delivers it: one call.
    fn run<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Ran, DeliveryError>>;
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

    fn run<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Ran, DeliveryError>> {
        async move {
            if job.envelope.has_args() {
                tell_unread(&job.envelope.task, &["/args".to_owned()]);
            }
            let payload = P::Payload::from_message(&job.envelope.task, job.envelope.payload(), P::limits)
                .map_err(|problems| DeliveryError::new(ErrorKind::InvalidPayload, problems.under("/kwargs").to_string()))?;
            let Receipt(value) = self.deliver(payload, &Attempt::of(&job)).await?;
            Ok(Ran::Done(value))
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

    fn run<'a>(&'a self, job: Job<'a>) -> BoxFuture<'a, Result<Ran, DeliveryError>> {
        async move { self.runner.run(&self.route, &job).await }.boxed()
    }
}
