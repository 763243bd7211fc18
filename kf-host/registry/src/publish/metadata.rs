//! TUF metadata: creating it, comparing it, and encoding it to be signed.
//!
//! The types are those of `sigstore-tuf`, so its verifier reads what is written here. They are
//! `#[non_exhaustive]` and have no constructors: each is created in this file by deserializing its fields, and
//! used through its fields everywhere else. Unknown fields are kept in `extra`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use kf_core::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sigstore_tuf::canonical_json::to_canonical_bytes;
use sigstore_tuf::metadata::{
    DelegatedRole, Delegations, MetaFile, Metadata, Role, RoleKeys, Root, Signature, Snapshot, TargetFile,
    Targets, Timestamp as TimestampRole,
};
use sigstore_tuf::{Error as TufError, Key};

use super::keys::{Holders, PublicKeys};
use crate::error::{Error, Result};
use crate::index::SIGNED_AT;
use crate::trust::chain;

const SPEC_VERSION: &str = "1.0.31";

/// Our own field in the root: who holds each key, by key id.
pub(super) const HOLDERS: &str = "x-kf-holders";

/// The top-level roles, in the order in which a client loads them.
pub(super) const TOP_LEVEL: [&str; 4] = ["root", "timestamp", "snapshot", "targets"];

/// The fields that every role has.
pub(super) struct Head<'a> {
    version: &'a mut u64,
    expires: &'a mut Timestamp,
    extra: &'a mut BTreeMap<String, Value>,
}

/// The signed content of a role.
pub(super) trait Body: Role + Serialize + Clone + PartialEq {
    fn head(&mut self) -> Head<'_>;
    /// The fields that TUF does not define.
    fn extra(&self) -> &BTreeMap<String, Value>;
}

macro_rules! body {
    ($($type:ty),*) => {$(
        impl Body for $type {
            fn head(&mut self) -> Head<'_> {
                Head { version: &mut self.version, expires: &mut self.expires, extra: &mut self.extra }
            }

            fn extra(&self) -> &BTreeMap<String, Value> {
                &self.extra
            }
        }
    )*};
}

body!(Root, TimestampRole, Snapshot, Targets);

/// Sets the version of `body`, signed `now` and valid for `life`.
pub(super) fn stamp<T: Body>(body: &mut T, version: u64, now: Timestamp, life: SignedDuration) -> Result<()> {
    // TUF writes times in whole seconds.
    let now = Timestamp::from_second(now.as_second()).map_err(publish)?;
    let head = body.head();
    *head.version = version;
    *head.expires = now.checked_add(life).map_err(publish)?;
    head.extra.insert(SIGNED_AT.into(), now.to_string().into());
    Ok(())
}

/// Whether two versions of a role are equal, apart from version and dates.
pub(super) fn same<T: Body>(one: &T, other: &T) -> bool {
    let undated = |body: &T| {
        let mut body = body.clone();
        let head = body.head();
        *head.version = 0;
        *head.expires = Timestamp::UNIX_EPOCH;
        head.extra.remove(SIGNED_AT);
        body
    };
    undated(one) == undated(other)
}

pub(super) fn days(days: u16) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}

/// The `signed` object of a role. Optional fields that are not set are omitted: the types would write them as
/// `null`, which not every client treats as absent.
pub(super) fn to_signed<T: Body>(body: &T) -> Result<Value> {
    let mut value = serde_json::to_value(body).map_err(publish)?;
    remove_unset(&mut value);
    Ok(value)
}

fn remove_unset(value: &mut Value) {
    const OPTIONAL: [&str; 6] = ["custom", "delegations", "paths", "path_hash_prefixes", "length", "hashes"];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| !(value.is_null() && OPTIONAL.contains(&name.as_str())));
            // `custom` is kept as it was written.
            fields
                .iter_mut()
                .filter(|(name, _)| *name != "custom")
                .for_each(|(_, value)| remove_unset(value));
        }
        Value::Array(items) => items.iter_mut().for_each(remove_unset),
        _ => {}
    }
}

/// The bytes that signatures cover.
pub(super) fn canonical(signed: &Value) -> Result<Vec<u8>> {
    to_canonical_bytes(signed).map_err(publish)
}

/// A metadata file.
pub(super) fn envelope(signed: &Value, signatures: &[Signature]) -> Result<Vec<u8>> {
    pretty(&json!({ "signed": signed, "signatures": signatures }))
}

/// A metadata file without spaces, for roles that no one reads and that grow with the registry.
pub(super) fn compact_envelope(signed: &Value, signatures: &[Signature]) -> Result<Vec<u8>> {
    compact(&json!({ "signed": signed, "signatures": signatures }))
}

pub(super) fn compact(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(publish)
}

pub(super) fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(publish)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A metadata file and its parsed content. An [`Authority`] verifies its signatures.
#[derive(Clone, Debug)]
pub(super) struct Signed<T> {
    pub(super) bytes: Vec<u8>,
    pub(super) metadata: Metadata<T>,
}

impl<T: Body> Signed<T> {
    pub(super) fn parse(what: &str, bytes: Vec<u8>) -> Result<Self> {
        let metadata = Metadata::from_slice(&bytes).map_err(|e| Error::invalid(what, chain(&e)))?;
        Ok(Self { bytes, metadata })
    }

    pub(super) fn body(&self) -> &T {
        self.metadata.signed()
    }

    pub(super) fn version(&self) -> u64 {
        self.body().version()
    }

    /// The entry for this file in the role that lists it.
    pub(super) fn pin(&self) -> Result<MetaFile> {
        from_fields(json!({
            "version": self.version(),
            "length": self.bytes.len(),
            "hashes": { "sha256": Digest::of(&self.bytes) },
        }))
    }
}

/// The keys that may sign a role, and its threshold.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) keys: BTreeMap<String, Key>,
    pub(super) role: RoleKeys,
}

impl Authority {
    /// The authority for a top-level role.
    pub(super) fn in_root(root: &Root, role: &str) -> Result<Self> {
        let keys =
            root.role(role).ok_or_else(|| Error::Publish(format!("the root has no keys for role {role}")))?;
        Ok(Self::new(&root.keys, keys.clone()))
    }

    /// The authority for a role that the targets role delegates to.
    pub(super) fn in_targets(targets: &Targets, role: &str) -> Option<Self> {
        let delegations = targets.delegations.as_ref()?;
        let delegated = delegations.roles.iter().find(|delegated| delegated.name == role)?;
        Some(Self::new(&delegations.keys, delegated.role_keys()))
    }

    fn new(keys: &BTreeMap<String, Key>, role: RoleKeys) -> Self {
        let keys = role.keyids.iter().filter_map(|id| keys.get_key_value(id));
        Self { keys: keys.map(|(id, key)| (id.clone(), key.clone())).collect(), role }
    }

    /// The id under which `key` may sign.
    pub(super) fn id_of(&self, key: &Key) -> Option<&str> {
        let is_same = |candidate: &Key| (&candidate.scheme, &candidate.keyval) == (&key.scheme, &key.keyval);
        self.keys.iter().find(|(_, candidate)| is_same(candidate)).map(|(id, _)| id.as_str())
    }

    /// Whether another authority has the same keys and threshold.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.role.threshold == other.role.threshold && self.keys == other.keys
    }

    pub(super) fn verify<T: Role>(&self, file: &Metadata<T>, role: &str) -> Result<(), TufError> {
        file.verify_threshold(&self.keys, &self.role, role)
    }

    /// Whether the one key `id` has signed `file`.
    pub(super) fn has_signed<T: Role>(&self, file: &Metadata<T>, id: &str) -> bool {
        let mut alone = self.role.clone();
        alone.keyids.retain(|known| known == id);
        alone.threshold = 1;
        file.verify_threshold(&self.keys, &alone, id).is_ok()
    }

    /// Refuses a threshold that cannot be met, or that one key under two ids could meet alone.
    pub(super) fn check(&self, role: &str) -> Result<()> {
        let refuse = |reason: &str| Err(Error::Publish(format!("invalid keys of role {role}: {reason}")));
        let listed: BTreeSet<&String> = self.role.keyids.iter().collect();
        if listed.len() != self.role.keyids.len() || listed.len() != self.keys.len() {
            return refuse("every key id must be listed once and have its key");
        }
        if !(1..=listed.len()).contains(&self.role.threshold) {
            return refuse("the threshold must be between 1 and the number of keys");
        }
        for (id, key) in &self.keys {
            if key.key_id().is_ok_and(|expected| expected != *id) {
                return refuse("a key id is not the digest of its key");
            }
            if let Err(e) = key.verification_key() {
                return refuse(&chain(&e));
            }
        }
        Ok(())
    }
}

/// Refuses an expiry that other clients cannot read: TUF has only whole seconds, in UTC.
pub(super) fn check_expires<T: Body>(signed: &Value, body: &T) -> Result<()> {
    if signed.get("expires").and_then(Value::as_str) == Some(body.expires().to_string().as_str())
        && body.expires().subsec_nanosecond() == 0
    {
        return Ok(());
    }
    Err(Error::Publish(format!("role {}: `expires` must have the form 2030-01-31T00:00:00Z", T::TYPE)))
}

/// Refuses a root that clients could not use.
pub(super) fn check_root(root: &Root) -> Result<()> {
    if !root.consistent_snapshot {
        return Err(Error::Publish("the root must set consistent_snapshot".into()));
    }
    TOP_LEVEL.iter().try_for_each(|role| Authority::in_root(root, role)?.check(role))
}

/// Who holds each key of a root, by key id, as far as the root says so.
pub(super) fn holders(root: &Root) -> BTreeMap<String, String> {
    let names = root.extra.get(HOLDERS).cloned().unwrap_or_default();
    serde_json::from_value(names).unwrap_or_default()
}

/// An Ed25519 public key, given as 64 hexadecimal digits.
pub(super) fn key(public: &str) -> Result<Key> {
    from_fields(json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": public } }))
}

pub(super) fn key_id(key: &Key) -> Result<String> {
    key.key_id().map_err(publish)
}

/// A key id as a file name. In TUF it may be any text; here it must be a digest.
pub(super) fn file_safe(keyid: &str) -> Result<String> {
    Ok(Digest::parse(keyid)?.to_string())
}

pub(super) fn signature(keyid: &str, sig: &str) -> Result<Signature> {
    from_fields(json!({ "keyid": keyid, "sig": sig }))
}

pub(super) fn root(keys: &PublicKeys) -> Result<Root> {
    let mut all = BTreeMap::new();
    let mut roles = BTreeMap::new();
    for (role, holders) in keys.top_level() {
        roles.insert(role, role_keys(holders)?);
        all.extend(by_id(&holders.keys)?);
    }
    let fields = json!({ "consistent_snapshot": true, "keys": all, "roles": roles });
    new_role(Root::TYPE, fields)
}

fn role_keys(holders: &Holders) -> Result<RoleKeys> {
    let ids = holders.keys.iter().map(key_id).collect::<Result<Vec<_>>>()?;
    from_fields(json!({ "keyids": ids, "threshold": holders.threshold }))
}

/// A targets role without targets.
pub(super) fn targets() -> Result<Targets> {
    new_role(Targets::TYPE, json!({ "targets": {} }))
}

pub(super) fn snapshot() -> Result<Snapshot> {
    new_role(Snapshot::TYPE, json!({ "meta": {} }))
}

pub(super) fn timestamp() -> Result<TimestampRole> {
    new_role(TimestampRole::TYPE, json!({ "meta": {} }))
}

pub(super) fn target_file(bytes: &[u8]) -> Result<TargetFile> {
    from_fields(json!({ "length": bytes.len(), "hashes": { "sha256": Digest::of(bytes) } }))
}

/// Delegations to no one.
pub(super) fn delegations() -> Result<Delegations> {
    from_fields(json!({ "keys": {}, "roles": [] }))
}

/// A terminating delegation of `paths`.
pub(super) fn delegated_role(name: &str, holders: &Holders, paths: Vec<String>) -> Result<DelegatedRole> {
    delegated_to(name, &role_keys(holders)?, paths)
}

/// The same with the ids of its keys.
pub(super) fn delegated_to(name: &str, role: &RoleKeys, paths: Vec<String>) -> Result<DelegatedRole> {
    from_fields(json!({
        "name": name,
        "keyids": role.keyids,
        "threshold": role.threshold,
        "terminating": true,
        "paths": paths,
    }))
}

pub(super) fn by_id(keys: &[Key]) -> Result<BTreeMap<String, Key>> {
    keys.iter().map(|key| Ok((key_id(key)?, key.clone()))).collect()
}

fn new_role<T: DeserializeOwned>(kind: &str, mut fields: Value) -> Result<T> {
    if let Value::Object(fields) = &mut fields {
        fields.insert("_type".into(), kind.into());
        fields.insert("spec_version".into(), SPEC_VERSION.into());
        fields.insert("version".into(), 0.into());
        fields.insert("expires".into(), Timestamp::UNIX_EPOCH.to_string().into());
    }
    from_fields(fields)
}

fn from_fields<T: DeserializeOwned>(fields: Value) -> Result<T> {
    serde_json::from_value(fields).map_err(publish)
}

pub(super) fn publish(error: impl std::fmt::Display) -> Error {
    Error::Publish(error.to_string())
}

/// The digest that a target or a pin is stored under.
pub(super) fn sha256(hashes: &BTreeMap<String, String>) -> Option<Digest> {
    Digest::parse(hashes.get("sha256")?).ok()
}
