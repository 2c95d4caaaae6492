use std::{sync::Arc, time::Duration};

use errand_core::{
    Clock, DEFAULT_QUEUE, Envelope, Init, OBJECT_LIMIT, OptionError, Problems, PublishError, Published, Timestamp, Transport,
    TransportLimits,
};
use errand_redis::{
    Again, Place, Redis,
    redis::{Cmd, FromRedisValue as _, cmd},
};
use errand_wire::{
    CloudEvents, Format,
    cloudevents::{self, Origin},
};

/// The stream of what names no queue, where the options name none; how many entries a stream keeps at least: django-dispatch's own.
const STREAM: &str = "events";
const MAX_LEN: u64 = 10_000;

errand_redis::options! {
    /// What an alias says: where Redis is, and what its streams are.
    pub struct Options {
        /// The stream of the queue `default`; the others are streams of their own names.
        stream_name: Option<String>,
        /// How many entries a stream keeps at least, before the oldest go; 0 for all.
        max_len: Option<u64>,
        /// Whether the server is a node of a cluster.
        #[serde(default)]
        cluster: bool,
        /// What an entry holds; CloudEvents, when it is not said.
        format: Option<Format>,
    }
}

/// Adds entries to streams.
pub struct RedisStreams {
    redis: Redis,
    stream: String,
    max_len: u64,
    format: Format,
    clock: Arc<dyn Clock>,
}

impl Transport for RedisStreams {
    const BACKEND: &'static str = "redis-streams";
    type Options = Options;

    fn new(_: &str, mut options: Options, cx: &Init) -> Result<Self, OptionError> {
        if options.stream_name.as_deref() == Some("") {
            return Err(Problems::at("/stream_name", "expected a text that is not empty").into());
        }
        let place = options.place();
        let redis = if options.cluster { of_cluster(place, cx)? } else { place.open(cx)? };
        Ok(Self {
            redis,
            stream: options.stream_name.unwrap_or_else(|| STREAM.to_owned()),
            max_len: options.max_len.unwrap_or(MAX_LEN),
            format: options.format.unwrap_or_else(|| Format::CloudEvents(CloudEvents::default())),
            clock: cx.clock()?,
        })
    }

    /// Streams hold nothing back.
    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::ZERO, bytes: OBJECT_LIMIT }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        let time = time(self.clock.now());
        // Redis knows no entry again: the same sent twice is there twice.
        let sent = self.redis.each_of(envelopes.iter().map(|envelope| self.entry(envelope, &time)), Again::Never).await;
        let published = |answer| Ok(Published { message_id: String::from_redis_value(answer?).ok() });
        sent.into_iter().map(published).collect()
    }

    async fn check(&self) -> Result<(), PublishError> {
        self.redis.check().await
    }
}

impl RedisStreams {
    /// What adds an envelope's entry: its text, and beside it what readers choose by.
    fn entry(&self, envelope: &Envelope, time: &str) -> Result<Cmd, PublishError> {
        let queue = envelope.destination.as_deref().unwrap_or(DEFAULT_QUEUE);
        let (field, source, text) = match &self.format {
            Format::CloudEvents(CloudEvents { source }) => {
                ("cloud_event", source.as_str(), cloudevents::encode(envelope, source, Some(time)))
            }
            // To who takes it there, it belongs on that queue.
            Format::Native => ("body", cloudevents::SOURCE, errand_wire::encode(&Envelope { queue: queue.to_owned(), ..envelope.clone() })),
            format => ("body", cloudevents::SOURCE, format.encode(envelope)?),
        };
        let limit = self.limits().bytes;
        if text.len() > limit {
            return Err(PublishError::TooLarge { limit });
        }
        let mut add = cmd("XADD");
        add.arg(if queue == DEFAULT_QUEUE { &self.stream } else { queue });
        if self.max_len > 0 {
            add.arg("MAXLEN").arg("~").arg(self.max_len);
        }
        // Beside an event that is handed on stands what it says itself.
        let origin = matches!(self.format, Format::CloudEvents(_)).then(|| Origin::of(envelope)).flatten();
        let (id, kind, source, time) = match &origin {
            Some(Origin { id, kind, source, time: said, .. }) => (id, kind, source.as_str(), said.as_deref().unwrap_or(time)),
            None => (&envelope.id, &envelope.task, source, time),
        };
        add.arg("*").arg("event_id").arg(id).arg("event_type").arg(kind).arg("source").arg(source);
        add.arg("timestamp").arg(time).arg(field).arg(text);
        Ok(add)
    }
}

/// The cluster of which a node is there.
#[cfg(feature = "cluster")]
fn of_cluster(place: Place, cx: &Init) -> Result<Redis, OptionError> {
    if place.db.is_some_and(|db| db > 0) {
        return Err(Problems::at("/db", "expected none: a cluster has one database").into());
    }
    if place.ssl_ca_data.is_some() {
        return Err(Problems::at("/ssl_ca_data", "is not taken for a cluster: its certificates must be such as the web trusts").into());
    }
    Ok(place.open(cx)?.of_cluster())
}

#[cfg(not(feature = "cluster"))]
fn of_cluster(_: Place, _: &Init) -> Result<Redis, OptionError> {
    Err(Problems::at("/cluster", "this build speaks to no cluster: it needs the feature transport-redis-cluster").into())
}

/// The time as Python's `isoformat` writes it, which its `fromisoformat` reads in every version.
fn time(at: Timestamp) -> String {
    at.to_string().replace('Z', "+00:00")
}
