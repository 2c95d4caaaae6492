//! Times as Celery writes them: Python's `isoformat`, with an offset or without.

use std::borrow::Cow;

use errand_core::{Fields, Timestamp};

/// Reads a field that may be missing or null. A time without an offset is in UTC, which is Celery's own reading unless its `timezone` says otherwise.
pub(super) fn read(fields: &mut Fields<'_>, name: &str) -> Option<Timestamp> {
    let text: String = fields.optional(name)?;
    let time = parse(&text);
    if time.is_none() {
        fields.refuse(name, "expected a date and time, such as 2026-11-20T12:00:00+00:00");
    }
    time
}

fn parse(text: &str) -> Option<Timestamp> {
    let mut text = Cow::Borrowed(text);
    if text.as_bytes().get(10) == Some(&b' ') {
        text.to_mut().replace_range(10..11, "T");
    }
    let clock = text.get(11..)?;
    if !clock.contains(['Z', 'z', '+', '-']) {
        text.to_mut().push('Z');
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_clients_write_is_read() {
        for text in [
            "2026-12-24T18:30:15.123456+00:00",
            "2026-12-24T18:30:15.123456",
            "2026-12-24T18:30:15.123456Z",
            "2026-12-24 18:30:15.123456+00:00",
            "2026-12-25T00:00:15.123456+05:30",
            "2026-12-24T18:30:15.123456789Z",
        ] {
            assert_eq!(parse(text).map(|time| time.to_string()).as_deref(), Some("2026-12-24T18:30:15.123Z"), "{text}");
        }
        assert_eq!(parse("2026-12-24T18:30:00").unwrap().to_string(), "2026-12-24T18:30:00.000Z");
        for text in ["", "2026-12-24", "tomorrow at noon", "1766600000", "é2026-12-24T18:30:15"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
