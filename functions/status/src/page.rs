use errand_api::{ProblemDocument, Query};

const DEFAULT_LIMIT: usize = 20;

/// The longest page.
const MOST: usize = 100;

/// Which part of a list is wanted.
pub(crate) struct Page {
    pub(crate) limit: usize,
    pub(crate) cursor: Option<String>,
}

impl Page {
    /// Reads `limit` and `cursor`.
    pub(crate) fn of(query: &Query) -> Result<Self, ProblemDocument> {
        Ok(Self { limit: query.limit(DEFAULT_LIMIT, MOST)?, cursor: query.text("cursor")? })
    }
}
