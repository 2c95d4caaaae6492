//! Messages on the wire to envelopes, and back. Pure functions over texts.
//!
//! [`decode`] is the only place where formats are told apart. In this order, and what fits first is what it is:
//!
//! 1. attributes `ce-specversion`, `-id`, `-source` and `-type` beside the body: a CloudEvent in binary mode, whose data the body is
//! 2. an array whose first element names a `PayloadS3Pointer`: the extended client's; an array of objects: a batch of CloudEvents
//! 3. base64 of an object with `body`, `content-type` and `properties`, or such an object itself: Celery
//! 4. an object with `specversion`, `id`, `source` and `type`: a CloudEvent
//! 5. with `Type` and `TopicArn`: SNS. What its `Message` holds is read in this order again; what is none of these and asks for no task is a notice
//! 6. with `detail-type`, `source` and `detail`: EventBridge or its Scheduler. A `detail` that is a task is read in this order again
//! 7. with `Event` `s3:TestEvent`, or `Records` of `aws:s3`, and no `task`: S3
//! 8. with `provider` and `payload`, and no `task`: django-notifs
//! 9. with `task` or `task_name`, `args`, `kwargs`, and nothing else: django-tasks-cloud
//! 10. with `notificationType` or `eventType` beside `mail`, and no `task`: SES
//! 11. anything else is read as Errand's own form, and refused if it is not.
//!
//! [`Format`] writes envelopes in the forms that workers of others read.

pub mod celery;
pub mod cloudevents;
mod context;
mod digest;
pub mod django_notifs;
mod django_tasks;
mod eventbridge;
mod extended_client;
mod format;
mod guard;
pub mod lambda;
mod name;
pub mod native;
mod notice;
mod s3;
mod ses;
pub mod sns;

pub use extended_client::Pointer;
pub use format::{CloudEvents, DjangoNotifs, DjangoTasks, Format, TaskKey};
pub use guard::check as check_body;
pub use native::encode;

use std::{collections::BTreeMap, fmt};

use errand_core::{BODY_LIMIT, DeliveryError, Envelope, ErrorKind, Fields, Message, OBJECT_LIMIT, Problems, Sender};

/// How many formats may stand in one another: S3 in EventBridge in SNS, and one to spare.
const MOST_LAYERS: usize = 4;

/// What a message asks for.
#[derive(Debug)]
pub struct Decoded {
    /// Whose message it is.
    pub sender: Sender,
    /// What it holds.
    pub content: Content,
    /// What SNS signed, where the message came from a topic that wraps what it hands on.
    pub signed: Option<sns::Signed>,
    /// Where a message of Errand's own form has fields that nobody knows.
    pub unread: Vec<String>,
}

impl Decoded {
    fn new(sender: Sender, content: Content) -> Self {
        Self { sender, content, signed: None, unread: Vec::new() }
    }

    /// What asks for one piece of work.
    fn one(envelope: Envelope) -> Self {
        Self::new(envelope.sender, Content::Envelopes(vec![envelope]))
    }

    /// As it came on this queue: what others have sent belongs there, whatever they call the queue.
    fn on(mut self, queue: &str) -> Self {
        if let Content::Envelopes(envelopes) = &mut self.content
            && self.sender != Sender::Native
        {
            envelopes.iter_mut().for_each(|envelope| queue.clone_into(&mut envelope.queue));
        }
        self
    }
}

/// What a message holds.
#[derive(Debug)]
pub enum Content {
    /// Envelopes: one, but of a batch or of several records.
    Envelopes(Vec<Envelope>),
    /// The key of what it holds, which is in S3.
    Elsewhere(Pointer),
    /// Nothing that is to be done, and why not.
    Nothing(&'static str),
}

/// Why a message holds no envelope.
#[derive(Debug)]
pub struct Refused {
    /// Whose message it is, as far as it could be told.
    pub sender: Option<Sender>,
    /// All that is wrong with it. No value is repeated.
    pub problems: Problems,
}

impl Refused {
    fn whole(sender: Sender, detail: impl Into<String>) -> Self {
        Self::by(sender, Problems::whole(detail))
    }

    fn by(sender: Sender, problems: Problems) -> Self {
        Self { sender: Some(sender), problems }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sender {
            Some(sender) if sender != Sender::Native => write!(f, "{sender}: {}", self.problems),
            _ => self.problems.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for DeliveryError {
    fn from(refused: Refused) -> Self {
        Self::new(ErrorKind::Malformed, refused.to_string())
    }
}

/// Reads a message. An envelope that has no id takes that of the innermost message around it that has one; one that names no queue belongs to the one that it
/// came on.
///
/// # Errors
/// The body is too large, nested too deep, or is no message that is known here.
pub fn decode(message: &Message) -> Result<Decoded, Refused> {
    let Message { id, body, attributes, queue, .. } = message;
    read(&Layer { id, body, attributes, queue, limit: BODY_LIMIT, depth: 1 }).map(|decoded| decoded.on(queue))
}

/// Reads what a message's [`Pointer`] points to: `body` in place of the message's own.
///
/// # Errors
/// As [`decode`], but that it may be as large as what is in an object store may be.
pub fn decode_fetched(message: &Message, body: &str) -> Result<Decoded, Refused> {
    let Message { id, attributes, queue, .. } = message;
    read(&Layer { id, body, attributes, queue, limit: OBJECT_LIMIT, depth: 2 }).map(|decoded| decoded.on(queue))
}

/// A message, or one in another.
struct Layer<'a> {
    id: &'a str,
    body: &'a str,
    attributes: &'a BTreeMap<String, String>,
    /// The queue that the outermost came on.
    queue: &'a str,
    limit: usize,
    /// 1 for the outermost.
    depth: usize,
}

impl Layer<'_> {
    /// A message in this one.
    fn inner<'b>(&'b self, id: &'b str, body: &'b str, attributes: &'b BTreeMap<String, String>) -> Layer<'b> {
        Layer { id, body, attributes, queue: self.queue, limit: self.limit, depth: self.depth + 1 }
    }
}

fn read(layer: &Layer<'_>) -> Result<Decoded, Refused> {
    let unknown = |problems| Refused { sender: None, problems };
    if layer.depth > MOST_LAYERS {
        return Err(unknown(Problems::whole(format!("holds more than {MOST_LAYERS} messages in one another"))));
    }
    guard::check(layer.body, layer.limit).map_err(unknown)?;
    if cloudevents::is_binary(layer.attributes) {
        return cloudevents::read_binary(layer);
    }
    match layer.body.trim_ascii_start().as_bytes().first() {
        Some(b'{') => read_object(Fields::of(layer.body).map_err(unknown)?, layer),
        Some(b'[') => read_array(layer),
        _ => match celery::unwrap(layer.body) {
            Some(text) => read_object(Fields::of(&text).map_err(|problems| Refused::by(Sender::Celery, problems))?, layer),
            None => Err(unknown(Fields::of(layer.body).err().unwrap_or_else(|| Problems::whole("is no message that is known here")))),
        },
    }
}

fn read_object(fields: Fields<'_>, layer: &Layer<'_>) -> Result<Decoded, Refused> {
    let (sender, envelope) = match Form::of(&fields) {
        Form::Celery => (Sender::Celery, celery::read(fields)),
        Form::CloudEvent => (Sender::CloudEvents, cloudevents::read(fields)),
        Form::Sns => return sns::read(fields, layer),
        Form::EventBridge => return eventbridge::read(fields, layer),
        Form::S3 => return s3::read(fields, layer),
        Form::DjangoNotifs => (Sender::DjangoNotifs, django_notifs::read(fields, layer.id)),
        Form::Ses => return ses::read(&fields, layer),
        Form::DjangoTasksCloud => return native(Sender::DjangoTasksCloud, fields, layer),
        Form::Native => return native(Sender::Native, fields, layer),
    };
    one(sender, envelope)
}

fn read_array(layer: &Layer<'_>) -> Result<Decoded, Refused> {
    if let Some(pointer) = extended_client::read(layer) {
        return pointer;
    }
    cloudevents::read_batch(layer.body)
}

/// A message that holds one envelope, or should.
fn one(sender: Sender, envelope: Result<Envelope, Problems>) -> Result<Decoded, Refused> {
    Ok(Decoded::one(Envelope { sender, ..envelope.map_err(|problems| Refused::by(sender, problems))? }))
}

/// A message of Errand's own form.
fn native(sender: Sender, fields: Fields<'_>, layer: &Layer<'_>) -> Result<Decoded, Refused> {
    let (envelope, unread) = native::read_message(fields, layer).map_err(|problems| Refused::by(sender, problems))?;
    Ok(Decoded { unread, ..one(sender, Ok(envelope))? })
}

/// What an object is by its fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Celery,
    CloudEvent,
    Sns,
    EventBridge,
    S3,
    DjangoNotifs,
    DjangoTasksCloud,
    Ses,
    Native,
}

impl Form {
    fn of(fields: &Fields<'_>) -> Self {
        let all = |names: &[&str]| names.iter().all(|name| fields.has(name));
        let task = fields.has("task") || fields.has("task_name");
        if celery::is_celery(fields) {
            Self::Celery
        } else if all(&["specversion", "id", "source", "type"]) {
            Self::CloudEvent
        } else if all(&["Type", "TopicArn"]) {
            Self::Sns
        } else if all(&["detail-type", "source", "detail"]) {
            Self::EventBridge
        } else if s3::is_s3(fields) && !task {
            Self::S3
        } else if all(&["provider", "payload"]) && !task {
            Self::DjangoNotifs
        } else if fields.count() == 3 && task && all(&["args", "kwargs"]) {
            Self::DjangoTasksCloud
        } else if !task && ses::is_ses(fields) {
            Self::Ses
        } else {
            Self::Native
        }
    }
}
