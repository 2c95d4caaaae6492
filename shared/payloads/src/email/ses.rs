//! What Amazon SES takes of a mail.

use errand_core::{Fields, Taker, segment};
use serde_json::{Map, Value};

use super::{Email, mime};

/// SES, as those need to know it who check calls for it.
pub const SES: Taker<Email> = Taker::of("ses").needing(&["ERRAND_SES_FROM"]).within(within_ses);

/// The most recipients of one mail, `to`, `cc` and `bcc` together.
/// <https://docs.aws.amazon.com/ses/latest/dg/quotas.html>
const MOST_RECIPIENTS: usize = 50;

/// The most headers that can be added, and how long a name and a value may be.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageHeader.html>
const MOST_HEADERS: usize = 15;
const LONGEST_HEADER_NAME: usize = 126;
const LONGEST_HEADER_VALUE: usize = 870;

/// The tag that every mail has: the key of its attempt, so that SES's events can be joined with the task.
pub const KEY_TAG: &str = "errand-id";

/// What of a mail SES cannot do.
pub fn within_ses(email: &Email, fields: &mut Fields<'_>) {
    let recipients = email.to.len() + email.cc.len() + email.bcc.len();
    if recipients > MOST_RECIPIENTS {
        fields.refuse("to", format!("expected at most {MOST_RECIPIENTS} recipients in to, cc and bcc together, got {recipients}"));
    }
    if email.headers.len() > MOST_HEADERS {
        fields.refuse("headers", format!("expected at most {MOST_HEADERS} headers, got {}", email.headers.len()));
    }
    for (name, value) in &email.headers {
        // What has no form in ASCII is refused already.
        let length = mime::header(name, value).map_or(0, |value| value.len());
        if name.len() > LONGEST_HEADER_NAME || length > LONGEST_HEADER_VALUE {
            let expected = format!(
                "expected a header's name of at most {LONGEST_HEADER_NAME} characters and a value of at most {LONGEST_HEADER_VALUE}, with what is not ASCII counted as it is encoded (RFC 2047)"
            );
            let pointer = format!("{}/{}", field_of(name, fields), segment(name));
            fields.refuse(&pointer, expected);
        }
    }
    if email.tags.iter().any(|(tag, _)| tag == KEY_TAG) {
        fields.refuse("tags", format!("expected no tag {KEY_TAG}: every mail has it, with the task's id"));
    }
}

/// The field that a header stands in.
fn field_of(header: &str, fields: &mut Fields<'_>) -> &'static str {
    let own: Option<Map<String, Value>> = fields.raw("headers").and_then(|raw| serde_json::from_str(raw.get()).ok());
    if own.is_some_and(|own| own.contains_key(header)) { "headers" } else { "extra_headers" }
}
