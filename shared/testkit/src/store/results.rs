//! What is asked and changed by calls.

use std::time::Duration;

use errand_core::{
    Begin, Change, Claims, Context, Envelope, Filter, Finish, Json, Outcome, Places, Progress, Report, Results, Status, TaskResult,
    Timestamp,
};
use serde_json::json;

use super::{LEASE, begin, claimed, error, failed, gave_up, get, id, new};

pub(super) async fn conformance<S: Claims + Results>(store: &S) {
    a_remote_worker_reports_with_its_token(store).await;
    what_waits_can_be_cancelled(store).await;
    what_waits_can_be_moved(store).await;
    what_was_given_up_can_be_reopened(store).await;
    a_record_tells_what_is_run_and_what_that_replaced(store).await;
    what_was_delivered_of_it_stays_known_when_it_is_given_up(store).await;
    lists_are_complete_and_newest_first(store).await;
    lists_tell_what_was_asked_for(store).await;
}

async fn a_remote_worker_reports_with_its_token<S: Claims + Results>(store: &S) {
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

async fn what_waits_can_be_cancelled<S: Claims + Results>(store: &S) {
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

async fn what_waits_can_be_moved<S: Claims + Results>(store: &S) {
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

async fn what_was_given_up_can_be_reopened<S: Claims + Results>(store: &S) {
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

async fn a_record_tells_what_is_run_and_what_that_replaced<S: Claims + Results>(store: &S) {
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

async fn what_was_delivered_of_it_stays_known_when_it_is_given_up<S: Claims + Results>(store: &S) {
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

async fn lists_are_complete_and_newest_first<S: Claims + Results>(store: &S) {
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

async fn lists_tell_what_was_asked_for<S: Claims + Results>(store: &S) {
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
async fn pages<S: Claims + Results>(store: &S, mut filter: Filter) -> Vec<String> {
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
