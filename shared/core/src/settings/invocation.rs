use std::time::Duration;

use crate::{Environment, Setting, SettingsError, settings};

/// How long a consumer runs at a time: what bounds every call of a provider or runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invocation {
    length: Duration,
    /// What no call may take up.
    reserve: Duration,
}

impl Invocation {
    /// The function's own time-out in seconds, as the template sets both.
    pub const SETTING: &'static str = settings::all::TIMEOUT_SECONDS.name;

    /// What no call may take up: for reading, claiming, recording and answering, and for what of the time has passed before a call begins.
    const RESERVE: Duration = Duration::from_secs(5);

    /// Reads [`Invocation::SETTING`]: 6 seconds to Lambda's longest, 15 minutes; 30 seconds when it is not set.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_env(env: &Environment) -> Result<Self, SettingsError> {
        let seconds = env.number(&settings::all::TIMEOUT_SECONDS)?;
        Ok(seconds.map_or_else(Self::default, |seconds| Self::of(Duration::from_secs(seconds.into()))))
    }

    const fn of(length: Duration) -> Self {
        Self { length, reserve: Self::RESERVE }
    }

    /// The same, of which a call's own part may take so much less: what it waits for beside its service.
    #[must_use]
    pub const fn reserving(self, more: Duration) -> Self {
        Self { reserve: self.reserve.saturating_add(more), ..self }
    }

    /// The whole of it.
    #[must_use]
    pub const fn length(self) -> Duration {
        self.length
    }

    /// The longest that one call may take.
    #[must_use]
    pub const fn longest_call(self) -> Duration {
        self.length.saturating_sub(self.reserve)
    }

    /// The time-out that a setting has, in seconds: what one call can take at most; when it is not set `usual`, if that is not too long.
    ///
    /// # Errors
    /// It is none, or longer than [`Invocation::longest_call`].
    pub fn timeout(self, env: &Environment, setting: &Setting, usual: Duration) -> Result<Duration, SettingsError> {
        let longest = self.longest_call();
        let Some(seconds) = env.number(setting)? else { return Ok(usual.min(longest)) };
        let set = Some(Duration::from_secs(seconds.into())).filter(|set| (1..=longest.as_secs()).contains(&set.as_secs()));
        set.ok_or_else(|| SettingsError::invalid(setting.name, &format!("expected a whole number from 1 to {}", longest.as_secs())))
    }

    /// Checks the most that a call of `what` may take.
    ///
    /// # Errors
    /// It is longer than [`Invocation::longest_call`]: it could never begin.
    pub(crate) fn check(self, what: &str, timeout: Duration) -> Result<(), String> {
        if timeout <= self.longest_call() {
            return Ok(());
        }
        let (timeout, length, longest) = (timeout.as_secs_f64(), self.length().as_secs(), self.longest_call().as_secs());
        Err(format!(
            "a call of {what} may take {timeout} seconds, and in an invocation of {length} none may take more than {longest} ({})",
            Self::SETTING
        ))
    }
}

impl Default for Invocation {
    /// 30 seconds, as in the template.
    fn default() -> Self {
        Self::of(Duration::from_secs(30))
    }
}
