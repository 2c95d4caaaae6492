//! What the core layer keeps in Redis: of each channel the messages that wait for who receives from it, by the time at which they were sent; and of each group its channels.

use std::collections::BTreeMap;

use errand_core::{PublishError, Timestamp, json};
use errand_redis::redis::{Cmd, cmd};

use crate::{Options, message::Message};

/// Adds to channels that have room what is for them; answers how many have none, and how many there are. As channels_redis does, in one script and not three calls.
///
/// Keys: channels. Arguments: of each its message; then the time, the time before which messages have expired, how many a channel holds, and how long they wait.
const SEND: &str = r"
local full = 0
local now, expired, capacity, expiry = unpack(ARGV, #KEYS + 1)
for i, key in ipairs(KEYS) do
    redis.call('ZREMRANGEBYSCORE', key, 0, expired)
    if redis.call('ZCARD', key) < tonumber(capacity) or redis.call('ZSCORE', key, ARGV[i]) then
        redis.call('ZADD', key, now, ARGV[i])
        redis.call('EXPIRE', key, expiry)
    else
        full = full + 1
    end
end
return {full, #KEYS}
";

/// The channels of a group that have not expired.
///
/// Keys: the group. Arguments: the time before which channels have expired.
const CHANNELS: &str = r"
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, ARGV[1])
return redis.call('ZRANGE', KEYS[1], 0, -1)
";

/// When messages are sent, and the place of one among them.
pub(crate) type At = (Timestamp, usize);

/// What asks for the channels of a group.
pub(crate) fn channels(group: &str, options: &Options, now: Timestamp) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(CHANNELS).arg(1).arg(format!("{}:group:{group}", options.prefix()));
    command.arg(now.seconds() - i64::from(options.group_expiry()));
    command
}

/// What sends a message to a channel.
///
/// # Errors
/// It cannot be written.
pub(crate) fn to_channel(message: &Message<'_>, channel: &str, options: &Options, at: At, limit: usize) -> Result<Cmd, PublishError> {
    let local = channel.contains('!').then(|| json::text(channel));
    let written = message.prefixed(local.as_deref())?;
    send(BTreeMap::from([(process(channel), written)]), options, at, limit)
}

/// What sends a message to the channels of a group.
///
/// # Errors
/// It cannot be written.
pub(crate) fn to_group(message: &Message<'_>, channels: &[String], options: &Options, at: At, limit: usize) -> Result<Cmd, PublishError> {
    // The channels of a process get it together, by its one key.
    let mut processes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for channel in channels {
        processes.entry(process(channel)).or_default().push(json::text(channel));
    }
    let written = processes.into_iter().map(|(process, channels)| {
        let channels = format!("[{}]", channels.join(","));
        Ok((process, message.prefixed(Some(&channels))?))
    });
    send(written.collect::<Result<_, PublishError>>()?, options, at, limit)
}

/// The part of a channel's name that its key has: what comes behind `!` is known to its process alone.
fn process(channel: &str) -> &str {
    channel.find('!').map_or(channel, |end| &channel[..=end])
}

fn send(written: BTreeMap<&str, Vec<u8>>, options: &Options, (now, place): At, limit: usize) -> Result<Cmd, PublishError> {
    if written.values().any(|message| message.len() > limit) {
        return Err(PublishError::TooLarge { limit });
    }
    let mut command = cmd("EVAL");
    command.arg(SEND).arg(written.len());
    written.keys().for_each(|process| _ = command.arg(format!("{}{process}", options.prefix())));
    written.values().for_each(|message| _ = command.arg(message.as_slice()));
    // Messages of one time are in the order of their bytes: those of one call are a millionth of a second apart.
    command.arg(format!("{}.{:03}{:03}", now.seconds(), now.millis().rem_euclid(1000), place.min(999)));
    command.arg(now.seconds() - i64::from(options.expiry())).arg(options.capacity()).arg(options.expiry());
    Ok(command)
}
