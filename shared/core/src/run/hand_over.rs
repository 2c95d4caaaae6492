//! Tasks that are handed to a transport, for others to do.

use std::{slice, sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde::Deserialize;

use crate::{BoxFuture, Context, DeliveryError, DynTransport, Envelope, ErrorKind, Job, PublishError, Published, Ran, Receipt, Task, Work};

/// What a route says whose tasks are handed to a transport.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// The transport's name.
    pub transport: String,
    /// The `destination` of tasks that name none.
    pub destination: Option<String>,
}

/// How long a transport may take for one envelope.
const LONGEST: Duration = Duration::from_secs(10);

/// A transport as what does tasks: they are done when it has taken them.
#[derive(Clone)]
pub(super) struct Elsewhere {
    transport: Arc<dyn DynTransport>,
    destination: Option<String>,
    circuit: String,
}

impl Elsewhere {
    pub(super) fn new(alias: &str, transport: Arc<dyn DynTransport>) -> Self {
        Self { transport, destination: None, circuit: format!("transport {alias}") }
    }

    pub(super) fn with_destination(&self, destination: Option<String>) -> Self {
        Self { destination, ..self.clone() }
    }

    async fn hand_over(&self, envelope: &Envelope) -> Result<Ran, DeliveryError> {
        let destination = envelope.destination.clone().or_else(|| self.destination.clone());
        if destination.is_some() && !self.transport.limits().destinations {
            return Err(DeliveryError::new(ErrorKind::Rejected, "the transport takes no destination"));
        }
        // For our caller it ends here, and what is to follow on that is ours to do.
        let context = Context { follow_ups: false, ..envelope.context.clone() };
        let envelope = Envelope { backend: None, destination, callback_url: None, context, ..envelope.clone() };
        let sent = self.transport.publish(slice::from_ref(&envelope)).await.pop();
        match sent.unwrap_or_else(|| Err(PublishError::unanswered())) {
            Ok(Published { message_id }) => Ok(Ran::Done(message_id.map(|id| Receipt::message_id(&id).0).unwrap_or_default())),
            Err(error) => Err(DeliveryError::new(error.kind(), error.to_string())),
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
