use std::time::Duration;

use serde::Serialize;
use serde_json::value::to_raw_value;

use crate::{Digest, Envelope, Fingerprint, TaskResult};

/// How often a callback is attempted: the Standard Webhooks specification's schedule ends after ten.
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability>
const ATTEMPTS: u32 = 10;

/// How long to wait after each attempt but the last, in seconds: nobody waits for a callback as for a task, and it is told for as long as the queue keeps it.
const WAITS: [u64; ATTEMPTS as usize - 1] = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 11 * 3600, 11 * 3600, 11 * 3600];

/// What task [`TaskResult::CALLBACK`] takes.
#[derive(Serialize)]
struct Call<'a> {
    url: &'a str,
    body: &'a TaskResult,
}

impl TaskResult {
    /// The task that sends a result to a callback's URL.
    pub const CALLBACK: &'static str = "callback";

    /// How long the sending of a callback waits after it has failed this often, which is 1 for the first time; `None` for any other task.
    #[must_use]
    pub fn callback_wait(task: &str, failures: u32) -> Option<Duration> {
        let place = usize::try_from(failures).unwrap_or(usize::MAX).clamp(1, WAITS.len()) - 1;
        (task == Self::CALLBACK).then(|| Duration::from_secs(WAITS[place]))
    }

    /// The envelope that tells this result, which is final, to `url`. Its id is that of this end of the task: however often it is sent, it is told once.
    #[must_use]
    pub fn callback(&self, url: &str) -> Envelope {
        // An id can be as long as an id can be: only its digest fits into another.
        let ended = self.finished_at.map(|at| at.to_string()).unwrap_or_default();
        let end = Digest::of_parts(&[&self.id, &ended]);
        let kwargs = to_raw_value(&Call { url, body: self }).ok();
        // What is told of an end differs a little by who tells it, and is the same content all the same.
        let fingerprint = Some(Fingerprint::from(&end));
        let id = format!("callback-{}", end.short());
        Envelope { kwargs, fingerprint, max_attempts: Some(ATTEMPTS), ..Envelope::new(id, Self::CALLBACK.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Status, Timestamp};

    use super::*;

    #[test]
    fn a_callback_waits_as_the_specification_says_and_no_other_task_does() {
        let waits = [1, 2, 3, 9, 10, u32::MAX].map(|failures| TaskResult::callback_wait(TaskResult::CALLBACK, failures).unwrap().as_secs());
        assert_eq!(waits, [5, 300, 1800, 39_600, 39_600, 39_600]);
        assert_eq!(TaskResult::callback_wait("webhook", 1), None);
    }

    #[test]
    fn the_id_is_that_of_this_end_of_the_task_in_every_build() {
        let task =
            TaskResult::new(&Envelope::new("order-7".to_owned(), "t".to_owned()), Status::Successful, "sqs", Timestamp::from_millis(0));
        let ended = TaskResult { finished_at: Some(Timestamp::from_millis(1_800_000_000_123)), ..task.clone() };
        let id = |task: &TaskResult| task.callback("https://example.com").id;
        assert_eq!(id(&ended), "callback-4d845e67896e49e7ca1a23d518b17d8a");
        assert_eq!(id(&task), "callback-542d14d4e31b60b382f53b8b7777abf9");
    }
}
