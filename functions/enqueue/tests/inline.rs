//! Tasks that are run before their call is answered, whatever becomes of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{sync::Arc, time::Duration};

use errand_core::{
    Attempt, Begin, Claim, Claims, Clock, DeliveryError, Destinations, Envelope, Environment, ErrorKind, Fields, Init, Lookup, Payload,
    Provider, Receipt, Registry, SettingsError, Timestamp,
};
use errand_engine::Policy;
use errand_enqueue::Enqueue;
use errand_inline::Inline;
use errand_runtime::TokioClock;
use serde_json::{Value, json};
use world::World;

/// Does what its payload says.
struct Actor;

struct Script(String);

impl Payload for Script {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.required("do").map(Self)
    }
}

impl Provider for Actor {
    const NAME: &'static str = "actor";
    const TASKS: &'static [&'static str] = &["act"];
    type Payload = Script;

    fn new(_: &Environment, _: &Init) -> Result<Self, SettingsError> {
        Ok(Self)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn deliver(&self, Script(script): Script, _: &Attempt) -> Result<Receipt, DeliveryError> {
        match script.as_str() {
            "fail" => Err(DeliveryError::new(ErrorKind::Unavailable, "HTTP 503")),
            "stop" => Err(DeliveryError::new(ErrorKind::Misconfigured, "token_revoked").stopping()),
            _ => Ok(Receipt::message_id(&script)),
        }
    }
}

/// A world in which a call has so much time.
fn world(time: Duration) -> World {
    let (mut world, inline, mut registry) = (World::new(), Inline::default(), Registry::default());
    world.enqueue.dispatch = world.enqueue.dispatch.with("now", Arc::new(inline.clone()), Destinations::default());
    world.enqueue.payloads = world.enqueue.payloads.with_transports(world.enqueue.dispatch.transports());
    registry.insert(Actor);
    registry.add_transports(&world.enqueue.dispatch);
    let store = Some(Arc::new(world.store.clone()) as _);
    let engine = Inline::engine(registry, store, &world.enqueue.dispatch, Policy::default(), "w", Arc::new(TokioClock));
    inline.run_by(engine, time);
    world
}

fn act(id: &str, script: &str) -> Value {
    json!({
        "task": "act", "id": id, "kwargs": { "do": script }, "backend": "now", "max_attempts": 9, "callback_url": "https://example.com/hook"
    })
}

#[tokio::test]
async fn a_task_has_one_attempt_and_has_ended_then_which_is_told() {
    let world = world(Duration::from_secs(30));
    for (script, status, error) in [
        ("ok", "SUCCESSFUL", Value::Null),
        ("fail", "FAILED", json!("errand.unavailable")),
        ("stop", "FAILED", json!("errand.misconfigured")),
        // What does it is left alone for a while.
        ("ok", "FAILED", json!("errand.unavailable")),
    ] {
        let id = format!("{script}-{status}");
        let (code, task) = world.post(act(&id, script)).await;
        assert_eq!((code, &task["status"], &task["errors"][0]["exception_class_path"]), (200, &json!(status), &error), "{task}");
        let callback = world.soon.envelopes.lock().unwrap().pop().unwrap();
        assert!(callback.task == "callback" && callback.payload().contains(&id), "{callback:?}");
        assert_eq!((world.post(act(&id, script)).await.1["idempotent_replayed"].clone(), world.queued()), (json!(true), 0));
    }
    let (_, header) = world.store.get("ok-SUCCESSFUL").await.unwrap().unwrap();
    assert_eq!(header.backend.as_deref(), Some("now"));
}

#[tokio::test]
async fn what_there_is_no_time_for_or_another_call_runs_is_told_so() {
    let world = world(Duration::from_secs(2));
    let (code, task) = world.post(act("short", "ok")).await;
    assert_eq!((code, &task["status"]), (200, &json!("FAILED")));
    assert!(task["errors"][0]["traceback"].as_str().unwrap().starts_with("it could not be begun in the time of its call"), "{task}");
    let now = TokioClock.now();
    let envelope = Envelope { fingerprint: None, ..Envelope::new("held".to_owned(), "act".to_owned()) };
    let kwargs = serde_json::value::to_raw_value(&json!({ "do": "ok" })).unwrap();
    let envelope = Envelope { kwargs: Some(kwargs), ..envelope };
    let claim = Claim { envelope: &envelope, now, lease_until: now + Duration::from_secs(60), worker: "w", token: None, backend: "now" };
    assert!(matches!(world.store.begin(&claim).await, Ok(Begin::Claimed { .. })));
    let (code, told) = world.post(act("held", "ok")).await;
    assert_eq!((code, &told["status"], &told["idempotent_replayed"]), (202, &json!("RUNNING"), &json!(true)), "it is under way");
    let late = Timestamp::now() + Duration::from_secs(120);
    assert!(matches!(world.store.begin(&Claim { now: late, ..claim }).await, Ok(Begin::Claimed { died: true, .. })));
}

#[test]
fn it_takes_a_table_and_what_the_providers_take() {
    let begin = |vars: &[(&str, &str)]| {
        let needed = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
            ("ERRAND_QUEUE_URL", "https://sqs/1/main"),
            ("ERRAND_TRANSPORTS", r#"{"now":{"backend":"inline"}}"#),
        ];
        let env: Environment = needed.iter().chain(vars).copied().collect();
        Enqueue::from_env(&env, errand_enqueue::backends).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(begin(&[]), Err("ERRAND_TABLE: must be set".to_owned()));
    assert_eq!(begin(&[("ERRAND_TABLE", "t")]), Ok(()));
    assert!(begin(&[("ERRAND_TABLE", "t"), ("ERRAND_ROUTES", r#"{"email":"pigeon"}"#)]).unwrap_err().contains("pigeon"));
    let routed = begin(&[("ERRAND_TABLE", "t"), ("ERRAND_ROUTES", r#"{"email":{"transport":"now"}}"#)]).unwrap_err();
    assert!(routed.contains("now runs tasks for calls that name it"), "{routed}");
}
