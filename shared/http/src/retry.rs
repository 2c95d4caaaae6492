use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use errand_core::ErrorKind;

use crate::{Answer, SendError, aws, retry_after};

/// Whether a call that failed is sent again at once, in the time that it has. What is tried again later is for the engine to say.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// How often it is sent in all.
    most: u32,
    /// How long the first wait is at most; each further one is twice as long.
    wait: Duration,
    /// Whether it may be done twice.
    repeatable: bool,
}

impl Retry {
    /// It is sent once.
    pub const NEVER: Self = Self { most: 1, wait: Duration::ZERO, repeatable: false };

    /// For what may be done once at most: sent up to `most` times, and again only when it was certainly not done, that is when it did not leave or the service asked to
    /// be called less often. Waits are random, up to `wait` and then twice as long each time.
    #[must_use]
    pub const fn once(most: u32, wait: Duration) -> Self {
        Self { most, wait, repeatable: false }
    }

    /// For what may be done twice: also after no answer, and after the service failed.
    #[must_use]
    pub const fn repeatable(most: u32, wait: Duration) -> Self {
        Self { most, wait, repeatable: true }
    }

    /// How long a call may take that was sent `tried` times before, where `left` is left for all: one that hears nothing, and is sent again then, leaves half of it.
    pub(crate) fn share(&self, tried: u32, left: Duration) -> Duration {
        if self.repeatable && tried + 1 < self.most { left / 2 } else { left }
    }

    /// How long to wait before a call is sent again that was sent `tried` times, if it is.
    pub(crate) fn wait(&self, tried: u32, answered: &Result<Answer, SendError>) -> Option<Duration> {
        let again = match answered {
            Err(SendError::NotSent(_)) => true,
            Err(SendError::Unanswered(_)) => self.repeatable,
            Err(SendError::Forbidden { .. }) => false,
            Ok(answer) if answer.success() => false,
            Ok(answer) => match aws::meaning(answer, &crate::Meanings::default()).kind {
                ErrorKind::RateLimited => true,
                ErrorKind::Unavailable => self.repeatable,
                _ => false,
            },
        };
        let asked = answered.as_ref().ok().and_then(|answer| retry_after(answer.headers(), answer.at()));
        let ceiling = self.wait.saturating_mul(2_u32.saturating_pow(tried.saturating_sub(1)));
        (again && tried < self.most).then(|| asked.unwrap_or_default().max(ceiling.mul_f64(random())))
    }
}

/// A number from 0 to 1, another one each time.
fn random() -> f64 {
    f64::from(u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use errand_core::Timestamp;

    use super::*;

    fn answered(status: u16) -> Result<Answer, SendError> {
        let response = http::Response::builder().status(status).body(bytes::Bytes::new()).unwrap();
        Ok(Answer::new("Shop", response, Timestamp::from_millis(0)))
    }

    #[test]
    fn what_may_have_been_done_is_sent_again_only_where_it_may_be_done_twice() {
        let second = Duration::from_secs(1);
        let not_sent = || Err(SendError::NotSent(String::new()));
        let unanswered = || Err(SendError::Unanswered(String::new()));
        for (failure, once, repeatable) in [
            (not_sent(), true, true),
            (answered(429), true, true),
            (unanswered(), false, true),
            (answered(503), false, true),
            (answered(200), false, false),
            (answered(403), false, false),
            (Err(SendError::Forbidden { setting: "X" }), false, false),
        ] {
            assert_eq!(Retry::once(3, second).wait(1, &failure).is_some(), once);
            assert_eq!(Retry::repeatable(3, second).wait(2, &failure).is_some(), repeatable);
            assert_eq!((Retry::repeatable(3, second).wait(3, &failure), Retry::NEVER.wait(1, &failure)), (None, None));
        }
        let shares = |retry: Retry| [0, 1, 2].map(|tried| retry.share(tried, second).as_millis());
        assert_eq!((shares(Retry::repeatable(3, second)), shares(Retry::once(3, second))), ([500, 500, 1000], [1000; 3]));
        for _ in 0..100 {
            assert!(Retry::once(9, second).wait(3, &not_sent()).unwrap() <= 4 * second);
        }
        assert_ne!(random(), random());
    }
}
