//! Attempts: who has an id, and how that ends.

use errand_core::{
    Begin, Change, Claim, Claims, Context, Envelope, ErrorKind, Finish, Json, Outcome, Places, Progress, Reason, Results, Status,
    TaskResult, Timestamp,
};
use serde_json::json;

use super::{LEASE, RETRY_AT, begin, claim, claimed, error, failed, gave_up, get, id, new, other};

pub(super) async fn conformance<S: Claims + Results>(store: &S) {
    a_claim_excludes_others_until_its_lease_ends(store).await;
    a_stale_attempt_writes_nothing(store).await;
    a_failed_attempt_gives_the_claim_back(store).await;
    what_can_never_be_done_is_claimed_and_ended_in_one_write(store).await;
    an_id_that_has_ended_stays_so(store).await;
    of_many_that_claim_one_wins(store).await;
    failures_are_kept_up_to_a_number(store).await;
}

async fn a_claim_excludes_others_until_its_lease_ends<S: Claims + Results>(store: &S) {
    let (envelope, now) = (new("lease"), Timestamp::now());
    assert_eq!(begin(store, &envelope, now).await, claimed(1), "an id that is not known is claimed");
    let running = get(store, &envelope.id).await;
    assert_eq!((running.status, running.attempts, running.backend.as_str()), (Status::Running, 1, "queue"));
    assert_eq!(begin(store, &envelope, now + LEASE / 2).await, Begin::Held { until: now + LEASE });
    let again = Begin::Claimed { attempt: 2, tries: 2, died: true, progress: Progress::default() };
    assert_eq!(begin(store, &envelope, now + LEASE).await, again, "a lease that has ended holds nothing");
    let again = get(store, &envelope.id).await;
    assert_eq!((again.started_at, again.last_attempted_at), (Some(now), Some(now + LEASE)));
}

async fn a_stale_attempt_writes_nothing<S: Claims + Results>(store: &S) {
    let (envelope, now) = (new("stale"), Timestamp::now());
    begin(store, &envelope, now).await;
    begin(store, &envelope, now + LEASE).await;
    let before = get(store, &envelope.id).await;
    assert_eq!(store.finish(&envelope.id, 1, &gave_up("old"), now + LEASE).await, Ok(Finish::Stale));
    assert_eq!(get(store, &envelope.id).await, before);
    assert_eq!(store.finish(&envelope.id, 2, &Outcome::Succeeded(Json::default()), now + LEASE).await, Ok(Finish::Recorded));
    assert_eq!(store.finish(&envelope.id, 2, &Outcome::Expired, now + LEASE).await, Ok(Finish::Stale), "an attempt ends once");
    assert_eq!(store.finish(&id("nobody"), 1, &Outcome::Expired, now).await, Ok(Finish::Stale));
}

async fn a_failed_attempt_gives_the_claim_back<S: Claims + Results>(store: &S) {
    let bulk = Context { bulk: true, ..Context::default() };
    let (envelope, now) = (Envelope { context: bulk, ..new("retry") }, Timestamp::now());
    begin(store, &envelope, now).await;
    let places = |places: &[usize]| places.iter().copied().collect::<Places>();
    let progress = Progress {
        delivered: places(&[0, 1, 2, 9]),
        refused: places(&[3]),
        failed: places(&[5, 6]),
        legs: [(4, 1)].into(),
        refusal: Some(Reason { kind: ErrorKind::Rejected, message: "HTTP 400".to_owned() }),
        failure: Some(Reason { kind: ErrorKind::RateLimited, message: "HTTP 429".to_owned() }),
        rounds: 2,
        parts: [(7, Progress { delivered: places(&[0, 3]), failed: places(&[1]), ..Progress::default() })].into(),
    };
    let retry = Outcome::Retry { error: Some(error("one")), progress: progress.clone(), counts: true, at: RETRY_AT };
    assert_eq!(store.finish(&envelope.id, 1, &retry, now).await, Ok(Finish::Recorded));
    let waiting = get(store, &envelope.id).await;
    assert_eq!((waiting.status, waiting.errors, waiting.finished_at), (Status::Ready, vec![error("one")], None));
    let again = |attempt, tries, progress: &Progress| Begin::Claimed { attempt, tries, died: false, progress: progress.clone() };
    assert_eq!(begin(store, &envelope, now).await, again(2, 2, &progress), "at once, and knowing how far it has come");
    let further = Progress { delivered: places(&[0, 2]), ..Progress::default() };
    let spared = Outcome::Retry { error: None, progress: further.clone(), counts: false, at: RETRY_AT };
    assert_eq!(store.finish(&envelope.id, 2, &spared, now).await, Ok(Finish::Recorded));
    assert_eq!(begin(store, &envelope, now).await, again(3, 2, &further), "an attempt that was spared does not count");
    assert_eq!(get(store, &envelope.id).await.errors, [error("one")], "what did not fail tells no failure");
}

async fn an_id_that_has_ended_stays_so<S: Claims + Results>(store: &S) {
    let now = Timestamp::now();
    let ends =
        [(Outcome::Succeeded(json!(1).into()), Status::Successful), (gave_up("last"), Status::Failed), (Outcome::Expired, Status::Expired)];
    for (outcome, status) in ends {
        let envelope = new("end");
        begin(store, &envelope, now).await;
        store.finish(&envelope.id, 1, &outcome, now + LEASE).await.expect("the store answers");
        assert_eq!(begin(store, &envelope, now + LEASE * 9).await, Begin::Ended(status));
        let ended = get(store, &envelope.id).await;
        assert_eq!((ended.status, ended.attempts, ended.finished_at), (status, 1, Some(now + LEASE)));
    }
}

async fn of_many_that_claim_one_wins<S: Claims + Results>(store: &S) {
    let (envelope, now) = (new("race"), Timestamp::now());
    let claims: Vec<Claim<'_>> = (0..20).map(|_| claim(&envelope, now)).collect();
    let answers = futures_util::future::join_all(claims.iter().map(|claim| store.begin(claim))).await;
    let won = answers.iter().filter(|answer| **answer == Ok(claimed(1))).count();
    let held = answers.iter().filter(|answer| **answer == Ok(Begin::Held { until: now + LEASE })).count();
    assert_eq!((won, held), (1, 19), "{answers:?}");
}

async fn failures_are_kept_up_to_a_number<S: Claims + Results>(store: &S) {
    let (envelope, now) = (new("failures"), Timestamp::now());
    for attempt in 1..=12 {
        assert_eq!(begin(store, &envelope, now).await, claimed(attempt));
        assert_eq!(store.finish(&envelope.id, attempt, &failed(&attempt.to_string()), now).await, Ok(Finish::Recorded));
    }
    let failed = get(store, &envelope.id).await;
    let kept: Vec<&str> = failed.errors.iter().map(|error| error.traceback.as_str()).collect();
    assert_eq!(kept, ["3", "4", "5", "6", "7", "8", "9", "10", "11", "12"], "the last ones are kept");
    assert_eq!((failed.attempts, failed.worker_ids.len()), (12, TaskResult::ERRORS_LIMIT));
}

async fn what_can_never_be_done_is_claimed_and_ended_in_one_write<S: Claims + Results>(store: &S) {
    let now = Timestamp::now();
    let refuse = async |envelope: &Envelope, now| store.refuse(&claim(envelope, now), &error("bad")).await.expect("the store answers");
    let (unknown, registered) = (new("refused"), new("refused"));
    store.register(&registered, Status::Ready, "sqs", now).await.expect("the store answers");
    for (envelope, backend) in [(&unknown, "queue"), (&registered, "sqs")] {
        let twin = Envelope { id: id("as-two-writes"), ..envelope.clone() };
        if backend == "sqs" {
            store.register(&twin, Status::Ready, "sqs", now).await.expect("the store answers");
        }
        assert_eq!(refuse(envelope, now + LEASE).await, Finish::Recorded);
        assert_eq!(begin(store, &twin, now + LEASE).await, claimed(1));
        store.finish(&twin.id, 1, &gave_up("bad"), now + LEASE).await.expect("the store answers");
        let (refused, as_two) = (get(store, &envelope.id).await, get(store, &twin.id).await);
        assert_eq!(refused, TaskResult { id: envelope.id.clone(), ..as_two }, "the same as a claim and its end");
        assert_eq!((refused.status, refused.attempts, refused.finished_at), (Status::Failed, 1, Some(now + LEASE)));
        assert_eq!(begin(store, envelope, now + LEASE).await, Begin::Ended(Status::Failed));
        assert_eq!(refuse(envelope, now + LEASE).await, Finish::Stale, "it ends once");
        assert!(matches!(store.reopen(envelope, now).await, Ok(Change::Changed(_))));
        assert_eq!(refuse(envelope, now + LEASE).await, Finish::Stale, "it was attempted before");
        assert_eq!(get(store, &envelope.id).await.status, Status::Ready);
    }
    let (running, moved, content) = (new("running"), new("moved"), new("content"));
    begin(store, &running, now).await;
    for waits in [&moved, &content] {
        store.register(waits, Status::Ready, "sqs", now).await.expect("the store answers");
    }
    assert!(matches!(store.reschedule(&moved.id, now + LEASE * 2, now).await, Ok(Change::Changed(_))));
    for (in_the_way, status) in [(&running, Status::Running), (&moved, Status::Scheduled), (&other(&content), Status::Ready)] {
        assert_eq!(refuse(in_the_way, now + LEASE).await, Finish::Stale);
        assert_eq!(get(store, &in_the_way.id).await.status, status);
    }
}
