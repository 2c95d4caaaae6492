use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Environment, SettingsError, limits};

/// What does the tasks of a route.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// A provider, by its name; or [`Target::FUNCTION`].
    Provider(String),
    /// A runner, by the one of these names that is one's, and its options; or a task by the name `task`, and how its payload is made.
    Runner(Map<String, Value>),
}

impl Target {
    /// The provider's name of Rust functions that a consumer has of its own.
    pub const FUNCTION: &'static str = "function";
}

/// Which tasks are done by what: `ERRAND_ROUTES`, a JSON object of a task's name, or `prefix.*`, or `*`, and what does it; of several, the next one where one
/// cannot be reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Routes<T>(BTreeMap<String, T>);

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

const SETTING: &str = "ERRAND_ROUTES";

impl Routes<Vec<Target>> {
    /// Reads the setting.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_env(env: &Environment) -> Result<Self, SettingsError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Targets {
            One(Target),
            Many(Vec<Target>),
        }
        let json = env.get(SETTING).unwrap_or("{}");
        let expected = r#"expected a JSON object such as {"orders.*":{"http":"https://example.com/tasks"},"email":["ses"]}"#;
        let read: BTreeMap<String, Targets> = serde_json::from_str(json).map_err(|_| SettingsError::invalid(SETTING, expected))?;
        let mut routes = BTreeMap::new();
        for (pattern, targets) in read {
            let name = if pattern == "*" { "any" } else { pattern.strip_suffix(".*").unwrap_or(&pattern) };
            if limits::task(name).is_err() {
                return Err(wrong(&pattern, "expected a task's name, prefix.* or *"));
            }
            let targets = match targets {
                Targets::One(target) => vec![target],
                Targets::Many(targets) if targets.is_empty() => return Err(wrong(&pattern, "expected at least one that does it")),
                Targets::Many(targets) => targets,
            };
            routes.insert(pattern, targets);
        }
        Ok(Self(routes))
    }
}

/// A route that is wrong.
pub(crate) fn wrong(pattern: &str, problem: &str) -> SettingsError {
    SettingsError::invalid(SETTING, &format!("{pattern}: {problem}"))
}

impl<T> Routes<T> {
    /// The route of exactly this task.
    #[must_use]
    pub fn exact(&self, task: &str) -> Option<&T> {
        self.0.get(task).filter(|_| !task.ends_with('*'))
    }

    /// The route of the longest prefix of this task; that of all tasks when there is none.
    #[must_use]
    pub fn prefix(&self, task: &str) -> Option<&T> {
        let prefixes = task.rmatch_indices('.').map(|(end, _)| &task[..end]);
        prefixes.map(|prefix| format!("{prefix}.*")).chain(["*".to_owned()]).find_map(|pattern| self.0.get(&pattern))
    }

    /// The routes with what does their tasks made of what is said.
    ///
    /// # Errors
    /// The first that cannot be made.
    pub fn try_map<U, E>(self, mut make: impl FnMut(&str, T) -> Result<U, E>) -> Result<Routes<U>, E> {
        let routes = self.0.into_iter().map(|(pattern, target)| {
            let made = make(&pattern, target)?;
            Ok((pattern, made))
        });
        routes.collect::<Result<_, _>>().map(Routes)
    }

    /// The patterns, sorted.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn routes(json: &str) -> Result<Routes<Vec<Target>>, SettingsError> {
        Routes::from_env(&[(SETTING, json)].into_iter().collect())
    }

    #[test]
    fn the_nearest_route_is_taken() {
        let routes = routes(r#"{"a.b":"one","a.*":["two","three"],"a.b.*":{"http":"https://x"},"*":"rest"}"#).unwrap();
        let provider = |name: &str| Target::Provider(name.to_owned());
        assert_eq!(routes.exact("a.b"), Some(&vec![provider("one")]));
        assert_eq!((routes.exact("a.c"), routes.exact("a.*"), routes.exact("*")), (None, None, None));
        assert_eq!(routes.prefix("a.c"), Some(&vec![provider("two"), provider("three")]));
        assert_eq!(routes.prefix("a.b.c.d"), Some(&vec![Target::Runner(json!({ "http": "https://x" }).as_object().unwrap().clone())]));
        assert_eq!((routes.prefix("a"), routes.prefix("ab.c")), (Some(&vec![provider("rest")]), Some(&vec![provider("rest")])));
    }

    #[test]
    fn a_wrong_route_is_named() {
        for (json, part) in
            [("[]", "expected a JSON object"), (r#"{"a b":"x"}"#, "a b: "), (r#"{"a.*.b":"x"}"#, "a.*.b: "), (r#"{"a":[]}"#, "a: ")]
        {
            let error = routes(json).unwrap_err().to_string();
            assert!(error.starts_with("ERRAND_ROUTES: ") && error.contains(part), "{error}");
        }
        assert_eq!(routes("{}").unwrap().patterns().count(), 0);
    }
}
