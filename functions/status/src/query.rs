//! The queries of lists.

use errand_api::ProblemDocument;
use errand_core::{Filter, Status};
use http::StatusCode;

const DEFAULT_LIMIT: usize = 20;
const MOST: usize = 100;

/// Which part of a list is wanted.
pub(crate) struct Page {
    pub(crate) limit: usize,
    pub(crate) cursor: Option<String>,
}

/// Reads `limit` and `cursor`.
pub(crate) fn page(query: &str) -> Result<Page, ProblemDocument> {
    read(query, "limit, cursor", |_, _| Ok(false))
}

/// Reads `status`, `task`, `limit` and `cursor`.
pub(crate) fn tasks(query: &str) -> Result<Filter, ProblemDocument> {
    let mut filter = Filter::default();
    let Page { limit, cursor } = read(query, "status, task, limit, cursor", |name, value| {
        match name {
            "status" => filter.status = Some(status(value)?),
            "task" => filter.task = Some(value.to_owned()),
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

fn status(value: &str) -> Result<Status, ProblemDocument> {
    value.parse().map_err(|_| wrong(&format!("status: expected one of {}", Status::ALL.map(Status::as_str).join(", "))))
}

fn wrong(detail: &str) -> ProblemDocument {
    ProblemDocument::new(StatusCode::BAD_REQUEST, detail)
}
