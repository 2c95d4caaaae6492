//! The way of one message through an attempt.

use std::time::Duration;

use errand_core::{
    Advice, Begin, Claim, DeadLetter, DeliveryError, Envelope, ErrorKind, Finish, Message, Outcome, Progress, ReportTo, Task, TaskError,
    Way,
};

use crate::{
    Engine, Event, Unknown, Verdict,
    backoff::{LONGEST, SHORTEST, spread},
    callback::Told,
    circuit::Stop,
    round::{Came, GRACE, Round, Time, all_fit, is_final},
};

/// Kept free beside a provider's timeout for claiming, recording and answering.
const MARGIN: Duration = Duration::from_secs(2);

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
            let error = unrouted(envelope, self.registry.find(&envelope.task).err()?);
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
        // What is late needs no time but for being recorded.
        let way = if expired { Ok(Way::default()) } else { self.registry.find(&envelope.task).map_err(|error| unrouted(&envelope, error)) };
        let gone = way.as_ref().copied().unwrap_or_default();
        let first = self.first(message, gone, time);
        let admitted = self.admit(gone, first);
        let needed = match &admitted {
            Ok(Some(leg)) => gone.leg(*leg).map(Task::timeout).unwrap_or_default() + MARGIN,
            _ => MARGIN,
        };
        if time.left(now) < needed {
            return Box::pin(self.no_time(message, needed, time)).await;
        }
        let admitted = match admitted {
            Ok(admitted) => admitted.unwrap_or(first),
            Err(stop) => return Box::pin(self.put_off(message, &envelope, spread(stop.wait, &envelope.id), &stop.reason, time)).await,
        };
        if let Some(leg) = gone.leg(admitted) {
            self.circuits.pass(leg.circuit(), now);
        }
        // Of a bulk nobody could tell which payload a report is of.
        let hands_over = !envelope.context.bulk && gone.hands_over();
        let report = if hands_over { self.report_to(&envelope) } else { None };
        let claimed = match self.claim(message, &envelope, report, time).await {
            Ok(claimed) => claimed,
            Err(verdict) => return verdict,
        };
        self.saw(&Event::Begun { envelope: &envelope, attempt: claimed.number });
        if expired {
            self.saw(&Event::Expired { envelope: &envelope });
            return self.end(&claimed, &Outcome::Expired).await;
        }
        if let Some(error) = self.hopeless(&claimed) {
            return Box::pin(self.give_up(&claimed, &error)).await;
        }
        match way {
            Ok(way) => self.deliver(way, claimed, first, admitted, time).await,
            Err(error) => Box::pin(self.fail(claimed, error)).await,
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

    /// The first of a list, from one on, whose circuit lets a delivery pass; of none, the shortest wait.
    fn admit(&self, way: Way<'_>, first: usize) -> Result<Option<usize>, Stop> {
        let (now, mut stopped) = (self.clock.now(), None);
        for (leg, task) in way.from(first) {
            match self.circuits.ask(task.circuit(), now) {
                Ok(()) => return Ok(Some(leg)),
                Err(stop) => stopped = Some(stop.or_shorter(stopped)),
            }
        }
        stopped.map_or(Ok(None), Err)
    }

    /// Claims the envelope, or tells what becomes of the message when it is not ours.
    async fn claim<'a>(
        &self,
        message: &'a Message,
        envelope: &'a Envelope,
        report: Option<ReportTo>,
        time: Time,
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
        let claim = Claim { envelope, now, lease_until: time.deadline + LEASE_MARGIN, worker: &self.worker, token, backend: &self.backend };
        match store.begin(&claim).await {
            Ok(Begin::Claimed { attempt, tries, died, progress }) => {
                Ok(Claimed { message, envelope, number: attempt, tries, died, progress, report })
            }
            Ok(Begin::Held { until }) => Err(self.hide(message, until.since(now)).await),
            Ok(Begin::Moved { until }) => {
                self.saw(&Event::Moved { envelope, until });
                Err(Verdict::Acknowledge)
            }
            Ok(Begin::Ended(status)) => {
                self.saw(&Event::NothingLeft { envelope, status });
                // Whoever ended it may have died before that was told.
                Err(self.tell(message, envelope, None).await)
            }
            // Who ended it elsewhere has left what follows to a consumer, by a message that has no arguments.
            Ok(Begin::Other(status))
                if status.ended() && envelope.args.is_none() && envelope.kwargs.is_none() && envelope.claim_check.is_none() =>
            {
                Err(self.tell(message, envelope, None).await)
            }
            Ok(Begin::Other(status)) => {
                self.saw(&Event::LeftOut { envelope, status });
                Err(Verdict::Acknowledge)
            }
            Err(error) => {
                self.saw(&Event::NotClaimed { envelope, error: &error });
                Err(Box::pin(self.hide_or_bury(message, self.own_wait(message), "the store does not answer")).await)
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

    /// Fetches what is missing, takes the envelope as far as it gets in this invocation, and settles what came of it.
    async fn deliver(&self, way: Way<'_>, mut claimed: Claimed<'_>, first: usize, admitted: usize, time: Time) -> Verdict {
        let envelope = match self.check_out(claimed.envelope).await {
            Ok(envelope) => envelope,
            Err(error) => return Box::pin(self.fail(claimed, error)).await,
        };
        let (number, report, mut progress) = (claimed.number, claimed.report.take(), std::mem::take(&mut claimed.progress));
        let round = Round { engine: self, way, envelope: &envelope, number, report: report.as_ref(), time, first, admitted };
        let came = if envelope.context.bulk {
            let Ok(payloads) = envelope.payloads() else {
                let why = "/kwargs: expected an array of payloads, since context.bulk is true";
                return Box::pin(self.fail(claimed, DeliveryError::new(ErrorKind::InvalidPayload, why))).await;
            };
            if self.splits(&envelope) && payloads.len() > 1 && !all_fit(way, payloads.len(), time) {
                return Box::pin(self.split_bulk(&claimed, &envelope, payloads.into_iter().enumerate())).await;
            }
            // On the heap: nearly all envelopes are no bulk.
            let came = Box::pin(round.run_all(&payloads, &mut progress)).await;
            if self.splits(&envelope)
                && claimed.message.lane.is_none()
                && !progress.delivered.is_empty()
                && progress.delivered.len() < payloads.len()
            {
                let left = payloads.into_iter().enumerate().filter(|(place, _)| !progress.delivered.contains(*place));
                return Box::pin(self.split_bulk(&claimed, &envelope, left)).await;
            }
            came
        } else {
            round.run_one(&mut progress).await
        };
        claimed.progress = progress;
        match came {
            Came::Done(value) => {
                self.saw(&Event::Delivered { envelope: claimed.envelope, attempt: claimed.number });
                self.end(&claimed, &Outcome::Succeeded(value)).await
            }
            Came::Handed(within) => Box::pin(self.hand_over(&claimed, within)).await,
            Came::Over(failure) => Box::pin(self.fail(claimed, failure)).await,
            Came::On { after, failure } => Box::pin(self.go_on(&claimed, after, failure)).await,
        }
    }

    /// Leaves a round that is not over to the next invocation: after this time, or after a while where there was no time to begin anything.
    async fn go_on(&self, claimed: &Claimed<'_>, after: Option<Duration>, failure: Option<DeliveryError>) -> Verdict {
        let message = claimed.message;
        let lacks_time = after.is_none_or(|after| after.is_zero());
        // Without a store every receive counts, since none knows of those before.
        if self.store.is_none() && lacks_time && claimed.tries >= self.max_attempts(claimed.envelope) {
            let failure = failure.unwrap_or_else(|| DeliveryError::new(ErrorKind::Timeout, "no invocation had the time for it"));
            return self.give_up(claimed, &failure).await;
        }
        let delay = after.unwrap_or_else(|| self.own_wait(message));
        self.again(claimed, failure, delay, false).await
    }

    /// Ends a round in which not all was delivered: another one follows, or nothing.
    async fn fail(&self, mut claimed: Claimed<'_>, failure: DeliveryError) -> Verdict {
        if is_final(&failure, self.policy.unknown) || claimed.tries >= self.max_attempts(claimed.envelope) {
            return self.give_up(&claimed, &failure).await;
        }
        claimed.progress.next_round();
        let asked = failure.retry_after.map(|asked| asked.max(SHORTEST));
        // Without a store nobody knows what became of the receives before.
        let failures = if self.store.is_some() { claimed.progress.rounds } else { claimed.tries };
        let delay = asked.unwrap_or_else(|| self.wait(claimed.envelope, failures)).min(LONGEST);
        self.again(&claimed, Some(failure), delay, true).await
    }

    /// Gives the claim back and hides the message until it is gone on with.
    async fn again(&self, claimed: &Claimed<'_>, failure: Option<DeliveryError>, delay: Duration, counts: bool) -> Verdict {
        let Claimed { message, envelope, number, .. } = *claimed;
        if self.outlives(message, delay) {
            let mut failure = failure.unwrap_or_else(|| DeliveryError::new(ErrorKind::RetentionEnds, "not all of it was begun"));
            failure.message.push_str("; the queue would forget it before another attempt");
            return self.give_up(claimed, &failure).await;
        }
        self.saw(&match &failure {
            Some(error) => Event::Failed { envelope, attempt: number, error, delay },
            None => Event::GoesOn { envelope, attempt: number, delay },
        });
        let error = failure.as_ref().map(TaskError::from);
        let at = self.clock.now() + delay;
        self.finish(claimed, &Outcome::Retry { error, progress: claimed.progress.clone(), counts, at }).await;
        self.hide(message, delay).await
    }

    /// Puts the message on the dead-letter queue and then ends its id; if it cannot be put there, it stays.
    async fn give_up(&self, claimed: &Claimed<'_>, error: &DeliveryError) -> Verdict {
        let Claimed { message, envelope, number, .. } = *claimed;
        self.saw(&Event::GivenUp { envelope, attempt: number, error });
        let began = error.kind == ErrorKind::Crashed || error.kind == ErrorKind::RetentionEnds;
        let attempts = if began { number - 1 } else { number };
        let letter = DeadLetter { id: Some(envelope.id.clone()), task: Some(envelope.task.clone()), attempts, ..letter(error) };
        if !self.bury(message, &letter).await {
            let delay = self.own_wait(message);
            let (at, error) = (self.clock.now() + delay, Some(TaskError::from(error)));
            self.finish(claimed, &Outcome::Retry { error, progress: claimed.progress.clone(), counts: true, at }).await;
            return self.hide(message, delay).await;
        }
        self.end(claimed, &Outcome::Failed { errors: vec![TaskError::from(error)], progress: claimed.progress.clone() }).await
    }

    /// Leaves the task to a remote worker, and the message hidden until that must have reported: if it has not, the task is tried again.
    async fn hand_over(&self, claimed: &Claimed<'_>, within: Duration) -> Verdict {
        self.saw(&Event::HandedOver { envelope: claimed.envelope, attempt: claimed.number, within });
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
        self.saw(&Event::Unread { message, error });
        self.hide_or_bury(message, self.own_wait(message), &error.message).await
    }

    /// Puts a message that cannot be claimed on the dead-letter queue.
    async fn refuse(&self, message: &Message, error: &DeliveryError) -> Verdict {
        self.saw(&Event::Refused { message, error });
        if self.bury(message, &letter(error)).await {
            return Verdict::Acknowledge;
        }
        self.hide(message, self.own_wait(message)).await
    }

    async fn bury(&self, message: &Message, letter: &DeadLetter) -> bool {
        let buried = self.queue.bury(message, letter).await;
        if let Err(error) = &buried {
            self.saw(&Event::NotBuried { message, error });
        }
        buried.is_ok()
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
            self.saw(&Event::NotHidden { message, error: &error });
        }
        Verdict::Keep
    }

    /// Leaves a message that there was no time to begin: for the next invocation to take at once; where one of this length could not begin it either, for later.
    async fn no_time(&self, message: &Message, needed: Duration, time: Time) -> Verdict {
        if time.whole() >= needed || time.left(self.clock.now()) < GRACE {
            return self.give_back(message, time).await;
        }
        self.saw(&Event::NotBegun { message, whole: time.whole(), needed });
        let delay = self.own_wait(message);
        self.hide_or_bury(message, delay, "an invocation is too short for it").await
    }

    /// Leaves a message that was not begun on the queue for the next one to take, if there is time to say so.
    pub(crate) async fn give_back(&self, message: &Message, time: Time) -> Verdict {
        if time.left(self.clock.now()) < GRACE {
            return Verdict::Keep;
        }
        self.hide(message, Duration::ZERO).await
    }

    /// Records an outcome; answers whether a later claim finds it. What happened stays true when it cannot be recorded: a delivered message is never
    /// delivered again for that.
    async fn finish(&self, claimed: &Claimed<'_>, outcome: &Outcome) -> bool {
        let Some(store) = &self.store else { return true };
        let Claimed { envelope, number: attempt, .. } = *claimed;
        match store.finish(&envelope.id, attempt, outcome, self.clock.now()).await {
            Ok(Finish::Recorded) => return true,
            Ok(Finish::Stale) => self.saw(&Event::Overtaken { envelope, attempt }),
            Err(error) => self.saw(&Event::NotRecorded { envelope, attempt, error: &error }),
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
