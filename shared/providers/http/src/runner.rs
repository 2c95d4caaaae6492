use std::time::Duration;

use bytes::Bytes;
use errand_core::{
    DeliveryError, Environment, ErrorKind, Init, Invocation, Job, Json, Ran, Runner, Setting, SettingsError, TaskError, Timestamp,
    ascii_url, runner,
};
use errand_http::{Client, failure, sign};
use http::{HeaderName, HeaderValue, StatusCode, Uri, header};
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
    client: Client,
    keys: Vec<sign::Key>,
    invocation: Invocation,
}

impl Runner for Http {
    const NAME: &'static str = "http";
    const SETTINGS: &'static [Setting] = SETTINGS;
    type Route = Route;

    fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        let keys = env.secret(&SECRET).as_ref().map(sign::keys).transpose();
        let keys = keys.map_err(|expected| SettingsError::invalid(SECRET.name, &format!("expected {expected}")))?.unwrap_or_default();
        Ok(Self { client: cx.shared::<Client>()?.clone(), keys, invocation: cx.invocation() })
    }

    fn check(&self, route: &Route) -> Result<(), String> {
        let url = ascii_url(&route.url).and_then(|url| url.parse::<Uri>().ok());
        let url = url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some());
        if url.is_none() {
            return Err("http: expected an http or https URL".to_owned());
        }
        runner::check_seconds(route.timeout_seconds, route.report_seconds, self.invocation)
    }

    fn timeout(&self, route: &Route) -> Duration {
        runner::timeout(route.timeout_seconds, self.invocation)
    }

    async fn run(&self, route: &Route, job: &Job<'_>) -> Result<Ran, DeliveryError> {
        let request = self.request(route, job)?;
        let response = self.client.send(request, self.timeout(route)).await?;
        match response.status() {
            StatusCode::ACCEPTED if job.report.is_some() => Ok(Ran::Handed(Duration::from_secs(route.report_seconds))),
            status if status.is_success() => Ok(Ran::Done(Json::parse(response.body()).unwrap_or_default())),
            status => Err(refusal(status, &response)),
        }
    }
}

impl Http {
    fn request(&self, route: &Route, job: &Job<'_>) -> Result<http::Request<Bytes>, DeliveryError> {
        let body = job.to_json();
        let mut headers = sign::headers(&self.keys, &job.envelope.id, Timestamp::now(), body.as_bytes());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("errand/", env!("CARGO_PKG_VERSION"))));
        headers.extend(job.envelope.trace.as_ref().and_then(|trace| Some((HeaderName::from_static("traceparent"), trace.parse().ok()?))));
        let request = http::Request::post(&*ascii_url(&route.url).unwrap_or_default()).body(body.into());
        let mut request = request.map_err(|_| DeliveryError::new(ErrorKind::Misconfigured, "no HTTP request can be made of the route"))?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// What an answer that is no success means. What the application refuses is given up, with the error that it tells; what it fails at, or asks to be called later
/// for, is tried again; and a route to nowhere is for the operator to mend.
fn refusal(status: StatusCode, response: &http::Response<Bytes>) -> DeliveryError {
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
    let mut error = failure("the application", response, Timestamp::now());
    let told = serde_json::from_slice::<Told>(response.body()).ok().and_then(|told| told.errors.into_iter().next());
    error.kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            ErrorKind::Misconfigured
        }
        status if status.is_server_error() && told.is_some() => ErrorKind::TaskFailed,
        _ => error.kind,
    };
    match told {
        Some(Raised { exception_class_path, traceback }) => error.with_exception(TaskError::new(&exception_class_path, &traceback)),
        None => error,
    }
}
