//! Signatures by the Standard Webhooks specification:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::{borrow::Cow, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{Digest, Environment, Init, Secret, Setting, SettingsError, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac;

pub use ring::hmac::Key;

use crate::Credential;

/// What messages are signed with: with each of them.
pub type Keys = Arc<[Key]>;

/// The keys of the secrets that a setting has. None, if it is not set.
///
/// # Errors
/// One of them is none; or there is none.
pub fn keys(env: &Environment, setting: &Setting, cx: &Init) -> Result<Credential<Keys>, SettingsError> {
    Ok(Credential::from_env(env, setting, cx, keys_of)?.unwrap_or_else(|| Credential::of(Keys::default())))
}

/// The keys of secrets that are separated by spaces or commas: the current one, and others while receivers change over.
fn keys_of(secrets: &Secret) -> Result<Keys, String> {
    let secrets = secrets.expose().split([' ', ',']).filter(|secret| !secret.is_empty());
    let keys: Result<Vec<Key>, _> = secrets.map(|secret| key(&Secret::new(secret))).collect();
    match keys.map_err(|expected| format!("expected {expected}"))? {
        none if none.is_empty() => Err("holds no secret: calls would not be signed".to_owned()),
        keys => Ok(keys.into()),
    }
}

/// A secret's key: `whsec_` and the base64 of 24 to 64 bytes.
///
/// # Errors
/// What was expected.
pub fn key(secret: &Secret) -> Result<Key, &'static str> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &secret.signing_key()?))
}

/// The headers of a message that is sent now: its id, the time, and where there are keys its signatures.
#[must_use]
pub fn headers(keys: &[Key], id: &str, now: Timestamp, body: &[u8]) -> HeaderMap {
    let (id, timestamp) = (message_id(id), now.seconds());
    let mut headers = HeaderMap::new();
    let mut set = |name, value: &str| headers.extend(HeaderValue::from_str(value).ok().map(|value| (HeaderName::from_static(name), value)));
    set("webhook-id", &id);
    set("webhook-timestamp", &timestamp.to_string());
    if !keys.is_empty() {
        set("webhook-signature", &signatures(keys, &id, timestamp, body));
    }
    headers
}

/// The value of `webhook-signature`: one signature for each key, so that receivers can change over from one to the next.
fn signatures(keys: &[Key], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(body);
    let all: Vec<String> = keys.iter().map(|key| format!("v1,{}", STANDARD.encode(hmac::sign(key, &signed)))).collect();
    all.join(" ")
}

/// The value of `webhook-id`: the attempt's key, or its hash when that has a dot, which would make the signed text ambiguous.
fn message_id(key: &str) -> Cow<'_, str> {
    if key.contains('.') { Cow::Owned(format!("msg_{}", STANDARD.encode(Digest::of(key.as_bytes()).bytes()))) } else { Cow::Borrowed(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_specifications_example_has_the_specifications_signature() {
        let key = key(&Secret::new(SECRET)).unwrap();
        let signed = signatures(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn no_id_makes_the_signed_text_ambiguous() {
        assert_eq!(message_id("order-1"), "order-1");
        assert!(!message_id("a.1700000000").contains('.') && message_id("a.1") != message_id("a.2"));
    }
}
