//! What becomes of an envelope and its record when an attempt has come as far as it could.

use std::time::Duration;

use errand_core::{
    Begin, DeadLetter, DeliveryError, Envelope, ErrorKind, Finish, Message, Outcome, Progress, StorageError, TaskError, TaskResult,
};

use crate::{
    Engine, Event, Verdict,
    backoff::{LONGEST, SHORTEST},
    callback::Told,
    claim::Claimed,
    leave::letter,
    share::{Came, is_final},
    time::Time,
};

impl Engine {
    /// Records what came of an attempt, and says what becomes of its message.
    pub(crate) async fn settle(&self, claimed: Claimed<'_>, came: Came) -> Verdict {
        match came {
            Came::Done(value) => {
                self.saw(&Event::Delivered { envelope: claimed.envelope, attempt: claimed.number });
                self.end(&claimed, &Outcome::Succeeded(value)).await
            }
            Came::Handed(within) => Box::pin(self.hand_over(&claimed, within)).await,
            Came::HandedOn(to) => Box::pin(self.hand_on(&claimed, to)).await,
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
    pub(crate) async fn fail(&self, mut claimed: Claimed<'_>, failure: DeliveryError) -> Verdict {
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
    pub(crate) async fn give_up(&self, claimed: &Claimed<'_>, error: &DeliveryError) -> Verdict {
        let Claimed { message, envelope, number, .. } = *claimed;
        self.saw(&Event::GivenUp { envelope, attempt: number, error });
        let letter = letter_of(claimed, error);
        if !self.bury(message, &letter).await {
            let delay = self.own_wait(message);
            let (at, error) = (self.clock.now() + delay, Some(TaskError::from(error)));
            self.finish(claimed, &Outcome::Retry { error, progress: claimed.progress.clone(), counts: true, at }).await;
            return self.hide(message, delay).await;
        }
        self.end(claimed, &Outcome::Failed { errors: vec![TaskError::from(error)], progress: claimed.progress.clone() }).await
    }

    /// Gives up an envelope of which it is known before its claim that it can never be done: reads whether it is ours, writes its letter, and then claims and ends it by
    /// one write. `None` where only a claim tells: there is no store, or somebody has attempted it.
    pub(crate) async fn give_up_unclaimed(
        &self,
        message: &Message,
        envelope: &Envelope,
        failure: &DeliveryError,
        time: Time,
    ) -> Option<Verdict> {
        let store = self.store.as_ref()?;
        let claim = self.claim_of(envelope, None, time);
        let known = match store.get(&envelope.id).await {
            Ok(known) => known,
            Err(error) => return Some(self.not_claimed(message, envelope, &error).await),
        };
        if let Some((known, header)) = known {
            match claim.turned_away(&known, &header) {
                Some(answer @ (Begin::Other(_) | Begin::Ended(_) | Begin::HandedOn { .. })) => {
                    return Some(self.turned_away(message, envelope, &answer).await);
                }
                _ if known.attempts > 0 => return None,
                Some(answer) => return Some(self.turned_away(message, envelope, &answer).await),
                None => {}
            }
        }
        let claimed = Claimed { message, envelope, number: 1, tries: 1, died: false, progress: Progress::default(), report: None };
        self.saw(&Event::GivenUp { envelope, attempt: claimed.number, error: failure });
        if !self.bury(message, &letter_of(&claimed, failure)).await {
            return Some(self.hide(message, self.own_wait(message)).await);
        }
        let error = TaskError::from(failure);
        let recorded = self.recorded(&claimed, store.refuse(&claim, &error).await);
        let outcome = Outcome::Failed { errors: vec![error], progress: Progress::default() };
        Some(self.ended(&claimed, &outcome, recorded).await)
    }

    /// Leaves the task to a remote worker, and the message hidden until that must have reported: if it has not, the task is tried again.
    async fn hand_over(&self, claimed: &Claimed<'_>, within: Duration) -> Verdict {
        self.saw(&Event::HandedOver { envelope: claimed.envelope, attempt: claimed.number, within });
        self.finish(claimed, &Outcome::Handed { until: self.clock.now() + within }).await;
        self.hide(claimed.message, within).await
    }

    /// Records how the envelope ended, has that told to who wants to know, and gives the message up.
    pub(crate) async fn end(&self, claimed: &Claimed<'_>, outcome: &Outcome) -> Verdict {
        let recorded = self.finish(claimed, outcome).await;
        self.ended(claimed, outcome, recorded).await
    }

    /// Has it told how an envelope ended, which was recorded or could not be, and gives the message up.
    async fn ended(&self, claimed: &Claimed<'_>, outcome: &Outcome, recorded: bool) -> Verdict {
        let Claimed { message, envelope, .. } = *claimed;
        if recorded && matches!(outcome, Outcome::Succeeded(_)) {
            self.discard(envelope).await;
        }
        let unknown = !recorded || self.store.is_none();
        let wanted = envelope.context.follow_ups || (unknown && envelope.callback_url.is_some());
        let told = wanted.then(|| self.result(claimed, outcome));
        self.tell(message, envelope, told.map(|result| Told { result, unknown })).await
    }

    /// Records an outcome; answers whether a later claim finds it. What happened stays true when it cannot be recorded: a delivered message is never
    /// delivered again for that.
    pub(crate) async fn finish(&self, claimed: &Claimed<'_>, outcome: &Outcome) -> bool {
        let Some(store) = &self.store else { return true };
        self.recorded(claimed, store.finish(&claimed.envelope.id, claimed.number, outcome, self.clock.now()).await)
    }

    fn recorded(&self, claimed: &Claimed<'_>, finish: Result<Finish, StorageError>) -> bool {
        let Claimed { envelope, number: attempt, .. } = *claimed;
        match finish {
            Ok(Finish::Recorded) => return true,
            Ok(Finish::Stale) => self.saw(&Event::Overtaken { envelope, attempt }),
            Err(error) => self.saw(&Event::NotRecorded { envelope, attempt, error: &error }),
        }
        false
    }

    /// The result of an attempt that nobody else can tell, as far as this attempt knows it.
    pub(crate) fn result(&self, claimed: &Claimed<'_>, outcome: &Outcome) -> TaskResult {
        let now = self.clock.now();
        let enqueued_at = claimed.message.sent_at.unwrap_or(now);
        let mut result = TaskResult::new(claimed.envelope, outcome.status(), &self.backend, enqueued_at);
        match outcome {
            Outcome::Succeeded(value) => result.return_value = value.clone(),
            Outcome::Failed { errors, .. } => result.errors.clone_from(errors),
            _ => {}
        }
        TaskResult {
            started_at: Some(now),
            last_attempted_at: Some(now),
            finished_at: Some(now),
            worker_ids: vec![self.worker.clone()],
            attempts: claimed.number,
            ..result
        }
    }

    pub(crate) fn max_attempts(&self, envelope: &Envelope) -> u32 {
        envelope.max_attempts.unwrap_or(self.policy.max_attempts)
    }
}

/// The letter of an attempt that was the last one. Of one that only found out that there was nothing to try, those before it count.
fn letter_of(claimed: &Claimed<'_>, error: &DeliveryError) -> DeadLetter {
    let Claimed { envelope, number, .. } = *claimed;
    let began = error.kind == ErrorKind::Crashed || error.kind == ErrorKind::RetentionEnds;
    let attempts = if began { number - 1 } else { number };
    DeadLetter { id: Some(envelope.id.clone()), task: Some(envelope.task.clone()), attempts, ..letter(error) }
}
