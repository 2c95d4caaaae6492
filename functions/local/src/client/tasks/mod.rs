//! Words for tasks.

mod cancel;
mod reschedule;
mod send;
mod status;
mod tail;
mod work;

pub(crate) use cancel::Cancel;
pub(crate) use reschedule::Move;
pub(crate) use send::Send;
pub(crate) use status::Status;
pub(crate) use tail::Tail;
pub(super) use work::{Conditions, json_value};

use std::error::Error;

use errand_api::LONGEST_WAIT;
use errand_core::{Json, Status as TaskStatus};

use super::{
    endpoint::{Api, part, path},
    output::{Field, Output, tell},
};

/// What is told of a task.
const FIELDS: &[Field] = &[
    Field::text("id", "/id"),
    Field::text("task", "/task"),
    Field::status("status", "/status"),
    Field::text("queue", "/queue"),
    Field::text("user", "/user"),
    Field::text("notification", "/notification_id"),
    Field::text("group", "/group"),
    Field::text("args", "/args"),
    Field::text("kwargs", "/kwargs"),
    Field::time("enqueued", "/enqueued_at"),
    Field::time("run after", "/run_after"),
    Field::time("expires", "/expires"),
    Field::time("started", "/started_at"),
    Field::time("last attempt", "/last_attempted_at"),
    Field::time("next attempt", "/next_attempt_at"),
    Field::time("finished", "/finished_at"),
    Field::text("attempts", "/attempts"),
    Field::text("worker", "/worker_ids"),
    Field::text("returned", "/return_value"),
    Field::text("errors", "/errors"),
];

/// Waits until a task has ended, and tells of it.
async fn wait(api: &Api, output: &Output, id: &str) -> Result<(), Box<dyn Error>> {
    loop {
        let task = api.get(&format!("{}?wait={}", path("tasks", &[id]), LONGEST_WAIT.as_secs())).await?;
        let status: String = part(&task, "/status");
        if TaskStatus::named(&status).is_some_and(TaskStatus::ended) {
            return told(output, &task);
        }
        tell(&format!("{id} is {status}"));
    }
}

/// Tells of a task. One that was not done, and will not be, is the command's failure as well.
pub(super) fn told(output: &Output, task: &Json) -> Result<(), Box<dyn Error>> {
    output.one(task, FIELDS);
    match TaskStatus::named(&part::<String>(task, "/status")) {
        Some(TaskStatus::Failed) => Err(why(task).into()),
        Some(ended @ (TaskStatus::Cancelled | TaskStatus::Expired)) => Err(format!("the task is {ended}: it was not done").into()),
        Some(TaskStatus::Ready | TaskStatus::Running | TaskStatus::Successful | TaskStatus::Scheduled) | None => Ok(()),
    }
}

fn why(task: &Json) -> String {
    let errors: Vec<Json> = part(task, "/errors");
    let Some(last) = errors.last() else { return "the task has failed".to_owned() };
    format!("the task has failed: {} {}", part::<String>(last, "/exception_class_path"), part::<String>(last, "/traceback"))
}
