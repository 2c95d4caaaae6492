//! A world for the engine: a clock that is told, a queue that notes, a provider that does what its payload says, a store that can be taken down.

#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "a test fails by panicking, and no test uses all of it")]

mod actor;
mod legs;
mod messages;
pub mod paused;
mod push;
mod queue;
mod store;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

pub use actor::*;
use errand_core::{BoxFuture, Clock, Dispatch, Envelope, Environment, ErrorKind, Init, Lookup, Registry, SettingsError, Status, Timestamp};
use errand_engine::{Circuits, Engine, Event, Log, Policy, Received, Verdict, Watch};
pub use legs::*;
pub use messages::*;
pub use push::*;
pub use queue::*;
pub use store::*;

/// Tokio's paused clock: time passes when everything waits.
pub struct TestClock(pub tokio::time::Instant);

pub const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        START + self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Keeps what happens, each by its name and whom it happens to.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<String>>>);

impl Watch for Seen {
    fn saw(&self, event: &Event<'_>) {
        let told = format!("{event:?}");
        let id = told.split_once("id: \"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(id, _)| id);
        self.0.lock().unwrap().push(format!("{} {id}", told.split(' ').next().unwrap_or_default()));
    }
}

impl Seen {
    /// What has happened since this was asked last.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

pub struct World {
    pub engine: Engine,
    pub seen: Seen,
    pub actor: Actor,
    pub queue: TestQueue,
    pub store: Faulty,
}

impl World {
    pub fn new() -> Self {
        Self::with(TestQueue::default())
    }

    pub fn with(queue: TestQueue) -> Self {
        let (actor, store, seen) = (Actor::default(), Faulty::default(), Seen::default());
        let mut registry = Registry::default();
        registry.insert(actor.clone());
        let engine = Engine {
            registry,
            store: Some(Arc::new(store.clone())),
            queue: Arc::new(queue.clone()),
            objects: None,
            dispatch: None,
            sequel: None,
            api_url: None,
            clock: Arc::new(TestClock(tokio::time::Instant::now())),
            policy: Policy::default(),
            watchers: vec![Box::new(Log), Box::new(seen.clone())],
            circuits: Circuits::default(),
            worker: "w".to_owned(),
            backend: "test".to_owned(),
        };
        Self { engine, seen, actor, queue, store }
    }

    /// A world in which tokens are pushed, with routes perhaps.
    pub fn pushing(routes: &str) -> (Self, Push, Legs) {
        let (mut world, push, legs) = (Self::new(), Push::default(), Legs::default());
        let env: Environment = [("ERRAND_ROUTES", routes)].into_iter().collect();
        world.engine.registry.insert(push.clone());
        world.engine.registry.add_runner::<Legs>(&env, &Init::default().with(legs.clone())).unwrap();
        world.engine.registry.read_routes(&env).unwrap();
        (world, push, legs)
    }

    pub fn without_store() -> Self {
        let mut world = Self::new();
        world.engine.store = None;
        world
    }

    /// A world with routes of [`Legs`], if they can be.
    pub fn routed(routes: &str) -> Result<(Self, Legs), SettingsError> {
        let (mut world, legs) = (Self::new(), Legs::default());
        let env: Environment = [("ERRAND_ROUTES", routes)].into_iter().collect();
        world.engine.registry.add_runner::<Legs>(&env, &Init::default().with(legs.clone()))?;
        world.engine.registry.read_routes(&env)?;
        Ok((world, legs))
    }

    /// Gives it something to send with.
    pub fn sending(&mut self) -> Sent {
        let sent = Sent::default();
        self.engine.dispatch = Some(Dispatch::of("sent", Arc::new(sent.clone())));
        sent
    }

    /// Runs one message as a queue hands it over again and again, each time when it is to be seen, until it is gone; answers for how long it was hidden each time.
    pub async fn until_gone(&self, envelope: &Envelope, time: Duration) -> Vec<Duration> {
        let mut hidden = Vec::new();
        for receive_count in 1..=1000 {
            let mut record = record(envelope.clone());
            record.message.receive_count = receive_count;
            if self.run_for(vec![record], time).await.is_empty() {
                return hidden;
            }
            let wait = self.hidden(&envelope.id).unwrap();
            hidden.push(wait);
            tokio::time::sleep(wait).await;
        }
        panic!("it is never done with: {:?}", &hidden[..20]);
    }

    /// Runs a batch with half a minute of time; answers the ids that stay, sorted.
    pub async fn run(&self, records: Vec<Received>) -> Vec<String> {
        self.run_for(records, Duration::from_secs(30)).await
    }

    pub async fn run_for(&self, records: Vec<Received>, time: Duration) -> Vec<String> {
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

    pub fn delivered(&self) -> Vec<String> {
        let mut delivered = self.actor.delivered.lock().unwrap().clone();
        delivered.sort();
        delivered
    }

    pub fn buried(&self) -> Vec<(String, ErrorKind)> {
        self.queue.buried.lock().unwrap().iter().map(|(id, letter)| (id.clone(), letter.kind)).collect()
    }

    pub fn hidden(&self, id: &str) -> Option<Duration> {
        self.queue.hidden.lock().unwrap().iter().rev().find(|(hidden, _)| hidden == id).map(|(_, duration)| *duration)
    }

    pub async fn status(&self, id: &str) -> Option<Status> {
        self.store.get(id).await.unwrap().map(|(result, _)| result.status)
    }
}
