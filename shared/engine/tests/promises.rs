//! The engine's promises, each provoked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use errand_core::{Begin, Claim, Claims, DeadLetter, Envelope, ErrorKind, Lookup, Objects, Progress, Register, Results, Status};
use errand_engine::{Received, Unknown};
use world::*;

#[tokio::test(start_paused = true)]
async fn one_bad_message_never_fails_its_batch() {
    let world = World::new();
    let mut unknown = envelope("unknown", "x");
    unknown.task = "no.such.task".to_owned();
    let mut wrong = envelope("wrong", "x");
    wrong.kwargs = None;
    let batch = vec![
        say("a", "ok"),
        poison("poison"),
        say("panic", "panic"),
        say("hang", "hang"),
        record(unknown),
        record(wrong),
        say("reject", "reject"),
        say("b", "ok"),
    ];
    assert_eq!(world.run(batch).await, ["hang", "panic", "unknown"]);
    assert_eq!(world.delivered(), ["a", "b"]);
    let mut buried = world.buried();
    buried.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        buried,
        [
            ("poison".to_owned(), ErrorKind::Malformed),
            ("reject".to_owned(), ErrorKind::Rejected),
            ("wrong".to_owned(), ErrorKind::InvalidPayload)
        ]
    );
    let errors = |result: errand_core::TaskResult| result.errors[0].exception_class_path.clone();
    assert_eq!(errors(world.store.get("hang").await.unwrap().unwrap().0), "errand.timeout");
    assert_eq!(errors(world.store.get("panic").await.unwrap().unwrap().0), "errand.panicked");
    assert_eq!(errors(world.store.get("unknown").await.unwrap().unwrap().0), "errand.unknown_provider");
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_nothing_but_poison_and_an_empty_batch_are_answered() {
    let world = World::new();
    assert!(world.run(vec![poison("1"), poison("2")]).await.is_empty());
    assert!(world.run(Vec::new()).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_acknowledged_that_could_not_be_buried() {
    let world = World::with(TestQueue { broken: true, ..TestQueue::default() });
    assert_eq!(world.run(vec![poison("poison"), say("reject", "reject")]).await, ["poison", "reject"]);
    assert_eq!(world.status("reject").await, Some(Status::Ready), "the claim is given back");
}

#[tokio::test(start_paused = true)]
async fn an_id_is_delivered_once_however_often_its_message_comes() {
    let world = World::new();
    let twin = |message_id: &str| Received { message: message(message_id), work: Ok(vec![envelope("same", "ok")]) };
    let kept = world.run(vec![twin("m1"), twin("m2"), twin("m3")]).await;
    assert_eq!(kept.len(), 2, "twins of a live lease go back to the queue");
    assert!(world.run(vec![twin("m2"), twin("m3")]).await.is_empty(), "and are acknowledged when it is done");
    assert_eq!(world.delivered(), ["same"]);
}

#[tokio::test(start_paused = true)]
async fn a_twin_waits_for_the_end_of_the_lease_and_a_dead_twins_lease_expires() {
    let world = World::new();
    let dead = envelope("a", "ok");
    let claim =
        Claim { envelope: &dead, now: START, lease_until: START + Duration::from_secs(60), worker: "dead", token: None, backend: "test" };
    assert_eq!(world.store.begin(&claim).await, Ok(Begin::Claimed { attempt: 1, tries: 1, died: false, progress: Progress::default() }));
    assert_eq!(world.run(vec![say("a", "ok")]).await, ["a"]);
    assert_eq!(world.hidden("a"), Some(Duration::from_secs(60)));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(world.run(vec![say("a", "ok")]).await.is_empty());
    assert_eq!(world.delivered(), ["a"]);
    assert_eq!(world.store.get("a").await.unwrap().unwrap().0.attempts, 2);
}

/// An attempt that begins, and of which nothing is heard until its lease is over.
async fn dies(world: &World, envelope: &Envelope) {
    let now = world.engine.clock.now();
    let claim = Claim { envelope, now, lease_until: now + Duration::from_secs(1), worker: "dead", token: None, backend: "test" };
    assert!(matches!(world.store.begin(&claim).await, Ok(Begin::Claimed { .. })));
    tokio::time::advance(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn every_attempt_that_died_counts_and_the_last_is_a_dead_letter() {
    let world = World::new();
    let mut doomed = envelope("a", "ok");
    doomed.max_attempts = Some(2);
    for _ in 0..2 {
        dies(&world, &doomed).await;
    }
    assert!(world.run(vec![record(doomed)]).await.is_empty());
    assert_eq!(world.buried(), [("a".to_owned(), ErrorKind::Crashed)]);
    assert_eq!(world.queue.buried.lock().unwrap()[0].1.attempts, 2);
    assert!(world.delivered().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wait_grows_with_what_failed_and_not_with_attempts_that_died() {
    let world = World::new();
    let doomed = Envelope { max_attempts: Some(20), ..envelope("a", "fail") };
    for _ in 0..10 {
        dies(&world, &doomed).await;
    }
    for failures in 0..3 {
        assert_eq!(world.run(vec![record(doomed.clone())]).await, ["a"]);
        let wait = world.hidden("a").unwrap();
        assert!(wait <= world.engine.policy.retry_base * 2_u32.pow(failures), "{wait:?} after {failures} failures before");
        tokio::time::advance(wait).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_unclaimed_while_the_store_is_down() {
    let world = World::new();
    world.store.begin_down.store(true, Ordering::SeqCst);
    assert_eq!(world.run(vec![say("a", "ok")]).await, ["a"]);
    assert!(world.delivered().is_empty() && world.hidden("a").is_some());
    world.store.begin_down.store(false, Ordering::SeqCst);
    assert!(world.run(vec![say("a", "ok")]).await.is_empty());
    assert_eq!(world.delivered(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn retries_wait_hidden_and_the_services_own_delay_wins() {
    let world = World::new();
    assert_eq!(world.run(vec![say("throttle", "throttle"), say("fail", "fail")]).await, ["fail", "throttle"]);
    assert_eq!(world.hidden("throttle"), Some(Duration::from_secs(77)));
    assert!(world.hidden("fail").unwrap() <= Duration::from_secs(5));
    assert_eq!(world.status("fail").await, Some(Status::Ready), "the claim is given back");
}

#[tokio::test(start_paused = true)]
async fn what_fails_too_often_is_given_up_with_its_reason() {
    for world in [World::new(), World::without_store()] {
        for receive in 1..=6 {
            let mut record = say("a", "fail");
            record.message.receive_count = receive;
            assert_eq!(world.run(vec![record]).await.is_empty(), receive == 6, "receive {receive}");
        }
        let buried = world.queue.buried.lock().unwrap().clone();
        let letter = DeadLetter {
            kind: ErrorKind::Unavailable,
            reason: "HTTP 503".to_owned(),
            attempts: 6,
            id: Some("a".to_owned()),
            task: Some("act".to_owned()),
        };
        assert_eq!(buried, [("a".to_owned(), letter)]);
        if world.engine.store.is_some() {
            assert_eq!(world.status("a").await, Some(Status::Failed));
            assert!(world.run(vec![say("a", "ok")]).await.is_empty() && world.delivered().is_empty(), "a dead id stays dead");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_delivery_starts_that_may_not_end_in_time() {
    let (world, legs) = World::routed(r#"{"slow":{"leg":"a","timeout":10,"takes":9500}}"#).unwrap();
    let group = ["g1", "g2", "g3"].map(|id| in_lane(record(Envelope { task: "slow".to_owned(), ..envelope(id, "ok") }), "g"));
    assert_eq!(world.run(group.into()).await, ["g3"]);
    assert_eq!((world.hidden("g3"), world.status("g3").await), (Some(Duration::ZERO), None), "it is back at once and not counted");
    assert_eq!(legs.done(), ["g1", "g2"]);
    assert_eq!(world.run_for(vec![say("b", "ok")], Duration::ZERO).await, ["b"]);
    assert_eq!(world.run_for(vec![say("a", "ok")], Duration::from_secs(11)).await, ["a"]);
    assert!(world.hidden("a") >= Some(Duration::from_secs(1)), "where no invocation has the time for it, it does not come at once");
    assert!(world.delivered().is_empty());
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_a_batch_are_in_flight_together() {
    let world = World::new();
    let started = world.engine.clock.now();
    assert!(world.run((0..50).map(|i| say(&format!("{i}"), "ok")).collect()).await.is_empty());
    assert_eq!(world.engine.clock.now().since(started), Duration::from_millis(100));
    assert_eq!(world.actor.most_in_flight.load(Ordering::SeqCst), 50);
}

#[tokio::test(start_paused = true)]
async fn a_group_stops_at_its_first_message_that_stays_and_other_groups_go_on() {
    let world = World::new();
    let batch = ["a1 ok", "b1 ok", "a2 fail", "b2 reject", "a3 ok", "b3 ok", "a4 ok"];
    let records = batch.iter().map(|text| {
        let (id, script) = text.split_once(' ').unwrap();
        in_lane(say(id, script), &id[..1])
    });
    assert_eq!(world.run(records.collect()).await, ["a2", "a3", "a4"]);
    assert_eq!(*world.actor.delivered.lock().unwrap(), ["a1", "b1", "b3"], "a buried message lets its group go on");
    assert_eq!(world.hidden("a3"), Some(Duration::ZERO), "what waits behind it does not hold its group up any longer than it does");
}

#[tokio::test(start_paused = true)]
async fn early_messages_wait_and_late_ones_are_recorded_and_not_run() {
    let world = World::new();
    let mut early = envelope("early", "ok");
    early.run_after = Some(START + Duration::from_secs(90));
    let mut far = envelope("far", "ok");
    far.run_after = Some(START + Duration::from_secs(90_000));
    let mut late = envelope("late", "ok");
    late.expires = Some(START);
    assert_eq!(world.run(vec![record(early.clone()), record(far), record(late)]).await, ["early", "far"]);
    assert_eq!(world.hidden("early"), Some(Duration::from_secs(90)));
    assert_eq!(world.hidden("far"), Some(Duration::from_secs((12 * 60 - 15) * 60)), "no longer than a queue can hide it");
    assert_eq!(world.status("late").await, Some(Status::Expired));
    tokio::time::advance(Duration::from_secs(90)).await;
    assert!(world.run(vec![record(early)]).await.is_empty());
    assert_eq!(world.delivered(), ["early"]);
}

#[tokio::test(start_paused = true)]
async fn cancelled_ones_are_dropped() {
    let world = World::new();
    world.store.register(&envelope("a", "ok"), Status::Ready, "test", START).await.unwrap();
    world.store.cancel("a", START).await.unwrap();
    assert!(world.run(vec![say("a", "ok")]).await.is_empty());
    assert!(world.delivered().is_empty() && world.buried().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_recorded_delivers_nothing_twice() {
    let world = World::new();
    world.store.finish_down.store(true, Ordering::SeqCst);
    assert!(world.run(vec![say("a", "ok")]).await.is_empty(), "what was delivered is acknowledged");
    assert_eq!(world.run(vec![say("a", "ok")]).await, ["a"], "and a twin of it waits for the lease");
    assert_eq!(world.delivered(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_says_stop_is_left_alone_and_no_attempt_is_used_up() {
    let world = World::new();
    let stopped = |id: &str| record(Envelope { max_attempts: Some(1), ..envelope(id, "stop") });
    assert_eq!(world.run(vec![stopped("a")]).await, ["a"], "not given up, though it was its only attempt");
    let waited = world.hidden("a").unwrap();
    assert!(waited >= Duration::from_secs(60) && waited <= Duration::from_secs(75), "{waited:?}");
    assert_eq!(world.run(vec![say("b", "ok"), stopped("a")]).await, ["a", "b"], "its other messages wait");
    assert_eq!((world.delivered().len(), world.store.get("b").await.unwrap()), (0, None), "unclaimed");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(world.run(vec![stopped("a"), say("b", "ok")]).await, ["a", "b"], "one tries, and the other waits for what it finds");
    tokio::time::advance(Duration::from_secs(121)).await;
    assert!(world.run(vec![say("a", "ok")]).await.is_empty());
    assert!(world.run(vec![say("b", "ok")]).await.is_empty(), "one that is answered opens the way for all");
    assert_eq!(world.delivered(), ["a", "b"]);
    assert_eq!(world.store.get("a").await.unwrap().unwrap().0.attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_delivered_is_held_where_the_policy_says_so() {
    let mut world = World::new();
    assert_eq!(world.run(vec![say("again", "unknown")]).await, ["again"]);
    world.engine.policy.unknown = Unknown::Hold;
    assert!(world.run(vec![say("a", "unknown"), say("b", "hang"), say("c", "fail")]).await == ["c"]);
    let mut buried = world.buried();
    buried.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(buried, [("a".to_owned(), ErrorKind::OutcomeUnknown), ("b".to_owned(), ErrorKind::Timeout)]);
    let dead = envelope("died", "ok");
    dies(&world, &dead).await;
    assert!(world.run(vec![say("died", "ok")]).await.is_empty());
    assert_eq!(world.buried().last(), Some(&("died".to_owned(), ErrorKind::OutcomeUnknown)));
    assert!(world.delivered().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_before_the_time_its_id_was_moved_to_gives_way() {
    let world = World::new();
    let later = START + Duration::from_secs(3600);
    world.store.register(&envelope("a", "ok"), Status::Ready, "test", START).await.unwrap();
    world.store.reschedule("a", later, START).await.unwrap();
    assert!(world.run(vec![say("a", "ok")]).await.is_empty());
    assert!(world.delivered().is_empty());
    let moved = || record(Envelope { run_after: Some(later), ..envelope("a", "ok") });
    assert_eq!(world.run(vec![moved()]).await, ["a"]);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert!(world.run(vec![moved()]).await.is_empty());
    assert_eq!(world.delivered(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_to_be_forgotten_by_the_queue() {
    let world = World::new();
    let day = Duration::from_secs(24 * 60 * 60);
    let sent = |mut record: Received, age: Duration| {
        record.message.sent_at = Some(START - age);
        record
    };
    let early = |id: &str, days: u32| record(Envelope { run_after: Some(START + day * days), ..envelope(id, "ok") });
    let batch = vec![
        sent(early("soon", 3), Duration::ZERO),
        sent(early("beyond", 5), Duration::ZERO),
        sent(say("young", "fail"), day * 3),
        sent(say("old", "fail"), day * 4 - Duration::from_secs(60)),
        sent(say("last", "ok"), day * 4 - Duration::from_secs(60)),
    ];
    assert_eq!(world.run(batch).await, ["soon", "young"]);
    let mut buried = world.buried();
    buried.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(buried, [("beyond".to_owned(), ErrorKind::RetentionEnds), ("old".to_owned(), ErrorKind::Unavailable)]);
    assert_eq!((world.status("beyond").await, world.status("old").await), (Some(Status::Failed), Some(Status::Failed)));
    assert_eq!(world.delivered(), ["last"]);
    world.store.begin_down.store(true, Ordering::SeqCst);
    assert!(world.run(vec![sent(say("unclaimed", "ok"), day * 4)]).await.is_empty());
    assert_eq!(world.buried().last(), Some(&("unclaimed".to_owned(), ErrorKind::RetentionEnds)));
}

#[tokio::test(start_paused = true)]
async fn large_arguments_come_back_and_are_forgotten_after_the_delivery() {
    let mut world = World::new();
    let shelf = Shelf::default();
    let large = |id: &str, script: &str| {
        let mut envelope = envelope(id, script);
        let content = envelope.check_in(format!("soon/{id}"));
        (record(envelope), content)
    };
    let (without, _) = large("without", "ok");
    assert_eq!(world.run(vec![without]).await, ["without"], "a consumer without an object store says so, and keeps it");
    world.engine.objects = Some(Arc::new(shelf.clone()));
    let ((a, content), (b, failing), (gone, _)) = (large("a", "ok"), large("b", "fail"), large("gone", "ok"));
    shelf.put("soon/a", content).await.unwrap();
    shelf.put("soon/b", failing).await.unwrap();
    assert_eq!(world.run(vec![a, b, gone]).await, ["b"]);
    assert_eq!(world.delivered(), ["a"]);
    assert_eq!(shelf.0.lock().unwrap().keys().collect::<Vec<_>>(), ["soon/b"], "what is to be tried again keeps its arguments");
    assert_eq!(world.buried(), [("gone".to_owned(), ErrorKind::Malformed)]);
}

/// An envelope whose payload nothing can be made of.
fn bad(id: &str) -> Envelope {
    Envelope { kwargs: serde_json::value::RawValue::from_string(r#"{"do":7}"#.to_owned()).ok(), ..envelope(id, "") }
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_cannot_be_read_is_buried_first_and_then_claimed_and_ended_by_one_write() {
    let world = World::new();
    world.store.register(&envelope("known", "ok"), Status::Ready, "test", START).await.unwrap();
    assert!(world.run(vec![record(bad("a")), record(bad("known"))]).await.is_empty());
    assert_eq!((world.buried().len(), world.store.writes.load(Ordering::SeqCst)), (2, 2));
    let letter = world.queue.buried.lock().unwrap()[0].1.clone();
    assert_eq!((letter.kind, letter.attempts, letter.task.as_deref()), (ErrorKind::InvalidPayload, 1, Some("act")));
    for id in ["a", "known"] {
        let told = world.store.get(id).await.unwrap().unwrap().0;
        assert_eq!((told.status, told.attempts, told.finished_at, told.errors.len()), (Status::Failed, 1, Some(START), 1), "{id}");
    }
    assert!(world.run(vec![record(bad("a"))]).await.is_empty());
    assert_eq!((world.buried().len(), world.store.writes.load(Ordering::SeqCst)), (2, 2), "a twin costs a read");
    let mut bulk = bad("bulk");
    bulk.context.bulk = true;
    assert!(world.run(vec![record(bulk)]).await.is_empty());
    assert_eq!(world.store.writes.load(Ordering::SeqCst), 3, "nor is a bulk claimed that is none");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_of_a_payload_that_cannot_be_read_before_its_letter_is() {
    let broken = World::with(TestQueue { broken: true, ..TestQueue::default() });
    assert_eq!(broken.run(vec![record(bad("a"))]).await, ["a"]);
    assert_eq!(broken.store.get("a").await.unwrap(), None);
    let world = World::new();
    world.store.get_down.store(true, Ordering::SeqCst);
    assert_eq!(world.run(vec![record(bad("a"))]).await, ["a"], "nor is a letter while nobody can tell whether it was one already");
    assert!(world.buried().is_empty() && world.hidden("a").unwrap() >= Duration::from_secs(1));
    world.store.get_down.store(false, Ordering::SeqCst);
    world.store.finish_down.store(true, Ordering::SeqCst);
    assert!(world.run(vec![record(bad("a"))]).await.is_empty(), "what is buried is done with");
    assert_eq!(world.buried().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_cannot_be_read_gives_way_as_any_other() {
    let world = World::new();
    let (held, lease_until) = (bad("held"), START + Duration::from_secs(30));
    let claim = Claim { envelope: &held, now: START, lease_until, worker: "other", token: None, backend: "test" };
    assert!(matches!(world.store.begin(&claim).await, Ok(Begin::Claimed { .. })));
    assert_eq!(world.run(vec![record(bad("held"))]).await, ["held"], "it waits for the lease");
    world.store.register(&bad("moved"), Status::Ready, "test", START).await.unwrap();
    world.store.reschedule("moved", START + Duration::from_secs(3600), START).await.unwrap();
    world.store.register(&bad("cancelled"), Status::Ready, "test", START).await.unwrap();
    world.store.cancel("cancelled", START).await.unwrap();
    let other = Envelope { fingerprint: None, ..bad("moved") };
    assert!(world.run(vec![record(bad("moved")), record(bad("cancelled")), record(other)]).await.is_empty());
    assert!(world.buried().is_empty());
    assert_eq!(world.status("moved").await, Some(Status::Scheduled));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(world.run(vec![record(bad("held"))]).await.is_empty());
    assert_eq!(world.buried(), [("held".to_owned(), ErrorKind::InvalidPayload)], "an attempt that died was one");
    assert_eq!(world.store.get("held").await.unwrap().unwrap().0.attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_reading_is_that_messages_alone() {
    let (world, pushed, _) = World::pushing("{}");
    assert_eq!(world.run(vec![record(push("a", &["unreadable"])), record(push("b", &["ok", "ok"]))]).await, ["a"]);
    assert_eq!(pushed.done(), ["b-0", "b-1"]);
    let told = world.store.get("a").await.unwrap().unwrap().0;
    assert_eq!((told.errors[0].exception_class_path.as_str(), told.attempts), ("errand.panicked", 1));
}
