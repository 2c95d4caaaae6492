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

/// How long all others wait while one delivery finds out whether the provider works again.
const PROBE: Duration = Duration::from_secs(30);

/// The circuits that are open, by the provider's name.
#[derive(Debug, Default)]
pub struct Circuits(Mutex<BTreeMap<&'static str, Open>>);

#[derive(Debug)]
struct Open {
    /// How often in a row the provider said stop.
    times: u32,
    until: Timestamp,
    /// Whether a delivery is under way to try.
    probing: bool,
    reason: String,
}

impl Circuits {
    /// Lets a delivery pass, or tells how long the provider is left alone and what it said. When that time is over one delivery passes, to try.
    pub(crate) fn admit(&self, provider: &str, now: Timestamp) -> Result<(), (Duration, String)> {
        match self.open().get_mut(provider) {
            None => Ok(()),
            Some(open) if open.until > now => Err((open.until.since(now), open.reason.clone())),
            Some(open) => {
                open.until = now + PROBE;
                open.probing = true;
                Ok(())
            }
        }
    }

    /// Notes how a delivery went; answers how long to wait when the provider said stop.
    pub(crate) fn note(&self, provider: &'static str, stopped: Option<&DeliveryError>, now: Timestamp) -> Option<Duration> {
        let mut open = self.open();
        let Some(error) = stopped else {
            open.remove(provider);
            return None;
        };
        let known = open.entry(provider).or_insert(Open { times: 0, until: now, probing: true, reason: String::new() });
        // Of deliveries that were under way together, the first one counts.
        if known.probing {
            let wait = error.retry_after.unwrap_or_else(|| FIRST.saturating_mul(2_u32.saturating_pow(known.times)).min(LONGEST));
            *known = Open { times: known.times + 1, until: now + wait, probing: false, reason: error.message.clone() };
        }
        Some(known.until.since(now))
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<&'static str, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use errand_core::ErrorKind;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn stop() -> DeliveryError {
        DeliveryError::new(ErrorKind::Misconfigured, "token_revoked").stopping()
    }

    #[test]
    fn one_delivery_tries_when_the_time_is_over_and_its_outcome_decides() {
        let circuits = Circuits::default();
        assert_eq!(circuits.admit("p", NOW), Ok(()));
        assert_eq!(circuits.note("p", Some(&stop()), NOW), Some(FIRST));
        assert_eq!(circuits.admit("p", NOW), Err((FIRST, "token_revoked".to_owned())));
        assert_eq!(circuits.admit("other", NOW), Ok(()));
        let later = NOW + FIRST;
        assert_eq!(circuits.admit("p", later), Ok(()));
        assert!(circuits.admit("p", later).is_err(), "the others wait for what it finds");
        assert_eq!(circuits.note("p", Some(&stop()), later), Some(FIRST * 2));
        circuits.note("p", None, later);
        assert_eq!(circuits.admit("p", later), Ok(()));
    }

    #[test]
    fn what_was_under_way_together_is_one_stop_and_waits_do_not_grow_for_ever() {
        let circuits = Circuits::default();
        for _ in 0..10 {
            assert_eq!(circuits.note("p", Some(&stop()), NOW), Some(FIRST));
        }
        let mut now = NOW;
        for _ in 0..10 {
            now = now + circuits.admit("p", now).err().map_or(Duration::ZERO, |(wait, _)| wait);
            assert_eq!(circuits.admit("p", now), Ok(()));
            assert!(circuits.note("p", Some(&stop()), now).is_some_and(|wait| wait <= LONGEST));
        }
        let said = stop().retry_after(Some(Duration::from_secs(7200)));
        assert_eq!(Circuits::default().note("p", Some(&said), NOW), Some(Duration::from_secs(7200)), "what the service says wins");
    }
}
