//! One envelope, for one attempt, without a queue: its caller waits for the end.

use std::{collections::BTreeMap, time::Duration};

use errand_core::{DeliveryError, Envelope, ErrorKind, Message, StorageError, Timestamp};

use crate::{Engine, Received, time::Time};

/// How long it may take to give up what was not done, after the time of its attempt.
const GIVING_UP: Duration = Duration::from_secs(5);

impl Engine {
    /// Runs an envelope that came without a queue for one attempt, and gives up what was not done in it: nobody would bring it again. Answers whether it has ended by that, or is
    /// with other people's workers; its record tells how. It has not where another attempt has it.
    ///
    /// # Errors
    /// There is no store, or it does not answer.
    pub async fn run_once(&self, envelope: &Envelope, deadline: Timestamp) -> Result<bool, StorageError> {
        let Some(store) = &self.store else { return Err(StorageError("nothing keeps how it ends".to_owned())) };
        let (message, envelope) = (message(envelope), Envelope { max_attempts: Some(1), ..envelope.clone() });
        self.run(vec![Received { message: message.clone(), work: Ok(vec![envelope.clone()]) }], deadline).await;
        if let Some((task, header)) = store.get(&envelope.id).await?
            && (task.status.ended() || header.handed_on.is_some())
        {
            return Ok(true);
        }
        let now = self.clock.now();
        let Ok(claimed) = self.claim(&message, &envelope, None, Time { began: now, deadline: now + GIVING_UP }).await else {
            return Ok(false);
        };
        let why = "it could not be begun in the time of its call, or what does it is left alone for a while";
        self.give_up(&claimed, &DeliveryError::new(ErrorKind::Unavailable, why)).await;
        Ok(true)
    }
}

/// The message that it would have been.
fn message(envelope: &Envelope) -> Message {
    Message {
        id: envelope.id.clone(),
        receipt: String::new(),
        body: String::new(),
        attributes: BTreeMap::new(),
        receive_count: 1,
        sent_at: None,
        queue: envelope.queue.clone(),
        lane: None,
    }
}
