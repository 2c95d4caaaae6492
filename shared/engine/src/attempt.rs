//! The way of one message through an attempt.

use std::time::Duration;

use errand_core::{Advice, DeliveryError, Envelope, ErrorKind, FollowUp, Message, Outcome, Way};

use crate::{
    Engine, Event, Verdict,
    backoff::spread,
    deliver::{Asked, Start},
    gate::Gate,
    leave::forgotten,
    round::all_fit,
    share::is_final,
    time::Time,
};

/// Kept free beside a provider's timeout for claiming, recording and answering.
pub(crate) const MARGIN: Duration = Duration::from_secs(2);

// What seldom happens is on the heap: a future is as large as the largest that it may wait for, and is moved with every message.
impl Engine {
    /// Takes one message as far as it gets in one attempt.
    pub(crate) async fn attempt(&self, message: &Message, work: Result<Vec<Envelope>, DeliveryError>, time: Time) -> Verdict {
        let mut envelopes = match work {
            Ok(envelopes) => envelopes,
            Err(error) if error.kind.advice() == Advice::Never => return Box::pin(self.refuse(message, &error)).await,
            Err(error) => return Box::pin(self.read_later(message, &error)).await,
        };
        match envelopes.pop() {
            None => Verdict::Acknowledge,
            Some(envelope) if envelopes.is_empty() => self.attempt_one(message, envelope, time).await,
            Some(last) => {
                envelopes.push(last);
                match self.all_unrouted(&envelopes) {
                    Some(error) => Box::pin(self.refuse(message, &error)).await,
                    None => Box::pin(self.split(message, envelopes)).await,
                }
            }
        }
    }

    /// What is wrong with a message that holds nothing but notices that no route takes: in messages of their own they would be notices no more.
    fn all_unrouted(&self, envelopes: &[Envelope]) -> Option<DeliveryError> {
        let each = envelopes.iter().map(|envelope| {
            let error = unrouted(envelope, self.registry.way(envelope).err()?);
            (error.kind == ErrorKind::Unrouted).then_some(error)
        });
        each.collect::<Option<Vec<_>>>()?.into_iter().next()
    }

    /// Takes the one envelope of a message as far as it gets in one attempt.
    async fn attempt_one(&self, message: &Message, mut envelope: Envelope, time: Time) -> Verdict {
        let now = self.clock.now();
        if self.store.is_some() {
            envelope.fingerprint = Some(envelope.content());
        }
        let (early, expired) = (envelope.delay(now), envelope.expired(now));
        if !early.is_zero() && !expired && message.receipt.is_empty() {
            return Box::pin(self.split(message, vec![envelope])).await;
        }
        if !early.is_zero() && !expired {
            return Box::pin(self.put_off(message, &envelope, early, "it is to be run later than that", time)).await;
        }
        // Whatever becomes of it takes that much time to be written.
        if time.left(now) < MARGIN {
            return Box::pin(self.no_time(message, MARGIN, time)).await;
        }
        if expired {
            return Box::pin(self.expire(message, &envelope, time)).await;
        }
        if let Some(follow_up) = FollowUp::of(&envelope) {
            return Box::pin(self.follow(message, &envelope, &follow_up, time)).await;
        }
        let way = match self.registry.way(&envelope) {
            Ok(way) => way,
            Err(error) => return Box::pin(self.fail_unbegun(message, &envelope, unrouted(&envelope, error), time)).await,
        };
        let first = self.first(message, way, time);
        let (leg, task) = match self.gate(way, first) {
            Gate::Go(leg, task) => (leg, task),
            Gate::Wait(stop) => {
                return Box::pin(self.put_off(message, &envelope, spread(stop.wait, &envelope.id), &stop.reason, time)).await;
            }
        };
        // What is elsewhere is read when it is fetched: for that, it must be ours.
        let at_hand = envelope.claim_check.is_none();
        let asked = match at_hand.then(|| Asked::of(&envelope, task)).transpose() {
            Ok(asked) => asked,
            Err(error) => return Box::pin(self.fail_unbegun(message, &envelope, error, time)).await,
        };
        let needed = task.timeout() + MARGIN;
        if time.left(now) < needed {
            return Box::pin(self.no_time(message, needed, time)).await;
        }
        self.pass(task);
        // Of a bulk nobody could tell which payload a report is of.
        let hands_over = !envelope.context.bulk && way.hands_over();
        let report = if hands_over { self.report_to(&envelope) } else { None };
        let claimed = match self.claim(message, &envelope, report, time).await {
            Ok(claimed) => claimed,
            Err(verdict) => return verdict,
        };
        match self.hopeless(&claimed) {
            Some(error) => Box::pin(self.give_up(&claimed, &error)).await,
            None => self.deliver(Start { way, first, leg, task, asked }, claimed, time).await,
        }
    }

    /// Records that an envelope was too late to run.
    async fn expire(&self, message: &Message, envelope: &Envelope, time: Time) -> Verdict {
        match self.claim(message, envelope, None, time).await {
            Ok(claimed) => {
                self.saw(&Event::Expired { envelope });
                self.end(&claimed, &Outcome::Expired).await
            }
            Err(verdict) => verdict,
        }
    }

    /// Takes an envelope through an attempt of which is known before that it fails.
    async fn fail_unbegun(&self, message: &Message, envelope: &Envelope, failure: DeliveryError, time: Time) -> Verdict {
        if is_final(&failure, self.policy.unknown)
            && let Some(verdict) = self.give_up_unclaimed(message, envelope, &failure, time).await
        {
            return verdict;
        }
        let claimed = match self.claim(message, envelope, None, time).await {
            Ok(claimed) => claimed,
            Err(verdict) => return verdict,
        };
        match self.hopeless(&claimed) {
            Some(error) => self.give_up(&claimed, &error).await,
            None => self.fail(claimed, failure).await,
        }
    }

    /// The one of a list with which an untried payload begins. Without a store nobody knows how far it came: where not all of the list can be called in one invocation, each receive
    /// begins with the next.
    fn first(&self, message: &Message, way: Way<'_>, time: Time) -> usize {
        if self.store.is_some() || way.len() < 2 || all_fit(way, 1, time) {
            return 0;
        }
        usize::try_from(message.receive_count.saturating_sub(1)).unwrap_or_default() % way.len()
    }

    /// Leaves a message on the queue that cannot be run yet. One that the queue would forget before is given up.
    async fn put_off(&self, message: &Message, envelope: &Envelope, delay: Duration, why: &str, time: Time) -> Verdict {
        if !self.outlives(message, delay) {
            self.saw(&Event::PutOff { envelope, delay, why });
            return self.hide(message, delay).await;
        }
        match self.claim(message, envelope, None, time).await {
            Ok(claimed) => self.give_up(&claimed, &forgotten(why)).await,
            Err(verdict) => verdict,
        }
    }
}

/// What is wrong with an envelope that nothing takes. A notice that no route takes will have none at the next attempt, and nobody waits for it: its dead letter says so.
fn unrouted(envelope: &Envelope, error: DeliveryError) -> DeliveryError {
    if !envelope.sender.is_notice() || error.kind != ErrorKind::UnknownProvider {
        return error;
    }
    DeliveryError::new(ErrorKind::Unrouted, format!("no route takes the notice: name {} in ERRAND_ROUTES, and replay it", envelope.task))
}
