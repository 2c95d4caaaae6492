//! What the answers of Service Bus mean. It has no codes: a status, and words.
//! <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-resource-manager-exceptions>

use errand_azure::{refused, words};
use errand_core::{DeliveryError, ErrorKind};
use errand_http::{Answer, Meanings, kind_of};
use http::StatusCode;

/// What it says of an entity that is full, in lower case.
const FULL: [&str; 2] = ["quota", "maximum entity size"];

/// What it says of a message that is too large.
const LARGE: [&str; 3] = ["message size", "messagesize", "exceeds the limit"];

/// What it says to who is known, and may not read what an entity is like.
const MAY_NOT_READ: [&str; 2] = ["claim", "unauthorized access for"];

/// What an answer to a send means; `kind` is what it was sent to.
pub(crate) fn sent(answer: &Answer, kind: &str) -> Result<(), DeliveryError> {
    match answer.status() {
        StatusCode::CREATED => Ok(()),
        _ if answer.success() => Err(answer.unclear()),
        _ => Err(failed(answer, kind)),
    }
}

/// What an answer means that tells of an entity: an Atom entry, where it is there and we may read it. Of one that is not there, an empty feed is told.
pub(crate) fn found(answer: &Answer, kind: &str) -> Result<(), DeliveryError> {
    let is_entry = answer.body().windows(6).any(|window| window == b"<entry");
    match answer.status() {
        StatusCode::OK if is_entry => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if says(answer, &MAY_NOT_READ) => Ok(()),
        _ if answer.success() => Err(DeliveryError::new(ErrorKind::Misconfigured, format!("{}: there is no such {kind}", crate::SERVICE))),
        _ => Err(failed(answer, kind)),
    }
}

fn failed(answer: &Answer, kind: &str) -> DeliveryError {
    let status = answer.status();
    let (meaning, hint) = match status.as_u16() {
        401 => (ErrorKind::Misconfigured, "its credential is refused".to_owned()),
        403 if says(answer, &FULL) => (ErrorKind::Unavailable, format!("the {kind} is full")),
        403 | 413 if status == StatusCode::PAYLOAD_TOO_LARGE || says(answer, &LARGE) => (ErrorKind::InvalidPayload, String::new()),
        403 => (ErrorKind::Misconfigured, "its credential may not send".to_owned()),
        404 | 410 => (ErrorKind::Misconfigured, format!("there is no such {kind}")),
        405 => (ErrorKind::Rejected, format!("a {kind} with sessions takes tasks with a group alone")),
        429 | 503 => (ErrorKind::RateLimited, "it is busy".to_owned()),
        // It may have been done.
        408 | 500 | 502 | 504 => (ErrorKind::OutcomeUnknown, "it did not end in time".to_owned()),
        _ => (kind_of(status), String::new()),
    };
    let mut error = refused(answer, &Meanings::default(), Some(&hint));
    error.kind = meaning;
    error
}

fn says(answer: &Answer, texts: &[&str]) -> bool {
    let words = words(answer).unwrap_or_default().to_lowercase();
    texts.iter().any(|text| words.contains(text))
}
