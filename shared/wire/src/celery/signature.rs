//! Signatures: tasks that Celery has made ready to be sent. <https://docs.celeryq.dev/en/stable/userguide/canvas.html#signatures>

use std::collections::BTreeMap;

use errand_core::limits;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// How deep groups and chains may stand in one another.
const DEPTH: usize = 8;

/// A task to be sent, or several in one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Signature {
    pub(super) task: String,
    #[serde(default)]
    pub(super) args: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(super) kwargs: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    pub(super) options: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    subtask_type: Option<String>,
    /// Whether it is not given the result of what came before.
    #[serde(default)]
    pub(super) immutable: bool,
}

impl Signature {
    /// Why chords are refused.
    pub(super) const NO_CHORDS: &str =
        "is a chord, which only a Celery worker can complete: send a group, and what follows it as a task of its own";

    /// Why it cannot be sent, if it cannot.
    pub(super) fn refused(&self, depth: usize) -> Option<&'static str> {
        if depth > DEPTH {
            return Some("expected signatures that are not nested so deep");
        }
        if limits::task(&self.task).is_err() {
            return Some("expected signatures with the names of tasks");
        }
        if self.is("chord") || self.options.get("chord").is_some_and(|chord| chord.get() != "null") {
            return Some(Self::NO_CHORDS);
        }
        let parts = self.parts();
        let followed = self.is("chain") && parts.iter().rev().skip(1).any(Self::is_group);
        if followed {
            return Some(Self::NO_CHORDS);
        }
        let linked = ["link", "link_error"].into_iter().flat_map(|name| self.signatures(name));
        parts.iter().chain(&linked.collect::<Vec<_>>()).find_map(|signature| signature.refused(depth + 1))
    }

    pub(super) fn is_group(&self) -> bool {
        self.is("group")
    }

    pub(super) fn is_chain(&self) -> bool {
        self.is("chain")
    }

    fn is(&self, kind: &str) -> bool {
        self.subtask_type.as_deref() == Some(kind) || self.task.strip_prefix("celery.") == Some(kind)
    }

    /// The tasks of a group or chain, in their order.
    pub(super) fn parts(&self) -> Vec<Self> {
        let parts = if self.is_group() || self.is_chain() { self.kwargs.get("tasks") } else { None };
        parts.and_then(|parts| serde_json::from_str(parts.get()).ok()).unwrap_or_default()
    }

    /// An option that holds signatures: a list of them, or one.
    pub(super) fn signatures(&self, option: &str) -> Vec<Self> {
        let Some(json) = self.options.get(option) else { return Vec::new() };
        serde_json::from_str(json.get()).or_else(|_| serde_json::from_str(json.get()).map(|one| vec![one])).unwrap_or_default()
    }

    /// Adds signatures to such an option.
    pub(super) fn add(&mut self, option: &str, more: Vec<Self>) {
        let all: Vec<Self> = self.signatures(option).into_iter().chain(more).collect();
        if !all.is_empty() {
            self.options.extend(to_raw_value(&all).ok().map(|all| (option.to_owned(), all)));
        }
    }

    /// An option's value.
    pub(super) fn option<'a, T: Deserialize<'a>>(&'a self, name: &str) -> Option<T> {
        serde_json::from_str(self.options.get(name)?.get()).ok()
    }
}
