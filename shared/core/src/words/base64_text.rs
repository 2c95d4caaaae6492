use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The bytes that a text is the base64 of (RFC 4648, section 4), with line breaks and spaces as MIME and Python's `encodebytes` write it (RFC 2045, section 6.8);
/// `None` where it is none.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    // Nearly all of it is in one piece.
    STANDARD.decode(text).ok().or_else(|| {
        let whitespace = |byte: &u8| byte.is_ascii_whitespace();
        let pieces: Option<Vec<u8>> =
            text.bytes().any(|byte| whitespace(&byte)).then(|| text.bytes().filter(|byte| !whitespace(byte)).collect());
        STANDARD.decode(pieces?).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_spaces_are_not_part_of_it() {
        for text in ["aGVsbG8gd29ybGQ=", "aGVsbG8g\r\nd29ybGQ=\r\n", "aGVsbG8g\nd29ybGQ=\n", " aGVs\tbG8g d29ybGQ=", "aGVsbG8gd29ybGQ\n="] {
            assert_eq!(from_base64(text).as_deref(), Some(b"hello world".as_slice()), "{text:?}");
        }
        assert_eq!(from_base64(" \n"), Some(Vec::new()));
        for text in ["aGVsbG8gd29ybGQ", "aGVsbG8-", "aGVs.bG8=", "aGVs\u{a0}bG8=", "%"] {
            assert_eq!(from_base64(text), None, "{text:?}");
        }
    }
}
