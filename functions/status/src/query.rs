//! The query of `GET /v1/tasks`.

use errand_api::ProblemDocument;
use errand_core::{Filter, Status};
use http::StatusCode;

const DEFAULT_LIMIT: usize = 20;
const MOST: usize = 100;

/// Reads `status`, `task`, `limit` and `cursor`.
pub(crate) fn read(query: &str) -> Result<Filter, ProblemDocument> {
    let mut filter = Filter { limit: DEFAULT_LIMIT, ..Filter::default() };
    for (name, value) in errand_api::query_pairs(query) {
        match name.as_str() {
            "status" => filter.status = Some(status(&value)?),
            "task" => filter.task = Some(value),
            "limit" => {
                filter.limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MOST).contains(limit))
                    .ok_or_else(|| wrong(&format!("limit: expected 1 to {MOST}")))?
            }
            "cursor" => filter.cursor = Some(value),
            _ => return Err(wrong("expected no other parameters than status, task, limit, cursor")),
        }
    }
    Ok(filter)
}

fn status(value: &str) -> Result<Status, ProblemDocument> {
    value.parse().map_err(|_| wrong(&format!("status: expected one of {}", Status::ALL.map(Status::as_str).join(", "))))
}

fn wrong(detail: &str) -> ProblemDocument {
    ProblemDocument::new(StatusCode::BAD_REQUEST, detail)
}
