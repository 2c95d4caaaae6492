//! Signatures: tasks that Celery has made ready to be sent. <https://docs.celeryq.dev/en/stable/userguide/canvas.html#signatures>

use errand_core::{Fields, json::Object, limits};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// How deep groups and chains may stand in one another.
const DEPTH: usize = 8;

/// A task to be sent, or several in one.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Signature {
    pub(super) task: String,
    pub(super) args: Json,
    pub(super) kwargs: Json,
    options: Json,
    subtask_type: Option<String>,
    /// Whether it is not given the result of what came before.
    pub(super) immutable: bool,
}

/// JSON as it was written.
pub(super) type Json = Box<RawValue>;

impl Signature {
    /// Why chords are refused.
    pub(super) const NO_CHORDS: &str =
        "is a chord, which only a Celery worker can complete: send a group, and what follows it as a task of its own";

    /// Reads a field that may be missing or null: a list of signatures, or one.
    pub(super) fn list(fields: &mut Fields<'_>, name: &'static str) -> Vec<Self> {
        match fields.raw(name) {
            Some(one) if one.get().starts_with('{') => fields.object(name, Self::read).into_iter().collect(),
            _ => fields.objects(name, Self::read),
        }
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let json = |fields: &mut Fields<'_>, name: &'static str, begins: char, empty: &str| {
            let found = fields.json(name, begins, if begins == '[' { "an array" } else { "an object" });
            found.map(ToOwned::to_owned).or_else(|| RawValue::from_string(empty.to_owned()).ok())
        };
        let signature = Self {
            task: fields.required("task")?,
            args: json(fields, "args", '[', "[]")?,
            kwargs: json(fields, "kwargs", '{', "{}")?,
            options: json(fields, "options", '{', "{}")?,
            subtask_type: fields.optional("subtask_type"),
            immutable: fields.optional("immutable").unwrap_or_default(),
        };
        if limits::task(&signature.task).is_err() {
            fields.refuse("task", "expected the name of a task");
        }
        Some(signature)
    }

    /// Why it cannot be sent, if it cannot.
    pub(super) fn refused(&self, depth: usize) -> Option<&'static str> {
        if depth > DEPTH {
            return Some("expected signatures that are not nested so deep");
        }
        let parts = self.parts();
        let followed = self.is_chain() && parts.iter().rev().skip(1).any(Self::is_group);
        if followed || self.is("chord") || self.option("chord").is_some() {
            return Some(Self::NO_CHORDS);
        }
        let linked = ["link", "link_error"].into_iter().flat_map(|name| self.signatures(name));
        parts.into_iter().chain(linked).find_map(|signature| signature.refused(depth + 1))
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
        if self.is_group() || self.is_chain() { listed(&self.kwargs, "tasks") } else { Vec::new() }
    }

    /// An option that holds signatures.
    pub(super) fn signatures(&self, option: &'static str) -> Vec<Self> {
        listed(&self.options, option)
    }

    /// Adds signatures to such an option.
    pub(super) fn add(&mut self, option: &'static str, more: Vec<Self>) {
        if more.is_empty() {
            return;
        }
        let all: Vec<Self> = self.signatures(option).into_iter().chain(more).collect();
        let Ok(fields) = Fields::of(self.options.get()) else { return };
        let all = to_raw_value(&all).unwrap_or_default();
        let mut options = Object::new();
        fields.entries().filter(|(name, _)| *name != option).for_each(|(name, json)| options.field(name, json.get()));
        options.field(option, all.get());
        self.options = options.raw().unwrap_or_default();
    }

    /// An option's value, as it was written; nothing where it is null.
    pub(super) fn option(&self, name: &'static str) -> Option<Json> {
        Fields::of(self.options.get()).ok()?.raw(name).map(ToOwned::to_owned)
    }

    /// An option that is a text.
    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        serde_json::from_str(self.option(name)?.get()).ok()
    }

    /// An option that is a number of seconds.
    pub(super) fn seconds(&self, name: &'static str) -> Option<f64> {
        serde_json::from_str(self.option(name)?.get()).ok()
    }
}

/// The signatures in a field of an object that was read before.
fn listed(object: &RawValue, name: &'static str) -> Vec<Signature> {
    Fields::of(object.get()).map(|mut fields| Signature::list(&mut fields, name)).unwrap_or_default()
}
