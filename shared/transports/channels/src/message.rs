use std::borrow::Cow;

use errand_core::{
    Digest, Envelope, Fields, PublishError,
    json::{self, Object},
};
use rmp::encode::{ValueWriteError, write_map_len, write_str};
use serde_json::value::RawValue;

use crate::options::Format;

/// The field in which the core layer says for which of a process' channels a message is.
const CHANNEL: &str = "__asgi_channel__";

/// How many bytes of its own each message of the core layer begins with, since equal ones would be one.
const PREFIX: usize = 12;

/// A message: the fields of a Python dict, as JSON.
pub(crate) struct Message<'a> {
    id: &'a str,
    fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Message<'a> {
    /// The message of an envelope: its named arguments, and as `type`, which says what receives it, its task.
    ///
    /// # Errors
    /// None can be made of it.
    pub(crate) fn of(envelope: &'a Envelope) -> Result<Self, PublishError> {
        let refused = |why: &str| Err(PublishError::Refused(why.to_owned()));
        let is_empty = |args: &RawValue| args.get().trim_start_matches('[').trim_ascii_start() == "]";
        let has_args = envelope.args.as_deref().is_some_and(|args| !is_empty(args));
        if has_args {
            return refused("a message of Channels has named fields alone: expected no args");
        }
        if envelope.context.bulk {
            return refused("a bulk is no message of Channels: send each of its payloads as a task");
        }
        let kwargs = Fields::of(envelope.kwargs.as_deref().map_or("{}", RawValue::get));
        let kwargs = kwargs.map_err(|problems| PublishError::Refused(format!("kwargs: {problems}")))?;
        if kwargs.has(CHANNEL) {
            return refused("a field of this name is the channel layer's own: __asgi_channel__");
        }
        let mut fields = Vec::new();
        if !kwargs.has("type") {
            fields.push((Cow::Borrowed("type"), Cow::Owned(json::text(&envelope.task))));
        }
        let told = kwargs.into_entries().into_iter().filter(|(name, value)| name != "type" || value.get() != "null");
        fields.extend(told.map(|(name, value)| (name, Cow::Borrowed(value.get()))));
        Ok(Self { id: &envelope.id, fields })
    }

    /// As a layer has it that puts nothing before it.
    ///
    /// # Errors
    /// A number in it is larger than any of Python's floats.
    pub(crate) fn plain(&self, format: Format) -> Result<Vec<u8>, PublishError> {
        self.written(format, None)
    }

    /// As the core layer has it; with the channels of a process that it is for, where it is for one.
    ///
    /// # Errors
    /// As [`Message::plain`].
    pub(crate) fn prefixed(&self, format: Format, channels: Option<&str>) -> Result<Vec<u8>, PublishError> {
        // The same message sent again while the first waits is the first.
        let mut bytes = Digest::of(self.id.as_bytes()).bytes()[..PREFIX].to_vec();
        bytes.extend(self.written(format, channels)?);
        Ok(bytes)
    }

    fn written(&self, format: Format, channels: Option<&str>) -> Result<Vec<u8>, PublishError> {
        let told = self.fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        let fields: Vec<(&str, &str)> = told.chain(channels.map(|channels| (CHANNEL, channels))).collect();
        match format {
            Format::Json => {
                let mut object = Object::new();
                fields.iter().for_each(|(name, value)| object.field(name, value));
                Ok(object.end().into_bytes())
            }
            Format::Msgpack => {
                let unfit = |_: ValueWriteError| PublishError::Refused("the message has too many fields".to_owned());
                let mut bytes = Vec::new();
                write_map_len(&mut bytes, fields.len().try_into().unwrap_or(u32::MAX)).map_err(unfit)?;
                for (name, value) in fields {
                    write_str(&mut bytes, name).map_err(unfit)?;
                    let mut json = serde_json::Deserializer::from_str(value);
                    serde_transcode::transcode(&mut json, &mut rmp_serde::Serializer::new(&mut bytes)).map_err(|_| {
                        PublishError::Refused(format!("kwargs: /{name}: cannot be written as msgpack, which has no such number"))
                    })?;
                }
                Ok(bytes)
            }
        }
    }
}
