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
use serde_json::Value;
use tokio::{net::TcpListener, task::AbortHandle};

/// What invocations of a function are made of, and what their answers do.
pub trait Feed: Send + Sync + 'static {
    /// The function's folder.
    const FUNCTION: &'static str;
    /// How long an invocation may take.
    const TIMEOUT: Duration;
    /// What one invocation is given.
    type Batch: Send;

    /// What is there to be done, if there is anything.
    fn take(&self) -> Option<Self::Batch>;
    /// The event that it comes as.
    fn event(&self, batch: &Self::Batch) -> Value;
    /// Notes an answer, which names what failed.
    fn answered(&self, batch: Self::Batch, failed: &[&str]);
    /// Notes that the process was killed that had this.
    fn lost(&self, batch: Self::Batch);
}

/// How long a function waits that finds nothing to do.
const PAUSE: Duration = Duration::from_millis(20);

/// The Lambda Runtime API for one process, which it feeds as an event source mapping does.
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
pub(super) struct Runtime<F: Feed> {
    feed: Arc<F>,
    in_hand: Arc<Mutex<InHand<F::Batch>>>,
}

impl<F: Feed> Clone for Runtime<F> {
    fn clone(&self) -> Self {
        Self { feed: Arc::clone(&self.feed), in_hand: Arc::clone(&self.in_hand) }
    }
}

struct InHand<B> {
    count: u64,
    invocations: HashMap<String, B>,
    /// Whether the process is dead, and gets nothing more.
    closed: bool,
}

impl<F: Feed> Runtime<F> {
    /// Serves on a free loopback port; answers the address as `AWS_LAMBDA_RUNTIME_API` has it, and the server.
    pub(super) async fn start(feed: &Arc<F>) -> (Self, String, AbortHandle) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let address = listener.local_addr().expect("a bound port").to_string();
        let in_hand = InHand { count: 0, invocations: HashMap::new(), closed: false };
        let runtime = Self { feed: Arc::clone(feed), in_hand: Arc::new(Mutex::new(in_hand)) };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next::<F>))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(respond::<F>))
            .with_state(runtime.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        (runtime, address, server)
    }

    /// Notes that the process was killed with what it has in hand.
    pub(super) fn killed(&self) {
        let mut in_hand = self.in_hand();
        in_hand.closed = true;
        in_hand.invocations.drain().for_each(|(_, batch)| self.feed.lost(batch));
    }

    fn in_hand(&self) -> MutexGuard<'_, InHand<F::Batch>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn next<F: Feed>(State(runtime): State<Runtime<F>>) -> Response<String> {
    let (id, event) = loop {
        {
            // Taken and noted as in hand in one step: a kill finds it here or not at all.
            let mut in_hand = runtime.in_hand();
            if let Some(batch) = (!in_hand.closed).then(|| runtime.feed.take()).flatten() {
                in_hand.count += 1;
                let (id, event) = (in_hand.count.to_string(), runtime.feed.event(&batch));
                in_hand.invocations.insert(id.clone(), batch);
                break (id, event);
            }
        }
        tokio::time::sleep(PAUSE).await;
    };
    Response::builder()
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", (Timestamp::now() + F::TIMEOUT).millis())
        .header("lambda-runtime-invoked-function-arn", format!("arn:aws:lambda:us-east-1:000000000000:function:{}", F::FUNCTION))
        .header("content-type", "application/json")
        .body(event.to_string())
        .expect("a valid answer")
}

async fn respond<F: Feed>(State(runtime): State<Runtime<F>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let failed: Vec<&str> =
        told["batchItemFailures"].as_array().into_iter().flatten().filter_map(|item| item["itemIdentifier"].as_str()).collect();
    // A kill in between finds it here no more: it was answered.
    let batch = runtime.in_hand().invocations.remove(&id);
    if let Some(batch) = batch {
        runtime.feed.answered(batch, &failed);
    }
    StatusCode::ACCEPTED
}
