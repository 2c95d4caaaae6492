//! The handler over a store in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use errand_api::Access;
use errand_core::{
    Buried, Claim, DeadLetters, Envelope, Environment, Epitaph, Outbox, Outcome, PublishError, Published, QueueError, Schedule, Schedules,
    Status, Store, TaskError, Timestamp, Transport,
};
use errand_status::Operations;
use errand_store_memory::MemoryStore;
use errand_testkit::transport::envelope;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

/// Keeps what it gets, and what is withdrawn from it.
#[derive(Clone, Default)]
struct Sent {
    envelopes: Arc<Mutex<Vec<Envelope>>>,
    withdrawn: Arc<Mutex<Vec<(String, Timestamp)>>>,
    failing: Arc<AtomicBool>,
}

impl Transport for Sent {
    const NAME: &'static str = "sent";
    const MAX_DELAY: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        if self.failing.load(Ordering::SeqCst) {
            return vec![Err(PublishError::Unavailable("secret".to_owned())); envelopes.len()];
        }
        self.envelopes.lock().unwrap().extend_from_slice(envelopes);
        vec![Ok(Published::default()); envelopes.len()]
    }

    async fn withdraw(&self, id: &str, run_after: Timestamp) -> Result<(), PublishError> {
        self.withdrawn.lock().unwrap().push((id.to_owned(), run_after));
        Ok(())
    }

    async fn check(&self) -> Result<(), PublishError> {
        Ok(())
    }
}

/// A dead-letter queue in memory: the second half of a pair says whether it is hidden.
#[derive(Clone, Default)]
struct Graveyard(Arc<Mutex<Vec<(Buried, bool)>>>);

impl Graveyard {
    fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(letter, _)| letter.key.clone()).collect()
    }

    fn add(&self, key: &str, body: &Value, kind: &str) {
        let letter = Epitaph {
            kind: kind.to_owned(),
            reason: format!("HTTP 400 Because of {key}"),
            attempts: Some(2),
            id: body["id"].as_str().map(ToOwned::to_owned),
            task: body["task"].as_str().map(ToOwned::to_owned),
        };
        let body = body.as_str().map_or_else(|| body.to_string(), ToOwned::to_owned);
        self.0
            .lock()
            .unwrap()
            .push((Buried { key: key.to_owned(), receipt: key.to_owned(), body, buried_at: Timestamp::now(), letter }, false));
    }
}

impl DeadLetters for Graveyard {
    async fn take(&self, _: Duration) -> Result<Vec<Buried>, QueueError> {
        let mut letters = self.0.lock().unwrap();
        let visible = letters.iter_mut().filter(|(_, hidden)| !hidden).take(2);
        Ok(visible
            .map(|(letter, hidden)| {
                *hidden = true;
                letter.clone()
            })
            .collect())
    }

    async fn release(&self, letters: &[Buried]) -> Result<(), QueueError> {
        for (letter, hidden) in self.0.lock().unwrap().iter_mut() {
            *hidden &= !letters.iter().any(|released| released.key == letter.key);
        }
        Ok(())
    }

    async fn remove(&self, letters: &[Buried]) -> Result<(), QueueError> {
        self.0.lock().unwrap().retain(|(letter, _)| !letters.iter().any(|removed| removed.key == letter.key));
        Ok(())
    }

    async fn count(&self) -> Result<u64, QueueError> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
}

/// Schedules in memory.
#[derive(Clone, Default)]
struct Plan(Arc<Mutex<BTreeMap<String, Schedule>>>);

impl Schedules for Plan {
    async fn create(&self, schedule: &Schedule) -> Result<bool, PublishError> {
        Ok(match self.0.lock().unwrap().entry(schedule.name.clone()) {
            Entry::Vacant(free) => {
                free.insert(schedule.clone());
                true
            }
            Entry::Occupied(_) => false,
        })
    }

    async fn get(&self, name: &str) -> Result<Option<Schedule>, PublishError> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }

    async fn list(&self, limit: usize, _: Option<&str>) -> Result<(Vec<Schedule>, Option<String>), PublishError> {
        Ok((self.0.lock().unwrap().values().take(limit).cloned().collect(), None))
    }

    async fn delete(&self, name: &str) -> Result<bool, PublishError> {
        Ok(self.0.lock().unwrap().remove(name).is_some())
    }

    async fn pause(&self, name: &str, paused: bool) -> Result<bool, PublishError> {
        Ok(self.0.lock().unwrap().get_mut(name).map(|schedule| schedule.paused = paused).is_some())
    }
}

struct World {
    operations: Operations,
    store: MemoryStore,
    sent: Sent,
    letters: Graveyard,
}

async fn world(ids: &[&str]) -> World {
    let (store, sent, letters) = (MemoryStore::default(), Sent::default(), Graveyard::default());
    for id in ids {
        let task = Envelope { task: id.split('-').next().unwrap_or_default().to_owned(), ..envelope(id) };
        store.register(&task, Status::Ready, "sqs", Timestamp::now()).await.unwrap();
    }
    let operations = Operations {
        access: Access::from_env(&Environment::default()).unwrap().open_without_keys(),
        payloads: errand_catalog::payloads(),
        store: Arc::new(store.clone()),
        outbox: Outbox { soon: Arc::new(sent.clone()), late: None, objects: None },
        schedules: Some(Arc::new(Plan::default())),
        dead_letters: Some(Arc::new(letters.clone())),
    };
    World { operations, store, sent, letters }
}

async fn call(world: &World, method: &str, path: &str) -> (u16, Value) {
    send(world, method, path, &Value::Null).await
}

async fn send(world: &World, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json").body(body.into()).unwrap();
    let response = world.operations.handle(&request).await;
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

#[tokio::test]
async fn a_task_is_told_with_the_names_of_djangos_task_result() {
    let tasks = world(&["email-1"]).await;
    let (status, task) = call(&tasks, "GET", "/v1/tasks/email-1").await;
    let mut names: Vec<&str> = task.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let wanted = [
        "args",
        "attempts",
        "backend",
        "enqueued_at",
        "errors",
        "finished_at",
        "id",
        "kwargs",
        "last_attempted_at",
        "return_value",
        "run_after",
        "started_at",
        "status",
        "task",
        "worker_ids",
    ];
    assert_eq!((status, names.as_slice()), (200, wanted.as_slice()));
    assert_eq!(call(&tasks, "GET", "/v1/tasks/nobody").await.0, 404);
}

#[tokio::test]
async fn what_waits_is_cancelled_once() {
    let tasks = world(&["a-1"]).await;
    let (status, task) = call(&tasks, "DELETE", "/v1/tasks/a-1").await;
    assert_eq!((status, &task["status"]), (200, &json!("CANCELLED")));
    let (status, problem) = call(&tasks, "DELETE", "/v1/tasks/a-1").await;
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("CANCELLED"));
    assert_eq!(call(&tasks, "DELETE", "/v1/tasks/nobody").await.0, 404);
}

#[tokio::test]
async fn a_list_goes_on_where_it_ended() {
    let ids: Vec<String> = (0..5).map(|i| format!("a-{i}")).chain(["b-1".to_owned()]).collect();
    let tasks = world(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (mut seen, mut path) = (Vec::new(), "/v1/tasks?task=a&limit=2&status=READY".to_owned());
    loop {
        let (status, page) = call(&tasks, "GET", &path).await;
        assert_eq!(status, 200);
        seen.extend(page["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/v1/tasks?task=a&limit=2&status=READY&cursor={}", errand_api::encode_segment(cursor));
    }
    seen.sort();
    assert_eq!(seen, ["a-0", "a-1", "a-2", "a-3", "a-4"]);
}

#[tokio::test]
async fn a_wrong_query_is_told() {
    let tasks = world(&[]).await;
    for query in ["status=LOST", "limit=0", "limit=101", "limit=x", "colour=red"] {
        assert_eq!(call(&tasks, "GET", &format!("/v1/tasks?{query}")).await.0, 400, "{query}");
    }
    assert_eq!(call(&tasks, "GET", "/v1/tasks").await, (200, json!({ "tasks": [], "cursor": null })));
    assert_eq!(call(&tasks, "PUT", "/v1/tasks/x").await.0, 405);
}

#[tokio::test]
async fn the_sample_events_are_answered() {
    let operations = Arc::new(world(&["order-1"]).await.operations);
    for sample in [
        include_str!("../../../events/status-get.json"),
        include_str!("../../../events/status-list.json"),
        include_str!("../../../events/status-cancel.json"),
    ] {
        let event = LambdaEvent::new(serde_json::from_str(sample).unwrap(), Context::default());
        let answer = Arc::clone(&operations).invoke(event).await;
        assert!(answer.status_code == 200 && format!("{:?}", answer.body).contains("order-1"), "{answer:?}");
    }
}

#[tokio::test]
async fn what_waits_is_moved_by_a_new_message_and_the_old_one_is_withdrawn() {
    let world = world(&[]).await;
    let (now, day) = (Timestamp::now(), Duration::from_secs(86400));
    let waiting = Envelope { run_after: Some(now + day), ..envelope("a") };
    world.store.register(&waiting, Status::Scheduled, "scheduler", now).await.unwrap();
    let (status, task) = send(&world, "PATCH", "/v1/tasks/a", &json!({ "run_after": (now + day * 2).to_string() })).await;
    assert_eq!((status, &task["status"], &task["run_after"]), (200, &json!("SCHEDULED"), &json!((now + day * 2).to_string())));
    assert_eq!(world.sent.envelopes.lock().unwrap()[0].run_after, Some(now + day * 2));
    assert_eq!(*world.sent.withdrawn.lock().unwrap(), [("a".to_owned(), now + day)]);
    let (status, task) = send(&world, "PATCH", "/v1/tasks/a", &json!({ "countdown": 0 })).await;
    assert_eq!((status, &task["status"]), (200, &json!("READY")));
    let (_, cancelled) = call(&world, "DELETE", "/v1/tasks/a").await;
    assert_eq!(cancelled["status"], "CANCELLED");
    assert_eq!(world.sent.withdrawn.lock().unwrap().len(), 3, "a cancelled task leaves no schedule");
    assert_eq!(send(&world, "PATCH", "/v1/tasks/a", &json!({ "countdown": 5 })).await.0, 409);
}

#[tokio::test]
async fn a_move_that_cannot_be_is_told_and_changes_nothing() {
    let world = world(&["a-1"]).await;
    let large = serde_json::value::to_raw_value(&json!({ "a": "x".repeat(40_000) })).unwrap();
    world.store.register(&Envelope { kwargs: Some(large), ..envelope("large") }, Status::Ready, "sqs", Timestamp::now()).await.unwrap();
    for (id, body, wanted) in [
        ("nobody", json!({ "countdown": 5 }), 404),
        ("large", json!({ "countdown": 5 }), 409),
        ("a-1", json!({}), 422),
        ("a-1", json!({ "countdown": -1 }), 422),
        ("a-1", json!({ "countdown": 1e9 }), 422),
        ("a-1", json!({ "run_after": "tomorrow" }), 422),
        ("a-1", json!({ "countdown": 5, "run_after": "2026-11-20T12:00:00Z" }), 422),
        ("a-1", json!([]), 400),
    ] {
        assert_eq!(send(&world, "PATCH", &format!("/v1/tasks/{id}"), &body).await.0, wanted, "{id} {body}");
    }
    world.sent.failing.store(true, Ordering::SeqCst);
    let (status, problem) = send(&world, "PATCH", "/v1/tasks/a-1", &json!({ "countdown": 5 })).await;
    assert!(status == 503 && !problem.to_string().contains("secret"));
    assert_eq!(world.store.get("a-1").await.unwrap().unwrap().run_after, None, "what could not be sent is not moved");
}

#[tokio::test]
async fn a_schedule_is_made_once_told_paused_and_deleted() {
    let world = world(&[]).await;
    let daily =
        json!({ "name": "daily", "cron": "0 9 * * mon-fri", "timezone": "Europe/Berlin", "task": "console", "kwargs": { "text": "hi" } });
    let (status, told) = send(&world, "POST", "/v1/schedules", &daily).await;
    let mut wanted = daily.clone();
    wanted["queue"] = json!("default");
    wanted["paused"] = json!(false);
    assert_eq!((status, &told), (201, &wanted));
    assert_eq!(send(&world, "POST", "/v1/schedules", &daily).await, (200, wanted.clone()), "the same call again is no mistake");
    let mut other = daily.clone();
    other["cron"] = json!("0 10 * * *");
    assert_eq!(send(&world, "POST", "/v1/schedules", &other).await.0, 409);
    assert_eq!(call(&world, "GET", "/v1/schedules/daily").await, (200, wanted.clone()));
    assert_eq!(call(&world, "POST", "/v1/schedules/daily/pause").await.1["paused"], true);
    assert_eq!(call(&world, "POST", "/v1/schedules/daily/resume").await.1["paused"], false);
    assert_eq!(call(&world, "GET", "/v1/schedules").await, (200, json!({ "schedules": [wanted], "cursor": null })));
    assert_eq!(call(&world, "DELETE", "/v1/schedules/daily").await.0, 200);
    for (method, path) in [("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume")] {
        assert_eq!(call(&world, method, &format!("/v1/schedules/daily{path}")).await.0, 404, "{method} {path}");
    }
}

#[tokio::test]
async fn a_wrong_schedule_is_told_everything_that_is_wrong() {
    let world = world(&[]).await;
    let good = || json!({ "name": "n", "rate": "5 minutes", "task": "console" });
    for (change, pointer) in [
        (json!({ "name": "a b" }), "/name"),
        (json!({ "name": null }), "/name"),
        (json!({ "rate": "5 weeks" }), "/rate"),
        (json!({ "cron": "* * * * *" }), "/cron"),
        (json!({ "rate": null }), "/cron"),
        (json!({ "rate": null, "cron": "* * 1 * mon" }), "/cron"),
        (json!({ "timezone": "not a zone" }), "/timezone"),
        (json!({ "task": "no.such.task" }), "/task"),
        (json!({ "task": "email" }), "/kwargs/subject"),
        (json!({ "id": "x" }), "/id"),
        (json!({ "countdown": 5 }), "/countdown"),
        (json!({ "expires": "2099-01-01T00:00:00Z" }), "/expires"),
    ] {
        let mut body = good();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, problem) = send(&world, "POST", "/v1/schedules", &body).await;
        let pointers: Vec<&Value> = problem["errors"].as_array().into_iter().flatten().map(|error| &error["pointer"]).collect();
        assert!(status == 422 && pointers.contains(&&json!(pointer)), "{body} got {problem}");
    }
}

fn mail(id: &str) -> Value {
    json!({ "id": id, "task": "console", "kwargs": { "text": id } })
}

/// Makes the store know an id as given up.
async fn given_up(world: &World, id: &str) {
    let (envelope, now) = (envelope(id), Timestamp::now());
    world.store.begin(&Claim { envelope: &envelope, now, lease_until: now, worker: "w", backend: "sqs" }).await.unwrap();
    let error = TaskError { exception_class_path: "errand.rejected".to_owned(), traceback: "HTTP 400".to_owned() };
    world.store.finish(id, 1, &Outcome::Failed(error), now).await.unwrap();
}

#[tokio::test]
async fn dead_letters_are_listed_by_what_they_are_and_shown_whole() {
    let world = world(&[]).await;
    for i in 0..5 {
        world.letters.add(&format!("k{i}"), &mail(&format!("a-{i}")), if i < 3 { "rejected" } else { "timeout" });
    }
    let found = async |query: &str| {
        let (status, told) = call(&world, "GET", &format!("/v1/dead-letters{query}")).await;
        assert!(status == 200 && !told.to_string().contains("kwargs"), "a list has no bodies: {told}");
        assert_eq!(told["total"], 5);
        let keys: Vec<String> =
            told["dead_letters"].as_array().unwrap().iter().map(|letter| letter["key"].as_str().unwrap().to_owned()).collect();
        (keys.join(" "), told["complete"] == true)
    };
    assert_eq!(found("").await, ("k0 k1 k2 k3 k4".to_owned(), true));
    assert_eq!(found("?kind=timeout").await, ("k3 k4".to_owned(), true));
    assert_eq!(found("?reason=because%20of%20K1").await, ("k1".to_owned(), true));
    assert_eq!(found("?id=a-2&id=k4").await, ("k2 k4".to_owned(), true));
    assert_eq!(found("?task=email").await, (String::new(), true));
    assert_eq!(found("?since=2099-01-01T00:00:00Z").await, (String::new(), true));
    assert_eq!(found("?until=2099-01-01T00:00:00Z&limit=2").await, ("k0 k1".to_owned(), false));
    let (status, whole) = call(&world, "GET", "/v1/dead-letters/a-2").await;
    assert_eq!((status, &whole["body"], &whole["attempts"]), (200, &json!(mail("a-2").to_string()), &json!(2)));
    assert_eq!(call(&world, "GET", "/v1/dead-letters/nobody").await.0, 404);
    for query in ["limit=0", "limit=1001", "since=yesterday", "colour=red"] {
        assert_eq!(call(&world, "GET", &format!("/v1/dead-letters?{query}")).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn a_replayed_letter_waits_again_and_replaying_twice_sends_what_is_not_done() {
    let world = world(&[]).await;
    given_up(&world, "a").await;
    world.letters.add("k1", &mail("a"), "rejected");
    world.letters.add("k2", &mail("a"), "rejected");
    world.letters.add("k3", &mail("other"), "timeout");
    let replay = json!({ "ids": ["a"] });
    let (status, told) = send(&world, "POST", "/v1/dead-letters/replay", &replay).await;
    assert_eq!((status, told["replayed"].as_array().unwrap().len(), &told["complete"]), (200, 2, &json!(true)), "{told}");
    assert_eq!(world.store.get("a").await.unwrap().unwrap().status, Status::Ready);
    assert_eq!(
        world.sent.envelopes.lock().unwrap().iter().filter(|envelope| envelope.id == "a").count(),
        2,
        "twins: the claim lets one through"
    );
    assert_eq!(world.letters.keys(), ["k3"]);
    let (envelope, now) = (envelope("a"), Timestamp::now());
    world.store.begin(&Claim { envelope: &envelope, now, lease_until: now, worker: "w", backend: "sqs" }).await.unwrap();
    world.store.finish("a", 2, &Outcome::Succeeded(Value::Null), now).await.unwrap();
    world.letters.add("k4", &mail("a"), "rejected");
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &replay).await;
    assert_eq!(told["replayed"].as_array().unwrap().len(), 1);
    assert_eq!(world.sent.envelopes.lock().unwrap().len(), 2, "what is done is not sent again, and its letter is gone");
    assert_eq!(world.letters.keys(), ["k3"]);
}

#[tokio::test]
async fn a_letter_is_mended_before_it_is_replayed_or_stays() {
    let world = world(&[]).await;
    world.letters.add("poison", &json!("{not json"), "malformed");
    world.letters.add("wrong", &json!({ "id": "w", "task": "email", "kwargs": { "subject": "s", "to": ["nobody"] } }), "invalid_payload");
    let all = |edit: Value| json!({ "all": true, "edit": edit });
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &json!({ "all": true })).await;
    assert!(told["refused"].to_string().contains("is not JSON"), "{told}");
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &all(json!({ "task": "email" }))).await;
    assert_eq!((told["replayed"].as_array().unwrap().len(), told["refused"].as_array().unwrap().len()), (0, 1), "{told}");
    let mended = json!({ "task": "email", "kwargs": { "to": ["a@example.com"], "subject": "s", "body": "b" } });
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &all(mended)).await;
    assert_eq!(told["replayed"], json!([{ "key": "poison", "id": "poison" }]), "{told}");
    let sent = world.sent.envelopes.lock().unwrap().clone();
    assert_eq!(sent.iter().map(|envelope| envelope.id.as_str()).collect::<Vec<_>>(), ["w", "poison"]);
    assert!(world.letters.keys().is_empty());
}

#[tokio::test]
async fn what_cannot_run_again_is_refused_and_its_letter_stays() {
    let world = world(&["late", "gone"]).await;
    world.store.cancel("gone", Timestamp::now()).await.unwrap();
    world.letters.add("k1", &mail("gone"), "rejected");
    world.letters.add("k2", &json!({ "id": "late", "task": "console", "expires": "2020-01-01T00:00:00Z" }), "rejected");
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &json!({ "kind": "rejected" })).await;
    assert!(
        told["replayed"] == json!([])
            && told["refused"].to_string().contains("CANCELLED")
            && told["refused"].to_string().contains("too late"),
        "{told}"
    );
    world.sent.failing.store(true, Ordering::SeqCst);
    world.letters.add("k3", &mail("fine"), "rejected");
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &json!({ "ids": ["fine"] })).await;
    assert_eq!(told["refused"].as_array().unwrap().len(), 1);
    assert_eq!(world.letters.keys(), ["k1", "k2", "k3"]);
}

#[tokio::test]
async fn letters_are_dropped_by_what_they_are_and_never_by_accident() {
    let world = world(&[]).await;
    for i in 0..4 {
        world.letters.add(&format!("k{i}"), &mail(&format!("a-{i}")), if i < 2 { "rejected" } else { "timeout" });
    }
    for (body, wanted) in [
        (json!({}), 422),
        (json!({ "limit": 5 }), 422),
        (json!({ "all": false }), 422),
        (json!({ "all": true, "edit": {} }), 422),
        (json!([]), 400),
    ] {
        assert_eq!(send(&world, "POST", "/v1/dead-letters/drop", &body).await.0, wanted, "{body}");
    }
    assert_eq!(
        send(&world, "POST", "/v1/dead-letters/replay", &json!({ "edit": { "task": "x" } })).await.0,
        422,
        "an edit is no condition"
    );
    let (status, told) = send(&world, "POST", "/v1/dead-letters/drop", &json!({ "kind": "rejected" })).await;
    assert_eq!((status, told["dropped"].as_array().unwrap().len(), &told["complete"]), (200, 2, &json!(true)));
    assert_eq!(call(&world, "DELETE", "/v1/dead-letters/a-2").await.0, 200);
    assert_eq!(call(&world, "DELETE", "/v1/dead-letters/a-2").await.0, 404);
    assert_eq!(world.letters.keys(), ["k3"]);
}
