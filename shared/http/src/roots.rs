//! Whom TLS trusts. No certificate folder of the system is read: that is most of what starting an AWS client costs.

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The roots that AWS endpoints chain to, as Amazon publishes them: <https://www.amazontrust.com/repository/>.
pub(crate) fn amazon() -> Option<TlsContext> {
    context(include_bytes!("amazon-roots.pem").to_vec())
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
