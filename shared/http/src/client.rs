use std::{
    error::Error,
    fmt,
    path::PathBuf,
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
use errand_core::{DeliveryError, Environment, ErrorKind, Setting, SettingsError, settings::all::AWS_CA_BUNDLE};
use http_body_util::BodyExt;
use rustls::RootCertStore;
use tokio::time::{Instant, timeout_at};

use crate::{
    AllowList,
    connect::{Limits, Unreached, causes, connector, place},
    guard::{Dns, Forbidden, Guard, check_host},
    roots,
};

/// How long a connection, TLS included, may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How much of an answer is kept, in bytes; the rest of a longer one is dropped. What says how it went stands at the beginning of every answer
/// that we read.
pub(crate) const ANSWER_LIMIT: usize = 64 * 1024;

/// What is said of a request that no connection can carry.
const INVALID: &str = "the request is not valid HTTP";

/// The HTTP client: HTTP/1.1, kept-alive connections, no redirects, no proxies. Clones share connections. Nothing is built and no
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
        Self::with(None, roots::web)
    }

    /// A client for AWS: it trusts Amazon's roots, and those in the file that `AWS_CA_BUNDLE` names, which is read before the first request.
    #[must_use]
    pub fn aws(env: &Environment) -> Self {
        let ca_bundle = env.get(&AWS_CA_BUNDLE).map(PathBuf::from);
        Self::with(None, move || roots::amazon(ca_bundle.as_deref()))
    }

    /// A client for hosts that callers name: it calls public addresses and those in the networks that a setting has, and checks each when it connects. What it
    /// refuses names the setting.
    ///
    /// # Errors
    /// The setting holds what is no network.
    pub fn guarded(env: &Environment, setting: &Setting) -> Result<Self, SettingsError> {
        let allowed = env.get(setting).unwrap_or_default().parse::<AllowList>();
        let allowed = allowed.map_err(|_| SettingsError::invalid(setting.name, "expected networks as 10.1.0.0/16, separated by commas"))?;
        Ok(Self::with(Some(Guard { allowed, setting: setting.name }), roots::web))
    }

    /// What trusts whom is known to each constructor alone, so that no function has roots that it does not use.
    fn with(guard: Option<Guard>, roots: impl FnOnce() -> RootCertStore + Send + 'static) -> Self {
        let dns = Dns(guard.clone());
        let limits = Limits { connect: CONNECT_TIMEOUT, read: None };
        Self(Arc::new(Inner { connector: LazyLock::new(Box::new(move || connector(limits, roots(), dns))), guard }))
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
        let uri = request.uri().clone();
        let request = HttpRequest::try_from(request.map(SdkBody::from)).map_err(|_| SendError::NotSent(INVALID.to_owned()))?;
        let deadline = Instant::now() + timeout;
        let answered = timeout_at(deadline, self.0.connector.call(request)).await;
        let response = answered
            .map_err(|_| SendError::Unanswered(format!("no answer from {} in time", place(&uri))))?
            .map_err(|error| SendError::of(&error, &uri))?;
        let response =
            response.try_into_http1x().map_err(|_| SendError::Unanswered(format!("the answer from {} is not valid HTTP", place(&uri))))?;
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

/// Why a request has no answer. The texts name the host, and nothing else of the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The host's address is not one that may be called.
    Forbidden {
        /// The setting that would allow it.
        setting: &'static str,
    },
    /// Nothing left this machine.
    NotSent(String),
    /// The request left; it may have been done.
    Unanswered(String),
}

impl SendError {
    /// Tells whether a request left. A kept-alive connection that was found dead before it took the request is replaced by the client itself;
    /// one that broke after it took the request may have carried it.
    fn of(error: &ConnectorError, uri: &http::Uri) -> Self {
        match (find(error), not_sent(error)) {
            (Some(Forbidden { setting }), _) => Self::Forbidden { setting },
            (None, Some(why)) => Self::NotSent(why),
            (None, None) => Self::Unanswered(format!("the connection to {} broke before the answer", place(uri))),
        }
    }
}

/// Why nothing left this machine, if nothing did.
pub(crate) fn not_sent(error: &ConnectorError) -> Option<String> {
    find::<Unreached>(error).map(Unreached::to_string).or_else(|| error.is_user().then(|| INVALID.to_owned()))
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|error| error.downcast_ref())
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
