//! Bulks: several payloads in one envelope.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use errand_core::{Change, Envelope, ErrorKind, Lookup, Results, Status, TaskResult};
use errand_engine::Unknown;
use world::*;

/// As the webhook is whose receivers take two seconds.
const HOOK: &str = r#"{"hook":{"leg":"hook","timeout":15,"takes":2000}}"#;

const INVOCATION: Duration = Duration::from_secs(30);

/// How often each payload was sent.
fn calls(legs: &Legs) -> BTreeMap<String, u32> {
    let mut calls = BTreeMap::new();
    for (_, key) in legs.calls.lock().unwrap().iter() {
        *calls.entry(key.clone()).or_default() += 1;
    }
    calls
}

fn keys(places: impl Iterator<Item = usize>) -> Vec<String> {
    let mut keys: Vec<String> = places.map(|place| format!("b-{place}")).collect();
    keys.sort();
    keys
}

async fn result(world: &World) -> TaskResult {
    world.store.get("b").await.unwrap().unwrap().0
}

#[tokio::test(start_paused = true)]
async fn a_bulk_that_outlasts_invocations_goes_on_where_it_stopped() {
    let (world, legs) = World::routed(HOOK).unwrap();
    let hooks = Envelope { max_attempts: Some(1), ..bulk("b", "hook", &["ok"; 100]) };
    let hidden = world.until_gone(&hooks, INVOCATION).await;
    assert_eq!(hidden, [Duration::ZERO], "100 of 2 seconds, ten at a time, in 30 seconds each of which must leave 15: two invocations");
    assert_eq!((legs.done(), calls(&legs).values().sum::<u32>()), (keys(0..100), 100), "100 recipients, 100 calls");
    let result = result(&world).await;
    assert_eq!((result.status, result.errors.len()), (Status::Successful, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_middle_is_one_payloads_and_it_alone_is_tried_again() {
    let (world, legs) = World::routed(HOOK).unwrap();
    let mut scripts = ["ok"; 100];
    (scripts[50], scripts[7]) = ("panic-1", "down-1");
    let hidden = world.until_gone(&bulk("b", "hook", &scripts), INVOCATION).await;
    assert_eq!((hidden[0], hidden.len()), (Duration::ZERO, 2), "one round of two invocations, then one for what failed");
    let sent = calls(&legs);
    assert_eq!((legs.done(), sent["b-50"], sent["b-7"], sent.values().sum::<u32>()), (keys(0..100), 2, 2, 102));
    let errors: Vec<String> = result(&world).await.errors.into_iter().map(|error| error.exception_class_path).collect();
    assert!(
        !errors.is_empty() && errors.iter().all(|kind| ["errand.panicked", "errand.unavailable"].contains(&kind.as_str())),
        "{errors:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ends_is_cut_off_by_itself() {
    let (world, legs) = World::routed(&HOOK.replace("15", "5")).unwrap();
    let once = Envelope { max_attempts: Some(1), ..bulk("b", "hook", &["ok", "hang", "ok"]) };
    assert!(world.until_gone(&once, INVOCATION).await.is_empty());
    assert_eq!((legs.done(), world.buried()), (keys([0, 2].into_iter()), vec![("b".to_owned(), ErrorKind::Timeout)]));
}

#[tokio::test(start_paused = true)]
async fn a_crash_repeats_no_more_than_the_invocation_that_it_ended() {
    let (world, legs) = World::routed(HOOK).unwrap();
    let hooks = bulk("b", "hook", &["ok"; 150]);
    assert_eq!(world.run(vec![record(hooks.clone())]).await, ["b"]);
    let first = legs.done();
    assert_eq!(first.len(), 70);
    // The second dies after five seconds; its lease ends with the invocation that it was.
    let deadline = world.engine.clock.now() + INVOCATION;
    let died = tokio::time::timeout(Duration::from_secs(5), world.engine.run(vec![record(hooks.clone())], deadline)).await;
    assert!(died.is_err());
    tokio::time::sleep(INVOCATION + Duration::from_secs(5)).await;
    world.until_gone(&hooks, INVOCATION).await;
    let (sent, mut done) = (calls(&legs), legs.done());
    done.dedup();
    assert_eq!(done, keys(0..150));
    assert!(first.iter().all(|key| sent[key] == 1), "what was done before is not done again");
    assert!(sent.values().all(|count| *count <= 2) && sent.values().sum::<u32>() <= 150 + 30, "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn only_a_finished_round_or_a_crash_counts_and_what_is_refused_is_not_sent_again() {
    let (world, legs) = World::routed(HOOK).unwrap();
    let mut scripts = ["ok"; 100];
    (scripts[3], scripts[99], scripts[80]) = ("reject", "reject", "down");
    let twice = Envelope { max_attempts: Some(2), ..bulk("b", "hook", &scripts) };
    world.until_gone(&twice, INVOCATION).await;
    let sent = calls(&legs);
    assert_eq!((sent["b-3"], sent["b-99"], sent["b-80"], sent.values().sum::<u32>()), (1, 1, 2, 101));
    let letter = world.queue.buried.lock().unwrap()[0].1.clone();
    assert_eq!(letter.kind, ErrorKind::Unavailable, "a failure that may pass decides");
    assert_eq!(letter.reason, "3 of 100 payloads are not delivered (3,80,99); payload 80: HTTP 503");

    // Replayed, only what was not delivered is tried.
    assert!(matches!(world.store.reopen(&twice, world.engine.clock.now()).await, Ok(Change::Changed(_))));
    legs.does("hook", "ok");
    world.until_gone(&twice, INVOCATION).await;
    assert_eq!((legs.done(), calls(&legs).values().sum::<u32>()), (keys(0..100), 104));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_alone_ends_the_bulk_with_its_reason_however_long_ago_it_was_refused() {
    let (world, legs) = World::routed(HOOK).unwrap();
    let mut scripts = ["ok"; 100];
    (scripts[3], scripts[80]) = ("reject", "down-2");
    world.until_gone(&bulk("b", "hook", &scripts), INVOCATION).await;
    let letter = world.queue.buried.lock().unwrap()[0].1.clone();
    assert_eq!(
        (letter.kind, letter.reason.as_str()),
        (ErrorKind::Rejected, "1 of 100 payloads are not delivered (3); payload 3: HTTP 400")
    );
    assert_eq!(legs.done().len(), 99);
}

#[tokio::test(start_paused = true)]
async fn the_untried_go_first_and_what_failed_waits_for_the_next_round() {
    let (world, legs) = World::routed(&HOOK.replace("2000", "10000")).unwrap();
    let hooks = bulk("b", "hook", &["down-2"; 25]);
    let hidden = world.until_gone(&hooks, INVOCATION).await;
    let order: Vec<String> = legs.calls.lock().unwrap().iter().map(|(_, key)| key.clone()).collect();
    assert_eq!(order[..25], (0..25).map(|place| format!("b-{place}")).collect::<Vec<_>>(), "each once before any twice");
    assert!(hidden[1] >= Duration::from_secs(1), "and only then there is a pause: {hidden:?}");
    assert_eq!(legs.done().len(), 25);
}

#[tokio::test(start_paused = true)]
async fn each_payload_goes_on_to_the_next_of_a_list_by_itself() {
    let routes = r#"{"hook":[{"leg":"first","timeout":15,"takes":12000},{"leg":"second","timeout":15,"takes":2000}]}"#;
    let (world, legs) = World::routed(routes).unwrap();
    legs.does("second", "ok");
    let mut scripts = ["ok"; 30];
    for place in (0..30).step_by(3) {
        scripts[place] = "down";
    }
    scripts[1] = "reject";
    world.until_gone(&bulk("b", "hook", &scripts), INVOCATION).await;
    assert_eq!(legs.done(), keys((0..30).filter(|place| *place != 1)));
    assert_eq!((legs.called("first"), legs.called("second")), (30, 10), "none is called again that another has done, nor what was refused");
    assert_eq!(world.buried(), [("b".to_owned(), ErrorKind::Rejected)]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_leaves_the_rest_to_the_next_of_the_list_or_for_later() {
    let routes = r#"{"hook":[{"leg":"first","timeout":5},{"leg":"second","timeout":5}],"alone":{"leg":"alone","timeout":5}}"#;
    let (world, legs) = World::routed(routes).unwrap();
    legs.does("first", "stop");
    assert!(world.until_gone(&bulk("b", "hook", &["ok"; 40]), INVOCATION).await.is_empty());
    assert_eq!((legs.done().len(), legs.called("second")), (40, 40));
    assert!(legs.called("first") <= 10, "those that were in flight together: {}", legs.called("first"));

    let once = Envelope { max_attempts: Some(1), ..bulk("c", "alone", &["stop-2"; 40]) };
    let hidden = world.until_gone(&once, INVOCATION).await;
    assert!(hidden.iter().all(|wait| *wait >= Duration::from_secs(60) || wait.is_zero() || *wait <= Duration::from_secs(2)), "{hidden:?}");
    assert_eq!((legs.done().len(), world.buried()), (80, Vec::new()), "a stop uses up no attempt");
    assert!(legs.called("alone") <= 60, "{}", legs.called("alone"));
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_bulk_is_handed_over_since_nobody_could_tell_what_is_reported() {
    let (mut world, legs) = World::routed(HOOK).unwrap();
    world.engine.api_url = Some("https://api.example".to_owned());
    assert!(world.until_gone(&bulk("b", "hook", &["hand", "ok"]), INVOCATION).await.is_empty());
    assert_eq!(
        (result(&world).await.return_value.get(), legs.calls.lock().unwrap().len()),
        (r#"[null,"hook"]"#, 2),
        "what was taken is done"
    );
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_delivered_is_held_and_its_neighbours_are_delivered() {
    let (mut world, legs) = World::routed(HOOK).unwrap();
    world.engine.policy.unknown = Unknown::Hold;
    world.until_gone(&bulk("b", "hook", &["ok", "unsure", "down-1", "ok"]), INVOCATION).await;
    assert_eq!((legs.done(), calls(&legs)["b-1"]), (keys([0, 2, 3].into_iter()), 1));
    assert_eq!(world.buried(), [("b".to_owned(), ErrorKind::OutcomeUnknown)]);
}

#[tokio::test(start_paused = true)]
async fn a_bulk_of_a_provider_is_of_payloads_by_themselves_as_well() {
    let world = World::new();
    let scripts = |script| bulk("b", "act", &["ok", script, "ok", "ok"]);
    assert_eq!(world.run(vec![record(scripts("throttle"))]).await, ["b"]);
    assert_eq!((world.hidden("b"), world.delivered()), (Some(Duration::from_secs(77)), keys([0, 2, 3].into_iter())));
    assert!(world.run(vec![record(scripts("ok"))]).await.is_empty());
    assert_eq!(world.delivered(), keys(0..4));
    assert_eq!(result(&world).await.return_value.get(), r#"[null,{"message_id":"ok"},null,null]"#);
    let empty = Envelope { id: "none".to_owned(), ..bulk("b", "act", &[]) };
    assert!(world.run(vec![record(empty)]).await.is_empty());
    let large = bulk("large", "act", &vec!["ok"; 3000]);
    assert!(world.run_for(vec![record(large)], Duration::from_secs(3600)).await.is_empty());
    assert!(world.store.get("large").await.unwrap().unwrap().0.return_value.is_null(), "what a record cannot hold is left out");
}

#[tokio::test(start_paused = true)]
async fn without_a_store_a_bulk_that_may_not_fit_is_split_once_into_messages_with_the_same_keys() {
    let (mut world, legs) = World::routed(HOOK).unwrap();
    let sent = world.sending();
    world.engine.store = None;
    sent.down.store(true, Ordering::SeqCst);
    assert_eq!(world.run(vec![record(bulk("b", "hook", &["ok"; 100]))]).await, ["b"], "what could not be sent stays whole");
    sent.down.store(false, Ordering::SeqCst);
    assert!(world.run(vec![record(bulk("b", "hook", &["ok"; 100]))]).await.is_empty());
    assert!(legs.calls.lock().unwrap().is_empty());
    let parts = std::mem::take(&mut *sent.envelopes.lock().unwrap());
    assert!(parts.iter().all(|part| !part.context.bulk && part.context.json.is_none() && part.payload() == r#"{"do":"ok"}"#));
    assert!(world.run(parts.into_iter().map(record).collect()).await.is_empty());
    assert_eq!((legs.done(), calls(&legs).values().sum::<u32>()), (keys(0..100), 100));

    // One that fits is run; what of it fails goes on by itself.
    let some = bulk("b", "hook", &["ok", "down-1", "reject", "ok"]);
    assert!(world.run(vec![record(some)]).await.is_empty());
    let parts: Vec<String> = sent.envelopes.lock().unwrap().iter().map(|part| part.id.clone()).collect();
    assert_eq!(parts, ["b-1", "b-2"]);
}
