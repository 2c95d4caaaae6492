//! Delays: a one-time schedule puts the envelope on its queue a minute early, since the Scheduler is precise to the minute; the consumer hides it for the
//! rest.

use std::time::Duration;

use aws_sdk_scheduler::types::ActionAfterCompletion;
use errand_core::{BoxFuture, Digest, DynCheck, Envelope, Hold, PublishError, Published, Timestamp, TransportLimits};
use errand_http::aws::Failure;
use futures_util::{StreamExt, stream};

use crate::{
    EventBridgeScheduler,
    scheduler::{INPUT_LIMIT, SERVICE, at_once, is},
};

/// How long before its time an envelope is put on the queue.
/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>: an invocation comes within 60 seconds.
const EARLY: Duration = Duration::from_secs(60);

/// Calls that are under way together.
const CONCURRENCY: usize = 16;

impl EventBridgeScheduler {
    async fn schedule(&self, envelope: &Envelope) -> Result<Published, PublishError> {
        let due = envelope.run_after.unwrap_or_else(|| self.clock.now());
        let name = name(&envelope.id, due);
        // Each call has a token of its own, which the SDK makes: one made of the name would be known from a schedule that was deleted.
        let call = self.client().create_schedule().name(&name).group_name(&self.group);
        let call = call
            .schedule_expression(at(due, self.clock.now()))
            .schedule_expression_timezone("UTC")
            .action_after_completion(ActionAfterCompletion::Delete);
        match call.set_flexible_time_window(at_once()).target(self.target(envelope)?).send().await {
            Ok(_) => Ok(Published { message_id: Some(name) }),
            Err(error) => match Failure::of(&error) {
                // The same id was scheduled for that time before: it is on its way.
                failure if is(&failure, "ConflictException") => Ok(Published { message_id: Some(name) }),
                failure => Err(failure.to_publish(SERVICE)),
            },
        }
    }
}

/// The longest that it is asked to hold something: a year with its leap day.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl Hold for EventBridgeScheduler {
    const NAME: &'static str = "scheduler";

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: LONGEST, bytes: INPUT_LIMIT }
    }

    async fn hold(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        stream::iter(0..envelopes.len()).map(|place| self.schedule(&envelopes[place])).buffered(CONCURRENCY).collect().await
    }

    async fn withdraw(&self, id: &str, run_after: Timestamp) -> Result<(), PublishError> {
        match self.client().delete_schedule().name(name(id, run_after)).group_name(&self.group).send().await {
            Ok(_) => Ok(()),
            Err(error) => match Failure::of(&error) {
                failure if is(&failure, "ResourceNotFoundException") => Ok(()),
                failure => Err(failure.to_publish(SERVICE)),
            },
        }
    }
}

impl DynCheck for EventBridgeScheduler {
    fn check<'a>(&'a self) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async {
            let told = self.client().get_schedule_group().name(&self.group).send().await;
            told.map(drop).map_err(|error| Failure::of(&error).to_publish(SERVICE))
        })
    }
}

/// A schedule's name: the SHA-256 of the envelope's id and time. Names have at most 64 characters out of fewer than an id may have; an id that is moved
/// has a schedule for its new time before the one for the old time is deleted.
fn name(id: &str, run_after: Timestamp) -> String {
    Digest::of(format!("{id} {run_after}").as_bytes()).to_string()
}

/// When the schedule fires: early, and not in the past. <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#one-time>
fn at(due: Timestamp, now: Timestamp) -> String {
    let time = (due - EARLY).max(now).to_string();
    format!("at({})", time.split('.').next().unwrap_or_default())
}
