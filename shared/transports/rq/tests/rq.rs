//! Jobs as they are written, and as RQ's own workers run them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use errand_core::{Context, Envelope, Fields, Json, OptionError, PublishError, Timestamp, Transport, WorkerResult};
use errand_redis::redis::{self, aio::MultiplexedConnection};
use errand_testkit::{
    Peer, RedisServer, Stopped,
    transport::{conformance, envelope, failures},
};
use errand_transport_rq::Rq;
use serde_json::{Value, json};

fn rq(options: &Value) -> Result<Rq, OptionError> {
    let init = Stopped(Timestamp::now()).init();
    Rq::new("jobs", Fields::value(&options.to_string())?, &init)
}

fn told(options: &Value) -> String {
    rq(options).err().map(|error| error.to_string()).unwrap_or_default()
}

fn at(peer: &Peer) -> Rq {
    rq(&json!({ "url": format!("redis://{}", peer.address()), "module": "shop.tasks", "with_scheduler": true, "socket_timeout": 0.3 }))
        .unwrap()
}

fn job(id: &str, task: &str, queue: &str) -> Envelope {
    Envelope { destination: Some(queue.to_owned()), ..Envelope::new(id.to_owned(), task.to_owned()) }
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_transport() {
    let working = at(&Peer::redis(|_, command| Some(if command[0] == "PING" { "+PONG" } else { ":1" }.to_owned())));
    conformance(&working, Some(job("refused", "no-path", "default"))).await;
    let failing = at(&Peer::redis(|_, _| Some("-LOADING Redis is loading the dataset in memory".to_owned())));
    let nobody = rq(&json!({ "host": "127.0.0.1", "port": 1, "module": "shop.tasks" })).unwrap();
    failures(&failing, &nobody, &at(&Peer::redis(|_, _| None))).await;
}

#[test]
fn options_are_refused_with_their_place() {
    let with = |name: &str, value: Value| told(&json!({ "host": "h", name: value }));
    assert_eq!(with("retry", json!({ "max": 3, "interval": [10, 30] })), "");
    assert_eq!(with("retry", json!({ "max": 3, "interval": 10 })), "");
    assert_eq!(with("retry", json!({ "max": 0 })), "/retry/max: expected a number above 0");
    assert_eq!(with("retry", json!({ "max": 1, "interval": "x" })), "/retry/interval: expected a number of seconds, or an array of them");
    assert_eq!(with("job_timeout", json!(0)), "/job_timeout: expected a number of seconds from 1, or -1 for no end");
    assert_eq!(with("result_ttl", json!(-2)), "/result_ttl: expected a number of seconds from 0, or -1 for no end");
    assert_eq!(with("module", json!("shop/tasks")), "/module: expected the name of a module, such as shop.tasks");
    assert_eq!(with("result_timeout", json!(604_801)), "/result_timeout: expected a number of seconds from 1 to 604800");
    assert_eq!(with("format", json!("cloudevents")), "/format: expected native or django-notifs");
    assert!(with("serializer", json!("json")).starts_with("/serializer: expected "));
}

#[tokio::test]
async fn a_job_has_the_fields_that_rq_gives_it() {
    let heard: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let peer = Peer::redis({
        let heard = Arc::clone(&heard);
        move |_, command| {
            heard.lock().unwrap().push(command.to_vec());
            Some(":1".to_owned())
        }
    });
    let now: Timestamp = "2026-11-20T20:55:14.172Z".parse().unwrap();
    let options = json!({
        "url": format!("redis://{}", peer.address()), "result_ttl": 60, "failure_ttl": 3600, "at_front": true,
        "with_scheduler": true, "retry": { "max": 3, "interval": [10, 30] },
    });
    let rq = Rq::new("jobs", Fields::value(&options.to_string()).unwrap(), &Stopped(now).init()).unwrap();
    let arguments = |mut envelope: Envelope| {
        envelope.args = Fields::value("[1e400, \"Zoë\"]").ok();
        envelope.kwargs = Fields::value(r#"{"b":1.10,"a":null}"#).ok();
        envelope
    };
    let whole = Envelope { expires: Some(now + Duration::from_secs(120)), ..arguments(job("a-1", "shop.tasks.ship", "mail")) };
    let later =
        Envelope { run_after: Some(now + Duration::from_millis(1500)), max_attempts: Some(1), ..job("b:2", "shop.Cart.pay", "mail") };
    let sent = rq.publish(&[whole, later]).await;
    let ids: Vec<_> = sent.into_iter().map(|sent| sent.unwrap().message_id.unwrap()).collect();
    assert_eq!(ids, ["a-1", "errand-e4716373c302f67a7ddda27fa350ec6d"]);
    let heard = heard.lock().unwrap();
    let keys = ["rq:job:a-1", "rq:queues", "rq:queue:mail", "rq:scheduled:mail", "rq:failed:mail"];
    assert_eq!((&heard[0][0], &heard[0][2], &heard[0][3..8]), (&"EVAL".to_owned(), &"5".to_owned(), &keys.map(str::to_owned)[..]));
    assert_eq!(heard[0][8..12], ["a-1", "", "LPUSH", "120"]);
    let fields = |place: usize| -> Vec<String> { heard[place][12..].chunks(2).map(|field| format!("{}={}", field[0], field[1])).collect() };
    let empty = [
        "success_callback_name=",
        "failure_callback_name=",
        "stopped_callback_name=",
        "started_at=",
        "ended_at=",
        "last_heartbeat=",
        "worker_name=",
        "group_id=",
    ];
    let mut expected = empty.map(str::to_owned).to_vec();
    expected.extend(
        [
            r#"data=["shop.tasks.ship",null,[1e400, "Zoë"],{"b":1.10,"a":null}]"#,
            "origin=mail",
            "description=shop.tasks.ship",
            "created_at=2026-11-20T20:55:14.172000Z",
            "enqueued_at=2026-11-20T20:55:14.172000Z",
            "status=queued",
            "timeout=180",
            "result_ttl=60",
            "failure_ttl=3600",
            "ttl=120",
            "retries_left=3",
            "retry_intervals=[10, 30]",
        ]
        .map(str::to_owned),
    );
    assert_eq!(fields(0), expected);
    assert_eq!(heard[1][8..12], [ids[1].as_str(), "1795208116", "LPUSH", ""]);
    let later = fields(1);
    assert!(
        later.contains(&"status=scheduled".to_owned())
            && !later.iter().any(|field| field.starts_with("enqueued_at=") || field.starts_with("ret")),
        "{later:?}"
    );
}

#[tokio::test]
async fn what_can_be_no_job_is_refused() {
    let rq = rq(&json!({ "host": "127.0.0.1", "port": 1 })).unwrap();
    let bulk = Envelope { context: Context { bulk: true, ..Default::default() }, ..job("a", "shop.tasks.ship", "default") };
    let answers = rq.publish(&[envelope("a"), bulk]).await;
    let refused = |why: &str| Err(PublishError::Refused(why.to_owned()));
    assert_eq!(answers[0], refused("a task for RQ is the dotted path of a function, such as shop.tasks.ship"));
    assert_eq!(answers[1], refused("a bulk is no job of RQ: send each of its payloads as a task"));
}

/// A worker that ends with its test.
struct Worker(Child);

impl Worker {
    /// One for this queue, of the environment of this name.
    fn start(environment: &str, queue: &str) -> Self {
        let python = format!("{}/{environment}/bin/python", std::env::var("TEST_WORKERS").unwrap());
        let worker = Command::new(python)
            .args(["-m", "rq.cli", "worker", "--url", &std::env::var("TEST_REDIS").unwrap(), "--with-scheduler"])
            .args(["--serializer", "rq.serializers.JSONSerializer", "--quiet", queue])
            .env("DJANGO_SETTINGS_MODULE", "notifs_settings")
            .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/workers"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(worker.unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Its scheduler is a process of its own, which ends with it when it is asked to and not when it is killed.
        Command::new("kill").arg(self.0.id().to_string()).status().ok();
        self.0.wait().ok();
    }
}

struct World {
    queue: String,
    rq: Rq,
    redis: MultiplexedConnection,
    _worker: Worker,
}

impl World {
    async fn new(environment: &str, queue: &str, more: Value) -> Self {
        let url = std::env::var("TEST_REDIS").unwrap();
        let queue = format!("{environment}-{queue}-{}", std::process::id());
        let mut options = json!({ "url": url, "module": "rq_tasks", "with_scheduler": true });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
        Self { rq: rq(&options).unwrap(), redis, _worker: Worker::start(environment, &queue), queue }
    }

    /// Sends them under ids that no other test has.
    async fn send(&self, envelopes: &[Envelope]) {
        let here = |envelope: &Envelope| Envelope {
            id: format!("{}-{}", self.queue, envelope.id),
            destination: Some(self.queue.clone()),
            ..envelope.clone()
        };
        let sent = self.rq.publish(&envelopes.iter().map(here).collect::<Vec<_>>()).await;
        assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    }

    /// What is known of a task, once it has ended.
    async fn result(&self, id: &str) -> WorkerResult {
        let begun = Instant::now();
        loop {
            match self.rq.result(&format!("{}-{id}", self.queue), Some(&self.queue)).await.unwrap() {
                WorkerResult::Pending | WorkerResult::Started { .. } => {}
                ended => return ended,
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{id} has not ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What ran, once so many have.
    async fn ran(&mut self, many: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let lines: Vec<String> =
                redis::cmd("LRANGE").arg(format!("ran:{}", self.queue)).arg(0).arg(-1).query_async(&mut self.redis).await.unwrap();
            if lines.len() >= many {
                return lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{lines:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS and the environments of TEST_WORKERS"]
async fn a_worker_runs_what_was_sent_at_once_later_and_again() {
    for environment in ["worker-rq", "worker-rq-oldest"] {
        let mut world =
            World::new(environment, "jobs", json!({ "job_timeout": 30, "retry": { "max": 1, "interval": 1 }, "result_timeout": 3600 }))
                .await;
        let sent = Timestamp::now();
        let due = sent + Duration::from_millis(2500);
        let plain = Envelope {
            args: Fields::value("[1, \"Zoë 你好\"]").ok(),
            kwargs: Fields::value(r#"{"é":[null,{"x":1.5}]}"#).ok(),
            ..envelope("plain")
        };
        let note = |envelope: Envelope| Envelope { task: "note".to_owned(), ..envelope };
        let (plain, later) = (note(plain), note(Envelope { run_after: Some(due), ..envelope("id:of another/form") }));
        let flaky = Envelope { task: "rq_tasks.flaky".to_owned(), ..envelope("flaky") };
        let fails = Envelope { task: "fail".to_owned(), max_attempts: Some(1), ..envelope("fails") };
        world.send(&[plain.clone(), later, flaky, fails]).await;
        // Asked for twice, it is there once.
        world.send(&[plain]).await;
        let ran = world.ran(5).await;
        let of = |id: &str| ran.iter().filter(|job| job["id"] == format!("{}-{id}", world.queue)).collect::<Vec<_>>();
        assert_eq!(of("plain").len(), 1, "{ran:?}");
        assert_eq!((&of("plain")[0]["args"], &of("plain")[0]["kwargs"]), (&json!([1, "Zoë 你好"]), &json!({ "é": [null, { "x": 1.5 }] })));
        assert_eq!(of("plain")[0]["timeout"], 30);
        let later = ran.iter().find(|job| job["id"].as_str().unwrap().starts_with("errand-")).unwrap();
        let at = later["at"].as_f64().unwrap();
        assert!(at * 1000.0 >= due.millis() as f64, "it came {at}, before its time {due}");
        let flaky = of("flaky");
        assert_eq!(flaky.len(), 2, "{ran:?}");
        let returned = |value: Value| WorkerResult::Succeeded(Json::of(&value));
        let WorkerResult::Succeeded(value) = world.result("plain").await else { panic!("it has run well") };
        assert_eq!(value.read::<Value>().unwrap(), json!({ "args": [1, "Zoë 你好"], "kwargs": { "é": [null, { "x": 1.5 }] } }));
        assert_eq!(world.result("flaky").await, returned(json!("at last")));
        let WorkerResult::Failed(error) = world.result("fails").await else { panic!("it has failed") };
        assert_eq!(error.exception_class_path, "ValueError");
        assert!(
            error.traceback.starts_with("Traceback (most recent call last)") && error.traceback.ends_with("ValueError: not today, Zoë"),
            "{error:?}"
        );
        assert_eq!(world.rq.result("nowhere", None).await, Ok(WorkerResult::Pending));
        // Its scheduler counts whole seconds.
        assert!(flaky[1]["at"].as_f64().unwrap() - flaky[0]["at"].as_f64().unwrap() >= 0.5, "{flaky:?}");
    }
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS and the environment worker-rq of TEST_WORKERS"]
async fn django_notifs_own_workers_take_its_notifications() {
    let format = json!({ "django-notifs": { "provider_classes": { "noting": "rq_tasks.Provider" } } });
    let mut world = World::new("worker-rq", "notifs", json!({ "format": format })).await;
    let with = |id: &str, payload: &str, context: &str| Envelope {
        task: "noting".to_owned(),
        kwargs: Fields::value(payload).ok(),
        context: Context::of(Fields::value(context).unwrap()),
        ..envelope(id)
    };
    world.send(&[with("one", r#"{"text":"Zoë"}"#, r#"{"k":1}"#), with("many", r#"[{"n":1},{"n":2}]"#, r#"{"bulk":true}"#)]).await;
    let ran = world.ran(2).await;
    assert_eq!((&ran[0]["args"], &ran[0]["kwargs"]), (&json!([{ "text": "Zoë" }]), &json!({ "k": 1 })));
    assert_eq!((&ran[1]["args"], &ran[1]["kwargs"]), (&json!([{ "n": 1 }, { "n": 2 }]), &json!({ "bulk": true })));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn what_was_taken_is_there_after_redis_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let server = RedisServer::start(folder.path().to_owned());
    let rq = Rq::new("jobs", Fields::value(&json!({ "url": server.url() }).to_string()).unwrap(), &errand_testkit::init()).unwrap();
    let taken = server.taken_while_it_is_killed(&rq, (0..500).map(|n| job(&format!("job-{n}"), "shop.tasks.ship", "mail")).collect()).await;
    let mut redis = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let queued: Vec<String> = redis::cmd("LRANGE").arg("rq:queue:mail").arg(0).arg(-1).query_async(&mut redis).await.unwrap();
    for id in &taken {
        assert_eq!(queued.iter().filter(|queued| *queued == id).count(), 1, "{id}");
        let function: String = redis::cmd("HGET").arg(format!("rq:job:{id}")).arg("data").query_async(&mut redis).await.unwrap();
        assert_eq!(function, r#"["shop.tasks.ship",null,[],{}]"#);
    }
}
