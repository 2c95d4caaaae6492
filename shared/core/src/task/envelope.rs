use std::{fmt, time::Duration};

use serde_json::value::RawValue;

use crate::{Fields, Fingerprint, FollowUps, Sender, Timestamp, json::Object};

/// The largest body that is accepted, in bytes: what SQS takes (1 MiB with its attributes) less room for a dead letter's attributes.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub const BODY_LIMIT: usize = 1024 * 1024 - 8 * 1024;

/// The largest body that is accepted where there is an object store, in bytes: what API Gateway can hand to a function (6 MB, in which the body is a
/// string with every quote escaped). <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const OBJECT_LIMIT: usize = 4 * 1024 * 1024;

/// How deep objects and arrays may be nested in a body.
pub const DEPTH_LIMIT: usize = 64;

/// The queue of what names none.
pub const DEFAULT_QUEUE: &str = "default";

/// One unit of work: the name of a task, its arguments, and what may be said about when and how to run it.
///
/// Arguments stay the JSON text that arrived until the provider that owns them parses them. Fields hold what [`limits`] allows.
#[derive(Clone)]
pub struct Envelope {
    /// Names the piece of work: the same id is done once.
    pub id: String,
    /// What to do.
    pub task: String,
    /// Positional arguments: a JSON array.
    pub args: Option<Box<RawValue>>,
    /// Named arguments, a provider's payload: a JSON object, or an array of them when [`Context::bulk`].
    pub kwargs: Option<Box<RawValue>>,
    /// The queue it belongs on.
    pub queue: String,
    /// Not to be run before.
    pub run_after: Option<Timestamp>,
    /// Not to be run after.
    pub expires: Option<Timestamp>,
    /// Attempts before it is given up, 1 to 100; the consumer's default when not said.
    pub max_attempts: Option<u32>,
    /// The key of the arguments in the object store, where they are too large for a queue: `args` and `kwargs` are then empty.
    pub claim_check: Option<String>,
    /// Where the result is to be sent.
    pub callback_url: Option<String>,
    /// Tenant or ordering key.
    pub group: Option<String>,
    /// The transport that it is to be handed to, by its name; nothing where that is the one whose consumer is to run it. It ends with the hand-over.
    pub backend: Option<String>,
    /// What it is for at that transport: the broker's topic, stream, entity or channel. It ends with the hand-over.
    pub destination: Option<String>,
    /// Ties the envelopes of one notification together.
    pub notification_id: Option<String>,
    /// The recipient.
    pub user: Option<String>,
    /// What the sender wants to have known; mostly free.
    pub context: Context,
    /// W3C `traceparent`.
    pub trace: Option<String>,
    /// Of its content, where that was known when it was sent: arguments may be elsewhere by now.
    pub fingerprint: Option<Fingerprint>,
    /// Whose message it came in; not on the wire.
    pub sender: Sender,
}

/// An envelope's `context`.
#[derive(Clone, Default)]
pub struct Context {
    /// `kwargs` is an array of payloads.
    pub bulk: bool,
    /// Whether the sender wants more to be done when the task has ended: see [`FollowUps`](crate::FollowUps).
    pub follow_ups: bool,
    /// The object as it was written, if there was one.
    pub json: Option<Box<RawValue>>,
}

impl Context {
    /// What an object says that was accepted before.
    #[must_use]
    pub fn of(json: Box<RawValue>) -> Self {
        let (bulk, follow_ups) = Fields::of(json.get()).map_or((false, false), |fields| {
            (fields.raw("bulk").is_some_and(|bulk| bulk.get() == "true"), fields.raw(FollowUps::CONTEXT).is_some())
        });
        Self { bulk, follow_ups, json: Some(json) }
    }

    /// The same for one payload.
    fn without_bulk(&self) -> Self {
        let fields = self.json.as_deref().and_then(|json| Fields::of(json.get()).ok()).map(Fields::into_entries).unwrap_or_default();
        let (mut rest, mut is_empty) = (Object::new(), true);
        for (name, value) in fields.into_iter().filter(|(name, _)| name != "bulk") {
            rest.field(&name, value.get());
            is_empty = false;
        }
        Self { bulk: false, follow_ups: self.follow_ups, json: if is_empty { None } else { rest.raw() } }
    }
}

impl Envelope {
    /// An envelope of which nothing more is said.
    #[must_use]
    pub fn new(id: String, task: String) -> Self {
        Self {
            id,
            task,
            args: None,
            kwargs: None,
            queue: DEFAULT_QUEUE.to_owned(),
            run_after: None,
            expires: None,
            max_attempts: None,
            claim_check: None,
            callback_url: None,
            group: None,
            backend: None,
            destination: None,
            notification_id: None,
            user: None,
            context: Context::default(),
            trace: None,
            fingerprint: None,
            sender: Sender::Native,
        }
    }

    /// The payload as JSON; an empty object when there is none.
    #[must_use]
    pub fn payload(&self) -> &str {
        self.kwargs.as_deref().map_or("{}", RawValue::get)
    }

    /// The payloads of a bulk, as they were written.
    ///
    /// # Errors
    /// `kwargs` is no array.
    pub fn payloads(&self) -> Result<Vec<&RawValue>, serde_json::Error> {
        serde_json::from_str(self.payload())
    }

    /// A bulk without its payloads, to make their envelopes of by [`Envelope::part`].
    #[must_use]
    pub fn head(&self) -> Self {
        Self { kwargs: None, claim_check: None, fingerprint: None, context: self.context.without_bulk(), ..self.clone() }
    }

    /// Of a bulk's [head](Envelope::head), the payload at `place` as an envelope of its own: its id is the same for every attempt at it, and of no other.
    #[must_use]
    pub fn part(&self, place: usize, payload: &RawValue) -> Self {
        Self { id: format!("{}-{place}", self.id), kwargs: Some(payload.to_owned()), ..self.clone() }
    }

    /// Whether it has positional arguments.
    #[must_use]
    pub fn has_args(&self) -> bool {
        self.args.as_deref().is_some_and(|args| args.get().strip_prefix('[').is_none_or(|args| args.trim_ascii() != "]"))
    }

    /// How large its arguments are, in bytes.
    #[must_use]
    pub fn arguments(&self) -> usize {
        [&self.args, &self.kwargs].iter().map(|json| json.as_deref().map_or(0, |json| json.get().len())).sum()
    }

    /// How long from `now` until it may run.
    #[must_use]
    pub fn delay(&self, now: Timestamp) -> Duration {
        self.run_after.map_or(Duration::ZERO, |at| at.since(now))
    }

    /// Whether it is too late to run.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

impl fmt::Debug for Envelope {
    /// Names the envelope without its arguments, recipient or context, which may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("id", &self.id).field("task", &self.task).field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// What the texts of an envelope may hold. Each rule answers what it expected.
pub mod limits {
    type Rule = Result<(), &'static str>;

    fn sized(text: &str, max: usize) -> bool {
        !text.is_empty() && text.len() <= max
    }

    /// 1 to 200 of `[A-Za-z0-9_.:-]`.
    ///
    /// # Errors
    /// The text is none.
    pub fn task(text: &str) -> Rule {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
        if sized(text, 200) && text.bytes().all(allowed) { Ok(()) } else { Err("1 to 200 of the characters A-Z a-z 0-9 _ . : -") }
    }

    /// 1 to 128 visible ASCII characters: also what SQS takes as a group.
    ///
    /// # Errors
    /// The text is none.
    pub fn id(text: &str) -> Rule {
        if sized(text, 128) && text.bytes().all(|b| b.is_ascii_graphic()) { Ok(()) } else { Err("1 to 128 visible ASCII characters") }
    }

    /// 1 to 80 letters, digits, `_`, `-`, and a `.fifo` ending, as SQS names queues.
    ///
    /// # Errors
    /// The text is none.
    pub fn queue(text: &str) -> Rule {
        let stem = text.strip_suffix(".fifo").unwrap_or(text);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if sized(stem, 80) && stem.bytes().all(allowed) {
            Ok(())
        } else {
            Err("the name of a queue: 1 to 80 of the characters A-Z a-z 0-9 _ -")
        }
    }

    /// 1 to 64 of `[A-Za-z0-9_-]`: the name of a transport.
    ///
    /// # Errors
    /// The text is none.
    pub fn backend(text: &str) -> Rule {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if sized(text, 64) && text.bytes().all(allowed) {
            Ok(())
        } else {
            Err("the name of a transport: 1 to 64 of the characters A-Z a-z 0-9 _ -")
        }
    }

    /// 1 to 512 bytes without control characters: the longest that a broker has is the ARN of a topic.
    ///
    /// # Errors
    /// The text is none.
    pub fn destination(text: &str) -> Rule {
        if sized(text, 512) && !text.chars().any(char::is_control) {
            Ok(())
        } else {
            Err("what the transport is to hand it to: 1 to 512 bytes, none of them a control character")
        }
    }

    /// 1 to 256 characters without control characters.
    ///
    /// # Errors
    /// The text is none.
    pub fn label(text: &str) -> Rule {
        if sized(text, 1024) && text.chars().count() <= 256 && !text.chars().any(char::is_control) {
            Ok(())
        } else {
            Err("1 to 256 characters, none of them a control character")
        }
    }

    /// 1 to 62 of `[A-Za-z0-9_.-]`: EventBridge Scheduler's rule, less room for a prefix.
    ///
    /// # Errors
    /// The text is none.
    pub fn schedule(text: &str) -> Rule {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if sized(text, 62) && text.bytes().all(allowed) { Ok(()) } else { Err("1 to 62 of the characters A-Z a-z 0-9 _ . -") }
    }

    /// 1 to 100 of `[a-z0-9-]` in two parts with a `/` between.
    ///
    /// # Errors
    /// The text is none.
    pub fn object_key(text: &str) -> Rule {
        let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if text.len() <= 100 && text.split_once('/').is_some_and(|(lifetime, name)| part(lifetime) && part(name)) {
            Ok(())
        } else {
            Err("the key of an object that holds arguments")
        }
    }

    /// An `https` URL of at most 2,048 visible characters, as it is called ([`ascii_url`](crate::ascii_url)), or an `http` URL of this machine itself, for trying out.
    ///
    /// # Errors
    /// The text is none.
    pub fn callback_url(text: &str) -> Rule {
        let text = &*crate::ascii_url(text).unwrap_or_default();
        let secure = text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
        let local = text.strip_prefix("http://").is_some_and(|rest| {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            matches!(name, "localhost" | "127.0.0.1" | "[::1]")
        });
        if (secure || local) && text.len() <= 2048 && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(())
        } else {
            Err("an https URL of at most 2,048 characters")
        }
    }

    /// A W3C `traceparent`: <https://www.w3.org/TR/trace-context/#traceparent-header-field-values>.
    ///
    /// # Errors
    /// The text is none.
    pub fn traceparent(text: &str) -> Rule {
        let hex = |part: &str, len| part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let parts: Vec<&str> = text.split('-').collect();
        match parts[..] {
            [version, trace, parent, flags] if hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2) => Ok(()),
            _ => Err("a W3C traceparent"),
        }
    }
}
