//! Whatever is too long for whatever: each turn of a message does something, or the message waits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{collections::BTreeMap, time::Duration};

use errand_core::Envelope;
use proptest::{prelude::*, sample::select};
use serde_json::json;
use world::{paused::paused, *};

/// One of a list.
#[derive(Clone, Debug)]
struct Leg {
    /// In seconds.
    timeout: u64,
    /// Of its time-out, in percent.
    takes: u64,
    /// What it does, whatever the payload says.
    does: Option<&'static str>,
}

#[derive(Clone, Debug)]
struct Case {
    legs: Vec<Leg>,
    scripts: Vec<&'static str>,
    bulk: bool,
    /// How long one invocation after another is, in seconds.
    invocations: Vec<u64>,
    store: bool,
    sends: bool,
}

const LEGS: [Option<&str>; 7] = [None, None, None, Some("down"), Some("stop-1"), Some("down-2"), Some("hang")];

const SCRIPTS: [&str; 9] = ["ok", "ok", "ok", "down-1", "down", "reject", "unsure", "panic-2", "hang"];

fn case() -> impl Strategy<Value = Case> {
    let leg = (1..=25_u64, 0..=100_u64, select(&LEGS[..])).prop_map(|(timeout, takes, does)| Leg { timeout, takes, does });
    let payloads = prop_oneof![
        select(&SCRIPTS[..]).prop_map(|script| (vec![script], false)),
        prop::collection::vec(select(&SCRIPTS[..]), 0..40).prop_map(|scripts| (scripts, true)),
    ];
    let invocations = prop_oneof![prop::collection::vec(1..60_u64, 1..5), prop::collection::vec(30..60_u64, 1..3)];
    (prop::collection::vec(leg, 1..5), payloads, invocations, prop::bool::weighted(0.8), any::<bool>())
        .prop_map(|(legs, (scripts, bulk), invocations, store, sends)| Case { legs, scripts, bulk, invocations, store, sends })
}

fn world_of(case: &Case) -> (World, Legs) {
    let legs = case.legs.iter().enumerate().map(
        |(place, leg)| json!({ "leg": place.to_string(), "timeout": leg.timeout, "takes": leg.timeout * leg.takes * 10, "does": leg.does }),
    );
    let (mut world, legs) = World::routed(&json!({ "t": legs.collect::<Vec<_>>() }).to_string()).unwrap();
    if !case.store {
        world.engine.store = None;
    }
    if case.sends {
        world.sending();
    }
    (world, legs)
}

/// Takes the message again and again until it is gone.
async fn run(case: Case) -> Result<(), TestCaseError> {
    let (world, legs) = world_of(&case);
    let envelope = bulk("b", "t", &case.scripts);
    let one = || Envelope { task: "t".to_owned(), ..world::envelope("b", case.scripts[0]) };
    let envelope = if case.bulk { envelope } else { one() };
    let mut gone = false;
    for receive_count in 1..=400_u32 {
        let called = legs.calls.lock().unwrap().len();
        let time = Duration::from_secs(case.invocations[receive_count as usize % case.invocations.len()]);
        let mut record = record(envelope.clone());
        record.message.receive_count = receive_count;
        gone = world.run_for(vec![record], time).await.is_empty();
        if gone {
            break;
        }
        let hidden = world.hidden("b").unwrap_or_default();
        let did_something = legs.calls.lock().unwrap().len() > called;
        prop_assert!(
            did_something || hidden >= Duration::from_secs(1),
            "receive {receive_count} did nothing, and the message came back after {hidden:?}"
        );
        tokio::time::sleep(hidden.max(Duration::from_millis(1))).await;
    }
    let ample = case.invocations.iter().all(|seconds| *seconds >= 30);
    prop_assert!(gone || !ample, "with time enough for each call it ends");
    let mut done = BTreeMap::<String, u32>::new();
    for key in legs.done() {
        *done.entry(key).or_default() += 1;
    }
    // Without a store only what is split off is remembered.
    prop_assert!(!case.store || done.values().all(|count| *count == 1), "delivered more than once: {done:?}");
    if gone && case.store {
        let wanted = |script: &str| script == "ok" && case.legs.iter().all(|leg| leg.does.is_none());
        let key = |place: usize| if case.bulk { format!("b-{place}") } else { "b".to_owned() };
        let missing = case.scripts.iter().enumerate().find(|(place, script)| wanted(script) && !done.contains_key(&key(*place)));
        prop_assert!(missing.is_none(), "gone, and not delivered: {missing:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of any list, with any time-outs and invocations, alone or as a bulk, with a store and without.
    #[test]
    fn a_message_that_comes_back_at_once_was_brought_on(case in case()) {
        paused(run(case))?;
    }
}
