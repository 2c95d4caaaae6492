//! Payloads of several parts: tokens, recipients.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use errand_core::{Change, Envelope, ErrorKind, Lookup, Results, Status, TaskResult};
use proptest::{prelude::*, sample::select};
use serde_json::json;
use world::{paused::paused, *};

const INVOCATION: Duration = Duration::from_secs(30);

fn keys(places: impl Iterator<Item = usize>) -> Vec<String> {
    let mut keys: Vec<String> = places.map(|place| format!("p-{place}")).collect();
    keys.sort();
    keys
}

async fn result(world: &World) -> TaskResult {
    world.store.get("p").await.unwrap().unwrap().0
}

fn twelve(others: &[(usize, &'static str)]) -> [&'static str; 12] {
    let mut tokens = ["ok"; 12];
    others.iter().for_each(|(place, token)| tokens[*place] = token);
    tokens
}

#[tokio::test(start_paused = true)]
async fn parts_are_delivered_by_as_few_calls_as_they_fit_into() {
    let (world, pushed, _) = World::pushing("{}");
    assert!(world.run(vec![record(push("p", &["ok"; 12]))]).await.is_empty());
    assert_eq!((pushed.done(), pushed.calls.lock().unwrap().len()), (keys(0..12), 3));
    assert_eq!(result(&world).await.return_value, json!(vec![json!({ "message_id": "ok" }); 12]).into());
    assert!(world.run(vec![record(push("one", &["ok"]))]).await.is_empty());
    assert_eq!(pushed.sent("one-0"), 1, "one of one part is delivered whole");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_is_tried_again_alone_and_none_that_was_delivered() {
    let (world, pushed, _) = World::pushing("{}");
    let tokens = twelve(&[(3, "down-1"), (7, "failed-2"), (8, "gone")]);
    world.until_gone(&push("p", &tokens), INVOCATION).await;
    assert_eq!(pushed.done(), keys((0..12).filter(|place| *place != 8)));
    let calls = pushed.calls.lock().unwrap().clone();
    assert_eq!(calls[3..], [vec!["p-3".to_owned(), "p-7".to_owned()], vec!["p-7".to_owned()]]);
    assert_eq!(world.buried(), [("p".to_owned(), ErrorKind::RecipientGone)]);
    assert_eq!(world.queue.buried.lock().unwrap()[0].1.reason, "1 of 12 parts are not delivered (8); part 8: HTTP 410");
    assert_eq!(result(&world).await.attempts, 3);

    // Replayed, what was delivered stays so.
    assert!(matches!(world.store.reopen(&push("p", &tokens), world.engine.clock.now()).await, Ok(Change::Changed(_))));
    world.until_gone(&push("p", &tokens), INVOCATION).await;
    assert_eq!(pushed.calls.lock().unwrap()[5..], [vec!["p-8".to_owned()]]);
}

#[tokio::test(start_paused = true)]
async fn parts_that_outlast_invocations_go_on_where_they_stopped() {
    let (world, pushed, _) = World::pushing("{}");
    pushed.takes.store(2000, Ordering::SeqCst);
    let mut tokens = ["ok"; 300];
    (tokens[2], tokens[299]) = ("gone", "down-3");
    let hidden = world.until_gone(&Envelope { max_attempts: Some(2), ..push("p", &tokens) }, INVOCATION).await;
    assert_eq!(hidden[..2], [Duration::ZERO; 2], "5 a call, 2 calls together, of 2 seconds each of which must leave 6: 120 an invocation");
    assert_eq!(pushed.done(), keys((0..300).filter(|place| *place != 2)));
    let calls = pushed.calls.lock().unwrap().len();
    assert_eq!((calls, pushed.sent("p-299")), (61, 2), "three invocations are one round");
    assert_eq!(world.buried(), [("p".to_owned(), ErrorKind::RecipientGone)], "though it was refused two invocations before");
    let kinds: Vec<String> = result(&world).await.errors.into_iter().map(|error| error.exception_class_path).collect();
    assert_eq!(kinds, ["errand.recipient_gone", "errand.unavailable", "errand.recipient_gone"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_hangs_or_answers_too_little_is_that_of_its_parts_alone() {
    for (token, kind) in [("panic-1", "errand.panicked"), ("hang-1", "errand.timeout"), ("few-1", "errand.panicked")] {
        let (world, pushed, _) = World::pushing("{}");
        world.until_gone(&push("p", &twelve(&[(7, token)])), INVOCATION).await;
        let mut done = pushed.done();
        done.dedup();
        assert_eq!(done, keys(0..12), "{token}");
        assert!((0..5).chain(10..12).all(|place| pushed.sent(&format!("p-{place}")) == 1), "the other calls stand: {token}");
        let result = result(&world).await;
        assert_eq!((result.status, result.errors[0].exception_class_path.as_str()), (Status::Successful, kind));
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_bulk_each_payload_keeps_its_own_parts() {
    let (world, pushed, _) = World::pushing("{}");
    let payloads = json!([{ "tokens": ["ok", "down-1", "ok"] }, { "token": [] }, { "tokens": ["ok"] }, { "tokens": ["gone", "ok"] }]);
    let several = Envelope { kwargs: Some(serde_json::value::to_raw_value(&payloads).unwrap()), ..bulk("p", "push", &[]) };
    world.until_gone(&several, INVOCATION).await;
    assert_eq!(pushed.done(), ["p-0-0", "p-0-1", "p-0-2", "p-2-0", "p-3-1"]);
    assert_eq!((pushed.sent("p-0-0"), pushed.sent("p-0-1"), pushed.sent("p-3-0")), (1, 2, 1));
    let letter = world.queue.buried.lock().unwrap()[0].1.clone();
    assert_eq!(
        (letter.kind, letter.reason.as_str()),
        (ErrorKind::InvalidPayload, "2 of 4 payloads are not delivered (1,3); payload 1: /kwargs/tokens: is required")
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_first_of_a_list_left_is_done_by_the_next_and_no_more() {
    let (mut world, pushed, _) = World::pushing("{}");
    let other = Push::default();
    world.engine.registry = errand_core::Registry::default();
    world.engine.registry.insert(pushed.clone());
    world.engine.registry.insert(Second(other.clone()));
    let env = [("ERRAND_ROUTES", r#"{"push":["push","second"]}"#)].into_iter().collect();
    world.engine.registry.read_routes(&env).unwrap();
    pushed.takes.store(1000, Ordering::SeqCst);
    let tokens = twelve(&[(1, "down"), (6, "gone"), (11, "down")]);
    world.until_gone(&push("p", &tokens), INVOCATION).await;
    assert_eq!(other.calls.lock().unwrap()[0], ["p-1", "p-11"], "what the first could not do");
    assert_eq!(pushed.done(), keys((0..12).filter(|place| ![1, 6, 11].contains(place))));

    // From its third call on, the first says stop.
    let ten = push("q", &["ok"; 100]);
    pushed.stops_at.store(u32::try_from(pushed.calls.lock().unwrap().len()).unwrap() + 3, Ordering::SeqCst);
    assert!(world.run(vec![record(ten)]).await.is_empty());
    let by = |push: &Push| push.done().iter().filter(|key| key.starts_with("q-")).count();
    assert_eq!((by(&pushed), by(&other)), (10, 90));
}

/// The same under another name.
#[derive(Clone)]
struct Second(Push);

impl errand_core::Provider for Second {
    const NAME: &'static str = "second";
    const TASKS: &'static [&'static str] = &["push"];
    const AT_ONCE: usize = 5;
    type Payload = Tokens;

    fn new(_: &errand_core::Environment, _: &errand_core::Init) -> Result<Self, errand_core::SettingsError> {
        Ok(Self(Push::default()))
    }

    async fn deliver(&self, tokens: Tokens, attempt: &errand_core::Attempt) -> Result<errand_core::Receipt, errand_core::DeliveryError> {
        self.0.deliver(tokens, attempt).await
    }

    fn parts(tokens: &Tokens) -> usize {
        Push::parts(tokens)
    }

    async fn deliver_parts(
        &self,
        tokens: &Tokens,
        parts: &[usize],
        attempt: &errand_core::Attempt,
    ) -> Vec<Result<errand_core::Receipt, errand_core::DeliveryError>> {
        self.0.deliver_parts(tokens, parts, attempt).await
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_knows_no_parts_is_given_the_payload_only_where_nothing_of_it_is_done() {
    let (world, pushed, legs) = World::pushing(r#"{"push":["push",{"leg":"whole"}]}"#);
    legs.does("whole", "ok");
    assert!(world.run(vec![record(push("p", &["down"; 12]))]).await.is_empty());
    assert_eq!((legs.done(), pushed.done().len()), (vec!["p".to_owned()], 0));
    world.until_gone(&Envelope { max_attempts: Some(2), ..push("q", &twelve(&[(4, "down")])) }, INVOCATION).await;
    assert_eq!((legs.called("whole"), pushed.sent("q-4"), pushed.sent("q-3")), (1, 2, 1));
    assert_eq!(world.buried(), [("q".to_owned(), ErrorKind::Unavailable)]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_what_was_not_begun_for_later_and_uses_up_no_attempt() {
    let (world, pushed, _) = World::pushing("{}");
    pushed.stops_at.store(3, Ordering::SeqCst);
    let once = Envelope { max_attempts: Some(1), ..push("p", &["ok"; 100]) };
    assert_eq!(world.run(vec![record(once.clone())]).await, ["p"]);
    assert!(world.hidden("p").unwrap() >= Duration::from_secs(60));
    pushed.stops_at.store(0, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(world.run(vec![record(once)]).await.is_empty());
    assert_eq!((pushed.done(), world.buried()), (keys(0..100), Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_mapping_makes_a_payload_of_parts_as_well() {
    let (world, pushed, _) = World::pushing(r#"{"mine":{"task":"push","payload":{"tokens":"/args/0"}}}"#);
    let args = serde_json::value::to_raw_value(&json!([["ok", "down-1", "ok"]])).ok();
    world.until_gone(&Envelope { task: "mine".to_owned(), args, kwargs: None, ..push("p", &[]) }, INVOCATION).await;
    assert_eq!((pushed.done(), pushed.sent("p-0"), pushed.sent("p-1")), (keys(0..3), 1, 2));
}

const TOKENS: [&str; 9] = ["ok", "ok", "ok", "ok", "down-1", "failed-2", "gone", "panic-1", "hang-1"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Alone or in a bulk, with time for some of it or for all: what can be delivered is, and what is known to be delivered is never sent again.
    #[test]
    fn no_part_is_delivered_twice_or_lost(
        payloads in prop::collection::vec(prop::collection::vec(select(&TOKENS[..]), 1..30), 1..5),
        takes in 0..4_000_u32,
        seconds in 10..40_u64,
        stops_at in prop_oneof![Just(0), 1..9_u32],
    ) {
        let (pushed, gone) = paused(async {
            let (world, pushed, _) = World::pushing("{}");
            pushed.takes.store(takes, Ordering::SeqCst);
            pushed.stops_at.store(stops_at, Ordering::SeqCst);
            let tokens = |payload: &Vec<&str>| json!({ "tokens": payload });
            let envelope = match &payloads[..] {
                [one] => push("p", one),
                several => {
                    let kwargs = serde_json::value::to_raw_value(&several.iter().map(tokens).collect::<Vec<_>>()).ok();
                    Envelope { kwargs, ..bulk("p", "push", &[]) }
                }
            };
            let once = Envelope { max_attempts: Some(20), ..envelope };
            assert_eq!(world.run_for(vec![record(once.clone())], Duration::from_secs(seconds)).await.is_empty(), world.status("p").await.unwrap().ended());
            pushed.stops_at.store(0, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(3600)).await;
            world.until_gone(&once, Duration::from_secs(seconds)).await;
            (pushed, world.buried())
        });
        let mut done = BTreeMap::<String, u32>::new();
        for key in pushed.done() {
            *done.entry(key).or_default() += 1;
        }
        for (place, payload) in payloads.iter().enumerate() {
            for (part, token) in payload.iter().enumerate() {
                let key = if payloads.len() == 1 { format!("p-{part}") } else { format!("p-{place}-{part}") };
                let times = done.get(&key).copied().unwrap_or_default();
                // What was in one call with one that hung or panicked may have been delivered before that.
                let beside = payload.iter().any(|token| token.starts_with("panic") || token.starts_with("hang"));
                prop_assert!(if *token == "gone" { times == 0 } else { times == 1 || (beside && times == 2) }, "{key}: {token}: {times}");
            }
        }
        prop_assert_eq!(gone.is_empty(), !payloads.iter().flatten().any(|token| *token == "gone"));
    }
}
