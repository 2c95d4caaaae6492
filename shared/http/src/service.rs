//! A service that is called over HTTP: what all calls of all services have in common is here, and what one of them means is its provider's.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use errand_core::{
    Attempt, CallTimeout, Clock, DeliveryError, Envelope, Environment, ErrorKind, HTTP_URL, Init, Job, Secret, Setting, SettingsError,
    ascii_url, http_url, percent_encode,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri,
    header::{self, IntoHeaderName},
};
use serde::Serialize;
use tokio::time::Instant;

use crate::{Answer, Client, Retry, aws::Signer, client::ANSWER_LIMIT, sign};

/// A service: how it is called in messages, where it is, and how long a call of it may take. Clones share connections.
#[derive(Clone)]
pub struct Service {
    name: &'static str,
    /// What paths begin with; empty: all its URLs are whole.
    base: String,
    client: Client,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    /// What every call has in place of its own time-out.
    fixed: Option<CallTimeout>,
    /// The header that takes an idempotency key.
    key_header: Option<HeaderName>,
    signer: Option<Signer>,
}

impl Service {
    /// A service that is called by the function's own client. A call takes `timeout` at most, from the connection to the end of the answer.
    ///
    /// # Errors
    /// The function that is starting has no client or no clock.
    pub fn new(name: &'static str, timeout: Duration, cx: &Init) -> Result<Self, SettingsError> {
        Self::with_client(name, timeout, cx, cx.shared::<Client>()?.clone())
    }

    /// A service that is called by a client of its own.
    ///
    /// # Errors
    /// The function that is starting has no clock.
    pub fn with_client(name: &'static str, timeout: Duration, cx: &Init, client: Client) -> Result<Self, SettingsError> {
        let (clock, fixed) = (cx.clock()?, cx.shared::<CallTimeout>().ok().copied());
        Ok(Self { name, base: String::new(), client, clock, timeout: cx.call_timeout(timeout), fixed, key_header: None, signer: None })
    }

    /// A service whose paths are below the URL that a setting has.
    ///
    /// # Errors
    /// The setting is no such URL.
    pub fn at(self, env: &Environment, setting: &Setting) -> Result<Self, SettingsError> {
        let example = if setting.default.is_empty() { String::new() } else { format!(", such as {}", setting.default) };
        let base = http_url(env.required(setting)?);
        let base = base.ok_or_else(|| SettingsError::invalid(setting.name, &format!("expected {HTTP_URL}{example}")))?;
        Ok(self.below(&base))
    }

    pub(crate) fn below(self, base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), ..self }
    }

    /// A service that takes an idempotency key in this header: it gets [`Attempt::key`].
    #[must_use]
    pub fn keyed(self, header: &'static str) -> Self {
        Self { key_header: Some(HeaderName::from_static(header)), ..self }
    }

    pub(crate) fn signed(self, signer: Signer) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// How long a call may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A POST to a path, which begins with `/`, or to a whole URL.
    pub fn post(&self, to: &str) -> Call<'_> {
        self.call(Method::POST, to)
    }

    /// A call of a path, which begins with `/`, or of a whole URL.
    pub fn call(&self, method: Method, to: &str) -> Call<'_> {
        let url =
            if to.starts_with('/') { format!("{}{to}", self.base).parse().ok() } else { ascii_url(to).and_then(|url| url.parse().ok()) };
        Call {
            service: self,
            method,
            url,
            headers: HeaderMap::new(),
            body: Some(Bytes::new()),
            secrets: Vec::new(),
            work: None,
            webhook: None,
            timeout: self.timeout,
            limit: ANSWER_LIMIT,
            retry: Retry::NEVER,
        }
    }
}

/// For what a call is made: what follows it wherever it goes.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    key: &'a str,
    trace: Option<&'a str>,
}

impl<'a> From<&'a Attempt> for Work<'a> {
    fn from(attempt: &'a Attempt) -> Self {
        Self { key: &attempt.key, trace: attempt.trace.as_deref() }
    }
}

impl<'a> From<&'a Job<'_>> for Work<'a> {
    fn from(job: &'a Job<'_>) -> Self {
        job.envelope.into()
    }
}

impl<'a> From<&'a Envelope> for Work<'a> {
    fn from(envelope: &'a Envelope) -> Self {
        Self { key: &envelope.id, trace: envelope.trace.as_deref() }
    }
}

/// A call that is being made up. What cannot be sent is told by [`Call::send`].
#[must_use]
pub struct Call<'a> {
    service: &'a Service,
    method: Method,
    url: Option<Uri>,
    /// These win over all that is set here.
    headers: HeaderMap,
    body: Option<Bytes>,
    /// Headers that nobody may see.
    secrets: Vec<(HeaderName, Secret)>,
    work: Option<Work<'a>>,
    /// The message's id, and what it is signed with.
    webhook: Option<(&'a str, &'a [sign::Key])>,
    timeout: Duration,
    /// How much of the answer is kept, in bytes.
    limit: usize,
    retry: Retry,
}

impl<'a> Call<'a> {
    /// For this attempt or job: with its `traceparent`, and its idempotency key where the service takes one.
    pub fn of(self, work: impl Into<Work<'a>>) -> Self {
        Self { work: Some(work.into()), ..self }
    }

    /// With a bearer token (RFC 6750, section 2.1).
    pub fn bearer(self, token: Secret) -> Self {
        self.secret(header::AUTHORIZATION, Secret::new(format!("Bearer {}", token.expose())))
    }

    /// With a header that nobody may see.
    pub fn secret(mut self, name: HeaderName, value: Secret) -> Self {
        self.secrets.push((name, value));
        self
    }

    /// As the message of this id by the Standard Webhooks specification, signed with each of these keys.
    pub fn webhook(self, id: &'a str, keys: &'a [sign::Key]) -> Self {
        Self { webhook: Some((id, keys)), ..self }
    }

    /// With this as JSON.
    pub fn json(self, body: &impl Serialize) -> Self {
        Self { body: serde_json::to_vec(body).map(Bytes::from).ok(), ..self }
    }

    /// With JSON as it was written.
    pub fn json_text(self, body: impl Into<Bytes>) -> Self {
        Self { body: Some(body.into()), ..self }
    }

    /// With the fields of a form (`application/x-www-form-urlencoded`).
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value))).collect();
        self.json_text(fields.join("&")).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    /// With a header, in place of one that would be set otherwise.
    pub fn header(mut self, name: impl IntoHeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// With more headers, in place of those that would be set otherwise.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// With another time-out than the service's.
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout: self.service.fixed.map_or(timeout, |CallTimeout(fixed)| fixed), ..self }
    }

    /// For an answer of up to so many bytes, in place of 64 KiB.
    pub fn up_to(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Sent again by this policy, all in the one time-out.
    pub fn retried(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// Sends it; the answer has come, with any status, when it is `Ok`.
    ///
    /// # Errors
    /// There is no answer; or no request can be made.
    pub async fn send(self) -> Result<Answer, DeliveryError> {
        let Service { name, client, clock, signer, .. } = self.service;
        let deadline = Instant::now() + self.timeout;
        let mut tried = 0;
        loop {
            let mut request = self.request()?;
            if let Some(signer) = signer {
                signer.sign(name, &mut request, clock.now()).await?;
            }
            let left = self.retry.share(tried, deadline.saturating_duration_since(Instant::now()));
            let answered = client.send_for(request, left, self.limit).await;
            let answered = answered.map(|response| Answer::new(name, response, clock.now()));
            tried += 1;
            match self.retry.wait(tried, &answered).filter(|wait| Instant::now() + *wait < deadline) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Ok(answered?),
            }
        }
    }

    fn request(&self) -> Result<http::Request<Bytes>, DeliveryError> {
        let cannot = |kind, what: &str| DeliveryError::new(kind, format!("{}: {what}", self.service.name));
        let body = self.body.clone().ok_or_else(|| cannot(ErrorKind::InvalidPayload, "it cannot be written as JSON"))?;
        let uri = self.url.clone().ok_or_else(|| cannot(ErrorKind::Misconfigured, "no HTTP request can be made with its URL"))?;
        let mut headers = self.webhook.map(|(id, keys)| sign::headers(keys, id, self.service.clock.now(), &body)).unwrap_or_default();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("errand/", env!("CARGO_PKG_VERSION"))));
        if !body.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(Work { key, trace }) = self.work {
            headers.extend(trace.and_then(|trace| Some((HeaderName::from_static("traceparent"), trace.parse().ok()?))));
            headers.extend(self.service.key_header.clone().and_then(|name| Some((name, key.parse().ok()?))));
        }
        for (name, secret) in &self.secrets {
            let value = HeaderValue::try_from(secret.expose());
            let mut value = value.map_err(|_| cannot(ErrorKind::Misconfigured, "its token holds a character that no token has"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        headers.extend(self.headers.clone());
        let mut request = http::Request::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (self.method.clone(), uri, headers);
        Ok(request)
    }
}
