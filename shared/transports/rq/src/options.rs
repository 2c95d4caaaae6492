use std::time::Duration;

use errand_core::{Problems, WorkerResult};
use errand_wire::Format;
use serde::Deserialize;

errand_redis::options! {
    /// What an alias says: where Redis is, and what is said of every job.
    pub struct Options {
        /// The module of functions whose tasks are named without one.
        pub(crate) module: Option<String>,
        /// What a job calls.
        #[serde(default)]
        pub(crate) format: Format,
        /// How long a job may run, in seconds, before its worker ends it; -1 for as long as it takes. RQ's own default is 180.
        pub(crate) job_timeout: Option<i64>,
        /// How long what a job returned is kept, in seconds; -1 for ever. RQ's own default is 500.
        result_ttl: Option<i64>,
        /// How long a job that failed is kept, in seconds; -1 for ever. RQ's own default is a year.
        pub(crate) failure_ttl: Option<i64>,
        /// How often a job is tried again that failed, and after how long.
        pub(crate) retry: Option<Retry>,
        /// Whether jobs go before those that wait already.
        #[serde(default)]
        pub(crate) at_front: bool,
        /// How long after the hand-over what became of a job is read back, in seconds; it is not, when this is not said.
        result_timeout: Option<u64>,
        /// Whether RQ's own scheduler keeps delays: workers run `--with-scheduler`.
        #[serde(default)]
        pub(crate) with_scheduler: bool,
    }
}

/// RQ's `Retry`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    /// How often it is tried again.
    pub(crate) max: u32,
    /// How long before each, in seconds; the last holds for the rest. At once, where it is not said.
    #[serde(default)]
    interval: Interval,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number of seconds, or an array of them")]
enum Interval {
    Same(u32),
    Each(Vec<u32>),
}

impl Default for Interval {
    fn default() -> Self {
        Self::Each(Vec::new())
    }
}

impl Retry {
    /// RQ's `retry_intervals`, where there are any.
    pub(crate) fn intervals(&self) -> Option<String> {
        let intervals = match &self.interval {
            Interval::Same(seconds) => std::slice::from_ref(seconds),
            Interval::Each(seconds) => seconds,
        };
        (!intervals.is_empty()).then(|| format!("{intervals:?}"))
    }
}

impl Options {
    /// How long after the hand-over what became of a job is read back.
    pub(crate) fn result_timeout(&self) -> Option<Duration> {
        self.result_timeout.map(Duration::from_secs)
    }

    /// How long what a job returned is kept: for as long as it is read back, where nothing is said.
    pub(crate) fn result_ttl(&self) -> Option<i64> {
        self.result_ttl.or(self.result_timeout.and_then(|seconds| seconds.try_into().ok()))
    }

    /// Whether the numbers are such as RQ takes.
    ///
    /// # Errors
    /// One is not.
    pub(crate) fn check(&self) -> Result<(), Problems> {
        if self.module.as_deref().is_some_and(|module| !is_path(module)) {
            return Err(Problems::at("/module", "expected the name of a module, such as shop.tasks"));
        }
        if !matches!(self.format, Format::Native | Format::DjangoNotifs(_)) {
            return Err(Problems::at("/format", "expected native or django-notifs"));
        }
        let longest = WorkerResult::LONGEST.as_secs();
        if self.result_timeout.is_some_and(|seconds| seconds == 0 || seconds > longest) {
            return Err(Problems::at("/result_timeout", format!("expected a number of seconds from 1 to {longest}")));
        }
        let seconds = [("/job_timeout", self.job_timeout, 1), ("/result_ttl", self.result_ttl, 0), ("/failure_ttl", self.failure_ttl, 0)];
        for (name, seconds, least) in seconds {
            if seconds.is_some_and(|seconds| seconds < least && seconds != -1) {
                return Err(Problems::at(name, format!("expected a number of seconds from {least}, or -1 for no end")));
            }
        }
        if self.retry.as_ref().is_some_and(|retry| retry.max == 0) {
            return Err(Problems::at("/retry/max", "expected a number above 0"));
        }
        Ok(())
    }
}

/// Whether it is a name of Python's, or several with dots between.
pub(crate) fn is_path(text: &str) -> bool {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    text.split('.').all(is_name)
}
