//! Runners, and what their routes have in common.

use std::{future::Future, time::Duration};

use serde::{Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{DeliveryError, Envelope, Environment, Init, Invocation, Json, Secret, Setting, SettingsError};

/// Code that has tasks run elsewhere, whatever their names: by the user's own code, behind a URL or in another function. `ERRAND_ROUTES` says which tasks
/// those are. One crate, one Cargo feature.
///
/// A runner keeps the contract of a [`Provider`](crate::Provider).
pub trait Runner: Sized + Send + Sync + 'static {
    /// The runner's name: `http`. Its routes are objects with a field of this name; its settings are `ERRAND_HTTP_*`.
    const NAME: &'static str;
    /// Its settings, which begin with `ERRAND_` and its name: made by [`settings!`](crate::settings!). None may be required.
    const SETTINGS: &'static [Setting] = &[];
    /// What a route says, options included.
    type Route: DeserializeOwned + Send + Sync + 'static;

    /// Checks the settings and builds the runner.
    ///
    /// # Errors
    /// A setting is wrong.
    fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError>;

    /// Checks what a route says, beyond its form.
    ///
    /// # Errors
    /// What was expected.
    fn check(&self, route: &Self::Route) -> Result<(), String>;

    /// How long one run may take at most: no longer than [`Invocation::longest_call`] of [`Init::invocation`].
    fn timeout(&self, route: &Self::Route) -> Duration;

    /// Has a task run.
    fn run(&self, route: &Self::Route, job: &Job<'_>) -> impl Future<Output = Result<Ran, DeliveryError>> + Send;
}

/// The most seconds that a route may give a worker to report: a week, less than a queue keeps a message.
const LONGEST_REPORT: u64 = 7 * 24 * 60 * 60;

/// A route's `report_seconds` when it says none: an hour.
#[must_use]
pub fn default_report_seconds() -> u64 {
    60 * 60
}

/// How long a run may take by a route's `timeout_seconds`: what an invocation leaves, when it says none.
#[must_use]
pub fn timeout(seconds: Option<u64>, invocation: Invocation) -> Duration {
    seconds.map_or(invocation.longest_call(), Duration::from_secs)
}

/// Checks a route's `timeout_seconds` and `report_seconds`.
///
/// # Errors
/// What was expected.
pub fn check_seconds(timeout: Option<u64>, report: u64, invocation: Invocation) -> Result<(), String> {
    let longest = invocation.longest_call().as_secs();
    if timeout.is_some_and(|timeout| !(1..=longest).contains(&timeout)) {
        return Err(format!(
            "timeout_seconds: expected 1 to {longest}, since {} is {}",
            Invocation::SETTING,
            invocation.length().as_secs()
        ));
    }
    if !(1..=LONGEST_REPORT).contains(&report) {
        return Err(format!("report_seconds: expected 1 to {LONGEST_REPORT}"));
    }
    Ok(())
}

/// One try at a task that runs elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// What is to be run; of a bulk, one payload with an id of its own.
    pub envelope: &'a Envelope,
    /// 1 for the first try.
    pub number: u32,
    /// Where and how a worker can report that answers before it is done; `None` where no report could be taken: what the worker answers is then all that will be known.
    pub report: Option<&'a ReportTo>,
}

impl Job<'_> {
    /// The job as JSON, for the user's own code: `task`, `args` and `kwargs` as django-tasks-cloud sends them, and `id`, `attempt` and `report`.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            task: &'a str,
            #[serde(serialize_with = "raw")]
            args: &'a str,
            #[serde(serialize_with = "raw")]
            kwargs: &'a str,
            id: &'a str,
            attempt: u32,
            #[serde(skip_serializing_if = "Option::is_none")]
            report: Option<Report<'a>>,
        }
        fn raw<S: Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
            serde_json::from_str::<&RawValue>(json).map_err(serde::ser::Error::custom)?.serialize(serializer)
        }
        #[derive(Serialize)]
        struct Report<'a> {
            url: &'a str,
            token: &'a str,
        }
        let Envelope { id, task, args, kwargs, .. } = self.envelope;
        let body = Body {
            task,
            args: args.as_deref().map_or("[]", RawValue::get),
            kwargs: kwargs.as_deref().map_or("{}", RawValue::get),
            id,
            attempt: self.number,
            report: self.report.map(|report| Report { url: &report.url, token: report.token.expose() }),
        };
        // JSON that was parsed before, and texts: there is nothing here that serde can refuse.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// Where a remote worker reports how a task ended.
#[derive(Clone, Debug)]
pub struct ReportTo {
    /// The URL to POST to.
    pub url: String,
    /// What shows that this worker was given this attempt.
    pub token: Secret,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq)]
pub enum Ran {
    /// Done, with the task's return value.
    Done(Json),
    /// Taken: the worker reports by itself, within this time.
    Handed(Duration),
    /// Taken by other people's workers, who do not report and can be asked how it ended.
    HandedOn {
        /// The transport that it was handed to, by its name.
        transport: String,
        /// What it was for there.
        destination: Option<String>,
        /// For how long they are asked.
        within: Duration,
        /// What was answered to the hand-over: the task's return value where nobody asks.
        answer: Json,
    },
}
