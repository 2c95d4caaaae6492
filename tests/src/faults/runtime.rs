use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{Response, StatusCode},
    routing::{get, post},
};
use errand_core::Timestamp;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::AbortHandle};

use super::{
    Queue,
    audit::{Audit, Fault},
    body,
    queue::Received,
};

/// How long an invocation may take: a receiver's second, the engine's margin of two, and one more. Less than the consumer is told, so that bulks outlast it.
const TIMEOUT: Duration = Duration::from_secs(4);

/// How long a batch is hidden: longer than its claims hold, which is five seconds longer than the invocation.
const VISIBILITY: Duration = Duration::from_secs(10);

/// Messages of one invocation.
const BATCH: usize = 10;

/// How long a function waits that finds nothing to do.
const PAUSE: Duration = Duration::from_millis(20);

/// The Lambda Runtime API for one process, which it feeds from the queue as an event source mapping does.
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
#[derive(Clone)]
pub(super) struct Runtime {
    queue: Arc<Queue>,
    audit: Arc<Audit>,
    sink: String,
    in_hand: Arc<Mutex<InHand>>,
}

#[derive(Default)]
struct InHand {
    count: u64,
    invocations: HashMap<String, Vec<Received>>,
    /// Whether the process is dead, and gets nothing more.
    closed: bool,
}

impl Runtime {
    /// Serves on a free loopback port; answers the address as `AWS_LAMBDA_RUNTIME_API` has it, and the server.
    pub(super) async fn start(queue: &Arc<Queue>, audit: &Arc<Audit>, sink: &str) -> (Self, String, AbortHandle) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("a bound port").to_string();
        let runtime = Self { queue: Arc::clone(queue), audit: Arc::clone(audit), sink: sink.to_owned(), in_hand: Arc::default() };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(respond))
            .with_state(runtime.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        (runtime, address, server)
    }

    /// Notes that the process was killed with what it has in hand, which comes again when its visibility timeout is over.
    pub(super) fn killed(&self) {
        let mut in_hand = self.in_hand();
        in_hand.closed = true;
        for message in in_hand.invocations.drain().flat_map(|(_, batch)| batch) {
            self.audit.note_message(message.number, Fault::Killed);
        }
    }

    fn in_hand(&self) -> MutexGuard<'_, InHand> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, message: &Received) -> Value {
        json!({
            "messageId": message.id.to_string(),
            "receiptHandle": message.receipt,
            "body": body(&self.audit, message.number, &self.sink),
            "attributes": { "ApproximateReceiveCount": message.count.to_string(), "SentTimestamp": Timestamp::now().millis().to_string() },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:main",
            "awsRegion": "us-east-1",
        })
    }
}

async fn next(State(runtime): State<Runtime>) -> Response<String> {
    let (id, batch) = loop {
        {
            // Received and noted as in hand in one step: a kill finds it here or not at all.
            let mut in_hand = runtime.in_hand();
            let batch = if in_hand.closed { Vec::new() } else { runtime.queue.receive(BATCH, VISIBILITY) };
            if !batch.is_empty() {
                in_hand.count += 1;
                let id = in_hand.count.to_string();
                in_hand.invocations.insert(id.clone(), batch.clone());
                break (id, batch);
            }
        }
        tokio::time::sleep(PAUSE).await;
    };
    let records: Vec<Value> = batch.iter().map(|message| runtime.record(message)).collect();
    Response::builder()
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", (Timestamp::now() + TIMEOUT).millis())
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:consumer")
        .header("content-type", "application/json")
        .body(json!({ "Records": records }).to_string())
        .expect("a valid answer")
}

/// Deletes what the function does not want to have again.
async fn respond(State(runtime): State<Runtime>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let failed: Vec<&str> =
        told["batchItemFailures"].as_array().into_iter().flatten().filter_map(|item| item["itemIdentifier"].as_str()).collect();
    let batch = runtime.in_hand().invocations.remove(&id).unwrap_or_default();
    for message in batch.iter().filter(|message| !failed.contains(&message.id.to_string().as_str())) {
        runtime.queue.delete(&message.receipt);
    }
    StatusCode::ACCEPTED
}
