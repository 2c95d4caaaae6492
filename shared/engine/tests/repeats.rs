//! Ids that come again on the queue, where nobody can be told: the content that is claimed first wins.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use errand_core::{Change, Context, Envelope, Fingerprint, Json, Lookup, Register, Results, Status};
use world::{Shelf, World, record};

/// An envelope whose content counts as what it is.
fn envelope(id: &str, script: &str) -> Envelope {
    Envelope { fingerprint: None, ..world::envelope(id, script) }
}

fn say(id: &str, script: &str) -> errand_engine::Received {
    record(envelope(id, script))
}

async fn task(world: &World, id: &str) -> errand_core::TaskResult {
    world.store.get(id).await.unwrap().unwrap().0
}

#[tokio::test(start_paused = true)]
async fn of_two_contents_under_one_id_the_first_that_is_claimed_is_run() {
    let world = World::new();
    assert_eq!(world.run(vec![say("a", "fail")]).await, ["a"], "it is in backoff");
    let next = task(&world, "a").await.next_attempt_at.unwrap();
    let hidden = world.hidden("a").unwrap().as_millis();
    assert_eq!(next.since(world.engine.clock.now()).as_millis(), hidden, "what is told of the next attempt is what the queue does");
    for other in [say("a", "ok"), record(Envelope { task: "other".to_owned(), ..envelope("a", "fail") })] {
        assert!(world.run(vec![other]).await.is_empty(), "the other ends with a line of log");
    }
    assert_eq!((world.delivered().len(), world.buried().len(), task(&world, "a").await.attempts), (0, 0, 1));
    assert_eq!(world.run(vec![say("a", "fail")]).await, ["a"], "the first goes on");
    assert_eq!(task(&world, "a").await.attempts, 2);

    assert!(world.run(vec![say("b", "ok")]).await.is_empty());
    assert!(world.run(vec![say("b", "reject"), say("b", "ok")]).await.is_empty());
    assert_eq!((world.delivered(), world.buried().len()), (vec!["b".to_owned()], 0));
}

#[tokio::test(start_paused = true)]
async fn a_message_counts_by_the_content_that_it_carries_wherever_its_arguments_are() {
    let mut world = World::new();
    let shelf = Shelf::default();
    world.engine.objects = Some(std::sync::Arc::new(shelf.clone()));
    let whole = envelope("a", "fail");
    let mut apart = whole.clone();
    let arguments = apart.check_in("soon/a".to_owned());
    shelf.0.lock().unwrap().insert("soon/a".to_owned(), arguments);
    assert_eq!(world.run(vec![record(whole)]).await, ["a"]);
    assert_eq!(world.run(vec![record(apart.clone())]).await, ["a"], "the same, stored apart");
    let other = Envelope { fingerprint: Some(Fingerprint::of(&envelope("a", "ok"))), ..apart };
    assert!(world.run(vec![record(other)]).await.is_empty());
    assert_eq!(task(&world, "a").await.attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_replay_with_other_content_is_run_and_a_late_message_of_before_is_not() {
    let world = World::new();
    assert!(world.run(vec![say("a", "reject")]).await.is_empty());
    let edited = envelope("a", "ok");
    assert!(matches!(world.store.reopen(&edited, world.engine.clock.now()).await, Ok(Change::Changed(_))));
    assert!(world.run(vec![say("a", "reject")]).await.is_empty());
    assert_eq!(task(&world, "a").await.status, Status::Ready);
    assert!(world.run(vec![record(edited)]).await.is_empty());
    let done = task(&world, "a").await;
    assert_eq!(
        (done.status, done.kwargs.get(), done.replaced[0].kwargs.get()),
        (Status::Successful, r#"{"do":"ok"}"#, r#"{"do":"reject"}"#)
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_without_arguments_runs_nothing_of_an_id_that_has_some() {
    let world = World::new();
    let context = Context::of(Json::parse(br#"{"celery":{}}"#).unwrap().raw().unwrap());
    let bare = Envelope { task: "act".to_owned(), context, ..Envelope::new("a".to_owned(), "act".to_owned()) };
    world.store.register(&envelope("a", "ok"), Status::Ready, "test", world.engine.clock.now()).await.unwrap();
    assert!(world.run(vec![record(bare)]).await.is_empty());
    assert_eq!((world.delivered().len(), task(&world, "a").await.attempts), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_store_nothing_is_compared() {
    let world = World::without_store();
    assert_eq!(world.run(vec![say("a", "fail"), say("a", "ok")]).await, ["a"]);
    assert_eq!(world.delivered(), ["a"]);
}
