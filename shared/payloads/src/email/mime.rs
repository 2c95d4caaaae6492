//! Texts in the headers of a mail, which are ASCII: other characters stand in encoded words ([RFC 2047](https://www.rfc-editor.org/rfc/rfc2047)).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{ascii_domain, ascii_url};

use super::address;

/// Headers that hold an address.
const OF_ADDRESSES: [&str; 5] = ["disposition-notification-to", "errors-to", "return-path", "return-receipt-to", "sender"];

/// Headers that hold ids between `<` and `>`.
const OF_IDS: [&str; 2] = ["in-reply-to", "references"];

/// An address of an [`Email`](super::Email) with its name in ASCII.
#[must_use]
pub fn address(text: &str) -> String {
    match address::named(text) {
        Some((name, address)) if !name.is_ascii() => format!("{} <{address}>", words(&name)),
        _ => text.to_owned(),
    }
}

/// The value of a header in ASCII. What stands between `<` and `>` in a header of lists, such as `List-Unsubscribe`, is a URL, an address or a domain, and no text.
///
/// # Errors
/// There is no such form: says what was expected.
pub fn header(name: &str, value: &str) -> Result<String, &'static str> {
    if value.is_ascii() {
        return Ok(value.to_owned());
    }
    let name = name.to_ascii_lowercase();
    if OF_ADDRESSES.contains(&name.as_str()) {
        return address::read(value).map(|value| address(&value));
    }
    if !name.starts_with("list-") && !OF_IDS.contains(&name.as_str()) {
        return Ok(words(value));
    }
    let mut parts = value.split('<');
    let mut ascii = words_between(parts.next().unwrap_or_default());
    for part in parts {
        let (inside, after) = part.split_once('>').ok_or("a header's value with a > for each <")?;
        let inside = in_angles(inside).ok_or("a header's value with a URL, an address or a domain between < and >")?;
        ascii.push_str(&format!("<{inside}>{}", words_between(after)));
    }
    Ok(ascii.trim().to_owned())
}

fn in_angles(text: &str) -> Option<String> {
    if text.is_ascii() {
        return Some(text.to_owned());
    }
    ascii_url(text).or_else(|| ascii_domain(text)).map(std::borrow::Cow::into_owned).or_else(|| address::read(text).ok())
}

/// Encoded words between spaces, as they must stand beside others.
fn words_between(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { format!(" {} ", words(text.trim())) }
}

/// Encoded words of at most 75 characters each; the space between two is not part of the text (RFC 2047, sections 2 and 6.2).
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
    fn a_long_name_becomes_words_that_cut_no_character() {
        let encoded = address(&format!("\"{}\\\"\" <a@example.com>", "ü".repeat(30)));
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

    #[test]
    fn a_header_is_encoded_by_what_it_holds() {
        for (name, value, ascii) in [
            ("X-Order", "Nr. 7", "Nr. 7"),
            ("X-Order", "Grüße", "=?UTF-8?B?R3LDvMOfZQ==?="),
            ("X-Order", "<ü>", "=?UTF-8?B?PMO8Pg==?="),
            (
                "List-Unsubscribe",
                "<https://exämple.de/ab?wer=jürgen>, <mailto:ab@example.com?subject=ü>",
                "<https://xn--exmple-cua.de/ab?wer=j%C3%BCrgen>, <mailto:ab@example.com?subject=%C3%BC>",
            ),
            ("list-id", "Grüße <news.exämple.de>", "=?UTF-8?B?R3LDvMOfZQ==?= <news.xn--exmple-cua.de>"),
            ("Sender", "Jürgen <j@exämple.de>", "=?UTF-8?B?SsO8cmdlbg==?= <j@xn--exmple-cua.de>"),
            ("References", "<1@exämple.de> <2@example.com>", "<1@xn--exmple-cua.de> <2@example.com>"),
        ] {
            assert_eq!(header(name, value).as_deref(), Ok(ascii), "{value}");
        }
        for (name, value) in [("List-Unsubscribe", "<https://exämple.de/"), ("List-Id", "<ü b>"), ("Sender", "jürgen@example.com")] {
            assert!(header(name, value).is_err(), "{value}");
        }
    }
}
