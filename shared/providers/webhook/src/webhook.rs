use std::time::Duration;

use errand_core::{Attempt, DeliveryError, Environment, ErrorKind, Init, Provider, Receipt, Setting, SettingsError, TaskResult, Timestamp};
use errand_http::{AllowList, Client, failure, sign};
use errand_payloads::webhook::Call;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::settings::{ALLOW, SECRET, SETTINGS, TIMEOUT_SECONDS};

/// Calls URLs that senders name. No redirect is followed, and only addresses of the public internet, or allowed ones, are called.
pub struct Webhook {
    client: Client,
    keys: Vec<sign::Key>,
    timeout: Duration,
}

impl Provider for Webhook {
    const NAME: &'static str = "webhook";
    const TASKS: &'static [&'static str] = &["webhook", TaskResult::CALLBACK];
    const SETTINGS: &'static [Setting] = SETTINGS;
    type Payload = Call;

    fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        let secret = env.secret(&SECRET);
        let keys = secret.as_ref().map(sign::keys).transpose();
        let keys = keys.map_err(|expected| SettingsError::invalid(SECRET.name, &format!("expected {expected}")))?.unwrap_or_default();
        if secret.is_some() && keys.is_empty() {
            return Err(SettingsError::invalid(SECRET.name, "holds no secret: calls would not be signed"));
        }
        let allowed = env.get(&ALLOW).unwrap_or_default().parse::<AllowList>();
        let allowed = allowed.map_err(|_| SettingsError::invalid(ALLOW.name, "expected networks as 10.1.0.0/16, separated by commas"))?;
        let longest = cx.invocation().longest_call().as_secs();
        let seconds = env.number(&TIMEOUT_SECONDS)?.map_or(longest.min(15), u64::from);
        if !(1..=longest).contains(&seconds) {
            let expected = format!("expected a whole number from 1 to {longest}");
            return Err(SettingsError::invalid(TIMEOUT_SECONDS.name, &expected));
        }
        Ok(Self { client: Client::guarded(allowed, ALLOW.name), keys, timeout: Duration::from_secs(seconds) })
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    async fn deliver(&self, call: Call, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        let own = call.secret.as_ref().map(sign::key).transpose();
        let own = own.map_err(|expected| DeliveryError::new(ErrorKind::InvalidPayload, format!("/kwargs/secret: expected {expected}")))?;
        let request = request(call, own.as_ref().map_or(&self.keys, std::slice::from_ref), attempt)?;
        let answered = self.client.send(request, self.timeout).await.map_err(DeliveryError::from);
        let error = match answered {
            Ok(response) if response.status().is_success() => return Ok(Receipt(json!({ "status": response.status().as_u16() }).into())),
            Ok(response) => refusal(&response),
            Err(error) => error,
        };
        let delay = error.retry_after.or_else(|| callback_delay(attempt));
        Err(error.retry_after(delay))
    }
}

fn request(call: Call, keys: &[sign::Key], attempt: &Attempt) -> Result<http::Request<bytes::Bytes>, DeliveryError> {
    let body = call.body.get().to_owned();
    let mut headers = sign::headers(keys, &attempt.key, Timestamp::now(), body.as_bytes());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("errand/", env!("CARGO_PKG_VERSION"))));
    headers.extend(attempt.trace.as_ref().and_then(|trace| Some((HeaderName::from_static("traceparent"), trace.parse().ok()?))));
    headers.extend(call.headers);
    let request = http::Request::builder().method(call.method).uri(call.url).body(body.into());
    let mut request = request.map_err(|_| DeliveryError::new(ErrorKind::InvalidPayload, "/kwargs: no HTTP request can be made of it"))?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// When a callback that failed is to be sent again, after each attempt: nobody waits for it as for a task, and it is told for as long as the queue keeps it.
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability>
const CALLBACK_SECONDS: [u64; 9] = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 11 * 3600, 11 * 3600, 11 * 3600];

fn callback_delay(attempt: &Attempt) -> Option<Duration> {
    let place = usize::try_from(attempt.number).unwrap_or(usize::MAX).saturating_sub(1);
    (attempt.task == TaskResult::CALLBACK).then(|| Duration::from_secs(CALLBACK_SECONDS[place.min(CALLBACK_SECONDS.len() - 1)]))
}

/// What an answer that is no success means, by the Standard Webhooks specification: 410 ends the subscription; 429, 502 and 504 ask for less. A
/// receiver's other refusals are tried again as well: it is a program that somebody mends.
fn refusal(response: &http::Response<bytes::Bytes>) -> DeliveryError {
    let mut error = failure("the receiver", response, Timestamp::now());
    error.kind = match response.status() {
        StatusCode::GONE => ErrorKind::RecipientGone,
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => ErrorKind::Unavailable,
        _ => error.kind,
    };
    error
}
