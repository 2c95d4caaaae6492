use std::time::Duration;

use errand_core::{Digest, Envelope, Message, TaskResult};

use crate::Engine;

/// The longest that a message is hidden. SQS allows twelve hours and counts them from the receipt, so the longest that a function can run is taken
/// off. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html>
pub(crate) const LONGEST: Duration = Duration::from_secs((12 * 60 - 15) * 60);

/// The shortest that a message is hidden that waits for something to change.
pub(crate) const SHORTEST: Duration = Duration::from_secs(1);

/// The longest that a message waits for what is the deployment's own, and is there again as soon as somebody has seen to it: in two weeks a message is then received
/// 700 times, and a queue gives up after 1,000.
const LONGEST_FOR_OWN: Duration = Duration::from_secs(30 * 60);

impl Engine {
    /// How long what failed waits whose service asks for nothing.
    pub(crate) fn wait(&self, envelope: &Envelope, failures: u32) -> Duration {
        TaskResult::callback_wait(&envelope.task, failures).unwrap_or_else(|| backoff(self.policy.retry_base, &envelope.id, failures))
    }

    /// How long a message waits when the store, a queue or the object store does not answer, or no invocation had the time for it. Of that, nothing is known but how
    /// often the message was received.
    pub(crate) fn own_wait(&self, message: &Message) -> Duration {
        backoff(self.policy.retry_base, &message.id, message.receive_count).min(LONGEST_FOR_OWN)
    }
}

/// How long to wait after the failed attempt `number` at `id`: exponential with full jitter, between one second and [`LONGEST`].
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>
///
/// The jitter is a hash of id and attempt: spread over ids as a random number would be, and the same when computed again.
fn backoff(base: Duration, id: &str, number: u32) -> Duration {
    let ceiling = base.saturating_mul(2_u32.saturating_pow(number.saturating_sub(1))).min(LONGEST);
    ceiling.mul_f64(share(id, number)).max(SHORTEST)
}

/// `wait`, of a second at least, and up to a quarter more, so that what waits for the same moment does not come in the same moment.
pub(crate) fn spread(wait: Duration, id: &str) -> Duration {
    let wait = wait.max(SHORTEST);
    wait + wait.mul_f64(share(id, 0) / 4.0)
}

/// A number from 0 to 1.
fn share(id: &str, number: u32) -> f64 {
    let [first, second, third, fourth, ..] = *Digest::of_parts(&[id, &number.to_string()]).bytes();
    f64::from(u32::from_be_bytes([first, second, third, fourth])) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest_and_are_spread_evenly() {
        let base = Duration::from_secs(5);
        for number in 1..=100 {
            let ceiling = Duration::from_secs(5 << (number - 1).min(20)).min(LONGEST);
            let waits: Vec<Duration> = (0..1000).map(|i| backoff(base, &format!("id-{i}"), number)).collect();
            assert!(waits.iter().all(|wait| (SHORTEST..=ceiling).contains(wait)), "attempt {number}");
            let mean = waits.iter().sum::<Duration>() / 1000;
            assert!(mean > ceiling.mul_f64(0.45) && mean < ceiling.mul_f64(0.58), "attempt {number}: {mean:?} of {ceiling:?}");
        }
    }
}
