//! The queries of lists.

use std::time::Duration;

use errand_api::ProblemDocument;
use errand_core::{Filter, Status, Timestamp};
use http::StatusCode;

const DEFAULT_LIMIT: usize = 20;
const MOST: usize = 100;

/// The longest `wait` that may be asked for, in seconds.
const LONGEST_WAIT: u64 = 30;

/// Which part of a list is wanted.
pub(crate) struct Page {
    pub(crate) limit: usize,
    pub(crate) cursor: Option<String>,
}

/// Reads `limit` and `cursor`.
pub(crate) fn page(query: &str) -> Result<Page, ProblemDocument> {
    read(query, "limit, cursor", |_, _| Ok(false))
}

/// Reads `wait`, in seconds.
pub(crate) fn wait(query: &str) -> Result<Duration, ProblemDocument> {
    let mut wait = Duration::ZERO;
    for (name, value) in errand_api::query_pairs(query) {
        let seconds = value.parse().ok().filter(|seconds| *seconds <= LONGEST_WAIT);
        match (name.as_str(), seconds) {
            ("wait", Some(seconds)) => wait = Duration::from_secs(seconds),
            ("wait", None) => return Err(wrong(&format!("wait: expected 0 to {LONGEST_WAIT} seconds"))),
            _ => return Err(wrong("expected no other parameters than wait")),
        }
    }
    Ok(wait)
}

/// Reads `status`, `task`, `queue`, `user`, `notification`, `since`, `until`, `limit` and `cursor`.
pub(crate) fn tasks(query: &str) -> Result<Filter, ProblemDocument> {
    let mut filter = Filter::default();
    let Page { limit, cursor } = read(query, "status, task, queue, user, notification, since, until, limit, cursor", |name, value| {
        match name {
            "status" => filter.status = Some(status(value)?),
            "task" => filter.task = Some(value.to_owned()),
            "queue" => filter.queue = Some(value.to_owned()),
            "user" => filter.user = Some(value.to_owned()),
            "notification" => filter.notification_id = Some(value.to_owned()),
            "since" => filter.since = Some(time(name, value)?),
            "until" => filter.until = Some(time(name, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(Filter { limit, cursor, ..filter })
}

/// Reads `limit` and `cursor`, and by `other` what else there may be: `known` names all.
fn read(query: &str, known: &str, mut other: impl FnMut(&str, &str) -> Result<bool, ProblemDocument>) -> Result<Page, ProblemDocument> {
    let mut page = Page { limit: DEFAULT_LIMIT, cursor: None };
    for (name, value) in errand_api::query_pairs(query) {
        match name.as_str() {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                page.limit = limit.ok_or_else(|| wrong(&format!("limit: expected 1 to {MOST}")))?;
            }
            "cursor" => page.cursor = Some(value),
            name if other(name, &value)? => {}
            _ => return Err(wrong(&format!("expected no other parameters than {known}"))),
        }
    }
    Ok(page)
}

fn time(name: &str, value: &str) -> Result<Timestamp, ProblemDocument> {
    value.parse().map_err(|expected| wrong(&format!("{name}: {expected}")))
}

fn status(value: &str) -> Result<Status, ProblemDocument> {
    value.parse().map_err(|_| wrong(&format!("status: expected one of {}", Status::ALL.map(Status::as_str).join(", "))))
}

fn wrong(detail: &str) -> ProblemDocument {
    ProblemDocument::new(StatusCode::BAD_REQUEST, detail)
}
