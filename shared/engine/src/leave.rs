//! What becomes of a message on its queue: it stays, hidden for a while, or goes to the dead letters.

use std::time::Duration;

use errand_core::{DeadLetter, DeliveryError, ErrorKind, Message};

use crate::{
    Engine, Event, Verdict,
    backoff::LONGEST,
    time::{GRACE, Time},
};

/// How long before the queue forgets a message it must be seen again, if it is left there; at most a tenth of the queue's retention.
const LAST_LOOK: Duration = Duration::from_secs(60 * 60);

impl Engine {
    /// Leaves a message on the queue that could not be read for a reason that may pass.
    pub(crate) async fn read_later(&self, message: &Message, error: &DeliveryError) -> Verdict {
        self.saw(&Event::Unread { message, error });
        self.hide_or_bury(message, self.own_wait(message), &error.message).await
    }

    /// Puts a message that cannot be claimed on the dead-letter queue.
    pub(crate) async fn refuse(&self, message: &Message, error: &DeliveryError) -> Verdict {
        self.saw(&Event::Refused { message, error });
        if self.bury(message, &letter(error)).await {
            return Verdict::Acknowledge;
        }
        self.hide(message, self.own_wait(message)).await
    }

    pub(crate) async fn bury(&self, message: &Message, letter: &DeadLetter) -> bool {
        let buried = self.queue.bury(message, letter).await;
        if let Err(error) = &buried {
            self.saw(&Event::NotBuried { message, error });
        }
        buried.is_ok()
    }

    pub(crate) async fn hide_or_bury(&self, message: &Message, delay: Duration, why: &str) -> Verdict {
        if self.outlives(message, delay) { self.refuse(message, &forgotten(why)).await } else { self.hide(message, delay).await }
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
    pub(crate) async fn no_time(&self, message: &Message, needed: Duration, time: Time) -> Verdict {
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

    /// Whether the queue would forget the message before `delay` is over, or soon after.
    pub(crate) fn outlives(&self, message: &Message, delay: Duration) -> bool {
        let retention = self.policy.retention;
        message.sent_at.is_some_and(|sent_at| self.clock.now() + delay > sent_at + (retention - LAST_LOOK.min(retention / 10)))
    }
}

pub(crate) fn letter(error: &DeliveryError) -> DeadLetter {
    DeadLetter { kind: error.kind, reason: error.message.clone(), attempts: 0, id: None, task: None }
}

pub(crate) fn forgotten(why: &str) -> DeliveryError {
    DeliveryError::new(ErrorKind::RetentionEnds, format!("the queue would forget it before it could be run: {why}"))
}
