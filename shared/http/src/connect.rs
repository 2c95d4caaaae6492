//! How connections are made: one type of connector for AWS, for hosts that operators name and for those that callers name. Each further type would
//! put another copy of HTTP and TLS into every function; and so would HTTP/2, which is why this is not the SDK's own connector: that one has both, and
//! no service that we call needs the second.

use std::{
    error::Error,
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::{body::SdkBody, retry::ErrorKind};
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector as TcpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tower_service::Service;

use crate::guard::Dns;

/// How long the parts of a call may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For a connection to be made, TLS included.
    pub(crate) connect: Duration,
    /// For the head of an answer to come, where that is limited here.
    pub(crate) read: Option<Duration>,
}

/// HTTP/1.1 over kept-alive connections.
#[derive(Clone)]
struct Hyper {
    client: legacy::Client<InTime<HttpsConnector<TcpConnector<Dns>>>, SdkBody>,
    limits: Limits,
}

/// A connector that trusts `roots` and resolves names by `dns`.
pub(crate) fn connector(limits: Limits, roots: RootCertStore, dns: Dns) -> SharedHttpConnector {
    let mut tcp = TcpConnector::new_with_resolver(dns);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    #[expect(clippy::expect_used, reason = "it fails for a provider that lacks what the protocols need, which ring does not")]
    let tls = tls.expect("ring has what TLS 1.2 and 1.3 need").with_root_certificates(roots).with_no_client_auth();
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
    let connector = InTime { inner: https, limit: limits.connect };
    let client = legacy::Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    SharedHttpConnector::new(Hyper { client, limits })
}

impl HttpConnector for Hyper {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let (answer, read) = (self.client.request(request), self.limits.read);
        HttpConnectorFuture::new(async move {
            let answer = match read {
                Some(limit) => {
                    tokio::time::timeout(limit, answer).await.map_err(|_| ConnectorError::timeout("no answer in time".into()))?
                }
                None => answer.await,
            };
            let answer = answer.map_err(classify)?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x)).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl fmt::Debug for Hyper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hyper").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// What the SDK does about a failure: what broke on the way is tried again.
fn classify(error: legacy::Error) -> ConnectorError {
    let hyper = causes(&error).find_map(|error| error.downcast_ref::<hyper::Error>());
    let kind = match hyper {
        Some(hyper) if hyper.is_user() => Kind::User,
        Some(hyper) if hyper.is_incomplete_message() => Kind::Broken,
        _ => Kind::Io,
    };
    match kind {
        Kind::User => ConnectorError::user(error.into()),
        Kind::Broken => ConnectorError::other(error.into(), Some(ErrorKind::TransientError)),
        Kind::Io => ConnectorError::io(error.into()),
    }
}

enum Kind {
    User,
    Broken,
    Io,
}

/// Makes connections in a limited time.
#[derive(Clone)]
struct InTime<C> {
    inner: C,
    limit: Duration,
}

impl<C> Service<Uri> for InTime<C>
where
    C: Service<Uri, Error = Box<dyn Error + Send + Sync>>,
    C::Future: Send + 'static,
    C::Response: Send,
{
    type Response = C::Response;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let place = place(&uri);
        let made = tokio::time::timeout(self.limit, self.inner.call(uri));
        Box::pin(async move {
            let made = made.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
            made.map_err(|cause| Unreached { place, cause }.into())
        })
    }
}

/// The host that a URL names, and the port where it says one. What else there is in a URL may be secret.
pub(crate) fn place(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Why no connection was made.
#[derive(Debug)]
pub(crate) struct Unreached {
    /// Where to.
    place: String,
    cause: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection to {} could be made", self.place)?;
        let io = causes(&*self.cause).filter_map(|cause| cause.downcast_ref::<io::Error>());
        let why = io.map(io::Error::kind).find_map(|kind| match kind {
            io::ErrorKind::ConnectionRefused => Some("it was refused"),
            io::ErrorKind::TimedOut => Some("nothing answered in time"),
            // What the resolver says is told in as many ways as there are systems.
            io::ErrorKind::NotFound => Some("the name has no address"),
            _ => None,
        });
        let tls = causes(&*self.cause).any(|cause| cause.is::<rustls::Error>()).then_some("TLS failed");
        why.or(tls).map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}

impl Error for Unreached {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}

/// An error and what caused it, in turn. An I/O error's `source` is not what it wraps but what caused that.
pub(crate) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as _),
        None => error.source(),
    })
}
