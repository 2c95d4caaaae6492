use std::time::Duration;

use errand_core::{Attempt, DeliveryError, ErrorKind, Init, Provider, Receipt, Secret, SettingsError, Timestamp};
use errand_http::{AllowList, Client, failure};
use http::{HeaderValue, StatusCode, header};
use ring::hmac;
use serde::Deserialize;
use serde_json::json;

use crate::{Call, sign};

/// `ERRAND_WEBHOOK_*`; none is required.
#[derive(Deserialize)]
pub struct Settings {
    /// Secrets to sign with, separated by spaces or commas: the current one, and others while receivers change over. Without one, calls whose
    /// payload brings none are not signed.
    secret: Option<Secret>,
    /// Networks that may be called although they are not public, as `10.1.0.0/16`, separated by commas.
    #[serde(default)]
    allow: String,
    /// How long a receiver may take, in seconds; 1 to 25. The specification asks for 15 to 30; a function has 30 in all.
    #[serde(default = "timeout_seconds")]
    timeout_seconds: u64,
}

fn timeout_seconds() -> u64 {
    15
}

/// Calls URLs that senders name. No redirect is followed, and only addresses of the public internet, or allowed ones, are called.
pub struct Webhook {
    client: Client,
    keys: Vec<hmac::Key>,
    timeout: Duration,
}

impl Provider for Webhook {
    const NAME: &'static str = "webhook";
    const TASKS: &'static [&'static str] = crate::TASKS;
    type Settings = Settings;
    type Payload = Call;

    fn new(settings: Settings, _: &Init) -> Result<Self, SettingsError> {
        let secrets = settings.secret.as_ref().map(Secret::expose).unwrap_or_default();
        let keys = secrets.split([' ', ',']).filter(|secret| !secret.is_empty()).map(|secret| sign::key(&Secret::new(secret)));
        let keys: Vec<_> = keys.collect::<Result<_, _>>().map_err(|expected| SettingsError::invalid("ERRAND_WEBHOOK_SECRET", expected))?;
        if settings.secret.is_some() && keys.is_empty() {
            return Err(SettingsError::invalid("ERRAND_WEBHOOK_SECRET", "holds no secret: calls would not be signed"));
        }
        let allowed: AllowList = settings
            .allow
            .parse()
            .map_err(|_| SettingsError::invalid("ERRAND_WEBHOOK_ALLOW", "expected networks as 10.1.0.0/16, separated by commas"))?;
        if !(1..=25).contains(&settings.timeout_seconds) {
            return Err(SettingsError::invalid("ERRAND_WEBHOOK_TIMEOUT_SECONDS", "expected a whole number from 1 to 25"));
        }
        Ok(Self { client: Client::guarded(allowed), keys, timeout: Duration::from_secs(settings.timeout_seconds) })
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    async fn deliver(&self, call: Call, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        let own = call.secret.as_ref().map(sign::key).transpose();
        let own = own.map_err(|expected| DeliveryError::new(ErrorKind::InvalidPayload, format!("/kwargs/secret: {expected}")))?;
        let request = request(call, own.as_ref().map_or(&self.keys, std::slice::from_ref), attempt)?;
        let response = self.client.send(request, self.timeout).await?;
        if response.status().is_success() {
            return Ok(Receipt(json!({ "status": response.status().as_u16() })));
        }
        Err(refusal(&response))
    }
}

fn request(call: Call, keys: &[hmac::Key], attempt: &Attempt) -> Result<http::Request<bytes::Bytes>, DeliveryError> {
    let body = call.body.get().to_owned();
    let (id, timestamp) = (sign::message_id(&attempt.key), Timestamp::now().seconds());
    let mut request =
        http::Request::builder().method(call.method).uri(call.url).header("webhook-id", id.as_ref()).header("webhook-timestamp", timestamp);
    if !keys.is_empty() {
        request = request.header("webhook-signature", sign::signatures(keys, &id, timestamp, body.as_bytes()));
    }
    if let Some(trace) = &attempt.trace {
        request = request.header("traceparent", trace);
    }
    let mut request = request
        .body(body.into())
        .map_err(|_| DeliveryError::new(ErrorKind::InvalidPayload, "/kwargs: no HTTP request can be made of it"))?;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("errand/", env!("CARGO_PKG_VERSION"))));
    headers.extend(call.headers);
    Ok(request)
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
