use tracing::{error, info, warn};

use crate::{Event, Watch};

/// Writes a line of log of what happens, where somebody who looks after it may want to know: by ids, names and reasons, never by what a task holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log;

impl Watch for Log {
    fn saw(&self, event: &Event<'_>) {
        match *event {
            Event::Unread { message, error } => {
                let alarm = error.kind.alarms();
                error!(message_id = message.id, kind = %error.kind, reason = error.message, alarm, "not read, will be tried again");
            }
            Event::Refused { message, error } => {
                error!(message_id = message.id, kind = %error.kind, reason = error.message, "given up");
            }
            Event::NotBuried { message, error } => {
                error!(message_id = message.id, %error, alarm = true, "stays: the dead-letter queue did not take it");
            }
            Event::NotHidden { message, error } => {
                warn!(message_id = message.id, %error, "not hidden: comes back with the queue's own timeout");
            }
            Event::NotBegun { message, whole, needed } => {
                let (seconds, needed) = (whole.as_secs(), needed.as_secs());
                warn!(message_id = message.id, seconds, needed, "not begun: an invocation is too short for it");
            }
            Event::SentOn { message, count } => info!(message_id = message.id, count, "sent on as messages of their own"),
            Event::NotSentOn { message, count, failed, error } => {
                warn!(message_id = message.id, count, failed, %error, "not sent on as a whole, will be tried again");
            }
            Event::CannotSendOn { message } => {
                error!(message_id = message.id, alarm = true, "not sent on: this consumer has nothing to send with");
            }
            Event::Moved { envelope, until } => {
                info!(id = envelope.id, task = envelope.task, %until, "moved: another message brings it then");
            }
            Event::NothingLeft { envelope, status } => info!(id = envelope.id, task = envelope.task, %status, "nothing left to do"),
            Event::LeftOut { envelope, status } => {
                warn!(id = envelope.id, task = envelope.task, %status, "left out: its id is that of another task or other arguments");
            }
            Event::NotClaimed { envelope, error } => {
                error!(id = envelope.id, task = envelope.task, %error, "not claimed: the store does not answer");
            }
            Event::Expired { envelope } => info!(id = envelope.id, task = envelope.task, "expired"),
            Event::LeftToNext { envelope, provider, error } => {
                let (kind, alarm) = (error.kind, error.kind.alarms());
                warn!(id = envelope.id, provider, %kind, reason = error.message, alarm, "left to the next of the list");
            }
            Event::Stopped { provider, wait } => {
                error!(provider, seconds = wait.map(|wait| wait.as_secs()), alarm = true, "stopped: it is left alone");
            }
            Event::Delivered { envelope, attempt } => info!(id = envelope.id, task = envelope.task, attempt, "delivered"),
            Event::HandedOver { envelope, attempt, .. } => {
                info!(id = envelope.id, task = envelope.task, attempt, "handed to a remote worker");
            }
            Event::HandedOn { envelope, attempt, transport } => {
                info!(id = envelope.id, task = envelope.task, attempt, transport, "handed to other people's workers");
            }
            Event::NotTold { id, transport, error } => {
                let alarm = !error.passes();
                warn!(id, transport, %error, alarm, "what the workers left could not be read, will be asked for again");
            }
            Event::FollowUpWaits { envelope, error } => warn!(id = envelope.id, %error, "the follow-up waits"),
            Event::Failed { envelope, attempt, error, delay } => {
                let (id, task, kind, reason, seconds) = (&envelope.id, &envelope.task, error.kind, &error.message, delay.as_secs());
                if kind.alarms() {
                    error!(id, task, attempt, %kind, reason, retry_in_seconds = seconds, alarm = true, "failed, will be tried again");
                } else {
                    warn!(id, task, attempt, %kind, reason, retry_in_seconds = seconds, "failed, will be tried again");
                }
            }
            Event::GoesOn { envelope, attempt, delay } => {
                info!(id = envelope.id, task = envelope.task, attempt, in_seconds = delay.as_secs(), "goes on in another invocation");
            }
            Event::GivenUp { envelope, attempt, error } => {
                let (kind, alarm) = (error.kind, error.kind.alarms());
                error!(id = envelope.id, task = envelope.task, attempt, %kind, reason = error.message, alarm, "given up");
            }
            Event::Overtaken { envelope, attempt } => {
                warn!(id = envelope.id, attempt, "not recorded: a newer attempt has the id");
            }
            Event::NotRecorded { envelope, attempt, error } => {
                error!(id = envelope.id, attempt, %error, "not recorded: the store does not answer");
            }
            Event::NotDiscarded { envelope, error } => {
                warn!(id = envelope.id, %error, "arguments stay in the object store until they expire");
            }
            Event::CallbackWaits { envelope, why } => warn!(id = envelope.id, why, "the callback waits"),
            Event::NoCallback { envelope, error: None } => {
                error!(id = envelope.id, alarm = true, "no callback: this consumer has nothing to send it with");
            }
            Event::NoCallback { envelope, error: Some(error) } => {
                error!(id = envelope.id, %error, alarm = true, "no callback: without a store the task would be done again for it");
            }
            Event::SequelWaits { envelope, error } if error.passes() => {
                warn!(id = envelope.id, %error, "what follows waits");
            }
            Event::SequelWaits { envelope, error } => error!(id = envelope.id, %error, alarm = true, "what follows waits"),
            Event::NoSequel { envelope, error: None } => {
                error!(id = envelope.id, alarm = true, "nothing follows: this consumer has nothing to send it with");
            }
            Event::NoSequel { envelope, error: Some(error) } => {
                error!(id = envelope.id, %error, alarm = true, "nothing follows: without a store the task would be done again for it");
            }
            // What goes as it should is told when it is done.
            Event::PutOff { .. } | Event::Begun { .. } | Event::Called { .. } => {}
        }
    }
}
