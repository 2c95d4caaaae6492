//! What others' messages ask of the engine: several envelopes in one, and what follows on a task.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use errand_core::{
    BODY_LIMIT, DeliveryError, Dispatch, Envelope, ErrorKind, FollowUps, ForeignMessage, ForeignResult, Forward, Init, NoOptions,
    OptionError, PublishError, Published, ResultBackend, Sender, Status, TaskResult, Transport, TransportLimits,
};
use errand_engine::{Received, Sequel};
use world::*;

/// Keeps what it is given, unless it is down or does not know the queue.
#[derive(Clone, Default)]
struct Elsewhere {
    envelopes: Arc<Mutex<Vec<Envelope>>>,
    messages: Arc<Mutex<Vec<String>>>,
    results: Arc<Mutex<Vec<String>>>,
    down: Arc<AtomicBool>,
    unknown: Arc<AtomicBool>,
}

impl Elsewhere {
    fn answer(&self) -> Result<(), PublishError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(PublishError::Unavailable("down".to_owned()));
        }
        if self.unknown.load(Ordering::SeqCst) { Err(PublishError::Refused("there is no queue of this name".to_owned())) } else { Ok(()) }
    }

    fn sent(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }

    fn kept(&self) -> Vec<String> {
        self.results.lock().unwrap().clone()
    }
}

impl Transport for Elsewhere {
    const BACKEND: &'static str = "elsewhere";
    type Options = NoOptions;

    fn new(_: &str, _: NoOptions, _: &Init) -> Result<Self, OptionError> {
        Ok(Self::default())
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::from_secs(900), bytes: BODY_LIMIT }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        let answer = self.answer();
        if answer.is_ok() {
            self.envelopes.lock().unwrap().extend_from_slice(envelopes);
        }
        envelopes.iter().map(|_| answer.clone().map(|()| Published::default())).collect()
    }

    async fn check(&self) -> Result<(), PublishError> {
        self.answer()
    }
}

impl Forward for Elsewhere {
    async fn forward(&self, message: &ForeignMessage) -> Result<(), PublishError> {
        self.answer().map(|()| self.messages.lock().unwrap().push(message.id.clone()))
    }
}

impl ResultBackend for Elsewhere {
    async fn keep(&self, result: &ForeignResult) -> Result<(), PublishError> {
        self.answer().map(|()| self.results.lock().unwrap().push(format!("{} {}", result.key, result.value)))
    }
}

fn follow_ups(envelope: &Envelope, result: &TaskResult) -> FollowUps {
    let message = ForeignMessage { id: format!("after-{}", envelope.id), queue: "q".to_owned(), group: None, body: String::new() };
    let result = ForeignResult { key: envelope.id.clone(), value: result.status.to_string() };
    FollowUps { messages: vec![message], result: Some(result) }
}

fn with_sequel() -> (World, Elsewhere) {
    let (mut world, elsewhere) = (World::new(), Elsewhere::default());
    let results = Some(Arc::new(elsewhere.clone()) as _);
    world.engine.sequel = Some(Sequel { follow_ups, forward: Arc::new(elsewhere.clone()), results });
    (world, elsewhere)
}

fn followed(id: &str, script: &str) -> Envelope {
    let mut envelope = envelope(id, script);
    envelope.context.follow_ups = true;
    envelope
}

fn with_dispatch() -> (World, Elsewhere) {
    let (mut world, elsewhere) = (World::new(), Elsewhere::default());
    world.engine.dispatch = Some(Dispatch::of("elsewhere", Arc::new(elsewhere.clone())));
    (world, elsewhere)
}

#[tokio::test(start_paused = true)]
async fn what_follows_is_done_however_a_task_ends_and_only_where_it_is_wanted() {
    let (world, elsewhere) = with_sequel();
    let batch =
        vec![record(followed("a", "ok")), record(followed("b", "reject")), record(envelope("c", "ok")), record(followed("d", "throttle"))];
    assert_eq!(world.run(batch).await, ["d"], "what is to be tried again has not ended");
    let mut sent = elsewhere.sent();
    sent.sort();
    assert_eq!(sent, ["after-a", "after-b"]);
    let mut kept = elsewhere.kept();
    kept.sort();
    assert_eq!(kept, ["a SUCCESSFUL", "b FAILED"]);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_follow_does_so_when_the_message_comes_again_and_the_task_is_not_done_again() {
    let (world, elsewhere) = with_sequel();
    elsewhere.down.store(true, Ordering::SeqCst);
    assert_eq!(world.run(vec![record(followed("a", "ok"))]).await, ["a"]);
    assert_eq!((world.status("a").await, world.delivered()), (Some(Status::Successful), vec!["a".to_owned()]));
    elsewhere.down.store(false, Ordering::SeqCst);
    assert!(world.run(vec![record(followed("a", "ok"))]).await.is_empty());
    assert_eq!((elsewhere.sent(), elsewhere.kept()), (vec!["after-a".to_owned()], vec!["a SUCCESSFUL".to_owned()]));
    assert_eq!(world.delivered(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_arguments_has_what_follows_sent_and_one_with_others_has_not() {
    let (world, elsewhere) = with_sequel();
    elsewhere.down.store(true, Ordering::SeqCst);
    let followed = |script: &str| Envelope { fingerprint: None, ..followed("a", script) };
    assert_eq!(world.run(vec![record(followed("ok"))]).await, ["a"]);
    elsewhere.down.store(false, Ordering::SeqCst);
    assert!(world.run(vec![record(followed("other"))]).await.is_empty());
    assert_eq!(elsewhere.sent(), Vec::<String>::new(), "it is not its task that has ended");
    assert!(world.run(vec![record(Envelope { kwargs: None, ..followed("ok") })]).await.is_empty());
    assert_eq!((elsewhere.sent(), world.delivered()), (vec!["after-a".to_owned()], vec!["a".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn what_can_never_follow_is_a_dead_letter_before_the_queue_forgets_it() {
    let (world, elsewhere) = with_sequel();
    elsewhere.unknown.store(true, Ordering::SeqCst);
    let mut late = record(followed("a", "ok"));
    late.message.sent_at = Some(errand_core::Timestamp::from_millis(0));
    assert!(world.run(vec![late]).await.is_empty());
    let buried = world.queue.buried.lock().unwrap();
    assert!(buried[0].1.reason.contains("it is done, and what follows could not be sent"), "{}", buried[0].1.reason);
}

#[tokio::test(start_paused = true)]
async fn without_a_store_nothing_is_done_twice_for_what_follows() {
    let (mut world, elsewhere) = with_sequel();
    world.engine.store = None;
    elsewhere.down.store(true, Ordering::SeqCst);
    assert!(world.run(vec![record(followed("a", "ok"))]).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_envelope_of_a_message_goes_its_own_way() {
    let (world, elsewhere) = with_dispatch();
    let several = || Received { message: message("m"), work: Ok(vec![envelope("a", "ok"), envelope("b", "reject")]) };
    elsewhere.down.store(true, Ordering::SeqCst);
    assert_eq!(world.run(vec![several(), say("c", "ok")]).await, ["m"], "what could not be sent stays, and the rest of the batch goes on");
    elsewhere.down.store(false, Ordering::SeqCst);
    assert!(world.run(vec![in_lane(several(), "lane")]).await.is_empty());
    let sent: Vec<(String, Option<String>)> = elsewhere.envelopes.lock().unwrap().iter().map(|e| (e.id.clone(), e.group.clone())).collect();
    let lane = Some("lane".to_owned());
    assert_eq!(sent, [("a".to_owned(), lane.clone()), ("b".to_owned(), lane)], "a group's messages keep their order");
    assert_eq!(world.delivered(), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_asks_for_nothing_is_acknowledged() {
    let (world, _) = with_dispatch();
    assert!(world.run(vec![Received { message: message("m"), work: Ok(Vec::new()) }]).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_now_stays_and_what_never_can_is_a_dead_letter() {
    let world = World::new();
    let unread = |id: &str, kind| Received { message: message(id), work: Err(DeliveryError::new(kind, "S3 does not answer")) };
    let batch = vec![unread("a", ErrorKind::Unavailable), unread("b", ErrorKind::Malformed), unread("c", ErrorKind::Misconfigured)];
    assert_eq!(world.run(batch).await, ["a", "c"]);
    assert_eq!(world.buried(), [("b".to_owned(), ErrorKind::Malformed)]);
}

#[tokio::test(start_paused = true)]
async fn what_came_without_a_queue_goes_onto_one_until_its_time() {
    let (world, elsewhere) = with_dispatch();
    let direct = |envelope: Envelope| {
        let mut record = record(envelope);
        record.message.receipt = String::new();
        record
    };
    let early = Envelope { run_after: Some(world.engine.clock.now() + Duration::from_secs(3600)), ..envelope("early", "ok") };
    assert_eq!(world.run(vec![direct(early), direct(envelope("now", "ok")), direct(envelope("later", "throttle"))]).await, ["later"]);
    assert_eq!(elsewhere.envelopes.lock().unwrap()[0].id, "early");
    assert_eq!(world.delivered(), ["now"]);
    assert!(world.queue.hidden.lock().unwrap().is_empty(), "there is nothing to hide");
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_no_route_takes_is_a_dead_letter_at_once() {
    let world = World::new();
    let notice = |id: &str, task: &str| Envelope { task: task.to_owned(), sender: Sender::Sns, ..envelope(id, "ok") };
    let batch = vec![record(notice("alarm", "sns.alarms")), record(notice("known", "act"))];
    assert!(world.run(batch).await.is_empty(), "neither stays on the queue");
    assert_eq!(world.buried(), [("alarm".to_owned(), ErrorKind::Unrouted)]);
    assert_eq!(world.delivered(), ["known"]);
    let (world, elsewhere) = with_dispatch();
    let several = |id: &str, tasks: [&str; 2]| Received { work: Ok(tasks.map(|task| notice(id, task)).to_vec()), message: message(id) };
    let batch = vec![several("none", ["s3.ObjectCreated", "s3.ObjectCreated"]), several("one", ["s3.ObjectCreated", "act"])];
    assert!(world.run(batch).await.is_empty(), "neither stays on the queue");
    assert_eq!(world.buried(), [("none".to_owned(), ErrorKind::Unrouted)]);
    assert_eq!(elsewhere.envelopes.lock().unwrap().len(), 2, "what has one that is done is sent on");
    let asked = Envelope { task: "no.such.task".to_owned(), ..envelope("asked", "ok") };
    assert_eq!(world.run(vec![record(asked)]).await, ["asked"], "what somebody asks for waits for who can do it");
}
