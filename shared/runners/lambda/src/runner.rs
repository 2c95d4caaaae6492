use std::time::Duration;

use errand_core::{DeliveryError, Environment, ErrorKind, Init, Invocation, Job, Json, Ran, Runner, SettingsError, TaskError, runner};
use errand_http::{
    Answer, Client,
    aws::{Functions, Invoke, LAMBDA},
};
use serde::Deserialize;
use serde_json::Value;

/// What a route says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The function's name or ARN, with an alias or version perhaps.
    #[serde(rename = "lambda")]
    function: String,
    /// Whether to wait for its answer, which is then the return value. A function that is not waited for may run for its 15 minutes, and reports by itself.
    #[serde(default = "wait")]
    wait: bool,
    /// How long to wait for it, in seconds; 1 to what an invocation leaves (25), which it is when not said.
    timeout_seconds: Option<u64>,
    /// How long a function that is not waited for may take to report, in seconds; after that the task is tried again.
    #[serde(default = "runner::default_report_seconds")]
    report_seconds: u64,
}

fn wait() -> bool {
    true
}

/// Invokes the function that a route names.
pub struct Lambda {
    functions: Functions,
    invocation: Invocation,
}

impl Runner for Lambda {
    const NAME: &'static str = "lambda";
    type Route = Route;

    fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        let functions = Functions::new(LAMBDA.service(cx.invocation().longest_call(), cx, Client::aws(env))?);
        Ok(Self { functions, invocation: cx.invocation() })
    }

    fn check(&self, route: &Route) -> Result<(), String> {
        runner::check_seconds(route.timeout_seconds, route.report_seconds, self.invocation)?;
        Functions::check(&route.function).map_err(|expected| format!("lambda: {expected}"))
    }

    fn timeout(&self, route: &Route) -> Duration {
        runner::timeout(route.timeout_seconds, self.invocation)
    }

    async fn run(&self, route: &Route, job: &Job<'_>) -> Result<Ran, DeliveryError> {
        // A function that is waited for answers: it has nothing to report.
        let job = if route.wait { Job { report: None, ..*job } } else { *job };
        let body = job.to_json();
        if !route.wait && body.len() > Functions::EVENT_LIMIT {
            return Err(DeliveryError::new(ErrorKind::InvalidPayload, "Lambda takes at most 1 MiB for a function that is not waited for"));
        }
        let how = if route.wait { Invoke::Waiting } else { Invoke::Event };
        let answer = self.functions.invoke(&route.function, how, body, |call| call.of(&job).within(self.timeout(route))).await?;
        if answer.header("x-amz-function-error").is_some() {
            return Err(raised(&answer));
        }
        match job.report {
            Some(_) => Ok(Ran::Handed(Duration::from_secs(route.report_seconds))),
            None if route.wait => Ok(Ran::Done(Json::parse(answer.body()).unwrap_or_default())),
            // Nobody could take a report: that it was taken is all that will be known.
            None => Ok(Ran::Done(answer.receipt().0)),
        }
    }
}

/// What the function itself failed with.
fn raised(answer: &Answer) -> DeliveryError {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Raised {
        error_type: Option<String>,
        error_message: Option<String>,
        stack_trace: Option<Value>,
    }
    let Raised { error_type, error_message, stack_trace } = answer.json().unwrap_or_default();
    let kind = error_type.unwrap_or_else(|| "Error".to_owned());
    let lines = stack_trace.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let traceback: String =
        lines.map(|line| format!("{}\n", line.trim_end_matches('\n'))).chain([error_message.unwrap_or_default()]).collect();
    // Lambda's own words for a function that was cut off, which may have done its work.
    let kind_of = if kind == "Sandbox.Timedout" { ErrorKind::Timeout } else { ErrorKind::TaskFailed };
    DeliveryError::new(kind_of, "the function failed").with_exception(TaskError::new(&kind, &traceback))
}
