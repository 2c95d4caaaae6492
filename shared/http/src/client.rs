use std::{
    error::Error,
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, SharedHttpConnector},
    orchestrator::HttpRequest,
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};
use errand_core::{DeliveryError, ErrorKind};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::{
    AllowList,
    connect::{Limits, connector},
    guard::{Dns, Forbidden, Guard, check_host},
    roots,
};

/// How long a connection, TLS included, may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How much of an answer is kept, in bytes; the rest of a longer one is dropped. What says how it went stands at the beginning of every answer
/// that we read.
const ANSWER_LIMIT: usize = 64 * 1024;

/// The HTTP client: HTTP/1.1 and 2, kept-alive connections, no redirects, no proxies. Clones share connections. Nothing is built and no
/// certificate parsed before the first request.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    connector: LazyLock<SharedHttpConnector, Box<dyn FnOnce() -> SharedHttpConnector + Send>>,
    /// What a guarded client may call beside the public internet.
    guard: Option<Guard>,
}

impl Client {
    /// A client for hosts that the operator names.
    #[must_use]
    pub fn new() -> Self {
        Self::with(None)
    }

    /// A client for hosts that callers name: it calls public addresses and those in `allowed`, and checks each when it connects. What it refuses names the
    /// `setting` that `allowed` is of.
    #[must_use]
    pub fn guarded(allowed: AllowList, setting: &'static str) -> Self {
        Self::with(Some(Guard { allowed, setting }))
    }

    fn with(guard: Option<Guard>) -> Self {
        let dns = Dns(guard.clone());
        let limits = Limits { connect: CONNECT_TIMEOUT, read: None };
        Self(Arc::new(Inner { connector: LazyLock::new(Box::new(move || connector(limits, roots::web(), dns))), guard }))
    }

    /// Sends a request; the answer has come, with any status, when it is `Ok`. Its body is what came of it within `timeout`, which is for all of
    /// the exchange, and 64 KiB at most: one that ends in its middle was cut.
    ///
    /// # Errors
    /// Why there is no answer, and whether the request may have been done.
    pub async fn send(&self, request: http::Request<Bytes>, timeout: Duration) -> Result<http::Response<Bytes>, SendError> {
        self.send_for(request, timeout, ANSWER_LIMIT).await
    }

    /// The same, for an answer of up to `limit` bytes.
    ///
    /// # Errors
    /// Why there is no answer, and whether the request may have been done.
    pub async fn send_for(
        &self,
        request: http::Request<Bytes>,
        timeout: Duration,
        limit: usize,
    ) -> Result<http::Response<Bytes>, SendError> {
        if let Some(guard) = &self.0.guard {
            check_host(request.uri(), guard).map_err(|Forbidden { setting }| SendError::Forbidden { setting })?;
        }
        let request = HttpRequest::try_from(request.map(SdkBody::from)).map_err(|_| SendError::NotSent("the request is not valid HTTP"))?;
        let deadline = Instant::now() + timeout;
        let answered = timeout_at(deadline, self.0.connector.call(request)).await;
        let response = answered.map_err(|_| SendError::Unanswered("no answer in time"))?.map_err(|error| classify(&error))?;
        let response = response.try_into_http1x().map_err(|_| SendError::Unanswered("the answer is not valid HTTP"))?;
        let (parts, body) = response.into_parts();
        let mut kept = BytesMut::new();
        // The status says what became of the request: a body that breaks off or never ends takes nothing from that.
        timeout_at(deadline, keep(body, &mut kept, limit)).await.ok();
        Ok(http::Response::from_parts(parts, kept.freeze()))
    }
}

/// Reads a body into `kept` until it ends, breaks off or is longer than `limit`.
async fn keep(mut body: SdkBody, kept: &mut BytesMut, limit: usize) {
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            let room = limit - kept.len();
            kept.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                return;
            }
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a request has no answer. No text names the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The host's address is not one that may be called.
    Forbidden {
        /// The setting that would allow it.
        setting: &'static str,
    },
    /// Nothing left this machine.
    NotSent(&'static str),
    /// The request left; it may have been done.
    Unanswered(&'static str),
}

/// Tells whether the request left. A kept-alive connection that was found dead before it took the request is replaced by the client itself;
/// one that broke after it took the request may have carried it.
pub(crate) fn classify(error: &ConnectorError) -> SendError {
    if let Some(Forbidden { setting }) = find(error) {
        SendError::Forbidden { setting }
    } else if find::<hyper_util::client::legacy::Error>(error).is_some_and(hyper_util::client::legacy::Error::is_connect) {
        SendError::NotSent("no connection could be made")
    } else if error.is_user() {
        SendError::NotSent("the request is not valid HTTP")
    } else {
        SendError::Unanswered("the connection broke before the answer")
    }
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| cause(error)).find_map(|error| error.downcast_ref())
}

/// What caused an error. An I/O error's `source` is not what it wraps but what caused that.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as _),
        None => error.source(),
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden { setting } => Forbidden { setting }.fmt(f),
            Self::NotSent(what) | Self::Unanswered(what) => f.write_str(what),
        }
    }
}

impl Error for SendError {}

impl From<SendError> for DeliveryError {
    fn from(error: SendError) -> Self {
        let kind = match error {
            SendError::Forbidden { .. } => ErrorKind::Rejected,
            SendError::NotSent(_) => ErrorKind::Unavailable,
            SendError::Unanswered(_) => ErrorKind::OutcomeUnknown,
        };
        Self::new(kind, error.to_string())
    }
}
