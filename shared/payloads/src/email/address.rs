//! Addresses of mail.

use errand_core::ascii_domain;

const EXPECTED: &str = "an e-mail address, such as user@example.com or A Name <user@example.com>";

/// What must stand in quotes, in a name as in the part before the `@`. Dots in names are obsolete, common and harmless (RFC 5322, section 4.1).
const SPECIAL: &[char] = &['"', '(', ')', ',', ':', ';', '<', '>', '@', '[', '\\', ']'];

/// Reads an address as SES takes it: `user@example.com` or `A Name <user@example.com>`, in ASCII apart from the name; an international domain becomes Punycode.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html>
///
/// Only what would break the message or certainly be refused is checked: what else is an address, its host knows.
pub fn read(text: &str) -> Result<String, &'static str> {
    if text.chars().any(char::is_control) {
        return Err("an e-mail address without control characters");
    }
    let (name, address) = split(text).ok_or(EXPECTED)?;
    let Some((local, domain)) = address.rsplit_once('@') else { return Err(EXPECTED) };
    if !local.is_ascii() {
        return Err("an e-mail address with only ASCII characters before the @: SES does not support others (SMTPUTF8)");
    }
    let named = is_quoted(name) || !name.contains(SPECIAL);
    let ascii = ascii_domain(domain).filter(|_| named && is_local(local)).ok_or(EXPECTED)?;
    Ok(match name {
        _ if ascii == domain => text.to_owned(),
        "" => format!("{local}@{ascii}"),
        name => format!("{name} <{local}@{ascii}>"),
    })
}

/// Whether a text is what may stand before the `@`: RFC 5321, sections 4.1.2 and 4.5.3.1.
fn is_local(text: &str) -> bool {
    let is_dotted = || text.split('.').all(|atom| !atom.is_empty() && !atom.contains(SPECIAL) && !atom.contains(' '));
    (1..=64).contains(&text.len()) && (is_quoted(text) || is_dotted())
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

/// The name of an address without the quotes around it, and the address; nothing where there is no name.
pub(super) fn named(text: &str) -> Option<(String, &str)> {
    split(text).filter(|(name, _)| !name.is_empty()).map(|(name, address)| (unquoted(name), address))
}

fn unquoted(name: &str) -> String {
    let Some(inner) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return name.to_owned() };
    let mut chars = inner.chars();
    std::iter::from_fn(|| chars.next().and_then(|c| if c == '\\' { chars.next() } else { Some(c) })).collect()
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
            assert_eq!(read(good).as_deref(), Ok(good));
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
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "A Name <.a@example.com>",
            "a@-example.com",
            "a@example-.com",
            "a@example.com.",
            "a@-ä.de",
            "a@ä_b.de",
            "<a@example.com",
            "Name a@example.com>",
            "Last, First <a@example.com>",
            "b@example.com, Name <a@example.com>",
            "B <b@example.com>, Name <a@example.com>",
            "\"B\" <b@example.com>, \"Name\" <a@example.com>",
            "\"B\\\" <a@example.com>",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_domain_becomes_punycode_and_what_is_before_it_stays_as_it_is() {
        for (text, read_as) in [
            ("a@exämple.de", "a@xn--exmple-cua.de"),
            ("A.B+c@EXÄMPLE.de", "A.B+c@xn--exmple-cua.de"),
            ("Jürgen Ä <j@exämple.de>", "Jürgen Ä <j@xn--exmple-cua.de>"),
            ("\"Ä, B\" <\"a b\"@例え.テスト>", "\"Ä, B\" <\"a b\"@xn--r8jz45g.xn--zckzah>"),
            ("<a@exämple.de>", "a@xn--exmple-cua.de"),
            ("<a@Example.com>", "<a@Example.com>"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(read_as), "{text}");
        }
        assert!(read("jürgen@exämple.de").unwrap_err().contains("SES does not support"));
    }

    /// The addresses of the test suite of isemail, version 3.05: those that it calls valid, by syntax at least, and those that it calls none.
    /// <https://github.com/dominicsayers/isemail>
    #[test]
    fn what_isemail_calls_valid_is_taken_and_what_it_calls_wrong_is_not() {
        let suite: std::collections::BTreeMap<String, Vec<String>> = serde_json::from_str(include_str!("isemail.json")).unwrap();
        assert_eq!(suite["valid"].len(), 22);
        for address in &suite["valid"] {
            assert_eq!(read(address).as_ref(), Ok(address));
        }
        for address in &suite["error"] {
            assert!(read(address).is_err(), "{address}");
        }
    }
}
