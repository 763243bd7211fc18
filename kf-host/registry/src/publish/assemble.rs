//! Assemble: publishes the signed roles.
//!
//! The staging folder is not trusted, so everything in it is checked again: the signatures, that it is based on the
//! published state, and every new version. Then snapshot and timestamp are signed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use kf_core::{AuthorId, Digest, PluginName};
use kf_home::lock::try_lock;
use sigstore_tuf::metadata::{Root, Signature, Snapshot, TargetFile, Targets, Timestamp as TimestampRole};
use sigstore_tuf::{Error as TufError, TrustedMetadataSet, UpdaterConfig};

use super::admins::Admins;
use super::approval::{approvals, content};
use super::current::{Anchor, Current, TIMESTAMP, kept, same_pin};
use super::keys::{PublicKeys, SigningKey};
use super::metadata::{self, Authority, Body, Signed, canonical, compact_envelope, days, stamp, to_signed};
use super::release::{self, Details, Gate, Published, Release};
use super::role::RoleName;
use super::stage::is_fresh;
use super::staging::{Signers, Staging, max_length};
use crate::MAX_INDEX_BYTES;
use crate::catalogue::{self, Offer, Pin};
use crate::error::{Error, Result};
use crate::index::{Index, Listed};
use crate::parts::PartKind;
use crate::source::Expiry;
use crate::split::{self, Prefix, Shard};
use crate::trust::{chain, mark, releases};

/// How far ahead the clock of the machine that staged may have been.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(24);

/// The input of a publication.
pub struct AssembleInput<'a> {
    /// The folder with the signed roles. If absent, only snapshot and timestamp are renewed.
    pub staging: Option<&'a Path>,
    /// The folder of the published registry, to which new files are added.
    pub published: &'a Path,
    /// The first root as users have pinned it, for example `root/1.root.json` of the reviewed text.
    pub pinned_root: Option<&'a [u8]>,
    /// The keys that vouch for the first root if it is not pinned.
    pub keys: Option<&'a PublicKeys>,
    /// The keys of snapshot and timestamp, including the old ones during a key change.
    pub online: &'a [&'a SigningKey],
    /// How long signatures may be valid.
    pub expiry: Expiry,
    pub now: Timestamp,
    pub gate: &'a dyn Gate,
}

/// The result of a publication.
#[derive(Clone, Debug)]
pub struct Built {
    pub plugins: Vec<Published>,
    /// Every version in the author roles that have new signatures.
    pub signed: Vec<Published>,
    /// The first root, which users pin.
    pub root: PathBuf,
    pub root_sha256: Digest,
    /// The version of each role, by its file name without version.
    pub versions: BTreeMap<String, u64>,
}

/// Publishes what is staged and signed, with a new timestamp. See the [module](super) for the guarantees if it is
/// interrupted.
pub fn assemble(input: &AssembleInput<'_>) -> Result<Built> {
    Publication::prepare(input)?.write()
}

/// A version that would be published.
#[derive(Clone, Debug, PartialEq)]
pub struct NewVersion {
    pub version: Published,
    pub owner: AuthorId,
    pub details: Details,
    /// The newest published version that is neither yanked nor blocked.
    pub baseline: Option<Details>,
    /// What it may do that the baseline may not, in one line each. If there is any, it needs approvals.
    pub growth: Vec<String>,
}

/// What a staging folder would publish, checked like a publication.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The staged roles that are not published yet.
    pub roles: Vec<RoleName>,
    pub new: Vec<NewVersion>,
    /// The roles in which rights grow.
    pub grown: BTreeMap<RoleName, Grown>,
}

/// A role with a version that may do more than the one before it.
#[derive(Clone, Debug)]
pub struct Grown {
    /// Of the staged content, to [approve](super::approve()) it.
    pub sha256: Digest,
    /// Who has approved it.
    pub approvals: Signers,
}

/// Checks a staging folder as a publication does, without the online keys. It changes nothing.
///
/// # Errors
///
/// Something in the folder would be refused, except for missing approvals; a signature that is missing is one reason.
pub fn examine(input: &AssembleInput<'_>) -> Result<Examined> {
    with_next(input, |next, staging| {
        next.check_admins()?;
        let new = next.check(staging)?.new;
        Ok(Examined { roles: next.roles(), grown: next.grown(&new, staging)?, new })
    })
}

/// Reads what is published and staged, and passes on the next state, whose first root is trusted.
fn with_next<T>(
    input: &AssembleInput<'_>,
    then: impl FnOnce(&Next<'_>, Option<&Staging>) -> Result<T>,
) -> Result<T> {
    let anchor = Anchor { root: input.pinned_root, keys: input.keys };
    let current = Current::read(input.published, anchor)?;
    let staging = input.staging.map(Staging::open).transpose()?;
    let next = Next::new(input, &current, staging.as_ref())?;
    if let (None, Some(first)) = (current.root(), next.roots.first()) {
        anchor.vouch(first)?;
    }
    then(&next, staging.as_ref())
}

/// A publication that is checked and signed, but not written yet. While it exists, no other can be prepared.
#[derive(Debug)]
pub struct Publication {
    published: PathBuf,
    /// Paths below `published` and their bytes, in the order in which they must be written.
    files: Vec<(PathBuf, Vec<u8>)>,
    plugins: Vec<Published>,
    signed: Vec<Published>,
    root_sha256: Digest,
    versions: BTreeMap<String, u64>,
    _lock: fs_err::File,
}

impl Publication {
    /// Checks everything and signs snapshot and timestamp.
    pub fn prepare(input: &AssembleInput<'_>) -> Result<Self> {
        if input.staging.is_none() && !input.published.exists() {
            return Err(Error::NothingPublished(input.published.to_owned()));
        }
        let metadata_dir = input.published.join("metadata");
        fs_err::create_dir_all(&metadata_dir).map_err(|e| Error::writing(&metadata_dir, e))?;
        let lock = fs_err::File::open(&metadata_dir)?;
        if try_lock(lock.file()).is_err() {
            return Err(
                kf_home::Error::Busy { name: input.published.display().to_string(), pid: None }.into()
            );
        }
        with_next(input, |next, staging| {
            let Checked { index, new, signed, mut targets } = next.check(staging)?;
            next.require_approvals(&new, staging)?;
            let plugins = new.into_iter().map(|new| new.version).collect();
            let (pin, catalogue) = next.catalogue(index)?;
            if next.current.catalogue() != Some(pin) {
                targets.push((release::stored(catalogue::PATH, pin.sha256), catalogue));
            }
            let (snapshot, timestamp) = next.sign(pin)?;
            let files = next.files(targets, &snapshot, &timestamp)?;

            let mut versions: BTreeMap<String, u64> =
                snapshot.body().meta.iter().map(|(file, pin)| (file.clone(), pin.version)).collect();
            versions.insert(RoleName::Root.file(), next.root()?.version());
            versions.insert("snapshot.json".into(), snapshot.version());
            versions.insert(TIMESTAMP.into(), timestamp.version());
            let first = next.roots.first().map(|root| Digest::of(&root.bytes));
            Ok(Self {
                published: input.published.to_owned(),
                files,
                plugins,
                signed,
                root_sha256: first.ok_or_else(no_root)?,
                versions,
                _lock: lock,
            })
        })
    }

    /// The files to write below the published folder, in order.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_path(), bytes.as_slice()))
    }

    /// Publishes. Every file is written to a temporary file and renamed.
    pub fn write(self) -> Result<Built> {
        for (path, bytes) in &self.files {
            let path = self.published.join(path);
            if let Some(folder) = path.parent() {
                fs_err::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
            }
            kf_home::files::write_atomic(&path, bytes, false)?;
        }
        Ok(Built {
            plugins: self.plugins,
            signed: self.signed,
            root: self.published.join("metadata/1.root.json"),
            root_sha256: self.root_sha256,
            versions: self.versions,
        })
    }
}

/// The next state, before snapshot and timestamp.
struct Next<'a> {
    input: &'a AssembleInput<'a>,
    current: &'a Current,
    /// The published roots, and the staged one.
    roots: Vec<Signed<Root>>,
    targets: Signed<Targets>,
    /// The shards that `targets` delegates to.
    shards: BTreeMap<Prefix, Signed<Targets>>,
    /// The staged author roles.
    authors: BTreeMap<AuthorId, Signed<Targets>>,
    /// Whether `targets` is new.
    new_targets: bool,
    /// Those of `shards` that are new.
    new_shards: BTreeSet<Prefix>,
}

/// The checked versions and files.
struct Checked {
    /// Of all names.
    index: Index,
    new: Vec<NewVersion>,
    signed: Vec<Published>,
    targets: Files,
}

/// New files: the stored path below `targets/`, and the bytes.
type Files = Vec<(String, Vec<u8>)>;

impl<'a> Next<'a> {
    fn new(input: &'a AssembleInput<'a>, current: &'a Current, staging: Option<&Staging>) -> Result<Self> {
        let expiry = input.expiry;
        let incoming = Incoming { staging, now: input.now };
        let root = incoming.role(RoleName::Root, current.root(), expiry.root_days)?;
        let targets = incoming.role(RoleName::Targets, current.targets.as_ref(), expiry.targets_days)?;
        let (mut authors, mut staged_shards) = (BTreeMap::new(), BTreeMap::new());
        for role in staging.iter().flat_map(|staging| staging.roles()) {
            match role {
                RoleName::Root | RoleName::Targets => {}
                RoleName::Names(prefix) => {
                    let published = current.shards.get(prefix);
                    if let Some(file) = incoming.role(role.clone(), published, expiry.targets_days)? {
                        staged_shards.insert(prefix.clone(), file);
                    }
                }
                RoleName::Author(id) => {
                    let published = current.authors.get(id);
                    if let Some(file) = incoming.role(role.clone(), published, expiry.author_days)? {
                        authors.insert(id.clone(), file);
                    }
                }
            }
        }
        let mut roots = current.roots.clone();
        roots.extend(root);
        if roots.is_empty() {
            return Err(no_root());
        }
        let new_targets = targets.is_some();
        let targets = targets.or_else(|| current.targets.clone());
        let targets = targets.ok_or_else(|| Error::Publish("no targets role: stage it first".into()))?;
        let mut shards = BTreeMap::new();
        let new_shards = staged_shards.keys().cloned().collect();
        for Shard { prefix, .. } in split::shards(targets.body()) {
            let role = staged_shards.remove(&prefix).or_else(|| current.shards.get(&prefix).cloned());
            let role = role.ok_or_else(|| {
                refuse(RoleName::Names(prefix.clone()), "targets delegates to it, but it is not staged")
            })?;
            shards.insert(prefix, role);
        }
        if let Some(prefix) = staged_shards.into_keys().next() {
            return Err(refuse(RoleName::Names(prefix), "targets does not delegate to it"));
        }
        Ok(Self { input, current, roots, targets, shards, authors, new_targets, new_shards })
    }

    fn admins(&self) -> Admins<'_> {
        Admins::new(
            self.targets.body(),
            self.shards.iter().map(|(prefix, shard)| (prefix.role(), shard.body())),
        )
    }

    fn root(&self) -> Result<&Signed<Root>> {
        self.roots.last().ok_or_else(no_root)
    }

    /// The published root, if a new one replaces it.
    fn old_root(&self) -> Option<&Signed<Root>> {
        self.current.root().filter(|_| self.roots.len() > self.current.roots.len())
    }

    /// Checks the staged roles against the published state, and the new versions with the gate.
    fn check(&self, staging: Option<&Staging>) -> Result<Checked> {
        let mut targets = Vec::new();
        let index = self.index(staging, &mut targets)?;
        let mut checked = Checked { index: index.clone(), new: Vec::new(), signed: Vec::new(), targets };
        if let Some(published) = &self.current.index
            && published.registry != index.registry
        {
            return Err(refuse(RoleName::Targets, "its index belongs to another registry"));
        }
        if let Some(staging) = staging
            && *staging.registry() != index.registry
        {
            return Err(Error::Publish(format!(
                "the staging is for registry {}, not {}",
                staging.registry(),
                index.registry
            )));
        }
        // A new root may revoke keys to which the shards are still delegated.
        let has_new_keys = self.old_root().is_some() && !self.shards.is_empty();
        if self.new_targets || !self.new_shards.is_empty() || has_new_keys {
            self.check_targets(&index)?;
        }
        for (id, role) in &self.authors {
            self.check_author(id, role, &index, staging, &mut checked)?;
        }
        Ok(checked)
    }

    /// The index of the registry, with those of all shards.
    fn index(&self, staging: Option<&Staging>, files: &mut Files) -> Result<Index> {
        let bytes = self.index_of(RoleName::Targets, &self.targets, self.new_targets, staging, files)?;
        let mut all = Index::parse(&bytes)?;
        if !self.shards.is_empty() && !all.plugins.is_empty() {
            return Err(refuse(RoleName::Targets, "its index has names that belong into shards"));
        }
        for shard in split::shards(self.targets.body()) {
            let role = RoleName::Names(shard.prefix.clone());
            let file = self.shards.get(&shard.prefix).ok_or_else(|| refuse(role.clone(), "it is missing"))?;
            let is_new = self.new_shards.contains(&shard.prefix);
            let bytes = self.index_of(role, file, is_new, staging, files)?;
            all.plugins.extend(Index::parse_shard(&shard, &all.registry, &bytes)?.plugins);
        }
        Ok(all)
    }

    fn index_of(
        &self,
        role: RoleName,
        file: &Signed<Targets>,
        is_new: bool,
        staging: Option<&Staging>,
        files: &mut Files,
    ) -> Result<Vec<u8>> {
        let none = || refuse(role.clone(), "it signs no index");
        let path = role.index_path().ok_or_else(none)?;
        let entry = file.body().target(&path).ok_or_else(none)?;
        match staging.filter(|_| is_new) {
            Some(staging) => take(files, staging, &path, entry, MAX_INDEX_BYTES),
            None => self.current.read_target(&path, entry),
        }
    }

    /// Checks the roles of the admins: their indexes, and delegations that match the owners exactly.
    fn check_targets(&self, index: &Index) -> Result<()> {
        let published = self.current.targets.as_ref();
        check_others(&RoleName::Targets, self.targets.body(), published)?;
        let owners = match self.shards.is_empty() {
            true => self.owners(&RoleName::Targets, self.targets.body(), None)?,
            false => self.check_shards()?,
        };
        self.check_kept()?;
        let named: BTreeMap<String, AuthorId> =
            index.plugins.iter().map(|(name, entry)| (name.to_string(), entry.owner.clone())).collect();
        if owners != named {
            return Err(refuse(RoleName::Targets, "its delegations do not match the owners in the index"));
        }
        self.check_same_keys(index)
    }

    /// Checks the shards, and returns the owners of all names.
    fn check_shards(&self) -> Result<BTreeMap<String, AuthorId>> {
        let refuse_targets = |reason: &str| refuse(RoleName::Targets, reason);
        let body = self.targets.body();
        let all: Vec<Shard> = split::shards(body).collect();
        let delegations = body.delegations.iter().flat_map(|delegations| &delegations.roles);
        if delegations.clone().count() != all.len() {
            return Err(refuse_targets("it delegates to a role that is neither an author's nor a shard's"));
        }
        let admins = Authority::in_root(self.root()?.body(), "targets")?;
        for (at, shard) in all.iter().enumerate() {
            if all.iter().skip(at + 1).any(|other| shard.overlaps(other)) {
                return Err(refuse_targets(&format!("{} overlaps another shard", shard.prefix.role())));
            }
        }
        for role in delegations {
            let authority = Authority::in_targets(body, &role.name);
            let authority = authority.ok_or_else(|| refuse_targets("a delegation has no keys"))?;
            authority.check(&role.name)?;
            if !role.terminating {
                return Err(refuse_targets("a delegation must be terminating, and by path"));
            }
            if !authority.is_same(&admins) {
                let reason = format!("{} must have the keys and the threshold of targets", role.name);
                return Err(refuse_targets(&reason));
            }
        }
        let mut owners = BTreeMap::new();
        for shard in &all {
            let role = RoleName::Names(shard.prefix.clone());
            let file = self.shards.get(&shard.prefix).ok_or_else(|| refuse(role.clone(), "it is missing"))?;
            self.check_shard(&role, file)?;
            check_others(&role, file.body(), self.current.shards.get(&shard.prefix))?;
            owners.extend(self.owners(&role, file.body(), Some(shard))?);
        }
        Ok(owners)
    }

    /// Checks the signatures and the age of a shard's role.
    fn check_shard(&self, role: &RoleName, file: &Signed<Targets>) -> Result<()> {
        let name = role.to_string();
        let authority = Authority::in_targets(self.targets.body(), &name);
        authority
            .ok_or_else(|| refuse(role.clone(), "targets does not delegate to it"))?
            .verify(&file.metadata, &name)
            .map_err(|e| refuse(role.clone(), &chain(&e)))?;
        match file.body().expires < self.input.now {
            true => Err(refuse(role.clone(), &format!("it expired at {}", file.body().expires))),
            false => Ok(()),
        }
    }

    /// The owners of names to whom a role delegates.
    fn owners(
        &self,
        role: &RoleName,
        body: &Targets,
        shard: Option<&Shard>,
    ) -> Result<BTreeMap<String, AuthorId>> {
        let refuse = |reason: &str| refuse(role.clone(), reason);
        let delegations = body.delegations.as_ref().ok_or_else(|| refuse("it delegates nothing"))?;
        let mut owners = BTreeMap::new();
        for delegated in &delegations.roles {
            let Ok(RoleName::Author(id)) = delegated.name.parse() else {
                return Err(refuse("it delegates to a role that is not an author's"));
            };
            let authority = Authority::in_targets(body, &delegated.name);
            authority.ok_or_else(|| refuse("a delegation has no keys"))?.check(&delegated.name)?;
            if !delegated.terminating || delegated.path_hash_prefixes.is_some() {
                return Err(refuse("a delegation must be terminating, and by path"));
            }
            for path in delegated.paths.iter().flatten() {
                let name = path.strip_prefix("plugins/").and_then(|rest| rest.strip_suffix("/*/*"));
                let name = name.ok_or_else(|| refuse("it delegates a path other than plugins/NAME/*/*"))?;
                if shard.is_some_and(|shard| !PluginName::parse(name).is_ok_and(|name| shard.has(&name))) {
                    return Err(refuse(&format!("it delegates {name}, which belongs into another shard")));
                }
                if owners.insert(name.to_owned(), id.clone()).is_some() {
                    return Err(refuse(&format!("it delegates {name} twice")));
                }
            }
        }
        Ok(owners)
    }

    /// Checks that all shards delegate to an author with the same keys.
    fn check_same_keys(&self, index: &Index) -> Result<()> {
        let admins = self.admins();
        let authors: BTreeSet<&AuthorId> = index.plugins.values().map(|entry| &entry.owner).collect();
        for author in authors {
            let mut delegators = admins.delegators(author);
            let Some((_, first)) = delegators.next() else { continue };
            if let Some((other, _)) = delegators.find(|(_, authority)| !authority.is_same(&first)) {
                let reason = format!("{other} delegates to {} with other keys", author.role());
                return Err(refuse(RoleName::Targets, &reason));
            }
        }
        Ok(())
    }

    /// Checks that exactly the roles of authors with revoked keys are kept, as they are published.
    fn check_kept(&self) -> Result<()> {
        let body = self.targets.body();
        let mut kept = kept(body)?;
        let admins = self.admins();
        for (id, role) in &self.current.authors {
            let file = RoleName::Author(id.clone()).file();
            let is_kept = kept.remove(&file).is_some_and(|pin| same_pin(&pin, role));
            if !is_kept && !admins.is_signed(id, role) {
                let reason = format!("it revokes the keys of {} without keeping what they signed", id.role());
                return Err(refuse(RoleName::Targets, &reason));
            }
        }
        match kept.keys().next() {
            Some(file) => Err(refuse(RoleName::Targets, &format!("it keeps {file}, which is not published"))),
            None => Ok(()),
        }
    }

    /// Checks an author's role: all published targets, and complete new versions of the author's own commands.
    fn check_author(
        &self,
        id: &AuthorId,
        role: &Signed<Targets>,
        index: &Index,
        staging: Option<&Staging>,
        checked: &mut Checked,
    ) -> Result<()> {
        let refuse = |reason: &str| refuse(RoleName::Author(id.clone()), reason);
        let body = role.body();
        let authority = self.admins().authority(id);
        authority
            .ok_or_else(|| refuse("targets does not delegate to it"))?
            .verify(&role.metadata, &id.role())
            .map_err(|e| refuse(&chain(&e)))?;
        if body.expires < self.input.now {
            return Err(refuse(&format!("it expired at {}", body.expires)));
        }
        if body.delegations.is_some() {
            return Err(refuse("an author must not delegate"));
        }
        let none = BTreeMap::new();
        let published = self.current.authors.get(id).map_or(&none, |role| &role.body().targets);
        if let Some((path, _)) = published.iter().find(|(path, entry)| body.target(path) != Some(entry)) {
            return Err(refuse(&format!("it changes {path}, which is published")));
        }
        checked.signed.extend(release::versions(&body.targets, published));
        let staging = staging.ok_or_else(|| refuse("it is not staged"))?;
        for (name, version) in release::added(&body.targets, published)? {
            let path = |kind: PartKind| kind.path(&name, &version);
            let entry = index.plugins.get(&name).filter(|entry| entry.owner == *id);
            let entry = entry.ok_or_else(|| refuse(&format!("{id} does not own {name}")))?;
            let mut parts = BTreeMap::new();
            for part in release::PARTS {
                let target = body.target(&path(part)).ok_or_else(|| refuse("a file is missing"))?;
                let bytes = take(&mut checked.targets, staging, &path(part), target, part.max_bytes())?;
                parts.insert(part, bytes);
            }
            let mut part = |kind: PartKind| parts.remove(&kind).unwrap_or_default();
            let release =
                Release::new(part(PartKind::Component), part(PartKind::Manifest), part(PartKind::Commands))?;
            let plugin = &release.manifest().plugin;
            if (&plugin.name, &plugin.version) != (&name, &version) {
                return Err(refuse(&format!(
                    "{} describes {} {}",
                    path(PartKind::Manifest),
                    plugin.name,
                    plugin.version
                )));
            }
            let previous = self.current.newest(&name);
            let old_target = |kind: PartKind| self.current.target(&path(kind));
            if old_target(PartKind::Component).is_some() {
                for part in release::PARTS {
                    let same = body.target(&path(part)).zip(old_target(part));
                    if !same.is_some_and(|(new, old)| release::same_bytes(new, old)) {
                        return Err(release
                            .refuse(format!("it is already published with another {}", part.file_name())));
                    }
                }
            } else if let Some(previous) = previous.as_ref().filter(|previous| **previous >= version) {
                return Err(
                    release.refuse(format!("{previous} is already published: a new version must be higher"))
                );
            }
            let moved = old_target(PartKind::Component).is_some();
            if !moved {
                release.check_blocked(&index.blocked)?;
            }
            let baseline = self.current.baseline(&name, &entry.yanked, &index.blocked)?;
            let growth =
                release.check(self.input.gate, &entry.ceiling, previous.as_ref(), baseline.as_ref())?;
            checked.new.push(NewVersion {
                version: release.published(true),
                owner: id.clone(),
                details: release.details(),
                baseline,
                // Another owner publishes the same files again.
                growth: if moved { Vec::new() } else { growth },
            });
            let signed = match old_target(PartKind::Component) {
                Some(old) => release::signed(old),
                None => body.target(&path(PartKind::Component)).and_then(release::signed),
            };
            if signed
                .is_some_and(|signed| signed > self.input.now.saturating_add(CLOCK_SLACK).unwrap_or(signed))
            {
                return Err(refuse("a version is dated in the future"));
            }
            for (path, entry, _) in release.targets(signed)? {
                if body.target(&path) != Some(&entry) {
                    return Err(refuse(&format!("the entry for {path} does not match the file")));
                }
            }
        }
        Ok(())
    }

    /// The staged roles that are new.
    fn roles(&self) -> Vec<RoleName> {
        let root = self.roots.len() > self.current.roots.len();
        let top = [(root, RoleName::Root), (self.new_targets, RoleName::Targets)];
        let top = top.into_iter().filter_map(|(new, role)| new.then_some(role));
        let shards = self.new_shards.iter().cloned().map(RoleName::Names);
        top.chain(shards).chain(self.authors.keys().cloned().map(RoleName::Author)).collect()
    }

    /// Checks the signatures of root, targets and shards.
    fn check_admins(&self) -> Result<()> {
        let root = self.root()?;
        if let Some(old) = self.old_root() {
            Authority::in_root(old.body(), "root")?.verify(&root.metadata, "root").map_err(publish_tuf)?;
        }
        Authority::in_root(root.body(), "root")?.verify(&root.metadata, "root").map_err(publish_tuf)?;
        let authority = Authority::in_root(root.body(), "targets")?;
        authority.verify(&self.targets.metadata, "targets").map_err(publish_tuf)?;
        self.shards
            .iter()
            .try_for_each(|(prefix, file)| self.check_shard(&RoleName::Names(prefix.clone()), file))
    }

    /// The roles in which rights grow.
    fn grown(&self, new: &[NewVersion], staging: Option<&Staging>) -> Result<BTreeMap<RoleName, Grown>> {
        let admins = Authority::in_root(self.root()?.body(), "targets")?;
        let grown = new.iter().filter(|new| !new.growth.is_empty());
        let roles: BTreeSet<RoleName> = grown.map(|new| RoleName::Author(new.owner.clone())).collect();
        let Some(staging) = staging else { return Ok(BTreeMap::new()) };
        let grown = roles.into_iter().map(|role| {
            let approvals = approvals(staging, &role, &admins)?;
            let sha256 = content(staging, &role)?;
            Ok((role, Grown { sha256, approvals }))
        });
        grown.collect()
    }

    /// Refuses a version whose rights grow without the approval of the admins.
    fn require_approvals(&self, new: &[NewVersion], staging: Option<&Staging>) -> Result<()> {
        let grown = self.grown(new, staging)?;
        for version in new.iter().filter(|new| !new.growth.is_empty()) {
            let role = RoleName::Author(version.owner.clone());
            if !grown.get(&role).is_some_and(|grown| grown.approvals.enough()) {
                let Published { name, version: number, .. } = version.version.clone();
                let baseline = version.baseline.as_ref().map(|old| old.manifest.plugin.version.to_string());
                return Err(Error::Unapproved {
                    name,
                    version: number,
                    baseline: baseline.unwrap_or_else(|| "the versions before it".into()),
                    growth: in_brief(&version.growth),
                });
            }
        }
        Ok(())
    }

    /// The catalogue of the next state.
    fn catalogue(&self, index: Index) -> Result<(Pin, Vec<u8>)> {
        let mut offers = BTreeMap::new();
        for (name, entry) in index.plugins {
            let role = self.authors.get(&entry.owner).or_else(|| self.current.authors.get(&entry.owner));
            let mut listed = Listed { entry, keyids: Vec::new(), releases: BTreeMap::new(), problem: None };
            if let Some(role) = role {
                listed.releases = releases(&name, role.body());
            }
            for release in listed.releases.values_mut() {
                mark(release, &listed.entry, &index.blocked);
            }
            let offer = Offer::new(&listed.entry, listed.newest());
            offers.insert(name, offer);
        }
        let commands = offers.len();
        let bytes = catalogue::to_bytes(&index.registry, offers).map_err(metadata::publish)?;
        Ok((Pin { commands, length: bytes.len() as u64, sha256: Digest::of(&bytes) }, bytes))
    }

    /// Signs timestamp, and snapshot if it has to change.
    fn sign(&self, catalogue: Pin) -> Result<(Signed<Snapshot>, Signed<TimestampRole>)> {
        self.check_online_keys()?;
        let expiry = self.input.expiry;
        let published = self.current.snapshot.as_ref();
        let mut snapshot = match published {
            Some(published) => published.body().clone(),
            None => metadata::snapshot()?,
        };
        snapshot.meta.insert(RoleName::Targets.file(), self.targets.pin()?);
        for (prefix, role) in &self.shards {
            snapshot.meta.insert(RoleName::Names(prefix.clone()).file(), role.pin()?);
        }
        for (id, role) in &self.authors {
            snapshot.meta.insert(RoleName::Author(id.clone()).file(), role.pin()?);
        }
        let catalogue = serde_json::to_value(catalogue).map_err(metadata::publish)?;
        snapshot.extra.insert(catalogue::FIELD.into(), catalogue);
        let authority = Authority::in_root(self.root()?.body(), "snapshot")?;
        let up_to_date = published.filter(|published| {
            metadata::same(published.body(), &snapshot)
                && is_fresh(published.body(), self.input.now, expiry.snapshot_days)
                && authority.verify(&published.metadata, "snapshot").is_ok()
        });
        let snapshot = match up_to_date {
            Some(published) => published.clone(),
            None => self.sign_online("snapshot", snapshot, published, expiry.snapshot_days)?,
        };

        let published = self.current.timestamp.as_ref();
        let mut timestamp = match published {
            Some(published) => published.body().clone(),
            None => metadata::timestamp()?,
        };
        timestamp.meta.insert("snapshot.json".into(), snapshot.pin()?);
        // Always signed again: its age shows clients that the registry is maintained.
        let timestamp = self.sign_online("timestamp", timestamp, published, expiry.timestamp_days)?;
        Ok((snapshot, timestamp))
    }

    /// The authorities for `role` in the published root and in the new one.
    fn online_authorities(&self, role: &str) -> Result<Vec<Authority>> {
        let roots = self.old_root().into_iter().chain([self.root()?]);
        roots.map(|root| Authority::in_root(root.body(), role)).collect()
    }

    /// Refuses a key that is not an online key.
    fn check_online_keys(&self) -> Result<()> {
        let mut authorities = self.online_authorities("snapshot")?;
        authorities.extend(self.online_authorities("timestamp")?);
        let unknown =
            self.input.online.iter().find(|key| authorities.iter().all(|a| a.id_of(key.public()).is_none()));
        match unknown {
            Some(key) => {
                Err(Error::Publish(format!("key {} is neither a snapshot nor a timestamp key", key.id())))
            }
            None => Ok(()),
        }
    }

    fn sign_online<T: Body>(
        &self,
        role: &str,
        mut body: T,
        published: Option<&Signed<T>>,
        life: u16,
    ) -> Result<Signed<T>> {
        let authorities = self.online_authorities(role)?;
        let version = published.map_or(1, |published| published.version() + 1);
        stamp(&mut body, version, self.input.now, days(life))?;
        let signed = to_signed(&body)?;
        let bytes = canonical(&signed)?;
        let mut signatures: BTreeMap<&str, Signature> = BTreeMap::new();
        for key in self.input.online {
            if let Some(id) = authorities.iter().find_map(|authority| authority.id_of(key.public())) {
                signatures.insert(id, metadata::signature(id, &key.sign(&bytes))?);
            }
        }
        let signatures: Vec<Signature> = signatures.into_values().collect();
        let file = Signed::parse(role, compact_envelope(&signed, &signatures)?)?;
        let authority = Authority::in_root(self.root()?.body(), role)?;
        authority.verify(&file.metadata, role).map_err(|e| Error::Publish(chain(&e)))?;
        Ok(file)
    }

    /// All files in the order in which they must be written, checked as by a client.
    fn files(
        &self,
        targets: Files,
        snapshot: &Signed<Snapshot>,
        timestamp: &Signed<TimestampRole>,
    ) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let new = State { timestamp, snapshot, targets: &self.targets };
        new.check_sizes()?;
        let now = self.input.now;
        new.accept(&self.roots, now).map_err(|e| Error::Publish(chain(&e)))?;

        let targets = targets.into_iter().map(|(path, bytes)| (Path::new("targets").join(path), bytes));
        let mut files: Vec<(PathBuf, Vec<u8>)> = targets.collect();
        let metadata = Path::new("metadata");
        let mut add = |version: u64, file: &str, bytes: &Vec<u8>| {
            files.push((metadata.join(format!("{version}.{file}")), bytes.clone()));
        };
        for (id, role) in &self.authors {
            add(role.version(), &RoleName::Author(id.clone()).file(), &role.bytes);
        }
        for (prefix, role) in &self.shards {
            if self.new_shards.contains(prefix) {
                add(role.version(), &RoleName::Names(prefix.clone()).file(), &role.bytes);
            }
        }
        if self.new_targets {
            add(self.targets.version(), &RoleName::Targets.file(), &self.targets.bytes);
        }
        if self.current.snapshot.as_ref().is_none_or(|published| published.bytes != snapshot.bytes) {
            add(snapshot.version(), "snapshot.json", &snapshot.bytes);
        }
        let mut visible = vec![(metadata.join(TIMESTAMP), timestamp.bytes.clone())];
        if self.roots.len() > self.current.roots.len() {
            let root = self.root()?;
            let file = (metadata.join(format!("{}.root.json", root.version())), root.bytes.clone());
            let at = if self.root_comes_first(&new)? { 0 } else { 1 };
            visible.insert(at, file);
        }
        files.extend(visible);
        Ok(files)
    }

    /// Whether a new root is written before the timestamp, or after it.
    ///
    /// A client sees a root as soon as it exists, and everything else with the timestamp. In between, the state that it
    /// sees must be valid as well: the published state under the new root, or the new state under the published root.
    fn root_comes_first(&self, new: &State<'_>) -> Result<bool> {
        let Current { timestamp: Some(timestamp), snapshot: Some(snapshot), targets: Some(targets), .. } =
            self.current
        else {
            return Ok(true);
        };
        let old = State { timestamp, snapshot, targets };
        // An expired state was not usable before either.
        if old.accept(&self.roots, Timestamp::MIN).is_ok() {
            return Ok(true);
        }
        if new.accept(&self.current.roots, self.input.now).is_ok() {
            return Ok(false);
        }
        Err(refuse(
            RoleName::Root,
            "it removes keys that the published metadata still needs; keep them in this root and remove them in the \
             next one, or sign with both the old and the new keys",
        ))
    }
}

/// Adds a staged file to those to publish and returns its bytes.
fn take(files: &mut Files, staging: &Staging, path: &str, entry: &TargetFile, max: u64) -> Result<Vec<u8>> {
    let sha256 = metadata::sha256(&entry.hashes);
    let bytes = staging.target(path, entry.length, sha256, max)?;
    let sha256 = sha256.ok_or_else(|| Error::Publish(format!("{path} has no sha256")))?;
    files.push((release::stored(path, sha256), bytes.clone()));
    Ok(bytes)
}

/// Refuses a role that changes a target other than its index.
fn check_others(role: &RoleName, body: &Targets, published: Option<&Signed<Targets>>) -> Result<()> {
    let index = role.index_path();
    let others = |targets: &Targets| -> BTreeMap<String, TargetFile> {
        let others = targets.targets.iter().filter(|(path, _)| Some(*path) != index.as_ref());
        others.map(|(path, target)| (path.clone(), target.clone())).collect()
    };
    if published.map_or_else(BTreeMap::new, |published| others(published.body())) != others(body) {
        return Err(refuse(role.clone(), "it changes a target other than the index"));
    }
    Ok(())
}

/// The roles of a staging folder.
struct Incoming<'a> {
    staging: Option<&'a Staging>,
    now: Timestamp,
}

impl Incoming<'_> {
    /// The staged file of `role`, which must be based on `published`; `None` if there is none or it is already published.
    fn role<T: Body>(
        &self,
        role: RoleName,
        published: Option<&Signed<T>>,
        life: u16,
    ) -> Result<Option<Signed<T>>> {
        let Some(staging) = self.staging.filter(|staging| staging.has(&role)) else { return Ok(None) };
        let bytes = canonical(staging.signed(&role)?)?;
        // An earlier attempt may have published it already.
        if published.is_some_and(|published| published.metadata.signed_canonical() == bytes) {
            return Ok(None);
        }
        let expected = published.map_or(1, |published| published.version() + 1);
        let file: Signed<T> = staging.role(&role)?;
        if file.version() != expected || staging.base_of(&role)?.as_ref() != published.map(|file| &file.bytes)
        {
            return Err(refuse(role, "it was staged against an older published state; stage it again"));
        }
        let limit = self.now.checked_add(days(life) + CLOCK_SLACK).map_err(metadata::publish)?;
        if file.body().expires() > limit {
            return Err(refuse(role, &format!("it expires more than {life} days from now")));
        }
        if file.bytes.len() as u64 > max_length(&role) {
            return Err(refuse(role, "it is larger than clients accept"));
        }
        Ok(Some(file))
    }
}

/// The roles below the root that a client loads.
struct State<'a> {
    timestamp: &'a Signed<TimestampRole>,
    snapshot: &'a Signed<Snapshot>,
    targets: &'a Signed<Targets>,
}

impl State<'_> {
    /// Verifies it as a client does, starting from the first root.
    fn accept(&self, roots: &[Signed<Root>], now: Timestamp) -> Result<(), TufError> {
        let (first, later) = roots.split_first().ok_or(TufError::NotRefreshed)?;
        let mut trusted = TrustedMetadataSet::from_root(&first.bytes)?;
        for root in later {
            trusted.update_root(&root.bytes)?;
        }
        trusted.check_root_expired(now)?;
        trusted.update_timestamp(&self.timestamp.bytes, now)?;
        trusted.update_snapshot(&self.snapshot.bytes, now)?;
        trusted.update_targets(&self.targets.bytes, now)?;
        Ok(())
    }

    fn check_sizes(&self) -> Result<()> {
        let limits = UpdaterConfig::default();
        for (file, bytes, max) in [
            (TIMESTAMP, &self.timestamp.bytes, limits.timestamp_max_length),
            ("snapshot.json", &self.snapshot.bytes, limits.snapshot_max_length),
        ] {
            if bytes.len() as u64 > max {
                return Err(Error::Publish(format!(
                    "{file} is larger than the {max} bytes that clients accept"
                )));
            }
        }
        Ok(())
    }
}

/// The first of many lines, as part of an error.
fn in_brief(lines: &[String]) -> String {
    const MAX_LINES: usize = 6;
    let more = lines.len().saturating_sub(MAX_LINES);
    let mut brief = lines.iter().take(MAX_LINES).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 {
        brief.push_str(&format!("; and {more} more"));
    }
    brief
}

fn publish_tuf(error: TufError) -> Error {
    Error::Publish(chain(&error))
}

fn refuse(role: RoleName, reason: &str) -> Error {
    Error::Publish(format!("cannot publish role {role}: {reason}"))
}

fn no_root() -> Error {
    Error::Publish("no root: stage one first".into())
}
