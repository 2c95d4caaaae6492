//! Tasks that another task does, whose payload is made of their arguments.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{
    BoxFuture, Envelope, Handled, Json, Run, Task,
    json::{self, Object},
};

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
    fn envelope(&self, envelope: &Envelope) -> Envelope {
        let mut mapped = Envelope { task: self.mapping.task.clone(), ..envelope.clone() };
        let Some(payload) = &self.mapping.payload else { return mapped };
        let mut arguments = Object::new();
        for (name, json) in [("args", &envelope.args), ("kwargs", &envelope.kwargs), ("context", &envelope.context.json)] {
            arguments.field(name, json.as_deref().map_or("null", RawValue::get));
        }
        (mapped.args, mapped.kwargs, mapped.context.bulk) = (None, fields(payload, &arguments.end()).raw(), false);
        mapped
    }
}

fn fields(template: &Map<String, Value>, arguments: &str) -> Object {
    let mut filled = Object::new();
    for (name, value) in template {
        if let Some(value) = fill(value, arguments) {
            filled.field(name, value.get());
        }
    }
    filled
}

/// A value with what its pointers point to, as that was written; nothing where one points to nothing.
fn fill(template: &Value, arguments: &str) -> Option<Json> {
    match template {
        Value::String(text) if points(text) => json::at(arguments, text).map(Json::from).filter(|value| !value.is_null()),
        Value::Array(values) => Some(Json::of(&values.iter().filter_map(|value| fill(value, arguments)).collect::<Vec<_>>())),
        Value::Object(map) => fields(map, arguments).raw().map(Json::from),
        constant => Some(Json::of(constant)),
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
            let envelope = self.envelope(run.envelope);
            self.task.run(Run { envelope: &envelope, ..run }).await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pointers_are_filled_and_what_is_not_there_is_left_out() {
        let template = json!({
            "to": ["/args/0", "/args/9"], "subject": "/kwargs/a~1b", "body": "/argsx", "all": "/args", "n": { "x": "/kwargs/none", "y": 7 }, "user": "/context/user",
        });
        let arguments = r#"{"args":["a@example.com", 1e400 ,null],"kwargs":{"a/b":"H\u0069"},"context":{"user":"u"}}"#;
        let payload = fields(template.as_object().unwrap(), arguments);
        assert_eq!(
            payload.end(),
            r#"{"all":["a@example.com", 1e400 ,null],"body":"/argsx","n":{"y":7},"subject":"H\u0069","to":["a@example.com"],"user":"u"}"#
        );
    }
}
