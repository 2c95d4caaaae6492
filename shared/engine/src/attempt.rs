//! The way of one message through an attempt.

use std::{panic::AssertUnwindSafe, time::Duration};

use errand_core::{
    Advice, Begin, Claim, DeadLetter, DeliveryError, Envelope, ErrorKind, Finish, Handled, Message, Outcome, Problems, Receipt, Task,
    TaskError, Timestamp,
};
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use serde_json::Value;
use tracing::{error, info, warn};

use crate::{Engine, Verdict, backoff::LONGEST, backoff::backoff};

/// Kept free beside a provider's timeout for claiming, recording and answering.
const MARGIN: Duration = Duration::from_secs(2);

/// How much longer than its own timeout a provider may take before it is cut off. Its own timeout knows better what happened.
const GRACE: Duration = Duration::from_millis(500);

/// How long after the end of its invocation a claim holds: covers clocks that differ.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// An envelope that is ours to run.
struct Claimed<'a> {
    message: &'a Message,
    envelope: &'a Envelope,
    /// 1 for the first.
    number: u32,
    /// The places of a bulk envelope's payloads that are delivered.
    done: Vec<usize>,
}

impl Engine {
    /// Takes one message as far as it gets in one attempt.
    pub(crate) async fn attempt(&self, message: &Message, work: Result<Envelope, Problems>, deadline: Timestamp) -> Verdict {
        let envelope = match work {
            Ok(envelope) => envelope,
            Err(problems) => return self.refuse(message, &problems).await,
        };
        let now = self.clock.now();
        let early = envelope.delay(now);
        if !early.is_zero() && !envelope.expired(now) {
            return self.keep(message, early).await;
        }
        let task = self.registry.task(&envelope.task);
        let needed = task.as_ref().map_or(Duration::ZERO, |task| task.timeout()) + MARGIN;
        if deadline.since(now) < needed {
            return self.give_back(message, deadline).await;
        }
        let mut claimed = Claimed { message, envelope: &envelope, number: message.receive_count, done: Vec::new() };
        if let Some(verdict) = self.claim(&mut claimed, deadline).await {
            return verdict;
        }
        if envelope.expired(now) {
            info!(id = envelope.id, task = envelope.task, "expired");
            self.finish(&claimed, &Outcome::Expired).await;
            return Verdict::Acknowledge;
        }
        if claimed.number > self.max_attempts(&envelope) {
            let message = format!("{} attempts began and none ended", claimed.number - 1);
            return self.give_up(&claimed, &DeliveryError::new(ErrorKind::Crashed, message)).await;
        }
        let handled = match task {
            Ok(task) => self.deliver(task, &claimed).await,
            Err(error) => Handled::One(Err(error)),
        };
        self.settle(claimed, handled).await
    }

    /// Claims the envelope, or tells what becomes of the message when it is not ours.
    async fn claim(&self, claimed: &mut Claimed<'_>, deadline: Timestamp) -> Option<Verdict> {
        let Claimed { message, envelope, .. } = *claimed;
        let store = self.store.as_ref()?;
        let now = self.clock.now();
        let claim = Claim { envelope, now, lease_until: deadline + LEASE_MARGIN, worker: &self.worker, backend: &self.backend };
        match store.begin(&claim).await {
            Ok(Begin::Claimed { attempt, done }) => {
                claimed.number = attempt;
                claimed.done = done;
                None
            }
            Ok(Begin::Held { until }) => Some(self.keep(message, until.since(now)).await),
            Ok(Begin::Ended(status)) => {
                info!(id = envelope.id, task = envelope.task, %status, "nothing left to do");
                Some(Verdict::Acknowledge)
            }
            Err(error) => {
                error!(id = envelope.id, task = envelope.task, %error, "not claimed: the store does not answer");
                Some(self.keep(message, backoff(self.policy.retry_base, &message.id, message.receive_count)).await)
            }
        }
    }

    /// Runs the provider; a panic or a provider that never ends is a failed attempt.
    async fn deliver(&self, task: &dyn Task, claimed: &Claimed<'_>) -> Handled {
        let run = AssertUnwindSafe(task.run(claimed.envelope, claimed.number, &claimed.done)).catch_unwind();
        match select(run, self.clock.sleep(task.timeout() + GRACE)).await {
            Either::Left((Ok(handled), _)) => handled,
            Either::Left((Err(_), _)) => {
                Handled::One(Err(DeliveryError::new(ErrorKind::Panicked, format!("provider {} panicked", task.provider()))))
            }
            Either::Right(((), _)) => {
                let message = format!("provider {} did not end in {:?}", task.provider(), task.timeout());
                Handled::One(Err(DeliveryError::new(ErrorKind::Timeout, message)))
            }
        }
    }

    /// Records how the attempt ended and decides about the message.
    async fn settle(&self, mut claimed: Claimed<'_>, handled: Handled) -> Verdict {
        let result = match handled {
            Handled::One(result) => result.map(|Receipt(value)| value),
            Handled::Many(results) => combine(results, &mut claimed.done),
        };
        match result {
            Ok(value) => {
                info!(id = claimed.envelope.id, task = claimed.envelope.task, attempt = claimed.number, "delivered");
                self.finish(&claimed, &Outcome::Succeeded(value)).await;
                Verdict::Acknowledge
            }
            Err(error) if error.kind.advice() == Advice::Never || claimed.number >= self.max_attempts(claimed.envelope) => {
                self.give_up(&claimed, &error).await
            }
            Err(error) => self.retry(&claimed, &error).await,
        }
    }

    /// Gives the claim back and hides the message until the next attempt.
    async fn retry(&self, claimed: &Claimed<'_>, error: &DeliveryError) -> Verdict {
        let Claimed { message, envelope, number, .. } = *claimed;
        let delay = error.retry_after.unwrap_or_else(|| backoff(self.policy.retry_base, &envelope.id, number));
        let (id, task, kind, seconds) = (&envelope.id, &envelope.task, error.kind, delay.as_secs());
        if error.kind.advice() == Advice::LaterAndAlarm {
            error!(id, task, attempt = number, %kind, reason = error.message, retry_in_seconds = seconds, alarm = true, "failed, will be tried again");
        } else {
            warn!(id, task, attempt = number, %kind, reason = error.message, retry_in_seconds = seconds, "failed, will be tried again");
        }
        self.finish(claimed, &Outcome::Retry { error: TaskError::from(error), done: claimed.done.clone() }).await;
        self.keep(message, delay).await
    }

    /// Puts the message on the dead-letter queue and then ends its id; if it cannot be put there, it stays.
    async fn give_up(&self, claimed: &Claimed<'_>, error: &DeliveryError) -> Verdict {
        let Claimed { message, envelope, number, .. } = *claimed;
        let alarm = error.kind.advice() == Advice::LaterAndAlarm;
        error!(id = envelope.id, task = envelope.task, attempt = number, kind = %error.kind, reason = error.message, alarm, "given up");
        let attempts = if error.kind == ErrorKind::Crashed { number - 1 } else { number };
        let letter = DeadLetter { id: Some(envelope.id.clone()), task: Some(envelope.task.clone()), attempts, ..letter(error) };
        if !self.bury(message, &letter).await {
            self.finish(claimed, &Outcome::Retry { error: TaskError::from(error), done: claimed.done.clone() }).await;
            return self.keep(message, backoff(self.policy.retry_base, &envelope.id, number)).await;
        }
        self.finish(claimed, &Outcome::Failed(TaskError::from(error))).await;
        Verdict::Acknowledge
    }

    /// Puts a message that holds no envelope on the dead-letter queue.
    async fn refuse(&self, message: &Message, problems: &Problems) -> Verdict {
        let error = DeliveryError::new(ErrorKind::Malformed, problems.to_string());
        error!(message_id = message.id, kind = %error.kind, reason = error.message, "given up");
        if self.bury(message, &letter(&error)).await {
            return Verdict::Acknowledge;
        }
        self.keep(message, backoff(self.policy.retry_base, &message.id, message.receive_count)).await
    }

    async fn bury(&self, message: &Message, letter: &DeadLetter) -> bool {
        let buried = self.queue.bury(message, letter).await;
        if let Err(error) = &buried {
            error!(message_id = message.id, %error, alarm = true, "stays: the dead-letter queue did not take it");
        }
        buried.is_ok()
    }

    /// Leaves the message on the queue, hidden for `delay`. If that fails, the queue's own visibility timeout shows it again.
    async fn keep(&self, message: &Message, delay: Duration) -> Verdict {
        if let Err(error) = self.queue.hide(message, delay.min(LONGEST)).await {
            warn!(message_id = message.id, %error, "not hidden: comes back with the queue's own timeout");
        }
        Verdict::Keep
    }

    /// Leaves a message that was not begun on the queue for the next one to take, if there is time to say so.
    pub(crate) async fn give_back(&self, message: &Message, deadline: Timestamp) -> Verdict {
        if deadline.since(self.clock.now()) < GRACE {
            return Verdict::Keep;
        }
        self.keep(message, Duration::ZERO).await
    }

    /// Records an outcome. What happened stays true when it cannot be recorded: a delivered message is never delivered again for that.
    async fn finish(&self, claimed: &Claimed<'_>, outcome: &Outcome) {
        let Some(store) = &self.store else { return };
        let (id, attempt) = (&claimed.envelope.id, claimed.number);
        match store.finish(id, attempt, outcome, self.clock.now()).await {
            Ok(Finish::Recorded) => {}
            Ok(Finish::Stale) => warn!(id, attempt, "not recorded: a newer attempt has the id"),
            Err(error) => error!(id, attempt, %error, "not recorded: the store does not answer"),
        }
    }

    fn max_attempts(&self, envelope: &Envelope) -> u32 {
        envelope.max_attempts.unwrap_or(self.policy.max_attempts)
    }
}

fn letter(error: &DeliveryError) -> DeadLetter {
    DeadLetter { kind: error.kind, reason: error.message.clone(), attempts: 0, id: None, task: None }
}

/// One result for a bulk envelope: the values of all its payloads, or the failure that decides. A failure that can be mended by trying
/// again decides over one that cannot, so that no payload is given up with its neighbour.
fn combine(results: Vec<(usize, Result<Receipt, DeliveryError>)>, done: &mut Vec<usize>) -> Result<Value, DeliveryError> {
    let total = results.len() + done.len();
    let (mut values, mut failures) = (Vec::new(), Vec::new());
    for (place, result) in results {
        match result {
            Ok(Receipt(value)) => {
                done.push(place);
                values.push(value);
            }
            Err(error) => failures.push((place, error)),
        }
    }
    let count = failures.len();
    let decisive = failures.into_iter().min_by_key(|(_, error)| (error.kind.advice() == Advice::Never, error.retry_after.is_none()));
    match decisive {
        None => Ok(Value::Array(values)),
        Some((place, mut error)) => {
            error.message = format!("{count} of {total} payloads failed; payload {place}: {}", error.message);
            Err(error)
        }
    }
}
