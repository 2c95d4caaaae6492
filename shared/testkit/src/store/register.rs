//! What is registered, and what is then told of it.

use errand_core::{Begin, Claims, Context, Envelope, Finish, Json, Outcome, Results, Status, TaskResult, Timestamp};
use serde_json::json;

use super::{LEASE, RETRY_AT, begin, claimed, error, failed, get, id, new, other};
use crate::written;

pub(super) async fn conformance<S: Claims + Results>(store: &S) {
    registering_is_for_ids_that_are_not_known(store).await;
    an_id_is_that_of_the_content_that_came_first(store).await;
    what_could_not_be_sent_is_told_and_not_in_the_way(store).await;
    what_was_said_is_kept(store).await;
    what_is_said_beside_the_content_is_told(store).await;
    an_envelope_can_be_made_again(store).await;
}

async fn registering_is_for_ids_that_are_not_known<S: Claims + Results>(store: &S) {
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

async fn an_id_is_that_of_the_content_that_came_first<S: Claims + Results>(store: &S) {
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
    assert_eq!(begin(store, &super::other(&unknown), now).await, Begin::Other(Status::Running));
    let mut apart = Envelope { id: unknown.id.clone(), ..new("apart") };
    let _ = apart.check_in("soon/apart".to_owned());
    assert_eq!(begin(store, &apart, now).await, Begin::Held { until: now + LEASE }, "arguments that are stored apart are the same");
}

async fn what_could_not_be_sent_is_told_and_not_in_the_way<S: Claims + Results>(store: &S) {
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

async fn what_was_said_is_kept<S: Claims + Results>(store: &S) {
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

async fn what_is_said_beside_the_content_is_told<S: Claims + Results>(store: &S) {
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

async fn an_envelope_can_be_made_again<S: Claims + Results>(store: &S) {
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

/// The envelope of an id, made again.
async fn again<S: Claims + Results>(store: &S, id: &str) -> Option<Envelope> {
    let (result, header) = store.get(id).await.expect("the store answers")?;
    header.envelope(&result)
}
