//! What becomes of events, in a world where the transport and the dead-letter queue fail on purpose.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError},
    time::Duration,
};

use errand_core::{
    BoxFuture, Clock, DeadLetter, Dispatch, Envelope, Init, Message, NoOptions, OptionError, Payloads, PublishError, Published, Queue,
    StorageError, Timestamp, Transport, TransportLimits,
};
use errand_relay::{Event, Fate, Holds, Patience, Relay};
use proptest::{collection::vec, option, prelude::*};
use serde_json::{Value, json};

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// Tokio's paused clock: time passes when everything waits.
struct TestClock(tokio::time::Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        START + self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// What the broker and the dead-letter queue have seen, and what they are to fail at: events by their numbers, and how often each.
#[derive(Clone, Default)]
struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    published: Vec<usize>,
    together: Vec<usize>,
    buried: Vec<(usize, String, String)>,
    failures: BTreeMap<usize, (u32, Trouble)>,
    letters_fail: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    Unavailable,
    Refused,
    TooLarge,
    /// It is there, and the answer is lost.
    Perhaps,
    Panics,
    Hangs,
}

/// The number of an event, which is its data.
fn number(json: &str) -> usize {
    let value: Value = serde_json::from_str(json).unwrap();
    usize::try_from(value["kwargs"]["number"].as_u64().or_else(|| value["number"].as_u64()).unwrap()).unwrap()
}

impl Transport for World {
    const BACKEND: &'static str = "world";
    type Options = NoOptions;

    fn new(_: &str, _: NoOptions, _: &Init) -> Result<Self, OptionError> {
        Ok(Self::default())
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: DAY, bytes: 1_000_000 }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        let mut hangs = false;
        let answers = {
            let mut state = self.state();
            state.together.push(envelopes.len());
            let mut answer = |envelope: &Envelope| {
                let number = number(envelope.payload());
                match state.failures.get_mut(&number) {
                    Some((left, trouble)) if *left > 0 => {
                        *left -= 1;
                        let why = "on purpose".to_owned();
                        match *trouble {
                            Trouble::Unavailable => Err(PublishError::Unavailable(why)),
                            Trouble::Refused => Err(PublishError::Refused(why)),
                            Trouble::TooLarge => Err(PublishError::TooLarge { limit: 7 }),
                            Trouble::Perhaps => {
                                state.published.push(number);
                                Err(PublishError::OutcomeUnknown(why))
                            }
                            Trouble::Panics => panic!("on purpose"),
                            Trouble::Hangs => {
                                hangs = true;
                                Err(PublishError::Unavailable(why))
                            }
                        }
                    }
                    _ => {
                        state.published.push(number);
                        Ok(Published::default())
                    }
                }
            };
            envelopes.iter().map(&mut answer).collect()
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        answers
    }

    async fn check(&self) -> Result<(), PublishError> {
        Ok(())
    }
}

impl Queue for World {
    async fn hide(&self, _: &Message, _: Duration) -> Result<(), StorageError> {
        Err(StorageError("nothing is hidden in a stream".to_owned()))
    }

    async fn bury(&self, message: &Message, letter: &DeadLetter) -> Result<(), StorageError> {
        let mut state = self.state();
        if state.letters_fail > 0 {
            state.letters_fail -= 1;
            return Err(StorageError("on purpose".to_owned()));
        }
        state.buried.push((number(&message.body), letter.kind.to_string(), message.body.clone()));
        Ok(())
    }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        // A transport that panics on purpose does so while it has it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fails(&self, number: usize, times: u32, trouble: Trouble) {
        self.state().failures.insert(number, (times, trouble));
    }

    fn relay(&self, patience: Patience) -> Relay {
        let dispatch = Dispatch::of("world", Arc::new(self.clone()));
        let clock = Arc::new(TestClock(tokio::time::Instant::now()));
        Relay { dispatch, payloads: Payloads::default(), queue: Arc::new(self.clone()), clock, patience }
    }

    fn published(&self) -> Vec<usize> {
        self.state().published.clone()
    }

    /// The numbers and kinds of letters.
    fn buried(&self) -> Vec<(usize, String)> {
        self.state().buried.iter().map(|(number, kind, _)| (*number, kind.clone())).collect()
    }
}

fn event(number: usize, key: Option<&str>) -> Event {
    let content =
        json!({ "specversion": "1.0", "id": format!("e-{number}"), "source": "/shop", "type": "order.paid", "data": { "number": number } });
    Event {
        name: number.to_string(),
        content: Ok(content.to_string()),
        key: key.map(ToOwned::to_owned),
        queue: None,
        written_at: Some(START),
    }
}

/// Runs a case in a runtime of its own, whose clock stands still unless all wait. Panics on purpose are not told.
fn paused<T>(run: impl AsyncFnOnce() -> T) -> T {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
                hook(info);
            }
        }));
    });
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(run())
}

fn in_a_minute(relay: &Relay) -> Timestamp {
    relay.clock.now() + Duration::from_secs(60)
}

const WAITS: Patience = Patience::Waits(Duration::from_secs(79_200));

#[test]
fn a_stream_stops_at_the_first_that_cannot_be_published_and_sends_nothing_twice_but_what_went_beside_it() {
    paused(async || {
        let world = World::default();
        let relay = world.relay(WAITS);
        let batch: Vec<Event> = [("a"), ("b"), ("a"), ("c"), ("b"), ("a")].iter().enumerate().map(|(n, key)| event(n, Some(key))).collect();
        world.fails(1, 3, Trouble::Unavailable);
        let fates = relay.relay(&batch, Holds::All, in_a_minute(&relay)).await;
        assert_eq!(fates, [Fate::Published, Fate::Waits, Fate::Published, Fate::Published, Fate::Untried, Fate::Untried]);
        // What stays comes again from the first on.
        for _ in 0..2 {
            assert_eq!(relay.relay(&batch[1..], Holds::All, in_a_minute(&relay)).await[..2], [Fate::Waits, Fate::Untried]);
        }
        assert_eq!(world.published(), [0, 2, 3], "while it waits, nothing goes again");
        assert!(relay.relay(&batch[1..], Holds::All, in_a_minute(&relay)).await.iter().all(|fate| fate.ended()));
        assert_eq!(world.published(), [0, 2, 3, 1, 2, 3, 4, 5]);
        assert!(world.buried().is_empty());
    });
}

#[test]
fn in_a_table_an_event_that_waits_holds_its_key_alone() {
    paused(async || {
        let world = World::default();
        let relay = world.relay(WAITS);
        let batch: Vec<Event> = ["a", "b", "a", "b"].iter().enumerate().map(|(n, key)| event(n, Some(key))).collect();
        world.fails(0, 9, Trouble::Refused);
        let fates = relay.relay(&batch, Holds::Key, in_a_minute(&relay)).await;
        assert_eq!((fates, world.published()), (vec![Fate::Waits, Fate::Published, Fate::Untried, Fate::Published], vec![1, 3]));
    });
}

#[test]
fn what_has_waited_too_long_is_buried_whole_and_in_order() {
    paused(async || {
        let world = World::default();
        let relay = world.relay(Patience::Waits(Duration::from_secs(100)));
        let batch: Vec<Event> =
            (0..3).map(|n| Event { written_at: Some(START + Duration::from_secs(n as u64)), ..event(n, Some("a b")) }).collect();
        (0..3).for_each(|number| world.fails(number, 99, Trouble::Unavailable));
        assert_eq!(relay.relay(&batch, Holds::All, in_a_minute(&relay)).await[0], Fate::Waits);
        tokio::time::sleep(Duration::from_secs(101)).await;
        assert_eq!(
            relay.relay(&batch, Holds::All, in_a_minute(&relay)).await,
            [Fate::Buried, Fate::Buried, Fate::Waits],
            "the third is not that old"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(relay.relay(&batch[2..], Holds::All, in_a_minute(&relay)).await, [Fate::Buried]);
        assert_eq!(world.buried(), [0, 1, 2].map(|number| (number, "retention_ends".to_owned())));
        let letter: Value = serde_json::from_str(&world.state().buried[0].2).unwrap();
        assert_eq!(letter["context"]["cloudevents"], json!({ "specversion": "1.0", "id": "e-0", "source": "/shop", "type": "order.paid" }));
        assert_eq!(
            (&letter["task"], &letter["kwargs"], letter["group"].as_str().unwrap().len()),
            (&json!("order.paid"), &json!({ "number": 0 }), 32)
        );
    });
}

#[test]
fn what_nothing_mends_is_buried_at_once_and_a_letter_that_is_not_taken_holds() {
    paused(async || {
        let world = World::default();
        let relay = world.relay(WAITS);
        let malformed = Event { content: Ok(r#"{"number":1,"id":"x"}"#.to_owned()), ..event(1, Some("a")) };
        let batch = [event(0, Some("a")), malformed, event(2, Some("b")), event(3, Some("a"))];
        world.fails(2, 1, Trouble::TooLarge);
        world.state().letters_fail = 1;
        assert_eq!(relay.relay(&batch, Holds::All, in_a_minute(&relay)).await, [Fate::Published, Fate::Waits, Fate::Buried, Fate::Untried]);
        assert!(relay.relay(&batch[1..], Holds::All, in_a_minute(&relay)).await.iter().all(|fate| fate.ended()));
        assert_eq!(world.buried(), [(2, "rejected".to_owned()), (1, "malformed".to_owned())]);
        assert_eq!(world.published(), [0, 2, 3]);
    });
}

#[test]
fn with_the_other_setting_it_goes_on_without_what_cannot_be_published() {
    paused(async || {
        let world = World::default();
        let relay = world.relay(Patience::Buries);
        let batch: Vec<Event> = (0..4).map(|n| event(n, Some("a"))).collect();
        world.fails(1, 1, Trouble::Unavailable);
        world.fails(2, 1, Trouble::Panics);
        assert!(relay.relay(&batch, Holds::All, in_a_minute(&relay)).await.iter().all(|fate| fate.ended()));
        assert_eq!(world.published(), [0, 3]);
        assert_eq!(world.buried(), [(1, "unavailable".to_owned()), (2, "outcome_unknown".to_owned())]);
    });
}

#[test]
fn a_transport_that_hangs_is_cut_off_while_there_is_time_to_say_so() {
    paused(async || {
        let world = World::default();
        let relay = world.relay(WAITS);
        let batch = [event(0, None), event(1, None)];
        world.fails(0, 1, Trouble::Hangs);
        let deadline = in_a_minute(&relay);
        assert_eq!(relay.relay(&batch, Holds::All, deadline).await, [Fate::Waits, Fate::Untried]);
        assert!(relay.clock.now() <= deadline - Duration::from_secs(9));
        assert_eq!(relay.relay(&batch, Holds::All, relay.clock.now()).await, [Fate::Untried; 2], "no time, no call");
    });
}

fn trouble() -> impl Strategy<Value = (u32, Trouble)> {
    let kinds = [Trouble::Unavailable, Trouble::Refused, Trouble::TooLarge, Trouble::Perhaps, Trouble::Panics];
    (1..4_u32, proptest::sample::select(kinds.to_vec()))
}

proptest! {
    /// However it fails: none is lost, none overtakes another of its key, and with patience only what nothing mends is buried.
    #[test]
    fn none_is_lost_and_none_overtakes_another_of_its_key(
        keys in vec(option::of(0..4_u8), 1..40),
        troubles in proptest::collection::btree_map(0..40_usize, trouble(), 0..12),
        size in 1..12_usize,
        letters_fail in 0..4_u32,
        (patient, stream) in (any::<bool>(), any::<bool>()),
    ) {
        paused(async || {
            let world = World::default();
            let relay = world.relay(if patient { WAITS } else { Patience::Buries });
            world.state().letters_fail = letters_fail;
            troubles.iter().for_each(|(number, (times, trouble))| world.fails(*number, *times, *trouble));
            let mut left: Vec<Event> = keys.iter().enumerate().map(|(n, key)| event(n, key.map(|key| key.to_string()).as_deref())).collect();
            let mut rounds = 0;
            while !left.is_empty() {
                rounds += 1;
                assert!(rounds < 2_000, "it comes to an end");
                let count = left.len().min(size);
                let holds = if stream { Holds::All } else { Holds::Key };
                let fates = relay.relay(&left[..count], holds, in_a_minute(&relay)).await;
                if stream {
                    // As Lambda does: from the first that has not ended on, all comes again.
                    let ended = fates.iter().position(|fate| !fate.ended()).unwrap_or(count);
                    left.drain(..ended);
                } else {
                    let mut fates = fates.into_iter();
                    left.retain(|_| !fates.next().is_some_and(Fate::ended));
                }
            }
            let (published, buried) = (world.published(), world.buried());
            let buried: BTreeSet<usize> = buried.into_iter().map(|(number, _)| number).collect();
            let all: BTreeSet<usize> = published.iter().copied().chain(buried.iter().copied()).collect();
            assert_eq!(all, (0..keys.len()).collect(), "none is lost");
            if patient {
                let too_large = |number: &usize| troubles.get(number).is_some_and(|(_, trouble)| *trouble == Trouble::TooLarge);
                assert!(buried.iter().all(too_large), "{buried:?}");
            }
            for key in 0..4 {
                let mut seen = BTreeSet::new();
                let first: Vec<usize> = published.iter().copied().filter(|number| keys[*number] == Some(key) && seen.insert(*number)).collect();
                assert!(first.is_sorted(), "{key}: {published:?}");
            }
        });
    }
}
