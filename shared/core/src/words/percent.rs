use std::fmt::Write as _;

/// A text as one part of a URL: a segment of a path, or a value of a query. All but what stands there as it is
/// ([RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-2.3)) is percent-encoded; so are the dots of `.` and `..`, which would be steps of a path.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    let is_step = matches!(text, "." | "..");
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || (byte == b'.' && !is_step) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_urls_is_encoded_and_nothing_else() {
        assert_eq!(percent_encode("aZ09-_.~"), "aZ09-_.~");
        assert_eq!(percent_encode("a/b?c=d&e#f:g é%"), "a%2Fb%3Fc%3Dd%26e%23f%3Ag%20%C3%A9%25");
        assert_eq!([".", "..", "..."].map(percent_encode), ["%2E", "%2E%2E", "..."]);
    }
}
