//! What is told to others, and done by them: callbacks, remote workers, functions, routes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use errand_core::{
    Attempt, DeliveryError, Envelope, Environment, ErrorKind, Init, Job, Lookup, Outcome, Provider, Ran, Receipt, Registry, Report,
    Results, Runner, SettingsError, Status, TaskResult,
};
use serde::Deserialize;
use serde_json::{Value, json};
use world::*;

/// The ids of the callbacks, and the results that they tell.
fn told(sent: &Sent) -> Vec<(String, Value)> {
    let envelopes = sent.envelopes.lock().unwrap();
    let body = |callback: &Envelope| serde_json::from_str::<Value>(callback.payload()).unwrap()["body"].clone();
    envelopes.iter().map(|callback| (callback.id.clone(), body(callback))).collect()
}

fn with_callback(id: &str, script: &str) -> Envelope {
    Envelope { callback_url: Some("https://example.com/hook".to_owned()), ..envelope(id, script) }
}

#[tokio::test(start_paused = true)]
async fn the_result_is_called_back_however_it_ends() {
    let mut world = World::new();
    let sent = world.sending();
    let late = Envelope { expires: Some(START), ..with_callback("late", "ok") };
    world.run(vec![record(with_callback("a", "ok")), record(with_callback("b", "reject")), record(late), say("c", "ok")]).await;
    let mut told: Vec<(String, String)> = told(&sent)
        .iter()
        .map(|(_, result)| (result["id"].as_str().unwrap().to_owned(), result["status"].as_str().unwrap().to_owned()))
        .collect();
    told.sort();
    let wanted = [("a", "SUCCESSFUL"), ("b", "FAILED"), ("late", "EXPIRED")];
    assert_eq!(told, wanted.map(|(id, status)| (id.to_owned(), status.to_owned())));
    let callback = sent.envelopes.lock().unwrap()[0].clone();
    assert_eq!((callback.task.as_str(), callback.callback_url, callback.max_attempts), (TaskResult::CALLBACK, None, Some(10)));
}

#[tokio::test(start_paused = true)]
async fn a_callback_is_sent_again_on_a_schedule_of_its_own() {
    let world = routed(r#"{"callback":{"task":"act"}}"#).unwrap();
    let callback = Envelope { task: TaskResult::CALLBACK.to_owned(), max_attempts: Some(10), ..envelope("told", "fail") };
    let waits: Vec<u64> = world.until_gone(&callback, Duration::from_secs(30)).await.iter().map(Duration::as_secs).collect();
    assert_eq!(waits, [5, 300, 1800, 7200, 18_000, 36_000, 39_600, 39_600, 39_600]);
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_could_not_be_sent_is_sent_when_the_message_comes_again_and_the_task_is_not_done_again() {
    let mut world = World::new();
    let sent = world.sending();
    sent.down.store(true, Ordering::SeqCst);
    assert_eq!(world.run(vec![record(with_callback("a", "ok"))]).await, ["a"]);
    assert_eq!((world.delivered(), world.status("a").await), (vec!["a".to_owned()], Some(Status::Successful)));
    sent.down.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        assert!(world.run(vec![record(with_callback("a", "ok"))]).await.is_empty());
    }
    let told = told(&sent);
    assert_eq!((world.delivered().len(), told.len()), (1, 2), "a twin sends it again");
    assert_eq!(told[0], told[1], "under the same id, and so it is told once");
}

#[tokio::test(start_paused = true)]
async fn without_a_store_what_is_known_is_told_and_nothing_is_done_twice_for_it() {
    let mut world = World::without_store();
    let sent = world.sending();
    assert!(world.run(vec![record(with_callback("a", "ok"))]).await.is_empty());
    let (_, result) = told(&sent).remove(0);
    assert_eq!((&result["id"], &result["status"], &result["attempts"]), (&json!("a"), &json!("SUCCESSFUL"), &json!(1)));
    sent.down.store(true, Ordering::SeqCst);
    assert!(world.run(vec![record(with_callback("b", "ok"))]).await.is_empty());
}

/// Hands everything over, and keeps where it is to be reported.
#[derive(Clone, Default)]
struct Elsewhere(Arc<Mutex<Vec<(String, String)>>>);

thread_local! {
    static ELSEWHERE: Elsewhere = Elsewhere::default();
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    elsewhere: String,
}

impl Runner for Elsewhere {
    const NAME: &'static str = "elsewhere";
    type Route = Route;

    fn new(_: &Environment, _: &Init) -> Result<Self, SettingsError> {
        Ok(ELSEWHERE.with(Clone::clone))
    }

    fn check(&self, route: &Route) -> Result<(), String> {
        if route.elsewhere.is_empty() { Err("elsewhere: expected a place".to_owned()) } else { Ok(()) }
    }

    fn timeout(&self, _: &Route) -> Duration {
        Duration::from_secs(5)
    }

    async fn run(&self, route: &Route, job: &Job<'_>) -> Result<Ran, DeliveryError> {
        match job.report {
            Some(report) if route.elsewhere != "down" => {
                self.0.lock().unwrap().push((report.url.clone(), report.token.expose().to_owned()));
                Ok(Ran::Handed(Duration::from_secs(600)))
            }
            None if route.elsewhere != "down" => Ok(Ran::Done(json!(job.to_json()).into())),
            _ => Err(DeliveryError::new(ErrorKind::Unavailable, "HTTP 503")),
        }
    }
}

fn routed(routes: &str) -> Result<World, SettingsError> {
    routed_with(routes, |_| {})
}

fn routed_with(routes: &str, more: impl FnOnce(&mut Registry)) -> Result<World, SettingsError> {
    let mut world = World::new();
    more(&mut world.engine.registry);
    let env: Environment = [("ERRAND_ROUTES", routes)].into_iter().collect();
    world.engine.registry.add_runner::<Elsewhere>(&env, &Init::default())?;
    world.engine.registry.read_routes(&env)?;
    Ok(world)
}

fn task(id: &str, task: &str) -> Envelope {
    Envelope { task: task.to_owned(), ..envelope(id, "ok") }
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_over_is_the_workers_until_it_reports_or_is_given_up_for_dead() {
    let mut world = routed(r#"{"far.*":{"elsewhere":"x"}}"#).unwrap();
    world.engine.api_url = Some("https://api.example/".to_owned());
    assert_eq!(world.run(vec![record(task("a/1", "far.away"))]).await, ["a/1"], "the message stays, for the case that nobody reports");
    assert_eq!((world.hidden("a/1"), world.status("a/1").await), (Some(Duration::from_secs(600)), Some(Status::Running)));
    let (url, token) = ELSEWHERE.with(|elsewhere| elsewhere.0.lock().unwrap().remove(0));
    assert_eq!(url, "https://api.example/v1/tasks/a%2F1/result");
    assert_eq!(world.run(vec![record(task("a/1", "far.away"))]).await, ["a/1"], "a twin waits");
    tokio::time::sleep(Duration::from_secs(600)).await;
    world.run(vec![record(task("a/1", "far.away"))]).await;
    let (_, second) = ELSEWHERE.with(|elsewhere| elsewhere.0.lock().unwrap().remove(0));
    let now = world.engine.clock.now();
    let report = async |token: &str| world.store.report("a/1", token, &Outcome::Succeeded(json!(7).into()), now).await.unwrap();
    assert_eq!(report(&token).await, Report::Unknown, "who was given up for dead reports nothing");
    assert!(matches!(report(&second).await, Report::Recorded(result) if result.return_value.get() == "7"));
    assert!(world.run(vec![record(task("a/1", "far.away"))]).await.is_empty(), "and then the message goes");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_reported_the_answer_is_the_result() {
    let world = routed(r#"{"far.*":{"elsewhere":"x"}}"#).unwrap();
    assert!(world.run(vec![record(task("a", "far.away"))]).await.is_empty());
    let value = world.store.get("a").await.unwrap().unwrap().0.return_value;
    let sent: Value = serde_json::from_str(&value.read::<String>().unwrap()).unwrap();
    assert_eq!(sent, json!({ "task": "far.away", "args": [], "kwargs": { "do": "ok" }, "id": "a", "attempt": 1 }));
}

#[tokio::test(start_paused = true)]
async fn a_task_is_done_by_another_whose_payload_is_made_of_its_arguments() {
    let world = routed(r#"{"mine.*":{"task":"act","payload":{"do":"/args/1/script"}},"same":{"task":"act"}}"#).unwrap();
    let args = |json: &str| Some(serde_json::value::RawValue::from_string(json.to_owned()).unwrap());
    let mine = Envelope { args: args(r#"[0,{"script":"ok"}]"#), kwargs: None, ..task("a", "mine.own") };
    let lacking = Envelope { args: args("[]"), kwargs: None, ..task("b", "mine.own") };
    assert!(world.run(vec![record(mine), record(lacking), record(task("c", "same"))]).await.is_empty());
    assert_eq!(
        (world.delivered(), world.buried()),
        (vec!["a".to_owned(), "c".to_owned()], vec![("b".to_owned(), ErrorKind::InvalidPayload)])
    );
    assert_eq!(world.store.get("a").await.unwrap().unwrap().0.task, "mine.own", "it keeps its name");
}

#[test]
fn a_route_that_cannot_be_is_refused_at_the_start() {
    for (routes, part) in [
        (r#"{"a":{"task":"pigeon"}}"#, "a: this build has no task pigeon"),
        (r#"{"a":{"task":"act","payloads":{}}}"#, "a: /payloads: is not known here; did you mean payload?"),
        (r#"{"a":{"elsewhere":""}}"#, "a: elsewhere: expected a place"),
        (r#"{"a":{"nowhere":"x"}}"#, "a: expected task, or one of the runners of this build: elsewhere"),
        (r#"{"a":"pigeon"}"#, "a: there is no provider pigeon"),
        (r#"{"a":{"elsewhere":7}}"#, "a: /elsewhere: expected a string, got a number"),
        (r#"{"a":{"elsewhere":"x","timout":7}}"#, "a: /timout: expected elsewhere"),
        (r#"{"a":"function"}"#, "a: this build has no function of that name"),
        (r#"{"a":{"task":"b"},"b":[{"elsewhere":"x"},{"task":"c"}],"c":{"task":"a"}}"#, "a: it leads back to itself: a > b > c > a"),
        (r#"{"a.*":{"task":"a.b"}}"#, "a.*: it leads back to itself: a.* > a.*"),
        (r#"{"a":{"task":"a"}}"#, "a: this build has no task a"),
    ] {
        let error = routed(routes).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[derive(Deserialize)]
struct Ship {
    order: u64,
    #[serde(default)]
    express: bool,
}

#[tokio::test(start_paused = true)]
async fn a_function_is_given_its_arguments_and_its_value_is_the_result() {
    let ships = |registry: &mut Registry| {
        registry.task("orders.ship", async |Ship { order, express }: Ship, attempt: Attempt| match order {
            0 => Err(DeliveryError::new(ErrorKind::Rejected, "there is no such order")),
            _ => Ok(json!({ "order": order, "express": express, "by": attempt.key })),
        });
    };
    let world = routed_with(r#"{"*":{"elsewhere":"down"},"orders.ship":"function"}"#, ships).unwrap();
    let json = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).ok();
    let ship = |id: &str, args: Option<&str>, kwargs: Option<&str>| {
        record(Envelope { args: args.and_then(json), kwargs: kwargs.and_then(json), ..task(id, "orders.ship") })
    };
    let batch = vec![
        ship("named", None, Some(r#"{"order":7,"express":true}"#)),
        ship("placed", Some("[8]"), Some("{}")),
        ship("none", None, Some(r#"{"order":0}"#)),
        ship("wrong", None, Some(r#"{"order":"hunter2"}"#)),
        ship("both", Some("[8]"), Some(r#"{"order":8}"#)),
    ];
    assert!(world.run(batch).await.is_empty());
    let value = async |id: &str| world.store.get(id).await.unwrap().unwrap().0;
    assert_eq!(value("named").await.return_value, json!({ "order": 7, "express": true, "by": "named" }).into());
    assert_eq!(value("placed").await.return_value, json!({ "order": 8, "express": false, "by": "placed" }).into());
    let mut buried = world.buried();
    buried.sort_by(|a, b| a.0.cmp(&b.0));
    let wanted = [("both", ErrorKind::InvalidPayload), ("none", ErrorKind::Rejected), ("wrong", ErrorKind::InvalidPayload)];
    assert_eq!(buried, wanted.map(|(id, kind)| (id.to_owned(), kind)));
    let told = value("wrong").await.errors.remove(0).traceback;
    assert_eq!(told, "/kwargs/order: expected a whole number that is not negative, got a string");
}

/// Another provider that does what [`Actor`] does.
#[derive(Clone)]
struct Other(Actor);

impl Provider for Other {
    const NAME: &'static str = "other";
    const TASKS: &'static [&'static str] = Actor::TASKS;
    type Payload = Script;

    fn new(_: &Environment, _: &Init) -> Result<Self, SettingsError> {
        Ok(Self(Actor::default()))
    }

    async fn deliver(&self, payload: Script, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        self.0.deliver(payload, attempt).await
    }
}

#[tokio::test(start_paused = true)]
async fn where_two_providers_do_a_task_its_route_says_which() {
    let other = Other(Actor::default());
    let with = |routes: &str| routed_with(routes, |registry| registry.insert(other.clone()));
    for silent in ["{}", r#"{"*":"other"}"#, r#"{"mine":{"task":"act"}}"#] {
        let error = with(silent).err().unwrap().to_string();
        assert_eq!(error, "ERRAND_ROUTES: act: actor and other do it: say which, or in which order");
    }
    let world = with(r#"{"act":"other","mine":{"task":"act"},"ours":{"task":"mine"}}"#).unwrap();
    assert!(world.run(vec![say("a", "ok"), record(task("b", "mine")), record(task("c", "ours"))]).await.is_empty());
    let mut done = other.0.delivered.lock().unwrap().clone();
    done.sort();
    assert_eq!((world.delivered().len(), done), (0, vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]), "a mapping follows it");
    let world = with(r#"{"act":["actor","other"]}"#).unwrap();
    assert!(world.run(vec![say("d", "ok")]).await.is_empty());
    assert_eq!(world.delivered(), ["d"]);

    // A function is another one as well; one of the same name stands in for the one before.
    let error = routed_with("{}", |registry| registry.task("act", async |(): (), _: Attempt| Ok(7))).err().unwrap().to_string();
    assert!(error.contains("actor and function do it"), "{error}");
    let stand_in = Actor::default();
    let world = routed_with("{}", |registry| registry.insert(stand_in.clone())).unwrap();
    assert!(world.run(vec![say("e", "ok")]).await.is_empty());
    assert_eq!((world.delivered().len(), stand_in.delivered.lock().unwrap().len()), (0, 1));
}
