//! How connections are made: one type of connector for AWS, for hosts that operators name and for those that callers name. Each further type would
//! put another copy of HTTP/1, HTTP/2 and TLS into every function.

use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, TlsContext, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector};

use crate::guard::Dns;

/// A connector that trusts `tls` and resolves names by `dns`.
pub(crate) fn connector(settings: HttpConnectorSettings, tls: Option<TlsContext>, dns: Dns) -> SharedHttpConnector {
    let builder =
        Connector::builder().connector_settings(settings).sleep_impl(TokioSleep::new()).tls_provider(Provider::Rustls(CryptoMode::Ring));
    SharedHttpConnector::new(builder.tls_context(tls.unwrap_or_default()).build_with_resolver(dns))
}
