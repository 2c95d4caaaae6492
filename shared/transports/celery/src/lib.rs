//! Celery: hands tasks to its workers, as messages of its protocol 2, by the brokers that they listen to: Redis, SQS, and RabbitMQ (feature `amqp`). What a worker has made of
//! a task is read back from Celery's result backend on Redis.

#[cfg(feature = "amqp")]
mod amqp;
mod options;
mod redis;
mod results;
mod route;
mod sqs;

use std::{borrow::Cow, iter::zip, sync::Arc, time::Duration};

use errand_core::{
    Batching as _, Clock, Envelope, Init, OBJECT_LIMIT, OptionError, PublishError, Published, Timestamp, Transport, TransportLimits,
    WorkerResult,
};
use errand_wire::{Format, celery, django_notifs};

pub use options::Options;
use options::Scheme;
use results::Results;
use route::Route;

/// Hands tasks to Celery's workers.
pub struct Celery {
    alias: String,
    broker: Broker,
    /// How a task is told.
    format: Format,
    /// Where a task goes that does not say so itself.
    usual: Route,
    /// After how long a task is not to be run, where it does not say so itself.
    expires: Option<Duration>,
    /// The longest delay that is left to the workers.
    eta: Duration,
    results: Option<Results>,
    clock: Arc<dyn Clock>,
}

enum Broker {
    Redis(Box<redis::Redis>),
    Sqs(sqs::Sqs),
    #[cfg(feature = "amqp")]
    Amqp(Box<amqp::Amqp>),
}

/// What a worker is to be told, and which way.
struct Order<'a> {
    envelope: Cow<'a, Envelope>,
    route: Route,
}

/// A task that is ready to be sent.
struct Task<'a> {
    route: &'a Route,
    message: celery::Published<'a>,
}

type Answer = Result<Published, PublishError>;

/// What is ready to be sent, and the answers for all that was to be: of what is sent, they are known later.
struct Ready<'a> {
    answers: Vec<Answer>,
    /// Whose answer each task's is.
    places: Vec<usize>,
    tasks: Vec<Task<'a>>,
}

impl Ready<'_> {
    fn answered(mut self, sent: Vec<Answer>) -> Vec<Answer> {
        for (place, answer) in zip(self.places, sent) {
            self.answers[place] = answer;
        }
        self.answers
    }
}

impl Transport for Celery {
    const BACKEND: &'static str = "celery";
    type Options = Options;

    fn new(alias: &str, options: Options, cx: &Init) -> Result<Self, OptionError> {
        let scheme = options.scheme()?;
        let (format, usual) = (options.format()?, options.route(scheme)?);
        let (expires, eta) = (options.expires(), options.eta(scheme)?);
        let results = Results::of(&options, cx)?;
        let broker = match scheme {
            Scheme::Redis => Broker::Redis(Box::new(redis::Redis::new(&options, cx)?)),
            Scheme::Sqs => Broker::Sqs(sqs::Sqs::new(&options, cx)?),
            #[cfg(feature = "amqp")]
            Scheme::Amqp => Broker::Amqp(Box::new(amqp::Amqp::new(&options, cx)?)),
            #[cfg(not(feature = "amqp"))]
            Scheme::Amqp => {
                return Err(errand_core::Problems::at(
                    "/broker_url",
                    "names RabbitMQ, and this build has no client for it: build with the feature transport-celery-amqp",
                )
                .into());
            }
        };
        Ok(Self { alias: alias.to_owned(), broker, format, usual, expires, eta, results, clock: cx.clock()? })
    }

    fn limits(&self) -> TransportLimits {
        let bytes = match &self.broker {
            Broker::Sqs(_) => sqs::LIMIT,
            _ => OBJECT_LIMIT,
        };
        TransportLimits { delay: self.eta, bytes }
    }

    fn takes(&self, destination: &str) -> Result<(), String> {
        match &self.broker {
            Broker::Sqs(sqs) => sqs.url(destination).map(drop).map_err(|error| error.to_string()),
            _ if !options::is_name(destination) => Err("a queue's name has up to 255 bytes".to_owned()),
            _ => Ok(()),
        }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Answer> {
        let orders = || envelopes.iter().map(|envelope| self.order(envelope)).collect::<Vec<_>>();
        match &self.broker {
            Broker::Sqs(sqs) => sqs::Outgoing { celery: self, sqs }.publish_all(envelopes).await,
            Broker::Redis(redis) => {
                let orders = orders();
                let ready = self.ready(&orders);
                let sent = redis.send(&ready.tasks).await;
                ready.answered(sent)
            }
            #[cfg(feature = "amqp")]
            Broker::Amqp(amqp) => {
                let orders = orders();
                let ready = self.ready(&orders);
                let sent = amqp.send(&ready.tasks).await;
                ready.answered(sent)
            }
        }
    }

    async fn check(&self) -> Result<(), PublishError> {
        match &self.broker {
            Broker::Redis(redis) => redis.check().await,
            Broker::Sqs(sqs) => sqs.check().await,
            #[cfg(feature = "amqp")]
            Broker::Amqp(amqp) => amqp.check().await,
        }
    }

    fn reads_results(&self) -> Option<Duration> {
        self.results.as_ref().map(|results| results.limit)
    }

    async fn result(&self, id: &str, _: Option<&str>) -> Result<WorkerResult, PublishError> {
        match &self.results {
            Some(results) => results.of_task(id).await,
            None => Ok(WorkerResult::Pending),
        }
    }
}

impl Celery {
    /// The `broker_url` of workers whose queues are of SQS, which takes what calls of AWS take.
    pub const ON_SQS: &str = "sqs://";

    fn order<'a>(&self, envelope: &'a Envelope) -> Result<Order<'a>, PublishError> {
        let route = self.usual.of(&self.alias, envelope)?;
        let envelope = match &self.format {
            Format::DjangoNotifs(told) => Cow::Owned(django_notifs::call(envelope, django_notifs::CELERY_TASK, told)?),
            _ => Cow::Borrowed(envelope),
        };
        Ok(Order { envelope, route })
    }

    fn ready<'a>(&self, orders: &'a [Result<Order<'_>, PublishError>]) -> Ready<'a> {
        let now = self.clock.now();
        let mut ready = Ready { answers: Vec::with_capacity(orders.len()), places: Vec::new(), tasks: Vec::new() };
        for (place, order) in orders.iter().enumerate() {
            let task = order.as_ref().map_err(Clone::clone).and_then(|order| self.task(order, now));
            ready.answers.push(task.map(|task| {
                ready.places.push(place);
                ready.tasks.push(task);
                Published::default()
            }));
        }
        ready
    }

    fn task<'a>(&self, order: &'a Order<'_>, now: Timestamp) -> Result<Task<'a>, PublishError> {
        let Order { envelope, route } = order;
        let expires = self.expires.map(|expires| envelope.run_after.filter(|due| *due > now).unwrap_or(now) + expires);
        let message = celery::encode(envelope, &route.publication(expires), now).map_err(|why| PublishError::Refused(why.to_owned()))?;
        let limit = self.limits().bytes;
        if message.body().len() > limit {
            return Err(PublishError::TooLarge { limit });
        }
        Ok(Task { route, message })
    }
}
