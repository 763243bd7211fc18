//! Refreshing a registry and fetching from it: nothing leaves here unverified.
//!
//! `sigstore-tuf` checks signatures, thresholds, versions, expiry and digests. Around it stands what a command
//! line tool needs besides:
//!
//! * **Floors that last.** The last complete refresh is one file, replaced in one rename, so a later process
//!   refuses anything older. If that file cannot be read, the refresh fails; starting from nothing would
//!   forget what was seen.
//! * **A clock that may not run backwards.** An expired signature looks valid to a clock set back.
//! * **The right author.** TUF finds *a* role that signed a file. Here it must be the role of the owner that
//!   the admins named in the index.
//! * **Bounds.** Every file has a largest size, every operation a deadline.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use semver::Version;
use serde::{Deserialize, Serialize};
use sigstore_tuf::metadata::{TargetFile, Targets};
use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{Error as TufError, MetadataStore, Repository, Updater, UpdaterConfig};

use crate::error::{Error, Result};
use crate::files::{self, Format};
use crate::index::{self, FileRef, Index, Listed, Release, Resolved, View};
use crate::manifest::Manifest;
use crate::names::{Digest, PluginName, RegistryId};
use crate::paths::Home;
use crate::registries::Registry;
use crate::transport::{Deadline, Failure, Progress, Transport, Url};
use crate::{MAX_COMMANDS, MAX_INDEX, MAX_MANIFEST, MAX_WASM};

/// How far a clock may lie behind the last time a registry was seen.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(24);
/// The largest state file that is read back, in bytes.
const MAX_STATE: u64 = 64 * 1024 * 1024;

/// How to refresh.
#[derive(Clone)]
pub struct Options {
    /// The time expiry is judged by.
    pub now: Timestamp,
    /// For a whole refresh, all files together.
    pub refresh_limit: Duration,
    /// For fetching one command, all files together.
    pub fetch_limit: Duration,
    pub progress: Progress,
}

impl Options {
    /// 30 s to refresh, 5 min to fetch, no progress.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            refresh_limit: Duration::from_secs(30),
            fetch_limit: Duration::from_secs(300),
            progress: Arc::new(|_| {}),
        }
    }
}

/// A command's verified files.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub resolved: Resolved,
    pub wasm: Vec<u8>,
    pub manifest: Manifest,
    /// `plugin.toml` as signed.
    pub manifest_bytes: Vec<u8>,
    /// `command.json` as signed.
    pub commands: Vec<u8>,
}

/// A registry that was refreshed, or loaded from its last refresh.
pub struct Session {
    registry: RegistryId,
    updater: Updater,
    view: View,
    deadline: Deadline,
    fetch_limit: Duration,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// Refreshes `registry` from the first of its addresses that serves a valid, current state.
///
/// What was seen is remembered under `home` only when everything held.
pub fn refresh(home: &Home, registry: &Registry, options: &Options) -> Result<Session> {
    let state = State::load(home, &registry.id)?;
    if let Some(state) = &state {
        state.check_clock(&registry.id, options.now)?;
    }
    let mut refused: Option<Error> = None;
    for url in &registry.urls {
        match attempt(registry, url, state.as_ref(), options) {
            Ok((session, memory)) => {
                State::commit(home, &registry.id, &memory, options.now)?;
                return Ok(session);
            }
            // A mirror that lies is worth more words than one that is away.
            Err(error) => {
                if refused.as_ref().is_none_or(|e| e.kind() != crate::Kind::Refused) {
                    refused = Some(error);
                }
            }
        }
    }
    Err(refused.unwrap_or_else(|| Error::Unreachable {
        registry: registry.id.clone(),
        reason: "it has no address".into(),
    }))
}

/// What the last refresh saw, verified again and still within its expiry. Nothing is fetched.
pub fn cached(home: &Home, registry: &Registry, now: Timestamp) -> Result<Session> {
    let Some(state) = State::load(home, &registry.id)? else {
        return Err(Error::Unreachable {
            registry: registry.id.clone(),
            reason: "it was never refreshed on this machine".into(),
        });
    };
    state.check_clock(&registry.id, now)?;
    let memory = Memory::from_state(Some(&state));
    open(registry, Offline(memory.clone()), memory, &Options::at(now), Deadline::after(Duration::ZERO))
}

/// When `registry` was last refreshed on this machine.
pub fn last_seen(home: &Home, id: &RegistryId) -> Result<Option<Timestamp>> {
    Ok(State::load(home, id)?.map(|state| state.last_seen))
}

fn attempt(
    registry: &Registry,
    url: &Url,
    state: Option<&State>,
    options: &Options,
) -> Result<(Session, Memory)> {
    let deadline = Deadline::after(options.refresh_limit);
    let memory = Memory::from_state(state);
    let transport = Transport::new(url, deadline.clone(), options.progress.clone());
    let repository = Remembering { transport, memory: memory.clone() };
    let session = open(registry, repository, memory.clone(), options, deadline)?;
    Ok((session, memory))
}

fn open(
    registry: &Registry,
    repository: impl Repository + 'static,
    memory: Memory,
    options: &Options,
    deadline: Deadline,
) -> Result<Session> {
    let id = &registry.id;
    let mut config = UpdaterConfig::default();
    config.target_max_length = MAX_WASM;
    let mut updater = Updater::new(repository, &registry.root)
        .map_err(|e| from_tuf(id, &e))?
        .with_config(config)
        .with_store(memory);
    ready(updater.refresh(options.now)).map_err(|e| from_tuf(id, &e))?;
    let view = view(id, &mut updater, options.now)?;
    Ok(Session { registry: id.clone(), updater, view, deadline, fetch_limit: options.fetch_limit })
}

impl Session {
    /// What the registry offers.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Fetches one command's files. Each is checked against its signed length and digest before anything parses it.
    pub fn fetch(&self, resolved: &Resolved) -> Result<Fetched> {
        self.deadline.restart(self.fetch_limit);
        let role = resolved.owner.role();
        let get = |file: &FileRef, max: u64| -> Result<Vec<u8>> {
            let target = self
                .updater
                .trusted()
                .targets_role(&role)
                .and_then(|role| role.target(&file.path))
                .filter(|target| file_ref(&file.path, target).as_ref() == Some(file))
                .ok_or_else(|| self.untrusted(format!("{role} does not sign {} any more", file.path)))?;
            if file.length > max {
                return Err(
                    self.untrusted(format!("{} has {} bytes, more than {max}", file.path, file.length))
                );
            }
            let bytes = ready(self.updater.download_target(target, &file.path))
                .map_err(|e| from_tuf(&self.registry, &e))?;
            let found = Digest::of(&bytes);
            if found != file.sha256 {
                return Err(self.untrusted(format!("{} has sha256 {found}, not {}", file.path, file.sha256)));
            }
            Ok(bytes)
        };
        let manifest_bytes = get(&resolved.manifest, MAX_MANIFEST)?;
        let commands = get(&resolved.commands, MAX_COMMANDS)?;
        let wasm = get(&resolved.wasm, MAX_WASM)?;
        let manifest = Manifest::from_bytes(&manifest_bytes)?;
        let plugin = &manifest.plugin;
        if (&plugin.name, &plugin.version, &plugin.abi) != (&resolved.name, &resolved.version, &resolved.abi)
        {
            return Err(self.untrusted(format!(
                "{} describes {} {} for ABI {}",
                resolved.manifest.path, plugin.name, plugin.version, plugin.abi
            )));
        }
        Ok(Fetched { resolved: resolved.clone(), wasm, manifest, manifest_bytes, commands })
    }

    fn untrusted(&self, reason: String) -> Error {
        Error::Untrusted { registry: self.registry.clone(), reason }
    }
}

/// Reads the index and every owner's role into a [`View`].
fn view(id: &RegistryId, updater: &mut Updater, now: Timestamp) -> Result<View> {
    let untrusted = |reason: String| Error::Untrusted { registry: id.clone(), reason };
    // The index must come from the admins themselves; a delegated role may not stand in for them.
    let target = targets(updater, "targets")
        .and_then(|t| t.target(index::PATH))
        .cloned()
        .ok_or_else(|| untrusted(format!("its admins do not sign {}", index::PATH)))?;
    if target.length > MAX_INDEX {
        return Err(untrusted(format!("{} is larger than {MAX_INDEX} bytes", index::PATH)));
    }
    let bytes = match updater.find_cached_target(&target, index::PATH) {
        Some(bytes) => bytes,
        None => ready(updater.download_target(&target, index::PATH)).map_err(|e| from_tuf(id, &e))?,
    };
    let index = Index::parse(&bytes)?;
    let mut plugins = BTreeMap::new();
    for (name, entry) in index.plugins {
        let role = entry.owner.role();
        let mut listed = Listed { entry, keyids: Vec::new(), releases: BTreeMap::new(), problem: None };
        match owner_role(updater, &name, &role, now) {
            Ok((keyids, releases)) => {
                listed.keyids = keyids;
                listed.releases = releases;
            }
            Err(OwnerError::Tuf(e)) => match from_tuf(id, &e) {
                // One author's bad or expired signature takes down that author's commands and no others.
                Error::Untrusted { reason, .. } => listed.problem = Some(reason),
                error => return Err(error),
            },
            Err(OwnerError::Reason(reason)) => listed.problem = Some(reason),
        }
        for release in listed.releases.values_mut() {
            release.yanked = listed.entry.yanked.contains(&release.version);
            release.blocked =
                index.blocked.iter().find(|b| b.sha256 == release.wasm.sha256).map(|b| b.reason.clone());
        }
        plugins.insert(name, listed);
    }
    let trusted = updater.trusted();
    let (Some(timestamp), Some(snapshot), Some(top)) =
        (trusted.timestamp(), trusted.snapshot(), trusted.targets_role("targets"))
    else {
        return Err(untrusted("its refresh is incomplete".into()));
    };
    let expires = timestamp.expires.min(snapshot.expires).min(top.expires).min(trusted.root().expires);
    Ok(View { registry: id.clone(), plugins, blocked: index.blocked, snapshot: snapshot.version, expires })
}

enum OwnerError {
    Tuf(TufError),
    Reason(String),
}

impl From<TufError> for OwnerError {
    fn from(error: TufError) -> Self {
        Self::Tuf(error)
    }
}

/// Loads the owner's role, makes sure that nobody else can sign for `name`, and lists its releases.
fn owner_role(
    updater: &mut Updater,
    name: &PluginName,
    role: &str,
    now: Timestamp,
) -> Result<(Vec<String>, BTreeMap<Version, Release>), OwnerError> {
    // TUF takes the first delegation whose paths match; looking for any file of the plugin loads it.
    let probe = format!("plugins/{name}/0.0.0/plugin.wasm");
    let top = targets(updater, "targets").ok_or(TufError::NotRefreshed)?;
    let mut first = None;
    for delegation in top.delegations.iter().flat_map(|d| &d.roles) {
        if delegation.matches_path(&probe)? {
            first = Some(delegation);
            break;
        }
    }
    let Some(first) = first else {
        return Err(OwnerError::Reason(format!("nobody may sign plugins/{name}")));
    };
    if first.name != role || !first.terminating {
        return Err(OwnerError::Reason(format!("plugins/{name} is signed by {}, not by {role}", first.name)));
    }
    let keyids = first.keyids.clone();
    ready(updater.get_target_info(&probe, now))?;
    let Some(targets) = targets(updater, role) else {
        // Delegated, but nothing was published yet.
        return Ok((keyids, BTreeMap::new()));
    };
    Ok((keyids, releases(name, targets)))
}

fn targets<'a>(updater: &'a Updater, role: &str) -> Option<&'a Targets> {
    updater.trusted().targets_role(role)
}

/// The complete releases of `name` that a role signs. A release with a missing or malformed part does not exist.
fn releases(name: &PluginName, targets: &Targets) -> BTreeMap<Version, Release> {
    let prefix = format!("plugins/{name}/");
    let mut found = BTreeMap::new();
    for path in targets.targets.keys() {
        let Some(text) = path.strip_prefix(&prefix).and_then(|p| p.strip_suffix("/plugin.wasm")) else {
            continue;
        };
        let Ok(version) = Version::parse(text) else { continue };
        if let Some(release) = release(&format!("{prefix}{text}"), version.clone(), targets) {
            found.insert(version, release);
        }
    }
    found
}

fn release(folder: &str, version: Version, targets: &Targets) -> Option<Release> {
    #[derive(Deserialize)]
    struct Custom {
        abi: Version,
    }
    let file = |name: &str| {
        let path = format!("{folder}/{name}");
        file_ref(&path, targets.target(&path)?)
    };
    let custom = targets.target(&format!("{folder}/plugin.wasm"))?.custom.clone()?;
    let Custom { abi } = serde_json::from_value(custom).ok()?;
    Some(Release {
        version,
        abi,
        wasm: file("plugin.wasm")?,
        manifest: file("plugin.toml")?,
        commands: file("command.json")?,
        yanked: false,
        blocked: None,
    })
}

fn file_ref(path: &str, target: &TargetFile) -> Option<FileRef> {
    let sha256 = Digest::parse(target.hashes.get("sha256")?).ok()?;
    Some(FileRef { path: path.to_owned(), sha256, length: target.length })
}

/// What is kept of a registry between runs: the files of the last complete refresh, as they were signed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    format: Format<1>,
    /// The latest time at which its signatures were found valid.
    last_seen: Timestamp,
    /// Verified once already; verified again from the pinned root on every use.
    files: BTreeMap<String, String>,
}

impl State {
    fn load(home: &Home, id: &RegistryId) -> Result<Option<Self>> {
        let path = home.registry_state(id).join("state.json");
        let Some(bytes) = files::read_own(&path, MAX_STATE)? else { return Ok(None) };
        files::parse_versioned(&path.display().to_string(), &bytes, 1).map(Some)
    }

    fn check_clock(&self, id: &RegistryId, now: Timestamp) -> Result<()> {
        if now.saturating_add(CLOCK_SLACK).unwrap_or(Timestamp::MAX) < self.last_seen {
            return Err(Error::ClockWentBack { registry: id.clone(), now, last_seen: self.last_seen });
        }
        Ok(())
    }

    /// Replaces the state, unless another process has meanwhile stored a newer one.
    fn commit(home: &Home, id: &RegistryId, memory: &Memory, now: Timestamp) -> Result<()> {
        let dir = home.registry_state(id);
        files::private_dir(&dir)?;
        let lock = files::open_lock(&dir.join("state.lock"))?;
        lock.lock().map_err(|e| Error::writing(&dir, e))?;
        let mut new = Self { format: Format, last_seen: now, files: memory.texts() };
        if let Some(old) = Self::load(home, id)? {
            if old.versions() > new.versions() {
                return Ok(());
            }
            new.last_seen = now.max(old.last_seen);
        }
        files::write_json(&dir.join("state.json"), &new)
    }

    /// Root and timestamp version: what orders two states.
    fn versions(&self) -> (u64, u64) {
        let version =
            |name: &str| self.files.get(name).and_then(|text| signed_version(text)).unwrap_or_default();
        (version("root.json"), version("timestamp.json"))
    }
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
struct Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Memory {
    fn from_state(state: Option<&State>) -> Self {
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
struct Remembering {
    transport: Transport,
    memory: Memory,
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
struct Offline(Memory);

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

/// Runs a future whose every wait is a blocking call, so it is always ready.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::yield_now();
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Sorts a TUF error into: did not arrive, came too late, or must not be trusted.
fn from_tuf(id: &RegistryId, error: &TufError) -> Error {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(current) = cause {
        if let Some(failure) = current.downcast_ref::<Failure>() {
            return from_failure(id, failure);
        }
        cause = current.source();
    }
    let registry = id.clone();
    match error {
        TufError::Transport { message, .. } => Error::Unreachable { registry, reason: message.clone() },
        _ => Error::Untrusted { registry, reason: chain(error) },
    }
}

pub(crate) fn from_failure(id: &RegistryId, failure: &Failure) -> Error {
    let (registry, reason) = (id.clone(), failure.to_string());
    match failure {
        Failure::Unreachable(_) => Error::Unreachable { registry, reason },
        Failure::TimedOut { .. } => Error::TimedOut { registry, reason },
        Failure::TooLong { .. } | Failure::BadPath(_) => Error::Untrusted { registry, reason },
    }
}
