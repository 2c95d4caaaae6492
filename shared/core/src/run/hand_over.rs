//! Tasks that are handed to a transport, for others to do.

use std::{slice, sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde::Deserialize;

use crate::{BoxFuture, Context, DeliveryError, Destinations, DynTransport, Envelope, ErrorKind, Job, PublishError, Ran, Task, Work};

/// What a route says whose tasks are handed to a transport.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// The transport's name.
    pub transport: String,
    /// The `destination` of tasks that name none.
    pub destination: Option<String>,
}

impl HandOver {
    /// What is said of a route to what our own consumer works off.
    pub(super) fn is_home(&self) -> String {
        format!("{} is this deployment's own queue: name what is to do it, or leave the route out", self.transport)
    }

    /// Checks that the transport has the queue that the route names.
    pub(super) fn check(&self, destinations: &Destinations) -> Result<(), String> {
        match &self.destination {
            Some(named) if !destinations.has(named) => Err(format!("/destination: {}", destinations.unknown(&self.transport))),
            _ => Ok(()),
        }
    }
}

/// How long a transport may take for one envelope.
const LONGEST: Duration = Duration::from_secs(10);

/// A transport as what does tasks: they are done when it has taken them.
#[derive(Clone)]
pub(super) struct Elsewhere {
    alias: String,
    transport: Arc<dyn DynTransport>,
    destinations: Destinations,
    /// The one of them that a route names.
    destination: Option<String>,
    circuit: String,
}

impl Elsewhere {
    pub(super) fn new(alias: &str, transport: Arc<dyn DynTransport>, destinations: Destinations) -> Self {
        Self { alias: alias.to_owned(), transport, destinations, destination: None, circuit: format!("transport {alias}") }
    }

    /// The same for the tasks of a route.
    pub(super) fn of_route(&self, hand_over: &HandOver) -> Result<Self, String> {
        hand_over.check(&self.destinations)?;
        Ok(Self { destination: hand_over.destination.clone(), ..self.clone() })
    }

    /// The queue that an envelope is for there.
    fn destination<'a>(&'a self, envelope: &'a Envelope) -> Result<&'a str, DeliveryError> {
        let named = envelope.destination.as_deref().or(self.destination.as_deref());
        let destination = named.unwrap_or_else(|| self.destinations.nearest(&envelope.queue));
        let unknown = || DeliveryError::new(ErrorKind::Rejected, format!("the destination {}", self.destinations.unknown(&self.alias)));
        self.destinations.has(destination).then_some(destination).ok_or_else(unknown)
    }

    pub(super) fn transport(&self) -> &dyn DynTransport {
        &*self.transport
    }

    async fn hand_over(&self, envelope: &Envelope) -> Result<Ran, DeliveryError> {
        let destination = Some(self.destination(envelope)?.to_owned());
        // For our caller it ends here, and what is to follow on that is ours to do.
        let context = Context { follow_ups: false, ..envelope.context.clone() };
        let envelope = Envelope { backend: None, destination, callback_url: None, context, ..envelope.clone() };
        let sent = self.transport.publish(slice::from_ref(&envelope)).await.pop();
        match sent.unwrap_or_else(|| Err(PublishError::unanswered())) {
            Ok(published) => Ok(match self.transport.reads_results() {
                None => Ran::Done(published.value()),
                Some(within) => {
                    Ran::HandedOn { transport: self.alias.clone(), destination: envelope.destination, within, answer: published.value() }
                }
            }),
            Err(error) => Err(DeliveryError::new(error.kind(), format!("{}: {error}", self.alias))),
        }
    }
}

impl Task for Elsewhere {
    fn provider(&self) -> &'static str {
        "transport"
    }

    fn circuit(&self) -> &str {
        &self.circuit
    }

    fn timeout(&self) -> Duration {
        LONGEST
    }

    /// The arguments are for who runs it to read.
    fn read<'a>(&'a self, _: &Envelope) -> Result<Box<dyn Work + 'a>, DeliveryError> {
        Ok(Box::new(self))
    }
}

impl Work for &Elsewhere {
    fn run<'a>(self: Box<Self>, job: Job<'a>) -> BoxFuture<'a, Result<Ran, DeliveryError>>
    where
        Self: 'a,
    {
        async move { self.hand_over(job.envelope).await }.boxed()
    }
}
