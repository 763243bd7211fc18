//! The cluster's certificate authority and the certificates it signs.
//!
//! Each cluster has its own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use super::error::{ClusterError, Result};

/// Longer than a cluster is kept.
const LIFETIME: Duration = Duration::days(30);

/// The start and end of the validity; clocks may be behind.
fn validity() -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now - Duration::hours(1), now + LIFETIME)
}

/// A certificate authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let certify = |source| ClusterError::Certificate { subject: name.to_owned(), source };
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = validity();
        let key = KeyPair::generate().map_err(certify)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(certify)?;
        Ok(Self { issuer })
    }

    pub(crate) fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// Writes `<name>.crt` and `<name>.key`, with which the controller manager signs requests.
    pub(crate) fn write(&self, directory: &Path, name: &str) -> Result<()> {
        fs::write(directory.join(format!("{name}.crt")), self.certificate())?;
        write_private(&directory.join(format!("{name}.key")), &self.issuer.key().serialize_pem())
    }

    /// A certificate for a server with these `names` and `addresses`.
    pub(crate) fn server(
        &self,
        common_name: &str,
        organization: Option<&str>,
        names: &[&str],
        addresses: &[Ipv4Addr],
    ) -> Result<Identity> {
        let certify = |source| ClusterError::Certificate { subject: common_name.to_owned(), source };
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(certify)?;
        params
            .subject_alt_names
            .extend(addresses.iter().map(|address| SanType::IpAddress(IpAddr::V4(*address))));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params, common_name, organization)
    }

    /// A certificate for the user `common_name` in the group `organization`.
    pub(crate) fn client(&self, common_name: &str, organization: Option<&str>) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, common_name, organization)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        common_name: &str,
        organization: Option<&str>,
    ) -> Result<Identity> {
        let certify = |source| ClusterError::Certificate { subject: common_name.to_owned(), source };
        params.distinguished_name = subject(common_name, organization);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        (params.not_before, params.not_after) = validity();
        let key = KeyPair::generate().map_err(certify)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(certify)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

pub(crate) fn subject(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    subject.push(DnType::CommonName, common_name);
    subject
}

/// Writes `<name>.key` and `<name>.pub`, a key without a certificate.
///
/// kube-apiserver needs the public key in a separate file, because the key is PKCS #8.
pub(crate) fn write_key_pair(directory: &Path, name: &str) -> Result<()> {
    let key = KeyPair::generate()
        .map_err(|source| ClusterError::Certificate { subject: name.to_owned(), source })?;
    write_private(&directory.join(format!("{name}.key")), &key.serialize_pem())?;
    fs::write(directory.join(format!("{name}.pub")), key.public_key_pem())?;
    Ok(())
}

impl Identity {
    /// Writes `<name>.crt` and `<name>.key` to `directory`.
    pub(crate) fn write(&self, directory: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
        let certificate = directory.join(format!("{name}.crt"));
        let key = directory.join(format!("{name}.key"));
        fs::write(&certificate, &self.certificate)?;
        write_private(&key, &self.key)?;
        Ok((certificate, key))
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, content: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = fs::OpenOptions::from_options(options).open(path)?;
    file.write_all(content.as_bytes())?;
    Ok(())
}
