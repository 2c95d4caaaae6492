use errand_core::Problems;
use errand_wire::Format;
use serde::{Deserialize, de::IgnoredAny};

errand_redis::options! {
    /// What an alias says: where Redis is, and the site's own `CHANNEL_LAYERS`.
    pub struct Options {
        /// Which layer the site has.
        #[serde(default)]
        pub(crate) layer: Layer,
        /// What the alias's queues name.
        #[serde(default)]
        pub(crate) target: Target,
        /// How the keys of the layer begin; `asgi` when it is not said.
        prefix: Option<String>,
        /// How long a message waits for who receives, in seconds; 60 when it is not said.
        expiry: Option<u32>,
        /// How many messages wait in a channel at most; 100 when it is not said.
        capacity: Option<u32>,
        /// How long a channel belongs to a group, in seconds; a day when it is not said.
        group_expiry: Option<u32>,
        /// How the layer writes messages.
        #[serde(default)]
        pub(crate) serializer_format: Serializer,
        /// What a message holds.
        #[serde(default)]
        pub(crate) format: Format,
        /// Keys that messages are encrypted with, which cannot be done here.
        symmetric_encryption_keys: Option<IgnoredAny>,
    }
}

/// The layers of channels_redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Layer {
    /// `channels_redis.core.RedisChannelLayer`: messages wait in Redis.
    #[default]
    Core,
    /// `channels_redis.pubsub.RedisPubSubChannelLayer`: messages reach who is subscribed now.
    PubSub,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// A channel, from which one receives.
    #[default]
    Channel,
    /// A group, whose channels all get it.
    Group,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Serializer {
    #[default]
    Msgpack,
    Json,
}

impl Options {
    pub(crate) fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or("asgi")
    }

    pub(crate) fn expiry(&self) -> u32 {
        self.expiry.unwrap_or(60)
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity.unwrap_or(100)
    }

    pub(crate) fn group_expiry(&self) -> u32 {
        self.group_expiry.unwrap_or(86_400)
    }

    /// Whether the options are such as can be kept.
    ///
    /// # Errors
    /// One cannot.
    pub(crate) fn check(&self) -> Result<(), Problems> {
        let numbers = [("/expiry", self.expiry), ("/capacity", self.capacity), ("/group_expiry", self.group_expiry)];
        if let Some((name, _)) = numbers.into_iter().find(|(_, number)| *number == Some(0)) {
            return Err(Problems::at(name, "expected a number above 0"));
        }
        if !matches!(self.format, Format::Native | Format::DjangoNotifs(_)) {
            return Err(Problems::at("/format", "expected native or django-notifs"));
        }
        if self.symmetric_encryption_keys.is_some() {
            let why = "messages cannot be encrypted here: have the site say no keys, and protect the way to Redis by ssl";
            return Err(Problems::at("/symmetric_encryption_keys", why));
        }
        if self.layer == Layer::PubSub
            && let Some((name, _)) = numbers.into_iter().find(|(_, number)| number.is_some())
        {
            return Err(Problems::at(name, "is nothing to the pub/sub layer, which keeps no messages"));
        }
        Ok(())
    }

    /// Whether there can be a channel or group of this name. <https://channels.readthedocs.io/en/stable/channel_layer_spec.html#channel-names>
    ///
    /// # Errors
    /// There can be none, for this reason.
    pub(crate) fn check_name(&self, name: &str) -> Result<(), String> {
        /// Names are shorter than this.
        const LONGEST: usize = 100;
        let is_made_of = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        let (first, rest) = match self.target {
            Target::Channel => name.split_once('!').unwrap_or((name, "")),
            Target::Group => (name, ""),
        };
        if !first.is_empty() && is_made_of(first) && is_made_of(rest) && name.len() < LONGEST {
            return Ok(());
        }
        let what = if self.target == Target::Group { "group" } else { "channel" };
        Err(format!("is no name of a {what}: fewer than {LONGEST} letters, digits, hyphens, underscores and periods"))
    }
}
