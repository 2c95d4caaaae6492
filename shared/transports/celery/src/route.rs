use errand_core::{Envelope, Fields, FollowUps, Problems, PublishError, Timestamp};
use errand_wire::celery::Publication;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::options::{Scheme, is_name};

/// The highest priority on Redis and for kombu; on RabbitMQ a queue says it.
const HIGHEST: u8 = 9;

/// Which way a task goes.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) scheme: Scheme,
    /// Empty for the one that leads to each queue by its name.
    pub(crate) exchange: String,
    /// The queue's name, unless there is an exchange.
    pub(crate) routing_key: String,
    pub(crate) priority: u8,
    /// Those of the options, and those that the task says itself.
    pub(crate) headers: [Option<Box<RawValue>>; 2],
}

/// What a task says of it, in its `context` under the alias' name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    exchange: Option<String>,
    routing_key: Option<String>,
    priority: Option<u8>,
    headers: Option<Box<RawValue>>,
}

impl Route {
    /// The way of this task.
    pub(crate) fn of(&self, alias: &str, envelope: &Envelope) -> Result<Self, PublishError> {
        let queue = envelope.destination.as_ref().unwrap_or(&envelope.queue);
        let said = said(alias, envelope)?;
        let mut route = self.clone();
        if let Some(Said { exchange, routing_key, priority, headers }) = said {
            route.exchange = exchange.unwrap_or(route.exchange);
            route.routing_key = routing_key.unwrap_or(route.routing_key);
            route.priority = priority.unwrap_or(route.priority);
            route.headers[1] = headers;
            route.check().map_err(|problems| refused(alias, &problems))?;
        }
        if route.routing_key.is_empty() {
            queue.clone_into(&mut route.routing_key);
        }
        Ok(route)
    }

    /// Whether there can be such a way.
    pub(crate) fn check(&self) -> Result<(), Problems> {
        for (name, text) in [("/exchange", &self.exchange), ("/routing_key", &self.routing_key)] {
            if !is_name(text) {
                return Err(Problems::at(name, "expected up to 255 bytes without control characters"));
            }
        }
        if self.scheme == Scheme::Sqs && !self.exchange.is_empty() {
            return Err(Problems::at("/exchange", "expected none: SQS has queues alone"));
        }
        if self.exchange.is_empty() && !self.routing_key.is_empty() {
            return Err(Problems::at("/routing_key", "needs an exchange: without one, a task goes to its queue"));
        }
        if self.priority > HIGHEST && self.scheme != Scheme::Amqp {
            return Err(Problems::at("/priority", format!("expected a number from 0 to {HIGHEST}")));
        }
        if self.headers.iter().flatten().any(|headers| !headers.get().starts_with('{')) {
            return Err(Problems::at("/headers", "expected an object"));
        }
        Ok(())
    }

    pub(crate) fn publication(&self, expires: Option<Timestamp>) -> Publication<'_> {
        let Self { exchange, routing_key, priority, headers: [usual, own], .. } = self;
        Publication { exchange, routing_key, priority: *priority, headers: [usual.as_deref(), own.as_deref()], expires }
    }
}

/// What a task says, unless the alias has the name of what a message of Celery itself said.
fn said(alias: &str, envelope: &Envelope) -> Result<Option<Said>, PublishError> {
    let Some(context) = envelope.context.json.as_deref().filter(|_| alias != FollowUps::CONTEXT) else { return Ok(None) };
    let entries = Fields::of(context.get()).map(Fields::into_entries).unwrap_or_default();
    let Some((_, said)) = entries.into_iter().find(|(name, json)| name == alias && json.get() != "null") else { return Ok(None) };
    Fields::value(said.get()).map(Some).map_err(|problems| refused(alias, &problems))
}

fn refused(alias: &str, problems: &Problems) -> PublishError {
    PublishError::Refused(format!("context/{alias}: {problems}"))
}
