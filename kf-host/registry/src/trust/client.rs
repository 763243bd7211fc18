//! The TUF client of one repository, without kf's index and owners.
//!
//! [`super::Session`] is a client that also read the index. Alone it follows the specification for any repository, which
//! is how the conformance tests and `kf-tuf-client` use it.
//!
//! The specification stores each file once it is verified. [`Client::files`] does the same, so a program that keeps them
//! after a failed refresh conforms to it. kf itself keeps only the roots of a failed refresh: of several mirrors, one
//! that serves a valid timestamp and nothing else must not make the timestamps of all others look like a rollback.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use kf_core::RegistryId;
use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{Key, Repository, Updater, UpdaterConfig};

use super::state::Memory;
use super::{from_tuf, ready};
use crate::MAX_WASM_BYTES;
use crate::access::Access;
use crate::error::{Error, Result};
use crate::transport::{Deadline, Transport, Url};

/// A client of one repository. Everything that it returns is verified.
pub struct Client {
    id: RegistryId,
    pub(super) updater: Updater,
    memory: Memory,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The locations of a repository's files.
#[derive(Clone, Copy, Debug)]
pub struct Locations<'a> {
    /// The folder of `timestamp.json`.
    pub metadata: &'a Url,
    /// The folder of the targets.
    pub targets: &'a Url,
}

impl Client {
    /// A client of any TUF repository.
    ///
    /// `root` is the trusted root, and `files` are those of [`Self::files`] from an earlier client. They are verified
    /// again. `limit` is the time for all fetches of this client. Errors name the repository `id`.
    ///
    /// Fails if the root is not signed by its own keys. Nothing is fetched yet.
    pub fn of_repository(
        id: &RegistryId,
        root: &[u8],
        files: BTreeMap<String, Vec<u8>>,
        at: Locations<'_>,
        limit: Duration,
    ) -> Result<Self> {
        let deadline = Deadline::after(limit);
        let transport =
            |url| Transport::new(url, &Access::default(), deadline.clone(), std::sync::Arc::new(|_| {}));
        let repository = Folders { metadata: transport(at.metadata)?, targets: transport(at.targets)? };
        Self::new(id, root, repository, Memory::from_files(files))
    }

    pub(super) fn new(
        id: &RegistryId,
        root: &[u8],
        repository: impl Repository + 'static,
        memory: Memory,
    ) -> Result<Self> {
        let mut config = UpdaterConfig::default();
        config.target_max_length = MAX_WASM_BYTES;
        let updater = Updater::new(repository, root)
            .map_err(|e| from_tuf(id, &e))?
            .with_config(config)
            .with_store(memory.clone());
        Ok(Self { id: id.clone(), updater, memory })
    }

    /// Fetches and verifies the newest root, timestamp, snapshot and targets, in this order. `now` is for expiry.
    pub fn refresh(&mut self, now: Timestamp) -> Result<()> {
        ready(self.updater.refresh(now)).map_err(|e| from_tuf(&self.id, &e))?;
        let root = self.updater.trusted().root();
        for (role, listed) in &root.roles {
            check_distinct(&root.keys, &listed.keyids, role)
                .map_err(|reason| Error::Untrusted { registry: self.id.clone(), reason })?;
        }
        Ok(())
    }

    /// Offers a copy of a target that an earlier client fetched. It is used only if it is what is trusted now.
    pub fn add_cached_target(&mut self, path: &str, bytes: Vec<u8>) {
        self.memory.insert(&format!("targets/{path}"), bytes);
    }

    /// Finds the role that is trusted for a target, and fetches the target unless there is a copy of it.
    /// Call [`Self::refresh`] first.
    pub fn target(&mut self, path: &str, now: Timestamp) -> Result<Vec<u8>> {
        ready(self.updater.get_target(path, now)).map_err(|e| from_tuf(&self.id, &e))
    }

    /// Every verified file, also after a failure.
    ///
    /// Metadata has its role's name without a version, such as `timestamp.json`, percent-encoded where it is not
    /// a plain word. Past roots are below `root_history/`, and targets below `targets/`.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.memory.files()
    }
}

/// Checks that a role lists no key under two ids: its threshold counts ids.
pub(super) fn check_distinct(
    keys: &BTreeMap<String, Key>,
    ids: &[String],
    role: &str,
) -> std::result::Result<(), String> {
    let ids: BTreeSet<&String> = ids.iter().collect();
    let mut seen = BTreeSet::new();
    // Hexadecimal digits have two cases, and PEM has lines.
    let spelled = |key: &Key| key.keyval.public.split_whitespace().collect::<String>().to_ascii_lowercase();
    if ids.into_iter().filter_map(|id| keys.get(id)).all(|key| seen.insert(spelled(key))) {
        return Ok(());
    }
    Err(format!("role {role} lists one key under two ids"))
}

/// A repository whose metadata and targets are at two places.
struct Folders {
    metadata: Transport,
    targets: Transport,
}

impl Repository for Folders {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        self.metadata.fetch(name, max_length, None)
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        self.targets.fetch(path, max_length, Some(max_length))
    }
}
