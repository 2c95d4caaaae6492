//! Whether a delivery may begin now: whatever makes one wait says so here, before it is claimed.

use errand_core::{Task, Way};

use crate::{Engine, circuit::Stop};

/// What is said to a delivery.
pub(crate) enum Gate<'a> {
    /// It may begin, with this leg of its way.
    Go(usize, &'a dyn Task),
    /// It has to wait.
    Wait(Stop),
}

impl Engine {
    /// The first leg of a way, from one on, that lets a delivery pass; of none, the shortest wait.
    pub(crate) fn gate<'a>(&self, way: Way<'a>, first: usize) -> Gate<'a> {
        let mut stopped: Option<Stop> = None;
        for (place, leg) in way.from(first) {
            match self.ask(leg) {
                Ok(()) => return Gate::Go(place, leg),
                Err(stop) => stopped = Some(stop.or_shorter(stopped)),
            }
        }
        Gate::Wait(stopped.unwrap_or_default())
    }

    /// Whether a leg lets a delivery pass.
    pub(crate) fn ask(&self, leg: &dyn Task) -> Result<(), Stop> {
        self.circuits.ask(leg.circuit(), self.clock.now())
    }

    /// Notes that a delivery passes that was let to.
    pub(crate) fn pass(&self, leg: &dyn Task) {
        self.circuits.pass(leg.circuit(), self.clock.now());
    }
}
