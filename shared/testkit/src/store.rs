//! What every store must do. The checks use ids of their own, so that they can share a table with others.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use errand_core::{
    Begin, Change, Claim, Context, Envelope, ErrorKind, Filter, Finish, Json, Outcome, Places, Progress, Reason, Report, Status, Store,
    TaskError, TaskResult, Timestamp,
};
use serde_json::json;

use crate::{transport::envelope, written};

const LEASE: Duration = Duration::from_secs(60);

/// When failed attempts are to be followed by another.
const RETRY_AT: Timestamp = Timestamp::from_millis(1_900_000_000_123);

/// An id that no other check and no other run has.
fn id(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}-{}", Timestamp::now().millis(), std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

fn new(name: &str) -> Envelope {
    envelope(&id(name))
}

fn claim(envelope: &Envelope, now: Timestamp) -> Claim<'_> {
    Claim { envelope, now, lease_until: now + LEASE, worker: "worker", token: Some("token"), backend: "queue" }
}

fn error(text: &str) -> TaskError {
    TaskError { exception_class_path: "errand.unavailable".to_owned(), traceback: text.to_owned() }
}

async fn begin<S: Store>(store: &S, envelope: &Envelope, now: Timestamp) -> Begin {
    store.begin(&claim(envelope, now)).await.expect("the store answers")
}

async fn get<S: Store>(store: &S, id: &str) -> TaskResult {
    store.get(id).await.expect("the store answers").expect("the id is known").0
}

/// The envelope of an id, made again.
async fn again<S: Store>(store: &S, id: &str) -> Option<Envelope> {
    let (result, header) = store.get(id).await.expect("the store answers")?;
    header.envelope(&result)
}

fn claimed(attempt: u32) -> Begin {
    Begin::Claimed { attempt, tries: attempt, died: false, progress: Progress::default() }
}

fn gave_up(text: &str) -> Outcome {
    Outcome::Failed { errors: vec![error(text)], progress: Progress::default() }
}

fn failed(text: &str) -> Outcome {
    Outcome::Retry { error: Some(error(text)), progress: Progress::default(), counts: true, at: RETRY_AT }
}

/// Runs all checks.
///
/// # Panics
/// The store breaks the contract; the message says how.
pub async fn conformance<S: Store>(store: &S) {
    store.check().await.expect("the store answers");
    registering_is_for_ids_that_are_not_known(store).await;
    an_id_is_that_of_the_content_that_came_first(store).await;
    what_could_not_be_sent_is_told_and_not_in_the_way(store).await;
    what_was_said_is_kept(store).await;
    a_claim_excludes_others_until_its_lease_ends(store).await;
    a_stale_attempt_writes_nothing(store).await;
    a_failed_attempt_gives_the_claim_back(store).await;
    an_id_that_has_ended_stays_so(store).await;
    a_remote_worker_reports_with_its_token(store).await;
    what_waits_can_be_cancelled(store).await;
    what_waits_can_be_moved(store).await;
    what_was_given_up_can_be_reopened(store).await;
    a_record_tells_what_is_run_and_what_that_replaced(store).await;
    what_is_said_beside_the_content_is_told(store).await;
    what_was_delivered_of_it_stays_known_when_it_is_given_up(store).await;
    an_envelope_can_be_made_again(store).await;
    of_many_that_claim_one_wins(store).await;
    failures_are_kept_up_to_a_number(store).await;
    lists_are_complete_and_newest_first(store).await;
    lists_tell_what_was_asked_for(store).await;
}

async fn registering_is_for_ids_that_are_not_known<S: Store>(store: &S) {
    let (envelope, now) = (new("register"), Timestamp::now());
    assert_eq!(store.get(&envelope.id).await, Ok(None), "what nobody registered is not known");
    store.register(&envelope, Status::Scheduled, "sqs", now).await.expect("the store answers");
    store.register(&envelope, Status::Ready, "other", now + LEASE).await.expect("an id that is known is no error");
    let known = get(store, &envelope.id).await;
    assert_eq!((known.status, known.backend.as_str(), known.enqueued_at, known.attempts), (Status::Scheduled, "sqs", now, 0));
    begin(store, &envelope, now).await;
    store.register(&envelope, Status::Ready, "sqs", now).await.expect("the store answers");
    assert_eq!(get(store, &envelope.id).await.status, Status::Running, "a record that is late does not go backwards");
}

fn other(envelope: &Envelope) -> Envelope {
    Envelope { kwargs: written::object().raw(), ..envelope.clone() }
}

async fn an_id_is_that_of_the_content_that_came_first<S: Store>(store: &S) {
    let (envelope, now) = (Envelope { args: written::array().raw(), ..new("content") }, Timestamp::now());
    assert_eq!(store.register(&envelope, Status::Scheduled, "sqs", now).await, Ok(None), "it was not known");
    let again = Envelope { run_after: Some(now + LEASE), queue: "fast".to_owned(), ..envelope.clone() };
    for content in [&again, &other(&envelope)] {
        let (known, header) =
            store.register(content, Status::Ready, "sqs", now).await.expect("the store answers").expect("the id is known");
        assert_eq!((known.status, known.run_after, known.queue.as_str()), (Status::Scheduled, None, "default"), "what was first stands");
        assert_eq!((header.is_of(content.content()), header.unsent), (content.args.is_some() && content.kwargs.is_none(), false));
    }
    let other = other(&envelope);
    assert_eq!(begin(store, &other, now).await, Begin::Other(Status::Scheduled));
    assert_eq!(begin(store, &again, now + LEASE).await, claimed(1), "when and how it is run is no content");
    assert_eq!(begin(store, &other, now + LEASE * 9).await, Begin::Other(Status::Running), "not when its lease has ended either");
    store.finish(&envelope.id, 1, &failed("one"), now).await.expect("the store answers");
    assert_eq!(begin(store, &other, now + LEASE).await, Begin::Other(Status::Ready));
    assert_eq!(begin(store, &envelope, now + LEASE).await, claimed(2));
    store.finish(&envelope.id, 2, &Outcome::Succeeded(Json::default()), now).await.expect("the store answers");
    assert_eq!(begin(store, &other, now + LEASE).await, Begin::Other(Status::Successful));

    let unknown = new("first");
    assert_eq!(begin(store, &unknown, now).await, claimed(1), "of what nobody registered, the first that is claimed");
    assert_eq!(begin(store, &self::other(&unknown), now).await, Begin::Other(Status::Running));
    let mut apart = Envelope { id: unknown.id.clone(), ..new("apart") };
    let _ = apart.check_in("soon/apart".to_owned());
    assert_eq!(begin(store, &apart, now).await, Begin::Held { until: now + LEASE }, "arguments that are stored apart are the same");
}

async fn what_could_not_be_sent_is_told_and_not_in_the_way<S: Store>(store: &S) {
    let (envelope, now) = (new("unsent"), Timestamp::now());
    store.sent(&envelope, Some(&error("nobody"))).await.expect("of what is not known nothing is noted");
    assert_eq!(store.get(&envelope.id).await, Ok(None));
    store.register(&envelope, Status::Ready, "sqs", now).await.expect("the store answers");
    store.sent(&other(&envelope), Some(&error("other"))).await.expect("the store answers");
    store.sent(&envelope, Some(&error("not sent"))).await.expect("the store answers");
    let known = async |content: &Envelope| {
        let known = store.register(content, Status::Ready, "sqs", now + LEASE).await.expect("the store answers");
        known.map(|(task, header)| (task.enqueued_at, task.errors, header.unsent, header.claim_check))
    };
    assert_eq!(known(&envelope).await, Some((now, vec![error("not sent")], true, None)));
    let mut apart = envelope.clone();
    let _ = apart.check_in("soon/apart".to_owned());
    store.sent(&apart, None).await.expect("the store answers");
    assert_eq!(known(&envelope).await, Some((now, vec![error("not sent")], false, Some("soon/apart".to_owned()))));
    store.sent(&envelope, Some(&error("again"))).await.expect("the store answers");
    assert_eq!(known(&other(&envelope)).await, None, "other content is registered in its place");
    assert_eq!(begin(store, &envelope, now + LEASE).await, Begin::Other(Status::Ready), "and is the one that is run");
    let other = other(&envelope);
    store.sent(&other, Some(&error("it seemed so"))).await.expect("the store answers");
    assert_eq!(begin(store, &other, now + LEASE).await, claimed(1));
    store.sent(&other, Some(&error("late"))).await.expect("the store answers");
    let (task, header) = store.get(&envelope.id).await.expect("the store answers").expect("the id is known");
    assert_eq!((task.status, task.errors, header.unsent), (Status::Running, vec![error("it seemed so")], false), "it was sent after all");
}

async fn what_was_said_is_kept<S: Store>(store: &S) {
    let now = Timestamp::from_millis(1_800_000_000_123);
    let (args, kwargs) = (written::array(), written::object());
    let full = Envelope { args: args.raw(), kwargs: kwargs.raw(), run_after: Some(now + LEASE), ..new("full") };
    store.register(&full, Status::Scheduled, "sqs", now).await.expect("the store answers");
    assert_eq!(get(store, &full.id).await, TaskResult::new(&full, Status::Scheduled, "sqs", now));
    begin(store, &full, now + LEASE).await;
    let value = written::object();
    assert_eq!(store.finish(&full.id, 1, &Outcome::Succeeded(value.clone()), now + LEASE).await, Ok(Finish::Recorded));
    let done = get(store, &full.id).await;
    assert_eq!((done.args, done.kwargs, done.return_value, done.run_after), (args, kwargs, value, Some(now + LEASE)));
    assert_eq!(
        (done.enqueued_at, done.started_at, done.last_attempted_at, done.finished_at),
        (now, Some(now + LEASE), Some(now + LEASE), Some(now + LEASE))
    );
    assert_eq!((done.worker_ids, done.errors), (vec!["worker".to_owned()], Vec::new()));

    let plain = new("plain");
    begin(store, &Envelope { args: None, kwargs: None, ..plain.clone() }, now).await;
    let plain = get(store, &plain.id).await;
    assert_eq!((plain.args.get(), plain.kwargs.get()), ("[]", "{}"), "none are none, and not unknown");
    let large = Envelope { kwargs: Json::from(json!({ "a": "x".repeat(TaskResult::ARGUMENTS_LIMIT) })).raw(), ..new("large") };
    begin(store, &large, now).await;
    assert!(get(store, &large.id).await.kwargs.is_null(), "arguments over the limit are not kept");
}

async fn a_claim_excludes_others_until_its_lease_ends<S: Store>(store: &S) {
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

async fn a_stale_attempt_writes_nothing<S: Store>(store: &S) {
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

async fn a_failed_attempt_gives_the_claim_back<S: Store>(store: &S) {
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

async fn an_id_that_has_ended_stays_so<S: Store>(store: &S) {
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

async fn a_remote_worker_reports_with_its_token<S: Store>(store: &S) {
    let (envelope, now) = (new("report"), Timestamp::now());
    let started = Outcome::Started { worker: "remote".to_owned() };
    let report = async |token, outcome: &Outcome| store.report(&envelope.id, token, outcome, now).await.expect("the store answers");
    assert_eq!(report("token", &started).await, Report::Unknown, "nobody was given it");
    begin(store, &envelope, now).await;
    let until = now + LEASE * 10;
    assert_eq!(store.finish(&envelope.id, 1, &Outcome::Handed { until }, now).await, Ok(Finish::Recorded));
    assert_eq!(begin(store, &envelope, now + LEASE * 2).await, Begin::Held { until }, "it is the remote worker's");
    assert_eq!(report("other", &started).await, Report::Unknown);
    let Report::Recorded(running) = report("token", &started).await else { panic!("a report with the token is noted") };
    assert_eq!(
        (running.status, running.worker_ids, running.finished_at),
        (Status::Running, vec!["worker".to_owned(), "remote".to_owned()], None)
    );
    let Report::Recorded(done) = report("token", &Outcome::Succeeded(json!({ "n": 1 }).into())).await else { panic!("the end is noted") };
    assert_eq!((done.status, &done.return_value, done.finished_at), (Status::Successful, &json!({ "n": 1 }).into(), Some(now)));
    for late in [started, gave_up("late"), Outcome::Succeeded(json!(2).into())] {
        assert_eq!(report("token", &late).await, Report::Ended(done.clone()), "nothing goes backwards");
    }
    assert_eq!(report("other", &Outcome::Expired).await, Report::Unknown, "nothing is told to who has no token");
    assert_eq!(get(store, &envelope.id).await, done);

    let failed = new("reported");
    begin(store, &failed, now).await;
    let errors = vec![error("one"), error("two")];
    let told = store.report(&failed.id, "token", &Outcome::Failed { errors: errors.clone(), progress: Progress::default() }, now).await;
    assert!(matches!(told, Ok(Report::Recorded(task)) if task.errors == errors && task.status == Status::Failed));
}

async fn what_waits_can_be_cancelled<S: Store>(store: &S) {
    let now = Timestamp::now();
    assert_eq!(store.cancel(&id("nobody"), now).await, Ok(Change::Unknown));
    for status in [Status::Ready, Status::Scheduled] {
        let envelope = new("cancel");
        store.register(&envelope, status, "sqs", now).await.expect("the store answers");
        let Ok(Change::Changed(cancelled)) = store.cancel(&envelope.id, now).await else {
            panic!("a task that is {status} can be cancelled")
        };
        assert_eq!((cancelled.status, cancelled.finished_at), (Status::Cancelled, Some(now)));
        assert_eq!(begin(store, &envelope, now).await, Begin::Ended(Status::Cancelled));
        assert!(matches!(store.cancel(&envelope.id, now).await, Ok(Change::Refused(task)) if task.status == Status::Cancelled));
    }
    let running = new("running");
    begin(store, &running, now).await;
    assert!(matches!(store.cancel(&running.id, now).await, Ok(Change::Refused(task)) if task.status == Status::Running));
    assert!(matches!(store.cancel(&running.id, now + LEASE).await, Ok(Change::Changed(_))), "an attempt that died holds nothing");
    assert_eq!(store.finish(&running.id, 1, &Outcome::Succeeded(Json::default()), now + LEASE).await, Ok(Finish::Stale));
}

async fn what_waits_can_be_moved<S: Store>(store: &S) {
    let now = Timestamp::now();
    assert_eq!(store.reschedule(&id("nobody"), now, now).await, Ok(Change::Unknown));
    let envelope = Envelope { run_after: Some(now), ..new("move") };
    store.register(&envelope, Status::Ready, "sqs", now).await.expect("the store answers");
    let Ok(Change::Changed(moved)) = store.reschedule(&envelope.id, now + LEASE, now).await else { panic!("what waits can be moved") };
    assert_eq!((moved.status, moved.run_after), (Status::Scheduled, Some(now + LEASE)));
    assert_eq!(begin(store, &envelope, now).await, Begin::Moved { until: now + LEASE }, "a message that comes for the old time");
    let earlier = store.reschedule(&envelope.id, now, now).await;
    assert!(matches!(earlier, Ok(Change::Changed(task)) if (task.status, task.run_after) == (Status::Ready, Some(now))));
    assert_eq!(begin(store, &envelope, now).await, claimed(1));
    assert!(matches!(store.reschedule(&envelope.id, now + LEASE, now).await, Ok(Change::Refused(task)) if task.status == Status::Running));
    store.finish(&envelope.id, 1, &failed("one"), now).await.expect("the store answers");
    assert!(matches!(store.reschedule(&envelope.id, now + LEASE, now).await, Ok(Change::Changed(_))), "also between attempts");
    assert_eq!(begin(store, &envelope, now + LEASE).await, claimed(2));
    store.finish(&envelope.id, 2, &Outcome::Succeeded(Json::default()), now + LEASE).await.expect("the store answers");
    let late = store.reschedule(&envelope.id, now + LEASE * 2, now + LEASE).await;
    assert!(matches!(late, Ok(Change::Refused(task)) if task.status == Status::Successful));
}

async fn what_was_given_up_can_be_reopened<S: Store>(store: &S) {
    let now = Timestamp::now();
    assert_eq!(store.reopen(&new("nobody"), now).await, Ok(Change::Unknown));
    let envelope = new("reopen");
    for attempt in 1..=3 {
        assert_eq!(begin(store, &envelope, now).await, claimed(attempt));
        let outcome = if attempt == 3 { gave_up("last") } else { failed("one") };
        store.finish(&envelope.id, attempt, &outcome, now).await.expect("the store answers");
    }
    let Ok(Change::Changed(open)) = store.reopen(&envelope, now).await else { panic!("what was given up can be reopened") };
    assert_eq!((open.status, open.finished_at, open.attempts, open.errors.len()), (Status::Ready, None, 3, 3));
    assert!(matches!(store.reopen(&envelope, now).await, Ok(Change::Refused(task)) if task.status == Status::Ready));
    let fourth = Begin::Claimed { attempt: 4, tries: 1, died: false, progress: Progress::default() };
    assert_eq!(begin(store, &envelope, now).await, fourth, "with all its attempts ahead, and a fence that is new");
    assert_eq!(store.finish(&envelope.id, 1, &Outcome::Succeeded(Json::default()), now).await, Ok(Finish::Stale));
    store.finish(&envelope.id, 4, &Outcome::Succeeded(Json::default()), now).await.expect("the store answers");
    assert!(matches!(store.reopen(&envelope, now).await, Ok(Change::Refused(task)) if task.status == Status::Successful));
}

async fn a_record_tells_what_is_run_and_what_that_replaced<S: Store>(store: &S) {
    let (now, bulk) = (Timestamp::from_millis(1_800_000_000_123), Context { bulk: true, ..Context::default() });
    let list = |payloads: &[&str]| Json::parse(format!("[{}]", payloads.join(",")).as_bytes()).and_then(|json| json.raw());
    let first = Envelope { kwargs: list(&["1e400", r#"{"n": 2}"#, "3"]), context: bulk, user: Some("u".to_owned()), ..new("replace") };
    begin(store, &first, now).await;
    let progress = Progress { delivered: [0, 1].into_iter().collect(), ..Progress::default() };
    store.finish(&first.id, 1, &Outcome::Failed { errors: vec![error("last")], progress }, now).await.expect("the store answers");
    let same = Envelope { max_attempts: Some(9), ..first.clone() };
    let Ok(Change::Changed(task)) = store.reopen(&same, now).await else { panic!("what was given up can be reopened") };
    assert_eq!((task.max_attempts, task.replaced.len(), task.user.as_deref()), (Some(9), 0, Some("u")));
    let context = Context::of(Json::from(json!({ "bulk": true, "by": "me" })).raw().expect("an object"));
    let second = Envelope { task: "other".to_owned(), kwargs: list(&["1e400", "2", "3"]), context, ..first.clone() };
    assert!(matches!(store.reopen(&second, now).await, Ok(Change::Changed(_))), "also while it waits");
    let (task, header) = store.get(&first.id).await.expect("the store answers").expect("the id is known");
    assert_eq!((task.task.as_str(), task.kwargs.get(), task.status), ("other", "[1e400,2,3]", Status::Ready));
    assert!(header.is_of(second.content()) && header.context.get() == r#"{"bulk":true,"by":"me"}"#);
    let replaced = &task.replaced[0];
    assert_eq!((replaced.replaced_at, replaced.task.as_str(), replaced.args.get()), (now, "email", "[]"));
    assert_eq!((replaced.kwargs.get(), replaced.context.get()), (r#"[1e400,{"n": 2},3]"#, "null"));
    assert_eq!(begin(store, &first, now).await, Begin::Other(Status::Ready), "a message with what was replaced does nothing");
    let delivered = Progress { delivered: [0].into_iter().collect(), ..Progress::default() };
    let again = Begin::Claimed { attempt: 2, tries: 1, died: false, progress: delivered };
    assert_eq!(begin(store, &second, now).await, again, "what stands as it did is not done twice");
    assert!(matches!(store.reopen(&first, now).await, Ok(Change::Refused(_))), "what is running is not changed");
    let mut attempt = 2;
    for n in 0..4 {
        store.finish(&first.id, attempt, &gave_up("last"), now).await.expect("the store answers");
        let size = if n == 3 { TaskResult::ARGUMENTS_LIMIT } else { 10 };
        let next = Envelope { kwargs: list(&[&"9".repeat(size)]), ..second.clone() };
        assert!(matches!(store.reopen(&next, now).await, Ok(Change::Changed(_))));
        assert!(matches!(begin(store, &next, now).await, Begin::Claimed { .. }));
        attempt += 1;
        if n < 3 {
            let other = Envelope { kwargs: list(&[&n.to_string()]), ..second.clone() };
            store.finish(&first.id, attempt, &gave_up("last"), now).await.expect("the store answers");
            assert!(matches!(store.reopen(&other, now).await, Ok(Change::Changed(_))));
            assert!(matches!(begin(store, &other, now).await, Begin::Claimed { .. }));
            attempt += 1;
        }
    }
    let kept = get(store, &first.id).await.replaced;
    assert_eq!(kept.len(), TaskResult::REPLACED_LIMIT);
    assert_eq!(kept[2].kwargs.get(), "[2]", "the last ones are kept");
}

async fn what_is_said_beside_the_content_is_told<S: Store>(store: &S) {
    let now = Timestamp::from_millis(1_800_000_000_123);
    let some = |text: &str| Some(text.to_owned());
    let envelope = Envelope {
        queue: "fast".to_owned(),
        user: some("u"),
        notification_id: some("n"),
        group: some("g"),
        expires: Some(now + LEASE),
        max_attempts: Some(7),
        callback_url: some("https://example.com"),
        trace: some("t"),
        ..new("told")
    };
    begin(store, &envelope, now).await;
    let told = get(store, &envelope.id).await;
    assert_eq!((told.queue.as_str(), &told.user, &told.notification_id, &told.group), ("fast", &some("u"), &some("n"), &some("g")));
    assert_eq!(
        (told.expires, told.max_attempts, &told.callback_url, &told.trace),
        (Some(now + LEASE), Some(7), &envelope.callback_url, &some("t"))
    );
    let next = async || get(store, &envelope.id).await.next_attempt_at;
    assert_eq!(next().await, None);
    store.finish(&envelope.id, 1, &failed("one"), now).await.expect("the store answers");
    assert_eq!(next().await, Some(RETRY_AT));
    begin(store, &envelope, now).await;
    assert_eq!(next().await, None, "it is under way");
    store.finish(&envelope.id, 2, &failed("two"), now).await.expect("the store answers");
    store.reschedule(&envelope.id, now + LEASE, now).await.expect("the store answers");
    assert_eq!(next().await, None, "it is run when it was moved to");
    begin(store, &envelope, now + LEASE).await;
    store.finish(&envelope.id, 3, &failed("three"), now).await.expect("the store answers");
    store.cancel(&envelope.id, now).await.expect("the store answers");
    assert_eq!(next().await, None, "it is not run any more");
}

async fn what_was_delivered_of_it_stays_known_when_it_is_given_up<S: Store>(store: &S) {
    let (envelope, now) = (new("partly"), Timestamp::now());
    begin(store, &envelope, now).await;
    let places = |place: usize| [place].into_iter().collect::<Places>();
    let progress = Progress { delivered: places(0), refused: places(1), legs: [(2, 1)].into(), ..Progress::default() };
    let given_up = Outcome::Failed { errors: vec![error("last")], progress };
    assert_eq!(store.finish(&envelope.id, 1, &given_up, now).await, Ok(Finish::Recorded));
    assert!(matches!(store.reopen(&envelope, now).await, Ok(Change::Changed(_))));
    let again = Begin::Claimed { attempt: 2, tries: 1, died: false, progress: Progress { delivered: places(0), ..Progress::default() } };
    assert_eq!(begin(store, &envelope, now).await, again, "it is not done twice, and all else is tried anew");
}

async fn an_envelope_can_be_made_again<S: Store>(store: &S) {
    let now = Timestamp::from_millis(1_800_000_000_123);
    assert!(again(store, &id("nobody")).await.is_none());
    let raw = |text: &str| Json::parse(text.as_bytes()).and_then(|json| json.raw());
    let context = raw(&format!(r#"{{"bulk":true,"z":{}}}"#, written::array().get()));
    let full = Envelope {
        args: written::array().raw(),
        kwargs: raw(&format!("[{}]", written::object().get())),
        queue: "fast".to_owned(),
        run_after: Some(now),
        expires: Some(now + LEASE),
        max_attempts: Some(3),
        callback_url: Some("https://example.com".to_owned()),
        group: Some("g".to_owned()),
        notification_id: Some("n".to_owned()),
        user: Some("u".to_owned()),
        context: Context { bulk: true, follow_ups: false, json: context },
        trace: Some("t".to_owned()),
        ..new("again")
    };
    for envelope in [full, Envelope { args: raw("[]"), kwargs: raw("{}"), ..new("plain") }] {
        store.register(&envelope, Status::Ready, "sqs", now).await.expect("the store answers");
        let again = again(store, &envelope.id).await.expect("its arguments are small enough");
        let facts = |envelope: &Envelope| {
            let texts =
                [&envelope.callback_url, &envelope.group, &envelope.notification_id, &envelope.user, &envelope.trace].map(Clone::clone);
            let json =
                [&envelope.args, &envelope.kwargs, &envelope.context.json].map(|json| json.as_ref().map(|json| json.get().to_owned()));
            let times = (envelope.run_after, envelope.expires, envelope.max_attempts, envelope.context.bulk);
            (envelope.id.clone(), envelope.task.clone(), envelope.queue.clone(), texts, json, times)
        };
        assert_eq!(facts(&again), facts(&envelope));
    }
    let large = Envelope { kwargs: Json::from(json!({ "a": "x".repeat(TaskResult::ARGUMENTS_LIMIT) })).raw(), ..new("large") };
    let context = Context::of(Json::from(json!({ "a": "x".repeat(TaskResult::ARGUMENTS_LIMIT) })).raw().expect("an object"));
    for large in [large, Envelope { context, ..new("context") }] {
        store.register(&large, Status::Ready, "sqs", now).await.expect("the store answers");
        assert!(again(store, &large.id).await.is_none(), "of what is not kept no envelope is made");
        assert_eq!(begin(store, &large, now).await, claimed(1), "it is run all the same");
    }
}

async fn of_many_that_claim_one_wins<S: Store>(store: &S) {
    let (envelope, now) = (new("race"), Timestamp::now());
    let claims: Vec<Claim<'_>> = (0..20).map(|_| claim(&envelope, now)).collect();
    let answers = futures_util::future::join_all(claims.iter().map(|claim| store.begin(claim))).await;
    let won = answers.iter().filter(|answer| **answer == Ok(claimed(1))).count();
    let held = answers.iter().filter(|answer| **answer == Ok(Begin::Held { until: now + LEASE })).count();
    assert_eq!((won, held), (1, 19), "{answers:?}");
}

async fn failures_are_kept_up_to_a_number<S: Store>(store: &S) {
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

async fn lists_are_complete_and_newest_first<S: Store>(store: &S) {
    // A task's name of its own tells this run's records from all others.
    let (task, now) = (id("list"), Timestamp::now());
    let mut wanted = Vec::new();
    for i in 0..25 {
        let envelope = Envelope { task: task.clone(), ..new("listed") };
        // Several of the same millisecond.
        store.register(&envelope, Status::Ready, "sqs", now + Duration::from_millis(i / 5)).await.expect("the store answers");
        if i % 3 == 0 {
            store.cancel(&envelope.id, now).await.expect("the store answers");
        }
        wanted.push((now + Duration::from_millis(i / 5), envelope.id, i % 3 == 0));
    }
    wanted.sort_by(|a, b| (b.0, &b.1).cmp(&(a.0, &a.1)));
    let all = pages(store, Filter { task: Some(task.clone()), limit: 4, ..Filter::default() }).await;
    assert_eq!(all, wanted.iter().map(|(_, id, _)| id.clone()).collect::<Vec<_>>());
    let cancelled = pages(store, Filter { task: Some(task), status: Some(Status::Cancelled), limit: 4, ..Filter::default() }).await;
    assert_eq!(cancelled, wanted.iter().filter(|(_, _, cancelled)| *cancelled).map(|(_, id, _)| id.clone()).collect::<Vec<_>>());
}

async fn lists_tell_what_was_asked_for<S: Store>(store: &S) {
    let (task, now) = (id("filter"), Timestamp::now());
    let at = |i: u64| now + Duration::from_millis(i);
    let text = |i: u64, one: &str, other: &str| Some(if i < 2 { one } else { other }.to_owned());
    let mut ids = Vec::new();
    for i in 0..4 {
        let envelope = Envelope {
            task: task.clone(),
            queue: if i == 3 { "fast" } else { "default" }.to_owned(),
            user: text(i, "ann", "bob"),
            notification_id: text(i, "n1", "n2").filter(|_| i > 0),
            ..new("filtered")
        };
        store.register(&envelope, Status::Ready, "sqs", at(i)).await.expect("the store answers");
        ids.push(envelope.id);
    }
    let all = || Filter { task: Some(task.clone()), limit: 1, ..Filter::default() };
    let some = |text: &str| Some(text.to_owned());
    let table = [
        (Filter { queue: some("default"), ..all() }, vec![2, 1, 0]),
        (Filter { queue: some("fast"), ..all() }, vec![3]),
        (Filter { user: some("ann"), ..all() }, vec![1, 0]),
        (Filter { user: some("nobody"), ..all() }, vec![]),
        (Filter { notification_id: some("n1"), ..all() }, vec![1]),
        (Filter { notification_id: some("n2"), user: some("bob"), ..all() }, vec![3, 2]),
        (Filter { since: Some(at(1)), ..all() }, vec![3, 2, 1]),
        (Filter { until: Some(at(2)), ..all() }, vec![1, 0]),
        (Filter { since: Some(at(1)), until: Some(at(3)), ..all() }, vec![2, 1]),
        (Filter { since: Some(at(3)), until: Some(at(1)), ..all() }, vec![]),
        (Filter { since: Some(at(1)), cursor: Some(String::new()), ..all() }, vec![]),
    ];
    for (filter, wanted) in table {
        let wanted: Vec<&String> = wanted.into_iter().map(|i: usize| &ids[i]).collect();
        assert_eq!(pages(store, filter.clone()).await.iter().collect::<Vec<_>>(), wanted, "{filter:?}");
    }
}

/// The ids on all pages of a list.
async fn pages<S: Store>(store: &S, mut filter: Filter) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let page = store.list(&filter).await.expect("the store answers");
        assert!(page.results.len() <= filter.limit, "a page is not larger than asked for");
        ids.extend(page.results.into_iter().map(|result| result.id));
        match page.cursor {
            Some(cursor) => filter.cursor = Some(cursor),
            None => return ids,
        }
    }
}
