//! Sends a dead letter again. It goes through the claim as any message does: one that is sent twice is delivered once.

use errand_core::{Buried, Change, Envelope, Fields, Message, Problems, Status, Timestamp};
use errand_wire::{Content, Decoded};
use serde_json::{Map, Value};

use crate::Operations;

impl Operations {
    /// Sends a letter's envelope, as `edit` changes it; answers its id, or why not, for the operator.
    pub(super) async fn replay(&self, letter: &Buried, edit: Option<&Value>) -> Result<String, String> {
        let now = Timestamp::now();
        let mut envelope = self.envelope(letter, edit).map_err(|problems| problems.to_string())?;
        if envelope.expired(now) {
            return Err("it is too late to run it: edit expires".to_owned());
        }
        match self.store.reopen(&envelope.id, now).await.map_err(|error| error.to_string())? {
            // It was buried because what follows on it could not be sent, if anything is to: its consumer finds it done, and sends that.
            Change::Refused(task) if task.status == Status::Successful && envelope.context.follow_ups => {}
            Change::Refused(task) if task.status == Status::Successful => return Ok(envelope.id),
            Change::Refused(task) if task.status.ended() => {
                return Err(format!("the task is {}: edit its id to run it all the same", task.status));
            }
            // Given up, not known, or waiting: an earlier replay may have ended before the message was sent.
            Change::Changed(_) | Change::Refused(_) | Change::Unknown => {}
        }
        self.outbox.publish(&mut envelope, now).await.map_err(|error| error.to_string())?;
        Ok(envelope.id)
    }

    /// The envelope in a letter. One that had no id has the letter's.
    fn envelope(&self, letter: &Buried, edit: Option<&Value>) -> Result<Envelope, Problems> {
        let id = letter.letter.id.as_ref().unwrap_or(&letter.key);
        let Some(edit) = edit else { return only(decode(&letter.body, id, letter)?) };
        let mut body = serde_json::from_str(&letter.body).unwrap_or(Value::Object(Map::new()));
        merge(&mut body, edit);
        let body = body.to_string();
        let envelope = only(decode(&body, id, letter)?)?;
        let mut fields = Fields::of(&body)?;
        // What is not edited was accepted once; what is must be what its task takes.
        self.payloads.check_envelope(&mut fields, &envelope);
        fields.finish(Some(envelope))
    }
}

/// Reads what is in a letter as a consumer would have read it.
fn decode(body: &str, id: &str, letter: &Buried) -> Result<Decoded, Problems> {
    let message = Message { id: id.to_owned(), attributes: letter.attributes.clone(), ..errand_wire::lambda::message(body.to_owned()) };
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

/// Applies a JSON merge patch: <https://www.rfc-editor.org/rfc/rfc7396#section-2>.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in changes {
        match change {
            Value::Null => drop(fields.remove(name)),
            change => merge(fields.entry(name).or_insert(Value::Null), change),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_merges_as_the_rfc_says() {
        // From RFC 7396, appendix A.
        for (target, patch, wanted) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!(["a", "b"]), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, wanted, "{target} with {patch}");
        }
    }
}
