//! Transports by name: whom a task is handed to, and what is said of those that there are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{
    future::pending,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use errand_core::{
    BODY_LIMIT, Backends, Change, Destinations, Dispatch, Envelope, Environment, FollowUp, Init, Lookup, OptionError, Problems,
    PublishError, Published, Results, Status, Timestamp, Transport, TransportLimits,
};
use errand_enqueue::{Enqueue, backends};
use errand_transport_console::Console;
use serde::Deserialize;
use serde_json::{Value, json};
use world::{Kept, SOON, World, mail, pointers, request, told, with};

fn theirs(task: &str) -> Value {
    json!({ "task": task, "kwargs": { "anything": 1 }, "backend": "partner", "queue": "returns" })
}

#[tokio::test]
async fn a_task_goes_to_the_transport_that_it_names_and_says_there_no_more_where_to() {
    let world = World::new();
    let mut task = theirs("no.task.of.ours");
    task["id"] = json!("a");
    let (status, answer) = world.post(&task).await;
    assert_eq!((status, &answer["backend"], &answer["status"]), (202, &json!("partner"), &json!("SUCCESSFUL")));
    assert_eq!((&answer["return_value"], &answer["attempts"]), (&json!({ "message_id": "m-1" }), &json!(1)), "it ends with the hand-over");
    let handed = world.partner.envelopes.lock().unwrap()[0].clone();
    assert_eq!((handed.backend, handed.destination.as_deref(), handed.queue.as_str()), (None, Some("returns"), "default"));
    let (_, header) = world.store.get("a").await.unwrap().unwrap();
    assert_eq!((header.backend.as_deref(), header.destination.as_deref()), (Some("partner"), Some("returns")));
    // After the broker's word nothing is sent again.
    let (_, again) = world.post(&task).await;
    assert_eq!((&again["idempotent_replayed"], &again["status"], world.queued()), (&json!(true), &json!("SUCCESSFUL"), 1));
    assert!(matches!(world.store.cancel("a", Timestamp::now()).await, Ok(Change::Refused(_))));
    let home = with("backend", json!("soon"));
    assert_eq!(world.post(home).await.1["backend"], "soon");
    assert_eq!(world.soon.envelopes.lock().unwrap()[0].backend, None);
}

#[tokio::test]
async fn a_route_hands_its_tasks_over_unless_they_say_otherwise() {
    let world = World::new();
    let (status, answer) = world.post(json!({ "task": "theirs.ship", "kwargs": { "n": 1 } })).await;
    assert_eq!((status, &answer["backend"]), (202, &json!("partner")));
    let event = json!({ "specversion": "1.0", "id": "7", "source": "/shop", "type": "theirs.ship", "data": { "n": 1 } });
    let mut event = request("POST", "/v1/events", event);
    event.headers_mut().insert("content-type", "application/cloudevents+json".parse().unwrap());
    assert_eq!(world.enqueue.handle(&event).await.status(), 202);
    let handed = world.partner.envelopes.lock().unwrap().clone();
    assert_eq!(handed.iter().map(|envelope| envelope.destination.as_deref()).collect::<Vec<_>>(), [Some("orders"); 2]);
    for own in [json!({ "task": "theirs.ship", "destination": "returns" }), json!({ "task": "theirs.ship", "queue": "returns" })] {
        assert_eq!(world.post(own).await.0, 202);
        let handed = world.partner.envelopes.lock().unwrap().pop().unwrap();
        assert_eq!((handed.destination.as_deref(), handed.queue.as_str()), (Some("returns"), "default"));
    }
    assert_eq!(world.post(json!({ "task": "theirs.ship", "backend": "soon" })).await.1["backend"], "soon");
}

#[tokio::test]
async fn a_queue_that_a_transport_does_not_list_is_refused_with_those_that_it_has() {
    let world = World::new();
    let told = |pointer: &str| json!([{ "pointer": pointer, "detail": "is no queue of partner, which has: orders, returns" }]);
    let email = json!({ "to": ["a@example.com"], "subject": "s", "body": "b" });
    for (path, body, pointer) in [
        ("/v1/tasks", json!({ "task": "x", "backend": "partner", "queue": "slow" }), "/queue"),
        ("/v1/tasks", json!({ "task": "x", "backend": "partner", "queue": "default" }), "/queue"),
        ("/v1/tasks", json!({ "task": "theirs.ship", "destination": "b:c" }), "/destination"),
        ("/v1/tasks", json!({ "task": "theirs.ship", "queue": "b:c" }), "/queue"),
        ("/v1/notifications", json!({ "channels": { "email": email }, "backend": "partner", "queue": "slow" }), "/queue"),
    ] {
        let (status, problem) = world.post_to(path, &body).await;
        assert_eq!((status, &problem["errors"]), (422, &told(pointer)), "{body}");
    }
    let channels = json!({ "theirs.ship": {}, "email": email });
    let (status, answer) = world.post_to("/v1/notifications", json!({ "channels": channels, "queue": "slow" })).await;
    assert_eq!((status, answer["tasks"][0]["backend"].as_str()), (207, Some("soon")), "each goes its own way: {answer}");
    assert!(answer["tasks"][1]["detail"].as_str().unwrap().ends_with("is no queue of partner, which has: orders, returns"), "{answer}");
    let first = json!({ "task": "x", "backend": "partner" });
    assert_eq!(world.post(first).await.0, 202);
    assert_eq!(world.partner.envelopes.lock().unwrap()[0].destination.as_deref(), Some("orders"), "it has no default");
}

#[tokio::test]
async fn what_a_transport_cannot_hold_back_waits_with_its_name_where_everything_waits() {
    let world = World::new();
    let mut task = theirs("x");
    for (countdown, waits) in [(900, &world.soon), (901, &world.late)] {
        task["countdown"] = json!(countdown);
        let (status, answer) = world.post(&task).await;
        assert_eq!((status, &answer["backend"], &answer["status"]), (202, &json!("partner"), &json!("SCHEDULED")));
        let held = waits.envelopes.lock().unwrap()[0].clone();
        assert_eq!(
            (held.backend.as_deref(), held.destination.as_deref(), held.queue.as_str()),
            (Some("partner"), Some("returns"), "default")
        );
    }
    task["kwargs"] = json!({ "text": "x".repeat(BODY_LIMIT + 1) });
    let mut world = world;
    let (status, problem) = world.post(&task).await;
    assert_eq!(status, 413, "it could not be handed over when it is due: {problem}");
    world.enqueue.dispatch = world.enqueue.dispatch.with_hold(None);
    let (status, problem) = world
        .post(
            with("backend", json!("partner"))
                .as_object()
                .map(|task| {
                    let mut task = Value::from(task.clone());
                    task["countdown"] = json!(901);
                    task
                })
                .unwrap(),
        )
        .await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(status == 422 && detail.starts_with("a task can be delayed by 900 seconds at most"), "{problem}");
}

#[tokio::test]
async fn what_workers_leave_is_asked_for_from_before_they_have_it() {
    let world = World::new().reading();
    let mut task = theirs("x");
    (task["id"], task["callback_url"]) = (json!("a"), json!("https://example.com/hook"));
    let (status, answer) = world.post(&task).await;
    assert_eq!(
        (status, &answer["status"], &answer["attempts"], &answer["return_value"]),
        (202, &json!("RUNNING"), &json!(1), &Value::Null)
    );
    let handed = world.partner.envelopes.lock().unwrap()[0].clone();
    assert_eq!((handed.backend, handed.callback_url), (None, None), "it is for us to tell how it ends");
    let (known, header) = world.store.get("a").await.unwrap().unwrap();
    assert_eq!((known.status, known.callback_url.as_deref()), (Status::Running, Some("https://example.com/hook")));
    let question = FollowUp::of(&world.soon.envelopes.lock().unwrap()[0]).unwrap();
    assert_eq!((question.id.as_str(), question.attempt, Some(&question.handed_on)), ("a", 1, header.handed_on.as_ref()));
    let waited_for = question.handed_on.until.since(question.handed_on.at);
    assert_eq!((question.handed_on.transport.as_str(), waited_for), ("partner", Duration::from_secs(3600)));
    assert!(matches!(world.store.cancel("a", Timestamp::now()).await, Ok(Change::Refused(_))));
    let (_, again) = world.post(&task).await;
    assert_eq!((&again["idempotent_replayed"], &again["status"], world.queued()), (&json!(true), &json!("RUNNING"), 2));

    // One that nobody can name again is noted with the word of who took it.
    let (_, answer) = world.post(theirs("x")).await;
    let (known, header) = world.store.get(answer["id"].as_str().unwrap()).await.unwrap().unwrap();
    assert!(known.status == Status::Running && header.handed_on.is_some());
    let mut bulk = theirs("x");
    (bulk["context"], bulk["kwargs"]) = (json!({ "bulk": true }), json!([{}, {}]));
    assert_eq!(world.post(bulk).await.1["status"], "SUCCESSFUL", "of a bulk nobody could tell which payload a result is of");

    // Nobody could ask: nothing is sent. Of a batch, to whom that is so alone.
    let mut world = World::new().reading();
    world.enqueue.dispatch = Dispatch::of("soon", Arc::new(Kept::of(SOON, Some(PublishError::Unavailable("down".to_owned())))))
        .with("partner", Arc::new(world.partner.clone()), Destinations::of(["returns"]))
        .with("other", Arc::new(world.late.clone()), Destinations::of(["returns"]));
    world.enqueue.payloads = world.enqueue.payloads.with_transports(world.enqueue.dispatch.transports());
    let mut other = theirs("x");
    other["backend"] = json!("other");
    let (status, answer) = world.post_to("/v1/tasks/batch", json!({ "tasks": [theirs("x"), other, theirs("x")] })).await;
    let told: Vec<&Value> = answer["tasks"].as_array().unwrap().iter().map(|task| &task["status"]).collect();
    assert_eq!((status, told), (207, vec![&json!(503), &json!("SUCCESSFUL"), &json!(503)]));
    assert_eq!((world.partner.envelopes.lock().unwrap().len(), world.late.envelopes.lock().unwrap().len()), (0, 1));

    // Without a table nobody knows of it.
    let mut world = World::new().reading();
    world.enqueue.store = None;
    let (_, answer) = world.post(theirs("x")).await;
    assert_eq!((answer["status"].as_str(), world.queued()), (Some("SUCCESSFUL"), 1));
}

#[tokio::test]
async fn what_a_transport_does_not_take_is_answered_with_its_name() {
    let unavailable = PublishError::Unavailable("Redis: refused".to_owned());
    for (answer, status, detail) in [
        (unavailable, 503, "the transport partner does not answer; nothing was queued. Try again"),
        (
            PublishError::Misconfigured("NOAUTH".to_owned()),
            503,
            "the transport partner is misconfigured; nothing was queued. Its operator finds the reason in the log",
        ),
        (PublishError::TooLarge { limit: 7 }, 413, "the task is larger than the 7 bytes that the transport partner takes"),
        (PublishError::Refused("no such topic".to_owned()), 422, "partner: no such topic"),
        (
            PublishError::OutcomeUnknown("reset".to_owned()),
            503,
            "the transport partner was sent it and did not answer: it may be there. Try again with the same id or Idempotency-Key, and it may be there twice, under that id",
        ),
    ] {
        let passes = answer.passes();
        let world = World::answering(Some(answer));
        let response = world.enqueue.handle(&request("POST", "/v1/tasks", theirs("x"))).await;
        assert_eq!(response.headers().contains_key("retry-after"), passes, "{detail}");
        let (told, problem) = told(&response);
        assert_eq!((told, problem["detail"].as_str()), (status, Some(detail)));
        let (status, answer) = world.post_to("/v1/tasks/batch", json!({ "tasks": [theirs("x"), theirs("y")] })).await;
        assert_eq!((status, answer["tasks"][1]["detail"].as_str()), (207, Some(detail)));
    }
}

#[tokio::test]
async fn a_transport_that_is_not_there_is_refused_by_name_and_nothing_is_sent() {
    let world = World::new();
    let told_of = json!([{ "pointer": "/backend", "detail": "is no transport that is known here; known are: partner, soon" }]);
    for (path, body) in [
        ("/v1/tasks", with("backend", json!("partnr"))),
        ("/v1/notifications", json!({ "channels": { "email": mail()["kwargs"] }, "backend": "partnr" })),
    ] {
        let (status, problem) = world.post_to(path, body).await;
        assert_eq!((status, &problem["errors"]), (422, &told_of), "{path}");
    }
    for (name, value) in [("backend", json!("a b")), ("backend", json!(7)), ("destination", json!("")), ("destination", json!("a\n"))] {
        let (status, problem) = world.post(with(name, value.clone())).await;
        assert_eq!((status, pointers(&problem)), (422, vec![format!("/{name}").as_str()]), "{value}");
    }
    let (status, problem) = world.post(with("destination", json!("orders"))).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["/destination"]));
    let batch = json!({ "tasks": [with("backend", json!("partnr")), with("backend", json!("partner")), mail()] });
    let (status, answer) = world.post_to("/v1/tasks/batch", batch).await;
    assert_eq!((status, &answer["tasks"][0]["status"], &answer["tasks"][1]["backend"]), (207, &json!(422), &json!("partner")));
    assert_eq!((answer["tasks"][2]["backend"].as_str(), world.queued()), (Some("soon"), 2));
}

/// What a third party writes: options, a transport.
struct Mine {
    silent: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    broker: String,
    #[serde(default)]
    silent: bool,
}

impl Transport for Mine {
    const BACKEND: &'static str = "mine";
    type Options = Options;

    fn new(alias: &str, Options { broker, silent }: Options, _: &Init) -> Result<Self, OptionError> {
        if broker.is_empty() {
            return Err(Problems::at("/broker", format!("expected the broker of {alias}")).into());
        }
        Ok(Self { silent })
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::ZERO, bytes: 1000 }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        envelopes.iter().map(|envelope| Ok(Published { message_id: envelope.destination.clone() })).collect()
    }

    async fn check(&self) -> Result<(), PublishError> {
        if self.silent { pending().await } else { Ok(()) }
    }
}

fn own(backends: &mut Backends<true>) {
    errand_enqueue::backends(backends);
    backends.add::<Mine>();
    backends.add::<Console>();
}

fn enqueue(fill: impl FnOnce(&mut Backends<true>), vars: &[(&str, &str)]) -> Result<Enqueue, String> {
    let aws = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("ERRAND_QUEUE_URL", "https://sqs/1/main"),
    ];
    let env: Environment = aws.iter().chain(vars).copied().collect();
    let enqueue = Enqueue::from_env(&env, fill).map_err(|error| error.to_string())?;
    Ok(Enqueue { access: enqueue.access.open_without_keys(), ..enqueue })
}

fn lines(file: &Path) -> Vec<Value> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn one_kind_is_there_under_two_names_beside_a_third_partys() {
    let folder = tempfile::tempdir().unwrap();
    let [audit, trial] = ["audit", "trial"].map(|name| folder.path().join(name));
    let transports = json!({
        "audit": { "backend": "console", "queues": [], "options": { "file": audit } },
        "trial": { "backend": "console", "options": { "file": trial } },
        "kafka": { "backend": "mine", "queues": ["topic"], "options": { "broker": "b:9092" } },
    });
    let routes = r#"{"ours.*":{"http":"https://example.com"},"ours.mail":{"task":"email"},"listed":["ses",{"transport":"trial"}]}"#;
    let settings =
        [("ERRAND_TRANSPORTS", transports.to_string()), ("ERRAND_TRANSPORT", "audit".to_owned()), ("ERRAND_ROUTES", routes.to_owned())];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let enqueue = enqueue(own, &settings).unwrap();
    let post = async |task: &Value| told(&enqueue.handle(&request("POST", "/v1/tasks", task)).await);
    for (task, backend) in [
        (json!({ "task": "any", "id": "1" }), "audit"),
        (json!({ "task": "any", "id": "2", "queue": "a:b" }), "audit"),
        (json!({ "task": "any", "id": "3", "backend": "trial" }), "trial"),
        (json!({ "task": "any", "id": "4", "backend": "kafka", "queue": "topic" }), "kafka"),
    ] {
        let (status, answer) = post(&task).await;
        assert_eq!((status, answer["backend"].as_str()), (202, Some(backend)), "{answer}");
    }
    let audited = lines(&audit);
    assert_eq!(audited[0], json!({ "task": "any", "id": "1", "queue": "default", "backend": "audit", "destination": "default" }));
    assert_eq!((audited.len(), &audited[1]["destination"], lines(&trial)[0]["id"].as_str()), (2, &json!("a:b"), Some("3")));
    let (status, _) = post(&json!({ "task": "any", "backend": "sqs" })).await;
    assert_eq!(status, 422, "what our own consumer is to run must be a task that is known");
    for ours in ["ours.x", "ours.mail", "listed"] {
        let (_, problem) = post(&json!({ "task": ours, "queue": "slwo" })).await;
        assert_eq!(problem["errors"][0]["detail"], "is no queue that is known here; known are: default", "{ours} is for our own queue");
    }
}

#[tokio::test]
async fn health_asks_all_at_once_and_tells_by_name_who_is_silent() {
    let transports = r#"{"a":{"backend":"mine","options":{"broker":"x","silent":true}},"b":{"backend":"mine","options":{"broker":"x","silent":true}},"c":{"backend":"mine","options":{"broker":"x"}}}"#;
    let enqueue = enqueue(own, &[("ERRAND_TRANSPORTS", transports)]).unwrap();
    let started = Instant::now();
    let (status, health) = told(&enqueue.handle(&request("GET", "/v1/health", "")).await);
    assert!(started.elapsed() < Duration::from_secs(4), "one does not wait for another: {:?}", started.elapsed());
    let checks = &health["checks"];
    let silent = json!("does not answer within 2 seconds");
    assert_eq!((status, &checks["a"], &checks["b"], &checks["c"]), (503, &silent, &silent, &json!("ok")));
    assert!(checks["sqs"].as_str().is_some_and(|told| told != "ok"), "{health}");
}

#[test]
fn a_wrong_setting_is_named_with_the_place_in_it() {
    let error = |transports: &str| enqueue(own, &[("ERRAND_TRANSPORTS", transports)]).err().unwrap();
    for (transports, told) in [
        ("[]", "ERRAND_TRANSPORTS: expected a JSON object, got an array"),
        (r#"{"a":{}}"#, "ERRAND_TRANSPORTS: /a/backend: is required"),
        (r#"{"a":{"backend":"mine","option":{}}}"#, "ERRAND_TRANSPORTS: /a/option: "),
        (r#"{"a b":{"backend":"mine"}}"#, "ERRAND_TRANSPORTS: /a b/backend: stands under no name of a transport"),
        (r#"{"a":{"backend":"kafka"}}"#, "ERRAND_TRANSPORTS: /a/backend: this build has no transport kafka; it has: console, "),
        (r#"{"a":{"backend":"mine","options":{"broker":7}}}"#, "ERRAND_TRANSPORTS: /a/options/broker: expected a string, got a number"),
        (r#"{"a":{"backend":"mine","options":{"broker":""}}}"#, "ERRAND_TRANSPORTS: /a/options/broker: expected the broker of a"),
        (r#"{"a":{"backend":"mine","options":{"broker":"x","surprise":1}}}"#, "ERRAND_TRANSPORTS: /a/options/surprise: "),
        (r#"{"a":{"backend":"sqs"}}"#, "ERRAND_TRANSPORTS: /a/options/url: is required"),
        (r#"{"a":{"backend":"console","queues":"x"}}"#, "ERRAND_TRANSPORTS: /a/queues: expected an array"),
        (r#"{"a":{"backend":"console","queues":["x","x"]}}"#, "ERRAND_TRANSPORTS: /a/queues/1: is there twice"),
        (
            r#"{"a":{"backend":"sqs","queues":["default","x"],"options":{"url":"https://sqs/2/q"}}}"#,
            "ERRAND_TRANSPORTS: /a/queues/1: there is no queue of this name; there are: default",
        ),
        (r#"{"sqs":{"backend":"console"}}"#, "ERRAND_TRANSPORTS: /sqs: is what this deployment's own consumer works off"),
    ] {
        let error = error(transports);
        assert!(error.starts_with(told), "{transports}: {error}");
    }
    let routes = |routes: &str| enqueue(backends, &[("ERRAND_ROUTES", routes)]).err().unwrap_or_default();
    assert_eq!(routes(r#"{"a":{"transport":"x"}}"#), "ERRAND_ROUTES: a: x is no transport that is known here; known are: sqs");
    assert!(routes(r#"{"a":{"transport":"sqs","topic":"x"}}"#).starts_with("ERRAND_ROUTES: a: /topic: "));
    let home = "ERRAND_ROUTES: email: sqs is this deployment's own queue: name what is to do it, or leave the route out";
    assert_eq!(routes(r#"{"email":{"transport":"sqs"}}"#), home);
    assert_eq!(routes(r#"{"email":["ses",{"transport":"sqs"}]}"#), home);
    let default = enqueue(backends, &[("ERRAND_TRANSPORT", "x")]).err().unwrap();
    assert_eq!(default, "ERRAND_TRANSPORT: there is no transport x; ERRAND_TRANSPORTS names: sqs");
}
