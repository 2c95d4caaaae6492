//! Takes messages from the local queue as Lambda's event source takes them from SQS.

use std::{sync::Arc, time::Duration};

use errand_consumer::Consumer;
use errand_core::{Invocation, Message, Timestamp};
use errand_store_sqlite::SqliteQueue;
use tokio::{sync::watch, time::sleep};

/// How long to wait when the queue does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to wait at most without a look: another process, as `errand outbox` is, says nothing when it puts something there.
const LONGEST: Duration = Duration::from_secs(1);

/// Where messages come from.
pub(crate) struct Source {
    pub(crate) queue: SqliteQueue,
    /// Which of its queues.
    pub(crate) name: String,
    /// Messages that are taken at once.
    pub(crate) batch_size: u32,
}

/// Works until `stop` says true, as long at a time as an invocation is; then ends after the batch in hand.
pub(crate) async fn work(source: Source, consumer: Arc<Consumer>, invocation: Invocation, mut stop: watch::Receiver<bool>) {
    let Source { queue, name, batch_size } = &source;
    // Hidden for longer than a batch can take, so that none of it comes again while it is worked on.
    let visibility = invocation.length() * 2;
    while !*stop.borrow() {
        match queue.receive(name, *batch_size, visibility).await {
            Ok(messages) if messages.is_empty() => tokio::select! {
                () = wait(queue, name) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            },
            Ok(messages) => run(queue, &consumer, messages, invocation).await,
            Err(error) => {
                tracing::error!(%error, "the queue does not answer");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn run(queue: &SqliteQueue, consumer: &Consumer, messages: Vec<Message>, invocation: Invocation) {
    let batch = messages.clone();
    let kept = consumer.handle(messages, Timestamp::now() + invocation.length()).await;
    let done: Vec<Message> = batch.into_iter().filter(|message| !kept.iter().any(|kept| kept.id == message.id)).collect();
    if let Err(error) = queue.acknowledge(&done).await {
        tracing::error!(%error, "the queue does not answer: what is done comes again, and is found done");
    }
}

/// Waits until there may be something to take.
async fn wait(queue: &SqliteQueue, name: &str) {
    let next = match queue.next_visible_at(name).await {
        Ok(next) => next.map_or(LONGEST, |at| at.since(Timestamp::now()).min(LONGEST)),
        Err(_) => PAUSE,
    };
    tokio::select! {
        () = queue.changed(name) => {}
        () = sleep(next) => {}
    }
}
