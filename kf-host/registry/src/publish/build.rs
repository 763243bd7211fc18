//! One build: read, gate, sign, write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kf_core::Permissions;
use kf_core::format::Format;
use kf_core::manifest::{self, Manifest};
use kf_core::{AuthorId, Digest, PluginName};
use kf_home::files;
use kf_home::lock::try_lock;
use semver::Version;
use serde_json::{Value, json};

use super::before::{AuthorRole, Before};
use super::keys::KeyRing;
use super::metadata::{self, Role};
use crate::error::{Error, Result};
use crate::index::{self, Entry, Index};
use crate::source::{Expiry, Plugin, Source};
use crate::{MAX_COMMANDS, MAX_WASM};

/// What a build works on.
pub struct BuildInput<'a> {
    /// The reviewed text, `registry-index/`.
    pub source: &'a Path,
    /// One folder for each command that has something to publish, named like it, with `plugin.wasm`, `plugin.toml` and
    /// `command.json`.
    pub artifacts: &'a Path,
    /// Where the registry is published. What is there already is added to.
    pub published: &'a Path,
    pub keys: &'a KeyRing,
    pub now: Timestamp,
    pub gate: &'a dyn Gate,
}

/// A new version, as the gate sees it.
#[derive(Debug)]
pub struct Submission<'a> {
    pub manifest: &'a Manifest,
    /// The most the command may ask for.
    pub ceiling: &'a Permissions,
    pub wasm: &'a [u8],
    /// `command.json`: JSON with `"format": 1`; what is in it is the gate's to judge.
    pub commands: &'a Value,
    /// The newest version published so far.
    pub previous: Option<&'a Version>,
}

/// Decides whether a new version may be published.
///
/// Ownership, version order and immutability are checked before. Left to the gate is what this crate does not
/// understand: the ABI, the component, and whether the rights asked for are within the ceiling.
pub trait Gate {
    /// `Err` says why not, in one line.
    fn check(&self, submission: &Submission<'_>) -> Result<(), String>;
}

impl<F: Fn(&Submission<'_>) -> Result<(), String>> Gate for F {
    fn check(&self, submission: &Submission<'_>) -> Result<(), String> {
        self(submission)
    }
}

/// One version that a build looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub name: PluginName,
    pub version: Version,
    /// Of the component.
    pub sha256: Digest,
    /// Whether this build added it; otherwise it was there already, with the same bytes.
    pub new: bool,
}

/// What a build did.
#[derive(Clone, Debug)]
pub struct Built {
    pub plugins: Vec<Published>,
    /// The first root, which users pin.
    pub root: PathBuf,
    pub root_sha256: Digest,
    /// The version of each role, by file name without version.
    pub versions: BTreeMap<String, u64>,
}

/// Builds or extends a published registry. See the [module](super) for what holds when it fails halfway.
pub fn build(input: &BuildInput<'_>) -> Result<Built> {
    let source = Source::read(input.source)?;
    let metadata_dir = input.published.join("metadata");
    fs_err::create_dir_all(&metadata_dir).map_err(|e| Error::writing(&metadata_dir, e))?;
    let lock = fs_err::File::open(&metadata_dir)?;
    if try_lock(lock.file()).is_err() {
        return Err(kf_home::Error::Busy { name: input.published.display().to_string(), pid: None }.into());
    }
    let before = Before::read(&metadata_dir)?;
    let expiry = source.registry.expiry;
    let mut output = Output { published: input.published, files: Vec::new() };

    let mut authors = before.authors(&source)?;
    let plugins = admit(input, &source, &mut authors, &mut output)?;

    let index = output.add_target(index::PATH, &index_bytes(&source)?, None);
    let roles = sign_roles(input, &source, &before, authors, index, expiry)?;
    output.write(&roles)?;

    let first_root = metadata_dir.join("1.root.json");
    let root_sha256 = Digest::of(&fs_err::read(&first_root)?);
    Ok(Built {
        plugins,
        root: first_root,
        root_sha256,
        versions: roles.into_iter().map(|role| (role.file, role.version)).collect(),
    })
}

/// Puts every built command before the gate and adds the new ones to their author's role.
fn admit(
    input: &BuildInput<'_>,
    source: &Source,
    authors: &mut BTreeMap<AuthorId, AuthorRole>,
    output: &mut Output<'_>,
) -> Result<Vec<Published>> {
    let mut folders: Vec<_> = fs_err::read_dir(input.artifacts)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
        .iter()
        .map(|folder| {
            let name = folder.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let name = PluginName::parse(name)?;
            let plugin = source.plugins.get(&name).ok_or_else(|| {
                Error::Publish(format!("{name} was built, but plugins/{name}.toml does not exist"))
            })?;
            let role = authors
                .get_mut(&plugin.owner)
                .ok_or_else(|| Error::Publish(format!("{name} has no owner who can sign")))?;
            admit_one(input.gate, folder, plugin, role, output)
        })
        .collect()
}

fn admit_one(
    gate: &dyn Gate,
    folder: &Path,
    plugin: &Plugin,
    role: &mut AuthorRole,
    output: &mut Output<'_>,
) -> Result<Published> {
    let wasm = read_part(folder, "plugin.wasm", MAX_WASM)?;
    let toml = read_part(folder, "plugin.toml", manifest::MAX_BYTES)?;
    let json = read_part(folder, "command.json", MAX_COMMANDS)?;
    let manifest = Manifest::from_bytes(&toml)?;
    let (name, version) = (&manifest.plugin.name, &manifest.plugin.version);
    let refuse = |reason: String| Error::Gate { name: name.clone(), version: version.clone(), reason };
    if *name != plugin.name {
        return Err(refuse(format!("the folder {} is another command's", folder.display())));
    }
    let base = format!("plugins/{name}/{version}");
    let parts = [("plugin.wasm", &wasm), ("plugin.toml", &toml), ("command.json", &json)];
    let sha256 = Digest::of(&wasm);

    let there = role.targets.contains_key(&format!("{base}/plugin.wasm"));
    if there {
        for (part, bytes) in parts {
            let old = role.targets.get(&format!("{base}/{part}")).and_then(|t| t.pointer("/hashes/sha256"));
            if old.and_then(Value::as_str) != Some(Digest::of(bytes).to_string().as_str()) {
                return Err(refuse(format!(
                    "it is published already with another {part}; a version never changes, raise the version"
                )));
            }
        }
        return Ok(Published { name: name.clone(), version: version.clone(), sha256, new: false });
    }
    let previous = role.versions(name).max();
    if let Some(previous) = previous.as_ref().filter(|previous| *previous >= version) {
        return Err(refuse(format!("{previous} is published already; a new version must be higher")));
    }
    let commands: Value =
        serde_json::from_slice(&json).map_err(|e| Error::invalid(format!("command.json of {name}"), e))?;
    if commands.get("format").and_then(Value::as_u64) != Some(1) {
        return Err(refuse("command.json does not say \"format\": 1".into()));
    }
    let submission = Submission {
        manifest: &manifest,
        ceiling: &plugin.ceiling,
        wasm: &wasm,
        commands: &commands,
        previous: previous.as_ref(),
    };
    gate.check(&submission).map_err(refuse)?;
    for (part, bytes) in parts {
        let custom = (part == "plugin.wasm").then(|| json!({ "abi": manifest.plugin.abi }));
        let path = format!("{base}/{part}");
        let target = output.add_target(&path, bytes, custom);
        role.targets.insert(path, target);
    }
    Ok(Published { name: name.clone(), version: version.clone(), sha256, new: true })
}

fn read_part(folder: &Path, part: &str, max: u64) -> Result<Vec<u8>> {
    let path = folder.join(part);
    files::read_own(&path, max)?.ok_or_else(|| Error::Publish(format!("{} is missing", path.display())))
}

fn index_bytes(source: &Source) -> Result<Vec<u8>> {
    let index = Index {
        format: Format,
        registry: source.registry.name.clone(),
        plugins: source
            .plugins
            .values()
            .map(|plugin| {
                let entry = Entry {
                    owner: plugin.owner.clone(),
                    summary: plugin.summary.clone(),
                    homepage: plugin.homepage.clone(),
                    ceiling: plugin.ceiling.clone(),
                    yanked: plugin.yanked.clone(),
                };
                (plugin.name.clone(), entry)
            })
            .collect(),
        blocked: source.plugins.values().flat_map(|plugin| plugin.blocked.clone()).collect(),
    };
    let mut bytes = serde_json::to_vec_pretty(&index).map_err(|e| Error::Publish(e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Signs every role that changed or nears its end, in the order in which they refer to each other.
fn sign_roles(
    input: &BuildInput<'_>,
    source: &Source,
    before: &Before,
    authors: BTreeMap<AuthorId, AuthorRole>,
    index: Value,
    expiry: Expiry,
) -> Result<Vec<Role>> {
    let (keys, now) = (input.keys, input.now);
    let admins = |keys: &'_ [super::SigningKey]| keys.len() >= KeyRing::THRESHOLD;
    if !admins(&keys.root) || !admins(&keys.targets) {
        return Err(Error::Publish("two root keys and two targets keys are needed".into()));
    }
    let root_body = metadata::root_body(keys);
    if let Some((_, old)) = &before.root
        && (old.get("roles") != root_body.get("roles") || old.get("keys") != root_body.get("keys"))
    {
        return Err(Error::Publish("these are not the keys of the published root".into()));
    }
    let root_keys: Vec<_> = keys.root.iter().collect();
    let root = metadata::next(
        "root.json".into(),
        root_body,
        before.root.clone(),
        &root_keys,
        now,
        expiry.root_days,
    )?;

    let mut meta = before.meta.clone();
    let mut roles = vec![root];
    for (id, role) in authors {
        let body = metadata::body("targets", json!({ "targets": role.targets }));
        let file = format!("{}.json", id.role());
        let key = metadata::author_key(source, keys, &id)?;
        let signed = metadata::next(file.clone(), body, role.published, &[key], now, expiry.author_days)?;
        meta.insert(file, signed.pin());
        roles.push(signed);
    }

    let delegations = metadata::delegations(source, keys)?;
    let body =
        metadata::body("targets", json!({ "targets": { index::PATH: index }, "delegations": delegations }));
    let targets_keys: Vec<_> = keys.targets.iter().collect();
    let published = before.targets.clone();
    let targets =
        metadata::next("targets.json".into(), body, published, &targets_keys, now, expiry.targets_days)?;
    meta.insert("targets.json".into(), targets.pin());
    roles.push(targets);

    let body = metadata::body("snapshot", json!({ "meta": meta }));
    let published = before.snapshot.clone();
    let snapshot = metadata::next(
        "snapshot.json".into(),
        body,
        published,
        &[&keys.snapshot],
        now,
        expiry.snapshot_days,
    )?;
    let body = metadata::body("timestamp", json!({ "meta": { "snapshot.json": snapshot.pin() } }));
    roles.push(snapshot);
    let published = before.timestamp.clone();
    roles.push(metadata::next(
        metadata::TIMESTAMP.into(),
        body,
        published,
        &[&keys.timestamp],
        now,
        expiry.timestamp_days,
    )?);
    Ok(roles)
}

/// The files a build writes once everything is decided and signed.
struct Output<'a> {
    published: &'a Path,
    /// Path below `targets/`, and bytes.
    files: Vec<(String, Vec<u8>)>,
}

impl Output<'_> {
    /// Notes a target and gives its entry in the signing role.
    fn add_target(&mut self, path: &str, bytes: &[u8], custom: Option<Value>) -> Value {
        let sha256 = Digest::of(bytes);
        let stored = match path.rsplit_once('/') {
            Some((folder, name)) => format!("{folder}/{sha256}.{name}"),
            None => format!("{sha256}.{path}"),
        };
        self.files.push((stored, bytes.to_vec()));
        let mut target = json!({ "length": bytes.len(), "hashes": { "sha256": sha256 } });
        if let (Some(custom), Value::Object(target)) = (custom, &mut target) {
            target.insert("custom".into(), custom);
        }
        target
    }

    /// Targets first, then metadata from the leaves up; the timestamp makes all of it visible.
    fn write(&self, roles: &[Role]) -> Result<()> {
        let targets = self.published.join("targets");
        for (path, bytes) in &self.files {
            let path = targets.join(path);
            if let Some(folder) = path.parent() {
                fs_err::create_dir_all(folder).map_err(|e| Error::writing(folder, e))?;
            }
            files::write_atomic(&path, bytes, false)?;
        }
        let metadata = self.published.join("metadata");
        for role in roles.iter().filter(|role| role.changed) {
            let name = match role.file.as_str() {
                metadata::TIMESTAMP => role.file.clone(),
                _ => role.versioned_file(),
            };
            files::write_atomic(&metadata.join(name), &role.bytes, false)?;
        }
        Ok(())
    }
}
