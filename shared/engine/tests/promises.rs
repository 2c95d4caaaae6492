//! The engine's promises, each provoked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use errand_core::{
    Attempt, Begin, BoxFuture, Cancel, Claim, Clock, DeadLetter, DeliveryError, Envelope, ErrorKind, Fields, Filter, Finish, Init, Message,
    Outcome, Page, Payload, Provider, Queue, QueueError, Receipt, Registry, SettingsError, Status, Store, StoreError, TaskResult,
    Timestamp,
};
use errand_engine::{Engine, Policy, Record, Verdict};
use errand_store_memory::MemoryStore;

/// Tokio's paused clock: time passes when everything waits.
struct TestClock(tokio::time::Instant);

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        START + self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[derive(Clone, Default)]
struct TestQueue {
    hidden: Arc<Mutex<Vec<(String, Duration)>>>,
    buried: Arc<Mutex<Vec<(String, DeadLetter)>>>,
    broken: bool,
}

impl Queue for TestQueue {
    async fn hide(&self, message: &Message, duration: Duration) -> Result<(), QueueError> {
        self.hidden.lock().unwrap().push((message.id.clone(), duration));
        if self.broken { Err(QueueError("broken".to_owned())) } else { Ok(()) }
    }

    async fn bury(&self, message: &Message, letter: &DeadLetter) -> Result<(), QueueError> {
        if self.broken {
            return Err(QueueError("broken".to_owned()));
        }
        self.buried.lock().unwrap().push((message.id.clone(), letter.clone()));
        Ok(())
    }
}

/// Does what its payload says, and keeps what it was asked to do.
#[derive(Clone, Default)]
struct Actor {
    delivered: Arc<Mutex<Vec<String>>>,
    in_flight: Arc<AtomicU32>,
    most_in_flight: Arc<AtomicU32>,
}

struct Script(String);

impl Payload for Script {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.required("do").map(Self)
    }
}

impl Provider for Actor {
    const NAME: &'static str = "actor";
    const TASKS: &'static [&'static str] = &["act"];
    type Settings = ();
    type Payload = Script;

    fn new((): (), _: &Init) -> Result<Self, SettingsError> {
        Ok(Self::default())
    }

    async fn deliver(&self, Script(script): Script, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        match script.as_str() {
            "panic" => panic!("on purpose"),
            "hang" => std::future::pending().await,
            "reject" => Err(DeliveryError::new(ErrorKind::Rejected, "HTTP 400")),
            "throttle" => Err(DeliveryError::new(ErrorKind::RateLimited, "HTTP 429").retry_after(Some(Duration::from_secs(77)))),
            "fail" => Err(DeliveryError::new(ErrorKind::Unavailable, "HTTP 503")),
            _ => {
                self.delivered.lock().unwrap().push(attempt.key.clone());
                Ok(Receipt::message_id(&script))
            }
        }
    }
}

/// A store that can be taken down.
#[derive(Clone, Default)]
struct Faulty {
    inner: MemoryStore,
    begin_down: Arc<AtomicBool>,
    finish_down: Arc<AtomicBool>,
}

impl Faulty {
    fn up(down: &AtomicBool) -> Result<(), StoreError> {
        if down.load(Ordering::SeqCst) { Err(StoreError("down".to_owned())) } else { Ok(()) }
    }
}

impl Store for Faulty {
    async fn register(&self, envelope: &Envelope, status: Status, backend: &str, now: Timestamp) -> Result<(), StoreError> {
        self.inner.register(envelope, status, backend, now).await
    }

    async fn begin(&self, claim: &Claim<'_>) -> Result<Begin, StoreError> {
        Self::up(&self.begin_down)?;
        self.inner.begin(claim).await
    }

    async fn finish(&self, id: &str, attempt: u32, outcome: &Outcome, now: Timestamp) -> Result<Finish, StoreError> {
        Self::up(&self.finish_down)?;
        self.inner.finish(id, attempt, outcome, now).await
    }

    async fn get(&self, id: &str) -> Result<Option<TaskResult>, StoreError> {
        self.inner.get(id).await
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StoreError> {
        self.inner.list(filter).await
    }

    async fn cancel(&self, id: &str, now: Timestamp) -> Result<Cancel, StoreError> {
        self.inner.cancel(id, now).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.check().await
    }
}

struct World {
    engine: Engine,
    actor: Actor,
    queue: TestQueue,
    store: Faulty,
}

impl World {
    fn new() -> Self {
        Self::with(TestQueue::default())
    }

    fn with(queue: TestQueue) -> Self {
        let (actor, store) = (Actor::default(), Faulty::default());
        let mut registry = Registry::default();
        registry.insert(actor.clone());
        let engine = Engine {
            registry,
            store: Some(Arc::new(store.clone())),
            queue: Arc::new(queue.clone()),
            clock: Arc::new(TestClock(tokio::time::Instant::now())),
            policy: Policy::default(),
            worker: "w".to_owned(),
            backend: "test".to_owned(),
        };
        Self { engine, actor, queue, store }
    }

    fn without_store() -> Self {
        let mut world = Self::new();
        world.engine.store = None;
        world
    }

    /// Runs a batch with half a minute of time; answers the ids that stay, sorted.
    async fn run(&self, records: Vec<Record>) -> Vec<String> {
        self.run_for(records, Duration::from_secs(30)).await
    }

    async fn run_for(&self, records: Vec<Record>, time: Duration) -> Vec<String> {
        let count = records.len();
        let deadline = self.engine.clock.now() + time;
        let verdicts = self.engine.run(records, deadline).await;
        assert_eq!(verdicts.len(), count, "one verdict for each message");
        assert!(self.engine.clock.now() <= deadline, "the answer comes in time");
        let mut kept: Vec<String> =
            verdicts.into_iter().filter(|(_, verdict)| *verdict == Verdict::Keep).map(|(message, _)| message.id).collect();
        kept.sort();
        kept
    }

    fn delivered(&self) -> Vec<String> {
        let mut delivered = self.actor.delivered.lock().unwrap().clone();
        delivered.sort();
        delivered
    }

    fn buried(&self) -> Vec<(String, ErrorKind)> {
        self.queue.buried.lock().unwrap().iter().map(|(id, letter)| (id.clone(), letter.kind)).collect()
    }

    fn hidden(&self, id: &str) -> Option<Duration> {
        self.queue.hidden.lock().unwrap().iter().rev().find(|(hidden, _)| hidden == id).map(|(_, duration)| *duration)
    }

    async fn status(&self, id: &str) -> Option<Status> {
        self.store.get(id).await.unwrap().map(|result| result.status)
    }
}

fn envelope(id: &str, script: &str) -> Envelope {
    let kwargs = serde_json::value::to_raw_value(&serde_json::json!({ "do": script })).unwrap();
    Envelope { task: "act".to_owned(), kwargs: Some(kwargs), ..errand_testkit::transport::envelope(id) }
}

/// A message with the same id as its envelope.
fn record(envelope: Envelope) -> Record {
    Record { message: message(&envelope.id), work: Ok(envelope) }
}

fn message(id: &str) -> Message {
    Message { id: id.to_owned(), receipt: "r".to_owned(), body: "b".to_owned(), receive_count: 1, source: "q".to_owned(), lane: None }
}

fn say(id: &str, script: &str) -> Record {
    record(envelope(id, script))
}

fn poison(id: &str) -> Record {
    Record { message: message(id), work: Err(errand_core::Problems::whole("is not JSON")) }
}

fn in_lane(mut record: Record, lane: &str) -> Record {
    record.message.lane = Some(lane.to_owned());
    record
}

#[tokio::test(start_paused = true)]
async fn one_bad_message_never_fails_its_batch() {
    let world = World::new();
    let mut unknown = envelope("unknown", "x");
    unknown.task = "no.such.task".to_owned();
    let mut wrong = envelope("wrong", "x");
    wrong.kwargs = None;
    let batch = vec![
        say("a", "ok"),
        poison("poison"),
        say("panic", "panic"),
        say("hang", "hang"),
        record(unknown),
        record(wrong),
        say("reject", "reject"),
        say("b", "ok"),
    ];
    assert_eq!(world.run(batch).await, ["hang", "panic", "unknown"]);
    assert_eq!(world.delivered(), ["a", "b"]);
    let mut buried = world.buried();
    buried.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        buried,
        [
            ("poison".to_owned(), ErrorKind::Malformed),
            ("reject".to_owned(), ErrorKind::Rejected),
            ("wrong".to_owned(), ErrorKind::InvalidPayload)
        ]
    );
    let errors = |result: errand_core::TaskResult| result.errors[0].exception_class_path.clone();
    assert_eq!(errors(world.store.get("hang").await.unwrap().unwrap()), "errand.timeout");
    assert_eq!(errors(world.store.get("panic").await.unwrap().unwrap()), "errand.panicked");
    assert_eq!(errors(world.store.get("unknown").await.unwrap().unwrap()), "errand.unknown_provider");
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_nothing_but_poison_and_an_empty_batch_are_answered() {
    let world = World::new();
    assert!(world.run(vec![poison("1"), poison("2")]).await.is_empty());
    assert!(world.run(Vec::new()).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_acknowledged_that_could_not_be_buried() {
    let world = World::with(TestQueue { broken: true, ..TestQueue::default() });
    assert_eq!(world.run(vec![poison("poison"), say("reject", "reject")]).await, ["poison", "reject"]);
    assert_eq!(world.status("reject").await, Some(Status::Ready), "the claim is given back");
}

#[tokio::test(start_paused = true)]
async fn an_id_is_delivered_once_however_often_its_message_comes() {
    let world = World::new();
    let twin = |message_id: &str| Record { message: message(message_id), work: Ok(envelope("same", "ok")) };
    let kept = world.run(vec![twin("m1"), twin("m2"), twin("m3")]).await;
    assert_eq!(kept.len(), 2, "twins of a live lease go back to the queue");
    assert!(world.run(vec![twin("m2"), twin("m3")]).await.is_empty(), "and are acknowledged when it is done");
    assert_eq!(world.delivered(), ["same"]);
}

#[tokio::test(start_paused = true)]
async fn a_twin_waits_for_the_end_of_the_lease_and_a_dead_twins_lease_expires() {
    let world = World::new();
    let dead = envelope("a", "ok");
    let claim = Claim { envelope: &dead, now: START, lease_until: START + Duration::from_secs(60), worker: "dead", backend: "test" };
    assert_eq!(world.store.begin(&claim).await, Ok(Begin::Claimed { attempt: 1, done: Vec::new() }));
    assert_eq!(world.run(vec![say("a", "ok")]).await, ["a"]);
    assert_eq!(world.hidden("a"), Some(Duration::from_secs(60)));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(world.run(vec![say("a", "ok")]).await.is_empty());
    assert_eq!(world.delivered(), ["a"]);
    assert_eq!(world.store.get("a").await.unwrap().unwrap().attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_that_died_counts_and_the_last_is_a_dead_letter() {
    let world = World::new();
    let mut doomed = envelope("a", "ok");
    doomed.max_attempts = Some(2);
    for _ in 0..2 {
        let now = world.engine.clock.now();
        let claim = Claim { envelope: &doomed, now, lease_until: now + Duration::from_secs(1), worker: "dead", backend: "test" };
        assert!(matches!(world.store.begin(&claim).await, Ok(Begin::Claimed { .. })));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(world.run(vec![record(doomed)]).await.is_empty());
    assert_eq!(world.buried(), [("a".to_owned(), ErrorKind::Crashed)]);
    assert_eq!(world.queue.buried.lock().unwrap()[0].1.attempts, 2);
    assert!(world.delivered().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_unclaimed_while_the_store_is_down() {
    let world = World::new();
    world.store.begin_down.store(true, Ordering::SeqCst);
    assert_eq!(world.run(vec![say("a", "ok")]).await, ["a"]);
    assert!(world.delivered().is_empty() && world.hidden("a").is_some());
    world.store.begin_down.store(false, Ordering::SeqCst);
    assert!(world.run(vec![say("a", "ok")]).await.is_empty());
    assert_eq!(world.delivered(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn retries_wait_hidden_and_the_services_own_delay_wins() {
    let world = World::new();
    assert_eq!(world.run(vec![say("throttle", "throttle"), say("fail", "fail")]).await, ["fail", "throttle"]);
    assert_eq!(world.hidden("throttle"), Some(Duration::from_secs(77)));
    assert!(world.hidden("fail").unwrap() <= Duration::from_secs(5));
    assert_eq!(world.status("fail").await, Some(Status::Ready), "the claim is given back");
}

#[tokio::test(start_paused = true)]
async fn what_fails_too_often_is_given_up_with_its_reason() {
    for world in [World::new(), World::without_store()] {
        for receive in 1..=6 {
            let mut record = say("a", "fail");
            record.message.receive_count = receive;
            assert_eq!(world.run(vec![record]).await.is_empty(), receive == 6, "receive {receive}");
        }
        let buried = world.queue.buried.lock().unwrap().clone();
        let letter = DeadLetter {
            kind: ErrorKind::Unavailable,
            reason: "HTTP 503".to_owned(),
            attempts: 6,
            id: Some("a".to_owned()),
            task: Some("act".to_owned()),
        };
        assert_eq!(buried, [("a".to_owned(), letter)]);
        if world.engine.store.is_some() {
            assert_eq!(world.status("a").await, Some(Status::Failed));
            assert!(world.run(vec![say("a", "ok")]).await.is_empty() && world.delivered().is_empty(), "a dead id stays dead");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_delivery_starts_that_may_not_end_in_time() {
    let world = World::new();
    assert_eq!(world.run_for(vec![say("a", "ok")], Duration::from_secs(11)).await, ["a"]);
    assert_eq!((world.hidden("a"), world.status("a").await), (Some(Duration::ZERO), None), "it is back at once and not counted");
    assert_eq!(world.run_for(vec![say("b", "ok")], Duration::ZERO).await, ["b"]);
    assert!(world.delivered().is_empty());
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_a_batch_are_in_flight_together() {
    let world = World::new();
    let started = world.engine.clock.now();
    assert!(world.run((0..50).map(|i| say(&format!("{i}"), "ok")).collect()).await.is_empty());
    assert_eq!(world.engine.clock.now().since(started), Duration::from_millis(100));
    assert_eq!(world.actor.most_in_flight.load(Ordering::SeqCst), 50);
}

#[tokio::test(start_paused = true)]
async fn a_group_stops_at_its_first_message_that_stays_and_other_groups_go_on() {
    let world = World::new();
    let batch = ["a1 ok", "b1 ok", "a2 fail", "b2 reject", "a3 ok", "b3 ok", "a4 ok"];
    let records = batch.iter().map(|text| {
        let (id, script) = text.split_once(' ').unwrap();
        in_lane(say(id, script), &id[..1])
    });
    assert_eq!(world.run(records.collect()).await, ["a2", "a3", "a4"]);
    assert_eq!(*world.actor.delivered.lock().unwrap(), ["a1", "b1", "b3"], "a buried message lets its group go on");
    assert_eq!(world.hidden("a3"), Some(Duration::ZERO), "what waits behind it does not hold its group up any longer than it does");
}

#[tokio::test(start_paused = true)]
async fn early_messages_wait_and_late_ones_are_recorded_and_not_run() {
    let world = World::new();
    let mut early = envelope("early", "ok");
    early.run_after = Some(START + Duration::from_secs(90));
    let mut far = envelope("far", "ok");
    far.run_after = Some(START + Duration::from_secs(90_000));
    let mut late = envelope("late", "ok");
    late.expires = Some(START);
    assert_eq!(world.run(vec![record(early.clone()), record(far), record(late)]).await, ["early", "far"]);
    assert_eq!(world.hidden("early"), Some(Duration::from_secs(90)));
    assert_eq!(world.hidden("far"), Some(Duration::from_secs((12 * 60 - 15) * 60)), "no longer than a queue can hide it");
    assert_eq!(world.status("late").await, Some(Status::Expired));
    tokio::time::advance(Duration::from_secs(90)).await;
    assert!(world.run(vec![record(early)]).await.is_empty());
    assert_eq!(world.delivered(), ["early"]);
}

#[tokio::test(start_paused = true)]
async fn cancelled_ones_are_dropped() {
    let world = World::new();
    world.store.register(&envelope("a", "ok"), Status::Ready, "test", START).await.unwrap();
    world.store.cancel("a", START).await.unwrap();
    assert!(world.run(vec![say("a", "ok")]).await.is_empty());
    assert!(world.delivered().is_empty() && world.buried().is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_a_bulk_envelope_only_what_failed_is_tried_again() {
    let world = World::new();
    let bulk = |scripts: &[&str]| {
        let mut bulk = envelope("bulk", "");
        let payloads: Vec<_> = scripts.iter().map(|script| serde_json::json!({ "do": script })).collect();
        bulk.kwargs = Some(serde_json::value::to_raw_value(&payloads).unwrap());
        bulk.context.bulk = true;
        record(bulk)
    };
    assert_eq!(world.run(vec![bulk(&["ok", "throttle", "ok"])]).await, ["bulk"]);
    assert_eq!(world.hidden("bulk"), Some(Duration::from_secs(77)));
    assert_eq!(world.delivered(), ["bulk-0", "bulk-2"]);
    assert!(world.run(vec![bulk(&["ok", "ok", "ok"])]).await.is_empty());
    assert_eq!(world.delivered(), ["bulk-0", "bulk-1", "bulk-2"]);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_recorded_delivers_nothing_twice() {
    let world = World::new();
    world.store.finish_down.store(true, Ordering::SeqCst);
    assert!(world.run(vec![say("a", "ok")]).await.is_empty(), "what was delivered is acknowledged");
    assert_eq!(world.run(vec![say("a", "ok")]).await, ["a"], "and a twin of it waits for the lease");
    assert_eq!(world.delivered(), ["a"]);
}
