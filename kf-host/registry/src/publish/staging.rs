//! A staged publication: the roles to sign, the signatures so far, and the new files.
//!
//! It is a folder of plain files, so that it can be sent from one signer to the next by pull request, mail or USB
//! stick. This is format 1:
//!
//! ```text
//! staging.json              the format, the registry and the staged roles
//! roles/ROLE.json           the content to sign, in full: TUF's `signed` object
//! signatures/ROLE/KEYID     one key's signature of it, in hexadecimal
//! approvals/ROLE/KEYID      one admin's approval of rights that grow, in hexadecimal
//! targets/PATH              new files, under their published names
//! published/ROLE.json       the published version of ROLE, and the roles that delegate to it
//! published/plugins.json    the published index
//! published/names/…         the published indexes of shards
//! ```
//!
//! `ROLE` is `root`, `targets`, `names-PREFIX` for a [shard](crate::split), or `author-NAME`. Each signature has its own file: signing does not change what is
//! signed, and signatures from several machines are combined by copying them into one folder.
//!
//! The folder is not trusted. `published/` only serves to show the changes; [`assemble`](super::assemble()) compares it
//! with the published files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::Timestamp;
use kf_core::format::{self, Format};
use kf_core::{Digest, RegistryId};
use kf_home::files;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sigstore_tuf::metadata::{Metadata, Root, Signature, Targets};
use sigstore_tuf::{Key, TrustedMetadataSet, UpdaterConfig};

use super::admins::Admins;
use super::changes::{Change, changes};
use super::current::{Anchor, Current};
use super::keys::SigningKey;
use super::metadata::{self, Authority, Body, Signed, canonical, envelope};
use super::release;
use super::role::RoleName;
use crate::MAX_INDEX_BYTES;
use crate::error::{Error, Result};
use crate::index::SIGNED_AT;
use crate::split::{self, Prefix, Shard};
use crate::trust::chain;

const FORMAT: u64 = 1;
const MAX_STAGING_JSON_BYTES: u64 = 1024 * 1024;
pub(super) const MAX_SIGNATURE_BYTES: u64 = 16 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StagingJson {
    format: Format<FORMAT>,
    registry: RegistryId,
    roles: BTreeSet<RoleName>,
}

/// The content of a new staging folder.
pub(super) struct Draft {
    pub(super) registry: RegistryId,
    pub(super) roles: BTreeMap<RoleName, Value>,
    pub(super) signatures: Vec<(RoleName, Signature)>,
    /// The stored path below `targets/`, and the bytes.
    pub(super) targets: Vec<(String, Vec<u8>)>,
}

impl Draft {
    /// Writes the folder atomically.
    pub(super) fn write(&self, dir: &Path, current: &Current) -> Result<()> {
        let is_occupied = match fs_err::read_dir(dir) {
            Ok(mut entries) => entries.next().is_some(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => false,
            Err(e) => return Err(e.into()),
        };
        if is_occupied {
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
        let mut base = BTreeSet::from([RoleName::Root, RoleName::Targets]);
        base.extend(self.roles.keys().cloned());
        let admins = current.admins();
        for role in self.roles.keys() {
            let RoleName::Author(id) = role else { continue };
            let delegators = admins.iter().flat_map(|admins| admins.delegators(id));
            base.extend(delegators.filter_map(|(name, _)| name.parse().ok()));
        }
        for role in &base {
            files.extend(current.file(role).map(|bytes| (published.join(role.file()), bytes.clone())));
            let index = published_index(role).zip(current.index_of(role));
            files.extend(index.map(|(path, bytes)| (published.join(path), bytes.clone())));
        }
        Ok(files)
    }
}

/// The path of a role's published index below `published/`.
fn published_index(role: &RoleName) -> Option<String> {
    role.index_path().and_then(|path| path.strip_prefix("index/").map(str::to_owned))
}

fn signature_path(role: &RoleName, keyid: &str) -> Result<PathBuf> {
    Ok(Path::new("signatures").join(role.to_string()).join(metadata::file_safe(keyid)?))
}

pub(super) fn signature_bytes(sig: &str) -> Vec<u8> {
    format!("{sig}\n").into_bytes()
}

/// The required and the present signatures of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signers {
    pub threshold: usize,
    /// The ids of the keys that may sign.
    pub keyids: BTreeSet<String>,
    /// The ids of the keys that have signed.
    pub signed: BTreeSet<String>,
}

impl Signers {
    pub fn enough(&self) -> bool {
        self.signed.len() >= self.threshold
    }
}

/// A staged role, for review before or after signing.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    pub role: RoleName,
    pub version: u64,
    pub expires: Timestamp,
    /// Of the signed bytes: signers who see the same digest sign the same content.
    pub sha256: Digest,
    /// The differences to the published version, and to the published index if the role signs one. Both are taken from the
    /// staging folder, which is not trusted.
    pub changes: Vec<Change>,
    /// The required signatures. A root that changes its keys needs those of the old and of the new one.
    pub signers: Vec<Signers>,
}

impl Review {
    /// Whether no signature is missing.
    pub fn complete(&self) -> bool {
        self.signers.iter().all(Signers::enough)
    }
}

/// A staging folder. Its files are not trusted.
#[derive(Debug)]
pub struct Staging {
    dir: PathBuf,
    registry: RegistryId,
    roles: BTreeMap<RoleName, Value>,
    /// Read once: each signature is checked against them.
    base_targets: OnceLock<Option<Signed<Targets>>>,
    staged_targets: OnceLock<Option<Targets>>,
    /// The shards as they will be.
    shards: OnceLock<BTreeMap<Prefix, Targets>>,
}

impl Staging {
    /// Reads a staging folder. One that is incomplete, or has a role that `staging.json` does not list, is refused.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("staging.json");
        let bytes = files::read_regular_file(&path, MAX_STAGING_JSON_BYTES)?
            .ok_or_else(|| Error::Publish(format!("{} is not a staging folder", dir.display())))?;
        let json: StagingJson = format::parse_json(&path.display().to_string(), &bytes, FORMAT)?;
        let mut roles = BTreeMap::new();
        for role in &json.roles {
            let path = dir.join("roles").join(role.file());
            let bytes = files::read_regular_file(&path, max_length(role))?
                .ok_or_else(|| Error::Publish(format!("{} is missing", path.display())))?;
            let signed =
                serde_json::from_slice(&bytes).map_err(|e| Error::invalid(path.display().to_string(), e))?;
            roles.insert(role.clone(), signed);
        }
        for folder in ["roles", "signatures", "approvals"] {
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
        Ok(Self {
            dir: dir.to_owned(),
            registry: json.registry,
            roles,
            base_targets: OnceLock::new(),
            staged_targets: OnceLock::new(),
            shards: OnceLock::new(),
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The authority for the targets role in the published root.
    pub(super) fn admins(&self) -> Result<Authority> {
        let roots = self.roots()?;
        let root = roots.first().ok_or_else(|| Error::Publish("no root".into()))?;
        Authority::in_root(root, "targets")
    }

    /// Who holds each key, by key id, as far as the roots and the delegations say so.
    pub fn holders(&self) -> Result<BTreeMap<String, String>> {
        let mut holders: BTreeMap<String, String> =
            self.roots()?.iter().flat_map(metadata::holders).collect();
        let mut delegating: Vec<&Targets> = self.base_targets()?.map(Signed::body).into_iter().collect();
        delegating.extend(self.staged_targets()?);
        delegating.extend(self.shards()?.values());
        for role in delegating.into_iter().flat_map(|role| &role.delegations).flat_map(|them| &them.roles) {
            if let Some(author) = role.name.strip_prefix("author-") {
                holders.extend(role.keyids.iter().map(|id| (id.clone(), author.to_owned())));
            }
        }
        Ok(holders)
    }

    /// Checks that it is based on the registry published in `published`, which is verified from the pinned root. What
    /// [`Staging::review`] shows as changed is only true of a folder that passes.
    pub fn check_base(&self, published: &Path, pinned_root: Option<&[u8]>) -> Result<()> {
        let current = Current::read(published, Anchor { root: pinned_root, keys: None })?;
        let refuse = |what: &str| {
            Err(Error::Publish(format!(
                "{} was staged against a different {what} than the one in {}: stage it again",
                self.dir.display(),
                published.display()
            )))
        };
        let delegating = self.base_shards()?.into_keys().map(RoleName::Names);
        let mut roles: BTreeSet<RoleName> = self.roles().cloned().chain(delegating).collect();
        roles.extend([RoleName::Root, RoleName::Targets]);
        for role in &roles {
            if self.base_of(role)?.as_ref() != current.file(role) {
                return refuse(&match role {
                    RoleName::Root => "root".to_owned(),
                    RoleName::Targets => "targets role".to_owned(),
                    role => format!("role {role}"),
                });
            }
            if let Some(path) = published_index(role)
                && self.base(&path, MAX_INDEX_BYTES)?.as_ref() != current.index_of(role)
            {
                return refuse("index");
            }
        }
        Ok(())
    }

    /// The targets role as it will be: staged or else published.
    fn targets(&self) -> Result<Option<&Targets>> {
        match self.staged_targets()? {
            Some(staged) => Ok(Some(staged)),
            None => Ok(self.base_targets()?.map(Signed::body)),
        }
    }

    /// The published shards in the folder, as the published targets role delegates to them.
    fn base_shards(&self) -> Result<BTreeMap<Prefix, Targets>> {
        let Some(targets) = self.base_targets()? else { return Ok(BTreeMap::new()) };
        let mut shards = BTreeMap::new();
        for Shard { prefix, .. } in split::shards(targets.body()) {
            let role = RoleName::Names(prefix.clone());
            let Some(bytes) = self.base_of(&role)? else { continue };
            let shard = Signed::<Targets>::parse(&format!("the published {role}"), bytes)?;
            let authority = Authority::in_targets(targets.body(), &role.to_string());
            let authority =
                authority.ok_or_else(|| Error::Publish(format!("targets does not delegate to {role}")))?;
            authority.verify(&shard.metadata, &role.to_string()).map_err(|e| {
                Error::Publish(format!("invalid published {role} in the staging: {}", chain(&e)))
            })?;
            shards.insert(prefix, shard.body().clone());
        }
        Ok(shards)
    }

    /// The shards as they will be, as far as they are in the folder.
    fn shards(&self) -> Result<&BTreeMap<Prefix, Targets>> {
        if let Some(shards) = self.shards.get() {
            return Ok(shards);
        }
        let mut shards = self.base_shards()?;
        for (role, signed) in &self.roles {
            if let RoleName::Names(prefix) = role {
                shards.insert(prefix.clone(), parse_unsigned(signed)?);
            }
        }
        Ok(self.shards.get_or_init(|| shards))
    }

    fn staged_targets(&self) -> Result<Option<&Targets>> {
        if let Some(found) = self.staged_targets.get() {
            return Ok(found.as_ref());
        }
        let staged = self.roles.get(&RoleName::Targets).map(parse_unsigned).transpose()?;
        Ok(self.staged_targets.get_or_init(|| staged).as_ref())
    }

    /// The registry that it is for.
    pub fn registry(&self) -> &RegistryId {
        &self.registry
    }

    /// The staged roles.
    pub fn roles(&self) -> impl Iterator<Item = &RoleName> {
        self.roles.keys()
    }

    /// The content and the signatures of a staged role. An invalid signature is refused.
    pub fn review(&self, role: &RoleName) -> Result<Review> {
        match role {
            RoleName::Root => self.review_as::<Root>(role),
            RoleName::Targets | RoleName::Names(_) | RoleName::Author(_) => self.review_as::<Targets>(role),
        }
    }

    fn review_as<T: Body>(&self, role: &RoleName) -> Result<Review> {
        let file: Signed<T> = self.role(role)?;
        let base = self.base_value(role)?;
        let mut found = changes(None, &undated(base.clone()), &undated(self.signed(role)?.clone()));
        if let Some((path, new)) = self.staged_index(role)? {
            let old = published_index(role).map(|path| self.base(&path, MAX_INDEX_BYTES)).transpose()?;
            let old = old.flatten().unwrap_or_else(|| b"{}".to_vec());
            let parse = |bytes: &[u8]| -> Result<Value> {
                serde_json::from_slice(bytes).map_err(|e| Error::invalid(&path, e))
            };
            found.extend(changes(Some(&path), &parse(&old)?, &parse(&new)?));
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

    /// Adds the signature of `key` to a role, as it was when the folder was opened, without changing what is signed. An
    /// earlier signature of the same key is replaced.
    pub fn sign(&self, role: &RoleName, key: &SigningKey) -> Result<Review> {
        self.review(role)?;
        let keyid = self.key_id(role, key.public())?;
        let path = self.dir.join(signature_path(role, &keyid)?);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
        }
        let sig = key.sign(&canonical(self.signed(role)?)?);
        files::write_atomic(&path, &signature_bytes(&sig), false)?;
        self.review(role)
    }

    /// Whether `key` may sign a staged role.
    pub fn may_sign(&self, role: &RoleName, key: &SigningKey) -> Result<bool> {
        Ok(self.accepted(role)?.iter().any(|authority| authority.id_of(key.public()).is_some()))
    }

    fn key_id(&self, role: &RoleName, key: &Key) -> Result<String> {
        let accepted = self.accepted(role)?;
        let found = accepted.iter().find_map(|authority| authority.id_of(key));
        found.map(str::to_owned).ok_or_else(|| Error::NotAuthorized {
            keyid: metadata::key_id(key).unwrap_or_default(),
            role: role.to_string(),
        })
    }

    /// The content that `role` signs, as in the folder.
    pub(super) fn signed(&self, role: &RoleName) -> Result<&Value> {
        self.roles.get(role).ok_or_else(|| Error::Publish(format!("{role} is not staged")))
    }

    pub(super) fn has(&self, role: &RoleName) -> bool {
        self.roles.contains_key(role)
    }

    /// A role with its signatures so far, all of which are valid.
    pub(super) fn role<T: Body>(&self, role: &RoleName) -> Result<Signed<T>> {
        let signed = self.signed(role)?;
        let accepted = self.accepted(role)?;
        let what = self.dir.join("roles").join(role.file()).display().to_string();
        let mut signatures = Vec::new();
        for keyid in names(&self.dir.join("signatures").join(role.to_string()))? {
            let path = self.dir.join(signature_path(role, &keyid)?);
            let bytes = files::read_regular_file(&path, MAX_SIGNATURE_BYTES)?.unwrap_or_default();
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

    /// The authorities that must sign `role` before it is published.
    fn required(&self, role: &RoleName) -> Result<Vec<Authority>> {
        let roots = self.roots()?;
        match role {
            RoleName::Root => roots.iter().map(|root| Authority::in_root(root, "root")).collect(),
            RoleName::Targets => {
                let root = roots.last().ok_or_else(|| Error::Publish("no root".into()))?;
                let new = Authority::in_root(root, "targets")?;
                // Clients see a new root first. If the published role is not valid under it, the new role must be valid
                // under both roots.
                let published = self.base_targets()?;
                if published.is_some_and(|published| new.verify(&published.metadata, "targets").is_err()) {
                    return self.accepted(role);
                }
                Ok(vec![new])
            }
            RoleName::Names(_) | RoleName::Author(_) => {
                let none = || Error::Publish(format!("targets does not delegate to {role}"));
                let targets = self.targets()?.ok_or_else(none)?;
                let authority = match role {
                    RoleName::Author(id) => {
                        let shards = self.shards()?;
                        let shards = shards.iter().map(|(prefix, shard)| (prefix.role(), shard));
                        Admins::new(targets, shards).authority(id)
                    }
                    role => Authority::in_targets(targets, &role.to_string()),
                };
                Ok(vec![authority.ok_or_else(none)?])
            }
        }
    }

    /// The authorities that may sign `role`. When keys change, it may also be signed with the old keys, so that it is valid
    /// for clients with either root.
    fn accepted(&self, role: &RoleName) -> Result<Vec<Authority>> {
        match role {
            RoleName::Targets => {
                self.roots()?.iter().map(|root| Authority::in_root(root, "targets")).collect()
            }
            RoleName::Root | RoleName::Names(_) | RoleName::Author(_) => self.required(role),
        }
    }

    /// The published root and the staged one, if they exist.
    fn roots(&self) -> Result<Vec<Root>> {
        let mut roots = Vec::new();
        if let Some(bytes) = self.base(&RoleName::Root.file(), max_length(&RoleName::Root))? {
            let trusted = TrustedMetadataSet::from_root(&bytes).map_err(|e| {
                Error::Publish(format!("invalid published root in the staging: {}", chain(&e)))
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

    fn base_targets(&self) -> Result<Option<&Signed<Targets>>> {
        if let Some(found) = self.base_targets.get() {
            return Ok(found.as_ref());
        }
        let base = self.read_base_targets()?;
        Ok(self.base_targets.get_or_init(|| base).as_ref())
    }

    fn read_base_targets(&self) -> Result<Option<Signed<Targets>>> {
        let Some(bytes) = self.base(&RoleName::Targets.file(), max_length(&RoleName::Targets))? else {
            return Ok(None);
        };
        let targets = Signed::<Targets>::parse("the published targets", bytes)?;
        if let Some(root) = self.roots()?.first() {
            Authority::in_root(root, "targets")?.verify(&targets.metadata, "targets").map_err(|e| {
                Error::Publish(format!("invalid published targets in the staging: {}", chain(&e)))
            })?;
        }
        Ok(Some(targets))
    }

    /// The published version of `role`.
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
        Ok(files::read_regular_file(&self.dir.join("published").join(file), max)?)
    }

    /// The path and the content of the index that a staged role signs.
    fn staged_index(&self, role: &RoleName) -> Result<Option<(String, Vec<u8>)>> {
        let (Some(path), Some(signed)) = (role.index_path(), self.roles.get(role)) else { return Ok(None) };
        let body: Targets = parse_unsigned(signed)?;
        let Some(entry) = body.target(&path) else { return Ok(None) };
        let bytes = self.target(&path, entry.length, metadata::sha256(&entry.hashes), MAX_INDEX_BYTES)?;
        Ok(Some((path, bytes)))
    }

    /// The bytes of a staged target; they must match the signed digest.
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
        let bytes = files::read_regular_file(&stored, max)?.ok_or_else(|| refuse("is missing"))?;
        if (bytes.len() as u64, Digest::of(&bytes)) != (length, sha256) {
            return Err(refuse("does not match its signed digest"));
        }
        Ok(bytes)
    }
}

/// Signs the staged `role` in the folder `staging` with `key`, and returns what was signed. A key that may not sign the
/// role is refused. To review before signing, see [`Staging::review`].
pub fn sign(staging: &Path, role: &RoleName, key: &SigningKey) -> Result<Review> {
    Staging::open(staging)?.sign(role, key)
}

/// The payload, without checking signatures.
fn parse_unsigned<T: Body>(signed: &Value) -> Result<T> {
    let file = Metadata::<T>::from_slice(&envelope(signed, &[])?)
        .map_err(|e| Error::invalid(format!("the staged {}", T::TYPE), chain(&e)))?;
    Ok(file.into_signed())
}

/// Removes the fields that differ in every version.
fn undated(mut signed: Value) -> Value {
    if let Value::Object(fields) = &mut signed {
        for field in ["version", "expires", SIGNED_AT] {
            fields.remove(field);
        }
    }
    signed
}

/// The largest file of a role that clients accept.
pub(super) fn max_length(role: &RoleName) -> u64 {
    let limits = UpdaterConfig::default();
    match role {
        RoleName::Root => limits.root_max_length,
        RoleName::Targets | RoleName::Names(_) | RoleName::Author(_) => limits.targets_max_length,
    }
}

/// The names in a folder, sorted; none if it does not exist. Hidden files, as file managers leave behind, are skipped.
pub(super) fn names(dir: &Path) -> Result<Vec<String>> {
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
