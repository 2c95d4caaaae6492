//! Sends a dead letter again. It goes through the claim as any message does: one that is sent twice is delivered once.

use errand_core::{Buried, Change, Envelope, Fields, Problems, Status, Timestamp};
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
        let Some(edit) = edit else { return errand_wire::decode(&letter.body, id) };
        let mut body = serde_json::from_str(&letter.body).unwrap_or(Value::Object(Map::new()));
        merge(&mut body, edit);
        let body = body.to_string();
        let envelope = errand_wire::decode(&body, id)?;
        let mut fields = Fields::of(&body)?;
        // What is not edited was accepted once; what is must be what its task takes.
        self.payloads.check_envelope(&mut fields, &envelope);
        fields.finish(Some(envelope))
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
