use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// Names that were noted, each once, by whoever has come upon them.
#[derive(Debug, Default)]
pub struct Noted(Mutex<BTreeSet<String>>);

impl Noted {
    /// Notes a name.
    pub fn note(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    /// Whether a name was noted.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// All of them so far, sorted.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl FromIterator<String> for Noted {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(Mutex::new(names.into_iter().collect()))
    }
}
