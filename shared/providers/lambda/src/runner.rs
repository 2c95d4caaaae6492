use std::time::Duration;

use bytes::Bytes;
use errand_core::{
    DeliveryError, Environment, ErrorKind, Init, Invocation, Job, Json, Ran, Runner, SettingsError, TaskError, Timestamp, runner,
};
use errand_http::{Client, aws::SdkConfig, failure};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::invoke::Caller;

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
    client: Client,
    caller: Caller,
    invocation: Invocation,
}

impl Runner for Lambda {
    const NAME: &'static str = "lambda";
    type Route = Route;

    fn new(_: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        let (client, caller) = (cx.shared::<Client>()?.clone(), Caller::new(cx.shared::<SdkConfig>()?)?);
        Ok(Self { client, caller, invocation: cx.invocation() })
    }

    fn check(&self, route: &Route) -> Result<(), String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:$.".contains(&byte);
        if !(1..=170).contains(&route.function.len()) || !route.function.bytes().all(allowed) {
            return Err("lambda: expected a function's name or ARN".to_owned());
        }
        runner::check_seconds(route.timeout_seconds, route.report_seconds, self.invocation)
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
        let request = self.caller.request(&route.function, route.wait, body).await?;
        let response = self.client.send(request, self.timeout(route)).await?;
        if !response.status().is_success() {
            return Err(refusal(&response));
        }
        if response.headers().contains_key("x-amz-function-error") {
            return Err(raised(&response));
        }
        match job.report {
            Some(_) => Ok(Ran::Handed(Duration::from_secs(route.report_seconds))),
            None if route.wait => Ok(Ran::Done(Json::parse(response.body()).unwrap_or_default())),
            // Nobody could take a report: that it was taken is all that will be known.
            None => Ok(Ran::Done(json!({ "status": response.status().as_u16() }).into())),
        }
    }
}

/// What Lambda's own refusals mean, by their codes. <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors>
fn refusal(response: &http::Response<Bytes>) -> DeliveryError {
    let mut error = failure("Lambda", response, Timestamp::now());
    let code = response.headers().get("x-amzn-errortype").and_then(|code| code.to_str().ok()).and_then(|code| code.split(':').next());
    if let Some(code) = code {
        error.message = format!("{} {code}", error.message);
    }
    error.kind = match (response.status(), code) {
        (StatusCode::BAD_REQUEST, Some("InvalidRequestContentException" | "InvalidParameterValueException")) => ErrorKind::InvalidPayload,
        (StatusCode::PAYLOAD_TOO_LARGE, _) => ErrorKind::InvalidPayload,
        // No such function, or it may not be invoked, or its image or network is wrong: somebody has to mend that.
        (StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNSUPPORTED_MEDIA_TYPE, _) => ErrorKind::Misconfigured,
        // It is being changed, or is waking up.
        (StatusCode::CONFLICT, _) => ErrorKind::Unavailable,
        _ => error.kind,
    };
    error
}

/// What the function itself failed with.
fn raised(response: &http::Response<Bytes>) -> DeliveryError {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Raised {
        error_type: Option<String>,
        error_message: Option<String>,
        stack_trace: Option<Value>,
    }
    let Raised { error_type, error_message, stack_trace } = serde_json::from_slice(response.body()).unwrap_or_default();
    let kind = error_type.unwrap_or_else(|| "Error".to_owned());
    let lines = stack_trace.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let traceback: String =
        lines.map(|line| format!("{}\n", line.trim_end_matches('\n'))).chain([error_message.unwrap_or_default()]).collect();
    // Lambda's own words for a function that was cut off, which may have done its work.
    let kind_of = if kind == "Sandbox.Timedout" { ErrorKind::Timeout } else { ErrorKind::TaskFailed };
    DeliveryError::new(kind_of, "the function failed").with_exception(TaskError::new(&kind, &traceback))
}
