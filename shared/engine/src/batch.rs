use std::{
    iter,
    sync::{Mutex, PoisonError},
};

use errand_core::{Message, Timestamp};
use futures_util::{StreamExt, stream};

use crate::{Engine, Received, Verdict, time::Time};

/// Messages that must be taken one after the other: a first-in-first-out group, or, as nearly always, one message alone.
struct Lane {
    first: Received,
    rest: Vec<Received>,
}

type Verdicts = Vec<(Message, Verdict)>;

impl Engine {
    /// Runs a batch. The answer has one verdict for each message, in no particular order, and comes before `deadline`: a delivery is
    /// only begun when it can end by then.
    pub async fn run(&self, batch: Vec<Received>, deadline: Timestamp) -> Vec<(Message, Verdict)> {
        let time = Time { began: self.clock.now(), deadline };
        let verdicts = Mutex::new(Vec::with_capacity(batch.len()));
        stream::iter(lanes(batch)).for_each_concurrent(self.policy.concurrency, |lane| self.run_lane(lane, time, &verdicts)).await;
        verdicts.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run_lane(&self, Lane { first, rest }: Lane, time: Time, verdicts: &Mutex<Verdicts>) {
        let mut stopped = false;
        for Received { message, work } in iter::once(first).chain(rest) {
            let verdict = if stopped { self.give_back(&message, time).await } else { self.attempt(&message, work, time).await };
            stopped |= verdict == Verdict::Keep;
            verdicts.lock().unwrap_or_else(PoisonError::into_inner).push((message, verdict));
        }
    }
}

fn lanes(batch: Vec<Received>) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::with_capacity(batch.len());
    for received in batch {
        let group = received.message.lane.as_deref();
        match lanes.iter_mut().find(|lane| group.is_some() && lane.first.message.lane.as_deref() == group) {
            Some(lane) => lane.rest.push(received),
            None => lanes.push(Lane { first: received, rest: Vec::new() }),
        }
    }
    lanes
}
