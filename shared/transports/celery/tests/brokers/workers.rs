//! Real workers of Celery, on real brokers: each runs what was handed to it, at once and when it is due, and its results are read back.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use errand_core::{Context, Envelope, PublishError, TaskError, Timestamp, Transport, WorkerResult};
use errand_redis::redis::{self, Commands as _};
use errand_testkit::transport::conformance;
use errand_transport_celery::Celery;
use serde_json::{Value, json, value::to_raw_value};

use crate::world::{celery, fact, fresh, init, saying, to};

/// A worker that ends with its test.
struct Worker(Child);

impl Worker {
    fn start(queues: &str, variables: &[(&str, &str)]) -> Self {
        let python = Path::new(&fact("TEST_WORKERS")).join("worker-celery/bin/python");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/workers/celery_worker.py");
        let mut command = Command::new(python);
        command.arg(script).arg(queues).envs(variables.iter().copied()).envs([
            ("AWS_ENDPOINT_URL", std::env::var("TEST_AWS_ENDPOINT").unwrap_or_default().as_str()),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ]);
        Self(command.stdout(Stdio::null()).spawn().expect("a worker"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("it is ours to end");
    }
}

async fn ended(celery: &Celery, id: &str) -> WorkerResult {
    let begun = Instant::now();
    loop {
        match celery.result(id, None).await {
            Ok(WorkerResult::Pending | WorkerResult::Started { .. }) if begun.elapsed() < Duration::from_secs(60) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            told => return told.unwrap(),
        }
    }
}

/// What the worker's task gave back.
async fn returned(celery: &Celery, id: &str) -> Value {
    match ended(celery, id).await {
        WorkerResult::Succeeded(value) => value.read().unwrap(),
        other => panic!("{id}: {other:?}"),
    }
}

fn task(id: &str, task: &str, queue: &str, args: &Value, kwargs: &Value) -> Envelope {
    let [args, kwargs] = [args, kwargs].map(|json| to_raw_value(json).ok());
    Envelope { args, kwargs, destination: Some(queue.to_owned()), ..Envelope::new(id.to_owned(), task.to_owned()) }
}

/// Has a worker do one of each kind. `options` are those of the alias, without its result backend.
async fn is_worked_off(queue: &str, mut options: Value, variables: &[(&str, &str)]) {
    let results = format!("{}9", fact("TEST_REDIS").trim_end_matches('0'));
    options["result_backend"] = json!(results);
    let celery = celery(&options);
    let begun = Timestamp::now();
    let due = begun + Duration::from_secs(4);
    let ids = ["echo", "due", "fails", "again", "unknown", "late"].map(|name| fresh(&format!("{queue}-{name}")));
    let sent = celery
        .publish(&[
            saying(
                &json!({ "headers": { "tenant": "acme" } }),
                task(&ids[0], "shop.echo", queue, &json!([1, "Grüße 🚀", null]), &json!({ "k": { "é": [1.5] } })),
            ),
            Envelope { run_after: Some(due), ..task(&ids[1], "shop.echo", queue, &json!([]), &json!({})) },
            task(&ids[2], "shop.ship", queue, &json!([7]), &json!({})),
            task(&ids[3], "shop.again", queue, &json!([]), &json!({})),
            task(&ids[4], "no.such.task", queue, &json!([]), &json!({})),
            Envelope { expires: Some(begun), ..task(&ids[5], "shop.echo", queue, &json!([]), &json!({})) },
        ])
        .await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(celery.result(&ids[0], None).await, Ok(WorkerResult::Pending));
    let variables: Vec<(&str, &str)> = variables.iter().copied().chain([("WORKER_RESULTS", results.as_str())]).collect();
    let worker = Worker::start(queue, &variables);
    let echo = returned(&celery, &ids[0]).await;
    assert_eq!((&echo["id"], &echo["root_id"]), (&json!(ids[0]), &json!(ids[0])));
    assert_eq!((&echo["args"], &echo["kwargs"]), (&json!([1, "Grüße 🚀", null]), &json!({ "k": { "é": [1.5] } })));
    assert_eq!((&echo["tenant"], &echo["retries"], &echo["eta"]), (&json!("acme"), &json!(0), &Value::Null));
    let held = returned(&celery, &ids[1]).await;
    let seconds = held["now"].as_f64().unwrap();
    assert!(seconds * 1000.0 >= due.millis() as f64, "{held}: not before {due}");
    let WorkerResult::Failed(TaskError { exception_class_path, traceback }) = ended(&celery, &ids[2]).await else { panic!("it fails") };
    assert_eq!(exception_class_path, "builtins.LookupError");
    assert!(traceback.starts_with("Traceback") && traceback.contains("no order 7"), "{traceback}");
    assert_eq!(returned(&celery, &ids[3]).await, json!(1), "a worker's own retry goes through the same queue");
    let WorkerResult::Failed(unknown) = ended(&celery, &ids[4]).await else { panic!("it fails") };
    assert_eq!(unknown.exception_class_path, "celery.exceptions.NotRegistered");
    let WorkerResult::Failed(late) = ended(&celery, &ids[5]).await else { panic!("it is not run") };
    assert_eq!(
        (late.exception_class_path.as_str(), late.traceback.as_str()),
        ("celery.exceptions.TaskRevokedError", "TaskRevokedError: expired")
    );
    drop(worker);
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS, and Celery at TEST_WORKERS"]
async fn a_worker_on_redis_does_what_it_is_handed() {
    let queue = fresh("mail.high");
    let (url, options) = (fact("TEST_REDIS"), json!({ "global_keyprefix": "shop:" }));
    let alias = json!({ "broker_url": url, "eta": true, "priority": 4, "broker_transport_options": options });
    is_worked_off(&queue, alias, &[("WORKER_BROKER", &url), ("WORKER_OPTIONS", &options.to_string())]).await;
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS and RabbitMQ at TEST_RABBITMQ, and Celery at TEST_WORKERS"]
async fn a_worker_on_rabbitmq_does_what_it_is_handed() {
    let (queue, url) = (fresh("celery"), fact("TEST_RABBITMQ"));
    // Its worker declares the queue, with a highest priority: who hands over declares none, and so cannot be at odds with it.
    let variables = [("WORKER_BROKER", url.as_str()), ("WORKER_MAX_PRIORITY", "10")];
    let unknown = celery(&json!({ "broker_url": url })).publish(&[to(&queue, "a")]).await;
    assert_eq!(
        unknown[0],
        Err(PublishError::Misconfigured(format!("RabbitMQ has no queue {queue}: a worker that listens to it makes it when it starts")))
    );
    drop(declared(&queue, &url, &variables).await);
    is_worked_off(&queue, json!({ "broker_url": url, "eta": true, "priority": 4 }), &variables).await;
}

#[tokio::test]
#[ignore = "needs the emulator at TEST_AWS_ENDPOINT, Redis at TEST_REDIS, and Celery at TEST_WORKERS"]
async fn a_worker_on_sqs_does_what_it_is_handed() {
    let queue = fresh("celery");
    let api = errand_sqs::LazyClient::new(init().shared().unwrap(), None);
    let url = api.get().create_queue().queue_name(&queue).send().await.unwrap().queue_url.unwrap();
    let options = json!({ "predefined_queues": { &queue: { "url": url } }, "region": "us-east-1" });
    // The worker wants credentials there as well, and asks for messages in a moment.
    let mut of_worker = options.clone();
    of_worker["predefined_queues"][&queue]["access_key_id"] = json!("test");
    of_worker["predefined_queues"][&queue]["secret_access_key"] = json!("test");
    of_worker["wait_time_seconds"] = json!(1);
    let alias = json!({ "broker_url": "sqs://", "eta": true, "broker_transport_options": options });
    is_worked_off(&queue, alias, &[("WORKER_BROKER", "sqs://"), ("WORKER_OPTIONS", &of_worker.to_string())]).await;
    assert_eq!(celery(&json!({ "broker_url": "sqs://", "broker_transport_options": options })).check().await, Ok(()));
}

/// A worker that has declared its queue on RabbitMQ.
async fn declared(queue: &str, url: &str, variables: &[(&str, &str)]) -> Worker {
    let worker = Worker::start(queue, variables);
    let celery = celery(&json!({ "broker_url": url }));
    let begun = Instant::now();
    let probe = || task(&fresh("probe"), "shop.echo", queue, &json!([]), &json!({}));
    while celery.publish(&[probe()]).await[0].is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the worker starts");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    worker
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS and RabbitMQ at TEST_RABBITMQ, and Celery at TEST_WORKERS"]
async fn an_exchange_leads_to_the_queues_that_workers_have_bound() {
    let results = format!("{}8", fact("TEST_REDIS").trim_end_matches('0'));
    for broker in [fact("TEST_REDIS"), fact("TEST_RABBITMQ")] {
        let (queue, exchange) = (fresh("orders"), fresh("shop"));
        let alias =
            json!({ "broker_url": broker, "exchange": exchange, "routing_key": format!("{queue}.eu.new"), "result_backend": results });
        let celery = celery(&alias);
        let sent = |id: &str| task(id, "shop.echo", &queue, &json!([]), &json!({}));
        let told = celery.publish(&[sent("none"), sent("none")]).await;
        assert!(matches!(&told[0], Err(PublishError::Misconfigured(why)) if why.contains(&exchange)), "{told:?}");
        let variables = [("WORKER_BROKER", broker.as_str()), ("WORKER_RESULTS", &results), ("WORKER_EXCHANGE", &exchange)];
        let worker = Worker::start(&queue, &variables);
        let (id, begun) = (fresh("bound"), Instant::now());
        while celery.publish(&[sent(&id)]).await[0].is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the worker binds its queue");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(returned(&celery, &id).await["routing_key"], format!("{queue}.eu.new"));
        let astray = saying(&json!({ "routing_key": "nobody" }), sent("astray"));
        let told = celery.publish(&[astray, sent(&fresh("beside"))]).await;
        assert!(matches!(&told[0], Err(PublishError::Misconfigured(why)) if why.contains("leads to no queue")), "{told:?}");
        assert!(told[1].is_ok());
        drop(worker);
    }
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS"]
async fn it_keeps_the_contract_of_a_transport_on_redis() {
    let url = format!("{}7", fact("TEST_REDIS").trim_end_matches('0'));
    conformance(&celery(&json!({ "broker_url": url, "eta": true })), None).await;
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS, and Celery at TEST_WORKERS"]
async fn django_notifs_own_workers_take_its_notifications() {
    let (broker, queue, list) = (fact("TEST_REDIS"), fresh("notifs"), fresh("noted"));
    let format = json!({ "django-notifs": { "provider_classes": { "noting": "celery_provider.Provider" } } });
    let celery = celery(&json!({ "broker_url": broker, "result_backend": broker, "format": format }));
    let variables = [("WORKER_BROKER", broker.as_str()), ("WORKER_RESULTS", &broker), ("DJANGO_SETTINGS_MODULE", "notifs_settings")];
    let worker = Worker::start(&queue, &variables);
    let with = |id: &str, payload: &Value, context: Value| Envelope {
        task: "noting".to_owned(),
        kwargs: to_raw_value(payload).ok(),
        context: Context::of(to_raw_value(&context).unwrap()),
        ..to(&queue, id)
    };
    let [one, many] = [fresh("one"), fresh("many")];
    let sent = celery
        .publish(&[
            with(&one, &json!({ "text": "Zoë" }), json!({ "list": list, "k": 1 })),
            with(&many, &json!([{ "n": 1 }, { "n": 2 }]), json!({ "list": list, "bulk": true })),
        ])
        .await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!((returned(&celery, &one).await, returned(&celery, &many).await), (Value::Null, Value::Null));
    let mut redis = redis::Client::open(broker).unwrap().get_connection().unwrap();
    let noted: Vec<String> = redis.lrange(&list, 0, -1).unwrap();
    let noted: Vec<Value> = noted.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(noted[0], json!({ "payloads": [{ "text": "Zoë" }], "context": { "list": list, "k": 1 } }));
    assert_eq!(noted[1], json!({ "payloads": [{ "n": 1 }, { "n": 2 }], "context": { "list": list, "bulk": true } }));
    drop(worker);
}
