use std::borrow::Cow;

use errand_core::{
    Digest, Envelope, Fields, PublishError,
    json::{self, Object},
};
use errand_wire::{DjangoNotifs, Format, django_notifs};
use rmp::encode::{write_map_len, write_str};
use serde_json::value::RawValue;

use crate::{Options, options::Serializer};

/// The field in which the core layer says for which of a process' channels a message is.
const CHANNEL: &str = "__asgi_channel__";

/// How many bytes of its own each message of the core layer begins with, since equal ones would be one.
const PREFIX: usize = 12;

/// A message: the fields of a Python dict, written but for what each layer adds.
pub(crate) struct Message<'a> {
    id: &'a str,
    serializer: Serializer,
    count: u32,
    fields: Vec<u8>,
}

impl<'a> Message<'a> {
    /// The message of an envelope: its named arguments, and as `type`, which says what receives it, its task; or what django-notifs' own consumer takes.
    ///
    /// # Errors
    /// None can be made of it.
    pub(crate) fn of(envelope: &'a Envelope, options: &Options) -> Result<Self, PublishError> {
        let object = match &options.format {
            Format::DjangoNotifs(options) => Cow::Owned(notify(envelope, options)?),
            _ => Cow::Borrowed(arguments(envelope)?),
        };
        let fields = Fields::of(&object).map_err(|problems| PublishError::Refused(format!("kwargs: {problems}")))?;
        if fields.has(CHANNEL) {
            return Err(PublishError::Refused(format!("a field of this name is the channel layer's own: {CHANNEL}")));
        }
        let mut message = Self { id: &envelope.id, serializer: options.serializer_format, count: 0, fields: Vec::new() };
        if !fields.has("type") {
            message.add("type", &json::text(&envelope.task))?;
        }
        for (name, value) in fields.into_entries().iter().filter(|(name, value)| name != "type" || value.get() != "null") {
            message.add(name, value.get())?;
        }
        Ok(message)
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), PublishError> {
        match self.serializer {
            Serializer::Json => {
                let comma = if self.count == 0 { "" } else { "," };
                self.fields.extend_from_slice(format!("{comma}{}:{value}", json::text(name)).as_bytes());
            }
            Serializer::Msgpack => {
                let fits = write_str(&mut self.fields, name).is_ok() && {
                    let mut json = serde_json::Deserializer::from_str(value);
                    serde_transcode::transcode(&mut json, &mut rmp_serde::Serializer::new(&mut self.fields)).is_ok()
                };
                if !fits {
                    let why = format!("kwargs: /{name}: cannot be written as msgpack, which has no such number");
                    return Err(PublishError::Refused(why));
                }
            }
        }
        self.count += 1;
        Ok(())
    }

    /// As a layer has it that puts nothing before it.
    pub(crate) fn plain(mut self) -> Vec<u8> {
        match self.serializer {
            Serializer::Json => {
                self.fields.insert(0, b'{');
                self.fields.push(b'}');
                self.fields
            }
            Serializer::Msgpack => {
                let mut bytes = map(self.count);
                bytes.append(&mut self.fields);
                bytes
            }
        }
    }

    /// As the core layer has it; with the channels of a process that it is for (JSON), where it is for one.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn prefixed(&self, channels: Option<&str>) -> Result<Vec<u8>, PublishError> {
        let mut message = Self { id: self.id, fields: self.fields.clone(), ..*self };
        if let Some(channels) = channels {
            message.add(CHANNEL, channels)?;
        }
        // The same message sent again while the first waits is the first.
        let mut bytes = Digest::of(self.id.as_bytes()).bytes()[..PREFIX].to_vec();
        bytes.append(&mut message.plain());
        Ok(bytes)
    }
}

/// How a map of msgpack begins that has so many fields.
fn map(count: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A vector takes all that is written to it.
    write_map_len(&mut bytes, count).ok();
    bytes
}

/// The named arguments of an envelope that has no others.
fn arguments(envelope: &Envelope) -> Result<&str, PublishError> {
    if envelope.has_args() {
        return Err(PublishError::Refused("a message of Channels has named fields alone: expected no args".to_owned()));
    }
    if envelope.context.bulk {
        return Err(PublishError::Refused("a bulk is no message of Channels: send each of its payloads as a task".to_owned()));
    }
    Ok(envelope.kwargs.as_deref().map_or("{}", RawValue::get))
}

/// What django-notifs' own consumer of Channels takes; a delay is over.
fn notify(envelope: &Envelope, options: &DjangoNotifs) -> Result<String, PublishError> {
    let mut fields: Object = django_notifs::fields(envelope, options)?;
    fields.field("countdown", "0");
    fields.field("type", r#""notify""#);
    Ok(fields.end())
}
