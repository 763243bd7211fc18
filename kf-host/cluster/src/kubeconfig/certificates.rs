//! The certificate authorities that a cluster's API server is verified with.

use kf_core::text::escaped;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::KubeconfigError;
use super::document::{Entry, read_bounded};

/// The authorities of a server: the PEM, and its readable certificates in DER.
pub(super) struct Authority {
    pub(super) pem: Vec<u8>,
    pub(super) certificates: Vec<Vec<u8>>,
}

/// The authority that the cluster names, or `None` to trust the system's.
pub(super) fn authority(cluster: &Entry<'_>) -> Result<Option<Authority>, KubeconfigError> {
    const DATA: &str = "certificate-authority-data";
    const FILE: &str = "certificate-authority";
    let (field, pem) = match (cluster.data(DATA)?, cluster.path(FILE)?) {
        (Some(data), _) => (DATA, data),
        (None, Some(path)) => {
            let unreadable =
                |why| cluster.invalid(FILE, format!("cannot read {}: {why}", escaped(&path, &[])));
            (FILE, read_bounded(path.as_ref()).map_err(unreadable)?)
        }
        (None, None) => return Ok(None),
    };
    let certificates = readable(&pem);
    if certificates.is_empty() {
        return Err(cluster.invalid(field, "contains no valid certificate"));
    }
    Ok(Some(Authority { pem, certificates }))
}

/// The certificates of a bundle. Unreadable ones are skipped, as in Go; this trusts fewer authorities, never more.
fn readable(pem: &[u8]) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .filter(|der| RootCertStore::empty().add(der.clone()).is_ok() || Certificate::from_der(der).is_ok())
        .map(|der| der.to_vec())
        .collect()
}
