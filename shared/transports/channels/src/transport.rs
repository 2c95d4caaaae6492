use std::{sync::Arc, time::Duration};

use errand_core::{
    Clock, DEFAULT_QUEUE, Envelope, Init, OBJECT_LIMIT, OptionError, PublishError, Published, Timestamp, Transport, TransportLimits,
};
use errand_redis::{
    Again, Redis,
    redis::{Cmd, FromRedisValue, Value, cmd},
};

use crate::{
    Options,
    core_layer::{self, At},
    message::Message,
    options::{Layer, Target},
};

/// Sends messages by a channel layer.
pub struct Channels {
    redis: Redis,
    options: Options,
    clock: Arc<dyn Clock>,
}

impl Transport for Channels {
    const BACKEND: &'static str = "channels";
    type Options = Options;

    fn new(_: &str, mut options: Options, cx: &Init) -> Result<Self, OptionError> {
        options.check()?;
        Ok(Self { redis: options.place().open(cx)?, options, clock: cx.clock()? })
    }

    /// Layers hold nothing back.
    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::ZERO, bytes: OBJECT_LIMIT }
    }

    fn takes(&self, destination: &str) -> Result<(), String> {
        self.options.check_name(destination)
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        let now = self.clock.now();
        let groups = self.groups(envelopes, now).await;
        let commands = envelopes.iter().zip(groups).enumerate();
        let commands = commands.map(|(place, (envelope, channels))| self.command(envelope, &channels?, (now, place)));
        let sent = self.redis.each_of(commands, Again::Never).await;
        sent.into_iter().map(|answer| self.published(answer?)).collect()
    }

    async fn check(&self) -> Result<(), PublishError> {
        self.redis.check().await
    }
}

impl Channels {
    /// The channels of each envelope's group, where the layer keeps them and groups are what is sent to.
    async fn groups(&self, envelopes: &[Envelope], now: Timestamp) -> Vec<Result<Vec<String>, PublishError>> {
        if (self.options.layer, self.options.target) != (Layer::Core, Target::Group) {
            return envelopes.iter().map(|_| Ok(Vec::new())).collect();
        }
        let asked = envelopes.iter().map(|envelope| Ok(core_layer::channels(self.name(envelope)?, &self.options, now)));
        let told = self.redis.each_of(asked, Again::Harmless).await;
        told.into_iter().map(|channels| Vec::from_redis_value(channels?).map_err(|_| unclear())).collect()
    }

    /// What sends an envelope's message, at a time and in its place of a call; to these channels where it is for the core layer's group.
    fn command(&self, envelope: &Envelope, channels: &[String], at: At) -> Result<Cmd, PublishError> {
        let (options, limit) = (&self.options, self.limits().bytes);
        let (name, message) = (self.name(envelope)?, Message::of(envelope, options)?);
        let publish = |channel: &str, message: Message<'_>| {
            let message = message.plain();
            if message.len() > limit {
                Err(PublishError::TooLarge { limit })
            } else {
                Ok(cmd("PUBLISH").arg(channel).arg(message).to_owned())
            }
        };
        match (options.layer, options.target) {
            (Layer::Core, Target::Channel) => core_layer::to_channel(&message, name, options, at, limit),
            (Layer::Core, Target::Group) => core_layer::to_group(&message, channels, options, at, limit),
            (Layer::PubSub, Target::Channel) => publish(name, message),
            (Layer::PubSub, Target::Group) => publish(&format!("{}__group__{name}", options.prefix()), message),
        }
    }

    /// The channel or group that an envelope is for.
    fn name<'a>(&self, envelope: &'a Envelope) -> Result<&'a str, PublishError> {
        let name = envelope.destination.as_deref().unwrap_or(DEFAULT_QUEUE);
        self.options.check_name(name).map(|()| name).map_err(PublishError::Refused)
    }

    /// What the answer to a message says. A layer drops what finds no room, and says so to nobody.
    fn published(&self, answer: Value) -> Result<Published, PublishError> {
        let unavailable = |why: String| Err(PublishError::Unavailable(why));
        let sent = |message_id| Ok(Published { message_id });
        match self.options.layer {
            Layer::Core => match <(usize, usize)>::from_redis_value(answer).map_err(|_| unclear())? {
                (0, _) => sent(None),
                (1, 1) => unavailable("Channels: the channel is full".to_owned()),
                (full, all) if full == all => unavailable(format!("Channels: all {all} channels of the group are full")),
                (full, all) => sent(Some(format!("dropped by {full} of {all} channels, which are full"))),
            },
            Layer::PubSub => match (i64::from_redis_value(answer).map_err(|_| unclear())?, self.options.target) {
                (0, Target::Channel) => unavailable("Channels: nobody receives from the channel now".to_owned()),
                // A group may be empty.
                _ => sent(None),
            },
        }
    }
}

/// An answer of another form than the command has.
fn unclear() -> PublishError {
    PublishError::OutcomeUnknown("Redis: an answer that is not understood".to_owned())
}
