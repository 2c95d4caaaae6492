//! What a service answered, and what follows from it.

use errand_core::{DeliveryError, ErrorKind, Receipt, Timestamp};
use http::{HeaderMap, StatusCode, header};
use serde::{
    Deserialize, Deserializer as _,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::{json, value::RawValue};

use crate::{Meaning, Meanings, classify::http_date, retry_after, said};

/// The longest error code of any service, in characters.
const LONGEST_CODE: usize = 64;

/// An answer, with any status.
pub struct Answer {
    /// Whose it is, for who is told of it.
    service: &'static str,
    response: http::Response<bytes::Bytes>,
    /// When it came.
    at: Timestamp,
}

impl Answer {
    pub(crate) const fn new(service: &'static str, response: http::Response<bytes::Bytes>, at: Timestamp) -> Self {
        Self { service, response, at }
    }

    /// When it came.
    pub(crate) const fn at(&self) -> Timestamp {
        self.at
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Whether its status says that it was done.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status().is_success()
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// A header that is a text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// How far this machine's clock is from the service's, by the answer's `Date`, where that is a minute or more: in words, for who is told that a signature or a token
    /// is refused.
    #[must_use]
    pub fn clock_off(&self) -> Option<String> {
        let theirs = http_date(self.header(header::DATE.as_str())?)?;
        let (behind, ahead) = (theirs.since(self.at).as_secs(), self.at.since(theirs).as_secs());
        let (seconds, how) = if behind > ahead { (behind, "behind") } else { (ahead, "ahead of") };
        (seconds >= 60).then(|| format!("this machine's clock is {seconds} seconds {how} the service's"))
    }

    /// Its body, which may have been cut.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.response.body()
    }

    /// Its body as JSON that is whole.
    #[must_use]
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(self.body()).ok()
    }

    /// The fields of the JSON object that its body is, as far as it goes: services repeat behind what counts what they were sent, and a long answer is cut there.
    #[must_use]
    pub fn told(&self) -> Told<'_> {
        Told::read(self.body())
    }

    /// The receipt of who says no more than that it was done.
    #[must_use]
    pub fn receipt(&self) -> Receipt {
        Receipt(json!({ "status": self.status().as_u16() }).into())
    }

    /// The failure that it is: by the service's own error code, where it gave one, else by its status, with the delay that its headers ask for. `causes` is what the
    /// service said; what [`said`] leaves of each is told.
    #[must_use]
    pub fn refused(&self, meanings: &Meanings, code: Option<&str>, causes: &[String]) -> DeliveryError {
        self.means(meanings.of(self.status(), code), code, causes)
    }

    /// The failure that it is, where its meaning is known.
    pub(crate) fn means(&self, Meaning { kind, stops }: Meaning, code: Option<&str>, causes: &[String]) -> DeliveryError {
        let code = code.map(|code| if is_code(code) { format!(" {code}") } else { " an error of no known form".to_owned() });
        let causes: Vec<String> = causes.iter().map(|cause| said(cause)).filter(|cause| !cause.is_empty()).collect();
        let cause = if causes.is_empty() { String::new() } else { format!(": {}", causes.join("; ")) };
        let message = format!("{} answered HTTP {}{}{cause}", self.service, self.status().as_u16(), code.unwrap_or_default());
        let error = DeliveryError::new(kind, message).retry_after(retry_after(self.headers(), self.at));
        if stops { error.stopping() } else { error }
    }

    /// The failure of an answer whose status says that it was done, and that is not what the service answers then: something between may have given it.
    #[must_use]
    pub fn unclear(&self) -> DeliveryError {
        let message = format!("{} answered HTTP {}, and not as its API does", self.service, self.status().as_u16());
        DeliveryError::new(ErrorKind::OutcomeUnknown, message)
    }
}

/// Whether a text is an error code of a service, and not a page of something between, or something of what was sent.
#[must_use]
pub fn is_code(text: &str) -> bool {
    (1..=LONGEST_CODE).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The fields of a JSON object that may end before its end.
pub struct Told<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Told<'a> {
    /// Reads an object as far as it goes; what is none has no fields.
    fn read(body: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        serde_json::Deserializer::from_slice(body).deserialize_map(Reader(&mut fields)).ok();
        // Alone of all values, a number that is cut is one still.
        fields.pop_if(|(_, raw)| raw.get().starts_with(|c: char| c == '-' || c.is_ascii_digit()) && body.ends_with(raw.get().as_bytes()));
        Self(fields)
    }

    /// A field that came whole and is of this type.
    #[must_use]
    pub fn get<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        let raw = self.0.iter().find(|(known, _)| known == name).map(|(_, raw)| raw)?;
        serde_json::from_str(raw.get()).ok()
    }
}

struct Reader<'a, 'de>(&'a mut Vec<(String, &'de RawValue)>);

impl<'de> Visitor<'de> for Reader<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_entry()? {
            self.0.push(field);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let response = http::Response::builder().status(status).header("retry-after", "7").body(body.to_owned().into());
        Answer::new("Shop", response.unwrap(), Timestamp::from_millis(0))
    }

    #[test]
    fn an_answer_is_read_as_far_as_it_goes() {
        let whole = r#"{"ok":true,"id":"a\"b","more":{"n":1},"message":{"text":"xxxxxxxxxxxxxxxx"},"last":12}"#;
        for length in [whole.len(), whole.len() - 1, whole.len() - 15, 45] {
            let cut = answer(200, &whole[..length]);
            let told = cut.told();
            assert_eq!((told.get("ok"), told.get("id")), (Some(true), Some("a\"b".to_owned())), "{length}");
            assert_eq!(told.get::<serde_json::Value>("more"), Some(json!({ "n": 1 })));
            assert_eq!((told.get::<u8>("id"), told.get::<u8>("none")), (None, None));
            assert_eq!(told.get::<u8>("last").is_some(), length == whole.len(), "a number may go on: {length}");
        }
        for nothing in ["", "ok", "[1]", "{\"ok\":tr", "<html>", "{\"ok\":true"] {
            let none = answer(200, nothing);
            assert_eq!(none.told().get::<bool>("ok").is_some(), nothing == "{\"ok\":true", "{nothing}");
        }
        assert_eq!(answer(200, "{\"a\":1").json::<serde_json::Value>(), None);
    }

    #[test]
    fn a_code_means_what_the_table_says_and_is_told_with_the_cause() {
        use crate::{is, stops};
        const MEANINGS: Meanings = Meanings {
            codes: &[("another_token bad_token", stops(ErrorKind::Misconfigured)), ("gone", is(ErrorKind::RecipientGone))],
            statuses: &[(&[403, 404], ErrorKind::Unavailable)],
        };
        for (status, code, kind, stops, told) in [
            (200, Some("bad_token"), ErrorKind::Misconfigured, true, "Shop answered HTTP 200 bad_token: no … here"),
            (404, Some("gone"), ErrorKind::RecipientGone, false, "Shop answered HTTP 404 gone: no … here"),
            (404, Some("another"), ErrorKind::Unavailable, false, "Shop answered HTTP 404 another: no … here"),
            (429, None, ErrorKind::RateLimited, false, "Shop answered HTTP 429: no … here"),
            (200, Some("to ann@example.com"), ErrorKind::Rejected, false, "Shop answered HTTP 200 an error of no known form: no … here"),
        ] {
            let error = answer(status, "").refused(&MEANINGS, code, &["no ann@example.com here".to_owned(), String::new()]);
            assert_eq!((error.kind, error.stops, error.message.as_str()), (kind, stops, told));
            assert_eq!(error.retry_after.map(|delay| delay.as_secs()), Some(7));
        }
        let unclear = answer(200, "<html>").unclear();
        assert_eq!(
            (unclear.kind, unclear.message.as_str()),
            (ErrorKind::OutcomeUnknown, "Shop answered HTTP 200, and not as its API does")
        );
    }
}
