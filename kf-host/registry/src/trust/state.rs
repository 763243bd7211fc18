//! The stored state of a registry, and repositories that read from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kf_core::RegistryId;
use kf_core::format::Format;
use kf_home::Home;
use serde::{Deserialize, Serialize};
use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{Error as TufError, MetadataStore, Repository};

use crate::error::{Error, Result};
use crate::transport::{Failure, Transport};

/// How far a clock may be behind the last refresh or signature of a registry.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(24);
/// The largest state file.
const MAX_STATE_BYTES: u64 = 64 * 1024 * 1024;

/// The state of a registry between runs: the files of the last complete refresh, as signed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    format: Format<1>,
    /// The latest time at which its signatures were valid.
    pub(super) last_seen: Timestamp,
    /// Verified when they were stored, and again from the pinned root on every use.
    files: BTreeMap<String, String>,
}

impl State {
    pub(super) fn load(home: &Home, id: &RegistryId) -> Result<Option<Self>> {
        Ok(home.registry_state(id).at("state.json").read_json(MAX_STATE_BYTES, 1)?)
    }

    pub(super) fn check_clock(&self, id: &RegistryId, now: Timestamp) -> Result<()> {
        if is_behind(now, self.last_seen) {
            return Err(Error::ClockWentBack { registry: id.clone(), now, last_seen: self.last_seen });
        }
        Ok(())
    }

    /// The newest known root.
    pub(super) fn root(&self) -> Option<&[u8]> {
        self.files.get("root.json").map(String::as_bytes)
    }

    /// Whether a refresh was ever complete. Otherwise there are only roots.
    pub(super) fn is_complete(&self) -> bool {
        self.files.contains_key("timestamp.json")
    }

    /// Stores the roots that a failed refresh followed beyond the `pinned` version, and returns whether any is new.
    ///
    /// They may revoke keys, so they apply from now on. The other files stay those of the last complete refresh.
    pub(super) fn keep_roots(home: &Home, id: &RegistryId, memory: &Memory, pinned: u64) -> Result<bool> {
        let mut roots = memory.texts();
        roots.retain(|name, _| root_version(name).is_some_and(|version| version > pinned));
        if roots.is_empty() {
            return Ok(false);
        }
        let dir = home.registry_state(id);
        let lock = dir.at("state.lock").open_lock()?;
        lock.lock().map_err(|e| Error::writing(&dir, e))?;
        let never = || Self { format: Format, last_seen: Timestamp::UNIX_EPOCH, files: BTreeMap::new() };
        let mut state = Self::load(home, id)?.unwrap_or_else(never);
        roots.retain(|name, _| !state.files.contains_key(name));
        if roots.is_empty() {
            return Ok(false);
        }
        state.files.append(&mut roots);
        dir.at("state.json").write_json(&state)?;
        Ok(true)
    }

    /// Replaces the state, unless another process stored a newer one meanwhile.
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
            // Another process may have followed more roots, or loaded other commands of the same state.
            let is_same = old.versions() == new.versions();
            for (name, text) in old.files {
                if is_same || root_version(&name).is_some() {
                    new.files.entry(name).or_insert(text);
                }
            }
        }
        Ok(dir.at("state.json").write_json(&new)?)
    }

    /// The versions of root and timestamp, which order two states.
    fn versions(&self) -> (u64, u64) {
        let version =
            |name: &str| self.files.get(name).and_then(|text| signed_version(text)).unwrap_or_default();
        (version("root.json"), version("timestamp.json"))
    }
}

/// Whether a clock is behind a past event by more than the tolerance.
pub(super) fn is_behind(now: Timestamp, past: Timestamp) -> bool {
    now.saturating_add(CLOCK_SLACK).unwrap_or(Timestamp::MAX) < past
}

/// The version in a name such as `root_history/7.root.json`.
fn root_version(name: &str) -> Option<u64> {
    name.strip_prefix("root_history/")?.strip_suffix(".root.json")?.parse().ok()
}

/// The version of a metadata file.
pub(crate) fn signed_version(text: &str) -> Option<u64> {
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
pub(super) struct Memory(Arc<Mutex<Files>>);

#[derive(Default)]
struct Files {
    by_name: BTreeMap<String, Vec<u8>>,
    /// Whether any changed since they were last stored.
    is_changed: bool,
}

impl Memory {
    pub(super) fn from_state(state: Option<&State>) -> Self {
        let files = state.map(|s| s.files.clone()).unwrap_or_default();
        Self::from_files(files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect())
    }

    pub(super) fn from_files(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self(Arc::new(Mutex::new(Files { by_name: files, is_changed: false })))
    }

    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.lock().by_name.clone()
    }

    pub(super) fn insert(&self, name: &str, bytes: Vec<u8>) {
        let mut files = self.lock();
        files.is_changed = true;
        files.by_name.insert(name.to_owned(), bytes);
    }

    pub(super) fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().by_name.get(name).cloned()
    }

    /// Whether any file changed since this was last asked.
    pub(super) fn take_changed(&self) -> bool {
        std::mem::take(&mut self.lock().is_changed)
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All files. Signed metadata is JSON, and therefore always text.
    fn texts(&self) -> BTreeMap<String, String> {
        self.files()
            .into_iter()
            .filter_map(|(name, bytes)| Some((name, String::from_utf8(bytes).ok()?)))
            .collect()
    }
}

impl MetadataStore for Memory {
    fn load(&self, name: &str) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        Ok(self.get(name))
    }

    fn store(&self, name: &str, bytes: &[u8]) -> sigstore_tuf::Result<()> {
        // Commands are stored by digest; a snapshot is stored once, without its version.
        if !name.starts_with("targets/plugins/") && !name.ends_with(".snapshot.json") {
            self.insert(name, bytes.to_vec());
        }
        Ok(())
    }
}

/// The name of the file that was requested last, for errors that do not name one.
#[derive(Clone, Default)]
pub(super) struct LastFile(Arc<Mutex<String>>);

impl LastFile {
    pub(super) fn name(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, name: &str) {
        name.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Serves the role of an author or a shard from memory if it has the requested version, and everything else from the
/// registry.
pub(super) struct CachingRepository {
    pub(super) transport: Arc<Transport>,
    pub(super) memory: Memory,
    pub(super) last_file: LastFile,
}

impl Repository for CachingRepository {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        self.last_file.set(name);
        if let Some(bytes) = cached_role(&self.memory, name) {
            return Box::pin(std::future::ready(Ok(Some(bytes))));
        }
        self.transport.fetch_metadata(name, max_length)
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        self.last_file.set(path);
        self.transport.fetch_target(path, max_length)
    }
}

/// Serves only from memory.
pub(super) struct OfflineRepository(pub(super) Memory, pub(super) LastFile);

impl Repository for OfflineRepository {
    fn fetch_metadata<'a>(&'a self, name: &'a str, _max_length: u64) -> FetchFuture<'a> {
        self.1.set(name);
        let found = match name {
            "timestamp.json" => self.0.get(name),
            _ => cached_role(&self.0, name),
        };
        let result = match (found, delegated_role(name)) {
            (None, Some(_)) => {
                let failure = Failure::Unreachable(format!("{name} is not cached"));
                Err(TufError::transport_with_source("offline", failure))
            }
            (found, _) => Ok(found),
        };
        Box::pin(std::future::ready(result))
    }

    fn fetch_target<'a>(&'a self, path: &'a str, _max_length: u64) -> FetchFuture<'a> {
        let failure = Failure::Unreachable(format!("{path} is not cached"));
        Box::pin(std::future::ready(Err(TufError::transport_with_source("offline", failure))))
    }
}

/// The file for a name such as `7.author-x.json`, if it is cached in that version.
fn cached_role(memory: &Memory, name: &str) -> Option<Vec<u8>> {
    let (version, file) = delegated_role(name)?;
    let bytes = memory.get(file)?;
    let found = signed_version(std::str::from_utf8(&bytes).ok()?)?;
    (found.to_string() == version).then_some(bytes)
}

/// Version and file of a role below targets.
fn delegated_role(name: &str) -> Option<(&str, &str)> {
    name.split_once('.').filter(|(_, file)| file.starts_with("author-") || file.starts_with("names-"))
}
