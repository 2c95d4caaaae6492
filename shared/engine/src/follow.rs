//! Tasks that other people's workers have: what they leave of one is asked for with growing pauses, until it has ended or has to count as unknown.

use std::{panic::AssertUnwindSafe, time::Duration};

use errand_core::{
    DeliveryError, Envelope, ErrorKind, Finish, FollowUp, HandedOn, Header, Json, Message, Outcome, Progress, PublishError, TaskError,
    TaskResult, WorkerResult,
};
use futures_util::{
    FutureExt,
    future::{Either, select},
};

use crate::{Engine, Event, Verdict, attempt::MARGIN, claim::Claimed, time::Time};

/// How long a transport may take to tell what is left of a task.
const ASKING: Duration = Duration::from_secs(10);

/// How long is waited for the word that a task was handed on: longer than any function runs.
const UNSETTLED: Duration = Duration::from_secs(15 * 60);

impl Engine {
    /// Whether other people's workers are asked how an envelope ends: a record must tell that they have it, and something send the question. Of a bulk nobody could tell
    /// which payload a result is of.
    pub(crate) fn follows(&self, envelope: &Envelope) -> bool {
        self.store.is_some() && self.dispatch.is_some() && !envelope.context.bulk
    }

    /// Notes that other people's workers have the task, and has them asked how it ends. Where that cannot be noted, who asks notes it.
    pub(crate) async fn hand_on(&self, claimed: &Claimed<'_>, to: HandedOn) -> Verdict {
        let Claimed { message, envelope, number: attempt, .. } = *claimed;
        self.saw(&Event::HandedOn { envelope, attempt, transport: &to.transport });
        self.finish(claimed, &Outcome::HandedOn(to.clone())).await;
        self.follow_later(message, envelope, attempt, &to).await
    }

    /// Sends the message that asks how an envelope ends which other people's workers have, and gives up the one that it came in. A twin does so again, since whoever
    /// handed it on may have died before: an answer ends it once.
    pub(crate) async fn follow_later(&self, message: &Message, envelope: &Envelope, attempt: u32, to: &HandedOn) -> Verdict {
        let Some(dispatch) = &self.dispatch else {
            self.saw(&Event::CannotSendOn { message });
            return self.hide_or_bury(message, self.own_wait(message), "this consumer has nothing to send its follow-up with").await;
        };
        let follow_up = FollowUp { id: envelope.id.clone(), attempt, handed_on: to.clone() };
        match dispatch.publish(&mut follow_up.message(envelope), self.clock.now()).await {
            Ok(_) => Verdict::Acknowledge,
            Err(error) => {
                self.saw(&Event::FollowUpWaits { envelope, error: &error });
                self.hide_or_bury(message, self.own_wait(message), &format!("its follow-up could not be sent: {error}")).await
            }
        }
    }

    /// Asks how a task has ended that other people's workers have; `asking` is the envelope of the message that does so.
    pub(crate) async fn follow(&self, message: &Message, asking: &Envelope, follow_up: &FollowUp, time: Time) -> Verdict {
        let FollowUp { id, attempt, handed_on } = follow_up;
        let needed = ASKING + MARGIN;
        if time.left(self.clock.now()) < needed {
            return self.no_time(message, needed, time).await;
        }
        let Some(store) = &self.store else { return Verdict::Acknowledge };
        let known = match store.get(id).await {
            Ok(known) => known,
            Err(error) => return self.not_claimed(message, asking, &error).await,
        };
        let (task, header) = match known {
            Some(known) if known.0.attempts == *attempt => known,
            Some((task, _)) if task.attempts > *attempt => return Verdict::Acknowledge,
            // Who hands it over has not noted it yet, or did not hand it over.
            _ if self.clock.now().since(handed_on.at) < UNSETTLED => return self.ask_again(message, asking, follow_up).await,
            _ => return Verdict::Acknowledge,
        };
        let envelope = of_task(&task, &header, asking);
        if task.status.ended() {
            // Whoever ended it may have died before that was told.
            return self.tell(message, &envelope, None).await;
        }
        if header.handed_on.is_none() {
            match store.finish(id, *attempt, &Outcome::HandedOn(handed_on.clone()), self.clock.now()).await {
                Ok(Finish::Recorded) => {}
                Ok(Finish::Stale) => return Verdict::Acknowledge,
                Err(error) => return self.not_claimed(message, asking, &error).await,
            }
        }
        let told = self.ask_workers(id, handed_on).await;
        if let Err(error) = &told {
            self.saw(&Event::NotTold { id, transport: &handed_on.transport, error });
        }
        let failure = match told {
            Ok(WorkerResult::Succeeded(value)) => {
                let value = if value.get().len() > TaskResult::VALUE_LIMIT { Json::default() } else { value };
                self.saw(&Event::Delivered { envelope: &envelope, attempt: *attempt });
                return self.end_followed(message, asking, follow_up, &envelope, &Outcome::Succeeded(value)).await;
            }
            Ok(WorkerResult::Failed(TaskError { exception_class_path, traceback })) => {
                let exception = TaskError::new(&exception_class_path, &traceback);
                DeliveryError::new(ErrorKind::TaskFailed, "its worker has given it up").with_exception(exception)
            }
            told if self.clock.now() < handed_on.until => {
                if let Ok(WorkerResult::Started { worker: Some(worker) }) = told
                    && !task.worker_ids.contains(&worker)
                {
                    let begun = store.finish(id, *attempt, &Outcome::Started { worker }, self.clock.now()).await;
                    if let Err(error) = begun {
                        return self.not_claimed(message, asking, &error).await;
                    }
                }
                return self.ask_again(message, asking, follow_up).await;
            }
            _ => {
                let seconds = handed_on.until.since(handed_on.at).as_secs();
                let why = format!("it was handed to {}, and no result was read within {seconds} seconds", handed_on.transport);
                DeliveryError::new(ErrorKind::OutcomeUnknown, why)
            }
        };
        self.saw(&Event::GivenUp { envelope: &envelope, attempt: *attempt, error: &failure });
        let outcome = Outcome::Failed { errors: vec![TaskError::from(&failure)], progress: Progress::default() };
        self.end_followed(message, asking, follow_up, &envelope, &outcome).await
    }

    /// What is left of a task. A transport that panics, or does not end in its time, has told nothing.
    async fn ask_workers(&self, id: &str, HandedOn { transport, destination, .. }: &HandedOn) -> Result<WorkerResult, PublishError> {
        let transport = self.registry.transport(transport).ok_or_else(|| {
            PublishError::Misconfigured("there is no transport of this name any more: ERRAND_TRANSPORTS must name it".to_owned())
        })?;
        let asked = AssertUnwindSafe(transport.result(id, destination.as_deref())).catch_unwind();
        match select(asked, self.clock.sleep(ASKING)).await {
            Either::Left((Ok(told), _)) => told,
            Either::Left((Err(_), _)) => Err(PublishError::Misconfigured("the transport panicked".to_owned())),
            Either::Right(((), _)) => Err(PublishError::Unavailable(format!("it did not tell in {ASKING:?}"))),
        }
    }

    /// Leaves the question on the queue until it is to be asked again; one that the queue would forget before becomes a new message.
    async fn ask_again(&self, message: &Message, asking: &Envelope, follow_up: &FollowUp) -> Verdict {
        let pause = follow_up.pause(self.clock.now());
        if self.outlives(message, pause) {
            return self.split(message, vec![asking.clone()]).await;
        }
        self.hide(message, pause).await
    }

    /// Ends a task with what its workers have left. It is asked again where that cannot be noted.
    async fn end_followed(
        &self,
        message: &Message,
        asking: &Envelope,
        FollowUp { id, attempt, .. }: &FollowUp,
        envelope: &Envelope,
        outcome: &Outcome,
    ) -> Verdict {
        let Some(store) = &self.store else { return Verdict::Acknowledge };
        if let Err(error) = store.finish(id, *attempt, outcome, self.clock.now()).await {
            return self.not_claimed(message, asking, &error).await;
        }
        if matches!(outcome, Outcome::Succeeded(_)) {
            self.discard(envelope).await;
        }
        self.tell(message, envelope, None).await
    }
}

/// The envelope of a task without its arguments; its context came with the question, since a record keeps none that is large.
fn of_task(task: &TaskResult, header: &Header, asking: &Envelope) -> Envelope {
    let content = Envelope {
        claim_check: header.claim_check.clone(),
        context: asking.context.clone(),
        ..Envelope::new(String::new(), String::new())
    };
    header.again(task, content)
}
