//! Drafts of the next root in the reviewed text.
//!
//! A root that lists other keys is a file `root/N.root.json`, which is reviewed like the rest of the text. A draft has no
//! signatures: it is staged with the text, and the admins sign what was staged.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::Timestamp;
use kf_core::names::NameError;
use kf_home::files;
use sigstore_tuf::metadata::Root;

use super::current::{Anchor, Current};
use super::keys::{Holders, PublicKeys, is_public_key};
use super::metadata::{self, HOLDERS, Signed, days, envelope, stamp, to_signed};
use crate::error::{Error, Result};
use crate::source::{Expiry, Source, root_file};

/// A role whose keys are listed in the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopRole {
    Root,
    Targets,
    Snapshot,
    Timestamp,
}

impl TopRole {
    fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for TopRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TopRole {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let all = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];
        all.into_iter().find(|role| role.as_str() == text).ok_or_else(|| NameError {
            kind: "role",
            value: text.to_owned(),
            why: "must be root, targets, snapshot, timestamp or author-NAME",
        })
    }
}

/// A public key, and who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// 64 hexadecimal digits.
    pub hex: String,
    pub holder: Option<String>,
}

impl FromStr for PublicKey {
    type Err = NameError;

    /// Parses `HEX` or `HOLDER=HEX`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (holder, hex) = match text.rsplit_once('=') {
            Some((holder, hex)) => (Some(holder.trim().to_owned()), hex),
            None => (None, text),
        };
        let is_line = |holder: &String| {
            !holder.is_empty() && holder.chars().count() <= 80 && !holder.chars().any(char::is_control)
        };
        if !is_public_key(hex) || !holder.as_ref().is_none_or(is_line) {
            let why = "must be 64 hexadecimal digits, or HOLDER=DIGITS";
            return Err(NameError { kind: "public key", value: text.to_owned(), why });
        }
        Ok(Self { hex: hex.to_owned(), holder })
    }
}

/// The keys and thresholds of a new registry.
#[derive(Clone, Debug)]
pub struct FirstRoot {
    pub root: (Vec<PublicKey>, usize),
    pub targets: (Vec<PublicKey>, usize),
    pub snapshot: PublicKey,
    pub timestamp: PublicKey,
}

/// The next root of a registry, to be changed and written to the reviewed text.
#[derive(Debug)]
pub struct RootDraft {
    index: PathBuf,
    body: Root,
    life: u16,
}

impl RootDraft {
    /// The first root of a new registry.
    pub fn first(index: &Path, first: &FirstRoot, expiry: Expiry) -> Result<Self> {
        let holders = |keys: &[PublicKey], threshold: usize| -> Result<Holders> {
            let keys = keys.iter().map(|key| metadata::key(&key.hex)).collect::<Result<_>>()?;
            Ok(Holders { keys, threshold })
        };
        let one = |key: &PublicKey| holders(std::slice::from_ref(key), 1);
        let body = metadata::root(&PublicKeys {
            root: holders(&first.root.0, first.root.1)?,
            targets: holders(&first.targets.0, first.targets.1)?,
            snapshot: one(&first.snapshot)?,
            timestamp: one(&first.timestamp)?,
            authors: BTreeMap::new(),
        })?;
        let mut draft = Self { index: index.to_owned(), body, life: expiry.root_days };
        draft.body.version = 1;
        let online = [&first.snapshot, &first.timestamp];
        for key in first.root.0.iter().chain(&first.targets.0).chain(online) {
            draft.name_holder(key)?;
        }
        Ok(draft)
    }

    /// The draft in the reviewed text or, if there is none, the published root as the next version.
    pub fn next(index: &Path, published: &Path, pinned_root: Option<&[u8]>) -> Result<Self> {
        let source = Source::read(index)?;
        let reviewed = source.roots.get(&1).map(Vec::as_slice);
        let current = Current::read(published, Anchor { root: pinned_root.or(reviewed), keys: None })?;
        let newest = current.root().map_or(0, Signed::version);
        let next = newest + 1;
        let mut body = match (source.roots.get(&next), current.root()) {
            (Some(draft), _) => Signed::<Root>::parse(&root_file(next), draft.clone())?.body().clone(),
            (None, Some(published)) => published.body().clone(),
            (None, None) => {
                return Err(Error::Edit("no root is published, and root/1.root.json does not exist".into()));
            }
        };
        body.version = next;
        Ok(Self { index: index.to_owned(), body, life: source.registry.expiry.root_days })
    }

    /// Adds a key of a role.
    pub fn add_key(&mut self, role: TopRole, key: &PublicKey) -> Result<()> {
        let public = metadata::key(&key.hex)?;
        let id = metadata::key_id(&public)?;
        let keys = self.role(role)?;
        if keys.keyids.contains(&id) {
            return Err(Error::Edit(format!("{role} already lists the key {}", key.hex)));
        }
        keys.keyids.push(id.clone());
        self.body.keys.insert(id, public);
        self.name_holder(key)
    }

    /// Removes a key of a role, given as public key or key id.
    pub fn remove_key(&mut self, role: TopRole, key: &str) -> Result<()> {
        let is_wanted = |id: &String, public: &str| id == key || public == key;
        let found = self.body.keys.iter().find(|(id, found)| is_wanted(id, &found.keyval.public));
        let id = found.map_or_else(|| key.to_owned(), |(id, _)| id.clone());
        let keys = self.role(role)?;
        let before = keys.keyids.len();
        keys.keyids.retain(|listed| *listed != id);
        if keys.keyids.len() == before {
            return Err(Error::Edit(format!("{role} does not list the key {key}")));
        }
        self.remove_unused()
    }

    /// Sets how many keys of a role must sign.
    pub fn set_threshold(&mut self, role: TopRole, threshold: usize) -> Result<()> {
        self.role(role)?.threshold = threshold;
        Ok(())
    }

    /// Writes the draft, without signatures and valid from now, to the reviewed text, and returns its path. A root that
    /// clients could not use is refused.
    pub fn write(mut self, now: Timestamp) -> Result<PathBuf> {
        let version = self.body.version;
        stamp(&mut self.body, version, now, days(self.life))?;
        metadata::check_root(&self.body).map_err(|error| Error::Edit(error.to_string()))?;
        let path = self.index.join(root_file(version));
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
        }
        files::write_atomic(&path, &envelope(&to_signed(&self.body)?, &[])?, false)?;
        Ok(path)
    }

    fn role(&mut self, role: TopRole) -> Result<&mut sigstore_tuf::metadata::RoleKeys> {
        let keys = self.body.roles.get_mut(role.as_str());
        keys.ok_or_else(|| Error::Publish(format!("the root has no keys for role {role}")))
    }

    fn name_holder(&mut self, key: &PublicKey) -> Result<()> {
        let Some(holder) = &key.holder else { return Ok(()) };
        let mut names = metadata::holders(&self.body);
        names.insert(metadata::key_id(&metadata::key(&key.hex)?)?, holder.clone());
        self.set_holders(names)
    }

    fn remove_unused(&mut self) -> Result<()> {
        let roles = &self.body.roles;
        let is_used = |id: &String| roles.values().any(|role| role.keyids.contains(id));
        self.body.keys.retain(|id, _| is_used(id));
        let mut names = metadata::holders(&self.body);
        names.retain(|id, _| self.body.keys.contains_key(id));
        self.set_holders(names)
    }

    fn set_holders(&mut self, names: BTreeMap<String, String>) -> Result<()> {
        match names.is_empty() {
            true => self.body.extra.remove(HOLDERS),
            false => {
                let names = serde_json::to_value(names).map_err(metadata::publish)?;
                self.body.extra.insert(HOLDERS.into(), names)
            }
        };
        Ok(())
    }
}
