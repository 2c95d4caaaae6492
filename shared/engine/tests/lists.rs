//! Lists of what can do a task: an order of fail-over.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use errand_core::{Envelope, ErrorKind, Lookup, Status};
use errand_engine::{Circuits, Unknown};
use world::*;

/// As a list of the webhook's 15 seconds and an application's 25 is: with two seconds for the rest, more than the 30 of an invocation.
const PAY: &str = r#"{"pay":[{"leg":"first","timeout":15},{"leg":"second","timeout":25}]}"#;

fn pay(id: &str) -> Envelope {
    Envelope { task: "pay".to_owned(), ..envelope(id, "ok") }
}

async fn attempts(world: &World, id: &str) -> u32 {
    world.store.get(id).await.unwrap().unwrap().0.attempts
}

#[tokio::test(start_paused = true)]
async fn a_list_begins_where_its_first_fits_however_long_the_rest_is() {
    let (world, legs) = World::routed(PAY).unwrap();
    assert!(world.until_gone(&pay("a"), Duration::from_secs(30)).await.is_empty(), "one receive");
    assert_eq!((legs.called("first"), legs.called("second"), legs.done()), (1, 0, vec!["a".to_owned()]));
    legs.does("first", "down");
    assert!(world.until_gone(&pay("b"), Duration::from_secs(30)).await.is_empty(), "the second fits as well when the first fails at once");
    assert_eq!((legs.called("first"), legs.called("second"), legs.done()), (2, 1, vec!["a".to_owned(), "b".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_time_for_the_next_one_it_goes_on_there_at_once_and_that_is_one_attempt() {
    let routes = PAY.replace("15}", r#"15,"takes":12000}"#);
    let (world, legs) = World::routed(&routes).unwrap();
    legs.does("first", "down");
    let once = Envelope { max_attempts: Some(1), ..pay("a") };
    assert_eq!(world.until_gone(&once, Duration::from_secs(30)).await, [Duration::ZERO]);
    assert_eq!((legs.called("first"), legs.called("second"), world.buried()), (1, 1, Vec::new()));
    let result = world.store.get("a").await.unwrap().unwrap().0;
    assert_eq!((result.status, result.errors.len()), (Status::Successful, 1), "why the first did not do it is told");

    // Both down: a round over two invocations is one attempt, and the next begins with the first again.
    legs.does("second", "down");
    let twice = Envelope { max_attempts: Some(2), ..pay("b") };
    let hidden = world.until_gone(&twice, Duration::from_secs(30)).await;
    assert_eq!((hidden[0], hidden[2], hidden.len()), (Duration::ZERO, Duration::ZERO, 3));
    assert_eq!((legs.called("first"), legs.called("second")), (3, 3));
    assert_eq!(world.buried(), [("b".to_owned(), ErrorKind::Unavailable)]);
}

#[tokio::test(start_paused = true)]
async fn without_a_store_each_receive_of_a_list_that_does_not_fit_begins_with_the_next() {
    let (mut world, legs) = World::routed(&PAY.replace("15}", r#"15,"takes":12000}"#)).unwrap();
    world.engine.store = None;
    legs.does("first", "down");
    assert_eq!(world.until_gone(&pay("a"), Duration::from_secs(30)).await, [Duration::ZERO]);
    assert_eq!((legs.called("first"), legs.called("second"), legs.done()), (1, 1, vec!["a".to_owned()]));
    legs.does("second", "down");
    let hidden = world.until_gone(&pay("b"), Duration::from_secs(30)).await;
    assert_eq!((hidden.len(), world.buried()), (5, vec![("b".to_owned(), ErrorKind::Unavailable)]), "receives are attempts");
}

#[tokio::test(start_paused = true)]
async fn what_may_be_done_is_not_done_elsewhere_and_what_is_refused_neither() {
    let (world, legs) = World::routed(PAY).unwrap();
    for (script, status) in [("unsure", Status::Ready), ("hang", Status::Ready), ("panic", Status::Ready), ("reject", Status::Failed)] {
        legs.does("first", script);
        world.run(vec![record(pay(script))]).await;
        assert_eq!((world.status(script).await, legs.called("second")), (Some(status), 0), "{script}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_is_too_short_for_what_is_next_is_waited_for_and_not_asked_for_at_once() {
    let (world, legs) = World::routed(&PAY.replace("15}", r#"15,"takes":12000}"#)).unwrap();
    legs.does("first", "down");
    for receive in 0..20 {
        assert_eq!(world.run_for(vec![record(pay("a"))], Duration::from_secs(20)).await, ["a"]);
        let hidden = world.hidden("a").unwrap();
        assert!((receive == 0) == hidden.is_zero(), "receive {receive}: {hidden:?}");
        tokio::time::sleep(hidden).await;
    }
    assert_eq!((legs.called("first"), legs.called("second")), (1, 0));
    assert!(world.run(vec![record(pay("a"))]).await.is_empty(), "with time enough it goes on");
    assert_eq!(legs.called("second"), 1);
}

#[tokio::test(start_paused = true)]
async fn each_of_a_list_has_its_own_circuit() {
    let (world, legs) = World::routed(PAY).unwrap();
    legs.does("first", "stop");
    for id in ["a", "b", "c"] {
        assert!(world.run(vec![record(pay(id))]).await.is_empty(), "the second does it");
    }
    assert_eq!(
        (legs.called("first"), legs.called("second")),
        (1, 3),
        "the first has said stop, and the second's success does not open its way"
    );
    assert_eq!(attempts(&world, "a").await, 1);

    // The second says stop as well: all wait for the one that is over first, unclaimed.
    legs.does("second", "stop");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.run(vec![record(Envelope { max_attempts: Some(1), ..pay("d") })]).await, ["d"], "it uses up no attempt");
    let waited = world.hidden("d").unwrap();
    assert!(waited <= Duration::from_secs(38), "the first one's minute is over first: {waited:?}");
    assert_eq!(world.run(vec![record(pay("e"))]).await, ["e"]);
    assert_eq!((world.status("e").await, legs.called("first"), legs.called("second")), (None, 1, 4));
    assert!(world.hidden("e").unwrap() >= Duration::from_secs(1));

    // When the first is well again one tries it.
    legs.does("first", "ok");
    tokio::time::sleep(waited).await;
    for id in ["d", "e"] {
        assert!(world.run(vec![record(pay(id))]).await.is_empty());
    }
    assert_eq!((legs.called("first"), legs.called("second")), (3, 4));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_says_stop_and_at_once_again_is_not_asked_at_once_again() {
    let (world, legs) = World::routed(r#"{"pay":{"leg":"only"}}"#).unwrap();
    legs.does("only", "stop at once");
    for _ in 0..3 {
        world.run(vec![record(pay("a"))]).await;
        let hidden = world.hidden("a").unwrap();
        assert!(hidden >= Duration::from_secs(1), "{hidden:?}");
        tokio::time::sleep(hidden).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_places_of_one_runner_have_circuits_of_their_own_and_one_place_has_one() {
    let (mut world, legs) = World::routed(r#"{"a":{"leg":"x"},"b":{"task":"a"},"pay":{"leg":"y"}}"#).unwrap();
    legs.does("x", "stop");
    let task = |task: &str| record(Envelope { task: task.to_owned(), ..envelope(task, "ok") });
    assert_eq!(world.run(vec![task("a")]).await, ["a"]);
    assert_eq!(world.run(vec![task("b"), task("pay")]).await, ["b"]);
    assert_eq!((world.status("b").await, legs.called("x")), (None, 1));
    world.engine.circuits = Circuits::default();
    world.engine.policy.unknown = Unknown::Hold;
    legs.does("x", "unsure");
    assert!(world.run(vec![task("b")]).await.is_empty());
    assert_eq!(world.buried(), [("b".to_owned(), ErrorKind::OutcomeUnknown)], "held for a person, as without a list");
}

#[tokio::test(start_paused = true)]
async fn a_mapping_leads_to_all_that_its_task_has() {
    let routes = r#"{"pay":[{"leg":"first"},{"leg":"second"}],"act.*":"actor","buy.*":[{"task":"pay","payload":{"do":"/kwargs/how"}},{"task":"act"}]}"#;
    let (world, legs) = World::routed(routes).unwrap();
    let mut buy = Envelope { task: "buy.now".to_owned(), ..envelope("a", "") };
    buy.kwargs = serde_json::value::RawValue::from_string(r#"{"how":"down","do":"ok"}"#.to_owned()).ok();
    assert!(world.run(vec![record(buy)]).await.is_empty());
    assert_eq!((legs.called("first"), legs.called("second"), world.delivered()), (1, 1, vec!["a".to_owned()]));
}

#[test]
fn what_can_never_fit_into_an_invocation_is_refused_at_the_start() {
    for (routes, problem) in [
        (
            r#"{"pay":[{"leg":"a","timeout":15},{"leg":"b","timeout":26}]}"#,
            "ERRAND_ROUTES: pay: a call of leg may take 26 seconds, and in an invocation of 30 none may take more than 25 (ERRAND_TIMEOUT_SECONDS)",
        ),
        (r#"{"buy":{"task":"pay"},"pay":{"leg":"b","timeout":28}}"#, "ERRAND_ROUTES: buy: a call of leg may take 28 seconds"),
    ] {
        let error = World::routed(routes).err().unwrap().to_string();
        assert!(error.starts_with(problem), "{error}");
    }
}
