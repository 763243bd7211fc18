//! What is remembered of a registry, and repositories that serve from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kf_core::RegistryId;
use kf_core::format::Format;
use kf_home::Home;
use serde::{Deserialize, Serialize};
use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{Error as TufError, MetadataStore, Repository};

use crate::error::{Error, Result};
use crate::transport::{Failure, Transport};

/// How far a clock may lie behind the last time a registry was seen, or signed.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(24);
/// The largest state file that is read back, in bytes.
const MAX_STATE: u64 = 64 * 1024 * 1024;

/// What is kept of a registry between runs: the files of the last complete refresh, as they were signed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    format: Format<1>,
    /// The latest time at which its signatures were found valid.
    pub(super) last_seen: Timestamp,
    /// Verified once already; verified again from the pinned root on every use.
    files: BTreeMap<String, String>,
}

impl State {
    pub(super) fn load(home: &Home, id: &RegistryId) -> Result<Option<Self>> {
        Ok(home.registry_state(id).at("state.json").read_json(MAX_STATE, 1)?)
    }

    pub(super) fn check_clock(&self, id: &RegistryId, now: Timestamp) -> Result<()> {
        if is_behind(now, self.last_seen) {
            return Err(Error::ClockWentBack { registry: id.clone(), now, last_seen: self.last_seen });
        }
        Ok(())
    }

    /// The newest root that was seen.
    pub(super) fn root(&self) -> Option<&[u8]> {
        self.files.get("root.json").map(String::as_bytes)
    }

    /// Replaces the state, unless another process has meanwhile stored a newer one.
    pub(super) fn commit(home: &Home, id: &RegistryId, memory: &Memory, now: Timestamp) -> Result<()> {
        let dir = home.registry_state(id);
        let lock = dir.at("state.lock").open_lock()?;
        lock.lock().map_err(|e| Error::writing(&dir, e))?;
        let mut new = Self { format: Format, last_seen: now, files: memory.texts() };
        if let Some(old) = Self::load(home, id)? {
            if old.versions() > new.versions() {
                return Ok(());
            }
            new.last_seen = now.max(old.last_seen);
        }
        Ok(dir.at("state.json").write_json(&new)?)
    }

    /// Root and timestamp version: what orders two states.
    fn versions(&self) -> (u64, u64) {
        let version =
            |name: &str| self.files.get(name).and_then(|text| signed_version(text)).unwrap_or_default();
        (version("root.json"), version("timestamp.json"))
    }
}

/// Whether a clock is further behind what has happened than clocks differ.
pub(super) fn is_behind(now: Timestamp, happened: Timestamp) -> bool {
    now.saturating_add(CLOCK_SLACK).unwrap_or(Timestamp::MAX) < happened
}

fn signed_version(text: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Envelope {
        signed: Signed,
    }
    #[derive(Deserialize)]
    struct Signed {
        version: u64,
    }
    serde_json::from_str::<Envelope>(text).ok().map(|envelope| envelope.signed.version)
}

/// Verified files in memory. `sigstore-tuf` ignores failures of its store, so the disk is not touched through it.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Memory {
    pub(super) fn from_state(state: Option<&State>) -> Self {
        let files = state.map(|s| s.files.clone()).unwrap_or_default();
        Self(Arc::new(Mutex::new(files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect())))
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All files; signed metadata is JSON and so always text.
    fn texts(&self) -> BTreeMap<String, String> {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files
            .iter()
            .filter_map(|(name, bytes)| Some((name.clone(), String::from_utf8(bytes.clone()).ok()?)))
            .collect()
    }
}

impl MetadataStore for Memory {
    fn load(&self, name: &str) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        Ok(self.get(name))
    }

    fn store(&self, name: &str, bytes: &[u8]) -> sigstore_tuf::Result<()> {
        // Commands go to the store by digest; a snapshot is kept once, without its version.
        if !name.starts_with("targets/plugins/") && !name.ends_with(".snapshot.json") {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), bytes.to_vec());
        }
        Ok(())
    }
}

/// Serves an author's role from memory while its version is the one asked for, and all else from the registry.
pub(super) struct Remembering {
    pub(super) transport: Transport,
    pub(super) memory: Memory,
}

impl Repository for Remembering {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        if let Some(bytes) = remembered_role(&self.memory, name) {
            return Box::pin(std::future::ready(Ok(Some(bytes))));
        }
        self.transport.fetch_metadata(name, max_length)
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        self.transport.fetch_target(path, max_length)
    }
}

/// Serves only what was seen before.
pub(super) struct Offline(pub(super) Memory);

impl Repository for Offline {
    fn fetch_metadata<'a>(&'a self, name: &'a str, _max_length: u64) -> FetchFuture<'a> {
        let found = match name {
            "timestamp.json" => self.0.get(name),
            _ => remembered_role(&self.0, name),
        };
        Box::pin(std::future::ready(Ok(found)))
    }

    fn fetch_target<'a>(&'a self, path: &'a str, _max_length: u64) -> FetchFuture<'a> {
        let failure = Failure::Unreachable(format!("{path} was not fetched before"));
        Box::pin(std::future::ready(Err(TufError::transport_with_source(
            "the registry is not asked",
            failure,
        ))))
    }
}

/// `7.author-x.json` where `author-x.json` is remembered with version 7.
fn remembered_role(memory: &Memory, name: &str) -> Option<Vec<u8>> {
    let (version, file) = name.split_once('.')?;
    if !file.starts_with("author-") {
        return None;
    }
    let bytes = memory.get(file)?;
    let found = signed_version(std::str::from_utf8(&bytes).ok()?)?;
    (found.to_string() == version).then_some(bytes)
}
