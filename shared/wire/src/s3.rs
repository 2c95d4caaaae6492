//! Amazon S3's notifications of what happened to objects: one envelope for each record.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>

use std::borrow::Cow;

use errand_core::{Envelope, Fields, Sender};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::value::to_raw_value;

use crate::{Content, Decoded, Layer, Refused, digest, name};

/// The source of S3's records.
const SOURCE: &str = "\"aws:s3\"";

/// Whether this may be a notification. That each record is one of S3 is for [`read`] to say: none is parsed twice for it.
pub(crate) fn is_s3(fields: &Fields<'_>) -> bool {
    is_test(fields) || fields.raw("Records").is_some_and(|records| records.get().starts_with('[') && records.get().contains(SOURCE))
}

/// What S3 sends when a bucket's notifications are set up.
fn is_test(fields: &Fields<'_>) -> bool {
    fields.raw("Event").is_some_and(|event| event.get() == "\"s3:TestEvent\"")
}

pub(crate) fn read(mut fields: Fields<'_>, layer: &Layer<'_>) -> Result<Decoded, Refused> {
    if is_test(&fields) {
        let why = "a test event of S3: the bucket's notifications reach this queue";
        return Ok(Decoded::new(Sender::S3, Content::Nothing(why)));
    }
    let records = fields.objects("Records", |record| Record::read(record));
    let records = fields.finish(Some(records)).map_err(|problems| Refused::by(Sender::S3, problems))?;
    let envelopes = records.into_iter().enumerate().map(|(place, record)| record.envelope(layer.id, place)).collect();
    Ok(Decoded::new(Sender::S3, Content::Envelopes(envelopes)))
}

/// What is told of an object.
#[derive(Serialize)]
struct Record {
    event: String,
    bucket: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequencer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
}

impl Record {
    fn read(record: &mut Fields<'_>) -> Option<Self> {
        if record.raw("eventSource").is_none_or(|source| source.get() != SOURCE) {
            record.refuse("eventSource", "expected aws:s3");
        }
        if record.raw("s3").is_none() {
            record.refuse("s3", "is required");
        }
        let event = record.required::<String>("eventName")?;
        let (time, region) = (record.optional("eventTime"), record.optional("awsRegion"));
        record.object("s3", |s3| {
            let bucket = s3.object("bucket", |bucket| bucket.required::<String>("name"));
            let object = s3.object("object", |object| {
                let key = object.required::<String>("key")?;
                let size = object.optional("size");
                Some((key, size, object.optional("eTag"), object.optional("versionId"), object.optional("sequencer")))
            });
            for (name, found) in [("bucket", bucket.is_some()), ("object", object.is_some())] {
                if !found && s3.raw(name).is_none() {
                    s3.refuse(name, "is required");
                }
            }
            let (key, size, etag, version_id, sequencer) = object?;
            let Some(key) = decode_key(&key) else {
                s3.refuse("object/key", "expected a key in UTF-8, as form data is encoded");
                return None;
            };
            let (event, time, region) = (event.clone(), time.clone(), region.clone());
            Some(Self { event, bucket: bucket?, key, size, etag, version_id, sequencer, time, region })
        })
    }

    /// S3 tells some events twice: the same object, event and sequencer are the same piece of work. Without a sequencer, the message tells them apart.
    fn envelope(self, message_id: &str, place: usize) -> Envelope {
        let version = self.version_id.as_deref().unwrap_or_default();
        let id = match &self.sequencer {
            Some(sequencer) => digest::id("s3", &[&self.bucket, &self.key, version, &self.event, sequencer]),
            None => digest::id("s3", &[message_id, &place.to_string()]),
        };
        let task = name::task(&format!("s3.{}", self.event.trim_start_matches("s3:").replace(':', ".")));
        Envelope { kwargs: to_raw_value(&self).ok(), sender: Sender::S3, ..Envelope::new(id, task) }
    }
}

/// A key as it is: in a notification it is encoded as form data is.
fn decode_key(key: &str) -> Option<String> {
    let spaced = if key.contains('+') { Cow::Owned(key.replace('+', " ")) } else { Cow::Borrowed(key) };
    percent_decode_str(&spaced).decode_utf8().ok().map(Cow::into_owned)
}
