use std::{sync::Arc, time::Duration};

use errand_core::{
    Clock, DEFAULT_QUEUE, Envelope, Init, OBJECT_LIMIT, OptionError, Problems, PublishError, Published, Transport, TransportLimits,
};
use errand_redis::{
    Again, Redis,
    redis::{Cmd, FromRedisValue as _, cmd},
};

use crate::event::{event, time};

/// The stream of what names no queue, where the options name none; how many entries a stream keeps at least: django-dispatch's own.
const STREAM: &str = "events";
const MAX_LEN: u64 = 10_000;

/// Who sends the events, where the options do not say.
const SOURCE: &str = "errand";

errand_redis::options! {
    /// What an alias says: where Redis is, and what its streams are.
    pub struct Options {
        /// The stream of the queue `default`; the others are streams of their own names.
        stream_name: Option<String>,
        /// How many entries a stream keeps at least, before the oldest go; 0 for all.
        max_len: Option<u64>,
        /// The `source` of the events.
        source: Option<String>,
    }
}

/// Adds entries to streams.
pub struct RedisStreams {
    redis: Redis,
    stream: String,
    max_len: u64,
    source: String,
    clock: Arc<dyn Clock>,
}

impl Transport for RedisStreams {
    const BACKEND: &'static str = "redis-streams";
    type Options = Options;

    fn new(_: &str, mut options: Options, cx: &Init) -> Result<Self, OptionError> {
        for (name, text) in [("/stream_name", &options.stream_name), ("/source", &options.source)] {
            if text.as_deref() == Some("") {
                return Err(Problems::at(name, "expected a text that is not empty").into());
            }
        }
        Ok(Self {
            redis: options.place().open(cx)?,
            stream: options.stream_name.unwrap_or_else(|| STREAM.to_owned()),
            max_len: options.max_len.unwrap_or(MAX_LEN),
            source: options.source.unwrap_or_else(|| SOURCE.to_owned()),
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
    /// What adds an envelope's entry: its event, and beside it what readers choose by.
    fn entry(&self, envelope: &Envelope, time: &str) -> Result<Cmd, PublishError> {
        let (event, limit) = (event(envelope, &self.source, time)?, self.limits().bytes);
        if event.len() > limit {
            return Err(PublishError::TooLarge { limit });
        }
        let stream = match envelope.destination.as_deref() {
            None | Some(DEFAULT_QUEUE) => &self.stream,
            Some(stream) => stream,
        };
        let mut add = cmd("XADD");
        add.arg(stream);
        if self.max_len > 0 {
            add.arg("MAXLEN").arg("~").arg(self.max_len);
        }
        add.arg("*").arg("event_id").arg(&envelope.id).arg("event_type").arg(&envelope.task).arg("source").arg(&self.source);
        add.arg("timestamp").arg(time).arg("cloud_event").arg(event);
        Ok(add)
    }
}
