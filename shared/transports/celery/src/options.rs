use std::{collections::BTreeMap, time::Duration};

use errand_core::{Problems, Reference, limits};
use errand_wire::Format;
use serde::Deserialize;
use serde_json::{Map, Value, value::to_raw_value};

use crate::{Celery, route::Route};

/// How long a message stays hidden from other workers while one waits with it, unless the options say: Celery's own numbers for Redis and SQS, and for how long RabbitMQ lets a
/// worker wait. <https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html#visibility-timeout>
/// <https://docs.celeryq.dev/projects/kombu/en/stable/reference/kombu.transport.SQS.html> <https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout>
const REDIS_VISIBILITY: u64 = 60 * 60;
const SQS_VISIBILITY: u64 = 30 * 60;
const RABBITMQ_VISIBILITY: u64 = 30 * 60;

/// kombu's steps of priorities on Redis, and what stands between a queue's name and a step.
/// <https://docs.celeryq.dev/en/stable/userguide/routing.html#redis-message-priorities>
const PRIORITY_STEPS: [u8; 4] = [0, 3, 6, 9];
const SEPARATOR: &str = "\u{6}\u{16}";

/// How long a worker's result is waited for, unless the options say: for as long as Celery keeps one.
/// <https://docs.celeryq.dev/en/stable/userguide/configuration.html#result-expires>
const RESULT_TIMEOUT: u64 = 24 * 60 * 60;

/// What an alias says, by the names that Celery's settings and `apply_async` have for it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where the broker is: `redis://`, `rediss://`, `amqp://`, `amqps://`, or `sqs://`; or where that is kept.
    #[serde(default)]
    pub(crate) broker_url: String,
    /// The kind of broker, which a reference to its URL does not tell.
    broker_transport: Option<Scheme>,
    exchange: Option<String>,
    routing_key: Option<String>,
    priority: Option<u8>,
    /// After so many seconds a task is not to be run.
    expires: Option<u64>,
    /// Headers of one's own.
    headers: Option<Map<String, Value>>,
    /// How a task is told: as what it is, or to workers of django-notifs.
    #[serde(default)]
    format: Format,
    /// Whether workers hold a task until it is due, for as long as that is safe.
    #[serde(default)]
    eta: bool,
    /// Where workers put results: `redis://` or `rediss://`.
    pub(crate) result_backend: Option<String>,
    /// How long a worker's result is waited for, in seconds.
    result_timeout: Option<u64>,
    #[serde(default)]
    pub(crate) broker_transport_options: TransportOptions,
    #[serde(default)]
    pub(crate) result_backend_transport_options: ResultOptions,
}

/// Options of kombu's transports.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransportOptions {
    /// How long a message is hidden from other workers while one has it, in seconds.
    visibility_timeout: Option<u64>,
    /// Comes before each key on Redis.
    #[serde(default)]
    pub(crate) global_keyprefix: String,
    priority_steps: Option<Vec<u8>>,
    sep: Option<String>,
    /// The queues of SQS, by their names.
    #[serde(default)]
    pub(crate) predefined_queues: BTreeMap<String, PredefinedQueue>,
    /// Where those are: in the region of the function, when it is not said.
    pub(crate) region: Option<String>,
}

/// A queue of SQS.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PredefinedQueue {
    pub(crate) url: String,
}

/// Options of Celery's result backend on Redis.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResultOptions {
    /// Comes before each key.
    #[serde(default)]
    pub(crate) global_keyprefix: String,
}

/// The kinds of brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scheme {
    Redis,
    Sqs,
    Amqp,
}

impl Options {
    /// Which kind of broker it is.
    pub(crate) fn scheme(&self) -> Result<Scheme, Problems> {
        let reference =
            Reference::read(&self.broker_url).map_err(|expected| Problems::at("/broker_url", format!("expected {expected}")))?;
        match (reference, self.broker_transport) {
            (Some(_), Some(scheme @ (Scheme::Redis | Scheme::Amqp))) => return Ok(scheme),
            (Some(_), _) => return Err(Problems::at("/broker_transport", "is required beside a reference: redis or amqp")),
            (None, Some(_)) => return Err(Problems::at("/broker_transport", "is said by the broker_url: it is for a reference alone")),
            (None, None) => {}
        }
        let scheme = match self.broker_url.split_once("://").map(|(scheme, _)| scheme) {
            None if self.broker_url.is_empty() => return Err(Problems::at("/broker_url", "is required: where the broker is")),
            Some("redis" | "rediss") => Scheme::Redis,
            Some("amqp" | "amqps" | "pyamqp") => Scheme::Amqp,
            Some("sqs") if self.broker_url == Celery::ON_SQS => Scheme::Sqs,
            Some("sqs") => {
                return Err(Problems::at("/broker_url", "expected sqs:// alone: credentials are those of the function's role"));
            }
            _ => {
                return Err(Problems::at(
                    "/broker_url",
                    "expected a URL that begins with redis://, rediss://, amqp://, amqps:// or is sqs://",
                ));
            }
        };
        let has_queues = !self.broker_transport_options.predefined_queues.is_empty();
        match scheme {
            Scheme::Sqs if !has_queues => Err(Problems::at(
                "/broker_transport_options/predefined_queues",
                "is required: the URLs of the queues, such as {\"celery\":{\"url\":\"https://…\"}}",
            )),
            Scheme::Redis | Scheme::Amqp if has_queues => {
                Err(Problems::at("/broker_transport_options/predefined_queues", "is for SQS alone"))
            }
            _ => Ok(scheme),
        }
    }

    /// How a task is told.
    pub(crate) fn format(&self) -> Result<Format, Problems> {
        match &self.format {
            format @ (Format::Native | Format::DjangoNotifs(_)) => Ok(format.clone()),
            _ => Err(Problems::at("/format", "expected native or django-notifs")),
        }
    }

    /// Where a task goes that does not say so itself.
    pub(crate) fn route(&self, scheme: Scheme) -> Result<Route, Problems> {
        let headers = self.headers.as_ref().and_then(|headers| to_raw_value(headers).ok());
        let route = Route {
            scheme,
            exchange: self.exchange.clone().unwrap_or_default(),
            routing_key: self.routing_key.clone().unwrap_or_default(),
            priority: self.priority.unwrap_or_default(),
            headers: [headers, None],
        };
        route.check()?;
        Ok(route)
    }

    /// After how long a task is not to be run.
    pub(crate) fn expires(&self) -> Option<Duration> {
        self.expires.map(Duration::from_secs)
    }

    /// The longest delay that is left to the workers: half of the time after which a broker gives what waits to another worker as well, so that the other half is left to run it.
    pub(crate) fn eta(&self, scheme: Scheme) -> Result<Duration, Problems> {
        let usual = match scheme {
            Scheme::Redis => REDIS_VISIBILITY,
            Scheme::Sqs => SQS_VISIBILITY,
            Scheme::Amqp => RABBITMQ_VISIBILITY,
        };
        let visibility = self.broker_transport_options.visibility_timeout.unwrap_or(usual);
        if visibility == 0 {
            return Err(Problems::at("/broker_transport_options/visibility_timeout", "expected a number of seconds above 0"));
        }
        Ok(if self.eta { Duration::from_secs(visibility) / 2 } else { Duration::ZERO })
    }

    /// How long a worker's result is waited for.
    pub(crate) fn result_timeout(&self, longest: Duration) -> Result<Duration, Problems> {
        let seconds = self.result_timeout.unwrap_or(RESULT_TIMEOUT);
        let timeout = Duration::from_secs(seconds);
        if seconds == 0 || timeout > longest {
            return Err(Problems::at("/result_timeout", format!("expected seconds from 1 to {}", longest.as_secs())));
        }
        if self.result_timeout.is_some() && self.result_backend.is_none() {
            return Err(Problems::at("/result_timeout", "needs a result_backend"));
        }
        Ok(timeout)
    }
}

impl TransportOptions {
    /// The steps of priorities on Redis, the lowest first, and what stands between a queue's name and a step.
    pub(crate) fn priorities(&self) -> Result<(Vec<u8>, String), Problems> {
        let steps = self.priority_steps.clone().unwrap_or_else(|| PRIORITY_STEPS.to_vec());
        if steps.first() != Some(&0) || !steps.is_sorted_by(|a, b| a < b) {
            return Err(Problems::at("/broker_transport_options/priority_steps", "expected numbers that rise, 0 first, such as [0,3,6,9]"));
        }
        Ok((steps, self.sep.clone().unwrap_or_else(|| SEPARATOR.to_owned())))
    }
}

/// A URL of Redis as Celery has it. In one of TLS it says how certificates are checked, which they always are here.
/// <https://docs.celeryq.dev/en/stable/userguide/configuration.html#redis-backend-settings>
pub(crate) fn redis_url(url: &str) -> Result<&str, &'static str> {
    if !["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err("expected a URL such as redis://host:6379/0, or rediss:// for TLS");
    }
    match url.split_once('?') {
        None => Ok(url),
        Some((url, "ssl_cert_reqs=required" | "ssl_cert_reqs=CERT_REQUIRED")) => Ok(url),
        Some((_, query)) if query.starts_with("ssl_cert_reqs=") => Err("expected ssl_cert_reqs=required: certificates are always checked"),
        Some(_) => Err("expected a URL without ? and what follows it"),
    }
}

/// Whether a text can be the name of an exchange or a routing key.
pub(crate) fn is_name(text: &str) -> bool {
    text.is_empty() || limits::destination(text).is_ok() && text.len() <= 255
}
