use std::time::Duration;

use errand_core::{
    DeliveryError, Environment, ErrorKind, Init, Invocation, Job, Json, Ran, Runner, SettingsError, TaskError, percent_encode, runner,
};
use errand_http::{Answer, Client, Meanings, Service, aws, is};
use serde::Deserialize;
use serde_json::Value;

/// Lambda itself. <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
const LAMBDA: aws::Api = aws::Api { name: "Lambda", id: "Lambda", host: "lambda", signed_as: "lambda" };

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

/// The largest event of a function that is not waited for, in bytes; of one that is, 6 MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const EVENT_LIMIT: usize = 1024 * 1024;

/// Invokes the function that a route names.
pub struct Lambda {
    lambda: Service,
    invocation: Invocation,
}

impl Runner for Lambda {
    const NAME: &'static str = "lambda";
    type Route = Route;

    fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        let lambda = LAMBDA.service(cx.invocation().longest_call(), cx, Client::aws(env))?;
        Ok(Self { lambda, invocation: cx.invocation() })
    }

    fn check(&self, route: &Route) -> Result<(), String> {
        runner::check_seconds(route.timeout_seconds, route.report_seconds, self.invocation)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:$.".contains(&byte);
        let named = (1..=170).contains(&route.function.len()) && route.function.bytes().all(allowed);
        if named { Ok(()) } else { Err("lambda: expected a function's name or ARN".to_owned()) }
    }

    fn timeout(&self, route: &Route) -> Duration {
        runner::timeout(route.timeout_seconds, self.invocation)
    }

    async fn run(&self, route: &Route, job: &Job<'_>) -> Result<Ran, DeliveryError> {
        // A function that is waited for answers: it has nothing to report.
        let job = if route.wait { Job { report: None, ..*job } } else { *job };
        let body = job.to_json();
        if !route.wait && body.len() > EVENT_LIMIT {
            return Err(DeliveryError::new(ErrorKind::InvalidPayload, "Lambda takes at most 1 MiB for a function that is not waited for"));
        }
        // What an ARN holds must be encoded, or the signature is another.
        let path = format!("/2015-03-31/functions/{}/invocations", percent_encode(&route.function));
        let call = self.lambda.post(&path).json_text(body).of(&job).within(self.timeout(route));
        let answer = call.header("x-amz-invocation-type", if route.wait { "RequestResponse" } else { "Event" }).send().await?;
        if !answer.success() {
            return Err(aws::refused(&answer, &MEANINGS));
        }
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

/// What Lambda's own refusals mean. <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors>
static MEANINGS: Meanings = Meanings {
    codes: &[
        ("InvalidRequestContentException InvalidParameterValueException", is(ErrorKind::InvalidPayload)),
        // What throttles is not Lambda, and nobody asks for less.
        ("EC2ThrottledException", is(ErrorKind::Unavailable)),
    ],
    statuses: &[
        // No such function, or it may not be invoked, or its image or network is wrong: somebody has to mend that.
        (&[400, 404, 415], ErrorKind::Misconfigured),
        // It is being changed, or is waking up.
        (&[409], ErrorKind::Unavailable),
        (&[413], ErrorKind::InvalidPayload),
    ],
};

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
