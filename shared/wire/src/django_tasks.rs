//! django-tasks-cloud's `{"task": …, "args": […], "kwargs": {…}}`, which is read as Errand's own form. <https://github.com/papercloudtech/django-tasks-cloud>

use errand_core::{Envelope, PublishError, json, json::Object};
use serde_json::value::RawValue;

use crate::{
    format::{DjangoTasks, TaskKey},
    native,
};

/// The text of an envelope.
///
/// # Errors
/// It holds many payloads.
pub(crate) fn encode(envelope: &Envelope, DjangoTasks { key }: DjangoTasks) -> Result<String, PublishError> {
    if envelope.context.bulk {
        return Err(PublishError::Refused(
            "the format django-tasks has no form for many payloads: send each as a task of its own".to_owned(),
        ));
    }
    let name = match key {
        TaskKey::Task => "task",
        TaskKey::TaskName => "task_name",
    };
    let mut body = Object::new();
    body.field(name, &json::text(&envelope.task));
    body.field("args", envelope.args.as_deref().map_or("[]", RawValue::get));
    body.field("kwargs", envelope.payload());
    Ok(native::escape(body.end()))
}
