use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{Digest, Envelope};

/// Tells an envelope's content from any other that comes under the same id: half of the SHA-256 of its task, arguments and context, as they were written.
/// What is said about when and how to run it is not content. As text, 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// Of what an envelope holds. Arguments that are in the object store count by their key.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Self {
        let args = envelope.args.as_deref().map_or("[]", RawValue::get);
        let kwargs = envelope.claim_check.as_deref().unwrap_or(envelope.payload());
        let context = envelope.context.json.as_deref().map_or("{}", RawValue::get);
        Self(Digest::of_parts(&[&envelope.task, args, kwargs, context]).half())
    }
}

impl Envelope {
    /// Its content's: the one that it came with, or that of what it holds.
    #[must_use]
    pub fn content(&self) -> Fingerprint {
        self.fingerprint.unwrap_or_else(|| Fingerprint::of(self))
    }
}

impl From<&Digest> for Fingerprint {
    fn from(digest: &Digest) -> Self {
        Self(digest.half())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u128::from_str_radix(text, 16).ok().filter(|_| digits).map(Self).ok_or("expected 32 hexadecimal digits")
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Context, Timestamp};

    use super::*;

    fn raw(json: &str) -> Option<Box<RawValue>> {
        RawValue::from_string(json.to_owned()).ok()
    }

    #[test]
    fn it_is_of_task_arguments_and_context_as_they_were_written_in_every_build() {
        let plain = Envelope::new("a".to_owned(), "email".to_owned());
        let full = Envelope {
            args: raw("[1]"),
            kwargs: raw(r#"{"n":1e400}"#),
            context: raw(r#"{"k":1}"#).map(Context::of).unwrap(),
            ..plain.clone()
        };
        assert_eq!(Fingerprint::of(&plain).to_string(), "0782f59806af06e8f25c195ceacc049a");
        assert_eq!(Fingerprint::of(&full).to_string(), "19df11052a6fb4ee9a5f5447a1216a93");
        assert_eq!("0782f59806af06e8f25c195ceacc049a".parse(), Ok(Fingerprint::of(&plain)));
        let same = [
            Envelope { id: "b".to_owned(), queue: "fast".to_owned(), run_after: Some(Timestamp::now()), ..plain.clone() },
            Envelope { args: raw("[]"), kwargs: raw("{}"), context: Context::default(), ..plain.clone() },
        ];
        assert!(same.iter().all(|same| same.content() == plain.content()));
        let others = [
            Envelope { task: "slack".to_owned(), ..full.clone() },
            Envelope { args: raw("[ 1]"), ..full.clone() },
            Envelope { kwargs: raw(r#"{"n":1E400}"#), ..full.clone() },
            Envelope { context: Context::default(), ..full.clone() },
            Envelope { kwargs: None, claim_check: Some("soon/x".to_owned()), ..full.clone() },
        ];
        assert!(others.iter().all(|other| other.content() != full.content()));
        let mut apart = full.clone();
        let _ = apart.check_in("soon/x".to_owned());
        assert_eq!(apart.content(), full.content(), "what is stored apart is the same content");
    }
}
