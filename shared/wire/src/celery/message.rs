//! kombu's message: what is around Celery's own.

use std::borrow::Cow;

use errand_core::{BODY_LIMIT, Fields, from_base64};

use super::compression;
use crate::guard;

/// A message without what carries it.
pub(super) struct Message {
    /// Celery's own text: JSON.
    pub(super) body: String,
    /// The queue that Celery sent it to.
    pub(super) routing_key: Option<String>,
    /// Where Celery's `rpc` results would go: passed on to what follows.
    pub(super) reply_to: Option<String>,
}

/// The object in a body that is base64, which is how kombu writes to SQS.
pub(crate) fn unwrap(body: &str) -> Option<String> {
    let body = body.trim_ascii();
    // What is no base64 of an object says so in its first letters.
    if !body.starts_with("ey") && !body.starts_with("ew") && !body.starts_with("ex") {
        return None;
    }
    String::from_utf8(from_base64(body)?).ok().filter(|text| guard::check(text, BODY_LIMIT).is_ok())
}

/// Whether an object is such a message.
pub(crate) fn is_celery(fields: &Fields<'_>) -> bool {
    ["properties", "content-type", "body"].iter().all(|name| fields.raw(name).is_some())
}

/// Reads a message. What is wrong is noted in `fields`.
pub(super) fn read<'a>(fields: &mut Fields<'a>) -> Option<Message> {
    let json = is_json(fields);
    // Few are: the header is looked for where its name stands.
    let compressed = fields.raw("headers").is_some_and(|headers| headers.get().contains("compression"));
    let compressed: Option<String> = if compressed { fields.object("headers", |headers| headers.optional("compression")) } else { None };
    let carried = fields.object("properties", |properties| {
        let encoding = properties.optional::<String>("body_encoding").unwrap_or_default();
        let encoded = !encoding.is_empty() && !encoding.eq_ignore_ascii_case("utf-8");
        if encoded && encoding != "base64" {
            properties.refuse("body_encoding", "expected base64 or utf-8");
        }
        let routing_key = properties.object("delivery_info", |info| Some(info.optional::<String>("routing_key"))).flatten();
        Some((encoded, routing_key, properties.optional("reply_to")))
    });
    let text: Cow<'a, str> = fields.required("body")?;
    // Without the format there is no reading what is in it.
    let (encoded, routing_key, reply_to) = carried.filter(|_| json)?;
    let bytes = if encoded { from_base64(&text) } else { Some(text.into_owned().into_bytes()) };
    let Some(bytes) = bytes else {
        fields.refuse("body", "expected base64");
        return None;
    };
    let bytes = match compressed {
        Some(format) => compression::open(&format, &bytes, BODY_LIMIT).map_err(|why| fields.refuse("body", why)).ok()?,
        None => bytes,
    };
    let Ok(body) = String::from_utf8(bytes) else {
        fields.refuse("body", "is not UTF-8");
        return None;
    };
    guard::check(&body, BODY_LIMIT).map_err(|problems| fields.adopt("body", problems)).ok()?;
    Some(Message { body, routing_key, reply_to })
}

/// Whether a body is JSON. What can be more than data when it is read is never read.
fn is_json(fields: &mut Fields<'_>) -> bool {
    let media_type: String = fields.required("content-type").unwrap_or_default();
    let known = match media_type.split(';').next().unwrap_or_default().trim() {
        // Its encoding is UTF-8 whatever `content-encoding` says, which kombu looks at for formats that it has no decoder for.
        "application/json" => return true,
        "application/x-python-serialize" => "pickle, which runs code when it is read",
        "application/x-yaml" => "YAML",
        "application/x-msgpack" => "msgpack",
        "application/data" => "a signed body (Celery's auth serializer)",
        "" => return false,
        _ => "a format that is not known here",
    };
    fields.refuse("content-type", format!("expected JSON, got {known}: set task_serializer = 'json'"));
    false
}
