use std::{sync::Arc, time::Duration};

use errand_core::Timestamp;
use serde_json::{Value, json};

use super::{
    Queue,
    audit::{Audit, Fault},
    body,
    queue::Received,
    runtime::Feed,
};

/// How long a batch is hidden: longer than its claims hold, which is five seconds longer than the invocation.
const VISIBILITY: Duration = Duration::from_secs(10);

/// Messages of one invocation.
const BATCH: usize = 10;

/// The messages of the test's queue, for the consumer.
pub struct Messages {
    /// What they are taken from.
    pub queue: Arc<Queue>,
    /// The books.
    pub audit: Arc<Audit>,
    /// Where their tasks lead.
    pub sink: String,
}

impl Feed for Messages {
    const FUNCTION: &'static str = "consumer";
    /// A receiver's second, the engine's margin of two, and one more. Less than the consumer is told, so that bulks outlast it.
    const TIMEOUT: Duration = Duration::from_secs(4);
    type Batch = Vec<Received>;

    fn take(&self) -> Option<Vec<Received>> {
        Some(self.queue.receive(BATCH, VISIBILITY)).filter(|batch| !batch.is_empty())
    }

    fn event(&self, batch: &Vec<Received>) -> Value {
        let record = |message: &Received| {
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
        };
        json!({ "Records": batch.iter().map(record).collect::<Vec<Value>>() })
    }

    /// Deletes what the function does not want to have again.
    fn answered(&self, batch: Vec<Received>, failed: &[&str]) {
        for message in batch.iter().filter(|message| !failed.contains(&message.id.to_string().as_str())) {
            self.queue.delete(&message.receipt);
        }
    }

    /// It comes again when its visibility timeout is over.
    fn lost(&self, batch: Vec<Received>) {
        batch.into_iter().for_each(|message| self.audit.note_message(message.number, Fault::Killed));
    }
}
