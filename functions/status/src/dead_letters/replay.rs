//! Sends a dead letter again. It goes through the claim as any message does: one that is sent twice is delivered once.

use errand_core::{Buried, Change, Envelope, Fields, Json, Message, Problem, Problems, Sender, Status, Timestamp, json, segment};
use errand_wire::{Content, Decoded, native};

use crate::Operations;

impl Operations {
    /// Sends a letter's envelope, as `edit` changes it; answers its id, or why not, for the operator.
    pub(super) async fn replay(&self, letter: &Buried, edit: Option<&Json>) -> Result<String, String> {
        let now = Timestamp::now();
        let mut envelope = self.envelope(letter, edit).map_err(|problems| problems.to_string())?;
        if envelope.expired(now) {
            return Err("it is too late to run it: edit expires".to_owned());
        }
        match self.store.reopen(&envelope, now).await.map_err(|error| error.to_string())? {
            Change::Unknown => self.register(&envelope, now).await?,
            Change::Refused(task) if !self.is_of(&envelope).await? => {
                return Err(format!("the task is {} with other arguments: edit its id to run these as well", task.status));
            }
            // It was buried because what follows on it could not be sent, if anything is to: its consumer finds it done, and sends that.
            Change::Refused(task) if task.status == Status::Successful && envelope.context.follow_ups => {}
            Change::Refused(task) if task.status == Status::Successful => return Ok(envelope.id),
            Change::Refused(task) if task.status.ended() => {
                return Err(format!("the task is {}: edit its id to run it all the same", task.status));
            }
            // Given up, or waiting: an earlier replay may have ended before the message was sent.
            Change::Changed(_) | Change::Refused(_) => {}
        }
        self.dispatch.publish(&mut envelope, now).await.map_err(|error| error.to_string())?;
        Ok(envelope.id)
    }

    /// Writes what is to be run before it is sent.
    async fn register(&self, envelope: &Envelope, now: Timestamp) -> Result<(), String> {
        let backend = self.dispatch.route(envelope, now).map_err(|error| error.to_string())?;
        let status = if envelope.delay(now).is_zero() { Status::Ready } else { Status::Scheduled };
        self.store.register(envelope, status, backend, now).await.map(drop).map_err(|error| error.to_string())
    }

    /// Whether the record of this id is of the same content.
    async fn is_of(&self, envelope: &Envelope) -> Result<bool, String> {
        let known = self.store.get(&envelope.id).await.map_err(|error| error.to_string())?;
        Ok(known.is_none_or(|(_, header)| header.is_of(envelope.content())))
    }

    /// The envelope in a letter, with the fingerprint of its content. One that had no id has the letter's.
    fn envelope(&self, letter: &Buried, edit: Option<&Json>) -> Result<Envelope, Problems> {
        let id = letter.letter.id.as_ref().unwrap_or(&letter.key);
        let Some(edit) = edit else {
            let envelope = only(decode(&letter.body, id, letter)?)?;
            return Ok(Envelope { fingerprint: Some(envelope.content()), ..envelope });
        };
        // What is no object of fields is no message: the edit has to say all of it.
        let body = if Fields::of(&letter.body).is_ok() { letter.body.trim() } else { "{}" };
        let body = json::merge(body, edit.get())?;
        let decoded = decode(&body, id, letter)?;
        let sender = decoded.sender;
        let mut envelope = only(decoded)?;
        if changes_content(edit) {
            envelope.fingerprint = None;
        }
        envelope.fingerprint = Some(envelope.content());
        // What is not edited was accepted once; what is must be what its task takes.
        let mut fields = Fields::of(&body)?;
        self.payloads.check_message(&mut fields, &envelope);
        let envelope = fields.finish(Some(envelope))?;
        let unread = match sender {
            Sender::Native | Sender::DjangoTasksCloud => self.unread(&body, &envelope, edit),
            _ => added(&letter.body, edit),
        };
        if unread.is_empty() { Ok(envelope) } else { Err(Problems(unread)) }
    }

    /// What an edit puts into an envelope that nobody reads.
    fn unread(&self, body: &str, envelope: &Envelope, edit: &Json) -> Vec<Problem> {
        let Ok(mut fields) = Fields::of(body).map(Fields::strict) else { return Vec::new() };
        native::read(&mut fields, String::new);
        self.payloads.check_message(&mut fields, envelope);
        let problems = fields.finish(Some(())).err().map(|problems| problems.0).unwrap_or_default();
        problems.into_iter().filter(|problem| json::at(edit.get(), &problem.pointer).is_some()).collect()
    }
}

/// What an edit adds to a message of another's form, in which all stands that is read.
fn added(body: &str, edit: &Json) -> Vec<Problem> {
    let (Ok(fields), Ok(edit)) = (Fields::of(body), Fields::of(edit.get())) else { return Vec::new() };
    let names: Vec<&str> = fields.entries().map(|(name, _)| name).collect();
    let problem = |name: &str| Problem {
        pointer: format!("/{}", segment(name)),
        detail: format!("is no field of this message, which has {}", names.join(", ")),
    };
    edit.entries().filter(|(name, _)| !names.contains(name)).map(|(name, _)| problem(name)).collect()
}

/// Whether an edit names a field that is content: what else is changed leaves a content what it was, wherever its arguments are.
fn changes_content(edit: &Json) -> bool {
    let content = ["task", "task_name", "args", "kwargs", "context", "claim_check"];
    Fields::of(edit.get()).map(Fields::into_entries).unwrap_or_default().iter().any(|(name, _)| content.contains(&name.as_ref()))
}

/// Reads what is in a letter as a consumer would have read it: what does not say which queue it belongs to goes back to its own.
fn decode(body: &str, id: &str, letter: &Buried) -> Result<Decoded, Problems> {
    let (id, attributes, queue) = (id.to_owned(), letter.attributes.clone(), letter.queue.clone());
    let message = Message { id, attributes, queue, ..errand_wire::lambda::message(body.to_owned()) };
    errand_wire::decode(&message).map_err(|refused| refused.problems)
}

fn only(decoded: Decoded) -> Result<Envelope, Problems> {
    match decoded.content {
        Content::Envelopes(mut envelopes) if envelopes.len() == 1 => Ok(envelopes.remove(0)),
        Content::Envelopes(_) => Err(Problems::whole("holds several tasks: let the queue itself send it again (StartMessageMoveTask)")),
        Content::Elsewhere(_) => Err(Problems::whole("is in S3: let the queue itself send it again (StartMessageMoveTask)")),
        Content::Nothing(why) => Err(Problems::whole(why)),
    }
}
