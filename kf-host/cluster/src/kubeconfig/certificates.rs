//! The certificates that a cluster's API server is checked with.

use kf_core::text::escaped;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::KubeconfigError;
use super::document::{Entry, read_bounded};

/// What vouches for a server: the PEM, and the certificates in it that can be read, in DER.
pub(super) struct Authority {
    pub(super) pem: Vec<u8>,
    pub(super) certificates: Vec<Vec<u8>>,
}

/// What the cluster names; none if the system's authorities are to be trusted.
pub(super) fn authority(cluster: &Entry<'_>) -> Result<Option<Authority>, KubeconfigError> {
    const DATA: &str = "certificate-authority-data";
    const FILE: &str = "certificate-authority";
    let (field, pem) = match (cluster.data(DATA)?, cluster.path(FILE)?) {
        (Some(data), _) => (DATA, data),
        (None, Some(path)) => {
            let unreadable =
                |why| cluster.wrong(FILE, format!("{} cannot be read: {why}", escaped(&path, &[])));
            (FILE, read_bounded(path.as_ref()).map_err(unreadable)?)
        }
        (None, None) => return Ok(None),
    };
    let certificates = readable(&pem);
    if certificates.is_empty() {
        return Err(cluster.wrong(field, "it holds no certificate that can be read"));
    }
    Ok(Some(Authority { pem, certificates }))
}

/// The certificates of a bundle. Go skips those that cannot be read, and so does kf: it trusts fewer for that, not more.
fn readable(pem: &[u8]) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .filter(|der| RootCertStore::empty().add(der.clone()).is_ok() || Certificate::from_der(der).is_ok())
        .map(|der| der.to_vec())
        .collect()
}
