//! Signed HTTP calls.

use errand_core::{Aliases, Fields, HTTP_URL, Payload, Place, Secret, Text, http_url, segment};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use serde_json::value::RawValue;

/// Headers that the connection, the signature or the body decide about.
const OWN_HEADERS: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// What task `webhook` takes.
pub struct Call {
    /// Where to; `http` or `https`.
    pub url: Uri,
    /// The JSON to send, as it was written; `null` when not said.
    pub body: Box<RawValue>,
    /// More headers.
    pub headers: HeaderMap,
    /// POST when not said, or PUT.
    pub method: Method,
    /// A `whsec_` secret to sign with in place of the operator's.
    pub secret: Option<Secret>,
}

impl Payload for Call {
    const SCHEMA: &'static str = include_str!("schema.json");
    // Of Python's `requests`.
    const ALIASES: Aliases = &[("json", "body"), ("data", "body")];

    /// A body is JSON, whose texts are texts whatever they hold.
    fn text(place: &Place<'_>) -> Text {
        if place.path.first() == Some(&"body") { Text::Plain } else { Text::Line }
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let url = fields.required::<String>("url");
        let url = url.and_then(|text| uri(&text).map_err(|expected| fields.refuse("url", format!("expected {expected}"))).ok());
        let headers = headers(fields);
        let method = match fields.optional::<String>("method").as_deref() {
            None | Some("POST") => Method::POST,
            Some("PUT") => Method::PUT,
            Some(_) => {
                fields.refuse("method", "expected POST or PUT");
                Method::POST
            }
        };
        let secret = fields.text("secret", secret).map(Secret::new);
        let body = fields.raw("body").unwrap_or(RawValue::NULL).to_owned();
        Some(Self { url: url?, body, headers, method, secret })
    }
}

fn uri(text: &str) -> Result<Uri, &'static str> {
    http_url(text).and_then(|url| url.parse().ok()).ok_or(HTTP_URL)
}

fn headers(fields: &mut Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields.texts("headers") {
        let pointer = format!("headers/{}", segment(&name));
        match (HeaderName::try_from(&name), HeaderValue::try_from(value)) {
            (Ok(known), _) if OWN_HEADERS.contains(&known) || known.as_str().starts_with("webhook-") => {
                fields.refuse(&pointer, "expected no header that the connection or the signature sets");
            }
            (Ok(known), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.insert(known, value);
            }
            _ => fields.refuse(&pointer, "expected an HTTP header's name and value"),
        }
    }
    headers
}

fn secret(text: &str) -> Result<(), &'static str> {
    Secret::new(text).signing_key().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_enough() {
        let call = Call::from_json(r#"{"url":"https://example.com/hook?x=1"}"#).unwrap();
        assert_eq!((call.method, call.body.get(), call.headers.len()), (Method::POST, "null", 0));
    }

    #[test]
    fn the_body_is_kept_as_it_was_written() {
        assert_eq!(
            Call::from_json(r#"{"url":"https://example.com","body":{ "n": 1.50, "z":1 }}"#).unwrap().body.get(),
            r#"{ "n": 1.50, "z":1 }"#
        );
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let told = Call::from_json(
            r#"{"url":"ftp://x","method":"GET","secret":"whsec_hunter2","headers":{"Host":"x","Webhook-Id":"y","a b":"z"}}"#,
        )
        .err()
        .unwrap()
        .to_string();
        for pointer in ["/url: ", "/method: ", "/secret: ", "/headers/Host: ", "/headers/Webhook-Id: ", "/headers/a b: "] {
            assert!(told.contains(pointer), "{pointer} in {told}");
        }
    }

    #[test]
    fn an_international_url_is_called_in_ascii() {
        let call = Call::from_json(r#"{"url":"https://exämple.de/grüße?name=jürgen"}"#).unwrap();
        assert_eq!(call.url, "https://xn--exmple-cua.de/gr%C3%BC%C3%9Fe?name=j%C3%BCrgen");
        // What the guard sees is what is called.
        assert_eq!(Call::from_json(r#"{"url":"http://１６９.２５４.169.254/"}"#).unwrap().url.host(), Some("169.254.169.254"));
        for url in ["https://jürgen@example.com/", "https://exämple.de:99999/", "https://-ä.de:x/", "https://ä\\u0000.de/"] {
            assert!(Call::from_json(&format!(r#"{{"url":"{url}"}}"#)).is_err(), "{url}");
        }
    }

    #[test]
    fn a_secret_that_is_none_is_told() {
        for secret in ["whsec_", "whsec_none", "whsec_aGk=", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"] {
            let told = Call::from_json(&format!(r#"{{"url":"https://example.com","secret":"{secret}"}}"#)).err().unwrap().to_string();
            assert_eq!(told, "/secret: expected whsec_ and the base64 of 24 to 64 bytes");
        }
        assert!(Call::from_json(r#"{"url":"https://example.com","secret":"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}"#).is_ok());
    }

    #[test]
    fn a_url_is_refused_that_would_not_be_called_as_it_says() {
        let read = |url: &str| Call::from_json(&format!(r#"{{"url":"{url}"}}"#));
        for url in ["", "example.com/x", "https://", "//example.com", "file:///etc/passwd"] {
            assert!(read(url).is_err(), "{url}");
        }
        for url in ["https://user:pw@example.com/", "https://user@example.com/", "https://example.com:99999/", "https://example.com:0x50/"]
        {
            assert!(read(url).is_err(), "{url}");
        }
        for url in ["https://example.com:8443/", "http://[2001:db8::1]/", "http://[2001:db8::1]:8080/x"] {
            assert!(read(url).is_ok(), "{url}");
        }
    }
}
