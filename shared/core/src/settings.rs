use std::{collections::BTreeMap, fmt, ops::RangeInclusive};

use serde::{Deserialize, de::DeserializeOwned};

/// The environment variables that a function was started with. Only `main` makes one of the real environment; an empty value counts
/// as not set, since a deployment template cannot leave a variable out.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a variable that must be there.
    ///
    /// # Errors
    /// It is not set.
    pub fn required(&self, name: &str) -> Result<&str, SettingsError> {
        self.get(name).ok_or_else(|| SettingsError::missing(name))
    }

    /// The value of a variable as a whole number within `range`.
    ///
    /// # Errors
    /// It is set and is no such number.
    pub fn number(&self, name: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, SettingsError> {
        let wrong = || SettingsError::invalid(name, &format!("expected a whole number from {} to {}", range.start(), range.end()));
        self.get(name).map(|text| text.trim().parse().ok().filter(|number| range.contains(number)).ok_or_else(wrong)).transpose()
    }

    /// The same with a value for a variable that is not set.
    #[must_use]
    pub fn with_default(&self, name: &str, value: &str) -> Self {
        let mut variables = self.0.clone();
        variables.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        Self(variables)
    }

    /// The variables that begin with `prefix`, with their whole names.
    pub fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        let from_prefix = self.0.range(prefix.to_owned()..).map(|(name, value)| (name.as_str(), value.as_str()));
        from_prefix.take_while(move |(name, _)| name.starts_with(prefix))
    }

    /// The variables that begin with `prefix` as a struct: field `from` is variable `<prefix>FROM`.
    ///
    /// # Errors
    /// One is missing or has a value that its field cannot hold. The value is left out of the error: it may be a secret.
    pub fn section<T: DeserializeOwned>(&self, prefix: &str) -> Result<T, SettingsError> {
        let vars = self.0.iter().map(|(name, value)| (name.clone(), value.clone()));
        envy::prefixed(prefix).from_iter(vars).map_err(|error| match error {
            envy::Error::MissingValue(field) => SettingsError::missing(&format!("{prefix}{}", field.to_uppercase())),
            envy::Error::Custom(text) => {
                let name = text
                    .rsplit_once(" provided by ")
                    .map_or(format!("{prefix}*"), |(_, key)| format!("{prefix}{}", key.trim_start_matches(prefix).to_uppercase()));
                let why = text.split_once(" while parsing value ").map_or("has a wrong value", |(why, _)| why);
                SettingsError::invalid(&name, why)
            }
        })
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
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
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

    #[derive(Debug, Deserialize, PartialEq)]
    struct Section {
        token: Secret,
        tries: Option<u32>,
    }

    fn section(vars: &[(&str, &str)]) -> Result<Section, SettingsError> {
        vars.iter().copied().collect::<Environment>().section("ERRAND_X_")
    }

    #[test]
    fn a_section_is_read_and_its_errors_name_the_variable_without_its_value() {
        assert_eq!(
            section(&[("ERRAND_X_TOKEN", "t"), ("ERRAND_X_TRIES", "3")]).unwrap(),
            Section { token: Secret::new("t"), tries: Some(3) }
        );
        assert_eq!(section(&[("ERRAND_X_TRIES", "3")]).unwrap_err().to_string(), "ERRAND_X_TOKEN: must be set");
        let wrong = section(&[("ERRAND_X_TOKEN", "t"), ("ERRAND_X_TRIES", "hunter2")]).unwrap_err();
        assert_eq!(wrong.to_string(), "ERRAND_X_TRIES: invalid digit found in string");
        assert!(!wrong.missing);
    }

    #[test]
    fn an_empty_value_is_not_set_and_nothing_prints_a_value() {
        let env: Environment = [("ERRAND_X_TOKEN", ""), ("ERRAND_Y_TOKEN", "hunter2")].into_iter().collect();
        assert!(
            env.with_prefix("ERRAND_X_").next().is_none()
                && env.with_prefix("ERRAND_Y_").next().is_some()
                && env.required("ERRAND_X_TOKEN").is_err()
        );
        assert!(!format!("{env:?} {:?}", Secret::new("hunter2")).contains("hunter2"));
    }
}
