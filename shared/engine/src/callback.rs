//! How a task ended, told to who wants to know.

use errand_core::{Envelope, Message, TaskResult};

use crate::{Engine, Event, Verdict};

/// What an attempt knows of how it ended.
pub(crate) struct Told {
    pub(crate) result: TaskResult,
    /// Whether the store does not know it.
    pub(crate) unknown: bool,
}

impl Engine {
    /// Tells the result of an envelope that has ended to who wants to have it, and does what follows: of `told`, or of what the store knows. The message stays where
    /// that could not be done and can be done again, which the store tells.
    pub(crate) async fn tell(&self, message: &Message, envelope: &Envelope, told: Option<Told>) -> Verdict {
        if envelope.callback_url.is_none() && !envelope.context.follow_ups {
            return Verdict::Acknowledge;
        }
        Box::pin(self.tell_of(message, envelope, told)).await
    }

    async fn tell_of(&self, message: &Message, envelope: &Envelope, told: Option<Told>) -> Verdict {
        let (calls_back, follows) = (envelope.callback_url.is_some(), envelope.context.follow_ups);
        let result = match told {
            // What follows needs no more than this attempt knows.
            Some(told) if !told.unknown && !calls_back => told.result,
            told => match (self.known(&envelope.id).await, told) {
                (Ok(Some(result)), _) => result,
                // It was not recorded: what this attempt knows is all that will be known.
                (_, Some(told)) => told.result,
                (Ok(None), None) => return Verdict::Acknowledge,
                (Err(()), None) => return self.call_back_later(message, envelope, "the store does not answer").await,
            },
        };
        match self.call_back(message, envelope, &result).await {
            Verdict::Acknowledge if follows => self.follow_up(message, envelope, &result).await,
            verdict => verdict,
        }
    }

    /// What the store knows of an id that has ended.
    async fn known(&self, id: &str) -> Result<Option<TaskResult>, ()> {
        let Some(store) = &self.store else { return Ok(None) };
        let known = store.get(id).await.map_err(drop)?;
        Ok(known.map(|(result, _)| result).filter(|result| result.status.ended()))
    }

    async fn call_back(&self, message: &Message, envelope: &Envelope, result: &TaskResult) -> Verdict {
        let Some(url) = &envelope.callback_url else { return Verdict::Acknowledge };
        let Some(dispatch) = &self.dispatch else {
            self.saw(&Event::NoCallback { envelope, error: None });
            return Verdict::Acknowledge;
        };
        match dispatch.publish(&mut result.callback(url), self.clock.now()).await {
            Ok(_) => Verdict::Acknowledge,
            Err(error) if self.store.is_none() => {
                self.saw(&Event::NoCallback { envelope, error: Some(&error) });
                Verdict::Acknowledge
            }
            Err(error) => self.call_back_later(message, envelope, &error.to_string()).await,
        }
    }

    async fn call_back_later(&self, message: &Message, envelope: &Envelope, why: &str) -> Verdict {
        self.saw(&Event::CallbackWaits { envelope, why });
        self.hide(message, self.own_wait(message)).await
    }
}
