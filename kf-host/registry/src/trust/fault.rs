//! Why signed metadata is refused, and who can mend it.
//!
//! Each role is signed by someone else: root and targets by the admins, each with a key of their own, snapshot and timestamp
//! by the machine that publishes, and an author's role by the author. A mirror signs nothing. So the role says whom to ask.

use std::fmt;

use jiff::Timestamp;
use sigstore_tuf::Error as TufError;

use super::chain;

/// Why signed metadata is refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Too few keys signed a role.
    Signatures { role: String, found: usize, threshold: usize },
    /// One key signed a role twice.
    DuplicateSignature { role: String, key: String },
    /// The signatures of a role are no longer valid.
    Expired { role: String, expires: Timestamp },
    /// A role is older than the one that was verified before.
    Rollback { role: String, trusted: u64, new: u64 },
    /// A root is not the one after the trusted root.
    RootVersion { trusted: u64, new: u64 },
    /// A file has another digest, length or version than the signed one.
    Digest(String),
    /// A file is not signed metadata, or has keys that this kf cannot use.
    Malformed { file: Option<String>, reason: String },
}

impl Fault {
    pub(super) fn of(error: &TufError) -> Self {
        match error {
            TufError::ThresholdNotMet { role, found, threshold } => {
                Self::Signatures { role: role.clone(), found: *found, threshold: *threshold }
            }
            TufError::DuplicateSignature { role, key_id } => {
                Self::DuplicateSignature { role: role.clone(), key: key_id.clone() }
            }
            TufError::Expired { role, expires } => Self::Expired { role: role.clone(), expires: *expires },
            TufError::Rollback { role, trusted, new } => {
                Self::Rollback { role: role.clone(), trusted: *trusted, new: *new }
            }
            TufError::BadRootVersion { trusted, new } => Self::RootVersion { trusted: *trusted, new: *new },
            TufError::IntegrityMismatch(what) => Self::Digest(what.clone()),
            error => Self::Malformed { file: None, reason: chain(error) },
        }
    }

    /// The fault with the name of the file that was read last, where the fault alone does not name one.
    pub(super) fn in_file(self, last: &str) -> Self {
        match self {
            Self::Malformed { file: None, reason } if !last.is_empty() => {
                Self::Malformed { file: Some(last.to_owned()), reason }
            }
            fault => fault,
        }
    }

    /// Whether the metadata is valid but too old.
    pub fn is_age(&self) -> bool {
        matches!(self, Self::Expired { .. } | Self::Rollback { .. })
    }

    /// Who can mend it, and how.
    pub fn remedy(&self) -> String {
        const ADMINS: &str = "ask the registry's admins";
        match self {
            Self::Expired { role, .. } => match signer(role) {
                Signer::Author(author) => format!("ask the author {author} to sign again"),
                Signer::Admins => format!("{ADMINS} to sign the role {role} again"),
                Signer::Publisher => {
                    format!("{ADMINS} to publish again, or use an address that is up to date")
                }
            },
            Self::Signatures { role, .. } | Self::DuplicateSignature { role, .. } => match signer(role) {
                Signer::Author(author) => format!("{ADMINS} which keys the author {author} signs with"),
                Signer::Admins => format!("{ADMINS} who must sign the role {role}"),
                Signer::Publisher => format!("{ADMINS} which key signs the role {role}"),
            },
            Self::Rollback { .. } => {
                "use an address that is up to date, or wait until this one is".to_owned()
            }
            Self::RootVersion { .. } | Self::Digest(_) => {
                "retry, use another address, or tell the registry's admins: its files do not belong together"
                    .to_owned()
            }
            Self::Malformed { .. } => "check the address, or tell the registry's admins".to_owned(),
        }
    }
}

enum Signer<'a> {
    Admins,
    Publisher,
    Author(&'a str),
}

fn signer(role: &str) -> Signer<'_> {
    let role = role.strip_suffix(".json").unwrap_or(role);
    match role.strip_prefix("author-") {
        Some(author) => Signer::Author(author),
        None if matches!(role, "snapshot" | "timestamp") => Signer::Publisher,
        None => Signer::Admins,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signatures { role, found, threshold } => {
                write!(f, "signature threshold not met for role {role}: {found}/{threshold} valid signatures")
            }
            Self::DuplicateSignature { role, key } => {
                write!(f, "duplicate signature for role {role}: key {key} signed it twice")
            }
            Self::Expired { role, expires } => write!(f, "{role} metadata expired at {expires}"),
            Self::Rollback { role, trusted, new } => {
                write!(
                    f,
                    "rollback detected for {role}: it has version {new}, but version {trusted} was verified before"
                )
            }
            Self::RootVersion { trusted, new } => {
                write!(f, "root version must increment by one: trusted {trusted}, got {new}")
            }
            Self::Digest(what) => write!(f, "integrity check failed: {what}"),
            Self::Malformed { file: Some(file), reason } => write!(f, "{file}: {reason}"),
            Self::Malformed { file: None, reason } => f.write_str(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedy_names_who_signs_role() {
        let expired =
            |role: &str| Fault::Expired { role: role.to_owned(), expires: Timestamp::UNIX_EPOCH }.remedy();
        assert_eq!(expired("author-alice"), "ask the author alice to sign again");
        assert_eq!(expired("targets"), "ask the registry's admins to sign the role targets again");
        assert!(expired("timestamp").contains("publish again"));
        let unsigned =
            |role: &str| Fault::Signatures { role: role.to_owned(), found: 0, threshold: 1 }.remedy();
        assert!(unsigned("author-alice").contains("the author alice"));
        assert_eq!(unsigned("root"), "ask the registry's admins who must sign the role root");
        assert_eq!(unsigned("snapshot"), "ask the registry's admins which key signs the role snapshot");
    }

    #[test]
    fn unparsable_file_is_named() {
        let error = serde_json::from_str::<u8>("<html>").unwrap_err();
        let fault = Fault::of(&TufError::Json(error)).in_file("timestamp.json").to_string();
        assert!(fault.starts_with("timestamp.json: failed to parse JSON: "), "{fault}");
        let expired = Fault::Expired { role: "root".into(), expires: Timestamp::UNIX_EPOCH };
        assert_eq!(expired.in_file("x.json").to_string(), "root metadata expired at 1970-01-01T00:00:00Z");
    }
}
