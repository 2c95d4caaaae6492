use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use errand_core::{BoxFuture, DynCheck, PublishError, Timestamp};
use rustix::process::{Resource, getrlimit};
use tokio::sync::Notify;

/// How long it is told that there were too many connections.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The connections that a listener may have at once. Clones share them.
#[derive(Clone)]
pub(crate) struct Places(Arc<Listener>);

struct Listener {
    /// What they are called where it is told how they are.
    name: &'static str,
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that wait for their client, by the time since when.
    silent: BTreeMap<u64, Arc<Notify>>,
    next: u64,
    /// Whether the next that falls silent is to go.
    room_wanted: bool,
    crowded_at: Option<Timestamp>,
}

impl Places {
    /// A listener's share of the files that this process may have open, which connections are: one of `part`, and not more than `most`. The rest is for
    /// deliveries and the store.
    pub(crate) fn share(name: &'static str, part: u64, most: usize) -> Self {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let share = usize::try_from(files / part).unwrap_or(usize::MAX);
        Self(Arc::new(Listener { name, most: share.clamp(8, most), state: Mutex::default() }))
    }

    pub(super) fn most(&self) -> usize {
        self.0.most
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection, which has yet to say something.
    pub(super) fn take(&self) -> Place {
        self.state().room_wanted = false;
        let place = Place { places: self.clone(), taken: Arc::default(), turn: Mutex::default(), has_worked: AtomicBool::default() };
        place.waits();
        place
    }

    /// What health calls it.
    pub(crate) fn name(&self) -> &'static str {
        self.0.name
    }

    /// Takes the place of the connection that has said nothing for longest; where none is silent, of the next that falls silent.
    pub(super) fn make_room(&self) {
        let mut state = self.state();
        state.crowded_at = Some(Timestamp::now());
        match state.silent.pop_first() {
            Some((_, taken)) => taken.notify_one(),
            None => state.room_wanted = true,
        }
    }
}

impl DynCheck for Places {
    fn check<'a>(&'a self) -> BoxFuture<'a, Result<(), PublishError>> {
        let crowded = self.state().crowded_at.is_some_and(|at| Timestamp::now().since(at) < REMEMBERED);
        let told = format!(
            "all {} were taken within the last minute, and those that said nothing were closed for others: `ulimit -n` sets how many there can be",
            self.0.most
        );
        Box::pin(async move { if crowded { Err(PublishError::Unavailable(told)) } else { Ok(()) } })
    }
}

/// A connection's place.
pub(crate) struct Place {
    places: Places,
    taken: Arc<Notify>,
    /// Its turn among the silent; none while it is busy.
    turn: Mutex<Option<u64>>,
    has_worked: AtomicBool,
}

impl Place {
    fn turn(&self) -> MutexGuard<'_, Option<u64>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It waits for its client from now on.
    pub(crate) fn waits(&self) {
        let mut state = self.places.state();
        if std::mem::take(&mut state.room_wanted) {
            self.taken.notify_one();
        } else {
            let turn = state.next;
            state.next += 1;
            state.silent.insert(turn, Arc::clone(&self.taken));
            *self.turn() = Some(turn);
        }
    }

    /// Its client has said something: it is not closed for another.
    pub(crate) fn works(&self) {
        self.has_worked.store(true, Ordering::Relaxed);
        let turn = self.turn().take();
        if let Some(turn) = turn {
            self.places.state().silent.remove(&turn);
        }
    }

    /// Whether it waits for its client.
    pub(crate) fn is_waiting(&self) -> bool {
        self.turn().is_some()
    }

    /// Whether its client has ever said something.
    pub(crate) fn has_worked(&self) -> bool {
        self.has_worked.load(Ordering::Relaxed)
    }

    /// Waits until another has taken its place.
    pub(crate) async fn is_taken(&self) {
        self.taken.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.works();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn places(most: usize) -> Places {
        Places(Arc::new(Listener { name: "connections", most, state: Mutex::default() }))
    }

    fn is_taken(place: &Place) -> bool {
        place.is_taken().now_or_never().is_some()
    }

    #[test]
    fn who_has_said_nothing_for_longest_makes_room() {
        let places = places(3);
        let (first, second, third) = (places.take(), places.take(), places.take());
        first.works();
        first.waits();
        second.works();
        places.make_room();
        assert!(is_taken(&third) && !is_taken(&first) && !is_taken(&second));
        places.make_room();
        assert!(is_taken(&first));
        places.make_room();
        assert!(!is_taken(&second), "it works");
        second.waits();
        assert!(is_taken(&second));
    }

    #[tokio::test]
    async fn it_is_told_that_there_were_too_many() {
        let places = places(1);
        let place = places.take();
        assert!(places.check().await.is_ok());
        drop(place);
        places.make_room();
        assert!(places.check().await.unwrap_err().to_string().contains("all 1 were taken"));
        drop(places.take());
        assert!(places.state().silent.is_empty());
    }

    #[test]
    fn a_listener_has_its_share_of_the_files() {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert_eq!(Places::share("x", 1, 100).most(), usize::try_from(files).unwrap_or(usize::MAX).clamp(8, 100));
        assert_eq!(Places::share("x", u64::MAX, 100).most(), 8);
    }
}
