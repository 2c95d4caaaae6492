//! What is said beside a message's body, as SQS checks it, and the digests that clients check.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::hex;
use errand_store_sqlite::MessageAttribute;
use md5::{Digest, Md5};

use super::error::{Error, INVALID_PARAMETER_VALUE};

/// The most attributes of a message, and the longest names of attributes and types.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>
const MOST: usize = 10;
const LONGEST_NAME: usize = 256;

/// Attributes by name.
pub(super) type Attributes = BTreeMap<String, MessageAttribute>;

/// Checks attributes; answers what they count toward a message's size, in bytes.
pub(super) fn check(attributes: &Attributes) -> Result<usize, Error> {
    if attributes.len() > MOST {
        let told = format!("Number of message attributes [{}] exceeds the allowed maximum [{MOST}].", attributes.len());
        return Err(Error::new(INVALID_PARAMETER_VALUE, told));
    }
    attributes.iter().map(|(name, attribute)| check_one(name, attribute)).sum()
}

fn check_one(name: &str, attribute: &MessageAttribute) -> Result<usize, Error> {
    let wrong = |why: &str| Error::new(INVALID_PARAMETER_VALUE, format!("The message attribute '{name}' {why}"));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let lower = name.to_ascii_lowercase();
    let reserved = ["aws.", "amazon."].iter().any(|prefix| lower.starts_with(prefix));
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(allowed) || reserved {
        return Err(wrong(
            "has a name that none can have: 1 to 256 of the characters A-Z a-z 0-9 _ - . that begin with neither AWS. nor Amazon.",
        ));
    }
    if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return Err(wrong("has a name with a period at an end, or two together."));
    }
    let kind = &attribute.data_type;
    let value = match (kind.split('.').next().unwrap_or_default(), &attribute.string_value, &attribute.binary_value) {
        _ if kind.len() > LONGEST_NAME => return Err(wrong("has a type of more than 256 characters.")),
        ("String", Some(text), None) if text.chars().all(allowed_in_text) => text.len(),
        ("Number", Some(text), None) if is_number(text) => text.len(),
        ("Binary", None, Some(base64)) => STANDARD.decode(base64).map_err(|_| wrong("has a value that is no base64."))?.len(),
        ("String", Some(_), None) => return Err(wrong("holds a character that no message can hold.")),
        ("Number", Some(_), None) => return Err(wrong("is no number of at most 38 digits.")),
        ("String" | "Number" | "Binary", ..) => return Err(wrong("must contain a value of its type, and no other.")),
        _ => return Err(wrong("has an invalid message attribute type: the prefix must be String, Number or Binary.")),
    };
    if value == 0 {
        return Err(wrong("must contain a non-empty value."));
    }
    Ok(name.len() + kind.len() + value)
}

/// The characters that a message can hold. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
pub(super) fn allowed_in_text(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite) && text.bytes().filter(u8::is_ascii_digit).count() <= 38
}

/// The digest of a body.
pub(super) fn md5_of_body(body: &str) -> String {
    hex(&Md5::digest(body.as_bytes()))
}

/// The digest of attributes, `None` when there are none: in the order of their names, each name, type and value with its length before it.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation>
pub(super) fn md5_of_attributes<'a>(attributes: impl IntoIterator<Item = (&'a String, &'a MessageAttribute)>) -> Option<String> {
    let (mut digest, mut any) = (Md5::new(), false);
    let add = |digest: &mut Md5, bytes: &[u8]| {
        digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        digest.update(bytes);
    };
    for (name, attribute) in attributes {
        any = true;
        add(&mut digest, name.as_bytes());
        add(&mut digest, attribute.data_type.as_bytes());
        match (&attribute.string_value, &attribute.binary_value) {
            (Some(text), _) => {
                digest.update([1]);
                add(&mut digest, text.as_bytes());
            }
            (None, base64) => {
                digest.update([2]);
                add(&mut digest, &STANDARD.decode(base64.as_deref().unwrap_or_default()).unwrap_or_default());
            }
        }
    }
    any.then(|| hex(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: &str, value: &str) -> MessageAttribute {
        MessageAttribute { data_type: kind.to_owned(), string_value: Some(value.to_owned()), binary_value: None }
    }

    fn bytes(base64: &str) -> MessageAttribute {
        MessageAttribute { data_type: "Binary".to_owned(), string_value: None, binary_value: Some(base64.to_owned()) }
    }

    fn of(pairs: &[(&str, MessageAttribute)]) -> Attributes {
        pairs.iter().map(|(name, attribute)| ((*name).to_owned(), attribute.clone())).collect()
    }

    #[test]
    fn digests_are_those_that_clients_compute() {
        assert_eq!(md5_of_body("hello"), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(md5_of_attributes(&Attributes::new()), None);
        // md5(0x00000001 "a" 0x00000006 "String" 0x01 0x00000001 "b")
        assert_eq!(md5_of_attributes(&of(&[("a", text("String", "b"))])).as_deref(), Some("bef8bf215374a0a228d67533b1a488be"));
        // The same for a number "1.5" named n and, after it, for the bytes 00 ff named z.
        assert_eq!(
            md5_of_attributes(&of(&[("z", bytes("AP8=")), ("n", text("Number", "1.5"))])).as_deref(),
            Some("5c63f6ea01ba8b24be70ae902c63291a")
        );
    }

    #[test]
    fn what_sqs_refuses_is_refused() {
        assert_eq!(check(&of(&[("n", text("String", "é")), ("b", bytes("AP8="))])).unwrap(), 1 + 6 + 2 + 1 + 6 + 2);
        assert!(check(&of(&[("a.b-c_D", text("String.mine", "x")), ("n", text("Number.int", "-1e3"))])).is_ok());
        for (name, attribute) in [
            ("", text("String", "x")),
            ("a b", text("String", "x")),
            ("AWS.x", text("String", "x")),
            ("amazon.x", text("String", "x")),
            (".a", text("String", "x")),
            ("a..b", text("String", "x")),
            ("a", text("String", "")),
            ("a", text("String", "\0")),
            ("a", text("Number", "one")),
            ("a", text("Binary", "x")),
            ("a", bytes("***")),
            ("a", text("Text", "x")),
        ] {
            assert_eq!(check(&of(&[(name, attribute.clone())])).unwrap_err().code, INVALID_PARAMETER_VALUE, "{name} {attribute:?}");
        }
        let eleven: Attributes = (0..11).map(|i| (format!("a{i}"), text("String", "x"))).collect();
        assert!(check(&eleven).is_err());
    }
}
