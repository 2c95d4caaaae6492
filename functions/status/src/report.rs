//! What remote workers report: those that a task was handed to, with the token that came with it.

use errand_api::{ProblemDocument, Request, Response, bearer, json, json_body};
use errand_core::{BODY_LIMIT, Fields, Json, Outcome, Problems, Progress, Report, Status, TaskError, TaskResult, Timestamp, limits};
use http::{StatusCode, header};

use crate::Operations;

impl Operations {
    pub(crate) async fn report(&self, id: &str, request: &Request) -> Result<Response, ProblemDocument> {
        let token = bearer(request).ok_or_else(unauthorised)?;
        let outcome = read(json_body(request, BODY_LIMIT)?).map_err(ProblemDocument::of_body)?;
        match self.store.report(id, token, &outcome, Timestamp::now()).await? {
            Report::Recorded(task) => {
                if task.status.ended() {
                    self.call_back(&task).await?;
                }
                Ok(json(StatusCode::OK, &task))
            }
            // What is said again, or comes late, is no mistake: answers get lost, and messages overtake each other.
            Report::Ended(task) if !contradicts(&task, &outcome) => {
                self.call_back(&task).await?;
                Ok(json(StatusCode::OK, &task))
            }
            Report::Ended(task) => {
                Err(ProblemDocument::new(StatusCode::CONFLICT, &format!("the task has ended before: it is {}", task.status)))
            }
            Report::Unknown => Err(unauthorised()),
        }
    }
}

/// Whether a report says that a task ended otherwise than it did.
fn contradicts(task: &TaskResult, outcome: &Outcome) -> bool {
    outcome.status().ended() && outcome.status() != task.status
}

/// The same for a task that nobody knows and for a token that is not its own, which tells nobody what ids there are.
fn unauthorised() -> ProblemDocument {
    let detail =
        "send the token that came with the task, with the header authorization: Bearer <token>; it is good until the task is tried again";
    ProblemDocument::new(StatusCode::UNAUTHORIZED, detail).with_header(header::WWW_AUTHENTICATE, "Bearer")
}

fn read(body: &str) -> Result<Outcome, Problems> {
    errand_wire::check_body(body, BODY_LIMIT)?;
    let mut fields = Fields::of(body)?.strict();
    let status = fields.required::<Status>("status");
    let value = fields.raw("return_value").map(Json::from).unwrap_or_default();
    if value.get().len() > TaskResult::VALUE_LIMIT {
        fields.refuse("return_value", format!("expected at most {} bytes of JSON", TaskResult::VALUE_LIMIT));
    }
    let errors = fields.objects("errors", |error| {
        let (kind, text) = (error.required::<String>("exception_class_path"), error.optional::<String>("traceback"));
        Some(TaskError::new(&kind?, &text.unwrap_or_default()))
    });
    if errors.len() > TaskResult::ERRORS_LIMIT {
        fields.refuse("errors", format!("expected at most {}", TaskResult::ERRORS_LIMIT));
    }
    let worker = fields.text("worker_id", limits::label);
    let outcome = match status {
        Some(Status::Running) => Some(Outcome::Started { worker: worker.unwrap_or_else(|| "remote".to_owned()) }),
        Some(Status::Successful) => Some(Outcome::Succeeded(value)),
        Some(Status::Failed) => Some(Outcome::Failed { errors, progress: Progress::default() }),
        Some(_) => {
            fields.refuse("status", "expected RUNNING, SUCCESSFUL or FAILED");
            None
        }
        None => None,
    };
    fields.finish(outcome)
}
