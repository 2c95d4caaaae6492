//! What an operator sets: environment variables, each declared once; and what a function has when it starts.

pub mod all;
mod init;
mod invocation;
mod more;
mod reference;
mod setting;
mod signing;
mod stranger;

use std::{collections::BTreeMap, fmt};

pub use init::{CallTimeout, Init};
pub use invocation::Invocation;
pub use reference::Reference;
pub use setting::{Reader, Setting, Takes};
pub use stranger::{Stranger, Unread};

/// How the names of all settings begin that are not another's.
const PREFIX: &str = "ERRAND_";

/// The environment variables that a function was started with. Only `main` makes one of the real environment; an empty value counts
/// as not set, since a deployment template cannot leave a variable out.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The value of a setting; its default when it is not set and has one.
    #[must_use]
    pub fn get(&self, setting: &Setting) -> Option<&str> {
        let default = (!setting.default.is_empty()).then_some(setting.default);
        self.0.get(setting.name).map(String::as_str).or(default)
    }

    /// The value of a setting that must be there.
    ///
    /// # Errors
    /// It is not set.
    pub fn required(&self, setting: &Setting) -> Result<&str, SettingsError> {
        self.get(setting).ok_or_else(|| SettingsError::missing(setting.name))
    }

    /// The value of a setting that takes a number.
    ///
    /// # Errors
    /// It is no such number.
    pub fn number(&self, setting: &Setting) -> Result<Option<u32>, SettingsError> {
        let Takes::Number(least, most) = setting.takes else { return Ok(None) };
        let number = |text: &str| text.trim().parse().ok().filter(|number| (least..=most).contains(number));
        self.get(setting).map(|text| number(text).ok_or_else(|| SettingsError::wrong(setting))).transpose()
    }

    /// The value of a setting that takes one of some words; empty when it is not set and has no default.
    ///
    /// # Errors
    /// It is none of them.
    pub fn word(&self, setting: &Setting) -> Result<&'static str, SettingsError> {
        let (Takes::OneOf(words), Some(text)) = (setting.takes, self.get(setting)) else { return Ok("") };
        words.iter().find(|word| **word == text).copied().ok_or_else(|| SettingsError::wrong(setting))
    }

    /// Whether a setting is set.
    #[must_use]
    pub fn has(&self, setting: &Setting) -> bool {
        self.0.contains_key(setting.name)
    }

    /// The same settings with a value for one that is not set.
    #[must_use]
    pub fn with_default(&self, setting: &Setting, value: &str) -> Self {
        let mut variables = self.0.clone();
        variables.entry(setting.name.to_owned()).or_insert_with(|| value.to_owned());
        Self(variables)
    }

    /// A setting and those whose names go on from its own with a `_`, with their whole names.
    pub fn family(&self, setting: &Setting) -> impl Iterator<Item = (&str, &str)> {
        let is_of = |name: &str| name.strip_prefix(setting.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
        self.0.iter().filter(move |(name, _)| is_of(name)).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The names of the variables that are set, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(vars: I) -> Self {
        Self(vars.into_iter().map(|(name, value)| (name.into(), value.into())).filter(|(_, value)| !value.is_empty()).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A setting that is missing or wrong: one line that begins with the variable's name and never holds its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The environment variable.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
    /// Whether it is merely not set. A provider of which nothing is set is off, and no error.
    pub missing: bool,
}

impl SettingsError {
    /// A variable that must be set and is not.
    #[must_use]
    pub fn missing(name: &str) -> Self {
        Self { name: name.to_owned(), problem: "must be set".to_owned(), missing: true }
    }

    /// A setting whose value is not what it takes.
    #[must_use]
    pub fn wrong(setting: &Setting) -> Self {
        Self::invalid(setting.name, &format!("expected {}", setting.takes))
    }

    /// A variable whose value cannot be used.
    #[must_use]
    pub fn invalid(name: &str, problem: &str) -> Self {
        Self { name: name.to_owned(), problem: problem.to_owned(), missing: false }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.problem)
    }
}

impl std::error::Error for SettingsError {}

/// A token, key or password. It has no `Display`, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: for the header or signature that needs it and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        const SETTINGS;
        /// A token.
        TOKEN = "ERRAND_X_TOKEN", Secret("a token"), "", [Consumer];
        /// Tries.
        TRIES = "ERRAND_X_TRIES", Number(1, 10), "3", [Consumer];
        /// A word.
        MODE = "ERRAND_X_MODE", OneOf(&["on", "off"]), "off", [Consumer];
    }

    fn env(vars: &[(&str, &str)]) -> Environment {
        vars.iter().copied().collect()
    }

    #[test]
    fn settings_are_read_as_they_are_declared_and_errors_name_them_without_their_values() {
        let unset = env(&[]);
        assert_eq!((unset.get(&TOKEN), unset.number(&TRIES), unset.word(&MODE)), (None, Ok(Some(3)), Ok("off")));
        assert_eq!(unset.required(&TOKEN).unwrap_err().to_string(), "ERRAND_X_TOKEN: must be set");
        let set = env(&[("ERRAND_X_TOKEN", "t"), ("ERRAND_X_TRIES", " 10 "), ("ERRAND_X_MODE", "on")]);
        assert_eq!((set.get(&TOKEN), set.number(&TRIES), set.word(&MODE)), (Some("t"), Ok(Some(10)), Ok("on")));
        for wrong in ["0", "11", "1.5", "hunter2", "-1"] {
            let error = env(&[("ERRAND_X_TRIES", wrong)]).number(&TRIES).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.missing), ("ERRAND_X_TRIES: expected a whole number from 1 to 10", false));
        }
        assert_eq!(env(&[("ERRAND_X_MODE", "hunter2")]).word(&MODE).unwrap_err().to_string(), "ERRAND_X_MODE: expected on or off");
        assert_eq!(SETTINGS.len(), 3);
    }

    #[test]
    fn an_empty_value_is_not_set_and_nothing_prints_a_value() {
        let env = env(&[("ERRAND_X_TOKEN", ""), ("ERRAND_Y_TOKEN", "hunter2")]);
        assert!(!env.has(&TOKEN) && env.required(&TOKEN).is_err() && env.names().eq(["ERRAND_Y_TOKEN"]));
        assert!(!format!("{env:?} {:?}", Secret::new("hunter2")).contains("hunter2"));
    }

    #[test]
    fn no_name_is_declared_twice_and_each_is_told_what_it_does() {
        for (place, setting) in all::ALL.iter().enumerate() {
            assert!(all::ALL.iter().skip(place + 1).all(|other| other.name != setting.name), "{}", setting.name);
            assert!(setting.about.trim().ends_with('.') && !setting.readers.is_empty(), "{}", setting.name);
        }
    }
}
