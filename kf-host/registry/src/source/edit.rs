//! Changes of the reviewed text, as an admin would make them in an editor: comments and order stay.
//!
//! Nothing is written before the changed text has been checked as a whole.

use std::path::{Path, PathBuf};

use kf_core::format::Format;
use kf_core::manifest::Manifest;
use kf_core::{AuthorId, Digest, PluginName, RegistryId};
use semver::Version;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use super::files::Files;
use super::{Expiry, Plugin, Source};
use crate::error::{Error, Result};

const REGISTRY: &str = "registry.toml";
const YANKED: &str = "yanked";

/// Changes of the reviewed text in a folder. [`Edit::write`] makes them.
#[derive(Debug)]
pub struct Edit {
    files: Files,
    source: Source,
    changed: Vec<String>,
}

/// What an author is allowed to publish, and who the author is.
#[derive(Clone, Debug)]
pub struct Delegation {
    pub author: AuthorId,
    /// Required for a new author.
    pub contact: Option<String>,
    /// Ed25519 public keys as 64 hexadecimal digits, which are added; a new author needs one.
    pub keys: Vec<String>,
    /// How many keys must sign.
    pub threshold: Option<usize>,
    /// Commands of the index.
    pub plugins: Vec<PluginName>,
    /// The manifests of new commands. What each requests becomes its ceiling.
    pub manifests: Vec<Manifest>,
    /// Whether commands of other authors change their owner.
    pub transfer: bool,
}

/// The text of a new registry, which is not written yet.
#[derive(Debug)]
pub struct NewRegistry {
    files: Files,
    expiry: Expiry,
}

/// The `registry.toml` of a new registry in `index`.
///
/// # Errors
///
/// [`Error::RegistryTomlExists`] if there is one.
pub fn new_registry(index: &Path, name: &RegistryId) -> Result<NewRegistry> {
    let mut files = Files::new(index);
    if files.read(REGISTRY)?.is_some() {
        return Err(Error::RegistryTomlExists(files.path(REGISTRY)));
    }
    let text = format!(
        "format = 1\nname = \"{name}\"\n\n# Names that no command may have, besides those reserved by kf.\nreserved = []\n\n\
         # How many days the signatures of each role are valid. Offline keys sign rarely, online keys every day.\n\
         [expiry]\nroot-days = 365\ntargets-days = 90\nauthor-days = 180\nsnapshot-days = 7\ntimestamp-days = 1\n"
    );
    files.change(REGISTRY, text);
    Ok(NewRegistry { expiry: Source::parse(&files)?.registry.expiry, files })
}

impl NewRegistry {
    pub fn expiry(&self) -> Expiry {
        self.expiry
    }

    /// Writes `registry.toml`, and returns its path.
    pub fn write(self) -> Result<PathBuf> {
        self.files.write()?;
        Ok(self.files.path(REGISTRY))
    }
}

impl Edit {
    /// Starts from the text in `index`, which must be free of problems.
    pub fn open(index: &Path) -> Result<Self> {
        let files = Files::new(index);
        Ok(Self { source: Source::parse(&files)?, files, changed: Vec::new() })
    }

    /// The text with the changes so far.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Yanks a version: it is not chosen any more. The reason is for users, in one line.
    pub fn yank(&mut self, name: &PluginName, version: &Version, reason: Option<&str>) -> Result<()> {
        let version = version.to_string();
        self.plugin(name, |document| {
            let yanked = document.entry(YANKED).or_insert(value(Array::new()));
            if yanked_at(yanked, &version).is_some() {
                return Err(Error::Edit(format!("{name} {version} is already yanked")));
            }
            let Some(reason) = reason else {
                // No version can stand alone among `[[yanked]]` tables.
                yanked.make_value();
                yanked.as_array_mut().ok_or_else(|| malformed(YANKED))?.push(version);
                return Ok(());
            };
            add_table(yanked, YANKED, [("version", &version), ("reason", reason)])
        })
    }

    /// Offers a yanked version again.
    pub fn unyank(&mut self, name: &PluginName, version: &Version) -> Result<()> {
        self.plugin(name, |document| {
            let none = || Error::Edit(format!("{name} {version} is not yanked"));
            let yanked = document.get_mut(YANKED).ok_or_else(none)?;
            let at = yanked_at(yanked, &version.to_string()).ok_or_else(none)?;
            match yanked {
                Item::ArrayOfTables(tables) => drop(tables.remove(at)),
                Item::Value(Value::Array(array)) => drop(array.remove(at)),
                _ => return Err(malformed(YANKED)),
            }
            Ok(())
        })
    }

    /// Blocks a component: it does not start any more.
    pub fn block(&mut self, name: &PluginName, sha256: Digest, reason: &str) -> Result<()> {
        let is_blocked = |block: &crate::index::Block| block.sha256 == sha256;
        if self.source.plugins.values().any(|plugin| plugin.blocked.iter().any(is_blocked)) {
            return Err(Error::Edit(format!("{sha256} is already blocked")));
        }
        self.plugin(name, |document| {
            let blocked = document.entry("blocked").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
            add_table(blocked, "blocked", [("sha256", &sha256.to_string()), ("reason", reason)])
        })
    }

    /// Lets a blocked component start again.
    pub fn unblock(&mut self, name: &PluginName, sha256: Digest) -> Result<()> {
        let text = sha256.to_string();
        self.plugin(name, |document| {
            let blocked = document.get_mut("blocked");
            let removed = match blocked {
                Some(Item::ArrayOfTables(tables)) => {
                    let is_other = |table: &Table| table.get("sha256").and_then(Item::as_str) != Some(&text);
                    let before = tables.len();
                    tables.retain(is_other);
                    before != tables.len()
                }
                Some(Item::Value(Value::Array(array))) => {
                    let of = |item: &Value| {
                        item.as_inline_table().and_then(|t| t.get("sha256")?.as_str().map(str::to_owned))
                    };
                    let before = array.len();
                    array.retain(|item| of(item).as_deref() != Some(text.as_str()));
                    before != array.len()
                }
                _ => false,
            };
            if removed {
                Ok(())
            } else {
                Err(Error::Edit(format!("{sha256} is not blocked in plugins/{name}.toml")))
            }
        })
    }

    /// Adds a public key of an author.
    pub fn add_key(&mut self, author: &AuthorId, key: &str) -> Result<()> {
        self.author(author, |document| {
            let keys = list(document, "keys")?;
            if position(keys, key).is_some() {
                return Err(Error::Edit(format!("authors/{author}.toml lists the key {key} already")));
            }
            keys.push(key);
            Ok(())
        })
    }

    /// Removes a public key of an author. What it signed stays published.
    pub fn remove_key(&mut self, author: &AuthorId, key: &str) -> Result<()> {
        self.author(author, |document| {
            let keys = list(document, "keys")?;
            let at = position(keys, key);
            let none = || Error::Edit(format!("authors/{author}.toml does not list the key {key}"));
            keys.remove(at.ok_or_else(none)?);
            if keys.is_empty() {
                let last =
                    format!("{key} is the only key of {author}: add another one first, or remove the author");
                return Err(Error::Edit(last));
            }
            Ok(())
        })
    }

    /// Sets how many keys of an author must sign.
    pub fn set_threshold(&mut self, author: &AuthorId, threshold: usize) -> Result<()> {
        self.author(author, |document| set_threshold(document, threshold))
    }

    /// Lets an author publish commands. The author and the commands are added to the text if they are new.
    pub fn delegate(&mut self, delegation: &Delegation) -> Result<()> {
        let Delegation { author, plugins, manifests, .. } = delegation;
        self.author_of(delegation)?;
        for manifest in manifests {
            self.add_plugin(author, manifest)?;
        }
        for name in plugins {
            self.take_over(delegation, name)?;
        }
        let added = manifests.iter().map(|manifest| &manifest.plugin.name).chain(plugins);
        for name in added {
            self.author(author, |document| {
                let names = list(document, "plugins")?;
                if position(names, name.as_str()).is_none() {
                    names.push(name.as_str());
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn author_of(&mut self, delegation: &Delegation) -> Result<()> {
        let Delegation { author, contact, keys, threshold, .. } = delegation;
        if !self.source.authors.contains_key(author) {
            let contact = contact.as_deref();
            let contact =
                contact.ok_or_else(|| Error::Edit(format!("the new author {author} needs a contact")))?;
            if keys.is_empty() {
                return Err(Error::Edit(format!("the new author {author} needs a key")));
            }
            let mut document = DocumentMut::new();
            document.insert("format", value(1));
            document.insert("id", value(author.as_str()));
            document.insert("contact", value(contact));
            document.insert("plugins", value(Array::new()));
            document.insert("keys", value(keys.iter().map(String::as_str).collect::<Array>()));
            if let Some(threshold) = threshold {
                set_threshold(&mut document, *threshold)?;
            }
            self.change(author_file(author), document.to_string());
            return Ok(());
        }
        self.author(author, |document| {
            if let Some(contact) = contact {
                document.insert("contact", value(contact.as_str()));
            }
            if let Some(threshold) = threshold {
                set_threshold(document, *threshold)?;
            }
            let listed = list(document, "keys")?;
            for key in keys.iter().filter(|key| position(listed, key).is_none()).cloned().collect::<Vec<_>>()
            {
                listed.push(key);
            }
            Ok(())
        })
    }

    fn add_plugin(&mut self, author: &AuthorId, manifest: &Manifest) -> Result<()> {
        let plugin = &manifest.plugin;
        if self.source.plugins.contains_key(&plugin.name) {
            return Err(Error::Edit(format!("plugins/{}.toml already exists", plugin.name)));
        }
        let document = Plugin {
            format: Format,
            name: plugin.name.clone(),
            summary: plugin.summary.clone(),
            owner: author.clone(),
            homepage: plugin.homepage.clone(),
            yanked: Vec::new(),
            blocked: Vec::new(),
            ceiling: manifest.permissions.clone(),
        };
        let text = toml::to_string(&document).map_err(|e| Error::Edit(e.to_string()))?;
        self.change(plugin_file(&plugin.name), text);
        Ok(())
    }

    fn take_over(&mut self, delegation: &Delegation, name: &PluginName) -> Result<()> {
        let plugin = self.source.plugins.get(name);
        let owner = plugin.map(|plugin| plugin.owner.clone());
        let owner = owner.ok_or_else(|| Error::UnknownInIndex(name.clone()))?;
        if owner == delegation.author {
            return Ok(());
        }
        if !delegation.transfer {
            return Err(Error::OwnedByOther { name: name.clone(), owner });
        }
        self.plugin(name, |document| {
            document.insert("owner", value(delegation.author.as_str()));
            Ok(())
        })?;
        self.author(&owner, |document| {
            let names = list(document, "plugins")?;
            if let Some(at) = position(names, name.as_str()) {
                names.remove(at);
            }
            Ok(())
        })
    }

    /// Checks the changed text and writes it. Returns the changed files.
    pub fn write(self) -> Result<Vec<PathBuf>> {
        Source::parse(&self.files)?;
        self.files.write()?;
        Ok(self.changed.iter().map(|file| self.files.path(file)).collect())
    }

    fn plugin(&mut self, name: &PluginName, edit: impl FnOnce(&mut DocumentMut) -> Result<()>) -> Result<()> {
        self.document(plugin_file(name), || Error::UnknownInIndex(name.clone()), edit)
    }

    fn author(&mut self, id: &AuthorId, edit: impl FnOnce(&mut DocumentMut) -> Result<()>) -> Result<()> {
        self.document(author_file(id), || Error::UnknownAuthor(id.clone()), edit)
    }

    fn document(
        &mut self,
        file: String,
        unknown: impl FnOnce() -> Error,
        edit: impl FnOnce(&mut DocumentMut) -> Result<()>,
    ) -> Result<()> {
        let text = self.files.read(&file)?.ok_or_else(unknown)?;
        let mut document: DocumentMut =
            text.parse().map_err(|e: toml_edit::TomlError| Error::invalid(&file, e))?;
        edit(&mut document)?;
        self.change(file, document.to_string());
        Ok(())
    }

    fn change(&mut self, file: String, text: String) {
        self.files.change(&file, text);
        if !self.changed.contains(&file) {
            self.changed.push(file);
        }
    }
}

fn plugin_file(name: &PluginName) -> String {
    format!("plugins/{name}.toml")
}

fn author_file(id: &AuthorId) -> String {
    format!("authors/{id}.toml")
}

fn set_threshold(document: &mut DocumentMut, threshold: usize) -> Result<()> {
    let threshold = i64::try_from(threshold).map_err(|e| Error::Edit(e.to_string()))?;
    document.insert("threshold", value(threshold));
    Ok(())
}

/// The array of a field, which is added if it is missing.
fn list<'a>(document: &'a mut DocumentMut, field: &str) -> Result<&'a mut Array> {
    let item = document.entry(field).or_insert(value(Array::new()));
    item.as_array_mut().ok_or_else(|| malformed(field))
}

fn position(array: &Array, text: &str) -> Option<usize> {
    array.iter().position(|item| item.as_str() == Some(text))
}

/// Adds a table in the form that the array has: `[[field]]`, or `{ … }` in it.
fn add_table(item: &mut Item, field: &str, fields: [(&str, &str); 2]) -> Result<()> {
    match item {
        Item::ArrayOfTables(tables) => {
            tables.push(fields.into_iter().map(|(key, text)| (key, value(text))).collect::<Table>());
        }
        Item::Value(Value::Array(array)) => array.push(fields.into_iter().collect::<InlineTable>()),
        _ => return Err(malformed(field)),
    }
    Ok(())
}

/// The place of a version among those that are yanked, with or without a reason.
fn yanked_at(yanked: &Item, version: &str) -> Option<usize> {
    match yanked {
        Item::ArrayOfTables(tables) => {
            tables.iter().position(|table| table.get("version").and_then(Item::as_str) == Some(version))
        }
        Item::Value(Value::Array(array)) => array.iter().position(|item| {
            let with_reason = item.as_inline_table().and_then(|table| table.get("version")?.as_str());
            item.as_str().or(with_reason) == Some(version)
        }),
        _ => None,
    }
}

fn malformed(field: &str) -> Error {
    Error::Edit(format!("`{field}` is not an array"))
}
