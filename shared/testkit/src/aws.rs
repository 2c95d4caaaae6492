//! What a function has on AWS where that is a stand-in, and the emulator that `tests/run` starts.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use errand_core::{Envelope, Environment, Message, Timestamp, Transport, percent_encode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::transport::taken_while_it_is_started_again;

const REGION: &str = "us-east-1";

/// How long a message may take from one service to the next.
const PATIENCE: Duration = Duration::from_secs(20);

/// Writes code as the package of a function, in base64, and this Python's runtime.
const PACKAGE: &str = "import base64, io, sys, zipfile
file = io.BytesIO()
with zipfile.ZipFile(file, 'w') as package: package.writestr('handler.py', sys.argv[1])
print(base64.b64encode(file.getvalue()).decode(), f'python3.{sys.version_info.minor}')";

/// The settings that Lambda gives every function, all of AWS being at this URL.
#[must_use]
pub fn settings(url: &str) -> Environment {
    let vars = [("AWS_REGION", REGION), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_ENDPOINT_URL", url)];
    vars.into_iter().collect()
}

/// The emulator, which looks for no signature.
pub struct Emulator {
    /// Its address: `http://127.0.0.1:PORT`.
    pub url: String,
    /// Where it is a test's own.
    own: Option<Arc<Process>>,
}

/// An emulator of a test's own, which keeps its state when it is ended.
struct Process {
    folder: PathBuf,
    port: u16,
    child: Mutex<Child>,
}

impl Process {
    fn run(folder: &Path, port: u16) -> Child {
        let program = std::env::var("TEST_MINISTACK").expect("TEST_MINISTACK is not set: run tests/run");
        let mut server = Command::new(program);
        server.envs([("BIND_HOST", "127.0.0.1"), ("IOT_MTLS_ENABLED", "0"), ("PERSIST_STATE", "1"), ("GATEWAY_PORT", &port.to_string())]);
        let child = server.env("STATE_DIR", folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the emulator is installed");
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the emulator does not start");
            thread::sleep(Duration::from_millis(20));
        }
        child
    }

    fn end(child: &mut Child) {
        Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().expect("kill");
        child.wait().expect("a process that ends");
    }

    /// Ends it, which has it keep its state, and starts it again on that.
    fn again(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        Self::end(&mut child);
        *child = Self::run(&self.folder, self.port);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        Self::end(self.child.get_mut().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A queue there.
pub struct Queue {
    /// Its URL.
    pub url: String,
    /// Its ARN.
    pub arn: String,
}

impl Emulator {
    /// The one that the environment tells of.
    ///
    /// # Panics
    /// It tells of none: `tests/run` starts one.
    #[must_use]
    pub fn get() -> Self {
        Self { url: std::env::var("TEST_AWS_ENDPOINT").expect("TEST_AWS_ENDPOINT is not set: run tests/run"), own: None }
    }

    /// One of a test's own, which keeps its state in this folder. It ends with the test.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a loopback port").local_addr().expect("a bound port").port();
        let process = Process { folder: folder.to_owned(), port, child: Mutex::new(Process::run(folder, port)) };
        Self { url: format!("http://127.0.0.1:{port}"), own: Some(Arc::new(process)) }
    }

    /// What a transport takes [while](taken_while_it_is_started_again) this emulator, which is a test's own, is ended and started again on the state that it keeps then.
    ///
    /// # Panics
    /// As that.
    pub async fn taken_while_it_is_ended<T: Transport>(&self, transport: &T, envelopes: &[Envelope]) -> Vec<String> {
        let process = Arc::clone(self.own.as_ref().expect("an emulator of the test's own"));
        taken_while_it_is_started_again(transport, envelopes, move || process.again()).await
    }

    /// Calls a service by AWS's JSON protocol.
    ///
    /// # Panics
    /// It does not do what it was asked.
    pub async fn json(&self, service: &str, target: &str, body: &Value) -> Value {
        let headers = format!("content-type: application/x-amz-json-1.1\r\nx-amz-target: {target}\r\n");
        let told = self.post(service, "/", &headers, &body.to_string()).await;
        serde_json::from_str(&told).unwrap_or_default()
    }

    /// Calls a service by AWS's protocol of paths.
    ///
    /// # Panics
    /// It does not do what it was asked.
    pub async fn rest(&self, service: &str, path: &str, body: &Value) -> Value {
        let told = self.post(service, path, "content-type: application/json\r\n", &body.to_string()).await;
        serde_json::from_str(&told).unwrap_or_default()
    }

    /// Calls a service by AWS's query protocol.
    ///
    /// # Panics
    /// It does not do what it was asked.
    pub async fn query(&self, service: &str, parameters: &[(&str, &str)]) -> String {
        let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
        self.post(service, "/", "content-type: application/x-www-form-urlencoded\r\n", &pairs.join("&")).await
    }

    async fn post(&self, service: &str, path: &str, headers: &str, body: &str) -> String {
        let address = self.url.trim_start_matches("http://");
        let credential = format!("Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0");
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.0\r\nhost: {address}\r\n{headers}authorization: AWS4-HMAC-SHA256 {credential}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let mut connection = TcpStream::connect(address).await.expect("the emulator is there");
        connection.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.expect("an answer");
        let answer = String::from_utf8(answer).expect("an answer in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer by HTTP");
        assert!(head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')), "{service}: {answer}");
        body.to_owned()
    }

    /// Makes a queue whose name begins so, and which topics and rules may send to.
    ///
    /// # Panics
    /// It does not.
    pub async fn queue(&self, name: &str) -> Queue {
        let (stem, ending) = name.strip_suffix(".fifo").map_or((name, ""), |stem| (stem, ".fifo"));
        let services = ["events.amazonaws.com", "sns.amazonaws.com"];
        let allow = json!({ "Effect": "Allow", "Principal": { "Service": services }, "Action": "sqs:SendMessage", "Resource": "*" });
        let mut attributes = json!({ "Policy": json!({ "Version": "2012-10-17", "Statement": [allow] }).to_string() });
        if !ending.is_empty() {
            attributes["FifoQueue"] = json!("true");
        }
        let body = json!({ "QueueName": format!("{stem}-{}{ending}", Timestamp::now().millis()), "Attributes": attributes });
        let url = self.json("sqs", "AmazonSQS.CreateQueue", &body).await["QueueUrl"].as_str().expect("a URL").to_owned();
        let told = self.json("sqs", "AmazonSQS.GetQueueAttributes", &json!({ "QueueUrl": url, "AttributeNames": ["QueueArn"] })).await;
        let arn = told["Attributes"]["QueueArn"].as_str().expect("an ARN").to_owned();
        Queue { url, arn }
    }

    /// Makes a topic whose name begins so, and answers its ARN.
    ///
    /// # Panics
    /// It does not.
    pub async fn topic(&self, name: &str) -> String {
        let (stem, ending) = name.strip_suffix(".fifo").map_or((name, ""), |stem| (stem, ".fifo"));
        let name = format!("{stem}-{}{ending}", Timestamp::now().millis());
        let fifo =
            [("Attributes.entry.1.key", "FifoTopic"), ("Attributes.entry.1.value", if ending.is_empty() { "false" } else { "true" })];
        let told = self.query("sns", &[&[("Action", "CreateTopic"), ("Name", &name)], &fifo[..]].concat()).await;
        told.split(['<', '>']).find(|text| text.starts_with("arn:")).expect("an ARN").to_owned()
    }

    /// Subscribes a queue to a topic, with attributes of the subscription.
    ///
    /// # Panics
    /// It does not.
    pub async fn subscribe(&self, topic: &str, queue: &Queue, attributes: &[(&str, &str)]) {
        let names: Vec<[String; 2]> =
            (1..=attributes.len()).map(|number| ["key", "value"].map(|part| format!("Attributes.entry.{number}.{part}"))).collect();
        let mut parameters = vec![("Action", "Subscribe"), ("TopicArn", topic), ("Protocol", "sqs"), ("Endpoint", queue.arn.as_str())];
        for ([key, value], attribute) in names.iter().zip(attributes) {
            parameters.extend([(key.as_str(), attribute.0), (value.as_str(), attribute.1)]);
        }
        self.query("sns", &parameters).await;
    }

    /// Makes an event bus whose name begins so, with a rule that hands a queue what fits a pattern. Answers its name.
    ///
    /// # Panics
    /// It does not.
    pub async fn bus(&self, name: &str, pattern: &Value, queue: &Queue) -> String {
        let bus = format!("{name}-{}", Timestamp::now().millis());
        self.json("events", "AWSEvents.CreateEventBus", &json!({ "Name": bus })).await;
        let rule = json!({ "Name": "handed", "EventBusName": bus, "EventPattern": pattern.to_string() });
        self.json("events", "AWSEvents.PutRule", &rule).await;
        let target = json!({ "Rule": "handed", "EventBusName": bus, "Targets": [{ "Id": "1", "Arn": queue.arn }] });
        self.json("events", "AWSEvents.PutTargets", &target).await;
        bus
    }

    /// Makes a function whose name begins so, which is `handle` of this code in Python. Answers its name.
    ///
    /// # Panics
    /// It does not, or there is no `python3`.
    pub async fn function(&self, name: &str, code: &str) -> String {
        let name = format!("{name}-{}", Timestamp::now().millis());
        let role = [("Action", "CreateRole"), ("Version", "2010-05-08"), ("RoleName", name.as_str()), ("AssumeRolePolicyDocument", "{}")];
        self.query("iam", &role).await;
        let told = Command::new("python3").args(["-c", PACKAGE, code]).output().expect("python3");
        let told = String::from_utf8(told.stdout).expect("base64");
        let (package, runtime) = told.trim().split_once(' ').expect("a package and its runtime");
        let body = json!({
            "FunctionName": name, "Runtime": runtime, "Role": format!("arn:aws:iam::000000000000:role/{name}"), "Handler": "handler.handle",
            "Code": { "ZipFile": package }, "Timeout": 10,
        });
        self.rest("lambda", "/2015-03-31/functions", &body).await;
        name
    }

    /// Takes so many messages off a queue, in the order in which they come.
    ///
    /// # Panics
    /// They do not come, or more do.
    pub async fn messages(&self, queue: &Queue, count: usize) -> Vec<Message> {
        let (started, mut messages) = (Timestamp::now(), Vec::new());
        while messages.len() < count && Timestamp::now().since(started) < PATIENCE {
            messages.extend(self.receive(queue).await);
        }
        assert_eq!(messages.len(), count, "messages have come");
        messages
    }

    /// Takes all messages off a queue, until none has come for two seconds.
    ///
    /// # Panics
    /// The emulator does not answer.
    pub async fn all_messages(&self, queue: &Queue) -> Vec<Message> {
        let (mut messages, mut none) = (Vec::new(), 0);
        while none < 2 {
            let some = self.receive(queue).await;
            none = if some.is_empty() { none + 1 } else { 0 };
            messages.extend(some);
        }
        messages
    }

    /// Takes up to ten messages off a queue; none, where none has come within a second.
    async fn receive(&self, queue: &Queue) -> Vec<Message> {
        let body = json!({ "QueueUrl": queue.url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "MessageAttributeNames": ["All"] });
        let told = self.json("sqs", "AmazonSQS.ReceiveMessage", &body).await;
        let mut messages = Vec::new();
        for message in told["Messages"].as_array().into_iter().flatten() {
            messages.push(received(message));
            let body = json!({ "QueueUrl": queue.url, "ReceiptHandle": message["ReceiptHandle"] });
            self.json("sqs", "AmazonSQS.DeleteMessage", &body).await;
        }
        messages
    }
}

/// A message as a consumer is given it.
fn received(message: &Value) -> Message {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let attributes = message["MessageAttributes"].as_object().into_iter().flatten();
    let attributes: BTreeMap<String, String> = attributes.map(|(name, value)| (name.clone(), text(&value["StringValue"]))).collect();
    Message {
        id: text(&message["MessageId"]),
        receipt: text(&message["ReceiptHandle"]),
        body: text(&message["Body"]),
        attributes,
        receive_count: 1,
        sent_at: None,
        queue: "default".to_owned(),
        lane: None,
    }
}
