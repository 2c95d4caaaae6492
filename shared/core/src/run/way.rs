use std::{sync::Arc, time::Duration};

use crate::Task;

/// The way to have a task done: what can do it, its legs, in the order of fail-over. Each further one does what the one before certainly did not.
///
/// Whoever goes it sees each leg by itself; no [`Task`] holds another to fall back on.
#[derive(Clone, Copy, Default)]
pub struct Way<'a>(&'a [Arc<dyn Task>]);

impl<'a> Way<'a> {
    pub(crate) fn of(legs: &'a [Arc<dyn Task>]) -> Self {
        Self(legs)
    }

    /// How many legs it has; none is the way of what is not to be done.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Its legs from one on, with their places.
    pub fn from(self, first: usize) -> impl Iterator<Item = (usize, &'a dyn Task)> {
        self.0.iter().map(AsRef::as_ref).enumerate().skip(first)
    }

    /// The leg at a place.
    #[must_use]
    pub fn leg(self, place: usize) -> Option<&'a dyn Task> {
        self.0.get(place).map(AsRef::as_ref)
    }

    /// How long one payload may take at most through all of it.
    #[must_use]
    pub fn timeout(self) -> Duration {
        self.0.iter().map(|leg| leg.timeout()).sum()
    }

    /// Whether a remote worker may be given the task, who needs to know how to report.
    #[must_use]
    pub fn hands_over(self) -> bool {
        self.0.iter().any(|leg| leg.hands_over())
    }
}
