//! What who watches is told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{sync::atomic::Ordering, time::Duration};

use errand_core::{Envelope, ErrorKind};
use world::*;

#[tokio::test(start_paused = true)]
async fn each_turn_of_a_message_is_told_as_what_it_was() {
    let mut world = World::new();
    world.run(vec![say("a", "ok")]).await;
    assert_eq!(world.seen.take(), ["Begun a", "Called a", "Delivered a"]);
    world.run(vec![say("a", "ok")]).await;
    assert_eq!(world.seen.take(), ["NothingLeft a"]);
    world.run(vec![say("b", "fail")]).await;
    assert_eq!(world.seen.take(), ["Begun b", "Called b", "Failed b"]);
    world.run(vec![say("c", "reject")]).await;
    assert_eq!(world.seen.take(), ["Begun c", "Called c", "GivenUp c"]);
    world.run(vec![poison("d")]).await;
    assert_eq!(world.seen.take(), ["Refused d"]);
    let (late, early) = (Some(START), Some(START + Duration::from_secs(60)));
    world
        .run(vec![record(Envelope { expires: late, ..envelope("e", "ok") }), record(Envelope { run_after: early, ..envelope("f", "ok") })])
        .await;
    assert_eq!(world.seen.take(), ["Begun e", "Expired e", "PutOff f"]);
    world.run(vec![record(Envelope { fingerprint: None, ..envelope("a", "other") })]).await;
    assert_eq!(world.seen.take(), ["LeftOut a"]);
    world.store.begin_down.store(true, Ordering::SeqCst);
    world.run(vec![say("g", "ok")]).await;
    assert_eq!(world.seen.take(), ["NotClaimed g"]);
    world.store.begin_down.store(false, Ordering::SeqCst);
    world.store.finish_down.store(true, Ordering::SeqCst);
    world.run(vec![say("h", "ok")]).await;
    assert_eq!(world.seen.take(), ["Begun h", "Called h", "Delivered h", "NotRecorded h"]);
    world.store.finish_down.store(false, Ordering::SeqCst);
    world.run(vec![say("i", "stop")]).await;
    world.run(vec![say("j", "ok")]).await;
    assert_eq!(world.seen.take(), ["Begun i", "Called i", "Stopped ", "Failed i", "PutOff j"]);
    let several = errand_engine::Received { message: message("k"), work: Ok(vec![envelope("l", "ok"), envelope("m", "ok")]) };
    world.sending();
    world.run(vec![several]).await;
    assert_eq!(world.seen.take(), ["SentOn k"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_and_a_bulk_are_told_call_by_call() {
    let (world, legs) = World::routed(r#"{"pay":[{"leg":"first"},{"leg":"second"}]}"#).unwrap();
    legs.does("first", "down");
    let pay = Envelope { task: "pay".to_owned(), ..envelope("a", "ok") };
    world.run(vec![record(pay)]).await;
    assert_eq!(world.seen.take(), ["Begun a", "Called a", "LeftToNext a", "Called a", "Delivered a"]);
    world.run(vec![record(bulk("b", "act", &["ok", "reject"]))]).await;
    assert_eq!(world.seen.take(), ["Begun b", "Called b-0", "Called b-1", "GivenUp b"]);
    assert_eq!(world.buried(), [("b".to_owned(), ErrorKind::Rejected)]);
}
