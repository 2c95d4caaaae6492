//! What Celery's workers leave of a task in a result backend. <https://github.com/celery/celery/blob/v5.7.0/celery/backends/base.py>

use errand_core::{Fields, Json, Problems, TaskError, WorkerResult};

/// The key of a task's result in a result backend.
#[must_use]
pub fn result_key(id: &str) -> String {
    format!("celery-task-meta-{id}")
}

/// Reads what stands under a task's key.
///
/// # Errors
/// It is not JSON of Celery's: workers write that unless their `result_serializer` says otherwise.
pub fn worker_result(text: &str) -> Result<WorkerResult, Problems> {
    let mut fields = Fields::of(text)?;
    let status: Option<String> = fields.required("status");
    let result = fields.raw("result").map(Json::from).unwrap_or_default();
    let outcome = match status.as_deref() {
        Some("PENDING" | "RECEIVED") => Some(WorkerResult::Pending),
        Some("SUCCESS") => Some(WorkerResult::Succeeded(result)),
        Some("FAILURE" | "REVOKED" | "REJECTED" | "IGNORED") => {
            let traceback = fields.optional("traceback").filter(|traceback: &String| !traceback.is_empty());
            Some(WorkerResult::Failed(error(&result, traceback, status.as_deref().unwrap_or_default())))
        }
        // Begun, waiting to try it again, or a state of the task's own, such as how far it is.
        Some(_) => Some(WorkerResult::Started { worker: worker(&result) }),
        None => None,
    };
    fields.finish(outcome)
}

/// The worker's name, where `task_track_started` has it told.
fn worker(result: &Json) -> Option<String> {
    Fields::of(result.get()).ok()?.optional("hostname")
}

/// An exception, with its traceback where there is one. What was revoked was not run, since it had expired or was taken back.
fn error(result: &Json, traceback: Option<String>, status: &str) -> TaskError {
    let Ok(mut fields) = Fields::of(result.get()) else {
        return TaskError::new(&format!("celery.{}", status.to_lowercase()), result.get());
    };
    let kind = fields.optional("exc_type").unwrap_or_else(|| status.to_owned());
    let module = match fields.raw("exc_module").map(|module| module.get()) {
        // Where exceptions of Python itself are, or where they are declared in.
        Some(list) if list.starts_with('[') => fields.list::<String>("exc_module").join("."),
        _ => fields.optional("exc_module").unwrap_or_default(),
    };
    let told = fields.raw("exc_message").map_or("", |message| message.get());
    let message = match serde_json::from_str::<Vec<&serde_json::value::RawValue>>(told).as_deref() {
        Ok([one]) => serde_json::from_str(one.get()).unwrap_or_else(|_| one.get().to_owned()),
        _ => serde_json::from_str(told).unwrap_or_else(|_| told.to_owned()),
    };
    let path = if module.is_empty() { kind.clone() } else { format!("{module}.{kind}") };
    TaskError::new(&path, &traceback.unwrap_or_else(|| format!("{kind}: {message}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(text: &str) -> (String, String) {
        match worker_result(text) {
            Ok(WorkerResult::Failed(TaskError { exception_class_path, traceback })) => (exception_class_path, traceback),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_workers_leave_is_read() {
        let done = r#"{"status":"SUCCESS","result":{"n":1e400, "a":[1]},"traceback":null,"children":[],"date_done":"2026-11-20T20:53:37+00:00","task_id":"a"}"#;
        assert_eq!(worker_result(done), Ok(WorkerResult::Succeeded(Json::parse(br#"{"n":1e400, "a":[1]}"#).unwrap())));
        assert_eq!(worker_result(r#"{"status":"SUCCESS","result":null}"#), Ok(WorkerResult::Succeeded(Json::default())));
        let started = r#"{"status":"STARTED","result":{"pid":7,"hostname":"celery@shop"},"traceback":null}"#;
        assert_eq!(worker_result(started), Ok(WorkerResult::Started { worker: Some("celery@shop".to_owned()) }));
        let retried =
            r#"{"status":"RETRY","result":{"exc_type":"Retry","exc_message":["x"],"exc_module":"celery.exceptions"},"traceback":"T"}"#;
        for text in [retried, r#"{"status":"PROGRESS","result":{"done":3}}"#] {
            assert_eq!(worker_result(text), Ok(WorkerResult::Started { worker: None }));
        }
        assert_eq!(worker_result(r#"{"status":"PENDING","result":null}"#), Ok(WorkerResult::Pending));
    }

    #[test]
    fn failures_name_the_exception() {
        let raised = r#"{"status":"FAILURE","result":{"exc_type":"OutOfStock","exc_message":["no 7 left"],"exc_module":"shop.errors"},"traceback":"Traceback:\nshop.errors.OutOfStock: no 7 left"}"#;
        assert_eq!(failed(raised), ("shop.errors.OutOfStock".to_owned(), "Traceback:\nshop.errors.OutOfStock: no 7 left".to_owned()));
        let unknown = r#"{"status":"FAILURE","result":{"exc_type":"NotRegistered","exc_message":["no.such.task"],"exc_module":"celery.exceptions"},"traceback":null}"#;
        assert_eq!(failed(unknown), ("celery.exceptions.NotRegistered".to_owned(), "NotRegistered: no.such.task".to_owned()));
        let revoked =
            r#"{"status":"REVOKED","result":{"exc_type":"TaskRevokedError","exc_message":["expired"],"exc_module":"celery.exceptions"}}"#;
        assert_eq!(failed(revoked).1, "TaskRevokedError: expired");
        let several =
            r#"{"status":"FAILURE","result":{"exc_type":"OSError","exc_message":[2,"no"],"exc_module":["builtins"]},"traceback":""}"#;
        assert_eq!(failed(several), ("builtins.OSError".to_owned(), r#"OSError: [2,"no"]"#.to_owned()));
        assert_eq!(failed(r#"{"status":"IGNORED","result":null}"#), ("celery.ignored".to_owned(), "null".to_owned()));
        assert_eq!(failed(r#"{"status":"FAILURE","result":{"exc_type":"E","exc_message":"old"}}"#), ("E".to_owned(), "E: old".to_owned()));
    }

    #[test]
    fn what_is_no_json_of_celerys_is_refused() {
        for text in ["\u{80}\u{4}", "[]", "{}", r#"{"status":7}"#] {
            assert!(worker_result(text).is_err(), "{text}");
        }
    }
}
