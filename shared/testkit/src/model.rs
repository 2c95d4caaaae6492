//! A store held against another one that is taken for right: the same random operations have the same answers. The rules of a store stand in each store in its
//! own language, and most faults are in what no one thought of trying.

use std::time::Duration;

use errand_core::{Claim, Claims, Envelope, Filter, HandedOn, Json, Outcome, Progress, Results, Status, TaskError, Timestamp};
use fastrand::Rng;
use serde_json::json;

use crate::{transport::envelope, written};

/// So few ids that operations meet.
const IDS: usize = 3;

/// Runs `steps` random operations on both, and compares each answer and what is then known. A seed gives the same operations again.
///
/// # Panics
/// The answers differ; the message has the seed and all operations on that id before.
pub async fn check<M: Claims + Results, S: Claims + Results>(model: &M, store: &S, seed: u64, steps: usize) {
    let (mut dice, run) = (Rng::with_seed(seed), format!("model-{seed}-{}", Timestamp::now().millis()));
    let mut now = Timestamp::now();
    let mut before: Vec<Vec<String>> = vec![Vec::new(); IDS];
    for _ in 0..steps {
        now = now + Duration::from_millis(dice.u64(1..30_000));
        let place = dice.usize(..IDS);
        let operation = Operation::random(&mut dice, &format!("{run}-{place}"), &run, now);
        before[place].push(format!("{now} {operation:?}"));
        let (wanted, answer) = (operation.run(model, now).await, operation.run(store, now).await);
        let told = || format!("seed {seed}, after\n{}", before[place].join("\n"));
        assert_eq!(answer, wanted, "another answer: {}", told());
        let id = &operation.envelope.id;
        let (wanted, known) = (model.get(id).await, store.get(id).await);
        assert_eq!(known, wanted, "another record: {}", told());
    }
    let filter = Filter { user: Some(run), limit: IDS, ..Filter::default() };
    let ids = |page: errand_core::Page| page.results.into_iter().map(|result| result.id).collect::<Vec<_>>();
    let wanted = ids(model.list(&filter).await.expect("the model answers"));
    let mut listed = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.list(&Filter { cursor, ..filter.clone() }).await.expect("the store answers");
        cursor = page.cursor.clone();
        listed.extend(ids(page));
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, wanted, "another list: seed {seed}");
}

/// Something that is asked of a store about an envelope.
#[derive(Debug)]
struct Operation {
    kind: Kind,
    envelope: Envelope,
}

#[derive(Debug)]
enum Kind {
    Register(Status),
    Sent(Option<TaskError>),
    HandedOver(Outcome),
    Begin(Option<&'static str>),
    Refuse(TaskError),
    Finish(u32, Outcome),
    Report(&'static str, Outcome),
    Cancel,
    Move(Timestamp),
    Reopen,
}

const TOKENS: [&str; 2] = ["token-1", "token-2"];

impl Operation {
    fn random(dice: &mut Rng, id: &str, user: &str, now: Timestamp) -> Self {
        let soon = |dice: &mut Rng| now + Duration::from_millis(dice.u64(1..120_000));
        let content = if dice.u8(..4) == 0 { written::object() } else { json!({ "n": 1 }).into() };
        let run_after = dice.bool().then(|| soon(dice));
        let envelope = Envelope { kwargs: content.raw(), run_after, user: Some(user.to_owned()), ..envelope(id) };
        let kind = match dice.u8(..21) {
            0..=2 => Kind::Register(if run_after.is_some() { Status::Scheduled } else { Status::Ready }),
            3 => Kind::Sent(dice.bool().then(|| error(dice))),
            4 => Kind::Refuse(error(dice)),
            5..=8 => Kind::Begin(dice.bool().then(|| TOKENS[dice.usize(..2)])),
            9..=13 => Kind::Finish(dice.u32(1..4), outcome(dice, now)),
            14 => Kind::Report(TOKENS[dice.usize(..2)], reported(dice)),
            15 => Kind::Cancel,
            16 | 17 => Kind::Move(soon(dice)),
            18 => Kind::HandedOver(if dice.bool() { handed_on(now) } else { Outcome::Succeeded(json!({ "message_id": 7 }).into()) }),
            _ => Kind::Reopen,
        };
        Self { kind, envelope }
    }

    /// The answer as text: those of two stores are compared.
    async fn run<S: Claims + Results>(&self, store: &S, now: Timestamp) -> String {
        let Self { kind, envelope } = self;
        let id = &envelope.id;
        match kind {
            Kind::Register(status) => told(&store.register(envelope, *status, "sqs", now).await),
            Kind::Sent(failed) => told(&store.sent(envelope, failed.as_ref()).await),
            Kind::Begin(token) => {
                let lease_until = now + Duration::from_secs(60);
                told(&store.begin(&Claim { envelope, now, lease_until, worker: "worker", token: *token, backend: "sqs" }).await)
            }
            Kind::Refuse(error) => {
                let claim = Claim { envelope, now, lease_until: now, worker: "worker", token: None, backend: "sqs" };
                told(&store.refuse(&claim, error).await)
            }
            Kind::HandedOver(outcome) => {
                let claim = Claim { envelope, now, lease_until: now, worker: "enqueue", token: None, backend: "partner" };
                told(&store.handed_over(&claim, outcome).await)
            }
            Kind::Finish(attempt, outcome) => told(&store.finish(id, *attempt, outcome, now).await),
            Kind::Report(token, outcome) => told(&store.report(id, token, outcome, now).await),
            Kind::Cancel => told(&store.cancel(id, now).await),
            Kind::Move(run_after) => told(&store.reschedule(id, *run_after, now).await),
            Kind::Reopen => told(&store.reopen(envelope, now).await),
        }
    }
}

fn told(answer: &impl std::fmt::Debug) -> String {
    format!("{answer:#?}")
}

fn error(dice: &mut Rng) -> TaskError {
    TaskError::new("errand.unavailable", &format!("failure {}", dice.u8(..100)))
}

fn progress(dice: &mut Rng) -> Progress {
    Progress { delivered: (0..dice.usize(..3)).collect(), ..Progress::default() }
}

fn outcome(dice: &mut Rng, now: Timestamp) -> Outcome {
    match dice.u8(..7) {
        0 => Outcome::Succeeded(json!({ "value": dice.u8(..) }).into()),
        1 => Outcome::Failed { errors: vec![error(dice)], progress: progress(dice) },
        2 => Outcome::Expired,
        3 => Outcome::Handed { until: now + Duration::from_secs(60) },
        4 => handed_on(now),
        _ => {
            let error = dice.bool().then(|| error(dice));
            Outcome::Retry { error, progress: progress(dice), counts: dice.bool(), at: now + Duration::from_secs(5) }
        }
    }
}

fn handed_on(now: Timestamp) -> Outcome {
    Outcome::HandedOn(HandedOn::now("workers".to_owned(), Some("mail".to_owned()), Duration::from_secs(60), now))
}

fn reported(dice: &mut Rng) -> Outcome {
    match dice.u8(..3) {
        0 => Outcome::Started { worker: "remote".to_owned() },
        1 => Outcome::Succeeded(Json::default()),
        _ => Outcome::Failed { errors: vec![error(dice)], progress: Progress::default() },
    }
}
