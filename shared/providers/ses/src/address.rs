/// Checks an address as SES takes it: `user@example.com` or `A Name <user@example.com>`, in ASCII apart from the name.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Destination.html>
///
/// Only what would break the message or certainly be refused is checked: what else is an address, its host knows.
pub(crate) fn check(text: &str) -> Result<(), &'static str> {
    if text.chars().any(char::is_control) {
        return Err("an e-mail address without control characters");
    }
    let address = match text.trim_end().strip_suffix('>') {
        Some(named) => named.rsplit_once('<').map(|(_, address)| address),
        None => Some(text),
    };
    let Some((local, domain)) = address.and_then(|address| address.rsplit_once('@')) else { return Err(EXPECTED) };
    if !local.is_ascii() || !domain.is_ascii() {
        return Err("an e-mail address in ASCII, an international domain in its xn-- form");
    }
    let labels = domain.split('.').all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    // RFC 5321, section 4.5.3.1.
    let sized = (1..=64).contains(&local.len()) && domain.len() <= 255;
    let quoted = local.starts_with('"') && local.ends_with('"') && local.len() > 2;
    let plain = !local.bytes().any(|b| b" \t\"(),:;<>@[\\]".contains(&b));
    if labels && sized && (plain || quoted) { Ok(()) } else { Err(EXPECTED) }
}

const EXPECTED: &str = "an e-mail address, such as user@example.com or A Name <user@example.com>";

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for good in [
            "a@example.com",
            "first.last+tag@sub.example.co",
            "Ü Name <a@example.com>",
            "\"a b\"@example.com",
            "\"Last, First\" <a@example.com>",
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
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
