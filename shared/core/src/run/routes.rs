use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value, value::RawValue};

use super::{hand_over::HandOver, mapping::Mapping};
use crate::{Environment, Fields, Problems, SettingsError, limits, settings::all::ROUTES};

/// What does the tasks of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A provider, by its name; or [`Target::FUNCTION`].
    Provider(String),
    /// A runner, by the one of these names that is one's, and its options.
    Runner(Map<String, Value>),
    /// A transport that is handed them.
    Transport(HandOver),
    /// Another task, and how its payload is made.
    Task(Arc<Mapping>),
}

impl Target {
    /// The provider's name of Rust functions that a consumer has of its own.
    pub const FUNCTION: &'static str = "function";

    fn read(json: &RawValue) -> Result<Self, String> {
        let told = |problems: Problems| problems.to_string();
        match json.get().as_bytes() {
            [b'"', ..] => Fields::value(json.get()).map(Self::Provider).map_err(told),
            [b'{', ..] => {
                let options: Map<String, Value> = Fields::value(json.get()).map_err(told)?;
                if options.contains_key("task") {
                    Mapping::read(json).map(|mapping| Self::Task(Arc::new(mapping)))
                } else if options.contains_key("transport") {
                    Fields::value(json.get()).map(Self::Transport).map_err(told)
                } else {
                    Ok(Self::Runner(options))
                }
            }
            _ => Err("expected a provider's name or an object".to_owned()),
        }
    }
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

const SETTING: &str = ROUTES.name;

/// How many may do a route's tasks, those included that a mapping leads to.
const MOST: usize = 10;

impl Routes<Vec<Target>> {
    /// Reads the setting.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_env(env: &Environment) -> Result<Self, SettingsError> {
        let json = env.get(&ROUTES).unwrap_or("{}");
        let expected = r#"expected a JSON object such as {"orders.*":{"http":"https://example.com/tasks"},"email":["ses"]}"#;
        let read: BTreeMap<String, &RawValue> = serde_json::from_str(json).map_err(|_| SettingsError::invalid(SETTING, expected))?;
        let mut routes = BTreeMap::new();
        for (pattern, targets) in read {
            let name = if pattern == "*" { "any" } else { pattern.strip_suffix(".*").unwrap_or(&pattern) };
            if limits::task(name).is_err() {
                return Err(wrong(&pattern, "expected a task's name, prefix.* or *"));
            }
            let listed =
                if targets.get().starts_with('[') { serde_json::from_str(targets.get()).unwrap_or_default() } else { vec![targets] };
            if listed.is_empty() {
                return Err(wrong(&pattern, "expected at least one that does it"));
            }
            let targets = listed.into_iter().map(Target::read).collect::<Result<_, _>>().map_err(|problem| wrong(&pattern, &problem))?;
            routes.insert(pattern, targets);
        }
        Ok(Self(routes))
    }

    /// What this build makes of the routes: for each those that do its tasks, in their order. A mapping leads to what does the task that it names: what that one's own
    /// route says, else what has its name, else what the route of its prefix says. None at all do the tasks of a pattern that leaves them to functions.
    ///
    /// # Errors
    /// A route names what there is not, or leads back to itself; or of a task that several do no route of its own says which.
    pub(crate) fn resolve<R: Resolve>(&self, build: &R) -> Result<Routes<Vec<R::Leg>>, SettingsError> {
        if let Some((task, several)) = build.contested().find(|(task, _)| !self.0.contains_key(*task)) {
            return Err(wrong(task, &several));
        }
        let legs = self.0.keys().map(|pattern| {
            let legs = self.legs(build, pattern, &mut Vec::new()).map_err(|problem| wrong(pattern, &problem))?;
            Ok((pattern.clone(), legs))
        });
        legs.collect::<Result<_, _>>().map(Routes)
    }

    /// `path` holds the patterns that led here.
    fn legs<'a, R: Resolve>(&'a self, build: &R, pattern: &'a str, path: &mut Vec<&'a str>) -> Result<Vec<R::Leg>, String> {
        if path.contains(&pattern) {
            return Err(format!("it leads back to itself: {} > {pattern}", path.join(" > ")));
        }
        path.push(pattern);
        let mut legs = Vec::new();
        for target in self.0.get(pattern).into_iter().flatten() {
            match target {
                Target::Provider(name) if name != Target::FUNCTION => legs.push(build.provider(name)?),
                // Functions have their names themselves: all that a pattern can say of them is that nothing else does its tasks.
                Target::Provider(_) if pattern.ends_with('*') => {}
                Target::Provider(_) => legs.push(build.function(pattern)?),
                Target::Runner(options) => legs.push(build.runner(options)?),
                Target::Transport(hand_over) => legs.push(build.transport(hand_over)?),
                Target::Task(mapping) => {
                    let followed = self.follow(build, &mapping.task, path)?;
                    legs.extend(followed.into_iter().map(|leg| build.mapped(leg, mapping)));
                }
            }
            if legs.len() > MOST {
                return Err(format!("expected at most {MOST} that do it, those included that a task that it names has"));
            }
        }
        path.pop();
        Ok(legs)
    }

    fn follow<'a, R: Resolve>(&'a self, build: &R, task: &'a str, path: &mut Vec<&'a str>) -> Result<Vec<R::Leg>, String> {
        let own = || build.own(task);
        // A route that names its own task means what does it without the route.
        let found = if path.last() == Some(&task) { self.find_beyond(task, own) } else { self.find(task, own) };
        match found {
            Some(Found::Route(pattern, _)) => self.legs(build, pattern, path),
            Some(Found::Own(own)) => Ok(vec![own?]),
            None => Ok(vec![build.unknown(task)?]),
        }
    }
}

/// What a build has that routes can name.
pub(crate) trait Resolve {
    /// What does a task, as far as it is known.
    type Leg;
    /// The provider of this name.
    fn provider(&self, name: &str) -> Result<Self::Leg, String>;
    /// The function that is the task of this name.
    fn function(&self, task: &str) -> Result<Self::Leg, String>;
    /// The runner that one of the options names.
    fn runner(&self, options: &Map<String, Value>) -> Result<Self::Leg, String>;
    /// The transport that a route names: none that our own consumer works off, which would bring the task back.
    fn transport(&self, hand_over: &HandOver) -> Result<Self::Leg, String>;
    /// What has this task's name itself.
    fn own(&self, task: &str) -> Option<Result<Self::Leg, String>>;
    /// The tasks that several do, and what is to be done about that.
    fn contested(&self) -> impl Iterator<Item = (&str, String)>;
    /// What does a task that neither this build nor a route has.
    fn unknown(&self, task: &str) -> Result<Self::Leg, String>;
    /// The same, with a payload that is made of the arguments.
    fn mapped(&self, leg: Self::Leg, mapping: &Arc<Mapping>) -> Self::Leg;
}

/// What is to be done about a task that several do.
pub(crate) fn contested<'a>(providers: impl Iterator<Item = &'a str>) -> String {
    let providers: Vec<&str> = providers.collect();
    format!("{} do it: say which, or in which order", providers.join(" and "))
}

/// A route that is wrong.
pub(crate) fn wrong(pattern: &str, problem: &str) -> SettingsError {
    SettingsError::invalid(SETTING, &format!("{pattern}: {problem}"))
}

/// What a task's name leads to.
#[derive(Debug, PartialEq)]
pub(crate) enum Found<'a, T, O> {
    /// A route, by its pattern.
    Route(&'a str, &'a T),
    /// What has the name itself.
    Own(O),
}

impl<T> Routes<T> {
    /// What does a task, in the one order of precedence that there is: its own route, else what has its name itself, which `own` tells, else the route of its longest
    /// prefix, or that of all tasks.
    pub(crate) fn find<O>(&self, task: &str, own: impl FnOnce() -> Option<O>) -> Option<Found<'_, T, O>> {
        let exact = self.0.get_key_value(task).filter(|_| !task.ends_with('*'));
        exact.map(|(pattern, route)| Found::Route(pattern.as_str(), route)).or_else(|| self.find_beyond(task, own))
    }

    /// The same without the task's own route.
    fn find_beyond<O>(&self, task: &str, own: impl FnOnce() -> Option<O>) -> Option<Found<'_, T, O>> {
        own().map(Found::Own).or_else(|| self.nearest(task).map(|(pattern, route)| Found::Route(pattern, route)))
    }

    fn nearest(&self, task: &str) -> Option<(&str, &T)> {
        let prefixes = task.rmatch_indices('.').map(|(end, _)| &task[..end]);
        let mut patterns = prefixes.map(|prefix| format!("{prefix}.*")).chain(["*".to_owned()]);
        patterns.find_map(|pattern| self.0.get_key_value(&pattern)).map(|(pattern, route)| (pattern.as_str(), route))
    }

    /// The routes with something made of each.
    #[must_use]
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> Routes<U> {
        Routes(self.0.into_iter().map(|(pattern, route)| (pattern, make(route))).collect())
    }

    /// The patterns with their routes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(pattern, route)| (pattern.as_str(), route))
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
        let found = |task: &str, own: bool| match routes.find(task, || own.then_some(())) {
            Some(Found::Route(pattern, _)) => pattern.to_owned(),
            Some(Found::Own(())) => "own".to_owned(),
            None => "none".to_owned(),
        };
        for (task, own, wanted) in [
            ("a.b", true, "a.b"),
            ("a.b", false, "a.b"),
            ("a.c", true, "own"),
            ("a.c", false, "a.*"),
            ("a.b.c.d", false, "a.b.*"),
            ("a", false, "*"),
            ("ab.c", false, "*"),
            ("ab.c", true, "own"),
        ] {
            assert_eq!(found(task, own), wanted, "{task}");
        }
        assert_eq!(routes.find_beyond("a.b", || None::<()>), routes.find("a.c", || None), "without its own route");
        assert_eq!(Routes::<()>::default().find("a", || None::<()>), None);
        let provider = |name: &str| Target::Provider(name.to_owned());
        let targets: Vec<&Vec<Target>> = routes.iter().map(|(_, targets)| targets).collect();
        assert_eq!(targets[1], &vec![provider("two"), provider("three")]);
        assert_eq!(targets[3], &vec![Target::Runner(json!({ "http": "https://x" }).as_object().unwrap().clone())]);
    }

    #[test]
    fn a_wrong_route_is_named() {
        for (json, part) in [
            ("[]", "expected a JSON object"),
            (r#"{"a b":"x"}"#, "a b: "),
            (r#"{"a.*.b":"x"}"#, "a.*.b: "),
            (r#"{"a":[]}"#, "a: "),
            (r#"{"a":7}"#, "a: expected a provider's name or an object"),
            (r#"{"a":{"task":7}}"#, "a: /task: expected a string, got a number"),
            (r#"{"a":{"task":"b","payload":{"c":1,"c":2}}}"#, "a: payload: /c: is there twice"),
        ] {
            let error = routes(json).unwrap_err().to_string();
            assert!(error.starts_with("ERRAND_ROUTES: ") && error.contains(part), "{error}");
        }
        assert_eq!(routes("{}").unwrap().patterns().count(), 0);
    }
}
