//! Tasks that other people's workers do, and how their results come back.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use crate::{Digest, Envelope, Json, TaskError, Timestamp};

/// What is known of a task that was handed to other people's workers.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerResult {
    /// It waits for a worker, or nothing is known of it: most result backends cannot tell these apart.
    Pending,
    /// A worker has begun; or waits to try it again.
    Started {
        /// The worker's name, where it is told.
        worker: Option<String>,
    },
    /// Done, with the task's return value.
    Succeeded(Json),
    /// The worker has given it up: what its code raised.
    Failed(TaskError),
}

impl WorkerResult {
    /// The longest that results are waited for: a week, less than a queue keeps a message.
    pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
}

/// Whose workers have a task, and until when it is asked how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOn {
    /// The transport that it was handed to, by its name.
    pub transport: String,
    /// What it was for there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// When.
    pub at: Timestamp,
    /// When its outcome counts as unknown.
    pub until: Timestamp,
}

impl HandedOn {
    /// What was handed on now, whose result is waited for so long, at most [`WorkerResult::LONGEST`].
    #[must_use]
    pub fn now(transport: String, destination: Option<String>, within: Duration, now: Timestamp) -> Self {
        Self { transport, destination, at: now, until: now + within.min(WorkerResult::LONGEST) }
    }
}

/// A message by which a consumer asks for a worker's result, again and again, and ends the task with it. It is no task of its own: it has no record, and however many
/// there are of one task, it ends once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowUp {
    /// The id of the task.
    pub id: String,
    /// The attempt that handed it on: what is noted of a later one is not for this to change.
    pub attempt: u32,
    /// Who has it.
    pub handed_on: HandedOn,
}

impl FollowUp {
    /// The task that its message names.
    pub const TASK: &'static str = "errand.follow-up";

    /// How long after the hand-over is asked first.
    const FIRST: Duration = Duration::from_secs(1);

    /// The longest pause between two questions.
    const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);

    /// Its message, which comes to our own consumer; `envelope` is that of the task, whose sender may want more to be done when it has ended.
    #[must_use]
    pub fn message(&self, envelope: &Envelope) -> Envelope {
        let name = format!("follow-up-{}", Digest::of_parts(&[&self.id, &self.attempt.to_string()]).short());
        Envelope {
            kwargs: to_raw_value(self).ok(),
            run_after: Some(self.handed_on.at + Self::FIRST),
            // On a first-in-first-out queue nobody else waits for its pauses.
            group: Some(name.clone()),
            context: envelope.context.clone(),
            trace: envelope.trace.clone(),
            ..Envelope::new(name, Self::TASK.to_owned())
        }
    }

    /// What a message asks; `None` for any other envelope, and for one that has no such arguments.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Option<Self> {
        (envelope.task == Self::TASK).then(|| serde_json::from_str(envelope.payload()).ok()).flatten()
    }

    /// How long to wait until it is asked again: a quarter of the time since the hand-over, so that a result is known when the worker's time and a quarter are over; a second at
    /// least, half an hour at most, and no longer than the result is waited for.
    #[must_use]
    pub fn pause(&self, now: Timestamp) -> Duration {
        let HandedOn { at, until, .. } = self.handed_on;
        let left = if until > now { until.since(now) } else { Self::LONGEST_PAUSE };
        (now.since(at) / 4).min(Self::LONGEST_PAUSE).min(left).max(Self::FIRST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn follow_up(limit: u64) -> FollowUp {
        let handed_on = HandedOn { transport: "workers".to_owned(), destination: None, at: AT, until: AT + Duration::from_secs(limit) };
        FollowUp { id: "order-7".to_owned(), attempt: 2, handed_on }
    }

    #[test]
    fn its_message_is_read_again_and_every_build_gives_it_the_same_id() {
        let (asked, task) = (follow_up(60), Envelope::new("order-7".to_owned(), "t".to_owned()));
        let message = asked.message(&task);
        assert_eq!(message.id, "follow-up-007387b8ac1bbeeb368868a8a1b330b6");
        let handed_on = r#"{"transport":"workers","at":"2027-01-15T08:00:00.000Z","until":"2027-01-15T08:01:00.000Z"}"#;
        assert_eq!(message.payload(), format!(r#"{{"id":"order-7","attempt":2,"handed_on":{handed_on}}}"#));
        assert_eq!(FollowUp::of(&message), Some(asked));
        assert_eq!((FollowUp::of(&task), FollowUp::of(&Envelope { kwargs: None, ..message })), (None, None));
    }

    #[test]
    fn pauses_grow_with_the_time_and_end_with_it() {
        let asked = follow_up(7200);
        let pauses = [0, 1, 40, 4000, 7190, 7200, 100_000].map(|seconds| asked.pause(AT + Duration::from_secs(seconds)).as_secs());
        assert_eq!(pauses, [1, 1, 10, 1000, 10, 1800, 1800]);
        let most = |limit: u64| {
            let (asked, mut at, mut times) = (follow_up(limit), AT, 0);
            while at < AT + Duration::from_secs(limit) {
                at = at + asked.pause(at);
                times += 1;
            }
            times
        };
        assert!(most(3600) < 40 && most(WorkerResult::LONGEST.as_secs()) < 500, "a queue gives up what is received too often");
    }
}
