use std::time::Duration;

use errand_core::{
    DeliveryError, Environment, ErrorKind, HTTP_URL, Init, Invocation, Job, Json, Ran, Runner, Setting, SettingsError, TaskError, http_url,
    runner,
};
use errand_http::{Answer, Credential, Meanings, Service, sign};
use http::{StatusCode, header};
use serde::Deserialize;

use crate::settings::{SECRET, SETTINGS};

/// What a route says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The application's URL.
    #[serde(rename = "http")]
    url: String,
    /// How long the application may take to answer, in seconds; 1 to what an invocation leaves (25), which it is when not said.
    timeout_seconds: Option<u64>,
    /// How long a worker that answered 202 may take to report, in seconds; after that the task is tried again.
    #[serde(default = "runner::default_report_seconds")]
    report_seconds: u64,
}

/// Calls the application that a route names. Operators name it, so that any address may be called.
pub struct Http {
    application: Service,
    keys: Credential<sign::Keys>,
    invocation: Invocation,
}

impl Runner for Http {
    const NAME: &'static str = "http";
    const SETTINGS: &'static [Setting] = SETTINGS;
    type Route = Route;

    fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        let application = Service::new("the application", cx.invocation().longest_call(), cx)?;
        let keys = sign::keys(env, &SECRET, cx)?;
        let invocation = cx.invocation().reserving(keys.patience());
        Ok(Self { application, keys, invocation })
    }

    fn check(&self, route: &Route) -> Result<(), String> {
        http_url(&route.url).ok_or_else(|| format!("http: expected {HTTP_URL}"))?;
        runner::check_seconds(route.timeout_seconds, route.report_seconds, self.invocation)
    }

    fn timeout(&self, route: &Route) -> Duration {
        runner::timeout(route.timeout_seconds, self.invocation) + self.keys.patience()
    }

    async fn run(&self, route: &Route, job: &Job<'_>) -> Result<Ran, DeliveryError> {
        self.keys.with(|keys| self.call(route, job, keys)).await
    }
}

impl Http {
    async fn call(&self, route: &Route, job: &Job<'_>, keys: sign::Keys) -> Result<Ran, DeliveryError> {
        let timeout = runner::timeout(route.timeout_seconds, self.invocation);
        let call = self.application.post(&route.url).json_text(job.to_json()).webhook(&job.envelope.id, &keys).of(job);
        let answer = call.header(header::ACCEPT, "application/json").within(timeout).send().await?;
        match answer.status() {
            StatusCode::ACCEPTED if job.report.is_some() => Ok(Ran::Handed(Duration::from_secs(route.report_seconds))),
            status if status.is_success() => Ok(Ran::Done(Json::parse(answer.body()).unwrap_or_default())),
            _ => Err(refusal(&answer)),
        }
    }
}

/// A route to nowhere is for the operator to mend.
static MEANINGS: Meanings = Meanings { codes: &[], statuses: &[(&[401, 403, 404, 405], ErrorKind::Misconfigured)] };

/// What an answer that is no success means. What the application refuses is given up, with the error that it tells; what it fails at, or asks to be called later
/// for, is tried again.
fn refusal(answer: &Answer) -> DeliveryError {
    #[derive(Deserialize)]
    struct Told {
        errors: Vec<Raised>,
    }
    #[derive(Deserialize)]
    struct Raised {
        exception_class_path: String,
        #[serde(default)]
        traceback: String,
    }
    let mut error = answer.refused(&MEANINGS, None, &[]);
    let told = answer.json::<Told>().and_then(|told| told.errors.into_iter().next());
    let Some(Raised { exception_class_path, traceback }) = told else { return error };
    if answer.status().is_server_error() {
        error.kind = ErrorKind::TaskFailed;
    }
    error.with_exception(TaskError::new(&exception_class_path, &traceback))
}
