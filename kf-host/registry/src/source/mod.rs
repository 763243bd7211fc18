//! The reviewed text that a registry is made from: `registry-index/`.
//!
//! ```text
//! registry.toml       the registry's id and how long its signatures are valid
//! authors/ID.toml     an author and the names they own
//! plugins/NAME.toml   a command, its owner and its ceiling
//! root/N.root.json    the registry's roots; the newest may still lack signatures
//! ```
//!
//! These files are changed by pull request. [`edit`] changes them as an editor would, and [`crate::publish`] signs them.

pub mod edit;
pub(crate) mod files;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use kf_core::Permissions;
use kf_core::format::{self, Format};
use kf_core::manifest::{check_line, check_version};
use kf_core::names::RESERVED;
use kf_core::nearest::{look_alike_keys, looks_like};
use kf_core::{AuthorId, CollectionName, PluginName, RegistryId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::files::Files;
use crate::error::{Error, Result};
use crate::index::Block;
use crate::publish::is_public_key;
use crate::yank::Yank;

/// `registry.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryToml {
    pub format: Format<1>,
    pub name: RegistryId,
    pub expiry: Expiry,
    /// Names that no command may have, besides those that kf reserves.
    #[serde(default)]
    pub reserved: Vec<String>,
    /// Names that are meant although they look like another one.
    #[serde(default)]
    pub similar: Vec<PluginName>,
    /// Commands that are added together, as in `kf command add @core`.
    #[serde(default)]
    pub collections: BTreeMap<CollectionName, Vec<PluginName>>,
}

/// How long the signatures of each role are valid, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expiry {
    pub root_days: u16,
    pub targets_days: u16,
    pub author_days: u16,
    pub snapshot_days: u16,
    pub timestamp_days: u16,
}

/// `authors/ID.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Author {
    pub format: Format<1>,
    pub id: AuthorId,
    pub contact: String,
    /// The names that this author owns. Each `plugins/NAME.toml` must name this author as its owner.
    pub plugins: Vec<PluginName>,
    /// Ed25519 public keys as 64 hexadecimal digits. If empty, the keys given to the build apply.
    #[serde(default)]
    pub keys: Vec<String>,
    /// How many of the keys must sign.
    #[serde(default = "default_threshold")]
    pub threshold: usize,
}

fn default_threshold() -> usize {
    1
}

/// The longest reason of a yank or a block.
const MAX_REASON_CHARS: usize = 200;

/// `plugins/NAME.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    pub format: Format<1>,
    pub name: PluginName,
    pub summary: String,
    pub owner: AuthorId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yanked: Vec<Yank>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<Block>,
    #[serde(default)]
    /// The most it may ever do.
    pub ceiling: Permissions,
}

/// The content of `registry-index/`, checked for consistency.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub registry: RegistryToml,
    pub authors: BTreeMap<AuthorId, Author>,
    pub plugins: BTreeMap<PluginName, Plugin>,
    /// The files in `root/` by version. It may be empty: the published root stays.
    pub roots: BTreeMap<u64, Vec<u8>>,
}

impl Source {
    /// Reads and checks all files.
    ///
    /// # Errors
    ///
    /// The first problem; [`check`] finds all of them.
    pub fn read(dir: &Path) -> Result<Self> {
        Self::parse(&Files::new(dir))
    }

    pub(crate) fn parse(files: &Files) -> Result<Self> {
        let mut problems = Vec::new();
        let source = Self::load(files, &mut problems)?;
        match problems.into_iter().next() {
            Some(problem) => Err(problem.error),
            None => Ok(source),
        }
    }

    /// Reads all files, and collects what is wrong with them. What cannot be read is skipped.
    ///
    /// # Errors
    ///
    /// Without `registry.toml` nothing else can be checked.
    fn load(files: &Files, problems: &mut Vec<Problem>) -> Result<Self> {
        let registry: RegistryToml = read_toml(files, "registry.toml")?;
        let authors: Vec<(String, Author)> = read_folder(files, "authors", problems)?;
        let plugins: Vec<(String, Plugin)> = read_folder(files, "plugins", problems)?;
        let is_complete = problems.is_empty();
        for (stem, author) in &authors {
            let error = check_author(stem, author).err();
            problems.extend(error.map(|error| Problem { file: format!("authors/{stem}.toml"), error }));
        }
        for (stem, plugin) in &plugins {
            let error = check_plugin(stem, plugin).err();
            problems.extend(error.map(|error| Problem { file: format!("plugins/{stem}.toml"), error }));
        }
        let source = Self {
            registry,
            authors: authors.into_iter().map(|(_, author)| (author.id.clone(), author)).collect(),
            plugins: plugins.into_iter().map(|(_, plugin)| (plugin.name.clone(), plugin)).collect(),
            roots: read_roots(files)?,
        };
        // A file that cannot be read would be reported again by every file that refers to it.
        if is_complete {
            source.check_owners(problems);
            source.check_collections(problems);
            source.check_names(problems);
        }
        Ok(source)
    }

    /// Ownership is stated by the command and by its author, and must agree.
    fn check_owners(&self, problems: &mut Vec<Problem>) {
        let mut find = |file: String, reason: String| {
            problems.push(Problem { file, error: Error::Publish(reason) });
        };
        for plugin in self.plugins.values() {
            let name = &plugin.name;
            let file = format!("plugins/{name}.toml");
            if self.registry.reserved.iter().any(|r| r == name.as_str()) {
                find(file.clone(), format!("{name} is reserved by registry.toml"));
            }
            if !self.authors.get(&plugin.owner).is_some_and(|author| author.plugins.contains(name)) {
                let owner = &plugin.owner;
                let reason = format!("{file} names owner {owner}, but authors/{owner}.toml does not list it");
                find(file, reason);
            }
        }
        let mut seen = BTreeSet::new();
        for author in self.authors.values() {
            for name in &author.plugins {
                if !seen.insert(name) || self.plugins.get(name).is_none_or(|p| p.owner != author.id) {
                    let file = format!("authors/{}.toml", author.id);
                    let reason =
                        format!("{file} lists {name}, but plugins/{name}.toml does not name that owner");
                    find(file, reason);
                }
            }
        }
    }

    /// A name must not be mistaken for a reserved one, for a tool, or for a command of another author.
    fn check_names(&self, problems: &mut Vec<Problem>) {
        let reserved = self.registry.reserved.iter().map(String::as_str);
        let reserved = reserved.chain(RESERVED.iter().copied()).chain(WELL_KNOWN).map(|name| (name, None));
        let plugins = self.plugins.values().map(|plugin| (plugin.name.as_str(), Some(&plugin.owner)));
        // Comparing each name with each takes minutes for 10,000 of them.
        let mut by_key: HashMap<String, Vec<(&str, Option<&AuthorId>)>> = HashMap::new();
        for (name, owner) in reserved.chain(plugins) {
            for key in look_alike_keys(name) {
                by_key.entry(key).or_default().push((name, owner));
            }
        }
        for plugin in self.plugins.values().filter(|plugin| !self.registry.similar.contains(&plugin.name)) {
            let name = plugin.name.as_str();
            let keys = look_alike_keys(name);
            let close = keys.iter().filter_map(|key| by_key.get(key)).flatten();
            let of_others = close.filter(|(_, owner)| *owner != Some(&plugin.owner));
            let of_others: BTreeSet<&str> = of_others.map(|(other, _)| *other).collect();
            for other in of_others.into_iter().filter(|other| looks_like(name, other)) {
                let reason = format!(
                    "{name} can be mistaken for {other}: choose another name, or add it to `similar` in registry.toml"
                );
                let error = Error::Publish(reason);
                problems.push(Problem { file: format!("plugins/{name}.toml"), error });
            }
        }
    }

    fn check_collections(&self, problems: &mut Vec<Problem>) {
        for (collection, names) in &self.registry.collections {
            let mut find = |reason: String| {
                let error = Error::Publish(format!("collection {collection} {reason}"));
                problems.push(Problem { file: "registry.toml".into(), error });
            };
            if names.is_empty() {
                find("is empty".into());
            }
            let mut seen = BTreeSet::new();
            for name in names {
                if !seen.insert(name) {
                    find(format!("lists {name} twice"));
                } else if !self.plugins.contains_key(name) {
                    find(format!("lists {name}, but plugins/{name}.toml does not exist"));
                }
            }
        }
    }
}

/// Tools that users type often.
const WELL_KNOWN: [&str; 8] =
    ["docker", "helm", "kubectl", "kubeflow", "kustomize", "python", "sudo", "terraform"];

/// Something that is wrong with the reviewed text.
#[derive(Debug)]
pub struct Problem {
    /// The file, relative to the folder.
    pub file: String,
    pub error: Error,
}

/// The reviewed text in a folder, and everything that is wrong with it. What cannot be read is skipped.
///
/// # Errors
///
/// `registry.toml` cannot be read.
pub fn check(dir: &Path) -> Result<(Source, Vec<Problem>)> {
    let mut problems = Vec::new();
    let source = Source::load(&Files::new(dir), &mut problems)?;
    Ok((source, problems))
}

fn check_author(stem: &str, author: &Author) -> Result<()> {
    same_name(stem, author.id.as_str())?;
    check_line(&format!("the contact of {stem}"), &author.contact, 120)?;
    check_keys(author)
}

fn check_plugin(stem: &str, plugin: &Plugin) -> Result<()> {
    same_name(stem, plugin.name.as_str())?;
    check_line(&format!("the summary of {stem}"), &plugin.summary, 120)?;
    check_yanked(stem, &plugin.yanked)?;
    Ok(plugin.blocked.iter().try_for_each(|block| check_line("reason", &block.reason, MAX_REASON_CHARS))?)
}

fn check_yanked(stem: &str, yanked: &[Yank]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for Yank { version, reason } in yanked {
        check_version(version)?;
        reason.iter().try_for_each(|reason| check_line("reason", reason, MAX_REASON_CHARS))?;
        if !seen.insert(version) {
            return Err(Error::Publish(format!("plugins/{stem}.toml yanks {version} twice")));
        }
    }
    Ok(())
}

/// Among others, refuses a key that is listed twice, because it would count twice.
fn check_keys(author: &Author) -> Result<()> {
    let refuse = |reason: &str| Err(Error::Publish(format!("authors/{}.toml {reason}", author.id)));
    if !author.keys.iter().all(|key| is_public_key(key)) {
        return refuse("lists a key that is not 64 hexadecimal digits");
    }
    if author.keys.iter().collect::<BTreeSet<_>>().len() != author.keys.len() {
        return refuse("lists a key twice");
    }
    if !(1..=author.keys.len().max(1)).contains(&author.threshold) {
        return refuse("must have a threshold between 1 and the number of its keys");
    }
    Ok(())
}

fn same_name(stem: &str, name: &str) -> Result<()> {
    if stem == name {
        return Ok(());
    }
    Err(Error::Publish(format!("{stem}.toml is for {name}: rename it to {name}.toml")))
}

fn read_roots(files: &Files) -> Result<BTreeMap<u64, Vec<u8>>> {
    let mut roots = BTreeMap::new();
    for name in files.names("root", "json")? {
        let version = name.strip_suffix(".root.json").and_then(|version| version.parse::<u64>().ok());
        let version = version.filter(|version| root_file(*version) == format!("root/{name}"));
        let version = version.ok_or_else(|| {
            Error::Publish(format!("invalid file name root/{name}: expected VERSION.root.json"))
        })?;
        roots.insert(version, files.read(&root_file(version))?.unwrap_or_default().into_bytes());
    }
    Ok(roots)
}

/// The file of a root in the reviewed text.
pub(crate) fn root_file(version: u64) -> String {
    format!("root/{version}.root.json")
}

fn read_toml<T: DeserializeOwned>(files: &Files, file: &str) -> Result<T> {
    let path = files.path(file).display().to_string();
    let text = files.read(file)?.ok_or_else(|| Error::invalid(&path, "it does not exist"))?;
    Ok(format::parse_toml(&path, &text, 1)?)
}

/// The files in a folder that can be read, by name without extension.
fn read_folder<T: DeserializeOwned>(
    files: &Files,
    folder: &str,
    problems: &mut Vec<Problem>,
) -> Result<Vec<(String, T)>> {
    let mut found = Vec::new();
    for name in files.names(folder, "toml")? {
        let file = format!("{folder}/{name}");
        match read_toml(files, &file) {
            Ok(document) => found.push((name.trim_end_matches(".toml").to_owned(), document)),
            Err(error) => problems.push(Problem { file, error }),
        }
    }
    Ok(found)
}
