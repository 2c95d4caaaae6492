//! Attempts: who has an id, and how that ends.

use errand_core::{
    Begin, Change, Claim, Claims, Context, Envelope, ErrorKind, Finish, HandedOn, Json, Outcome, Places, Progress, Reason, Results, Status,
    TaskResult, Timestamp,
};
use serde_json::json;

use super::{LEASE, RETRY_AT, begin, claim, claimed, error, failed, gave_up, get, id, new, other};

pub(super) async fn conformance<S: Claims + Results>(store: &S) {
    a_claim_excludes_others_until_its_lease_ends(store).await;
    a_stale_attempt_writes_nothing(store).await;
    a_failed_attempt_gives_the_claim_back(store).await;
    what_can_never_be_done_is_claimed_and_ended_in_one_write(store).await;
    what_other_peoples_workers_have_nobody_else_gets(store).await;
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

async fn what_other_peoples_workers_have_nobody_else_gets<S: Claims + Results>(store: &S) {
    let now = Timestamp::now();
    let to = HandedOn::now("workers".to_owned(), Some("mail".to_owned()), LEASE * 9, now);
    let (claimed_first, at_once, unregistered) = (new("handed-on"), new("handed-on"), new("handed-on"));
    begin(store, &claimed_first, now).await;
    assert_eq!(store.finish(&claimed_first.id, 1, &Outcome::HandedOn(to.clone()), now).await, Ok(Finish::Recorded));
    store.register(&at_once, Status::Ready, "workers", now).await.expect("the store answers");
    for envelope in [&at_once, &unregistered] {
        assert_eq!(store.handed_over(&claim(envelope, now), &Outcome::HandedOn(to.clone())).await, Ok(Finish::Recorded));
    }
    for envelope in [&claimed_first, &at_once, &unregistered] {
        let (task, header) = store.get(&envelope.id).await.expect("the store answers").expect("the id is known");
        assert_eq!((task.status, task.attempts, &header.handed_on), (Status::Running, 1, &Some(to.clone())));
        let late = now + LEASE * 99;
        assert_eq!(begin(store, envelope, late).await, Begin::HandedOn { attempt: 1, to: to.clone() }, "no lease of theirs ends");
        assert_eq!(begin(store, &other(envelope), late).await, Begin::Other(Status::Running));
        assert_eq!(store.handed_over(&claim(envelope, late), &Outcome::Succeeded(Json::default())).await, Ok(Finish::Stale));
        let running = |change| matches!(change, Ok(Change::Refused(task)) if task.status == Status::Running);
        assert!(running(store.cancel(&envelope.id, late).await));
        assert!(running(store.reschedule(&envelope.id, late, late).await));
        assert!(running(store.reopen(&other(envelope), late).await));
        let begun = Outcome::Started { worker: "theirs".to_owned() };
        assert_eq!(store.finish(&envelope.id, 1, &begun, late).await, Ok(Finish::Recorded));
        assert_eq!(store.finish(&envelope.id, 1, &gave_up("theirs"), late).await, Ok(Finish::Recorded));
        let ended = get(store, &envelope.id).await;
        assert_eq!((ended.status, ended.worker_ids.last().map(String::as_str)), (Status::Failed, Some("theirs")));
        assert_eq!(begin(store, envelope, late).await, Begin::Ended(Status::Failed));
        assert!(matches!(store.reopen(envelope, late).await, Ok(Change::Changed(_))), "it is replayed as any");
        let again = Begin::Claimed { attempt: 2, tries: 1, died: false, progress: Progress::default() };
        assert_eq!(begin(store, envelope, late).await, again);
        assert_eq!(store.get(&envelope.id).await.expect("the store answers").expect("the id is known").1.handed_on, None);
    }
    let (done, tried, moved) = (new("handed-over"), new("handed-over"), new("handed-over"));
    let value: Json = json!({ "message_id": "7" }).into();
    let hand_over = async |envelope: &Envelope| store.handed_over(&claim(envelope, now), &Outcome::Succeeded(value.clone())).await;
    assert_eq!(hand_over(&done).await, Ok(Finish::Recorded));
    let ended = get(store, &done.id).await;
    assert_eq!((ended.status, ended.return_value, ended.finished_at, ended.attempts), (Status::Successful, value.clone(), Some(now), 1));
    begin(store, &tried, now).await;
    store.finish(&tried.id, 1, &failed("one"), now).await.expect("the store answers");
    store.register(&moved, Status::Ready, "workers", now).await.expect("the store answers");
    assert!(matches!(store.reschedule(&moved.id, now + LEASE, now).await, Ok(Change::Changed(_))));
    for (in_the_way, status) in [(&done, Status::Successful), (&tried, Status::Ready), (&moved, Status::Scheduled)] {
        assert_eq!(hand_over(in_the_way).await, Ok(Finish::Stale));
        assert_eq!(get(store, &in_the_way.id).await.status, status);
    }
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
