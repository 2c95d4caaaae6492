//! The way of one message through an attempt.

use std::{panic::AssertUnwindSafe, time::Duration};

use errand_core::{
    Advice, Begin, Claim, DeadLetter, DeliveryError, Envelope, ErrorKind, Finish, Handled, Json, Message, Outcome, Progress, Receipt,
    ReportTo, Run, Task, TaskError, Timestamp,
};
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use tracing::{error, info, warn};

use crate::{
    Engine, Unknown, Verdict,
    backoff::{LONGEST, backoff, spread},
    callback::Told,
};

/// Kept free beside a provider's timeout for claiming, recording and answering.
const MARGIN: Duration = Duration::from_secs(2);

/// How much longer than its own timeout a provider may take before it is cut off. Its own timeout knows better what happened.
const GRACE: Duration = Duration::from_millis(500);

/// How long after the end of its invocation a claim holds: covers clocks that differ.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// How long before the queue forgets a message it must be seen again, if it is left there; at most a tenth of the queue's retention.
const LAST_LOOK: Duration = Duration::from_secs(60 * 60);

/// An envelope that is ours to run.
pub(crate) struct Claimed<'a> {
    pub(crate) message: &'a Message,
    pub(crate) envelope: &'a Envelope,
    /// 1 for the first; the fence of what is recorded.
    pub(crate) number: u32,
    /// How many attempts count against the most that are allowed, this one included.
    tries: u32,
    /// Whether the attempt before died without a word.
    died: bool,
    /// How far it has come.
    progress: Progress,
    /// Where and how a remote worker can report of this attempt.
    report: Option<ReportTo>,
}

impl Engine {
    /// Takes one message as far as it gets in one attempt.
    pub(crate) async fn attempt(&self, message: &Message, work: Result<Vec<Envelope>, DeliveryError>, deadline: Timestamp) -> Verdict {
        let mut envelopes = match work {
            Ok(envelopes) => envelopes,
            Err(error) if error.kind.advice() == Advice::Never => return self.refuse(message, &error).await,
            Err(error) => return self.read_later(message, &error).await,
        };
        match envelopes.pop() {
            None => Verdict::Acknowledge,
            Some(envelope) if envelopes.is_empty() => self.attempt_one(message, envelope, deadline).await,
            Some(last) => {
                envelopes.push(last);
                self.split(message, envelopes).await
            }
        }
    }

    /// Takes the one envelope of a message as far as it gets in one attempt.
    async fn attempt_one(&self, message: &Message, envelope: Envelope, deadline: Timestamp) -> Verdict {
        let now = self.clock.now();
        let (early, expired) = (envelope.delay(now), envelope.expired(now));
        if !early.is_zero() && !expired && message.receipt.is_empty() {
            return self.split(message, vec![envelope]).await;
        }
        if !early.is_zero() && !expired {
            return self.put_off(message, &envelope, early, "it is to be run later than that", deadline).await;
        }
        let task = self.registry.find(&envelope.task).map_err(|error| unrouted(&envelope, error));
        let needed = task.as_ref().map_or(Duration::ZERO, |task| task.timeout()) + MARGIN;
        if deadline.since(now) < needed {
            return self.give_back(message, deadline).await;
        }
        if let Ok(task) = &task
            && !expired
            && let Err((delay, reason)) = self.circuits.admit(task.provider(), now)
        {
            return self.put_off(message, &envelope, spread(delay, &envelope.id), &reason, deadline).await;
        }
        let report = if task.as_ref().is_ok_and(|task| task.hands_over()) { self.report_to(&envelope) } else { None };
        let claimed = match self.claim(message, &envelope, report, deadline).await {
            Ok(claimed) => claimed,
            Err(verdict) => return verdict,
        };
        if expired {
            info!(id = envelope.id, task = envelope.task, "expired");
            return self.end(&claimed, &Outcome::Expired).await;
        }
        if let Some(error) = self.hopeless(&claimed) {
            return self.give_up(&claimed, &error).await;
        }
        match task {
            Ok(task) => self.deliver(task, claimed).await,
            Err(error) => self.settle(&claimed, Err(error)).await,
        }
    }

    /// Claims the envelope, or tells what becomes of the message when it is not ours.
    async fn claim<'a>(
        &self,
        message: &'a Message,
        envelope: &'a Envelope,
        report: Option<ReportTo>,
        deadline: Timestamp,
    ) -> Result<Claimed<'a>, Verdict> {
        let count = message.receive_count;
        let Some(store) = &self.store else {
            return Ok(Claimed {
                message,
                envelope,
                number: count,
                tries: count,
                died: false,
                progress: Progress::default(),
                report: None,
            });
        };
        let now = self.clock.now();
        let token = report.as_ref().map(|report| report.token.expose());
        let claim = Claim { envelope, now, lease_until: deadline + LEASE_MARGIN, worker: &self.worker, token, backend: &self.backend };
        match store.begin(&claim).await {
            Ok(Begin::Claimed { attempt, tries, died, progress }) => {
                Ok(Claimed { message, envelope, number: attempt, tries, died, progress, report })
            }
            Ok(Begin::Held { until }) => Err(self.hide(message, until.since(now)).await),
            Ok(Begin::Moved { until }) => {
                info!(id = envelope.id, task = envelope.task, %until, "moved: another message brings it then");
                Err(Verdict::Acknowledge)
            }
            Ok(Begin::Ended(status)) => {
                info!(id = envelope.id, task = envelope.task, %status, "nothing left to do");
                // Whoever ended it may have died before that was told.
                Err(self.tell(message, envelope, None).await)
            }
            Err(error) => {
                error!(id = envelope.id, task = envelope.task, %error, "not claimed: the store does not answer");
                Err(self.hide_or_bury(message, backoff(self.policy.retry_base, &message.id, count), "the store does not answer").await)
            }
        }
    }

    /// Why the envelope is not to be run, though it is ours.
    fn hopeless(&self, claimed: &Claimed<'_>) -> Option<DeliveryError> {
        if claimed.tries > self.max_attempts(claimed.envelope) {
            return Some(DeliveryError::new(ErrorKind::Crashed, format!("{} attempts began and none ended", claimed.tries - 1)));
        }
        let held = claimed.died && self.policy.unknown == Unknown::Hold;
        held.then(|| DeliveryError::new(ErrorKind::OutcomeUnknown, "an attempt died without a word: it may have delivered"))
    }

    /// Fetches what is missing, runs the provider, and settles what came of it.
    async fn deliver(&self, task: &dyn Task, mut claimed: Claimed<'_>) -> Verdict {
        let envelope = match self.check_out(claimed.envelope).await {
            Ok(envelope) => envelope,
            Err(error) => return self.settle(&claimed, Err(error)).await,
        };
        let result = match self.run_provider(task, &envelope, &claimed).await {
            Handled::One(result) => result.map(|Receipt(value)| value),
            Handled::Many(results) => combine(results, &mut claimed.progress),
            Handled::Handed(within) => return self.hand_over(&claimed, within).await,
        };
        let stopped = result.as_ref().err().filter(|error| error.stops);
        let wait = self.circuits.note(task.provider(), stopped, self.clock.now());
        if stopped.is_some() {
            error!(provider = task.provider(), seconds = wait.map(|wait| wait.as_secs()), alarm = true, "stopped: its messages wait");
        }
        let result =
            result.map_err(|error| if error.stops { error.retry_after(wait.map(|wait| spread(wait, &envelope.id))) } else { error });
        self.settle(&claimed, result).await
    }

    /// Runs the provider; a panic or a provider that never ends is a failed attempt.
    async fn run_provider(&self, task: &dyn Task, envelope: &Envelope, claimed: &Claimed<'_>) -> Handled {
        let done: Vec<usize> = claimed.progress.delivered.iter().collect();
        let run = Run { envelope, number: claimed.number, done: &done, report: claimed.report.as_ref() };
        let run = AssertUnwindSafe(task.run(run)).catch_unwind();
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
    async fn settle(&self, claimed: &Claimed<'_>, result: Result<Json, DeliveryError>) -> Verdict {
        match result {
            Ok(value) => {
                info!(id = claimed.envelope.id, task = claimed.envelope.task, attempt = claimed.number, "delivered");
                self.end(claimed, &Outcome::Succeeded(value)).await
            }
            Err(error) if error.stops => self.retry(claimed, error).await,
            Err(error) if self.is_last(claimed, &error) => self.give_up(claimed, &error).await,
            Err(error) => self.retry(claimed, error).await,
        }
    }

    /// Whether nothing is to follow on this failure.
    fn is_last(&self, claimed: &Claimed<'_>, error: &DeliveryError) -> bool {
        let held = self.policy.unknown == Unknown::Hold && error.kind.may_have_delivered();
        held || error.kind.advice() == Advice::Never || claimed.tries >= self.max_attempts(claimed.envelope)
    }

    /// Gives the claim back and hides the message until the next attempt.
    async fn retry(&self, claimed: &Claimed<'_>, mut error: DeliveryError) -> Verdict {
        let Claimed { message, envelope, number, .. } = *claimed;
        let delay = error.retry_after.unwrap_or_else(|| backoff(self.policy.retry_base, &envelope.id, claimed.tries)).min(LONGEST);
        if self.outlives(message, delay) {
            error.message.push_str("; the queue would forget it before another attempt");
            return self.give_up(claimed, &error).await;
        }
        let (id, task, kind, seconds) = (&envelope.id, &envelope.task, error.kind, delay.as_secs());
        if error.kind.advice() == Advice::LaterAndAlarm {
            error!(id, task, attempt = number, %kind, reason = error.message, retry_in_seconds = seconds, alarm = true, "failed, will be tried again");
        } else {
            warn!(id, task, attempt = number, %kind, reason = error.message, retry_in_seconds = seconds, "failed, will be tried again");
        }
        self.finish(
            claimed,
            &Outcome::Retry { error: Some(TaskError::from(&error)), progress: claimed.progress.clone(), counts: !error.stops },
        )
        .await;
        self.hide(message, delay).await
    }

    /// Puts the message on the dead-letter queue and then ends its id; if it cannot be put there, it stays.
    async fn give_up(&self, claimed: &Claimed<'_>, error: &DeliveryError) -> Verdict {
        let Claimed { message, envelope, number, .. } = *claimed;
        let alarm = error.kind.advice() == Advice::LaterAndAlarm;
        error!(id = envelope.id, task = envelope.task, attempt = number, kind = %error.kind, reason = error.message, alarm, "given up");
        let began = error.kind == ErrorKind::Crashed || error.kind == ErrorKind::RetentionEnds;
        let attempts = if began { number - 1 } else { number };
        let letter = DeadLetter { id: Some(envelope.id.clone()), task: Some(envelope.task.clone()), attempts, ..letter(error) };
        if !self.bury(message, &letter).await {
            let outcome = Outcome::Retry { error: Some(TaskError::from(error)), progress: claimed.progress.clone(), counts: true };
            self.finish(claimed, &outcome).await;
            return self.hide(message, backoff(self.policy.retry_base, &envelope.id, number)).await;
        }
        self.end(claimed, &Outcome::Failed { errors: vec![TaskError::from(error)], progress: claimed.progress.clone() }).await
    }

    /// Leaves the task to a remote worker, and the message hidden until that must have reported: if it has not, the task is tried again.
    async fn hand_over(&self, claimed: &Claimed<'_>, within: Duration) -> Verdict {
        info!(id = claimed.envelope.id, task = claimed.envelope.task, attempt = claimed.number, "handed to a remote worker");
        self.finish(claimed, &Outcome::Handed { until: self.clock.now() + within }).await;
        self.hide(claimed.message, within).await
    }

    /// Records how the envelope ended, has that told to who wants to know, and gives the message up.
    async fn end(&self, claimed: &Claimed<'_>, outcome: &Outcome) -> Verdict {
        let Claimed { message, envelope, .. } = *claimed;
        let recorded = self.finish(claimed, outcome).await;
        if recorded && matches!(outcome, Outcome::Succeeded(_)) {
            self.discard(envelope).await;
        }
        let unknown = !recorded || self.store.is_none();
        let told = (unknown || envelope.context.follow_ups).then(|| self.result(claimed, outcome));
        self.tell(message, envelope, told.map(|result| Told { result, unknown })).await
    }

    /// Leaves a message on the queue that could not be read for a reason that may pass.
    async fn read_later(&self, message: &Message, error: &DeliveryError) -> Verdict {
        let alarm = error.kind.advice() == Advice::LaterAndAlarm;
        error!(message_id = message.id, kind = %error.kind, reason = error.message, alarm, "not read, will be tried again");
        self.hide_or_bury(message, backoff(self.policy.retry_base, &message.id, message.receive_count), &error.message).await
    }

    /// Puts a message that cannot be claimed on the dead-letter queue.
    async fn refuse(&self, message: &Message, error: &DeliveryError) -> Verdict {
        error!(message_id = message.id, kind = %error.kind, reason = error.message, "given up");
        if self.bury(message, &letter(error)).await {
            return Verdict::Acknowledge;
        }
        self.hide(message, backoff(self.policy.retry_base, &message.id, message.receive_count)).await
    }

    async fn bury(&self, message: &Message, letter: &DeadLetter) -> bool {
        let buried = self.queue.bury(message, letter).await;
        if let Err(error) = &buried {
            error!(message_id = message.id, %error, alarm = true, "stays: the dead-letter queue did not take it");
        }
        buried.is_ok()
    }

    /// Leaves a message on the queue that cannot be run yet. One that the queue would forget before is given up.
    async fn put_off(&self, message: &Message, envelope: &Envelope, delay: Duration, why: &str, deadline: Timestamp) -> Verdict {
        if !self.outlives(message, delay) {
            return self.hide(message, delay).await;
        }
        match self.claim(message, envelope, None, deadline).await {
            Ok(claimed) => self.give_up(&claimed, &forgotten(why)).await,
            Err(verdict) => verdict,
        }
    }

    pub(crate) async fn hide_or_bury(&self, message: &Message, delay: Duration, why: &str) -> Verdict {
        if self.outlives(message, delay) { self.refuse(message, &forgotten(why)).await } else { self.hide(message, delay).await }
    }

    /// Whether the queue would forget the message before `delay` is over, or soon after.
    fn outlives(&self, message: &Message, delay: Duration) -> bool {
        let retention = self.policy.retention;
        message.sent_at.is_some_and(|sent_at| self.clock.now() + delay > sent_at + (retention - LAST_LOOK.min(retention / 10)))
    }

    /// Leaves the message on the queue, hidden for `delay`. If that fails, the queue's own visibility timeout shows it again.
    pub(crate) async fn hide(&self, message: &Message, delay: Duration) -> Verdict {
        if message.receipt.is_empty() {
            // It came without a queue: who invoked this function sees to it.
            return Verdict::Keep;
        }
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
        self.hide(message, Duration::ZERO).await
    }

    /// Records an outcome; answers whether a later claim finds it. What happened stays true when it cannot be recorded: a delivered message is never
    /// delivered again for that.
    async fn finish(&self, claimed: &Claimed<'_>, outcome: &Outcome) -> bool {
        let Some(store) = &self.store else { return true };
        let (id, attempt) = (&claimed.envelope.id, claimed.number);
        match store.finish(id, attempt, outcome, self.clock.now()).await {
            Ok(Finish::Recorded) => return true,
            Ok(Finish::Stale) => warn!(id, attempt, "not recorded: a newer attempt has the id"),
            Err(error) => error!(id, attempt, %error, "not recorded: the store does not answer"),
        }
        false
    }

    fn max_attempts(&self, envelope: &Envelope) -> u32 {
        envelope.max_attempts.unwrap_or(self.policy.max_attempts)
    }
}

/// What is wrong with an envelope that nothing takes. A notice that no route takes will have none at the next attempt, and nobody waits for it: its dead letter says so.
fn unrouted(envelope: &Envelope, error: DeliveryError) -> DeliveryError {
    if !envelope.sender.is_notice() || error.kind != ErrorKind::UnknownProvider {
        return error;
    }
    DeliveryError::new(ErrorKind::Unrouted, format!("no route takes the notice: name {} in ERRAND_ROUTES, and replay it", envelope.task))
}

fn letter(error: &DeliveryError) -> DeadLetter {
    DeadLetter { kind: error.kind, reason: error.message.clone(), attempts: 0, id: None, task: None }
}

fn forgotten(why: &str) -> DeliveryError {
    DeliveryError::new(ErrorKind::RetentionEnds, format!("the queue would forget it before it could be run: {why}"))
}

/// One result for a bulk envelope: the values of all its payloads, or the failure that decides. A provider that said stop decides over all; a failure
/// that can be mended by trying again over one that cannot, so that no payload is given up with its neighbour.
fn combine(results: Vec<(usize, Result<Receipt, DeliveryError>)>, progress: &mut Progress) -> Result<Json, DeliveryError> {
    let total = results.len() + progress.delivered.len();
    let (mut values, mut failures) = (Vec::new(), Vec::new());
    for (place, result) in results {
        match result {
            Ok(Receipt(value)) => {
                progress.delivered.insert(place);
                values.push(value);
            }
            Err(error) => failures.push((place, error)),
        }
    }
    let count = failures.len();
    let rank = |error: &DeliveryError| (!error.stops, error.kind.advice() == Advice::Never, error.retry_after.is_none());
    match failures.into_iter().min_by_key(|(_, error)| rank(error)) {
        None => Ok(Json::of(&values)),
        Some((place, mut error)) => {
            error.message = format!("{count} of {total} payloads failed; payload {place}: {}", error.message);
            Err(error)
        }
    }
}
