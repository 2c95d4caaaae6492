//! A world for the engine: a clock that is told, a queue that notes, a provider that does what its payload says, a store that can be taken down.

#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "a test fails by panicking, and no test uses all of it")]

pub mod paused;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use errand_core::{
    Attempt, BODY_LIMIT, Begin, BoxFuture, Change, Claim, Claims, Clock, Context, DeadLetter, DeliveryError, Dispatch, Envelope,
    Environment, ErrorKind, Fields, Filter, Finish, Init, Job, Json, Known, Lookup, Message, NoOptions, Objects, OptionError, Outcome,
    Page, Payload, Provider, PublishError, Published, Queue, Ran, Receipt, Register, Registry, Report, Results, Runner, SettingsError,
    Status, StorageError, TaskError, Timestamp, Transport, TransportLimits,
};
use errand_engine::{Circuits, Engine, Event, Log, Policy, Received, Verdict, Watch};
use errand_store_memory::MemoryStore;
use serde::Deserialize;

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

#[derive(Clone, Default)]
pub struct TestQueue {
    pub hidden: Arc<Mutex<Vec<(String, Duration)>>>,
    pub buried: Arc<Mutex<Vec<(String, DeadLetter)>>>,
    pub broken: bool,
}

impl Queue for TestQueue {
    async fn hide(&self, message: &Message, duration: Duration) -> Result<(), StorageError> {
        self.hidden.lock().unwrap().push((message.id.clone(), duration));
        if self.broken { Err(StorageError("broken".to_owned())) } else { Ok(()) }
    }

    async fn bury(&self, message: &Message, letter: &DeadLetter) -> Result<(), StorageError> {
        if self.broken {
            return Err(StorageError("broken".to_owned()));
        }
        self.buried.lock().unwrap().push((message.id.clone(), letter.clone()));
        Ok(())
    }
}

/// Does what its payload says, and keeps what it was asked to do.
#[derive(Clone, Default)]
pub struct Actor {
    pub delivered: Arc<Mutex<Vec<String>>>,
    pub in_flight: Arc<AtomicU32>,
    pub most_in_flight: Arc<AtomicU32>,
}

pub struct Script(String);

impl Payload for Script {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.required("do").map(Self)
    }
}

impl Provider for Actor {
    const NAME: &'static str = "actor";
    const TASKS: &'static [&'static str] = &["act"];
    type Payload = Script;

    fn new(_: &Environment, _: &Init) -> Result<Self, SettingsError> {
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
            "stop" => Err(DeliveryError::new(ErrorKind::Misconfigured, "token_revoked").stopping()),
            "unknown" => Err(DeliveryError::new(ErrorKind::OutcomeUnknown, "no answer")),
            script if script.strip_prefix("flaky-").is_some_and(|failures| attempt.number <= failures.parse().unwrap()) => {
                Err(DeliveryError::new(ErrorKind::Unavailable, "HTTP 503"))
            }
            script if script.strip_prefix("stop-").is_some_and(|stops| attempt.number <= stops.parse().unwrap()) => {
                Err(DeliveryError::new(ErrorKind::Misconfigured, "token_revoked").stopping())
            }
            "fail" => Err(DeliveryError::new(ErrorKind::Unavailable, "HTTP 503")),
            _ => {
                self.delivered.lock().unwrap().push(attempt.key.clone());
                Ok(Receipt::message_id(&script))
            }
        }
    }
}

/// Keeps what it is given to send.
#[derive(Clone, Default)]
pub struct Sent {
    pub envelopes: Arc<Mutex<Vec<Envelope>>>,
    pub down: Arc<AtomicBool>,
}

impl Transport for Sent {
    const BACKEND: &'static str = "sent";
    type Options = NoOptions;

    fn new(_: &str, _: NoOptions, _: &Init) -> Result<Self, OptionError> {
        Ok(Self::default())
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::ZERO, bytes: BODY_LIMIT, destinations: false }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        if self.down.load(Ordering::SeqCst) {
            return envelopes.iter().map(|_| Err(PublishError::Unavailable("down".to_owned()))).collect();
        }
        self.envelopes.lock().unwrap().extend_from_slice(envelopes);
        envelopes.iter().map(|_| Ok(Published::default())).collect()
    }

    async fn check(&self) -> Result<(), PublishError> {
        Ok(())
    }
}

/// A runner whose routes say how long they take and may take; what they do is told them, or stands in the payload.
#[derive(Clone, Default)]
pub struct Legs {
    /// Each call, by its leg and the key of the payload.
    pub calls: Arc<Mutex<Vec<(String, String)>>>,
    /// The keys of what was done.
    pub done: Arc<Mutex<Vec<String>>>,
    does: Arc<Mutex<BTreeMap<String, String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegRoute {
    leg: String,
    /// In seconds.
    #[serde(default = "five")]
    timeout: u64,
    /// In milliseconds.
    #[serde(default)]
    takes: u64,
    /// What it does, whatever the payload says.
    does: Option<String>,
}

fn five() -> u64 {
    5
}

impl Legs {
    /// From now on a leg does this, whatever the payload says.
    pub fn does(&self, leg: &str, script: &str) {
        self.does.lock().unwrap().insert(leg.to_owned(), script.to_owned());
    }

    /// How often a leg was called.
    pub fn called(&self, leg: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(called, _)| called == leg).count()
    }

    pub fn done(&self) -> Vec<String> {
        let mut done = self.done.lock().unwrap().clone();
        done.sort();
        done
    }
}

impl Runner for Legs {
    const NAME: &'static str = "leg";
    type Route = LegRoute;

    fn new(_: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        cx.shared::<Self>().cloned()
    }

    fn check(&self, _: &LegRoute) -> Result<(), String> {
        Ok(())
    }

    fn timeout(&self, route: &LegRoute) -> Duration {
        Duration::from_secs(route.timeout)
    }

    async fn run(&self, route: &LegRoute, job: &Job<'_>) -> Result<Ran, DeliveryError> {
        let key = job.envelope.id.clone();
        self.calls.lock().unwrap().push((route.leg.clone(), key.clone()));
        tokio::time::sleep(Duration::from_millis(route.takes)).await;
        let told = self.does.lock().unwrap().get(&route.leg).cloned();
        let script = told.or_else(|| route.does.clone()).unwrap_or_else(|| {
            let kwargs: serde_json::Value = serde_json::from_str(job.envelope.payload()).unwrap();
            kwargs["do"].as_str().unwrap().to_owned()
        });
        let first = |script: &str| job.number <= script.rsplit_once('-').and_then(|(_, times)| times.parse().ok()).unwrap_or(u32::MAX);
        match script.as_str() {
            script if script.starts_with("down") && first(script) => Err(DeliveryError::new(ErrorKind::Unavailable, "HTTP 503")),
            script if script.starts_with("stop") && first(script) => {
                Err(DeliveryError::new(ErrorKind::Misconfigured, "token_revoked").stopping())
            }
            script if script.starts_with("panic") && first(script) => panic!("on purpose"),
            "stop at once" => Err(DeliveryError::new(ErrorKind::RateLimited, "slow down").stopping().retry_after(Some(Duration::ZERO))),
            "unsure" => Err(DeliveryError::new(ErrorKind::OutcomeUnknown, "no answer")),
            "reject" => Err(DeliveryError::new(ErrorKind::Rejected, "HTTP 400")),
            "hang" => std::future::pending().await,
            "hand" => Ok(Ran::Handed(Duration::from_secs(600))),
            _ => {
                self.done.lock().unwrap().push(key);
                Ok(Ran::Done(Json::of(&route.leg)))
            }
        }
    }
}

/// A provider whose payloads have parts: tokens, of which each says what comes of it.
#[derive(Clone, Default)]
pub struct Push {
    /// The tokens of each call, by the parts' keys.
    pub calls: Arc<Mutex<Vec<Vec<String>>>>,
    /// The keys of what was done.
    pub done: Arc<Mutex<Vec<String>>>,
    /// How long a call takes, in milliseconds.
    pub takes: Arc<AtomicU32>,
    /// Says stop to all from the call of this number on.
    pub stops_at: Arc<AtomicU32>,
}

pub struct Tokens(Vec<String>);

impl Payload for Tokens {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let tokens: Option<Vec<String>> = fields.required("tokens");
        assert!(tokens.as_ref().is_none_or(|tokens| tokens.iter().all(|token| token != "unreadable")), "on purpose");
        tokens.map(Self)
    }
}

impl Provider for Push {
    const NAME: &'static str = "push";
    const TASKS: &'static [&'static str] = &["push"];
    const AT_ONCE: usize = 5;
    const TOGETHER: usize = 2;
    type Payload = Tokens;

    fn new(_: &Environment, _: &Init) -> Result<Self, SettingsError> {
        Ok(Self::default())
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn deliver(&self, tokens: Tokens, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        self.deliver_parts(&tokens, &[0], attempt).await.remove(0)
    }

    fn parts(Tokens(tokens): &Tokens) -> usize {
        tokens.len()
    }

    async fn deliver_parts(&self, Tokens(tokens): &Tokens, parts: &[usize], attempt: &Attempt) -> Vec<Result<Receipt, DeliveryError>> {
        assert!(parts.len() <= Self::AT_ONCE);
        let keys: Vec<String> = parts.iter().map(|part| attempt.part(*part)).collect();
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(keys.clone());
            u32::try_from(calls.len()).unwrap()
        };
        tokio::time::sleep(Duration::from_millis(self.takes.load(Ordering::SeqCst).into())).await;
        let stops_at = self.stops_at.load(Ordering::SeqCst);
        if stops_at > 0 && number >= stops_at {
            return parts.iter().map(|_| Err(DeliveryError::new(ErrorKind::Misconfigured, "token_revoked").stopping())).collect();
        }
        let mut answers = Vec::new();
        for (key, part) in keys.into_iter().zip(parts) {
            let token = tokens[*part].as_str();
            let now = |times: &str| attempt.number <= times.parse::<u32>().unwrap();
            answers.push(match token.split_once('-').unwrap_or((token, "99")) {
                ("panic", times) if now(times) => panic!("on purpose"),
                ("hang", times) if now(times) => std::future::pending().await,
                ("gone", _) => Err(DeliveryError::new(ErrorKind::RecipientGone, "HTTP 410")),
                ("down", times) if now(times) => Err(DeliveryError::new(ErrorKind::Unavailable, "HTTP 503")),
                ("failed", times) if now(times) => Err(DeliveryError::new(ErrorKind::TaskFailed, "it failed")),
                ("few", times) if now(times) => return answers,
                _ => {
                    self.done.lock().unwrap().push(key);
                    Ok(Receipt::message_id(token))
                }
            });
        }
        answers
    }
}

impl Push {
    /// The keys of what was done, sorted.
    pub fn done(&self) -> Vec<String> {
        let mut done = self.done.lock().unwrap().clone();
        done.sort();
        done
    }

    /// How often a part was sent, by its key.
    pub fn sent(&self, key: &str) -> usize {
        self.calls.lock().unwrap().iter().flatten().filter(|sent| *sent == key).count()
    }
}

/// Keeps objects in memory.
#[derive(Clone, Default)]
pub struct Shelf(pub Arc<Mutex<BTreeMap<String, String>>>);

impl Objects for Shelf {
    async fn put(&self, key: &str, content: String) -> Result<(), StorageError> {
        self.0.lock().unwrap().insert(key.to_owned(), content);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<String>, StorageError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.0.lock().unwrap().remove(key);
        Ok(())
    }
}

/// A store that can be taken down.
#[derive(Clone, Default)]
pub struct Faulty {
    pub inner: MemoryStore,
    pub begin_down: Arc<AtomicBool>,
    pub finish_down: Arc<AtomicBool>,
    pub get_down: Arc<AtomicBool>,
    /// How many claims and outcomes were written.
    pub writes: Arc<AtomicU32>,
    /// Ids that cannot be claimed.
    pub unclaimable: Arc<Mutex<BTreeSet<String>>>,
    /// Ids whose attempts' ends cannot be recorded.
    pub unrecordable: Arc<Mutex<BTreeSet<String>>>,
}

impl Faulty {
    fn up(down: &AtomicBool) -> Result<(), StorageError> {
        if down.load(Ordering::SeqCst) { Err(StorageError("down".to_owned())) } else { Ok(()) }
    }
}

impl Faulty {
    pub fn spares(faulty: &Mutex<BTreeSet<String>>, id: &str) -> Result<(), StorageError> {
        if faulty.lock().unwrap().contains(id) { Err(StorageError("throttled".to_owned())) } else { Ok(()) }
    }
}

impl Lookup for Faulty {
    async fn get(&self, id: &str) -> Result<Option<Known>, StorageError> {
        Self::up(&self.get_down)?;
        self.inner.get(id).await
    }
}

impl Claims for Faulty {
    async fn begin(&self, claim: &Claim<'_>) -> Result<Begin, StorageError> {
        Self::up(&self.begin_down)?;
        Self::spares(&self.unclaimable, &claim.envelope.id)?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.inner.begin(claim).await
    }

    async fn refuse(&self, claim: &Claim<'_>, error: &TaskError) -> Result<Finish, StorageError> {
        Self::up(&self.begin_down)?;
        Self::up(&self.finish_down)?;
        Self::spares(&self.unclaimable, &claim.envelope.id)?;
        Self::spares(&self.unrecordable, &claim.envelope.id)?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.inner.refuse(claim, error).await
    }

    async fn finish(&self, id: &str, attempt: u32, outcome: &Outcome, now: Timestamp) -> Result<Finish, StorageError> {
        Self::up(&self.finish_down)?;
        Self::spares(&self.unrecordable, id)?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.inner.finish(id, attempt, outcome, now).await
    }
}

impl Register for Faulty {
    async fn register(&self, envelope: &Envelope, status: Status, backend: &str, now: Timestamp) -> Result<Option<Known>, StorageError> {
        self.inner.register(envelope, status, backend, now).await
    }

    async fn sent(&self, envelope: &Envelope, failed: Option<&TaskError>) -> Result<(), StorageError> {
        self.inner.sent(envelope, failed).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        self.inner.check().await
    }
}

impl Results for Faulty {
    async fn report(&self, id: &str, token: &str, outcome: &Outcome, now: Timestamp) -> Result<Report, StorageError> {
        self.inner.report(id, token, outcome, now).await
    }

    async fn list(&self, filter: &Filter) -> Result<Page, StorageError> {
        self.inner.list(filter).await
    }

    async fn cancel(&self, id: &str, now: Timestamp) -> Result<Change, StorageError> {
        self.inner.cancel(id, now).await
    }

    async fn reschedule(&self, id: &str, run_after: Timestamp, now: Timestamp) -> Result<Change, StorageError> {
        self.inner.reschedule(id, run_after, now).await
    }

    async fn reopen(&self, envelope: &Envelope, now: Timestamp) -> Result<Change, StorageError> {
        self.inner.reopen(envelope, now).await
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

/// An envelope that counts as the same content whatever the script says: it stands for the service that acts otherwise the next time.
pub fn envelope(id: &str, script: &str) -> Envelope {
    let kwargs = serde_json::value::to_raw_value(&serde_json::json!({ "do": script })).unwrap();
    let content = errand_testkit::transport::envelope(id);
    Envelope { task: "act".to_owned(), kwargs: Some(kwargs), fingerprint: Some(content.content()), ..content }
}

/// An envelope that is for these tokens.
pub fn push(id: &str, tokens: &[&str]) -> Envelope {
    let kwargs = serde_json::value::to_raw_value(&serde_json::json!({ "tokens": tokens })).unwrap();
    Envelope { task: "push".to_owned(), kwargs: Some(kwargs), ..envelope(id, "") }
}

/// A bulk of payloads for a task.
pub fn bulk(id: &str, task: &str, scripts: &[&str]) -> Envelope {
    let payloads: Vec<_> = scripts.iter().map(|script| serde_json::json!({ "do": script })).collect();
    let mut bulk = envelope(id, "");
    bulk.task = task.to_owned();
    bulk.kwargs = Some(serde_json::value::to_raw_value(&payloads).unwrap());
    bulk.context =
        Context { bulk: true, follow_ups: false, json: serde_json::value::RawValue::from_string(r#"{"bulk":true}"#.to_owned()).ok() };
    bulk
}

/// A message with the same id as its envelope.
pub fn record(envelope: Envelope) -> Received {
    Received { message: message(&envelope.id), work: Ok(vec![envelope]) }
}

pub fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        receipt: "r".to_owned(),
        body: "b".to_owned(),
        attributes: BTreeMap::new(),
        receive_count: 1,
        sent_at: None,
        queue: "default".to_owned(),
        lane: None,
    }
}

pub fn say(id: &str, script: &str) -> Received {
    record(envelope(id, script))
}

pub fn poison(id: &str) -> Received {
    Received { message: message(id), work: Err(DeliveryError::new(ErrorKind::Malformed, "is not JSON")) }
}

pub fn in_lane(mut record: Received, lane: &str) -> Received {
    record.message.lane = Some(lane.to_owned());
    record
}
