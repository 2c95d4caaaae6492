#[cfg(feature = "client")]
use base64::{Engine as _, engine::general_purpose::STANDARD};

const EXPECTED: &str = "an e-mail address, such as user@example.com or A Name <user@example.com>";

/// What must stand in quotes, in a name as in the part before the `@`. Dots in names are obsolete, common and harmless (RFC 5322, section 4.1).
const SPECIAL: &[char] = &['"', '(', ')', ',', ':', ';', '<', '>', '@', '[', '\\', ']'];

/// Checks an address as SES takes it: `user@example.com` or `A Name <user@example.com>`, in ASCII apart from the name.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html>
///
/// Only what would break the message or certainly be refused is checked: what else is an address, its host knows.
pub(crate) fn check(text: &str) -> Result<(), &'static str> {
    if text.chars().any(char::is_control) {
        return Err("an e-mail address without control characters");
    }
    let (name, address) = split(text).ok_or(EXPECTED)?;
    let Some((local, domain)) = address.rsplit_once('@') else { return Err(EXPECTED) };
    if !local.is_ascii() || !domain.is_ascii() {
        return Err("an e-mail address in ASCII, an international domain in its xn-- form");
    }
    let labels = domain.split('.').all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    // RFC 5321, section 4.5.3.1.
    let sized = (1..=64).contains(&local.len()) && domain.len() <= 255;
    let written = is_quoted(local) || !local.contains(SPECIAL) && !local.contains(' ');
    let named = is_quoted(name) || !name.contains(SPECIAL);
    if labels && sized && written && named { Ok(()) } else { Err(EXPECTED) }
}

/// The name, empty when there is none, and the address.
fn split(text: &str) -> Option<(&str, &str)> {
    match text.trim_end().strip_suffix('>') {
        Some(named) => named.rsplit_once('<').map(|(name, address)| (name.trim(), address)),
        None => Some(("", text)),
    }
}

/// Whether a text is one quoted string, with something in it: every quote inside is escaped, and the last one is not.
fn is_quoted(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == '"' || c == '\\' && chars.next().is_none() {
            return false;
        }
    }
    !inner.is_empty()
}

/// An address with its name in ASCII, as encoded words (RFC 2047): SES does not encode it, and other characters get lost.
/// <https://docs.aws.amazon.com/ses/latest/dg/send-email-raw.html#send-email-mime-encoding-headers>
#[cfg(feature = "client")]
pub(crate) fn encode(text: String) -> String {
    match split(&text) {
        Some((name, address)) if !name.is_ascii() => format!("{} <{address}>", words(&unquoted(name))),
        _ => text,
    }
}

#[cfg(feature = "client")]
fn unquoted(name: &str) -> String {
    let Some(inner) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return name.to_owned() };
    let mut chars = inner.chars();
    std::iter::from_fn(|| chars.next().and_then(|c| if c == '\\' { chars.next() } else { Some(c) })).collect()
}

/// Encoded words of at most 75 characters each; the space between two is not part of the text (RFC 2047, sections 2 and 6.2).
#[cfg(feature = "client")]
fn words(mut text: &str) -> String {
    const BYTES: usize = 45;
    let mut words = Vec::new();
    while !text.is_empty() {
        let (word, rest) = text.split_at(text.floor_char_boundary(BYTES));
        words.push(format!("=?UTF-8?B?{}?=", STANDARD.encode(word)));
        text = rest;
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for good in [
            "a@example.com",
            "first.last+tag@sub.example.co",
            "Ü Name <a@example.com>",
            "\"a b\"@example.com",
            "\"Last, First\" <a@example.com>",
            "\"A \\\"Nick\\\" B\" <a@example.com>",
            "John Q. Public <a@example.com>",
            "a@localhost",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@example..com",
            "a b@example.com",
            "a@b@example.com",
            "a@example.com, b@example.com",
            "a@example.com\r\nBcc: x@y.z",
            "jürgen@example.com",
            "a@exämple.de",
            "<a@example.com",
            "Name a@example.com>",
            "Last, First <a@example.com>",
            "b@example.com, Name <a@example.com>",
            "B <b@example.com>, Name <a@example.com>",
            "\"B\" <b@example.com>, \"Name\" <a@example.com>",
            "\"B\\\" <a@example.com>",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[cfg(feature = "client")]
    #[test]
    fn a_long_name_becomes_words_that_cut_no_character() {
        let encoded = encode(format!("\"{}\\\"\" <a@example.com>", "ü".repeat(30)));
        let (name, address) = encoded.split_once(" <").unwrap();
        assert_eq!(address, "a@example.com>");
        let text: String = name
            .split(' ')
            .map(|word| {
                assert!(word.len() <= 75, "{word}");
                let word = word.strip_prefix("=?UTF-8?B?").and_then(|word| word.strip_suffix("?=")).unwrap();
                String::from_utf8(STANDARD.decode(word).unwrap()).unwrap()
            })
            .collect();
        assert_eq!(text, format!("{}\"", "ü".repeat(30)));
    }
}
