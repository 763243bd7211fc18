//! A version of a command: its files, and the checks before they are published.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kf_core::Permissions;
use kf_core::manifest::{Manifest, check_version};
use kf_core::{Digest, PluginName};
use kf_home::files;
use semver::Version;
use serde_json::{Value, json};
use sigstore_tuf::metadata::TargetFile;

use super::metadata;
use crate::error::{Error, Result};
use crate::index::Block;
use crate::parts::PartKind;

/// The files of a published version.
pub(super) const PARTS: [PartKind; 3] = [PartKind::Component, PartKind::Manifest, PartKind::Commands];

/// A new version, as passed to the gate.
#[derive(Debug)]
pub struct Submission<'a> {
    pub manifest: &'a Manifest,
    /// The most that the command may ever do.
    pub ceiling: &'a Permissions,
    pub wasm: &'a [u8],
    /// `command.json`: JSON with `"format": 1`. The gate checks the rest of it.
    pub commands: &'a Value,
    /// The newest version published so far.
    pub previous: Option<&'a Version>,
    /// The newest published version that is neither yanked nor blocked.
    pub baseline: Option<&'a Details>,
}

/// Decides whether a new version may be published.
///
/// Owner, version order and immutability were checked before. The gate checks what this crate does not know: the
/// ABI, the component, and whether the requested rights are within the ceiling. It is called when a version is
/// staged and again when it is assembled, because it may have been staged with another gate.
pub trait Gate {
    /// What the version may do that the [baseline](Submission::baseline) may not, in one line each: the admins must
    /// [approve](super::approve()) it. The first version of a command has none, because the admins set its ceiling.
    ///
    /// # Errors
    ///
    /// Why the version must not be published, in one line.
    fn check(&self, submission: &Submission<'_>) -> Result<Vec<String>, String>;
}

impl<F: Fn(&Submission<'_>) -> Result<Vec<String>, String>> Gate for F {
    fn check(&self, submission: &Submission<'_>) -> Result<Vec<String>, String> {
        self(submission)
    }
}

/// What users see of a version, to compare two of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Details {
    pub manifest: Manifest,
    /// `command.json`.
    pub commands: Vec<u8>,
    /// The size of the component in bytes.
    pub wasm_bytes: u64,
}

/// Gets the command tree of a component.
pub trait Describe {
    /// The bytes of `command.json`; `Err` is the reason, in one line, why there is none.
    fn describe(&self, name: &PluginName, wasm: &[u8]) -> Result<Vec<u8>, String>;
}

impl<F: Fn(&PluginName, &[u8]) -> Result<Vec<u8>, String>> Describe for F {
    fn describe(&self, name: &PluginName, wasm: &[u8]) -> Result<Vec<u8>, String> {
        self(name, wasm)
    }
}

/// A version that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub name: PluginName,
    pub version: Version,
    /// Of the component.
    pub sha256: Digest,
    /// Whether it is new; otherwise it is already published with the same bytes.
    pub new: bool,
}

/// A folder with `plugin.wasm` and `plugin.toml`, with the command's name.
pub(super) struct Artifact {
    pub(super) wasm: Vec<u8>,
    pub(super) toml: Vec<u8>,
    pub(super) manifest: Manifest,
}

impl Artifact {
    pub(super) fn read(folder: &Path, name: &PluginName) -> Result<Self> {
        let wasm = read_part(folder, PartKind::Component)?;
        let toml = read_part(folder, PartKind::Manifest)?;
        let manifest = Manifest::from_bytes(&toml)?;
        let artifact = Self { wasm, toml, manifest };
        if artifact.manifest.plugin.name != *name {
            return Err(
                artifact.refuse(format!("the folder {} has the name of another command", folder.display()))
            );
        }
        Ok(artifact)
    }

    pub(super) fn refuse(&self, reason: String) -> Error {
        refuse(&self.manifest, reason)
    }

    pub(super) fn describe(&self, describe: &dyn Describe) -> Result<Vec<u8>> {
        let name = &self.manifest.plugin.name;
        describe
            .describe(name, &self.wasm)
            .map_err(|reason| self.refuse(format!("cannot read its command tree: {reason}")))
    }

    pub(super) fn published(&self, new: bool) -> Published {
        published(&self.manifest, &self.wasm, new)
    }

    pub(super) fn with(self, commands: Vec<u8>) -> Release {
        Release { wasm: self.wasm, toml: self.toml, commands, manifest: self.manifest }
    }
}

/// Where the commands to be published are.
#[derive(Clone, Copy, Debug)]
pub enum Artifacts<'a> {
    /// A folder with a subfolder for each command, named after it.
    Below(&'a Path),
    /// A folder for each command, whatever it is called.
    Folders(&'a [PathBuf]),
}

impl Artifacts<'_> {
    /// The folders, with the command that each holds.
    pub(super) fn folders(self) -> Result<Vec<(PluginName, PathBuf)>> {
        let mut folders = match self {
            Self::Below(dir) => below(dir)?,
            Self::Folders(folders) => folders
                .iter()
                .map(|folder| {
                    let manifest = Manifest::from_bytes(&read_part(folder, PartKind::Manifest)?)?;
                    Ok((manifest.plugin.name, folder.clone()))
                })
                .collect::<Result<_>>()?,
        };
        folders.sort();
        Ok(folders)
    }
}

fn below(dir: &Path) -> Result<Vec<(PluginName, PathBuf)>> {
    let unreadable = |e| Error::invalid(format!("the artifacts in {}", dir.display()), e);
    let mut folders = Vec::new();
    for entry in fs_err::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            folders.push((PluginName::parse(name)?, path));
        }
    }
    Ok(folders)
}

/// A complete version.
pub(super) struct Release {
    wasm: Vec<u8>,
    toml: Vec<u8>,
    commands: Vec<u8>,
    manifest: Manifest,
}

impl Release {
    /// Makes a version from its files.
    pub(super) fn new(wasm: Vec<u8>, toml: Vec<u8>, commands: Vec<u8>) -> Result<Self> {
        let manifest = Manifest::from_bytes(&toml)?;
        Ok(Self { wasm, toml, commands, manifest })
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn refuse(&self, reason: String) -> Error {
        refuse(&self.manifest, reason)
    }

    pub(super) fn published(&self, new: bool) -> Published {
        published(&self.manifest, &self.wasm, new)
    }

    /// Refuses a component that is blocked.
    pub(super) fn check_blocked(&self, blocked: &[Block]) -> Result<()> {
        let sha256 = Digest::of(&self.wasm);
        match blocked.iter().find(|block| block.sha256 == sha256) {
            Some(block) => Err(self.refuse(format!("its component is blocked: {}", block.reason))),
            None => Ok(()),
        }
    }

    pub(super) fn details(&self) -> Details {
        Details {
            manifest: self.manifest.clone(),
            commands: self.commands.clone(),
            wasm_bytes: self.wasm.len() as u64,
        }
    }

    /// Calls the gate.
    pub(super) fn check(
        &self,
        gate: &dyn Gate,
        ceiling: &Permissions,
        previous: Option<&Version>,
        baseline: Option<&Details>,
    ) -> Result<Vec<String>> {
        let name = &self.manifest.plugin.name;
        let commands: Value = serde_json::from_slice(&self.commands)
            .map_err(|e| Error::invalid(format!("command.json of {name}"), e))?;
        if commands.get("format").and_then(Value::as_u64) != Some(1) {
            return Err(self.refuse("command.json has no \"format\": 1".into()));
        }
        let submission = Submission {
            manifest: &self.manifest,
            ceiling,
            wasm: &self.wasm,
            commands: &commands,
            previous,
            baseline,
        };
        gate.check(&submission).map_err(|reason| self.refuse(reason))
    }

    /// The targets that its author signs: path, entry and bytes of each file. `signed` is when it was signed first, if
    /// that is known.
    pub(super) fn targets(self, signed: Option<Timestamp>) -> Result<Vec<(String, TargetFile, Vec<u8>)>> {
        let plugin = &self.manifest.plugin;
        let path = |kind: PartKind| kind.path(&plugin.name, &plugin.version);
        let mut wasm = metadata::target_file(&self.wasm)?;
        // TUF writes times in whole seconds.
        let signed = signed.and_then(|at| Timestamp::from_second(at.as_second()).ok());
        wasm.custom = Some(match signed {
            Some(signed) => json!({ "abi": plugin.abi, "signed": signed }),
            None => json!({ "abi": plugin.abi }),
        });
        Ok(vec![
            (path(PartKind::Component), wasm, self.wasm),
            (path(PartKind::Manifest), metadata::target_file(&self.toml)?, self.toml),
            (path(PartKind::Commands), metadata::target_file(&self.commands)?, self.commands),
        ])
    }
}

fn published(manifest: &Manifest, wasm: &[u8], new: bool) -> Published {
    let plugin = &manifest.plugin;
    Published { name: plugin.name.clone(), version: plugin.version.clone(), sha256: Digest::of(wasm), new }
}

fn refuse(manifest: &Manifest, reason: String) -> Error {
    let (name, version) = (manifest.plugin.name.clone(), manifest.plugin.version.clone());
    Error::Gate { name, version, reason }
}

/// Reads an author's file, following symbolic links.
fn read_part(folder: &Path, kind: PartKind) -> Result<Vec<u8>> {
    let path = folder.join(kind.file_name());
    files::read_bounded(&path, kind.max_bytes())?
        .ok_or_else(|| Error::Publish(format!("{} is missing", path.display())))
}

/// The path of a target below `targets/`, with its digest, so that no file ever changes.
pub(crate) fn stored(path: &str, sha256: Digest) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{sha256}.{name}"),
        None => format!("{sha256}.{path}"),
    }
}

/// When a published version was signed first, if its program's entry says so.
pub(super) fn signed(program: &TargetFile) -> Option<Timestamp> {
    serde_json::from_value(program.custom.as_ref()?.get("signed")?.clone()).ok()
}

/// Parses `plugins/NAME/VERSION/PART`.
pub(super) fn parse_path(path: &str) -> Option<(PluginName, Version, PartKind)> {
    let mut segments = path.split('/');
    let (Some("plugins"), Some(name), Some(version), Some(part), None) =
        (segments.next(), segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return None;
    };
    let version = Version::parse(version).ok().filter(|version| check_version(version).is_ok())?;
    let part = PARTS.into_iter().find(|kind| kind.file_name() == part)?;
    Some((PluginName::parse(name).ok()?, version, part))
}

/// Whether two entries are for the same bytes.
pub(super) fn same_bytes(one: &TargetFile, other: &TargetFile) -> bool {
    (one.length, metadata::sha256(&one.hashes)) == (other.length, metadata::sha256(&other.hashes))
        && metadata::sha256(&one.hashes).is_some()
}

/// Every version among `targets`. Those that are not in `published` are new.
pub(super) fn versions(
    targets: &BTreeMap<String, TargetFile>,
    published: &BTreeMap<String, TargetFile>,
) -> Vec<Published> {
    let version = |(path, target): (&String, &TargetFile)| {
        let (name, version, kind) = parse_path(path)?;
        let sha256 = metadata::sha256(&target.hashes).filter(|_| kind == PartKind::Component)?;
        Some(Published { name, version, sha256, new: !published.contains_key(path) })
    };
    targets.iter().filter_map(version).collect()
}

/// The versions among `targets` that are not in `published`. An incomplete version is refused.
pub(super) fn added(
    targets: &BTreeMap<String, TargetFile>,
    published: &BTreeMap<String, TargetFile>,
) -> Result<Vec<(PluginName, Version)>> {
    let mut found: BTreeMap<(PluginName, Version), usize> = BTreeMap::new();
    for path in targets.keys().filter(|path| !published.contains_key(*path)) {
        let (name, version, _) =
            parse_path(path).ok_or_else(|| Error::Publish(format!("{path:?} is not a file of a release")))?;
        *found.entry((name, version)).or_default() += 1;
    }
    for ((name, version), parts) in &found {
        if *parts != PARTS.len() {
            return Err(Error::Publish(format!(
                "{name} {version} is incomplete: {parts} of {} files",
                PARTS.len()
            )));
        }
    }
    Ok(found.into_keys().collect())
}
