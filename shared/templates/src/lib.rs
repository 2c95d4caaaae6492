//! Templates of notifications: JSON payloads whose texts are templates in the language of Jinja and Django.
//!
//! A name that is not there is an error and not an empty text: who gets a mail should not find out first that a variable was misspelt.

mod language;
mod render;

use std::collections::BTreeMap;

use errand_core::{Problem, Problems, segment};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use render::{OUTPUT_LIMIT, Renderer, STEPS_LIMIT, VARIABLES_LIMIT};

/// The payloads of channels, by the name of the channel; their texts are templates.
pub type Channels = BTreeMap<String, Map<String, Value>>;

/// A template of notifications.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// What each channel says, in the language of those who name none.
    pub channels: Channels,
    /// What channels say in other languages, by locale: `de`, `de-AT`.
    #[serde(default)]
    pub locales: BTreeMap<String, Channels>,
}

impl Template {
    /// Checks that every text is a template.
    ///
    /// # Errors
    /// All that are none, by their place.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Vec::new();
        let mut check = |pointer: &str, channels: &Channels| {
            for (channel, payload) in channels {
                problems.extend(render::check(payload).into_iter().map(|Problem { pointer: inner, detail }| Problem {
                    pointer: format!("{pointer}/{}{inner}", segment(channel)),
                    detail,
                }));
            }
        };
        check("/channels", &self.channels);
        for (locale, channels) in &self.locales {
            check(&format!("/locales/{}", segment(locale)), channels);
        }
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }

    /// What a channel says in a locale: that of the locale itself, else of its language, else of those who name none.
    #[must_use]
    pub fn payload(&self, channel: &str, locale: Option<&str>) -> Option<&Map<String, Value>> {
        let named =
            |locale: &str| self.locales.iter().find(|(known, _)| known.replace('_', "-").eq_ignore_ascii_case(&locale.replace('_', "-")));
        let of = |locale: &str| named(locale).and_then(|(_, channels)| channels.get(channel));
        let language = |locale: &str| locale.split(['-', '_']).next().map(ToOwned::to_owned);
        locale.and_then(|locale| of(locale).or_else(|| of(&language(locale)?))).or_else(|| self.channels.get(channel))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(json: Value) -> Template {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_nearest_language_is_spoken() {
        let template = template(json!({
            "channels": { "email": { "subject": "Hello" }, "slack": { "text": "Hello" } },
            "locales": { "de": { "email": { "subject": "Hallo" } }, "de-AT": { "email": { "subject": "Servus" } } }
        }));
        let said = |channel, locale| {
            template.payload(channel, locale).map(|payload| payload.get("subject").and_then(Value::as_str).unwrap_or("-").to_owned())
        };
        let table = [
            (None, "Hello"),
            (Some("de"), "Hallo"),
            (Some("de_AT"), "Servus"),
            (Some("de-CH"), "Hallo"),
            (Some("DE"), "Hallo"),
            (Some("fr"), "Hello"),
        ];
        for (locale, wanted) in table {
            assert_eq!(said("email", locale).as_deref(), Some(wanted), "{locale:?}");
        }
        assert_eq!((said("slack", Some("de")).as_deref(), said("sms", None)), (Some("-"), None));
    }

    #[test]
    fn every_text_that_is_no_template_is_named() {
        let wrong = template(json!({
            "channels": { "email": { "subject": "{{ a", "to": ["{% if %}"], "body": "{{ a|no_such_filter }}" } },
            "locales": { "de": { "a/b": { "text": "{% endfor %}" } } }
        }));
        let pointers: Vec<String> = wrong.check().unwrap_err().0.into_iter().map(|problem| problem.pointer).collect();
        assert_eq!(pointers, ["/channels/email/body", "/channels/email/subject", "/channels/email/to/0", "/locales/de/a~1b/text"]);
        assert!(template(json!({ "channels": {} })).check().is_ok());
    }
}
