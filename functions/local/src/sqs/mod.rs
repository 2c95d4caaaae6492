//! The SQS API over this machine's queues, for clients that put their messages on a queue themselves: boto3, the aws CLI, Celery, django-notifs. With
//! `AWS_ENDPOINT_URL_SQS=http://127.0.0.1:3000` they send here unchanged.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html>
//!
//! A signature cannot be checked by the hash of a key: while anyone on this machine may call, any signature is taken; where keys are enforced, nothing is.

mod attributes;
mod batch;
mod change;
mod error;
mod json;
mod protocol;
mod query;
mod queues;
mod receive;
mod send;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use errand_api::ProblemDocument;
use errand_store_sqlite::SqliteQueue;
use serde_json::Value;
use tokio::sync::watch;

use crate::web::whole;

use error::{ACCESS_DENIED, Error, INVALID_ACTION, QUEUE_DOES_NOT_EXIST};
use protocol::{Call, Protocol};

/// Why nothing is taken where keys are enforced.
pub(crate) const OFF: &str = "this server enforces keys, by which a signature cannot be checked: send by its HTTP API, with a key";

/// The owner of every queue here.
pub(crate) const ACCOUNT: &str = "000000000000";

/// The largest message, and the largest batch of them, in bytes, attributes included.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const LIMIT: usize = 1024 * 1024;

/// What answers.
#[derive(Clone)]
pub(crate) struct Sqs {
    pub(crate) queue: SqliteQueue,
    /// Whether anyone on this machine may call.
    pub(crate) open: bool,
    /// Says true when the server ends: nobody is then let wait for messages.
    pub(crate) stopped: watch::Receiver<bool>,
}

/// Where clients call: the endpoint itself, and, those that speak the older protocol, the queue's URL.
pub(crate) fn routes(sqs: Sqs) -> Router {
    Router::new().route("/", post(answer)).route(&format!("/{ACCOUNT}/{{queue}}"), post(answer)).with_state(sqs)
}

async fn answer(State(sqs): State<Sqs>, request: Request) -> Response {
    match whole(request).await {
        Ok(request) => sqs.answer(&request).await,
        Err(problem) => problem.into(),
    }
    .map(Body::from)
}

impl Sqs {
    /// Answers a call in the protocol that it came in. What is none of SQS's is refused as the HTTP API refuses.
    async fn answer(&self, request: &errand_api::Request) -> errand_api::Response {
        let Some(protocol) = Protocol::of(request) else {
            let detail = "expected a call of SQS: with the header x-amz-target, or a form with Action";
            return ProblemDocument::new(http::StatusCode::NOT_FOUND, detail).into();
        };
        let (action, answer) = match protocol.read(request) {
            // A page in a browser can have a form sent here without asking; no client of SQS is one.
            Ok(_) if request.headers().contains_key(http::header::ORIGIN) => {
                (String::new(), Err(Error::new(ACCESS_DENIED, "a page in a browser may not call the queues")))
            }
            Ok(call) => (call.action.clone(), self.run(&call).await),
            Err(error) => (String::new(), Err(error)),
        };
        protocol.answer(&action, answer)
    }

    async fn run(&self, call: &Call) -> Result<Value, Error> {
        if !self.open {
            return Err(Error::new(ACCESS_DENIED, OFF));
        }
        match call.action.as_str() {
            "SendMessage" => self.send_message(call).await,
            "SendMessageBatch" => self.send_message_batch(call).await,
            "ReceiveMessage" => self.receive_message(call).await,
            "DeleteMessage" => self.delete_message(call).await,
            "DeleteMessageBatch" => self.delete_message_batch(call).await,
            "ChangeMessageVisibility" => self.change_message_visibility(call).await,
            "ChangeMessageVisibilityBatch" => self.change_message_visibility_batch(call).await,
            "GetQueueUrl" => self.queue_url(call),
            "ListQueues" => self.list_queues(call),
            "CreateQueue" => self.create_queue(call),
            "GetQueueAttributes" => self.queue_attributes(call).await,
            "PurgeQueue" => self.purge_queue(call).await,
            other => Err(Error::new(INVALID_ACTION, format!("the operation {other} is not there on one machine"))),
        }
    }

    /// The queue that a call names, by the last part of a URL: whichever host it is called by.
    fn queue_of(&self, call: &Call) -> Result<String, Error> {
        let url = call.queue_url.as_deref().ok_or_else(|| Error::missing("QueueUrl"))?;
        self.named(url.rsplit('/').next().unwrap_or_default())
    }

    fn named(&self, name: &str) -> Result<String, Error> {
        if self.queue.knows(name) {
            return Ok(name.to_owned());
        }
        let known = self.queue.all_names().collect::<Vec<_>>().join(", ");
        Err(Error::new(QUEUE_DOES_NOT_EXIST, format!("the specified queue does not exist; there are: {known}")))
    }
}
