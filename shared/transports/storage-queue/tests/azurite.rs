//! What is sent is received by Azure's own SDK, from Azurite.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use errand_core::{BoxFuture, Clock, Envelope, Fields, Init, PublishError, Timestamp, Transport};
use errand_testkit::transport::envelope;
use errand_transport_storage_queue::StorageQueue;
use serde_json::{Value, json, value::to_raw_value};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/workers/azure_receive.py");

struct Real;

impl Clock for Real {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Azurite, over a folder; it ends with the test.
struct Azurite {
    process: Child,
    port: u16,
}

impl Azurite {
    async fn start(folder: &Path, port: Option<u16>) -> Self {
        let port = port.unwrap_or_else(|| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let program = Path::new(&env::var("TEST_NODE").unwrap()).join("node_modules/.bin/azurite-queue");
        let mut azurite = Command::new(program);
        azurite.args([
            "--queueHost",
            "127.0.0.1",
            "--queuePort",
            &port.to_string(),
            "--silent",
            "--disableTelemetry",
            "--skipApiVersionCheck",
            "--location",
        ]);
        let process = azurite.arg(folder).stdout(Stdio::null()).spawn().unwrap();
        let azurite = Self { process, port };
        for _ in 0..400 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return azurite;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not start");
    }

    /// Ends it as a machine does that is shut down.
    fn end(&mut self) {
        let process = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        self.process.wait().unwrap();
    }

    /// The account that Azurite has, with the key that all know.
    fn connection_string(&self) -> String {
        const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
        format!("AccountName=devstoreaccount1;AccountKey={KEY};QueueEndpoint={}", self.endpoint())
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/devstoreaccount1", self.port)
    }

    fn storage(&self, more: &Value) -> StorageQueue {
        storage(&self.connection_string(), more)
    }

    async fn make(&self, queue: &str) {
        python(vec!["storage-make".to_owned(), self.connection_string(), queue.to_owned()]).await;
    }

    /// What the SDK receives: so many messages.
    async fn receive(&self, queue: &str, count: usize) -> Vec<Value> {
        let received = python(vec!["storage".to_owned(), self.connection_string(), queue.to_owned(), count.to_string()]).await;
        let messages: Vec<Value> = received.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(messages.len(), count);
        messages
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

async fn python(arguments: Vec<String>) -> String {
    let mut python = Command::new(format!("{}/worker-azure/bin/python", env::var("TEST_WORKERS").unwrap()));
    python.arg(SCRIPT).args(arguments).stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || python.output().unwrap()).await.unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn storage(connection_string: &str, more: &Value) -> StorageQueue {
    let mut options = json!({ "connection_string": connection_string });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let cx = Init::default().with(Arc::new(Real) as Arc<dyn Clock>);
    StorageQueue::new("azure", Fields::value(&options.to_string()).unwrap(), &cx).unwrap()
}

fn to(queue: &str, id: &str) -> Envelope {
    Envelope { destination: Some(queue.to_owned()), ..envelope(id) }
}

#[tokio::test]
#[ignore = "needs Azurite in TEST_NODE and the environment worker-azure of TEST_WORKERS"]
async fn the_sdk_receives_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let azurite = Azurite::start(folder.path(), None).await;
    azurite.make("tasks").await;
    let spread = Envelope {
        kwargs: Fields::value("{\r\n\"html\": \"<b>&amp;</b> ☃ \\\"\",\t\"big\":12345678901234567890123}").ok(),
        ..to("tasks", "order-7")
    };
    let published = azurite.storage(&json!({})).publish(std::slice::from_ref(&spread)).await.remove(0).unwrap();
    let received = azurite.receive("tasks", 1).await.remove(0);
    assert_eq!((&received["body"], &received["id"]), (&json!(errand_wire::encode(&spread)), &json!(published.message_id.unwrap())));
    assert_eq!(received["kept"], 7.0 * 86400.0);
    azurite.storage(&json!({ "encoding": "base64", "time_to_live": 3600 })).publish(std::slice::from_ref(&spread)).await.remove(0).unwrap();
    let received = azurite.receive("tasks", 1).await.remove(0);
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, received["body"].as_str().unwrap()).unwrap();
    assert_eq!((decoded, &received["kept"]), (errand_wire::encode(&spread).into_bytes(), &json!(3600.0)));
    // What no XML can hold arrives as JSON's escape of it, which means the same.
    let odd = Envelope { kwargs: to_raw_value(&json!({ "text": "\u{fffe}\u{ffff}" })).ok(), ..to("tasks", "odd") };
    azurite.storage(&json!({})).publish(&[odd]).await.remove(0).unwrap();
    let received: Value = serde_json::from_str(azurite.receive("tasks", 1).await[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(received["kwargs"]["text"], "\u{fffe}\u{ffff}");
}

#[tokio::test]
#[ignore = "needs Azurite in TEST_NODE and the environment worker-azure of TEST_WORKERS"]
async fn a_delayed_message_is_not_received_early() {
    let folder = tempfile::tempdir().unwrap();
    let azurite = Azurite::start(folder.path(), None).await;
    azurite.make("tasks").await;
    let due = Timestamp::now() + Duration::from_millis(2500);
    let late = Envelope { run_after: Some(due), ..to("tasks", "late") };
    let storage = azurite.storage(&json!({ "visibility_timeout": true, "time_to_live": 60 }));
    assert!(storage.publish(&[late, to("tasks", "now")]).await.iter().all(Result::is_ok));
    let received = azurite.receive("tasks", 2).await;
    let ids: Vec<Value> =
        received.iter().map(|message| serde_json::from_str::<Value>(message["body"].as_str().unwrap()).unwrap()["id"].clone()).collect();
    assert_eq!(ids, ["now", "late"]);
    let early = due.millis() as f64 / 1000.0 - received[1]["at"].as_f64().unwrap();
    assert!(early <= 0.0 && early > -10.0, "{early}");
}

#[tokio::test]
#[ignore = "needs Azurite in TEST_NODE and the environment worker-azure of TEST_WORKERS"]
async fn the_largest_message_is_taken_and_failures_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let azurite = Azurite::start(folder.path(), None).await;
    azurite.make("tasks").await;
    for options in [json!({}), json!({ "encoding": "base64" })] {
        let storage = azurite.storage(&options);
        let with = |length: usize| Envelope { kwargs: to_raw_value(&"x".repeat(length)).ok(), ..to("tasks", "large") };
        let most = storage.limits().bytes - errand_wire::encode(&with(0)).len();
        let answers = storage.publish(&[with(most), with(most + 1)]).await;
        assert!(answers[0].is_ok() && matches!(answers[1], Err(PublishError::TooLarge { .. })), "{answers:?}");
        assert_eq!(azurite.receive("tasks", 1).await[0]["body"].as_str().unwrap().len(), 65_536);
    }
    let told = async |storage: &StorageQueue, queue: &str| {
        storage.publish(&[to(queue, "a")]).await.remove(0).map(drop).map_err(|error| error.to_string())
    };
    let storage_ = azurite.storage(&json!({}));
    assert_eq!(
        told(&storage_, "gone").await.unwrap_err(),
        "misconfigured: Storage Queue answered HTTP 404 QueueNotFound: The specified queue does not exist"
    );
    let wrong_key = storage(&azurite.connection_string().replace("Eby8", "Eby9"), &json!({}));
    let refused = told(&wrong_key, "tasks").await.unwrap_err();
    assert!(refused.starts_with("misconfigured: Storage Queue answered HTTP 403 AuthenticationFailed: "), "{refused}");
    storage_.takes("tasks").unwrap();
    assert_eq!(storage_.check().await, Ok(()));
    storage_.takes("gone").unwrap();
    assert!(storage_.check().await.unwrap_err().to_string().contains("QueueNotFound"));
}

#[tokio::test]
#[ignore = "needs Azurite in TEST_NODE and the environment worker-azure of TEST_WORKERS"]
async fn a_signature_that_may_only_add_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let azurite = Azurite::start(folder.path(), None).await;
    azurite.make("tasks").await;
    let signature = python(vec!["storage-sas".to_owned(), azurite.connection_string()]).await;
    let signed = storage(&format!("QueueEndpoint={};SharedAccessSignature={}", azurite.endpoint(), signature.trim()), &json!({}));
    signed.publish(&[to("tasks", "a")]).await.remove(0).unwrap();
    assert_eq!(azurite.receive("tasks", 1).await.len(), 1);
    signed.takes("tasks").unwrap();
    assert_eq!(signed.check().await, Ok(()), "it is known, and may not read");
}

/// Azurite keeps its state when it is shut down.
#[tokio::test]
#[ignore = "needs Azurite in TEST_NODE and the environment worker-azure of TEST_WORKERS"]
async fn what_was_taken_before_and_after_a_restart_in_the_middle_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut azurite = Azurite::start(folder.path(), None).await;
    azurite.make("tasks").await;
    let storage = azurite.storage(&json!({}));
    let mut taken = Vec::new();
    let mut refused = 0;
    for round in 0..50 {
        if round == 20 {
            azurite.end();
        }
        if round == 30 {
            azurite = Azurite::start(folder.path(), Some(azurite.port)).await;
        }
        let ids: Vec<String> = (0..10).map(|i| format!("{round}-{i}")).collect();
        let answers = storage.publish(&ids.iter().map(|id| to("tasks", id)).collect::<Vec<_>>()).await;
        for (id, answer) in ids.into_iter().zip(answers) {
            match answer {
                Ok(_) => taken.push(id),
                Err(error) => {
                    assert!(error.passes(), "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(taken.len() >= 400 && refused >= 50, "{} taken, {refused} refused", taken.len());
    let received = azurite.receive("tasks", taken.len()).await;
    let mut ids: Vec<String> = received
        .iter()
        .map(|message| serde_json::from_str::<Value>(message["body"].as_str().unwrap()).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    taken.sort();
    assert_eq!(ids, taken);
}
