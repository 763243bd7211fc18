//! What is published already, which a build adds to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kf_core::{AuthorId, Digest, PluginName};
use semver::Version;
use serde_json::{Map, Value};

use super::metadata::{self, File};
use crate::error::{Error, Result};
use crate::source::Source;

/// What is published before this build.
pub(super) struct Before {
    dir: PathBuf,
    pub(super) root: Option<File>,
    pub(super) timestamp: Option<File>,
    pub(super) snapshot: Option<File>,
    pub(super) targets: Option<File>,
    /// The snapshot's `meta`: versions of all targets roles that ever were.
    pub(super) meta: Map<String, Value>,
}

impl Before {
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let mut root = None;
        for version in 1.. {
            match metadata::read_body(&dir.join(format!("{version}.root.json")))? {
                Some(found) => root = Some(found),
                None => break,
            }
        }
        let timestamp = metadata::read_body(&dir.join(metadata::TIMESTAMP))?;
        let mut before =
            Self { dir: dir.to_owned(), root, timestamp, snapshot: None, targets: None, meta: Map::new() };
        if let Some((_, body)) = &before.timestamp {
            let empty = Map::new();
            let meta = body.get("meta").and_then(Value::as_object).unwrap_or(&empty);
            before.snapshot = before.pinned(meta, "snapshot.json")?;
        }
        if let Some((_, body)) = &before.snapshot {
            before.meta = body.get("meta").and_then(Value::as_object).cloned().unwrap_or_default();
            before.targets = before.pinned(&before.meta, "targets.json")?;
        }
        Ok(before)
    }

    /// The file that `meta` pins under `name`, which must be as it was signed.
    fn pinned(&self, meta: &Map<String, Value>, name: &str) -> Result<Option<File>> {
        let Some(pin) = meta.get(name) else { return Ok(None) };
        let version = pin.get("version").and_then(Value::as_u64).unwrap_or_default();
        let path = self.dir.join(format!("{version}.{name}"));
        let damaged = |reason: &str| Error::Publish(format!("{} {reason}; restore it first", path.display()));
        let found = metadata::read_body(&path)?.ok_or_else(|| damaged("is missing"))?;
        let expected = pin.pointer("/hashes/sha256").and_then(Value::as_str);
        if expected != Some(Digest::of(&found.0).to_string().as_str()) {
            return Err(damaged("is not what the snapshot pins"));
        }
        Ok(Some(found))
    }

    /// What each author signs so far.
    pub(super) fn authors(&self, source: &Source) -> Result<BTreeMap<AuthorId, AuthorRole>> {
        source
            .authors
            .values()
            .filter(|author| !author.plugins.is_empty())
            .map(|author| {
                let published = self.pinned(&self.meta, &format!("{}.json", author.id.role()))?;
                let targets = published
                    .as_ref()
                    .and_then(|(_, body)| body.get("targets")?.as_object().cloned())
                    .unwrap_or_default();
                Ok((author.id.clone(), AuthorRole { published, targets }))
            })
            .collect()
    }
}

pub(super) struct AuthorRole {
    pub(super) published: Option<File>,
    /// Path to length, hashes and custom data.
    pub(super) targets: Map<String, Value>,
}

impl AuthorRole {
    pub(super) fn versions(&self, name: &PluginName) -> impl Iterator<Item = Version> {
        let prefix = format!("plugins/{name}/");
        self.targets.keys().filter_map(move |path| {
            Version::parse(path.strip_prefix(&prefix)?.strip_suffix("/plugin.wasm")?).ok()
        })
    }
}
