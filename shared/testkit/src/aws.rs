//! What a function has on AWS where that is a stand-in, and the emulator that `tests/run` starts.

use std::{collections::BTreeMap, time::Duration};

use errand_core::{Environment, Message, Timestamp, percent_encode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const REGION: &str = "us-east-1";

/// How long a message may take from one service to the next.
const PATIENCE: Duration = Duration::from_secs(20);

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
        Self { url: std::env::var("TEST_AWS_ENDPOINT").expect("TEST_AWS_ENDPOINT is not set: run tests/run") }
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

    /// Takes so many messages off a queue, in the order in which they come.
    ///
    /// # Panics
    /// They do not come, or more do.
    pub async fn messages(&self, queue: &Queue, count: usize) -> Vec<Message> {
        let (started, mut messages) = (Timestamp::now(), Vec::new());
        while messages.len() < count && Timestamp::now().since(started) < PATIENCE {
            let body = json!({ "QueueUrl": queue.url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "MessageAttributeNames": ["All"] });
            let told = self.json("sqs", "AmazonSQS.ReceiveMessage", &body).await;
            for message in told["Messages"].as_array().into_iter().flatten() {
                messages.push(received(message));
                let body = json!({ "QueueUrl": queue.url, "ReceiptHandle": message["ReceiptHandle"] });
                self.json("sqs", "AmazonSQS.DeleteMessage", &body).await;
            }
        }
        assert_eq!(messages.len(), count, "messages have come");
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
