use errand_core::{DeliveryError, ErrorKind, PublishError};
use errand_http::{Answer, Meanings};

use crate::xml::element;

/// What stands before the ids that Azure's words end in.
const IDS: [&str; 4] = ["\n", "TrackingId:", "Reference:", "To know more"];

/// The failure that an answer is: with the code in `x-ms-error-code` where there is one, with `hint`, and with what the service says. Where a signature may have been
/// refused, a clock that is off is told.
#[must_use]
pub fn refused(answer: &Answer, meanings: &Meanings, hint: Option<&str>) -> DeliveryError {
    let clock = if matches!(answer.status().as_u16(), 401 | 403) { answer.clock_off() } else { None };
    let causes: Vec<String> = hint.map(ToOwned::to_owned).into_iter().chain(words(answer)).chain(clock).collect();
    answer.refused(meanings, answer.header("x-ms-error-code"), &causes)
}

/// What an answer says in words: `Detail` of Service Bus, `Message` of Storage.
#[must_use]
pub fn words(answer: &Answer) -> Option<String> {
    let body = std::str::from_utf8(answer.body()).ok()?;
    let words = element(body, "Detail").or_else(|| element(body, "Message"))?;
    let end = IDS.iter().filter_map(|ids| words.find(ids)).min().unwrap_or(words.len());
    Some(words[..end].trim_end_matches([' ', '.', '\r', '\n']).to_owned()).filter(|words| !words.is_empty())
}

/// What a failure means for who wanted to hand something over; an invalid payload is one that is larger than `limit` bytes.
#[must_use]
pub fn publish_error(error: DeliveryError, limit: usize) -> PublishError {
    match error.kind {
        ErrorKind::InvalidPayload => PublishError::TooLarge { limit },
        _ => error.into(),
    }
}
