//! Tasks that another task does, whose payload is made of their arguments.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue, value::to_raw_value};

use crate::{BoxFuture, DeliveryError, Envelope, ErrorKind, Handled, Run, Task};

/// What a route says that names a task: `{"task":"email","payload":{"to":["/args/0"],"subject":"/kwargs/subject"}}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mapping {
    /// The task that does it.
    pub(crate) task: String,
    /// Its payload, in which texts that begin with one of [`ROOTS`] are JSON pointers (RFC 6901) to what stands in their place. What is not there is left out.
    /// Without it, the payload is the task's `kwargs`.
    pub(crate) payload: Option<Map<String, Value>>,
}

/// What pointers may point into.
const ROOTS: [&str; 3] = ["/args", "/kwargs", "/context"];

/// A task under another name.
pub(crate) struct Mapped {
    pub(crate) task: Arc<dyn Task>,
    pub(crate) mapping: Mapping,
}

impl Mapped {
    /// The envelope that the other task is given.
    fn envelope(&self, envelope: &Envelope) -> Result<Envelope, DeliveryError> {
        let mut mapped = Envelope { task: self.mapping.task.clone(), ..envelope.clone() };
        let Some(payload) = &self.mapping.payload else { return Ok(mapped) };
        let value = |json: Option<&RawValue>| json.and_then(|json| serde_json::from_str::<Value>(json.get()).ok()).unwrap_or_default();
        let arguments = json!({
            "args": value(envelope.args.as_deref()), "kwargs": value(envelope.kwargs.as_deref()), "context": value(envelope.context.json.as_deref()),
        });
        let payload = fields(payload, &arguments);
        let payload = to_raw_value(&payload).map_err(|_| DeliveryError::new(ErrorKind::InvalidPayload, "no payload can be made of it"))?;
        (mapped.args, mapped.kwargs, mapped.context.bulk) = (None, Some(payload), false);
        Ok(mapped)
    }
}

fn fields(template: &Map<String, Value>, arguments: &Value) -> Map<String, Value> {
    template.iter().filter_map(|(name, value)| Some((name.clone(), fill(value, arguments)?))).collect()
}

/// A value with what its pointers point to; nothing where one points to nothing.
fn fill(template: &Value, arguments: &Value) -> Option<Value> {
    match template {
        Value::String(text) if points(text) => arguments.pointer(text).filter(|value| !value.is_null()).cloned(),
        Value::Array(values) => Some(values.iter().filter_map(|value| fill(value, arguments)).collect()),
        Value::Object(map) => Some(fields(map, arguments).into()),
        constant => Some(constant.clone()),
    }
}

fn points(text: &str) -> bool {
    ROOTS.iter().any(|root| text.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

impl Task for Mapped {
    fn provider(&self) -> &'static str {
        self.task.provider()
    }

    fn timeout(&self) -> Duration {
        self.task.timeout()
    }

    fn hands_over(&self) -> bool {
        self.task.hands_over()
    }

    fn run<'a>(&'a self, run: Run<'a>) -> BoxFuture<'a, Handled> {
        async move {
            match self.envelope(run.envelope) {
                Ok(envelope) => self.task.run(Run { envelope: &envelope, ..run }).await,
                Err(error) => Handled::One(Err(error)),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_filled_and_what_is_not_there_is_left_out() {
        let template = json!({
            "to": ["/args/0", "/args/9"], "subject": "/kwargs/a~1b", "body": "/argsx", "all": "/args", "n": { "x": "/kwargs/none", "y": 7 }, "user": "/context/user",
        });
        let arguments = json!({ "args": ["a@example.com", null], "kwargs": { "a/b": "Hi" }, "context": { "user": "u" } });
        let payload = fields(template.as_object().unwrap(), &arguments);
        assert_eq!(
            Value::from(payload),
            json!({ "to": ["a@example.com"], "subject": "Hi", "body": "/argsx", "all": ["a@example.com", null], "n": { "y": 7 }, "user": "u" })
        );
    }
}
