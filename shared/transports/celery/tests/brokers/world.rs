//! What the tests of all brokers share.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use errand_core::{Context, Envelope, Environment, Fields, Init, PublishError, Timestamp, Transport};
use errand_http::aws::sdk_config;
use errand_testkit::transport::envelope;
use errand_transport_celery::Celery;
use serde_json::{Value, json, value::to_raw_value};

pub(crate) fn fact(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/run"))
}

/// A name that no other run has used.
pub(crate) fn fresh(name: &str) -> String {
    format!("{name}-{}", Timestamp::now().millis())
}

pub(crate) fn init() -> Init {
    let endpoint = std::env::var("TEST_AWS_ENDPOINT").unwrap_or_default();
    let env: Environment = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
    ]
    .into_iter()
    .collect();
    errand_testkit::init().with(sdk_config(&env).unwrap())
}

pub(crate) fn celery(options: &Value) -> Celery {
    Celery::new("workers", Fields::value(&options.to_string()).unwrap(), &init()).unwrap()
}

pub(crate) fn at(url: &str) -> Celery {
    celery(&json!({ "broker_url": url }))
}

pub(crate) fn to(queue: &str, id: &str) -> Envelope {
    Envelope { destination: Some(queue.to_owned()), ..envelope(id) }
}

/// With what it says to its transport.
pub(crate) fn saying(said: &Value, envelope: Envelope) -> Envelope {
    Envelope { context: Context::of(to_raw_value(&json!({ "workers": said })).unwrap()), ..envelope }
}

/// A broker of a test's own, whose data outlives it.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    port: u16,
    command: fn(&Path, u16) -> Command,
    /// Of its address and what comes after that.
    url: fn(&str) -> String,
    process: Child,
}

impl Server {
    pub(crate) async fn start(command: fn(&Path, u16) -> Command, url: fn(&str) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Self::run(command(folder.path(), port));
        let server = Self { folder, port, command, url, process };
        server.is_up().await;
        server
    }

    fn run(mut command: Command) -> Child {
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().expect("tests/run installs it")
    }

    pub(crate) fn url(&self) -> String {
        (self.url)(&format!("127.0.0.1:{}", self.port))
    }

    async fn is_up(&self) {
        let (celery, begun) = (at(&self.url()), Instant::now());
        while celery.check().await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(120), "it starts");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// All of it at once, as a machine that loses its power does it.
    fn kill(&mut self) {
        let killed = Command::new("kill").args(["-9", "--", &format!("-{}", self.process.id())]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        self.process.wait().unwrap();
    }

    /// Sends 500 tasks to the queue `celery`, in the middle of which it is killed and started again. Answers the ids of those that were taken.
    pub(crate) async fn is_killed_in_the_middle(&mut self) -> BTreeSet<String> {
        let celery = at(&self.url());
        let (mut taken, mut failed) = (BTreeSet::new(), 0);
        for batch in 0..50 {
            let tasks: Vec<Envelope> = (0..10).map(|place| to("celery", &format!("{batch}-{place}"))).collect();
            let send = async { celery.publish(&tasks).await };
            let answers = if batch == 20 { tokio::join!(send, async { self.kill() }).0 } else { send.await };
            for (task, answer) in tasks.iter().zip(answers) {
                match answer {
                    Ok(_) => assert!(taken.insert(task.id.clone())),
                    Err(PublishError::Unavailable(_) | PublishError::OutcomeUnknown(_)) => failed += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            if batch == 22 {
                self.process = Self::run((self.command)(self.folder.path(), self.port));
                self.is_up().await;
                taken.extend(has_its_queues(&celery).await);
            }
        }
        assert!(taken.len() >= 400 && failed >= 20, "{} taken, {failed} not", taken.len());
        taken
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends one task until it is taken or fails otherwise than for want of its queue: RabbitMQ answers before it has its queues again. Answers its id if it was taken.
async fn has_its_queues(celery: &Celery) -> Option<String> {
    let (task, begun) = (to("celery", "first"), Instant::now());
    loop {
        match celery.publish(std::slice::from_ref(&task)).await.remove(0) {
            Err(PublishError::Misconfigured(why)) => assert!(begun.elapsed() < Duration::from_secs(60), "{why}"),
            answer => return answer.is_ok().then(|| task.id.clone()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// All that was taken is there, and nothing twice.
pub(crate) fn are_all_there(taken: &BTreeSet<String>, there: &[String]) {
    let missing: Vec<&String> = taken.iter().filter(|id| !there.contains(id)).collect();
    assert!(missing.is_empty(), "{missing:?} of {}", taken.len());
    assert_eq!(there.iter().collect::<BTreeSet<_>>().len(), there.len(), "nothing is there twice");
}
