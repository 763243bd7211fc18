//! Approvals of rights that grow.
//!
//! A ceiling is the most that a command may ever do. Users accepted less: what the version that they have asks for. So that
//! a stolen author key cannot ask them for more, a version that may do more than the one before it is only published with
//! the approval of the admins, as many of them as have to sign the targets role.
//!
//! An approval is a signature with a key of the targets role over this, in canonical JSON:
//!
//! ```json
//! {"_type":"x-kf-approval","registry":"team","role":"author-alice","sha256":"…"}
//! ```
//!
//! `sha256` is the digest of the role's content as it is staged, so an approval is for exactly these versions. Its type
//! differs from those of TUF, so that no signature of one can be passed off as the other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kf_core::{Digest, RegistryId};
use kf_home::files;
use serde_json::json;

use super::keys::{SigningKey, is_signature};
use super::metadata::{self, Authority, canonical};
use super::role::RoleName;
use super::staging::{MAX_SIGNATURE_BYTES, Signers, Staging, names, signature_bytes};
use crate::error::{Error, Result};

/// Approves the staged content of `role` in the folder `staging` with a key of the targets role, and returns who has
/// approved it so far. `reviewed` is the digest of the content that was [examined](super::examine()).
///
/// # Errors
///
/// The role is not staged, its content is another one now, or the key may not sign the targets role.
pub fn approve(staging: &Path, role: &RoleName, reviewed: Digest, key: &SigningKey) -> Result<Signers> {
    let opened = Staging::open(staging)?;
    if content(&opened, role)? != reviewed {
        let what = format!("{role} in {} changed while it was reviewed", staging.display());
        return Err(Error::Publish(what));
    }
    let admins = opened.admins()?;
    let keyid = admins.id_of(key.public()).ok_or_else(|| Error::NotAuthorized {
        keyid: key.id().to_owned(),
        role: RoleName::Targets.to_string(),
    })?;
    let path = path(staging, role, keyid)?;
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
    }
    let signature = key.sign(&payload(&opened, role)?);
    files::write_atomic(&path, &signature_bytes(&signature), false)?;
    approvals(&opened, role, &admins)
}

/// Who has approved the staged content of `role`. An invalid approval does not count.
pub(super) fn approvals(staging: &Staging, role: &RoleName, admins: &Authority) -> Result<Signers> {
    let payload = payload(staging, role)?;
    let mut signed = BTreeSet::new();
    for keyid in names(&folder(staging.dir(), role))? {
        let path = path(staging.dir(), role, &keyid)?;
        let bytes = files::read_regular_file(&path, MAX_SIGNATURE_BYTES)?.unwrap_or_default();
        let signature = String::from_utf8_lossy(&bytes);
        if admins.keys.get(&keyid).is_some_and(|key| is_signature(key, &payload, signature.trim())) {
            signed.insert(keyid);
        }
    }
    Ok(Signers { threshold: admins.role.threshold, keyids: admins.keys.keys().cloned().collect(), signed })
}

/// The digest of what is signed.
pub(super) fn content(staging: &Staging, role: &RoleName) -> Result<Digest> {
    Ok(Digest::of(&canonical(staging.signed(role)?)?))
}

fn payload(staging: &Staging, role: &RoleName) -> Result<Vec<u8>> {
    let registry: &RegistryId = staging.registry();
    let sha256 = content(staging, role)?;
    canonical(&json!({ "_type": "x-kf-approval", "registry": registry, "role": role, "sha256": sha256 }))
}

fn folder(staging: &Path, role: &RoleName) -> PathBuf {
    staging.join("approvals").join(role.to_string())
}

fn path(staging: &Path, role: &RoleName, keyid: &str) -> Result<PathBuf> {
    Ok(folder(staging, role).join(metadata::file_safe(keyid)?))
}
