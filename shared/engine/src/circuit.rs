//! What is known of providers whose service refuses everything. Each execution environment learns for itself: nothing is shared, and nothing is asked
//! for on the way of a message.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use errand_core::{DeliveryError, Timestamp};

/// How long a provider is left alone the first time that it says stop, unless it says itself; doubles with each further time.
const FIRST: Duration = Duration::from_secs(60);

/// The longest that it is left alone unless it says itself: an operator who has mended it does not wait longer.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// The shortest, whatever it says itself.
const SHORTEST: Duration = Duration::from_secs(1);

/// How long all others wait while one delivery finds out whether the provider works again.
const PROBE: Duration = Duration::from_secs(30);

/// The circuits that are open, by [`Task::circuit`](errand_core::Task::circuit).
#[derive(Debug, Default)]
pub struct Circuits(Mutex<BTreeMap<String, Open>>);

#[derive(Debug)]
struct Open {
    /// How often in a row the provider said stop.
    times: u32,
    until: Timestamp,
    /// Whether a delivery is under way to try.
    probing: bool,
    reason: String,
}

/// Why a delivery has to wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stop {
    /// For how long the provider is left alone.
    pub(crate) wait: Duration,
    /// What it said.
    pub(crate) reason: String,
}

impl Stop {
    /// What a failure said.
    pub(crate) fn said(failure: &DeliveryError) -> Self {
        Self { wait: failure.retry_after.unwrap_or_default(), reason: failure.message.clone() }
    }

    /// This one, or another that is over sooner.
    pub(crate) fn or_shorter(self, other: Option<Self>) -> Self {
        other.filter(|other| other.wait <= self.wait).unwrap_or(self)
    }
}

impl Circuits {
    /// Whether a delivery may pass. When the time of a stop is over one delivery may, to try.
    pub(crate) fn ask(&self, circuit: &str, now: Timestamp) -> Result<(), Stop> {
        match self.open().get(circuit) {
            Some(open) if open.until > now => Err(Stop { wait: open.until.since(now), reason: open.reason.clone() }),
            _ => Ok(()),
        }
    }

    /// Notes that one passes that may: if it is to try, the others wait for what it finds.
    pub(crate) fn pass(&self, circuit: &str, now: Timestamp) {
        if let Some(open) = self.open().get_mut(circuit) {
            open.until = now + PROBE;
            open.probing = true;
        }
    }

    /// Notes how a delivery went; answers how long to wait when the provider said stop.
    pub(crate) fn note(&self, circuit: &str, stopped: Option<&DeliveryError>, now: Timestamp) -> Option<Duration> {
        let mut open = self.open();
        let Some(error) = stopped else {
            open.remove(circuit);
            return None;
        };
        let known = open.entry(circuit.to_owned()).or_insert(Open { times: 0, until: now, probing: true, reason: String::new() });
        // Of deliveries that were under way together, the first one counts.
        if known.probing {
            let wait = error.retry_after.unwrap_or_else(|| FIRST.saturating_mul(2_u32.saturating_pow(known.times)).min(LONGEST));
            // One that asks to be called again at once is called again in a second: what waits for it uses up no attempt.
            *known = Open { times: known.times + 1, until: now + wait.max(SHORTEST), probing: false, reason: error.message.clone() };
        }
        Some(known.until.since(now))
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use errand_core::ErrorKind;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn admit(circuits: &Circuits, circuit: &str, now: Timestamp) -> Result<(), (Duration, String)> {
        circuits.ask(circuit, now).map_err(|stop| (stop.wait, stop.reason))?;
        circuits.pass(circuit, now);
        Ok(())
    }

    fn stop() -> DeliveryError {
        DeliveryError::new(ErrorKind::Misconfigured, "token_revoked").stopping()
    }

    #[test]
    fn one_delivery_tries_when_the_time_is_over_and_its_outcome_decides() {
        let circuits = Circuits::default();
        assert_eq!(admit(&circuits, "p", NOW), Ok(()));
        assert_eq!(circuits.note("p", Some(&stop()), NOW), Some(FIRST));
        assert_eq!(admit(&circuits, "p", NOW), Err((FIRST, "token_revoked".to_owned())));
        assert_eq!(admit(&circuits, "other", NOW), Ok(()));
        let later = NOW + FIRST;
        assert_eq!(admit(&circuits, "p", later), Ok(()));
        assert!(admit(&circuits, "p", later).is_err(), "the others wait for what it finds");
        assert_eq!(circuits.note("p", Some(&stop()), later), Some(FIRST * 2));
        circuits.note("p", None, later);
        assert_eq!(admit(&circuits, "p", later), Ok(()));
    }

    #[test]
    fn what_was_under_way_together_is_one_stop_and_waits_do_not_grow_for_ever() {
        let circuits = Circuits::default();
        for _ in 0..10 {
            assert_eq!(circuits.note("p", Some(&stop()), NOW), Some(FIRST));
        }
        let mut now = NOW;
        for _ in 0..10 {
            now = now + admit(&circuits, "p", now).err().map_or(Duration::ZERO, |(wait, _)| wait);
            assert_eq!(admit(&circuits, "p", now), Ok(()));
            assert!(circuits.note("p", Some(&stop()), now).is_some_and(|wait| wait <= LONGEST));
        }
        let said = stop().retry_after(Some(Duration::from_secs(7200)));
        assert_eq!(Circuits::default().note("p", Some(&said), NOW), Some(Duration::from_secs(7200)), "what the service says wins");
        let at_once = stop().retry_after(Some(Duration::ZERO));
        assert_eq!(Circuits::default().note("p", Some(&at_once), NOW), Some(SHORTEST), "but for one that would be asked again and again");
    }
}
