//! Whom TLS trusts. No certificate folder of the system is read: that is most of what starting an AWS client costs.

use std::path::Path;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The roots that AWS endpoints chain to, as Amazon publishes them: <https://www.amazontrust.com/repository/>; and those in a file of the operator's.
pub(crate) fn amazon(ca_bundle: Option<&Path>) -> RootCertStore {
    let mut roots = store(CertificateDer::pem_slice_iter(include_bytes!("amazon-roots.pem")).filter_map(Result::ok));
    match ca_bundle.map(std::fs::read) {
        Some(Ok(more)) => roots.extend(store(CertificateDer::pem_slice_iter(&more).filter_map(Result::ok)).roots),
        Some(Err(error)) => tracing::error!(%error, alarm = true, "AWS_CA_BUNDLE cannot be read"),
        None => {}
    }
    roots
}

/// The web's roots, as Mozilla keeps them.
pub(crate) fn web() -> RootCertStore {
    store(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned())
}

fn store<'a>(certificates: impl Iterator<Item = CertificateDer<'a>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    roots
}
