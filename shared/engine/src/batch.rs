use errand_core::{Message, Timestamp};
use futures_util::{StreamExt, stream};

use crate::{Engine, Received, Verdict, time::Time};

/// Messages that must be taken one after the other: a first-in-first-out group, or one message alone.
type Lane = Vec<Received>;

impl Engine {
    /// Runs a batch. The answer has one verdict for each message, in no particular order, and comes before `deadline`: a delivery is
    /// only begun when it can end by then.
    pub async fn run(&self, batch: Vec<Received>, deadline: Timestamp) -> Vec<(Message, Verdict)> {
        let time = Time { began: self.clock.now(), deadline };
        stream::iter(lanes(batch)).map(|lane| self.run_lane(lane, time)).buffer_unordered(self.policy.concurrency).concat().await
    }

    async fn run_lane(&self, lane: Lane, time: Time) -> Vec<(Message, Verdict)> {
        let mut verdicts = Vec::with_capacity(lane.len());
        let mut stopped = false;
        for Received { message, work } in lane {
            let verdict = if stopped { self.give_back(&message, time).await } else { self.attempt(&message, work, time).await };
            stopped |= verdict == Verdict::Keep;
            verdicts.push((message, verdict));
        }
        verdicts
    }
}

fn lanes(batch: Vec<Received>) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::with_capacity(batch.len());
    for received in batch {
        let group = received.message.lane.as_deref();
        match lanes.iter_mut().find(|lane| group.is_some() && lane.first().is_some_and(|first| first.message.lane.as_deref() == group)) {
            Some(lane) => lane.push(received),
            None => lanes.push(vec![received]),
        }
    }
    lanes
}
