//! A publication on its way: what is to be signed, the signatures so far, and the files that come with it.
//!
//! It is a folder of plain files, so that it can travel by pull request, mail or USB stick from one signer to the
//! next. This is format 1:
//!
//! ```text
//! staging.json              the format, the registry, and which roles are staged
//! roles/ROLE.json           what the role is to sign, in full: TUF's `signed` object
//! signatures/ROLE/KEYID     one key's signature of it, in hexadecimal
//! targets/PATH              new files, under the names they will be published with
//! published/ROLE.json       the published file that ROLE continues, and the root and targets in force
//! published/plugins.json    the published index
//! ```
//!
//! `ROLE` is `root`, `targets` or `author-NAME`. A signature is a file of its own: signing touches nothing that is
//! signed, and signatures made on several machines are put together by copying them into one folder.
//!
//! Nothing in it is trusted. What is in `published/` only serves to show what changes; [`assemble`](super::assemble())
//! compares it with what is published.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kf_core::format::{self, Format};
use kf_core::{Digest, RegistryId};
use kf_home::files;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sigstore_tuf::metadata::{Metadata, Root, Signature, Targets};
use sigstore_tuf::{Key, TrustedMetadataSet, UpdaterConfig};

use super::changes::{Change, changes};
use super::current::Current;
use super::keys::SigningKey;
use super::metadata::{self, Authority, Body, Signed, canonical, envelope};
use super::release;
use super::role::RoleName;
use crate::MAX_INDEX;
use crate::error::{Error, Result};
use crate::index::{self, SIGNED_AT};
use crate::trust::chain;

const FORMAT: u64 = 1;
const MAX_STAGING_JSON: u64 = 1024 * 1024;
const MAX_SIGNATURE: u64 = 16 * 1024;
const PUBLISHED_INDEX: &str = "plugins.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StagingJson {
    format: Format<FORMAT>,
    registry: RegistryId,
    roles: BTreeSet<RoleName>,
}

/// What goes into a staging folder.
pub(super) struct Draft {
    pub(super) registry: RegistryId,
    pub(super) roles: BTreeMap<RoleName, Value>,
    pub(super) signatures: Vec<(RoleName, Signature)>,
    /// Path as stored below `targets/`, and bytes.
    pub(super) targets: Vec<(String, Vec<u8>)>,
}

impl Draft {
    /// Writes the folder, which appears whole or not at all.
    pub(super) fn write(&self, dir: &Path, current: &Current) -> Result<()> {
        let occupied = match fs_err::read_dir(dir) {
            Ok(mut entries) => entries.next().is_some(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => false,
            Err(e) => return Err(e.into()),
        };
        if occupied {
            return Err(Error::Publish(format!("{} is not empty", dir.display())));
        }
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs_err::create_dir_all(parent).map_err(|e| Error::writing(parent, e))?;
        let aside = tempfile::Builder::new()
            .prefix(".tmp-staging-")
            .tempdir_in(parent)
            .map_err(|e| Error::writing(dir, e))?;
        for (path, bytes) in self.files(current)? {
            let path = aside.path().join(path);
            if let Some(folder) = path.parent() {
                fs_err::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
            }
            files::write_atomic(&path, &bytes, false)?;
        }
        fs_err::rename(aside.path(), dir).map_err(|e| Error::writing(dir, e))
    }

    fn files(&self, current: &Current) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let json = StagingJson {
            format: Format,
            registry: self.registry.clone(),
            roles: self.roles.keys().cloned().collect(),
        };
        let mut files = vec![(PathBuf::from("staging.json"), metadata::pretty(&json)?)];
        for (role, signed) in &self.roles {
            files.push((Path::new("roles").join(role.file()), metadata::pretty(signed)?));
        }
        for (role, signature) in &self.signatures {
            files.push((signature_path(role, &signature.keyid)?, signature_bytes(&signature.sig)));
        }
        for (path, bytes) in &self.targets {
            files.push((Path::new("targets").join(path), bytes.clone()));
        }
        let published = Path::new("published");
        let mut base = vec![
            (RoleName::Root, current.root().map(|root| &root.bytes)),
            (RoleName::Targets, current.targets.as_ref().map(|targets| &targets.bytes)),
        ];
        for role in self.roles.keys() {
            if let RoleName::Author(id) = role {
                base.push((role.clone(), current.authors.get(id).map(|author| &author.bytes)));
            }
        }
        for (role, bytes) in base {
            files.extend(bytes.map(|bytes| (published.join(role.file()), bytes.clone())));
        }
        files.extend(
            current.index.as_ref().map(|(bytes, _)| (published.join(PUBLISHED_INDEX), bytes.clone())),
        );
        Ok(files)
    }
}

/// TUF lets a key id be any text. Here it is a digest, and so always a plain file name.
fn signature_path(role: &RoleName, keyid: &str) -> Result<PathBuf> {
    let keyid = Digest::parse(keyid)?.to_string();
    Ok(Path::new("signatures").join(role.to_string()).join(keyid))
}

fn signature_bytes(sig: &str) -> Vec<u8> {
    format!("{sig}\n").into_bytes()
}

/// Who has to sign, and who has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signers {
    pub threshold: usize,
    /// The ids of all keys that may sign.
    pub keyids: BTreeSet<String>,
    /// The ids of those that have.
    pub signed: BTreeSet<String>,
}

impl Signers {
    pub fn enough(&self) -> bool {
        self.signed.len() >= self.threshold
    }
}

/// What somebody signs, or is about to.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    pub role: RoleName,
    pub version: u64,
    pub expires: Timestamp,
    /// Of the signed bytes: two people who see the same digest sign the same.
    pub sha256: Digest,
    /// The differences to the published version, and in the index, if the role signs one. They are as true as the
    /// published version that lies in the staging folder.
    pub changes: Vec<Change>,
    /// Whose signatures are needed. A root that changes its keys needs those of both the old and the new one.
    pub signers: Vec<Signers>,
}

impl Review {
    /// Whether no signature is missing.
    pub fn complete(&self) -> bool {
        self.signers.iter().all(Signers::enough)
    }
}

/// A staging folder that was read. Its files may be anybody's.
#[derive(Debug)]
pub struct Staging {
    dir: PathBuf,
    registry: RegistryId,
    roles: BTreeMap<RoleName, Value>,
}

impl Staging {
    /// Reads a staging folder. One that is incomplete, or holds a role that it does not announce, is refused.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("staging.json");
        let bytes = files::read_plain(&path, MAX_STAGING_JSON)?
            .ok_or_else(|| Error::Publish(format!("{} is not a staging folder", dir.display())))?;
        let json: StagingJson = format::parse_json(&path.display().to_string(), &bytes, FORMAT)?;
        let mut roles = BTreeMap::new();
        for role in &json.roles {
            let path = dir.join("roles").join(role.file());
            let bytes = files::read_plain(&path, max_length(role))?
                .ok_or_else(|| Error::Publish(format!("{} is missing", path.display())))?;
            let signed =
                serde_json::from_slice(&bytes).map_err(|e| Error::invalid(path.display().to_string(), e))?;
            roles.insert(role.clone(), signed);
        }
        for folder in ["roles", "signatures"] {
            for name in names(&dir.join(folder))? {
                let role = name.strip_suffix(".json").unwrap_or(&name);
                if !role.parse().is_ok_and(|role: RoleName| roles.contains_key(&role)) {
                    return Err(Error::Publish(format!(
                        "{}: the role is not listed in staging.json",
                        dir.join(folder).join(&name).display()
                    )));
                }
            }
        }
        Ok(Self { dir: dir.to_owned(), registry: json.registry, roles })
    }

    /// The registry it is meant for.
    pub fn registry(&self) -> &RegistryId {
        &self.registry
    }

    /// The staged roles.
    pub fn roles(&self) -> impl Iterator<Item = &RoleName> {
        self.roles.keys()
    }

    /// What `role` is about to sign, and whose signatures it has. A signature that does not fit is refused.
    pub fn review(&self, role: &RoleName) -> Result<Review> {
        match role {
            RoleName::Root => self.review_as::<Root>(role),
            RoleName::Targets | RoleName::Author(_) => self.review_as::<Targets>(role),
        }
    }

    fn review_as<T: Body>(&self, role: &RoleName) -> Result<Review> {
        let file: Signed<T> = self.role(role)?;
        let base = self.base_value(role)?;
        let mut found = changes(None, &undated(base.clone()), &undated(self.signed(role)?.clone()));
        if let (RoleName::Targets, Some(new)) = (role, self.staged_index()?) {
            let old = self.base(PUBLISHED_INDEX, MAX_INDEX)?.unwrap_or_else(|| b"{}".to_vec());
            let parse = |bytes: &[u8]| -> Result<Value> {
                serde_json::from_slice(bytes).map_err(|e| Error::invalid(index::PATH, e))
            };
            found.extend(changes(Some(index::PATH), &parse(&old)?, &parse(&new)?));
        }
        let required = self.required(role)?;
        let signers = required.iter().map(|authority| Signers {
            threshold: authority.role.threshold,
            keyids: authority.keys.keys().cloned().collect(),
            signed: authority
                .keys
                .keys()
                .filter(|id| authority.has_signed(&file.metadata, id))
                .cloned()
                .collect(),
        });
        Ok(Review {
            role: role.clone(),
            version: file.version(),
            expires: file.body().expires(),
            sha256: Digest::of(file.metadata.signed_canonical()),
            changes: found,
            signers: signers.collect(),
        })
    }

    /// Adds the signature of `key` to a role. Nothing that is signed changes; an earlier signature of the same key is
    /// replaced.
    fn sign(&self, role: &RoleName, key: &SigningKey) -> Result<Review> {
        self.review(role)?;
        let keyid = self.may_sign(role, key.public())?;
        let path = self.dir.join(signature_path(role, &keyid)?);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
        }
        let sig = key.sign(&canonical(self.signed(role)?)?);
        files::write_atomic(&path, &signature_bytes(&sig), false)?;
        self.review(role)
    }

    fn may_sign(&self, role: &RoleName, key: &Key) -> Result<String> {
        let accepted = self.accepted(role)?;
        let found = accepted.iter().find_map(|authority| authority.id_of(key));
        found.map(str::to_owned).ok_or_else(|| {
            let id = metadata::key_id(key).unwrap_or_default();
            Error::Publish(format!("key {id} is not authorized to sign {role}"))
        })
    }

    /// What `role` signs, as it lies in the folder.
    pub(super) fn signed(&self, role: &RoleName) -> Result<&Value> {
        self.roles.get(role).ok_or_else(|| Error::Publish(format!("{role} is not staged")))
    }

    pub(super) fn has(&self, role: &RoleName) -> bool {
        self.roles.contains_key(role)
    }

    /// A role with the signatures so far, each of which fits.
    pub(super) fn role<T: Body>(&self, role: &RoleName) -> Result<Signed<T>> {
        let signed = self.signed(role)?;
        let accepted = self.accepted(role)?;
        let what = self.dir.join("roles").join(role.file()).display().to_string();
        let mut signatures = Vec::new();
        for keyid in names(&self.dir.join("signatures").join(role.to_string()))? {
            let path = self.dir.join(signature_path(role, &keyid)?);
            let bytes = files::read_plain(&path, MAX_SIGNATURE)?.unwrap_or_default();
            let signature = metadata::signature(&keyid, String::from_utf8_lossy(&bytes).trim())?;
            let alone = Signed::<T>::parse(&what, envelope(signed, std::slice::from_ref(&signature))?)?;
            if !accepted.iter().any(|authority| authority.has_signed(&alone.metadata, &keyid)) {
                return Err(Error::Publish(format!("{} is not a valid signature of {role}", path.display())));
            }
            signatures.push(signature);
        }
        let file: Signed<T> = Signed::parse(&what, envelope(signed, &signatures)?)?;
        metadata::check_expires(signed, file.body())?;
        Ok(file)
    }

    /// Those who must agree before `role` is published.
    fn required(&self, role: &RoleName) -> Result<Vec<Authority>> {
        let roots = self.roots()?;
        match role {
            RoleName::Root => roots.iter().map(|root| Authority::in_root(root, "root")).collect(),
            RoleName::Targets => {
                let root = roots.last().ok_or_else(|| Error::Publish("there is no root".into()))?;
                Ok(vec![Authority::in_root(root, "targets")?])
            }
            RoleName::Author(_) => {
                let targets = match self.roles.get(&RoleName::Targets) {
                    Some(signed) => Some(parse_unsigned(signed)?),
                    None => self.base_targets()?,
                };
                let authority =
                    targets.and_then(|targets| Authority::in_targets(&targets, &role.to_string()));
                let none = || Error::Publish(format!("targets does not delegate to {role}"));
                Ok(vec![authority.ok_or_else(none)?])
            }
        }
    }

    /// Those whose signatures are welcome: in a change of keys a role may be signed with the old keys, too, so that
    /// clients can follow whichever root they have.
    fn accepted(&self, role: &RoleName) -> Result<Vec<Authority>> {
        match role {
            RoleName::Targets => {
                self.roots()?.iter().map(|root| Authority::in_root(root, "targets")).collect()
            }
            RoleName::Root | RoleName::Author(_) => self.required(role),
        }
    }

    /// The published root and the staged one, as far as there are any.
    fn roots(&self) -> Result<Vec<Root>> {
        let mut roots = Vec::new();
        if let Some(bytes) = self.base(&RoleName::Root.file(), max_length(&RoleName::Root))? {
            let trusted = TrustedMetadataSet::from_root(&bytes).map_err(|e| {
                Error::Publish(format!("the published root in the staging is not valid: {}", chain(&e)))
            })?;
            roots.push(trusted.root().clone());
        }
        if let Some(signed) = self.roles.get(&RoleName::Root) {
            let root = parse_unsigned(signed)?;
            metadata::check_root(&root)?;
            roots.push(root);
        }
        Ok(roots)
    }

    fn base_targets(&self) -> Result<Option<Targets>> {
        let Some(bytes) = self.base(&RoleName::Targets.file(), max_length(&RoleName::Targets))? else {
            return Ok(None);
        };
        let targets = Signed::<Targets>::parse("the published targets", bytes)?;
        if let Some(root) = self.roots()?.first() {
            Authority::in_root(root, "targets")?.verify(&targets.metadata, "targets").map_err(|e| {
                Error::Publish(format!("the published targets in the staging are not valid: {}", chain(&e)))
            })?;
        }
        Ok(Some(targets.body().clone()))
    }

    /// The published file that `role` continues.
    pub(super) fn base_of(&self, role: &RoleName) -> Result<Option<Vec<u8>>> {
        self.base(&role.file(), max_length(role))
    }

    fn base_value(&self, role: &RoleName) -> Result<Value> {
        let Some(bytes) = self.base_of(role)? else { return Ok(Value::Object(serde_json::Map::new())) };
        let file: Value =
            serde_json::from_slice(&bytes).map_err(|e| Error::invalid(format!("the published {role}"), e))?;
        Ok(file.get("signed").cloned().unwrap_or_default())
    }

    fn base(&self, file: &str, max: u64) -> Result<Option<Vec<u8>>> {
        Ok(files::read_plain(&self.dir.join("published").join(file), max)?)
    }

    /// The index that the staged targets role signs.
    fn staged_index(&self) -> Result<Option<Vec<u8>>> {
        let Some(signed) = self.roles.get(&RoleName::Targets) else { return Ok(None) };
        let targets: Targets = parse_unsigned(signed)?;
        let Some(entry) = targets.target(index::PATH) else { return Ok(None) };
        self.target(index::PATH, entry.length, metadata::sha256(&entry.hashes), MAX_INDEX).map(Some)
    }

    /// The bytes of a staged target, which must be those that are signed.
    pub(super) fn target(
        &self,
        path: &str,
        length: u64,
        sha256: Option<Digest>,
        max: u64,
    ) -> Result<Vec<u8>> {
        let refuse = |reason: &str| Error::Publish(format!("{path} in {} {reason}", self.dir.display()));
        let sha256 = sha256.ok_or_else(|| refuse("has no sha256"))?;
        let stored = self.dir.join("targets").join(release::stored(path, sha256));
        let bytes = files::read_plain(&stored, max)?.ok_or_else(|| refuse("is missing"))?;
        if (bytes.len() as u64, Digest::of(&bytes)) != (length, sha256) {
            return Err(refuse("does not match its signed digest"));
        }
        Ok(bytes)
    }
}

/// Adds the signature of `key` to what `role` has staged in the folder `staging`, and shows what was signed. A key that
/// is not one of the role's is refused. To look before signing, see [`Staging::review`].
pub fn sign(staging: &Path, role: &RoleName, key: &SigningKey) -> Result<Review> {
    Staging::open(staging)?.sign(role, key)
}

/// The payload, whoever signed it.
fn parse_unsigned<T: Body>(signed: &Value) -> Result<T> {
    let file = Metadata::<T>::from_slice(&envelope(signed, &[])?)
        .map_err(|e| Error::invalid(format!("the staged {}", T::TYPE), chain(&e)))?;
    Ok(file.into_signed())
}

/// Without what differs between any two versions.
fn undated(mut signed: Value) -> Value {
    if let Value::Object(fields) = &mut signed {
        for field in ["version", "expires", SIGNED_AT] {
            fields.remove(field);
        }
    }
    signed
}

/// The most that clients read of a role's file.
pub(super) fn max_length(role: &RoleName) -> u64 {
    let limits = UpdaterConfig::default();
    match role {
        RoleName::Root => limits.root_max_length,
        RoleName::Targets | RoleName::Author(_) => limits.targets_max_length,
    }
}

/// The names in a folder, sorted; none if there is no folder. Hidden files are what file managers leave behind.
fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs_err::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e.into()),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
