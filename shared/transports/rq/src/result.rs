use std::{collections::HashMap, io::Read as _};

use errand_core::{Json, TaskError, WorkerResult, from_base64};
use errand_redis::redis::{Pipeline, pipe};
use flate2::read::ZlibDecoder;

use crate::{job::key, options::is_path};

/// The most of a traceback that is read, in bytes: more than is kept of it.
const LONGEST: u64 = 64 * 1024;

/// What Redis answers to [`ask`]: what stands in the job, and its newest result.
pub(crate) type Told = ((Option<String>, Option<String>, Option<String>), Vec<(String, HashMap<String, Vec<u8>>)>);

/// What asks how a job is, and how it ended.
pub(crate) fn ask(job_id: &str) -> Pipeline {
    let mut ask = pipe();
    ask.cmd("HMGET").arg(key(job_id)).arg(&["status", "started_at", "worker_name"]);
    ask.cmd("XREVRANGE").arg(format!("rq:results:{job_id}")).arg("+").arg("-").arg("COUNT").arg(1);
    ask
}

/// What is known of a job. <https://python-rq.org/docs/results/>
pub(crate) fn read(((status, started_at, worker), results): Told) -> WorkerResult {
    let result = results.first().map(|(_, fields)| fields);
    let field = |name: &str| result.and_then(|fields| std::str::from_utf8(fields.get(name)?).ok());
    match status.as_deref() {
        Some("finished") => WorkerResult::Succeeded(field("return_value").and_then(return_value).unwrap_or_default()),
        Some("failed") => WorkerResult::Failed(failure(field("exc_string").and_then(traceback).unwrap_or_default().as_str())),
        Some(status @ ("stopped" | "canceled")) => WorkerResult::Failed(TaskError::new(&format!("rq.{status}"), "somebody ended the job")),
        Some("started") => WorkerResult::Started { worker: worker.filter(|worker| !worker.is_empty()) },
        // It waits to be tried again.
        Some(_) if started_at.is_some_and(|at| !at.is_empty()) => WorkerResult::Started { worker: None },
        _ => WorkerResult::Pending,
    }
}

/// What a function has returned: its JSON in base64.
fn return_value(text: &str) -> Option<Json> {
    Json::parse(&from_base64(text)?)
}

/// What Python told of a failure: compressed, and in base64.
fn traceback(text: &str) -> Option<String> {
    let mut told = Vec::new();
    ZlibDecoder::new(from_base64(text)?.as_slice()).take(LONGEST).read_to_end(&mut told).ok()?;
    Some(String::from_utf8_lossy(&told).trim_end().to_owned())
}

/// The failure that a traceback tells: its last line that begins with the name of an exception has it.
fn failure(traceback: &str) -> TaskError {
    let name = |line: &str| line.split(':').next().filter(|name| is_path(name)).map(str::to_owned);
    let name = traceback.lines().rev().find_map(name);
    TaskError::new(name.as_deref().unwrap_or("rq.failed"), traceback)
}
