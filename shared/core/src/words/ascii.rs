use std::{borrow::Cow, net::Ipv6Addr};

use idna::{
    AsciiDenyList,
    uts46::{DnsLength, Hyphens, Uts46},
};
use url::Url;

/// A domain as protocols carry it: as it is where it is ASCII, else in Punycode ([UTS 46](https://www.unicode.org/reports/tr46/)). `None` where it is none: its
/// labels have 1 to 63 letters, digits and hyphens, none of these at an end, and all of them 253 (RFC 1035, section 2.3.4; RFC 1123, section 2.1).
#[must_use]
pub fn ascii_domain(text: &str) -> Option<Cow<'_, str>> {
    let domain = if text.is_ascii() {
        Cow::Borrowed(text)
    } else {
        Uts46::new().to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify).ok()?
    };
    let is_label = |label: &str| {
        let allowed = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (1..=63).contains(&label.len()) && allowed && !label.starts_with('-') && !label.ends_with('-')
    };
    (domain.len() <= 253 && domain.split('.').all(is_label)).then_some(domain)
}

/// A URL as HTTP carries it: as it is where it is ASCII, else with its host in Punycode and all else percent-encoded ([WHATWG](https://url.spec.whatwg.org/)).
/// `None` where it is none. It is what is checked and called: a host that looks like another or is an address in other digits is seen as what it is.
#[must_use]
pub fn ascii_url(text: &str) -> Option<Cow<'_, str>> {
    if text.is_ascii() {
        return Some(Cow::Borrowed(text));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return None;
    }
    Url::parse(text).ok().map(|url| Cow::Owned(url.into()))
}

/// What [`http_url`] takes, for who is told.
pub const HTTP_URL: &str = "an http or https URL with a host, without a user, and with no port or one up to 65535";

/// A URL that can be called, as [`ascii_url`] has it. `None` where it is none, or would be called otherwise than it reads: a user looks like a host, and a port that
/// is no number is none to some readers.
#[must_use]
pub fn http_url(text: &str) -> Option<Cow<'_, str>> {
    let url = ascii_url(text).filter(|url| url.bytes().all(|byte| byte.is_ascii_graphic()))?;
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)), port)
        }
    };
    let port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    (known && host && port).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_called_as_it_reads_or_not_at_all() {
        for (text, url) in [
            ("https://example.com", Some("https://example.com")),
            ("http://127.0.0.1:4566/a?b#c", Some("http://127.0.0.1:4566/a?b#c")),
            ("HTTPS://[2001:db8::1]:8443/", Some("HTTPS://[2001:db8::1]:8443/")),
            ("https://exämple.de/ü", Some("https://xn--exmple-cua.de/%C3%BC")),
            ("https://example.com?a=@b", Some("https://example.com?a=@b")),
            ("", None),
            ("example.com", None),
            ("//example.com", None),
            ("ftp://example.com", None),
            ("https://", None),
            ("https:///example.com", None),
            ("https://:80/", None),
            ("https://user@example.com", None),
            ("https://user:pw@example.com", None),
            ("https://@example.com", None),
            ("https://example.com:", None),
            ("https://example.com:+80", None),
            ("https://example.com:65536", None),
            ("https://example.com:0x50", None),
            ("https://example.com\\@127.0.0.1/", None),
            ("https://[::1", None),
            ("https://[v1.x]/", None),
            ("https://[::1]x/", None),
            ("https://a b/", None),
            ("https://ä@example.com/", None),
        ] {
            assert_eq!(http_url(text).as_deref(), url, "{text}");
        }
    }

    #[test]
    fn a_domain_is_written_in_punycode() {
        for (text, ascii) in [
            ("example.com", Some("example.com")),
            ("Example.COM", Some("Example.COM")),
            ("exämple.de", Some("xn--exmple-cua.de")),
            // The same letter in two parts, as some systems write it; and in other shapes.
            ("exa\u{308}mple.de", Some("xn--exmple-cua.de")),
            ("EXÄMPLE。DE", Some("xn--exmple-cua.de")),
            ("straße.de", Some("xn--strae-oqa.de")),
            ("παράδειγμα.δοκιμή", Some("xn--hxajbheg2az3al.xn--jxalpdlp")),
            ("例え.テスト", Some("xn--r8jz45g.xn--zckzah")),
            ("xn--hxajbheg2az3al.xn--jxalpdlp", Some("xn--hxajbheg2az3al.xn--jxalpdlp")),
            ("c--n.com", Some("c--n.com")),
            ("", None),
            ("a..com", None),
            (".com", None),
            ("com.", None),
            ("-a.com", None),
            ("a-.com", None),
            ("ä-.com", None),
            ("a_b.com", None),
            ("ä_b.com", None),
            ("ä b.com", None),
            ("ä/b.com", None),
            ("xn--ä.com", None),
            ("\u{200d}ä.com", None),
        ] {
            assert_eq!(ascii_domain(text).as_deref(), ascii, "{text}");
        }
        let label = "a".repeat(63);
        assert!(ascii_domain(&format!("{label}.com")).is_some() && ascii_domain(&format!("a{label}.com")).is_none());
        assert!(ascii_domain(&format!("{}.com", "ü".repeat(63))).is_none(), "what counts is what is sent");
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert!(ascii_domain(&longest).is_some() && ascii_domain(&format!("{longest}a")).is_none());
    }

    #[test]
    fn a_url_is_written_in_ascii() {
        for (text, ascii) in [
            ("https://example.com/A?b=%C3%BC#c", Some("https://example.com/A?b=%C3%BC#c")),
            ("https://exämple.de:8443/grüße/%41?name=jürgen", Some("https://xn--exmple-cua.de:8443/gr%C3%BC%C3%9Fe/%41?name=j%C3%BCrgen")),
            ("https://example.com/ü", Some("https://example.com/%C3%BC")),
            ("http://１２７.0.0.1/", Some("http://127.0.0.1/")),
            ("https://ex\u{ad}ample.com/", Some("https://example.com/")),
            ("mailto:a@example.com?subject=Grüße", Some("mailto:a@example.com?subject=Gr%C3%BC%C3%9Fe")),
            ("https://exämple.de/\n", None),
            ("https://exämple .de/", None),
            ("https://ä", Some("https://xn--4ca/")),
            ("https://ä%00/", None),
            ("ä", None),
        ] {
            assert_eq!(ascii_url(text).as_deref(), ascii, "{text}");
        }
    }
}
