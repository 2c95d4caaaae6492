//! The engine's promises for batches that nobody thought of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use errand_core::{Envelope, Register, Results, Status};
use errand_engine::{Received, Verdict};
use proptest::{prelude::*, sample::select};
use world::{World, envelope, in_lane, message, paused::paused, poison};

/// What one message of a batch is.
#[derive(Clone, Debug)]
struct Spec {
    /// What the provider does about it; `poison` is no envelope.
    script: &'static str,
    /// The group on a first-in-first-out queue.
    lane: Option<&'static str>,
    /// The envelope's id is this one's, if there is one before it: a twin.
    twin_of: Option<usize>,
    /// Seconds until it is due.
    early: u64,
    expired: bool,
    cancelled: bool,
    unclaimable: bool,
    unrecordable: bool,
}

const SCRIPTS: [&str; 12] = ["ok", "ok", "ok", "flaky-1", "flaky-3", "panic", "hang", "reject", "throttle", "fail", "unknown", "poison"];

/// Scripts in which a provider says stop as well, longer than a message has attempts: what that does to others of a batch depends on when it is said.
const STOPPING: [&str; 5] = ["ok", "flaky-1", "reject", "stop-1", "stop-9"];

fn spec(scripts: &'static [&'static str]) -> impl Strategy<Value = Spec> {
    let scripts = select(scripts);
    let lanes = select(vec![None, None, Some("g"), Some("h")]);
    let rare = |weight: u32| prop::bool::weighted(1.0 / f64::from(weight));
    let times = (prop_oneof![9 => Just(0), 1 => 1..100_000_u64], rare(15), rare(15));
    (scripts, lanes, prop_oneof![6 => Just(None), 1 => (0..50_usize).prop_map(Some)], times, rare(12), rare(12)).prop_map(
        |(script, lane, twin_of, (early, expired, cancelled), unclaimable, unrecordable)| Spec {
            script,
            lane,
            twin_of,
            early,
            expired,
            cancelled,
            unclaimable,
            unrecordable,
        },
    )
}

fn batch(scripts: &'static [&'static str]) -> impl Strategy<Value = Vec<Spec>> {
    prop::collection::vec(spec(scripts), 1..=50)
}

/// A batch in its world.
struct Case {
    world: World,
    specs: Vec<Spec>,
}

impl Case {
    async fn new(mut specs: Vec<Spec>) -> Self {
        for i in 0..specs.len() {
            // A twin is the same envelope; what is not in a lane of its own cannot be told from it.
            let twin = specs[i].twin_of.filter(|twin| *twin < i && specs[*twin].twin_of.is_none() && specs[*twin].script != "poison");
            if let Some(original) = twin {
                specs[i] = Spec { twin_of: twin, lane: specs[i].lane, ..specs[original].clone() };
            } else {
                specs[i].twin_of = None;
            }
        }
        let case = Self { world: World::new(), specs };
        for i in 0..case.specs.len() {
            if case.specs[i].cancelled && case.specs[i].script != "poison" {
                let now = case.world.engine.clock.now();
                case.world.store.register(&case.envelope(i), Status::Ready, "test", now).await.unwrap();
                case.world.store.cancel(&case.id(i), now).await.unwrap();
            }
        }
        case
    }

    /// The id of the envelope in a message.
    fn id(&self, i: usize) -> String {
        format!("id-{}", self.specs[i].twin_of.unwrap_or(i))
    }

    fn envelope(&self, i: usize) -> Envelope {
        let Spec { script, early, expired, .. } = self.specs[i];
        let ahead = |seconds| world::START + Duration::from_secs(seconds);
        let run_after = (early > 0).then(|| ahead(early));
        Envelope { run_after, expires: expired.then_some(world::START), ..envelope(&self.id(i), script) }
    }

    fn record(&self, i: usize, receive_count: u32) -> Received {
        let mut record =
            if self.specs[i].script == "poison" { poison("") } else { Received { message: message(""), work: Ok(vec![self.envelope(i)]) } };
        record.message.id = format!("m-{i}");
        record.message.receive_count = receive_count;
        match self.specs[i].lane {
            Some(lane) => in_lane(record, lane),
            None => record,
        }
    }

    fn set_faults(&self, on: bool) {
        let faulty = |which: fn(&Spec) -> bool| -> BTreeSet<String> {
            let those = self.specs.iter().enumerate().filter(|(_, spec)| on && which(spec));
            those.map(|(i, _)| self.id(i)).collect()
        };
        *self.world.store.unclaimable.lock().unwrap() = faulty(|spec| spec.unclaimable);
        *self.world.store.unrecordable.lock().unwrap() = faulty(|spec| spec.unrecordable);
    }

    /// Runs messages; answers the verdict on each by its place.
    async fn run(&self, messages: Vec<(usize, u32)>, time: Duration) -> BTreeMap<usize, Verdict> {
        let count = messages.len();
        let records = messages.into_iter().map(|(i, receive_count)| self.record(i, receive_count)).collect();
        let verdicts = self.world.engine.run(records, self.world.engine.clock.now() + time).await;
        let place = |id: &str| id.trim_start_matches("m-").parse().unwrap();
        let verdicts: Vec<_> = verdicts.into_iter().map(|(message, verdict)| (place(&message.id), verdict)).collect();
        let told: BTreeMap<usize, Verdict> = verdicts.iter().copied().collect();
        assert_eq!((told.len(), verdicts.len()), (count, count), "one verdict for each message, and no other");
        told
    }

    fn deliveries(&self, i: usize) -> usize {
        self.world.delivered().iter().filter(|id| **id == self.id(i)).count()
    }

    fn burials(&self, i: usize) -> usize {
        self.world.buried().iter().filter(|(id, _)| *id == format!("m-{i}")).count()
    }

    /// Whether a message alone, with time enough and a store that answers, is done with in its first attempt.
    fn ends_at_once(&self, i: usize) -> bool {
        let spec = &self.specs[i];
        let over = spec.cancelled || spec.expired || matches!(spec.script, "ok" | "reject");
        spec.script == "poison" || (over && !spec.unclaimable && (spec.early == 0 || spec.expired))
    }
}

const PLENTY: Duration = Duration::from_secs(3600);

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of any batch, with any time: what is acknowledged is done with, what is not stays, order is kept.
    #[test]
    fn what_stays_of_a_batch_is_exact(specs in batch(&SCRIPTS), millis in prop_oneof![1 => 0..13_000_u64, 3 => Just(3_600_000)]) {
        paused(async {
            let case = Case::new(specs).await;
            case.set_faults(true);
            let time = Duration::from_millis(millis);
            let verdicts = case.run((0..case.specs.len()).map(|i| (i, 1)).collect(), time).await;
            let mut stopped: BTreeSet<&str> = BTreeSet::new();
            for (i, verdict) in &verdicts {
                let spec = &case.specs[*i];
                let (kept, behind) = (*verdict == Verdict::Keep, spec.lane.is_some_and(|lane| stopped.contains(lane)));
                prop_assert!(kept || !behind, "message {i} overtook one of its group");
                prop_assert!(case.deliveries(*i) <= 1, "{} was delivered twice", case.id(*i));
                prop_assert!(!(kept && case.burials(*i) > 0), "message {i} is buried, and stays");
                let twins = case.specs.iter().any(|other| other.twin_of == Some(*i)) || spec.twin_of.is_some();
                // What is late has to be recorded, and no more.
                let needed = if spec.expired { 2 } else { 12 };
                let enough = time >= Duration::from_secs(needed) || spec.script == "poison";
                if !twins && !behind && (enough || spec.lane.is_none()) {
                    let gone = case.ends_at_once(*i) && enough;
                    // Time may have run out for the later ones of a group.
                    prop_assert!(kept != gone || (spec.lane.is_some() && time < PLENTY), "message {i}: kept {kept}, expected {}", !gone);
                }
                if !kept {
                    let status = if spec.script == "poison" { None } else { case.world.status(&case.id(*i)).await };
                    let over = case.deliveries(*i) == 1 || case.burials(*i) == 1 || status.is_some_and(Status::ended);
                    let unrecorded = spec.unrecordable && (spec.expired || case.burials(*i) == 1);
                    prop_assert!(over || unrecorded, "message {i} is acknowledged, and nothing was done: {status:?}");
                }
                if kept {
                    stopped.extend(spec.lane);
                }
            }
            if time < Duration::from_secs(12) {
                prop_assert!(case.world.delivered().is_empty(), "a delivery began that may not end in time");
            }
            Ok(())
        })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Until the queue is empty: each id is delivered once or given up, and nothing is left.
    #[test]
    fn every_message_ends_once(specs in prop_oneof![batch(&SCRIPTS), batch(&STOPPING)], faulty_rounds in 0..4_u32, sizes in prop::collection::vec(1..=10_usize, 8)) {
        paused(async {
            let case = Case::new(specs).await;
            // As a queue has them: the messages that are visible, in their order, each with its receives.
            let mut waiting: Vec<(usize, u32)> = (0..case.specs.len()).map(|i| (i, 0)).collect();
            for round in 0..1000 {
                if waiting.is_empty() {
                    break;
                }
                case.set_faults(round < faulty_rounds);
                let size = sizes[round as usize % sizes.len()].min(waiting.len());
                let (first, rest) = waiting.split_at(size);
                let received: Vec<(usize, u32)> = first.iter().map(|(i, count)| (*i, count + 1)).collect();
                let verdicts = case.run(received.clone(), PLENTY).await;
                let kept = received.into_iter().filter(|(i, _)| verdicts[i] == Verdict::Keep);
                // A group's messages stay in front of those behind them.
                let (grouped, alone): (Vec<_>, Vec<_>) = kept.partition(|(i, _)| case.specs[*i].lane.is_some());
                waiting = grouped.into_iter().chain(rest.iter().copied()).chain(alone).collect();
                tokio::time::advance(Duration::from_secs(13 * 60 * 60)).await;
            }
            prop_assert!(waiting.is_empty(), "these are never done with: {waiting:?}");
            for (i, spec) in case.specs.iter().enumerate() {
                let status = if spec.script == "poison" { None } else { case.world.status(&case.id(i)).await };
                match spec.script {
                    "poison" => prop_assert_eq!(case.burials(i), 1),
                    _ if spec.cancelled => prop_assert_eq!((case.deliveries(i), status), (0, Some(Status::Cancelled))),
                    _ if spec.expired => prop_assert_eq!(case.deliveries(i), 0),
                    "ok" | "flaky-1" | "flaky-3" | "stop-1" | "stop-9" => {
                        prop_assert!(spec.unrecordable || status == Some(Status::Successful), "{} is {status:?}", case.id(i));
                        let buried: usize = (0..case.specs.len()).filter(|twin| case.id(*twin) == case.id(i)).map(|twin| case.burials(twin)).sum();
                        prop_assert_eq!(buried, 0);
                        // What could not be recorded as done may be delivered to a twin again.
                        prop_assert!(case.deliveries(i) == 1 || (spec.unrecordable && case.deliveries(i) > 1), "{} deliveries", case.deliveries(i));
                    }
                    _ => {
                        prop_assert_eq!(case.deliveries(i), 0);
                        prop_assert!(spec.unrecordable || status == Some(Status::Failed), "{} is {status:?}", case.id(i));
                    }
                }
            }
            Ok(())
        })?;
    }
}
