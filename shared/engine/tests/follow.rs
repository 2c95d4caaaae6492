//! Tasks that other people's workers have: how they end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use errand_core::{
    BODY_LIMIT, Begin, Change, Claim, Claims, Context, DeadLetter, Destinations, Dispatch, Envelope, Environment, Finish, FollowUp,
    FollowUps, ForeignMessage, ForeignResult, Forward, Init, Json, Known, Lookup, Message, NoOptions, OptionError, Outcome, PublishError,
    Published, Queue, Results, Status, StorageError, TaskError, TaskResult, Timestamp, Transport, TransportLimits, WorkerResult,
};
use errand_engine::{Received, Sequel, Verdict};
use serde_json::json;
use world::*;

/// For how long the workers' results are waited for.
const LIMIT: Duration = Duration::from_secs(3600);

/// Counts the steps of what a process does, and ends it at one of them: that step is never over.
#[derive(Clone, Default)]
struct Fuse {
    steps: Arc<AtomicUsize>,
    ends_at: Arc<AtomicUsize>,
    ended: Arc<tokio::sync::Notify>,
}

impl Fuse {
    async fn step(&self) {
        if self.steps.fetch_add(1, Ordering::SeqCst) + 1 == self.ends_at.load(Ordering::SeqCst) {
            self.ended.notify_one();
            pending::<()>().await;
        }
    }
}

/// A broker with workers behind it, who leave what the test says: one after the other, the last for ever.
#[derive(Clone, Default)]
struct Workers {
    taken: Arc<Mutex<Vec<Envelope>>>,
    leave: Arc<Mutex<VecDeque<Left>>>,
    asked: Arc<AtomicU32>,
    fuse: Fuse,
}

#[derive(Clone)]
enum Left {
    Told(Result<WorkerResult, PublishError>),
    Hangs,
    Panics,
}

impl Workers {
    fn leave(&self, results: impl IntoIterator<Item = Left>) {
        *self.leave.lock().unwrap() = results.into_iter().collect();
    }

    fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

impl Transport for Workers {
    const BACKEND: &'static str = "workers";
    type Options = NoOptions;

    fn new(_: &str, _: NoOptions, _: &Init) -> Result<Self, OptionError> {
        Ok(Self::default())
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::ZERO, bytes: BODY_LIMIT }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        self.fuse.step().await;
        self.taken.lock().unwrap().extend_from_slice(envelopes);
        self.fuse.step().await;
        envelopes.iter().map(|_| Ok(Published { message_id: Some("m-1".to_owned()) })).collect()
    }

    async fn check(&self) -> Result<(), PublishError> {
        Ok(())
    }

    fn reads_results(&self) -> Option<Duration> {
        Some(LIMIT)
    }

    async fn result(&self, id: &str, destination: Option<&str>) -> Result<WorkerResult, PublishError> {
        self.fuse.step().await;
        assert_eq!((id, destination), ("a", Some("mail")));
        self.asked.fetch_add(1, Ordering::SeqCst);
        let left = {
            let mut leave = self.leave.lock().unwrap();
            if leave.len() > 1 { leave.pop_front() } else { leave.front().cloned() }
        };
        match left.unwrap_or(Left::Told(Ok(WorkerResult::Pending))) {
            Left::Told(told) => told,
            Left::Hangs => pending().await,
            Left::Panics => panic!("on purpose"),
        }
    }
}

/// A store and a queue whose every step is one of the process.
#[derive(Clone, Default)]
struct Dying {
    store: Faulty,
    queue: TestQueue,
    home: Sent,
    fuse: Fuse,
}

impl Dying {
    async fn around<T>(&self, done: impl Future<Output = T>) -> T {
        self.fuse.step().await;
        let done = done.await;
        self.fuse.step().await;
        done
    }
}

impl Lookup for Dying {
    async fn get(&self, id: &str) -> Result<Option<Known>, StorageError> {
        self.around(self.store.get(id)).await
    }
}

impl Claims for Dying {
    async fn begin(&self, claim: &Claim<'_>) -> Result<Begin, StorageError> {
        self.around(self.store.begin(claim)).await
    }

    async fn refuse(&self, claim: &Claim<'_>, error: &TaskError) -> Result<Finish, StorageError> {
        self.around(self.store.refuse(claim, error)).await
    }

    async fn finish(&self, id: &str, attempt: u32, outcome: &Outcome, now: Timestamp) -> Result<Finish, StorageError> {
        self.around(self.store.finish(id, attempt, outcome, now)).await
    }
}

impl Queue for Dying {
    async fn hide(&self, message: &Message, duration: Duration) -> Result<(), StorageError> {
        self.around(self.queue.hide(message, duration)).await
    }

    async fn bury(&self, message: &Message, letter: &DeadLetter) -> Result<(), StorageError> {
        self.around(self.queue.bury(message, letter)).await
    }
}

impl Transport for Dying {
    const BACKEND: &'static str = "home";
    type Options = NoOptions;

    fn new(_: &str, _: NoOptions, _: &Init) -> Result<Self, OptionError> {
        Ok(Self::default())
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::from_secs(900), bytes: BODY_LIMIT }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        self.around(self.home.publish(envelopes)).await
    }

    async fn check(&self) -> Result<(), PublishError> {
        Ok(())
    }
}

/// Keeps what follows on a task.
#[derive(Clone, Default)]
struct Followed(Arc<Mutex<Vec<String>>>);

impl Forward for Followed {
    async fn forward(&self, message: &ForeignMessage) -> Result<(), PublishError> {
        self.0.lock().unwrap().push(message.body.clone());
        Ok(())
    }
}

struct Case {
    world: World,
    workers: Workers,
    dying: Dying,
    followed: Followed,
    /// What is on the queue: when it is to be seen, and how often it was.
    waiting: Vec<(Timestamp, u32, Envelope)>,
    told: Vec<Envelope>,
}

impl Case {
    fn new() -> Self {
        Self::ending_at(0)
    }

    /// One whose process ends at this step, and is there again for the next message.
    fn ending_at(step: usize) -> Self {
        let (mut world, dying) = (World::new(), Dying::default());
        let (workers, followed) = (Workers { fuse: dying.fuse.clone(), ..Workers::default() }, Followed::default());
        dying.fuse.ends_at.store(step, Ordering::SeqCst);
        let dispatch = Dispatch::of("home", Arc::new(dying.clone())).with("workers", Arc::new(workers.clone()), Destinations::of(["mail"]));
        world.engine.registry.add_transports(&dispatch);
        world.engine.store = Some(Arc::new(dying.clone()));
        world.engine.queue = Arc::new(dying.clone());
        world.engine.dispatch = Some(dispatch);
        let follow_ups = |envelope: &Envelope, result: &TaskResult| FollowUps {
            messages: vec![ForeignMessage {
                id: "next".to_owned(),
                queue: "default".to_owned(),
                group: None,
                body: format!("after {} {}: {}", envelope.id, result.status, result.return_value.get()),
            }],
            result: None::<ForeignResult>,
        };
        world.engine.sequel = Some(Sequel { follow_ups, forward: Arc::new(followed.clone()), results: None });
        (world.store, world.queue) = (dying.store.clone(), dying.queue.clone());
        Self { world, workers, dying, followed, waiting: Vec::new(), told: Vec::new() }
    }

    fn task() -> Envelope {
        Envelope {
            backend: Some("workers".to_owned()),
            destination: Some("mail".to_owned()),
            callback_url: Some("https://example.com/hook".to_owned()),
            context: Context { follow_ups: true, ..Context::default() },
            ..envelope("a", "ok")
        }
    }

    /// A message comes.
    async fn comes(&self, mut received: Received, count: u32) -> Option<Verdict> {
        received.message.receive_count = count;
        let deadline = self.world.engine.clock.now() + Duration::from_secs(30);
        tokio::select! {
            verdicts = self.world.engine.run(vec![received], deadline) => Some(verdicts[0].1),
            () = self.dying.fuse.ended.notified() => None,
        }
    }

    /// Takes in what was sent to the own queue.
    fn collect(&mut self) {
        for sent in std::mem::take(&mut *self.dying.home.envelopes.lock().unwrap()) {
            if sent.task == TaskResult::CALLBACK {
                self.told.push(sent);
            } else {
                let due = sent.run_after.unwrap_or_else(|| self.world.engine.clock.now());
                self.waiting.push((due, 0, sent));
            }
        }
    }

    /// Works the queue off, as long as anything is on it and for this long at most.
    async fn work_for(&mut self, time: Duration) {
        let until = self.world.engine.clock.now() + time;
        loop {
            self.collect();
            self.waiting.sort_by_key(|(due, ..)| *due);
            if self.waiting.first().is_none_or(|(due, ..)| *due > until) {
                tokio::time::sleep(until.since(self.world.engine.clock.now())).await;
                return;
            }
            let (due, count, envelope) = self.waiting.remove(0);
            tokio::time::sleep(due.since(self.world.engine.clock.now())).await;
            let verdict = self.comes(record(envelope.clone()), count + 1).await;
            let now = self.world.engine.clock.now();
            match verdict {
                Some(Verdict::Acknowledge) => {}
                Some(Verdict::Keep) => self.waiting.push((now + self.world.hidden(&envelope.id).unwrap(), count + 1, envelope)),
                // The queue shows it again by itself.
                None => self.waiting.push((now + Duration::from_secs(60), count + 1, envelope)),
            }
        }
    }

    async fn send(&mut self, envelope: Envelope) {
        self.waiting.push((self.world.engine.clock.now(), 0, envelope));
        self.work_for(Duration::ZERO).await;
    }

    async fn result(&self) -> TaskResult {
        self.world.store.get("a").await.unwrap().unwrap().0
    }

    async fn status(&self) -> Status {
        self.result().await.status
    }
}

fn done() -> Left {
    Left::Told(Ok(WorkerResult::Succeeded(json!({ "n": 7 }).into())))
}

fn waits() -> Left {
    Left::Told(Ok(WorkerResult::Pending))
}

#[tokio::test(start_paused = true)]
async fn a_task_is_the_workers_until_they_have_done_it() {
    let mut case = Case::new();
    let started = |worker: &str| Left::Told(Ok(WorkerResult::Started { worker: Some(worker.to_owned()) }));
    case.workers.leave([waits(), started("celery@one"), started("celery@one"), waits()]);
    case.send(Case::task()).await;
    let handed = case.workers.taken.lock().unwrap()[0].clone();
    assert_eq!((handed.id.as_str(), handed.backend, handed.callback_url, handed.context.follow_ups), ("a", None, None, false));
    assert_eq!((case.status().await, case.waiting.len()), (Status::Running, 1), "the message is gone, and a question is there");
    assert_eq!(case.world.seen.take(), ["Begun a", "Called a", "HandedOn a"]);

    let now = case.world.engine.clock.now() + LIMIT * 2;
    let refused = |change| matches!(change, Ok(Change::Refused(task)) if task.status == Status::Running);
    assert!(refused(case.world.store.cancel("a", now).await) && refused(case.world.store.reschedule("a", now, now).await));
    case.work_for(Duration::from_secs(100)).await;
    assert_eq!(case.result().await.worker_ids, ["w", "celery@one"], "it is told once who has begun");
    let asked = case.workers.asked.load(Ordering::SeqCst);
    assert!((10..25).contains(&asked), "pauses grow: {asked}");
    case.send(Envelope { callback_url: None, ..Case::task() }).await;
    assert_eq!((case.workers.taken(), case.told.len()), (1, 0), "a twin goes, and is not handed over");

    case.workers.leave([done()]);
    case.work_for(LIMIT).await;
    let ended = case.result().await;
    assert_eq!((ended.status, ended.return_value.get(), ended.attempts), (Status::Successful, r#"{"n":7}"#, 1));
    assert!(case.waiting.is_empty(), "nothing asks any more");
    assert!(!case.told.is_empty() && case.told.iter().all(|told| told.id == case.told[0].id), "two that asked tell one end");
    let body: serde_json::Value = serde_json::from_str(case.told[0].payload()).unwrap();
    assert_eq!((&body["url"], &body["body"]["return_value"]["n"]), (&json!("https://example.com/hook"), &json!(7)));
    assert_eq!(case.followed.0.lock().unwrap()[0], r#"after a SUCCESSFUL: {"n":7}"#);
    assert_eq!((case.workers.taken(), case.world.buried().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_their_code_raised_is_its_failure_and_their_silence_ends_it_as_unknown() {
    let mut case = Case::new();
    let raised = TaskError { exception_class_path: "shop.NoStock".to_owned(), traceback: "Traceback …".to_owned() };
    case.workers.leave([waits(), Left::Told(Ok(WorkerResult::Failed(raised.clone())))]);
    case.send(Case::task()).await;
    case.work_for(LIMIT).await;
    let failed = case.result().await;
    assert_eq!((failed.status, failed.errors, case.told.len()), (Status::Failed, vec![raised], 1));

    let mut case = Case::new();
    case.send(Case::task()).await;
    case.work_for(LIMIT - Duration::from_secs(5)).await;
    assert_eq!(case.status().await, Status::Running);
    case.work_for(Duration::from_secs(5)).await;
    let unknown = case.result().await;
    assert_eq!((unknown.status, unknown.errors[0].exception_class_path.as_str()), (Status::Failed, "errand.outcome_unknown"));
    assert_eq!(unknown.errors[0].traceback, "it was handed to workers, and no result was read within 3600 seconds");
    assert_eq!((case.told.len(), case.workers.taken(), case.waiting.len()), (1, 1, 0));
    let asked = case.workers.asked.load(Ordering::SeqCst);
    assert!(asked < 45, "{asked}");
}

#[tokio::test(start_paused = true)]
async fn what_they_left_is_asked_for_until_it_can_be_read() {
    let mut case = Case::new();
    let failed = |error: fn(String) -> PublishError| Left::Told(Err(error("x".to_owned())));
    case.workers.leave([failed(PublishError::Unavailable), failed(PublishError::Misconfigured), Left::Hangs, Left::Panics, done()]);
    case.send(Case::task()).await;
    case.work_for(LIMIT).await;
    assert_eq!((case.status().await, case.workers.asked.load(Ordering::SeqCst)), (Status::Successful, 5));
    assert_eq!(case.world.seen.take().iter().filter(|event| event.starts_with("NotTold")).count(), 4);

    let mut case = Case::new();
    case.workers.leave([Left::Told(Ok(WorkerResult::Succeeded(json!("x".repeat(TaskResult::VALUE_LIMIT)).into())))]);
    case.send(Case::task()).await;
    case.work_for(LIMIT).await;
    let ended = case.result().await;
    assert_eq!((ended.status, ended.return_value), (Status::Successful, Json::default()), "what no record can hold is left out");

    // A transport that the settings name no more.
    let mut case = Case::new();
    case.send(Case::task()).await;
    case.world.engine.registry = errand_core::Registry::default();
    case.work_for(LIMIT).await;
    assert_eq!(case.result().await.errors[0].exception_class_path, "errand.outcome_unknown");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_ask_the_hand_over_ends_it() {
    let mut case = Case::new();
    let bulk = Envelope { task: "any".to_owned(), ..bulk("a", "any", &["1", "2"]) };
    case.send(Envelope { backend: Some("workers".to_owned()), destination: Some("mail".to_owned()), ..bulk }).await;
    let ended = case.result().await;
    assert_eq!((ended.status, ended.return_value.get()), (Status::Successful, r#"[{"message_id":"m-1"},{"message_id":"m-1"}]"#));
    assert!(case.waiting.is_empty());
    let mut case = Case::new();
    case.world.engine.store = None;
    case.send(Case::task()).await;
    assert!(case.waiting.is_empty() && case.told[0].payload().contains(r#""return_value":{"message_id":"m-1"}"#));
}

#[tokio::test(start_paused = true)]
async fn what_a_route_or_the_end_of_a_list_hands_on_is_asked_for_there() {
    let mut case = Case::new();
    let legs = Legs::default();
    let env: Environment = [("ERRAND_ROUTES", r#"{"act":[{"leg":"first","does":"down"},{"transport":"workers","destination":"mail"}]}"#)]
        .into_iter()
        .collect();
    case.world.engine.registry.add_runner::<Legs>(&env, &Init::default().with(legs.clone())).unwrap();
    case.world.engine.registry.read_routes(&env).unwrap();
    case.workers.leave([done()]);
    case.send(envelope("a", "ok")).await;
    assert_eq!((legs.called("first"), case.status().await), (1, Status::Running));
    case.work_for(LIMIT).await;
    assert_eq!((case.workers.taken(), case.status().await), (1, Status::Successful));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_the_queue_would_forget_goes_on_as_a_new_message() {
    let case = Case::new();
    case.comes(record(Case::task()), 1).await;
    let asking = case.dying.home.envelopes.lock().unwrap().remove(0);
    let mut old = record(asking.clone());
    old.message.sent_at = Some(START);
    tokio::time::sleep(LIMIT / 2).await;
    let mut world = case.world;
    world.engine.policy.retention = LIMIT / 2;
    let case = Case { world, ..case };
    assert_eq!(case.comes(old, 9).await, Some(Verdict::Acknowledge));
    let again = case.dying.home.envelopes.lock().unwrap().remove(0);
    assert_eq!((again.id, FollowUp::of(&asking)), (asking.id.clone(), FollowUp::of(&Envelope { kwargs: again.kwargs, ..asking })));
}

#[tokio::test(start_paused = true)]
async fn a_question_about_what_was_not_handed_over_ends_by_itself_and_a_later_attempt_is_not_its_business() {
    let mut case = Case::new();
    case.send(Case::task()).await;
    let (_, _, asking) = case.waiting.remove(0);
    let other = Case::new();
    let follow_up = FollowUp::of(&asking).unwrap();
    let unheard = Case { waiting: vec![(START, 0, follow_up.message(&Case::task()))], ..other };
    let mut unheard = unheard;
    unheard.work_for(Duration::from_secs(14 * 60)).await;
    assert_eq!(unheard.waiting.len(), 1, "it may not be noted yet");
    unheard.work_for(Duration::from_secs(10 * 60)).await;
    assert_eq!((unheard.waiting.len(), unheard.workers.asked.load(Ordering::SeqCst)), (0, 0));

    // Given up, replayed and handed on again: the first question has nothing to say of the second attempt.
    case.waiting.push((case.world.engine.clock.now(), 0, asking.clone()));
    case.work_for(LIMIT).await;
    let now = case.world.engine.clock.now();
    assert!(matches!(case.world.store.reopen(&Case::task(), now).await, Ok(Change::Changed(_))));
    case.workers.leave([done()]);
    case.waiting.push((now, 0, asking.clone()));
    case.work_for(Duration::from_secs(1)).await;
    assert_eq!((case.status().await, case.waiting.len()), (Status::Ready, 0));
    case.send(Case::task()).await;
    case.waiting.push((now, 0, asking));
    let before = case.workers.asked.load(Ordering::SeqCst);
    case.work_for(Duration::ZERO).await;
    assert_eq!((case.status().await, case.workers.asked.load(Ordering::SeqCst)), (Status::Running, before));
    case.work_for(LIMIT).await;
    assert_eq!((case.status().await, case.result().await.attempts), (Status::Successful, 2));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_noted_or_sent_is_made_up_for() {
    // The store is down when the workers have it.
    let mut case = Case::new();
    case.workers.leave([done()]);
    case.world.store.finish_down.store(true, Ordering::SeqCst);
    case.send(Case::task()).await;
    case.work_for(Duration::from_secs(20)).await;
    case.world.store.finish_down.store(false, Ordering::SeqCst);
    case.work_for(LIMIT).await;
    assert_eq!((case.workers.taken(), case.status().await, case.told.len()), (1, Status::Successful, 1));

    // The own queue is down.
    let mut case = Case::new();
    case.workers.leave([done()]);
    case.dying.home.down.store(true, Ordering::SeqCst);
    case.send(Case::task()).await;
    assert_eq!((case.status().await, case.waiting[0].2.id.as_str()), (Status::Running, "a"), "its message stays for it");
    case.work_for(Duration::from_secs(60)).await;
    case.dying.home.down.store(false, Ordering::SeqCst);
    case.work_for(LIMIT).await;
    assert_eq!((case.workers.taken(), case.status().await, case.told.len(), case.waiting.len()), (1, Status::Successful, 1, 0));
}

/// The process ends at each of its steps, one after the other: whatever was done by then, the task ends once, with what its workers left, and that is told.
#[tokio::test(start_paused = true)]
async fn whenever_the_process_dies_the_task_ends_as_its_workers_say() {
    let mut handed_over = Vec::new();
    for step in 1.. {
        let mut case = Case::ending_at(step);
        case.workers.leave([waits(), done()]);
        case.send(Case::task()).await;
        case.work_for(LIMIT * 2).await;
        let ended = case.result().await;
        assert_eq!((ended.status, ended.return_value.get()), (Status::Successful, r#"{"n":7}"#), "step {step}");
        assert!(case.waiting.is_empty() && !case.told.is_empty() && !case.followed.0.lock().unwrap().is_empty(), "step {step}");
        assert!(case.told.iter().all(|told| told.id == case.told[0].id), "step {step}: it is told once");
        handed_over.push(case.workers.taken());
        if case.dying.fuse.steps.load(Ordering::SeqCst) < step {
            break;
        }
    }
    assert!(handed_over.len() > 20, "{handed_over:?}");
    // Their word was not had, or had and not written: only there is it handed over again.
    let twice: Vec<usize> = handed_over.iter().enumerate().filter(|(_, times)| **times > 1).map(|(step, _)| step + 1).collect();
    assert_eq!(twice, [4, 5], "{handed_over:?}");
}
