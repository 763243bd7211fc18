//! Stage: collects everything new, to be signed. No private key is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kf_core::format::Format;
use kf_core::{AuthorId, PluginName};
use serde_json::Value;
use sigstore_tuf::Key;
use sigstore_tuf::metadata::{DelegatedRole, Delegations, Root, Targets};

use super::admins::Admins;
use super::current::{self, Anchor, Current, KEPT};
use super::keys::{Holders, PublicKeys};
use super::metadata::{self, Authority, Body, Signed, days, stamp, to_signed};
use super::release::{self, Artifact, Artifacts, Describe, Gate, Published};
use super::role::RoleName;
use super::staging::Draft;
use crate::error::{Error, Result};
use crate::index::{Block, Entry, Index};
use crate::parts::PartKind;
use crate::source::{Author, Plugin, Source};
use crate::split::{self, Prefix, Shard};

/// The input of a stage.
pub struct StageInput<'a> {
    /// The reviewed text, `registry-index/`.
    pub source: &'a Path,
    /// One folder for each command that may have a new version, with the command's name, `plugin.wasm` and `plugin.toml`.
    pub artifacts: Option<Artifacts<'a>>,
    /// The folder of the published registry, which is only read.
    pub published: &'a Path,
    /// The folder to create. If it exists, it must be empty.
    pub staging: &'a Path,
    /// The roles to stage, if they have changes; all if absent. Authors stage only their own role, and admins only
    /// theirs to revoke a key without waiting for its author.
    pub only: Option<&'a BTreeSet<RoleName>>,
    /// Keys that the reviewed text does not list: for the first root, and for authors whose file lists none. The root
    /// keys also vouch for the first published root.
    pub keys: Option<&'a PublicKeys>,
    /// The first root as users have pinned it, if neither the reviewed text nor the keys vouch for it.
    pub pinned_root: Option<&'a [u8]>,
    pub now: Timestamp,
    pub describe: &'a dyn Describe,
    pub gate: &'a dyn Gate,
}

/// The result of a stage.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The folder, to open with [`Staging::open`](super::Staging::open).
    pub staging: PathBuf,
    /// The roles that need signatures. Empty if nothing is new.
    pub roles: Vec<RoleName>,
    /// Every version among the artifacts.
    pub plugins: Vec<Published>,
}

/// Stages the changes of the reviewed text and the artifacts, and the roles that are past half of their lifetime.
///
/// Every new version is checked for owner, version order and immutability, and passes the gate. See
/// [`Staging`](super::Staging) for the folder.
pub fn stage(input: &StageInput<'_>) -> Result<Staged> {
    if let Some(shard) = input.only.iter().copied().flatten().find(|role| matches!(role, RoleName::Names(_)))
    {
        return Err(Error::Publish(format!("{shard} is staged with targets, not alone")));
    }
    let source = Source::read(input.source)?;
    let reviewed = source.roots.get(&1).map(Vec::as_slice);
    let anchor = Anchor { root: input.pinned_root.or(reviewed), keys: input.keys };
    let current = Current::read(input.published, anchor)?;
    if let Some(index) = &current.index
        && index.registry != source.registry.name
    {
        return Err(Error::Publish(format!(
            "{} holds registry {}, not {}",
            input.published.display(),
            index.registry,
            source.registry.name
        )));
    }
    let mut stage = Stage {
        input,
        source: &source,
        blocked: blocked(&source),
        current: &current,
        draft: Draft {
            registry: source.registry.name.clone(),
            roles: BTreeMap::new(),
            signatures: Vec::new(),
            targets: Vec::new(),
        },
    };
    let root = stage.root()?;
    let mut authors = stage.authors();
    let plugins = stage.admit(&mut authors)?;
    let (targets, shards) = stage.targets(&root)?;
    let shards = shards.iter().map(|(prefix, shard)| (prefix.role(), shard));
    let admins = Admins::new(&targets, shards);
    for (id, body) in authors {
        stage.author(&id, body, &admins)?;
    }
    let draft = stage.draft;
    draft.write(input.staging, &current)?;
    Ok(Staged { staging: input.staging.to_owned(), roles: draft.roles.into_keys().collect(), plugins })
}

struct Stage<'a> {
    input: &'a StageInput<'a>,
    source: &'a Source,
    /// Of all commands, because a component may be published again under another name.
    blocked: Vec<Block>,
    current: &'a Current,
    draft: Draft,
}

impl Stage<'_> {
    /// The shards are staged with targets: together they are what the admins sign.
    fn wanted(&self, role: &RoleName) -> bool {
        let role = match role {
            RoleName::Names(_) => &RoleName::Targets,
            role => role,
        };
        self.input.only.is_none_or(|only| only.contains(role))
    }

    /// Stages `body` as the next version of `role`, if it changed, is past half of its lifetime, or lacks a signature
    /// that is required now.
    fn put<T: Body>(
        &mut self,
        role: RoleName,
        mut body: T,
        published: Option<&Signed<T>>,
        authority: &Authority,
        life: u16,
    ) -> Result<bool> {
        let is_up_to_date = published.is_some_and(|published| {
            metadata::same(published.body(), &body)
                && is_fresh(published.body(), self.input.now, life)
                && authority.verify(&published.metadata, T::TYPE).is_ok()
        });
        if is_up_to_date || !self.wanted(&role) {
            return Ok(false);
        }
        let version = published.map_or(1, |published| published.version() + 1);
        stamp(&mut body, version, self.input.now, days(life))?;
        self.draft.roles.insert(role, to_signed(&body)?);
        Ok(true)
    }

    /// The next root: a new one from the reviewed text, the published one, or the first one.
    fn root(&mut self) -> Result<Root> {
        let published = self.current.root();
        let newest = published.map_or(0, Signed::version);
        let mut next = None;
        for (version, bytes) in &self.source.roots {
            let name = format!("root/{version}.root.json");
            let file = Signed::<Root>::parse(&name, bytes.clone())?;
            let published =
                version.checked_sub(1).and_then(|n| self.current.roots.get(usize::try_from(n).ok()?));
            match published {
                Some(published) if same_bytes(published, &file) => {}
                Some(_) => return Err(Error::Publish(format!("{name} does not match the published root"))),
                None if *version == newest + 1 && file.version() == *version => next = Some(file),
                None => {
                    return Err(Error::Publish(format!("{name} cannot follow the published root {newest}")));
                }
            }
        }
        let life = self.source.registry.expiry.root_days;
        let in_force = match (next, published) {
            (Some(next), _) => {
                metadata::check_root(next.body())?;
                let signed = signed_value(&next)?;
                metadata::check_expires(&signed, next.body())?;
                if self.wanted(&RoleName::Root) {
                    self.draft.roles.insert(RoleName::Root, signed);
                    let signatures = next.metadata.signatures().iter().filter(|s| !s.sig.is_empty());
                    self.draft.signatures.extend(signatures.map(|s| (RoleName::Root, s.clone())));
                    next.body().clone()
                } else {
                    published.ok_or_else(nothing_published)?.body().clone()
                }
            }
            (None, Some(published)) => {
                let body = published.body();
                let authority = Authority::in_root(body, "root")?;
                self.put(RoleName::Root, body.clone(), Some(published), &authority, life)?;
                body.clone()
            }
            (None, None) => {
                let keys = self.input.keys.ok_or_else(|| {
                    Error::Publish("no root: add root/1.root.json to the reviewed text".into())
                })?;
                let body = metadata::root(keys)?;
                metadata::check_root(&body)?;
                let authority = Authority::in_root(&body, "root")?;
                if !self.put(RoleName::Root, body.clone(), None, &authority, life)? {
                    return Err(nothing_published());
                }
                body
            }
        };
        if let Some(keys) = self.input.keys {
            for (role, holders) in keys.top_level() {
                if !has_holders(&Authority::in_root(&in_force, role)?, holders)? {
                    return Err(Error::Publish("the keys do not match the published root".into()));
                }
            }
        }
        Ok(in_force)
    }

    /// The published role of every author, if any.
    fn authors(&self) -> BTreeMap<AuthorId, Option<Targets>> {
        let publishing = self.source.authors.values().filter(|author| !author.plugins.is_empty());
        publishing
            .map(|author| {
                let published = self.current.authors.get(&author.id);
                (author.id.clone(), published.map(|role| role.body().clone()))
            })
            .collect()
    }

    /// Checks every artifact and adds the new ones to their author's role.
    fn admit(&mut self, authors: &mut BTreeMap<AuthorId, Option<Targets>>) -> Result<Vec<Published>> {
        let Some(artifacts) = self.input.artifacts else { return Ok(Vec::new()) };
        let mut plugins = Vec::new();
        for (name, folder) in artifacts.folders()? {
            let plugin = self.source.plugins.get(&name).ok_or_else(|| {
                Error::Publish(format!("{name} was built, but plugins/{name}.toml does not exist"))
            })?;
            let role = authors
                .get_mut(&plugin.owner)
                .ok_or_else(|| Error::Publish(format!("{name} has no owner who can sign")))?;
            let mut body = match role.take() {
                Some(body) => body,
                None => metadata::targets()?,
            };
            plugins.push(self.admit_one(&folder, plugin, &mut body)?);
            *role = Some(body);
        }
        Ok(plugins)
    }

    fn admit_one(&mut self, folder: &Path, plugin: &Plugin, role: &mut Targets) -> Result<Published> {
        let artifact = Artifact::read(folder, &plugin.name)?;
        let version = artifact.manifest.plugin.version.clone();
        let path = |kind: PartKind| kind.path(&plugin.name, &version);
        let previous = self.current.newest(&plugin.name);
        let is_published = self.current.target(&path(PartKind::Component)).is_some();
        if is_published {
            for (part, bytes) in [(PartKind::Component, &artifact.wasm), (PartKind::Manifest, &artifact.toml)]
            {
                let entry = metadata::target_file(bytes)?;
                if !self.current.target(&path(part)).is_some_and(|old| release::same_bytes(old, &entry)) {
                    return Err(artifact.refuse(format!(
                        "it is already published with another {}: raise the version",
                        part.file_name()
                    )));
                }
            }
        } else if let Some(previous) = previous.as_ref().filter(|previous| **previous >= version) {
            return Err(
                artifact.refuse(format!("{previous} is already published: a new version must be higher"))
            );
        }
        if role.target(&path(PartKind::Component)).is_some() {
            return Ok(artifact.published(false));
        }
        // A version that moves to a new owner keeps its published command tree.
        let commands = match self.current.target(&path(PartKind::Commands)).filter(|_| is_published) {
            Some(entry) => self.current.read_target(&path(PartKind::Commands), entry)?,
            None => artifact.describe(self.input.describe)?,
        };
        let published = artifact.published(true);
        let release = artifact.with(commands);
        if !is_published {
            release.check_blocked(&self.blocked)?;
        }
        let baseline = self.current.baseline(&plugin.name, &plugin.yanked, &self.blocked)?;
        // Growth needs an approval later, but may be staged.
        release.check(self.input.gate, &plugin.ceiling, previous.as_ref(), baseline.as_ref())?;
        let owner = RoleName::Author(plugin.owner.clone());
        if !self.wanted(&owner) {
            return Err(release.refuse(format!("{owner} is not among the roles to stage")));
        }
        // A version that moves keeps its date, too.
        let signed = match self.current.target(&path(PartKind::Component)) {
            Some(program) => release::signed(program),
            None => Some(self.input.now),
        };
        for (path, entry, bytes) in release.targets(signed)? {
            self.add_target(&path, &entry, bytes)?;
            role.targets.insert(path, entry);
        }
        Ok(published)
    }

    fn add_target(&mut self, path: &str, entry: &sigstore_tuf::TargetFile, bytes: Vec<u8>) -> Result<()> {
        let sha256 =
            metadata::sha256(&entry.hashes).ok_or_else(|| Error::Publish(format!("{path} has no sha256")))?;
        self.draft.targets.push((release::stored(path, sha256), bytes));
        Ok(())
    }

    /// The next targets role and, if the registry is split, the role of each shard: indexes and delegations.
    fn targets(&mut self, root: &Root) -> Result<(Targets, BTreeMap<Prefix, Targets>)> {
        let current = self.current;
        let published = current.targets.as_ref();
        if !self.wanted(&RoleName::Targets) {
            let targets = published.ok_or_else(nothing_published)?.body().clone();
            let shards = split::shards(&targets)
                .filter_map(|shard| {
                    let role = current.shards.get(&shard.prefix)?.body().clone();
                    Some((shard.prefix, role))
                })
                .collect();
            return Ok((targets, shards));
        }
        let admins = Authority::in_root(root, "targets")?;
        let split = split::split(self.source.plugins.keys());
        let life = self.source.registry.expiry.targets_days;
        let mut shards = BTreeMap::new();
        let mut indexes = BTreeMap::new();
        for shard in &split {
            let role = RoleName::Names(shard.prefix.clone());
            let (body, index) = self.indexed(&role, current.shards.get(&shard.prefix), Some(shard))?;
            shards.insert(shard.prefix.clone(), body);
            indexes.insert(role, index);
        }
        let (mut body, index) = self.indexed(&RoleName::Targets, published, None)?;
        if !split.is_empty() {
            let old = published.and_then(|published| published.body().delegations.as_ref());
            body.delegations = Some(delegations_to(&split, &admins, old)?);
        }
        let all = Admins::new(&body, shards.iter().map(|(prefix, shard)| (prefix.role(), shard)));
        match self.kept(&body, &all)? {
            Kept::Unchanged => {}
            Kept::None => drop(body.extra.remove(KEPT)),
            Kept::These(kept) => drop(body.extra.insert(KEPT.into(), kept)),
        }
        if self.put(RoleName::Targets, body.clone(), published, &admins, life)? {
            self.add_index(&RoleName::Targets, index)?;
        }
        for (role, index) in indexes {
            let RoleName::Names(prefix) = &role else { continue };
            let authority = Authority::in_targets(&body, &prefix.role());
            let (Some(authority), Some(shard)) = (authority, shards.get(prefix)) else { continue };
            let old = current.shards.get(prefix);
            if self.put(role.clone(), shard.clone(), old, &authority, life)? {
                self.add_index(&role, index)?;
            }
        }
        Ok((body, shards))
    }

    /// The next body of a role that signs an index, and the index: of `shard`, or of the registry.
    fn indexed(
        &self,
        role: &RoleName,
        old: Option<&Signed<Targets>>,
        shard: Option<&Shard>,
    ) -> Result<(Targets, Vec<u8>)> {
        let mut body = match old {
            Some(old) => old.body().clone(),
            None => metadata::targets()?,
        };
        let index = index_bytes(self.source, shard)?;
        body.targets.insert(role.index_path().unwrap_or_default(), metadata::target_file(&index)?);
        body.delegations = Some(self.delegations(body.delegations.as_ref(), shard)?);
        Ok((body, index))
    }

    fn add_index(&mut self, role: &RoleName, index: Vec<u8>) -> Result<()> {
        self.add_target(&role.index_path().unwrap_or_default(), &metadata::target_file(&index)?, index)
    }

    /// The roles of authors whose keys were revoked, for which the admins vouch. Entries that are no longer needed are
    /// kept until the role changes for another reason, because a change needs the admins' signatures.
    fn kept(&self, body: &Targets, admins: &Admins<'_>) -> Result<Kept> {
        let mut needed = BTreeMap::new();
        for (id, role) in &self.current.authors {
            if !admins.is_signed(id, role) {
                needed.insert(RoleName::Author(id.clone()).file(), role.pin()?);
            }
        }
        let kept = current::kept(body)?;
        let is_complete = needed.iter().all(|(file, pin)| kept.get(file) == Some(pin));
        if is_complete
            && self.current.targets.as_ref().is_some_and(|published| metadata::same(published.body(), body))
        {
            return Ok(Kept::Unchanged);
        }
        match needed.is_empty() {
            true => Ok(Kept::None),
            false => Ok(Kept::These(serde_json::to_value(&needed).map_err(metadata::publish)?)),
        }
    }

    /// One terminating role for each author, with one path for each name; in a shard, of its names only.
    fn delegations(&self, published: Option<&Delegations>, shard: Option<&Shard>) -> Result<Delegations> {
        let mut delegations = metadata::delegations()?;
        if let Some(published) = published {
            delegations.extra.clone_from(&published.extra);
        }
        for author in self.source.authors.values() {
            let paths: Vec<String> = author
                .plugins
                .iter()
                .filter(|name| shard.is_none_or(|shard| shard.has(name)))
                .map(|name| format!("plugins/{name}/*/*"))
                .collect();
            if paths.is_empty() {
                continue;
            }
            let holders = self.holders(author)?;
            delegations.keys.extend(metadata::by_id(&holders.keys)?);
            let name = author.id.role();
            let mut role = metadata::delegated_role(&name, &holders, paths)?;
            copy_extra(&mut role, published);
            delegations.roles.push(role);
        }
        Ok(delegations)
    }

    /// An author's keys: those in the reviewed text or, if it lists none, the given ones. Never the published ones,
    /// because then a key could not be revoked.
    fn holders(&self, author: &Author) -> Result<Holders> {
        let id = &author.id;
        let given = self.input.keys.and_then(|keys| keys.authors.get(id));
        let listed = author.keys.iter().map(|key| metadata::key(key)).collect::<Result<Vec<Key>>>()?;
        if listed.is_empty() {
            let none = || Error::Publish(format!("authors/{id}.toml lists no key, and none was given"));
            return given.cloned().ok_or_else(none);
        }
        if given.is_some_and(|given| given.keys.iter().any(|key| !listed.contains(key))) {
            return Err(Error::Publish(format!("the given key is not listed in authors/{id}.toml")));
        }
        Ok(Holders { keys: listed, threshold: author.threshold })
    }

    fn author(&mut self, id: &AuthorId, body: Option<Targets>, admins: &Admins<'_>) -> Result<()> {
        let role = RoleName::Author(id.clone());
        let Some(authority) = admins.authority(id) else {
            // Only possible if the targets role is not staged; then this author cannot publish.
            if self.wanted(&role) && body.is_some() {
                return Err(Error::Publish(format!("the published targets do not delegate to {role} yet")));
            }
            return Ok(());
        };
        let body = match body {
            Some(body) => body,
            None => metadata::targets()?,
        };
        let published = self.current.authors.get(id);
        let life = self.source.registry.expiry.author_days;
        self.put(role, body, published, &authority, life)?;
        Ok(())
    }
}

/// Whether more than half of a role's lifetime is left, so that it need not be signed again.
pub(super) fn is_fresh<T: Body>(body: &T, now: Timestamp, life: u16) -> bool {
    body.expires().duration_since(now) > days(life) / 2
}

fn nothing_published() -> Error {
    Error::Publish("nothing is published yet: stage root and targets first".into())
}

/// Whether two files have the same signed bytes, regardless of signatures.
pub(super) fn same_bytes<T: Body>(one: &Signed<T>, other: &Signed<T>) -> bool {
    one.metadata.signed_canonical() == other.metadata.signed_canonical()
}

fn signed_value<T: Body>(file: &Signed<T>) -> Result<Value> {
    let value: Value = serde_json::from_slice(&file.bytes).map_err(metadata::publish)?;
    Ok(value.get("signed").cloned().unwrap_or_default())
}

/// What targets says about the roles of authors whose keys were revoked.
enum Kept {
    Unchanged,
    None,
    These(Value),
}

/// The delegations to the roles of shards, with the keys of the targets role.
fn delegations_to(
    shards: &[Shard],
    admins: &Authority,
    published: Option<&Delegations>,
) -> Result<Delegations> {
    let mut delegations = metadata::delegations()?;
    if let Some(published) = published {
        delegations.extra.clone_from(&published.extra);
    }
    delegations.keys.clone_from(&admins.keys);
    for shard in shards {
        let mut role = metadata::delegated_to(&shard.prefix.role(), &admins.role, shard.paths())?;
        copy_extra(&mut role, published);
        delegations.roles.push(role);
    }
    Ok(delegations)
}

/// Keeps the additional fields of a published delegation.
fn copy_extra(role: &mut DelegatedRole, published: Option<&Delegations>) {
    let old = published.and_then(|published| published.roles.iter().find(|old| old.name == role.name));
    if let Some(old) = old {
        role.extra.clone_from(&old.extra);
    }
}

/// Whether an authority has exactly these keys and threshold.
pub(super) fn has_holders(authority: &Authority, holders: &Holders) -> Result<bool> {
    let theirs: BTreeSet<String> = metadata::by_id(&holders.keys)?.into_keys().collect();
    Ok(authority.role.threshold == holders.threshold && authority.keys.keys().eq(theirs.iter()))
}

fn blocked(source: &Source) -> Vec<Block> {
    source.plugins.values().flat_map(|plugin| plugin.blocked.clone()).collect()
}

/// The index of a shard. Without one, `index/plugins.json`: it has all names unless the registry is split.
fn index_bytes(source: &Source, shard: Option<&Shard>) -> Result<Vec<u8>> {
    let is_split = source.plugins.len() > split::MAX_UNSPLIT;
    let is_here = |name: &PluginName| shard.map_or(!is_split, |shard| shard.has(name));
    let entry = |plugin: &Plugin| Entry {
        owner: plugin.owner.clone(),
        summary: plugin.summary.clone(),
        homepage: plugin.homepage.clone(),
        ceiling: plugin.ceiling.clone(),
        yanked: plugin.yanked.clone(),
    };
    let index = Index {
        format: Format,
        registry: source.registry.name.clone(),
        plugins: source
            .plugins
            .iter()
            .filter(|(name, _)| is_here(name))
            .map(|(name, plugin)| (name.clone(), entry(plugin)))
            .collect(),
        blocked: if shard.is_none() { blocked(source) } else { Vec::new() },
        collections: if shard.is_none() { source.registry.collections.clone() } else { BTreeMap::new() },
    };
    match shard {
        Some(_) => metadata::compact(&index),
        None => metadata::pretty(&index),
    }
}
