//! Refreshing a registry and fetching from it. Everything returned from here is verified.
//!
//! `sigstore-tuf` checks signatures, thresholds, versions, expiry and digests. This module adds what a
//! command line needs besides:
//!
//! * **Rollback protection across processes.** The last complete refresh is stored in one file, replaced in one
//!   rename, so a later process refuses anything older. If that file cannot be read, the refresh fails: without
//!   it, older versions would be accepted. A newer root is kept even if the refresh then fails, so keys that it
//!   revokes are never trusted again.
//! * **Clock checks.** To a clock that was set back, an expired signature looks valid. Even on first use the clock must not
//!   be earlier than the signatures.
//! * **The newest mirror.** Of several URLs, the one with the newest valid state is used, and what is wrong with the others
//!   is reported.
//! * **The right author.** TUF finds *a* role that signed a file. Here it must be the role of the owner that
//!   the admins named in the index.
//! * **Limits.** Every file has a size limit, every operation a deadline.

mod client;
mod fault;
mod loading;
mod mirrors;
mod offers;
mod originals;
mod state;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use kf_core::manifest::Manifest;
use kf_core::{Digest, Kind, PluginName, RegistryId};
use kf_home::Home;
use serde_json::Value;
use sigstore_tuf::metadata::{Role, Targets};
use sigstore_tuf::{Error as TufError, Repository};

pub use self::client::{Client, Locations};
pub use self::fault::Fault;
pub use self::loading::Wanted;
pub use self::mirrors::{Mirror, MirrorState, last_found};
use self::mirrors::{Order, Versions};
pub(crate) use self::originals::Metadata;
pub(crate) use self::state::signed_version;
use self::state::{CachingRepository, LastFile, Memory, OfflineRepository, State};
use self::view::{Reader, part};
pub(crate) use self::view::{mark, releases};
use crate::error::{Error, Result};
use crate::index::{Index, Origin, Resolved, View, signed_at};
use crate::parts::{Part, PartKind};
use crate::receipt;
use crate::registries::Registry;
use crate::split::Prefix;
use crate::transport::{Deadline, Failure, Progress, Transport, Url};

/// How to refresh.
#[derive(Clone)]
pub struct Options {
    /// The time for expiry checks.
    pub now: Timestamp,
    /// For a refresh, all files together.
    pub refresh_limit: Duration,
    /// For fetching one command, all files together.
    pub fetch_limit: Duration,
    /// What a refresh loads.
    pub wanted: Wanted,
    pub progress: Progress,
}

impl Options {
    /// 30 s to refresh, 5 min to fetch, all commands, without progress.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            refresh_limit: Duration::from_secs(30),
            fetch_limit: Duration::from_secs(300),
            wanted: Wanted::All,
            progress: Arc::new(|_| {}),
        }
    }
}

/// A release with its verified files.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub resolved: Resolved,
    pub manifest: Manifest,
    files: BTreeMap<PartKind, Vec<u8>>,
}

impl Fetched {
    /// Checks the files against the digests and lengths of the release, and the manifest against the
    /// release's name, version and ABI.
    pub fn new(resolved: Resolved, files: BTreeMap<PartKind, Vec<u8>>) -> Result<Self> {
        let wanted: Vec<PartKind> = resolved.parts.iter().map(|part| part.kind).collect();
        if !files.keys().all(|kind| wanted.contains(kind)) {
            return Err(Error::Mismatch {
                name: resolved.name,
                reason: "unexpected file in the release".into(),
            });
        }
        for part in resolved.parts.iter() {
            let what = part.kind.noun();
            let bytes = files.get(&part.kind).map(Vec::as_slice).unwrap_or_default();
            let found = Digest::of(bytes);
            if found != part.sha256 {
                return Err(Error::Tampered { what, expected: part.sha256, found });
            }
        }
        let bytes = files.get(&PartKind::Manifest).map(Vec::as_slice).unwrap_or_default();
        let manifest = manifest_of(&resolved, bytes)?;
        Ok(Self { resolved, manifest, files })
    }

    /// The program.
    pub fn program(&self) -> &[u8] {
        self.file(self.resolved.parts.program().kind)
    }

    /// `command.json` as signed.
    pub fn commands(&self) -> &[u8] {
        self.file(PartKind::Commands)
    }

    pub fn file(&self, kind: PartKind) -> &[u8] {
        self.files.get(&kind).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every file, with its kind, digest and length.
    pub fn files(&self) -> impl Iterator<Item = (Part, &[u8])> {
        self.resolved.parts.iter().map(|part| (part, self.file(part.kind)))
    }
}

/// What a release says about itself, verified: its files without the program.
#[derive(Clone, Debug)]
pub struct Description {
    pub manifest: Manifest,
    /// `command.json` as signed.
    pub commands: Vec<u8>,
}

/// The manifest of a release, which must be for its name, version and ABI.
fn manifest_of(resolved: &Resolved, bytes: &[u8]) -> Result<Manifest> {
    let manifest = Manifest::from_bytes(bytes)?;
    let plugin = &manifest.plugin;
    if (&plugin.name, &plugin.version, &plugin.abi) == (&resolved.name, &resolved.version, &resolved.abi) {
        return Ok(manifest);
    }
    let path = PartKind::Manifest.path(&resolved.name, &resolved.version);
    let reason = format!("{path} describes {} {} for ABI {}", plugin.name, plugin.version, plugin.abi);
    Err(Error::Mismatch { name: resolved.name.clone(), reason })
}

/// The verified metadata of one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleStatus {
    /// `root`, `timestamp`, `snapshot`, `targets`, `names-PREFIX` or `author-X`.
    pub name: String,
    pub version: u64,
    /// When it was signed, if it says so.
    pub signed: Option<Timestamp>,
    pub expires: Timestamp,
}

/// How much of the lifetime of a role is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Fresh,
    /// More than half of it has passed: it is time to sign again.
    HalfPassed,
    Expired,
}

impl RoleStatus {
    /// `extra` are the additional fields of the role.
    pub(crate) fn of(name: &str, extra: &BTreeMap<String, Value>, role: &impl Role) -> Self {
        Self {
            name: name.to_owned(),
            version: role.version(),
            signed: signed_at(extra),
            expires: role.expires(),
        }
    }

    pub fn life(&self, now: Timestamp) -> Life {
        if self.expires < now {
            return Life::Expired;
        }
        let is_half_passed =
            self.signed.is_some_and(|signed| now.duration_since(signed) > self.expires.duration_since(now));
        if is_half_passed { Life::HalfPassed } else { Life::Fresh }
    }
}

/// A registry that was refreshed, or loaded from its last refresh.
pub struct Session {
    registry: RegistryId,
    /// The pinned root.
    root: Vec<u8>,
    client: Client,
    /// The files that were verified.
    memory: Memory,
    /// None if nothing can be fetched.
    transport: Option<Arc<Transport>>,
    /// The file that was read last, for errors.
    last_file: LastFile,
    /// The index of targets.
    index: Index,
    /// The indexes of the shards that were read.
    shards: BTreeMap<Prefix, Index>,
    /// The commands that were loaded.
    view: View,
    /// For expiry.
    now: Timestamp,
    /// Where the state is stored; none if it is not.
    home: Option<Home>,
    deadline: Deadline,
    fetch_limit: Duration,
    mirrors: Vec<Mirror>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// Refreshes `registry` from the URL with the newest valid state.
///
/// The state is stored under `home` only if everything was verified, except for newer roots. Blocks and lower ceilings are
/// written to the receipts, so they apply from the next start on, even offline. Refresh before acquiring a
/// [`kf_home::lock::NameLock`]: the receipt of a locked name is not updated.
pub fn refresh(home: &Home, registry: &Registry, options: &Options) -> Result<Session> {
    let state = State::load(home, &registry.id)?;
    if let Some(state) = &state {
        state.check_clock(&registry.id, options.now)?;
    }
    let keep = |memory: &Memory| -> Result<Option<State>> {
        match State::keep_roots(home, &registry.id, memory, registry.root_version()?)? {
            true => State::load(home, &registry.id),
            false => Ok(None),
        }
    };
    let installed = match options.wanted {
        Wanted::All => None,
        Wanted::Installed => Some(receipt::names_from(home, &registry.id)?),
    };
    let (mut session, memory) = from_any(registry, state, installed.as_ref(), options, &keep)?;
    session.home = Some(home.clone());
    memory.take_changed();
    State::commit(home, &registry.id, &memory, options.now)?;
    receipt::update_from(home, session.view())?;
    mirrors::keep(home, &registry.id, &session.mirrors);
    Ok(session)
}

/// Refreshes from the first URL, newest state first, that has a valid state, and loads the `wanted` commands or all. `keep`
/// gets the files of a failed refresh, and returns the state to go on with if it stored any of them.
fn from_any(
    registry: &Registry,
    mut state: Option<State>,
    wanted: Option<&BTreeSet<PluginName>>,
    options: &Options,
    keep: &dyn Fn(&Memory) -> Result<Option<State>>,
) -> Result<(Session, Memory)> {
    let order = Order::ask(registry, state.as_ref(), options);
    let mut failed: Vec<(&Url, Error)> = Vec::new();
    for url in order.urls() {
        let memory = Memory::from_state(state.as_ref());
        let attempted = attempt(registry, url, &memory, wanted, options);
        if attempted.is_err()
            && let Some(kept) = keep(&memory)?
        {
            state = Some(kept);
        }
        match attempted {
            Ok(mut session) => {
                session.mirrors = order.mirrors(url, session.versions(), &failed);
                return Ok((session, memory));
            }
            // To this clock, an older state of another mirror would look valid.
            Err(error @ Error::ClockBehind { .. }) => return Err(error),
            Err(error) => failed.push((url, error)),
        }
    }
    // A failed verification is worth reporting more than missing credentials, and those more than an unreachable mirror.
    let worth = |error: &Error| match error.kind() {
        Kind::Untrusted => 2,
        Kind::Unauthenticated => 1,
        _ => 0,
    };
    let worst = failed
        .into_iter()
        .map(|(_, error)| error)
        .reduce(|earlier, later| if worth(&later) > worth(&earlier) { later } else { earlier });
    Err(worst.unwrap_or_else(|| Error::Unreachable {
        registry: registry.id.clone(),
        reason: "it has no URL".into(),
    }))
}

/// Verifies a registry that is not set up on this machine, with all of its commands, from the URL with the newest valid state.
/// Nothing is stored, so an older state than last time is not noticed before it expires.
pub fn verify(registry: &Registry, options: &Options) -> Result<Session> {
    let (mut session, _) = from_any(registry, None, Some(&BTreeSet::new()), options, &|_| Ok(None))?;
    session.load_all()?;
    Ok(session)
}

/// The state of the last refresh, verified again, including its expiry, with the commands that were loaded by then. Nothing is
/// fetched.
pub fn cached(home: &Home, registry: &Registry, now: Timestamp) -> Result<Session> {
    let Some(state) = State::load(home, &registry.id)?.filter(State::is_complete) else {
        return Err(Error::Unreachable {
            registry: registry.id.clone(),
            reason: "it was never refreshed on this machine".into(),
        });
    };
    state.check_clock(&registry.id, now)?;
    let memory = Memory::from_state(Some(&state));
    let last_file = LastFile::default();
    let mut session = open(
        registry,
        OfflineRepository(memory.clone(), last_file.clone()),
        Files { memory, transport: None, last_file },
        &Options::at(now),
        Deadline::after(Duration::ZERO),
    )?;
    session.home = Some(home.clone());
    session.load_known()?;
    Ok(session)
}

/// When `registry` was last refreshed on this machine.
pub fn last_seen(home: &Home, id: &RegistryId) -> Result<Option<Timestamp>> {
    Ok(State::load(home, id)?.filter(State::is_complete).map(|state| state.last_seen))
}

fn attempt(
    registry: &Registry,
    url: &Url,
    memory: &Memory,
    wanted: Option<&BTreeSet<PluginName>>,
    options: &Options,
) -> Result<Session> {
    let deadline = Deadline::after(options.refresh_limit);
    let transport =
        Arc::new(Transport::new(url, &registry.access, deadline.clone(), options.progress.clone())?);
    let last_file = LastFile::default();
    let repository = CachingRepository {
        transport: Arc::clone(&transport),
        memory: memory.clone(),
        last_file: last_file.clone(),
    };
    let files = Files { memory: memory.clone(), transport: Some(transport), last_file };
    let mut session = open(registry, repository, files, options, deadline)?;
    match wanted {
        None => session.load_everything()?,
        Some(names) => names.iter().try_for_each(|name| session.load_one(name))?,
    }
    Ok(session)
}

/// Where a session has its files from.
struct Files {
    memory: Memory,
    transport: Option<Arc<Transport>>,
    /// The file that was read last, for errors.
    last_file: LastFile,
}

fn open(
    registry: &Registry,
    repository: impl Repository + 'static,
    files: Files,
    options: &Options,
    deadline: Deadline,
) -> Result<Session> {
    let id = &registry.id;
    let mut client = Client::new(id, &registry.root, repository, files.memory.clone())?;
    client.refresh(options.now).map_err(|error| match error {
        Error::Metadata { registry, fault } => {
            Error::Metadata { registry, fault: fault.in_file(&files.last_file.name()) }
        }
        error => error,
    })?;
    let mut reader =
        Reader { registry: id, updater: &mut client.updater, last_file: &files.last_file, now: options.now };
    let (index, view) = reader.view()?;
    Ok(Session {
        registry: id.clone(),
        root: registry.root.clone(),
        client,
        memory: files.memory,
        transport: files.transport,
        last_file: files.last_file,
        index,
        shards: BTreeMap::new(),
        view,
        now: options.now,
        home: None,
        deadline,
        fetch_limit: options.fetch_limit,
        mirrors: Vec::new(),
    })
}

impl Session {
    /// The registry, with the commands that were loaded.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What was found about each address of the registry, if it has several and was refreshed.
    pub fn mirrors(&self) -> &[Mirror] {
        &self.mirrors
    }

    /// The versions of root and timestamp.
    fn versions(&self) -> Versions {
        let trusted = self.client.updater.trusted();
        (trusted.root().version, trusted.timestamp().map_or(0, |timestamp| timestamp.version))
    }

    /// The roles of the registry that were loaded, from the root down, with their age.
    pub fn roles(&self) -> Vec<RoleStatus> {
        let trusted = self.client.updater.trusted();
        let mut roles = vec![RoleStatus::of("root", &trusted.root().extra, trusted.root())];
        roles.extend(trusted.timestamp().map(|role| RoleStatus::of("timestamp", &role.extra, role)));
        roles.extend(trusted.snapshot().map(|role| RoleStatus::of("snapshot", &role.extra, role)));
        roles
            .extend(trusted.targets_role("targets").map(|role| RoleStatus::of("targets", &role.extra, role)));
        let shards = self.shards.keys().map(Prefix::role);
        let owners: BTreeSet<String> = self.view.plugins.values().map(|p| p.entry.owner.role()).collect();
        roles.extend(shards.chain(owners).filter_map(|name| {
            let found = trusted.targets_role(&name)?;
            Some(RoleStatus::of(&name, &found.extra, found))
        }));
        roles
    }

    /// Fetches the manifest and the command tree of a release, checked as in [`Session::fetch`].
    pub fn describe(&self, resolved: &Resolved) -> Result<Description> {
        let role = self.role_of(resolved)?;
        self.deadline.restart(self.fetch_limit);
        let part =
            |part: Part| self.fetch_part(&role, &part.kind.path(&resolved.name, &resolved.version), part);
        let manifest = part(resolved.parts.manifest())?;
        let manifest = manifest_of(resolved, &manifest).map_err(|error| self.not_a_mismatch(error))?;
        Ok(Description { manifest, commands: part(resolved.parts.commands())? })
    }

    /// Fetches one command's files. Each is checked against its signed length and digest before anything parses it.
    pub fn fetch(&self, resolved: &Resolved) -> Result<Fetched> {
        let role = self.role_of(resolved)?;
        self.deadline.restart(self.fetch_limit);
        let mut files = BTreeMap::new();
        // Small files first: they may be refused before the program is fetched.
        let mut parts: Vec<Part> = resolved.parts.iter().collect();
        parts.sort_by_key(|part| part.kind.is_program());
        for wanted in parts {
            let path = wanted.kind.path(&resolved.name, &resolved.version);
            files.insert(wanted.kind, self.fetch_part(&role, &path, wanted)?);
        }
        Fetched::new(resolved.clone(), files).map_err(|error| self.not_a_mismatch(error))
    }

    /// The role that signs a release of this registry.
    fn role_of(&self, resolved: &Resolved) -> Result<String> {
        let Origin::Registry { registry, owner, .. } = &resolved.origin else {
            return Err(self.untrusted(format!("{} is not from a registry", resolved.name)));
        };
        if *registry != self.registry {
            return Err(self.untrusted(format!("{} is from registry {registry}", resolved.name)));
        }
        Ok(owner.role())
    }

    /// A release that does not match its manifest is the registry's fault.
    fn not_a_mismatch(&self, error: Error) -> Error {
        match error {
            Error::Mismatch { reason, .. } => self.untrusted(reason),
            error => view::from_registry(&self.registry, error),
        }
    }

    fn fetch_part(&self, role: &str, path: &str, wanted: Part) -> Result<Vec<u8>> {
        let target = self
            .client
            .updater
            .trusted()
            .targets_role(role)
            .and_then(|role| role.target(path))
            .filter(|target| part(wanted.kind, target) == Some(wanted))
            .ok_or_else(|| self.untrusted(format!("role {role} no longer signs {path}")))?;
        let max = wanted.kind.max_bytes();
        if wanted.length > max {
            return Err(self.untrusted(format!("{path} is {} bytes long, more than {max}", wanted.length)));
        }
        let bytes = ready(self.client.updater.download_target(target, path)).map_err(|e| {
            match from_tuf(&self.registry, &e) {
                Error::NotMirrored { registry, .. } => Error::NotMirrored { registry, file: path.to_owned() },
                error => error,
            }
        })?;
        let found = Digest::of(&bytes);
        if found != wanted.sha256 {
            return Err(self.untrusted(format!("{path} has sha256 {found}, expected {}", wanted.sha256)));
        }
        Ok(bytes)
    }

    fn targets(&self) -> Result<&Targets> {
        let targets = self.client.updater.trusted().targets_role("targets");
        targets.ok_or_else(|| self.untrusted("role targets is missing".into()))
    }

    fn untrusted(&self, reason: String) -> Error {
        Error::Untrusted { registry: self.registry.clone(), reason }
    }
}

/// Runs a future that only makes blocking calls, so it is always ready.
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

/// Turns a TUF error into one for an unreachable, slow or untrusted registry.
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
        _ => Error::Metadata { registry, fault: Fault::of(error) },
    }
}

pub(crate) fn from_failure(id: &RegistryId, failure: &Failure) -> Error {
    let (registry, reason) = (id.clone(), failure.to_string());
    match failure {
        Failure::Unreachable(_) => Error::Unreachable { registry, reason },
        Failure::Missing(file) => Error::NotMirrored { registry, file: file.clone() },
        Failure::TimedOut { .. } => Error::TimedOut { registry, reason },
        Failure::Certificate(_) => Error::UntrustedServer { registry, reason },
        Failure::Unauthenticated(_) => Error::Unauthenticated { registry, reason },
        Failure::Denied(_) => Error::AccessDenied { registry, reason },
        Failure::TooLong { .. } | Failure::BadPath(_) | Failure::Unsafe(_) => {
            Error::Untrusted { registry, reason }
        }
    }
}
