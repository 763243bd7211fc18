//! The reviewed text that a registry is made from: `registry-index/`.
//!
//! ```text
//! registry.toml       the registry's id and how long its signatures are valid
//! authors/ID.toml     an author and the names they own
//! plugins/NAME.toml   a command, its owner and its ceiling
//! root/N.root.json    the registry's roots; the newest may still lack signatures
//! ```
//!
//! These files are changed by pull request. [`crate::publish`] signs them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kf_core::Permissions;
use kf_core::format::{self, Format};
use kf_core::manifest::{check_line, check_version};
use kf_core::{AuthorId, PluginName, RegistryId};
use semver::Version;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::index::Block;

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

/// `plugins/NAME.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    pub format: Format<1>,
    pub name: PluginName,
    pub summary: String,
    pub owner: AuthorId,
    #[serde(default)]
    pub homepage: Option<String>,
    #[serde(default)]
    pub yanked: Vec<Version>,
    #[serde(default)]
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
    pub fn read(dir: &Path) -> Result<Self> {
        let registry: RegistryToml = read_toml(&dir.join("registry.toml"))?;
        let authors: Vec<(String, Author)> = read_dir(&dir.join("authors"))?;
        let plugins: Vec<(String, Plugin)> = read_dir(&dir.join("plugins"))?;
        for (stem, author) in &authors {
            same_name(stem, author.id.as_str())?;
            check_line(&format!("the contact of {stem}"), &author.contact, 120)?;
            check_keys(author)?;
        }
        for (stem, plugin) in &plugins {
            same_name(stem, plugin.name.as_str())?;
            check_line(&format!("the summary of {stem}"), &plugin.summary, 120)?;
            plugin.yanked.iter().try_for_each(check_version)?;
            plugin.blocked.iter().try_for_each(|block| check_line("reason", &block.reason, 200))?;
        }
        let source = Self {
            registry,
            authors: authors.into_iter().map(|(_, author)| (author.id.clone(), author)).collect(),
            plugins: plugins.into_iter().map(|(_, plugin)| (plugin.name.clone(), plugin)).collect(),
            roots: read_roots(&dir.join("root"))?,
        };
        source.check()?;
        Ok(source)
    }

    /// Ownership is stated by the command and by its author, and must agree.
    fn check(&self) -> Result<()> {
        for plugin in self.plugins.values() {
            let name = &plugin.name;
            if self.registry.reserved.iter().any(|r| r == name.as_str()) {
                return Err(Error::Publish(format!("{name} is reserved by registry.toml")));
            }
            if !self.authors.get(&plugin.owner).is_some_and(|author| author.plugins.contains(name)) {
                return Err(Error::Publish(format!(
                    "plugins/{name}.toml names owner {}, but authors/{}.toml does not list it",
                    plugin.owner, plugin.owner
                )));
            }
        }
        let mut seen = BTreeSet::new();
        for author in self.authors.values() {
            for name in &author.plugins {
                if !seen.insert(name) || self.plugins.get(name).is_none_or(|p| p.owner != author.id) {
                    return Err(Error::Publish(format!(
                        "authors/{}.toml lists {name}, but plugins/{name}.toml does not name that owner",
                        author.id
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Among others, refuses a key that is listed twice, because it would count twice.
fn check_keys(author: &Author) -> Result<()> {
    let refuse = |reason: &str| Err(Error::Publish(format!("authors/{}.toml {reason}", author.id)));
    let is_key =
        |key: &String| key.len() == 64 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !author.keys.iter().all(is_key) {
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

fn read_roots(dir: &Path) -> Result<BTreeMap<u64, Vec<u8>>> {
    let mut roots = BTreeMap::new();
    let entries = match fs_err::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(roots),
        Err(e) => return Err(e.into()),
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let version = name.strip_suffix(".root.json").and_then(|version| version.parse::<u64>().ok());
        let version = version.filter(|version| format!("{version}.root.json") == name).ok_or_else(|| {
            Error::Publish(format!("invalid file name root/{name}: expected VERSION.root.json"))
        })?;
        roots.insert(version, fs_err::read(&path)?);
    }
    Ok(roots)
}

fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    Ok(format::parse_toml(&path.display().to_string(), &fs_err::read_to_string(path)?, 1)?)
}

fn read_dir<T: DeserializeOwned>(dir: &Path) -> Result<Vec<(String, T)>> {
    let mut paths: Vec<_> =
        fs_err::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
            Ok((stem, read_toml(&path)?))
        })
        .collect()
}
