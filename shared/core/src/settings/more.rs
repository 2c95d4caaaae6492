//! Settings that stand together in one.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{Environment, PREFIX, Reader, Reference, SettingsError, all::SETTINGS};
use crate::{Fields, segment};

impl Environment {
    /// The same settings with those that `ERRAND_SETTINGS` holds: a JSON object of their names and values. A text is the value, and any other JSON is the value as it was
    /// written. What is set by itself wins. While the setting is a reference it holds none, and for who does not read it neither.
    ///
    /// # Errors
    /// It is no such object, or holds a name that is no setting's.
    pub fn with_more(&self, reader: Reader) -> Result<Self, SettingsError> {
        let is_value = |text: &&str| SETTINGS.readers.contains(&reader) && !matches!(Reference::read(text), Ok(Some(_)));
        let Some(json) = self.get(&SETTINGS).filter(is_value) else { return Ok(self.clone()) };
        let wrong = |problem: &str| SettingsError::invalid(SETTINGS.name, problem);
        let more: BTreeMap<String, &RawValue> = Fields::value(json).map_err(|problems| wrong(&problems.to_string()))?;
        let mut variables = self.0.clone();
        for (name, value) in more {
            if !name.starts_with(PREFIX) || name == SETTINGS.name {
                return Err(wrong(&format!("/{}: expected the name of a setting, which begins with {PREFIX}", segment(&name))));
            }
            let value = serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned());
            if !value.is_empty() && value != "null" {
                variables.entry(name).or_insert(value);
            }
        }
        Ok(Self(variables))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::all::{MAX_ATTEMPTS, ROUTES, TABLE, URL};

    fn more(vars: &[(&str, &str)]) -> Result<Environment, String> {
        vars.iter().copied().collect::<Environment>().with_more(Reader::Consumer).map_err(|error| error.to_string())
    }

    #[test]
    fn what_stands_together_is_set_where_it_is_not_set_by_itself() {
        let json = r#"{"ERRAND_ROUTES":{"a":{"http":"https://x"}},"ERRAND_MAX_ATTEMPTS":7,"ERRAND_URL":"ssm:/url","ERRAND_TABLE":null}"#;
        let env = more(&[("ERRAND_SETTINGS", json), ("ERRAND_MAX_ATTEMPTS", "3")]).unwrap();
        assert_eq!((env.get(&ROUTES), env.get(&MAX_ATTEMPTS)), (Some(r#"{"a":{"http":"https://x"}}"#), Some("3")));
        assert_eq!((env.get(&URL), env.get(&TABLE)), (Some("ssm:/url"), None));
        assert!(!more(&[("ERRAND_SETTINGS", "ssm:/errand/settings")]).unwrap().has(&ROUTES), "it is read first");
    }

    #[test]
    fn what_holds_no_settings_is_told_without_its_values() {
        for (json, told) in [
            ("[]", "ERRAND_SETTINGS: expected an object"),
            (r#"{"PATH":"hunter2"}"#, "ERRAND_SETTINGS: /PATH: expected the name of a setting, which begins with ERRAND_"),
            (r#"{"ERRAND_SETTINGS":"hunter2"}"#, "ERRAND_SETTINGS: /ERRAND_SETTINGS: expected the name of a setting"),
        ] {
            let error = more(&[("ERRAND_SETTINGS", json)]).unwrap_err();
            assert!(error.starts_with(told) && !error.contains("hunter2"), "{error}");
        }
    }
}
