use errand_core::{Problem, Problems, PublishError, StorageError};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Serialize, Serializer};

use crate::{Response, answer};

/// Why a call was refused, for the caller: a problem document (RFC 9457). A refused call has queued nothing.
#[derive(Clone, Debug)]
pub struct ProblemDocument {
    status: StatusCode,
    detail: String,
    errors: Vec<Problem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ProblemDocument {
    /// A problem of this status; `detail` says what to change.
    #[must_use]
    pub fn new(status: StatusCode, detail: &str) -> Self {
        Self { status, detail: detail.to_owned(), errors: Vec::new(), headers: Vec::new() }
    }

    /// 400 for a body that is no JSON object, 422 for one with wrong fields: all of them, by JSON pointer.
    #[must_use]
    pub fn of_body(problems: Problems) -> Self {
        match problems.0.as_slice() {
            [Problem { pointer, detail }] if pointer.is_empty() => {
                let colon = if detail.starts_with("expected") { ":" } else { "" };
                Self::new(StatusCode::BAD_REQUEST, &format!("the body{colon} {detail}"))
            }
            _ => Self { errors: problems.0, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "fields of the body are wrong: see errors") },
        }
    }

    /// 404 for a call that another function answers: the gateway's routes are wrong.
    #[must_use]
    pub fn elsewhere() -> Self {
        Self::new(StatusCode::NOT_FOUND, "another function answers this path")
    }

    /// With a header beside it.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// What to change.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl ProblemDocument {
    /// Why an envelope was not handed over, for the caller; `alias` names the transport where that is not our own queue. What an operator must know is logged here.
    #[must_use]
    pub fn not_sent(error: &PublishError, alias: Option<&str>) -> Self {
        let place = alias.map_or_else(|| "the queue".to_owned(), |alias| format!("the transport {alias}"));
        let transport = alias.unwrap_or_default();
        match error {
            PublishError::Refused(why) => {
                let detail = alias.map_or_else(|| why.clone(), |alias| format!("{alias}: {why}"));
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, &detail)
            }
            PublishError::TooLarge { limit } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, &format!("the task is larger than the {limit} bytes that {place} takes"))
            }
            PublishError::Misconfigured(_) => {
                tracing::error!(%error, transport, alarm = true, "not sent");
                let what = if alias.is_some() { &place } else { "the service" };
                let detail = format!("{what} is misconfigured; nothing was queued. Its operator finds the reason in the log");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, &detail)
            }
            PublishError::OutcomeUnknown(_) => {
                tracing::error!(%error, transport, "sent perhaps");
                let again = if alias.is_some() { "it may be there twice, under that id" } else { "it runs once" };
                let detail = format!(
                    "{place} was sent it and did not answer: it may be there. Try again with the same id or Idempotency-Key, and {again}"
                );
                Self::new(StatusCode::SERVICE_UNAVAILABLE, &detail).with_header(header::RETRY_AFTER, "1")
            }
            PublishError::Unavailable(_) => {
                tracing::error!(%error, transport, "not sent");
                let detail = format!("{place} does not answer; nothing was queued. Try again");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, &detail).with_header(header::RETRY_AFTER, "1")
            }
        }
    }

    /// Whether the same call may have another answer later, though nobody changes it.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// After how many seconds.
    fn retry_after(&self) -> Option<u64> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == header::RETRY_AFTER)?;
        value.to_str().ok()?.parse().ok()
    }
}

/// Why an envelope was not put on our own queue, for the caller.
impl From<PublishError> for ProblemDocument {
    fn from(error: PublishError) -> Self {
        Self::not_sent(&error, None)
    }
}

/// For the caller that the store does not answer; for the operator, in the log, why.
impl From<StorageError> for ProblemDocument {
    fn from(error: StorageError) -> Self {
        tracing::error!(%error, "the store does not answer");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer. Try again").with_header(header::RETRY_AFTER, "1")
    }
}

impl Serialize for ProblemDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Document<'a> {
            // RFC 9457, section 4.2.1: no more is meant than the status says.
            r#type: &'static str,
            title: &'a str,
            status: u16,
            detail: &'a str,
            #[serde(skip_serializing_if = "<[Problem]>::is_empty")]
            errors: &'a [Problem],
            // What the header says, where a document stands among others and has none.
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after: Option<u64>,
        }
        let Self { status, detail, errors, .. } = self;
        let title = status.canonical_reason().unwrap_or("Error");
        let retry_after = self.retry_after();
        Document { r#type: "about:blank", title, status: status.as_u16(), detail, errors, retry_after }.serialize(serializer)
    }
}

impl From<ProblemDocument> for Response {
    fn from(problem: ProblemDocument) -> Self {
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = answer(problem.status, "application/problem+json", body);
        response.headers_mut().extend(problem.headers);
        response
    }
}
