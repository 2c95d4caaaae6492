//! What an envelope's sender wants to have done when the task has ended, beyond a callback: Celery's next tasks, and its result backend.

use std::sync::Arc;

use errand_core::{DynForward, DynResultBackend, Envelope, FollowUps, Message, PublishError, TaskResult};

use crate::{Engine, Event, Verdict};

/// What it takes to do that.
pub struct Sequel {
    /// Tells what is wanted, in the sender's own form.
    pub follow_ups: fn(&Envelope, &TaskResult) -> FollowUps,
    /// Sends it.
    pub forward: Arc<dyn DynForward>,
    /// Where the sender's client looks for results, if anywhere.
    pub results: Option<Arc<dyn DynResultBackend>>,
}

impl Sequel {
    async fn run(&self, envelope: &Envelope, result: &TaskResult) -> Result<(), PublishError> {
        let FollowUps { messages, result } = (self.follow_ups)(envelope, result);
        for message in &messages {
            self.forward.forward(message).await?;
        }
        match (&self.results, &result) {
            (Some(backend), Some(result)) => backend.keep(result).await,
            _ => Ok(()),
        }
    }
}

impl Engine {
    /// Does what follows on an envelope that has ended. The message stays where that could not be done: it comes again, its id is found ended, and what was sent
    /// already has the same ids.
    pub(crate) async fn follow_up(&self, message: &Message, envelope: &Envelope, result: &TaskResult) -> Verdict {
        let Some(sequel) = &self.sequel else {
            self.saw(&Event::NoSequel { envelope, error: None });
            return Verdict::Acknowledge;
        };
        let Err(failed) = sequel.run(envelope, result).await else { return Verdict::Acknowledge };
        if self.store.is_none() {
            self.saw(&Event::NoSequel { envelope, error: Some(&failed) });
            return Verdict::Acknowledge;
        }
        self.saw(&Event::SequelWaits { envelope, error: &failed });
        let why = format!("it is done, and what follows could not be sent: {failed}");
        self.hide_or_bury(message, self.own_wait(message), &why).await
    }
}
