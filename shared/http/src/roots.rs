//! Whom TLS trusts. No certificate folder of the system is read: that is most of what starting an AWS client costs.

use std::path::Path;

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The roots that AWS endpoints chain to, as Amazon publishes them: <https://www.amazontrust.com/repository/>; and those in a file of the operator's.
pub(crate) fn amazon(ca_bundle: Option<&Path>) -> Option<TlsContext> {
    let mut pem = include_bytes!("amazon-roots.pem").to_vec();
    match ca_bundle.map(std::fs::read) {
        Some(Ok(more)) => pem.extend(more),
        Some(Err(error)) => tracing::error!(%error, alarm = true, "AWS_CA_BUNDLE cannot be read"),
        None => {}
    }
    context(pem)
}

/// The web's roots, as Mozilla keeps them.
pub(crate) fn web() -> Option<TlsContext> {
    // The trust store takes certificates as PEM only.
    let pem: String = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|der| format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der)))
        .collect();
    context(pem.into_bytes())
}

fn context(pem: Vec<u8>) -> Option<TlsContext> {
    TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(pem)).build().ok()
}
