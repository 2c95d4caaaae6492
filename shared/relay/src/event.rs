use errand_core::{BODY_LIMIT, Context, Digest, Envelope, ErrorKind, Fields, Problems, Timestamp, limits};
use errand_wire::cloudevents;

/// An event as it waits in an application's table.
#[derive(Clone)]
pub struct Event {
    /// What its place in the stream or table is called: what a letter has as its id where the event itself cannot be read.
    pub name: String,
    /// A CloudEvent in structured mode, or why there is none.
    pub content: Result<String, Unreadable>,
    /// What order is kept within; without one, its order is nobody's concern.
    pub key: Option<String>,
    /// The queue that it is for, by its name at the transport that it goes to.
    pub queue: Option<String>,
    /// When it was written.
    pub written_at: Option<Timestamp>,
}

/// Why what waits is no event.
#[derive(Clone)]
pub struct Unreadable {
    /// [`ErrorKind::Malformed`], which is for good, or what may pass.
    pub kind: ErrorKind,
    /// For an operator: no value is repeated.
    pub reason: String,
    /// What there is in its place, for the letter.
    pub body: String,
}

impl Event {
    /// What is to be published. Its group is the key; without one, what the event says itself (`partitionkey`).
    ///
    /// # Errors
    /// It is no CloudEvent.
    pub(crate) fn read(&self) -> Result<Envelope, Unreadable> {
        let text = self.content.as_deref().map_err(Unreadable::clone)?;
        let envelope = read(text).map_err(|problems| Unreadable {
            kind: ErrorKind::Malformed,
            reason: problems.to_string(),
            body: text.to_owned(),
        })?;
        // The attributes of an event may come in any order, and are no content.
        let content = Envelope { context: Context::default(), ..envelope.clone() }.content();
        let group = self.key.as_deref().map(group).or(envelope.group);
        let queue = self.queue.clone().unwrap_or(envelope.queue);
        Ok(Envelope { group, queue, fingerprint: Some(content), ..envelope })
    }
}

fn read(text: &str) -> Result<Envelope, Problems> {
    errand_wire::check_body(text, BODY_LIMIT)?;
    cloudevents::read(Fields::of(text)?)
}

/// A key as a group: itself, or its digest where a group cannot be so.
pub(crate) fn group(key: &str) -> String {
    if limits::id(key).is_ok() { key.to_owned() } else { Digest::of(key.as_bytes()).short() }
}
