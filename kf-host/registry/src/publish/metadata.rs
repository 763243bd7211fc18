//! Signed metadata files: how they are read back, changed and signed.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use kf_core::Digest;
use serde_json::{Map, Value, json};
use sigstore_tuf::canonical_json::to_canonical_bytes;

use super::keys::{KeyRing, SigningKey};
use crate::error::{Error, Result};
use crate::index::SIGNED_AT;
use crate::source::Source;

/// The one file that is replaced, and without a version in its name.
pub(super) const TIMESTAMP: &str = "timestamp.json";

/// A file that is published already: its bytes and its `signed` object.
pub(super) type File = (Vec<u8>, Map<String, Value>);

/// A role's signed file, and whether it differs from what is published.
#[derive(Debug)]
pub(super) struct Role {
    /// The name without version, such as `targets.json`.
    pub(super) file: String,
    pub(super) version: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) changed: bool,
}

impl Role {
    /// How the role above refers to it.
    pub(super) fn pin(&self) -> Value {
        json!({
            "version": self.version,
            "length": self.bytes.len(),
            "hashes": { "sha256": Digest::of(&self.bytes) },
        })
    }

    /// Its file name with consistent snapshots; the timestamp alone has none.
    pub(super) fn versioned_file(&self) -> String {
        format!("{}.{}", self.version, self.file)
    }
}

/// Signs `body` (a TUF `signed` object) with `keys` and gives the metadata file.
pub fn sign(body: &Value, keys: &[&SigningKey]) -> Result<Vec<u8>> {
    envelope(body, keys.iter().copied(), Vec::new())
}

/// Adds signatures to a metadata file: for admins who sign one after the other, each on their own machine.
pub fn sign_more(file: &[u8], keys: &[&SigningKey]) -> Result<Vec<u8>> {
    let value: Value = serde_json::from_slice(file).map_err(|e| Error::invalid("the metadata", e))?;
    let (Some(body), Some(old)) = (value.get("signed"), value.get("signatures").and_then(Value::as_array))
    else {
        return Err(Error::invalid("the metadata", "`signed` or `signatures` is missing"));
    };
    let stays = |signature: &&Value| {
        let id = signature.get("keyid").and_then(Value::as_str);
        !keys.iter().any(|key| Some(key.id()) == id)
    };
    envelope(body, keys.iter().copied(), old.iter().filter(stays).cloned().collect())
}

fn envelope<'a>(
    body: &Value,
    keys: impl Iterator<Item = &'a SigningKey>,
    mut signatures: Vec<Value>,
) -> Result<Vec<u8>> {
    let canonical = to_canonical_bytes(body).map_err(|e| Error::Publish(e.to_string()))?;
    signatures.extend(keys.map(|key| json!({ "keyid": key.id(), "sig": key.sign(&canonical) })));
    let mut bytes = serde_json::to_vec_pretty(&json!({ "signed": body, "signatures": signatures }))
        .map_err(|e| Error::Publish(e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The `signed` object of a published file; `None` when there is no such file.
pub(super) fn read_body(path: &Path) -> Result<Option<File>> {
    let bytes = match fs_err::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let what = path.display().to_string();
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| Error::invalid(&what, e))?;
    match value {
        Value::Object(mut object) => match object.remove("signed") {
            Some(Value::Object(body)) => Ok(Some((bytes, body))),
            _ => Err(Error::invalid(what, "`signed` is missing")),
        },
        _ => Err(Error::invalid(what, "it is not a JSON object")),
    }
}

/// Signs `body` as the next version of a role, or keeps the published file when nothing changed and more than
/// half of its life is left. Offline keys are not asked without need; the timestamp is always signed anew, for
/// its age is what tells a reader that the registry is alive.
pub(super) fn next(
    file: String,
    mut body: Map<String, Value>,
    published: Option<File>,
    keys: &[&SigningKey],
    now: Timestamp,
    days: u16,
) -> Result<Role> {
    let life = SignedDuration::from_hours(24 * i64::from(days));
    let mut version = 1;
    if let Some((bytes, mut old)) = published {
        let old_version = old.remove("version").and_then(|v| v.as_u64());
        let old_version = old_version.ok_or_else(|| Error::invalid(&file, "its version is missing"))?;
        old.remove(SIGNED_AT);
        let expires = old.remove("expires").and_then(|v| v.as_str()?.parse::<Timestamp>().ok());
        let fresh = expires.is_some_and(|expires| expires.duration_since(now) > life / 2);
        if old == body && fresh && file != TIMESTAMP {
            return Ok(Role { file, version: old_version, bytes, changed: false });
        }
        version = old_version + 1;
    }
    body.insert("version".into(), version.into());
    body.insert("expires".into(), expiry(now, life)?.into());
    body.insert(SIGNED_AT.into(), whole_seconds(now)?.into());
    let bytes = sign(&Value::Object(body), keys)?;
    Ok(Role { file, version, bytes, changed: true })
}

fn expiry(now: Timestamp, life: SignedDuration) -> Result<String> {
    whole_seconds(now.checked_add(life).map_err(|e| Error::Publish(e.to_string()))?)
}

/// TUF writes times in whole seconds, UTC.
fn whole_seconds(at: Timestamp) -> Result<String> {
    let at = Timestamp::from_second(at.as_second()).map_err(|e| Error::Publish(e.to_string()))?;
    Ok(at.to_string())
}

/// A new role's body, without version and expiry.
pub(super) fn body(kind: &str, fields: Value) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("_type".into(), kind.into());
    body.insert("spec_version".into(), "1.0.31".into());
    if let Value::Object(fields) = fields {
        body.extend(fields);
    }
    body
}

/// The root's body: all keys, and who signs for what.
pub(super) fn root_body(keys: &KeyRing) -> Map<String, Value> {
    let mut all = Map::new();
    let mut roles = Map::new();
    let mut role = |name: &str, threshold: usize, holders: &[&SigningKey]| {
        let ids: Vec<&str> = holders.iter().map(|key| key.id()).collect();
        roles.insert(name.into(), json!({ "keyids": ids, "threshold": threshold }));
        all.extend(holders.iter().map(|key| (key.id().to_owned(), key.public())));
    };
    role("root", KeyRing::THRESHOLD, &keys.root.iter().collect::<Vec<_>>());
    role("targets", KeyRing::THRESHOLD, &keys.targets.iter().collect::<Vec<_>>());
    role("snapshot", 1, &[&keys.snapshot]);
    role("timestamp", 1, &[&keys.timestamp]);
    body("root", json!({ "consistent_snapshot": true, "keys": all, "roles": roles }))
}

/// The delegations of the targets role: one terminating role for each author, one path for each name.
pub(super) fn delegations(source: &Source, keys: &KeyRing) -> Result<Value> {
    let mut all = Map::new();
    let mut roles = Vec::new();
    for author in source.authors.values().filter(|author| !author.plugins.is_empty()) {
        let key = author_key(source, keys, &author.id)?;
        let paths: Vec<String> = author.plugins.iter().map(|name| format!("plugins/{name}/*/*")).collect();
        all.insert(key.id().to_owned(), key.public());
        roles.push(json!({
            "name": author.id.role(),
            "keyids": [key.id()],
            "threshold": 1,
            "terminating": true,
            "paths": paths,
        }));
    }
    Ok(json!({ "keys": all, "roles": roles }))
}

/// The author's key, which must be one that the reviewed text names, where it names any.
pub(super) fn author_key<'a>(
    source: &Source,
    keys: &'a KeyRing,
    id: &kf_core::AuthorId,
) -> Result<&'a SigningKey> {
    let key =
        keys.authors.get(id).ok_or_else(|| Error::Publish(format!("there is no key of author {id}")))?;
    let listed = source.authors.get(id).map(|author| author.keys.as_slice()).unwrap_or_default();
    if !listed.is_empty() && !listed.contains(&key.public_hex()) {
        return Err(Error::Publish(format!("the key at hand is not one that authors/{id}.toml lists")));
    }
    Ok(key)
}
