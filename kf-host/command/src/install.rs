//! Adding and upgrading: resolve, fetch, examine, plan and, after consent, apply.
//!
//! Nothing on disk changes before [`Installer::apply`], which writes the receipt last: if it fails, the old
//! version stays installed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use kf_core::abi::is_supported;
use kf_core::tree::PathArguments;
use kf_core::{CollectionName, Failure, Kind, Permissions, PluginName, RegistryId};
use kf_home::Home;
use kf_home::lock::NameLock;
use kf_registry::built_in;
use kf_registry::index::{Origin, Request, Resolved, Want};
use kf_registry::parts::{Part, Program};
use kf_registry::previous::{self, Previous};
use kf_registry::receipt::{self, Receipt};
use kf_registry::registries::{self, Registry};
use kf_registry::store::Store;
use kf_registry::trust::{self, Fetched, Options, Session, Wanted};
use semver::VersionReq;

use crate::code;
use crate::examine::{Bound, Examined, examine};
use crate::hints;
use crate::installed::{Commands, Installed, invalid_receipt};
use crate::local;
use crate::plan::{Change, New, Old, Plan, SignerChange};
use crate::reporter::Reporter;
use crate::reserved::Reserved;
use crate::rights::Rights;
use crate::rollback;
use crate::updates;

/// The command line to add a registry, for hints.
pub const ADD_REGISTRY: &str = "kf registry add NAME URL --root root.json";

/// Adds and upgrades. Every registry is refreshed at most once.
pub struct Installer<'a> {
    commands: Commands<'a>,
    reserved: &'a Reserved,
    reporter: Arc<dyn Reporter>,
    now: Timestamp,
    sessions: BTreeMap<RegistryId, Session>,
    /// Whether nothing is fetched: registries are as of their last refresh, and files come from the store.
    offline: bool,
    /// Registries that could not be refreshed, with kind, message and hint, so that none is tried twice.
    failed: BTreeMap<RegistryId, (Kind, String, Option<String>)>,
}

/// A release that was fetched and examined, and what installing it would change. It holds the lock of the
/// name until it is dropped.
pub struct Prepared {
    lock: NameLock,
    pub fetched: Fetched,
    pub examined: Examined,
    pub plan: Plan,
}

impl<'a> Installer<'a> {
    pub fn new(
        commands: Commands<'a>,
        reserved: &'a Reserved,
        reporter: Arc<dyn Reporter>,
        now: Timestamp,
    ) -> Self {
        let (sessions, failed) = (BTreeMap::new(), BTreeMap::new());
        Self { commands, reserved, reporter, now, sessions, offline: false, failed }
    }

    /// Fetches nothing from now on.
    #[must_use]
    pub fn offline(self) -> Self {
        Self { offline: true, ..self }
    }

    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Uses a registry that was refreshed in another way, and fetches its files from there.
    #[must_use]
    pub fn with_session(mut self, session: Session) -> Self {
        self.sessions.insert(session.view().registry.clone(), session);
        self
    }

    /// The release for a request to add. A command keeps the registry that it was added from, and is downgraded only if the
    /// request names an older version. A built-in command is only upgraded, by its own author.
    pub fn resolve(&mut self, request: &Request) -> Result<Resolved, Failure> {
        let name = &request.name;
        let origin = self.commands.named(name)?.answers.map(|old| old.origin);
        let registry = match (&request.registry, &origin) {
            (Some(wanted), Some(Origin::Registry { registry, .. })) if wanted != registry => {
                return Err(origin_is_fixed(name, &format_args!("from registry {registry}"), "registry"));
            }
            (_, Some(Origin::Local { .. })) => {
                return Err(origin_is_fixed(name, &"from a local file", "origin"));
            }
            (Some(wanted), _) => wanted.clone(),
            (None, Some(Origin::Registry { registry, .. })) => registry.clone(),
            (None, Some(Origin::BuiltIn { .. }) | None) => self.registry_with(request)?,
        };
        let resolved = self.resolve_in(&registry, name, &request.want)?;
        match self.commands.named(name)?.answers {
            Some(old) if old.origin.is_built_in() => match is_upgrade(&old, &resolved) {
                true => Ok(resolved),
                false => Err(not_an_upgrade(&old, &resolved)),
            },
            Some(old) if resolved.version < old.version && !request.names_older_than(&old.version) => {
                Err(refused_downgrade(&old, &resolved))
            }
            _ => Ok(resolved),
        }
    }

    /// The release for a request to replace a built-in command, by any author.
    pub fn resolve_replacement(&mut self, request: &Request) -> Result<Resolved, Failure> {
        let registry = match &request.registry {
            Some(registry) => registry.clone(),
            None => self.registry_with(request)?,
        };
        self.resolve_in(&registry, &request.name, &request.want)
    }

    /// Requests for the commands of a collection that are not installed yet, and the names of those that are. Without a
    /// registry, the only one that has such a collection is meant.
    pub fn collection(
        &mut self,
        registry: Option<&RegistryId>,
        name: &CollectionName,
    ) -> Result<(Vec<Request>, Vec<PluginName>), Failure> {
        let ids = match registry {
            Some(registry) => vec![registry.clone()],
            None => registries::list(self.commands.home, self.commands.built_in)?,
        };
        let mut found = Vec::new();
        let mut unknown = None;
        for id in ids {
            match self.session(&id)?.view().collection(name).map(<[PluginName]>::to_vec) {
                Ok(names) => found.push((id, names)),
                Err(error) => unknown = Some(error),
            }
        }
        let (id, names) = match (found.pop(), found.first()) {
            (Some(one), None) => one,
            (Some((last, _)), Some(_)) => {
                return Err(Failure::usage(format!("collection {name} exists in several registries"))
                    .hint(format!("kf command add {last}/@{name}")));
            }
            (None, _) => match unknown {
                Some(error) => return Err(error.into()),
                None => return Err(Failure::not_found("no registry configured").hint(ADD_REGISTRY)),
            },
        };
        let (mut wanted, mut installed) = (Vec::new(), Vec::new());
        for name in names {
            match self.commands.named(&name)?.answers {
                Some(_) => installed.push(name),
                None => wanted.push(Request {
                    registry: Some(id.clone()),
                    name,
                    want: Want::Newest(VersionReq::STAR),
                }),
            }
        }
        Ok((wanted, installed))
    }

    /// The release to upgrade an installed command to; none if there is no newer one. A local file is
    /// upgraded by adding it again.
    pub fn resolve_newer(&mut self, old: &Receipt) -> Result<Option<Resolved>, Failure> {
        match &old.origin {
            Origin::Registry { registry, .. } => {
                Ok(self.session(registry)?.newer(&old.name, &old.version, &is_supported)?)
            }
            Origin::BuiltIn { .. } => self.newer_than_built_in(old),
            Origin::Local { .. } => Ok(None),
        }
    }

    /// The newest release of the same author in any registry.
    fn newer_than_built_in(&mut self, old: &Receipt) -> Result<Option<Resolved>, Failure> {
        let mut newest: Option<Resolved> = None;
        for id in registries::list(self.commands.home, self.commands.built_in)? {
            let session = self.session(&id)?;
            if session.plugin(&old.name)?.is_none() {
                continue;
            }
            let newer = session.newer(&old.name, &old.version, &is_supported)?;
            let newer = newer.filter(|newer| is_upgrade(old, newer));
            if newer
                .as_ref()
                .is_some_and(|newer| newest.as_ref().is_none_or(|newest| newer.version > newest.version))
            {
                newest = newer;
            }
            updates::record_of(self.commands, self.session(&id)?.view(), std::slice::from_ref(old));
        }
        Ok(newest)
    }

    /// Fetches and examines a release without locking or storing anything.
    pub fn preview(&mut self, resolved: &Resolved) -> Result<(Fetched, Examined), Failure> {
        let fetched = self.fetch(resolved)?;
        let examined = self.examine(&fetched)?;
        Ok((fetched, examined))
    }

    /// Fetches and examines a release; none if exactly this is installed, and its files are intact.
    pub fn prepare(&mut self, resolved: &Resolved) -> Result<Option<Prepared>, Failure> {
        let (lock, receipt, old) = self.lock(&resolved.name)?;
        if let (Some(receipt), Some(old)) = (&receipt, &old)
            && old.parts == resolved.parts
        {
            // The manifest is the installed one, so its permissions are known.
            let permissions = &receipt.permissions;
            let rights = Rights::parse(permissions).map_err(|error| invalid_receipt(receipt, &error))?;
            // So is its command tree.
            let offer = offer(resolved, rights, permissions, old.paths.clone());
            if Plan::new(Some(old), offer).change == Change::Unchanged && self.is_stored(receipt) {
                return Ok(None);
            }
        }
        let fetched = self.fetch(resolved)?;
        self.examined(lock, old.as_ref(), fetched).map(Some)
    }

    /// Fetches and examines a replacement for the built-in command of the same name. All its rights are new, and another
    /// author needs consent even if it has none.
    pub fn prepare_replacement(&mut self, resolved: &Resolved) -> Result<Prepared, Failure> {
        let (lock, receipt, _) = self.lock(&resolved.name)?;
        let fetched = self.fetch(resolved)?;
        self.replacing(lock, receipt.as_ref(), fetched)
    }

    /// The same for a component from a local file.
    pub fn prepare_local_replacement(&mut self, path: &Path) -> Result<Prepared, Failure> {
        let fetched = local::read(path, self.reporter.as_ref())?;
        let (lock, receipt, _) = self.lock(&fetched.resolved.name)?;
        self.replacing(lock, receipt.as_ref(), fetched)
    }

    fn replacing(
        &self,
        lock: NameLock,
        receipt: Option<&Receipt>,
        fetched: Fetched,
    ) -> Result<Prepared, Failure> {
        let signer = receipt.and_then(|old| SignerChange::between(&old.origin, &fetched.resolved.origin));
        let prepared = self.examined(lock, None, fetched)?;
        Ok(Prepared { plan: Plan { signer, ..prepared.plan }, ..prepared })
    }

    /// Reads and examines a component from a local file, with its manifest beside it; none if exactly this is
    /// installed. It runs in the sandbox without any grant to get its command tree.
    pub fn prepare_local(&mut self, path: &Path) -> Result<Option<Prepared>, Failure> {
        let fetched = local::read(path, self.reporter.as_ref())?;
        let (lock, receipt, old) = self.lock(&fetched.resolved.name)?;
        if let Some(registry) = receipt.as_ref().and_then(|receipt| receipt.origin.registry()) {
            let name = &fetched.resolved.name;
            return Err(origin_is_fixed(name, &format_args!("from registry {registry}"), "registry"));
        }
        if let Some(built_in) = receipt.as_ref().filter(|receipt| receipt.origin.is_built_in()) {
            return Err(not_an_upgrade(built_in, &fetched.resolved));
        }
        let prepared = self.examined(lock, old.as_ref(), fetched)?;
        Ok((prepared.plan.change != Change::Unchanged).then_some(prepared))
    }

    /// Whether the store has the files of a receipt, undamaged.
    fn is_stored(&self, receipt: &Receipt) -> bool {
        receipt.origin.is_built_in()
            || Store::open(self.commands.home).is_ok_and(|store| rollback::stored(&store, receipt).is_ok())
    }

    /// Locks the name, and reads what is installed under it.
    fn lock(&self, name: &PluginName) -> Result<(NameLock, Option<Receipt>, Option<Old>), Failure> {
        let lock = NameLock::try_acquire(self.commands.home, name)?;
        let receipt = self.commands.named(name)?.answers;
        let old = receipt.as_ref().map(old).transpose()?;
        Ok((lock, receipt, old))
    }

    fn examined(&self, lock: NameLock, old: Option<&Old>, fetched: Fetched) -> Result<Prepared, Failure> {
        let resolved = &fetched.resolved;
        let examined = self.examine(&fetched)?;
        let paths = PathArguments::of(&examined.tree);
        let new = offer(resolved, examined.rights.clone(), &fetched.manifest.permissions, paths);
        let plan = Plan::new(old, new);
        Ok(Prepared { lock, fetched, examined, plan })
    }

    fn examine(&self, fetched: &Fetched) -> Result<Examined, Failure> {
        let resolved = &fetched.resolved;
        let (name, version) = (&resolved.name, &resolved.version);
        if let Program::Script { .. } = resolved.program {
            return Err(Failure::untrusted(format!(
                "{name} {version} is a script: not supported by this kf"
            ))
            .hint("upgrade kf"));
        }
        let bound = match &resolved.origin {
            Origin::Registry { .. } | Origin::BuiltIn { .. } => Bound::Permissions(&resolved.ceiling),
            Origin::Local { .. } => Bound::Local,
        };
        examine(fetched.program(), &fetched.manifest, fetched.commands(), &bound, self.reserved).map_err(
            |error| Failure::untrusted(format!("{name} {version} is refused: {error}")).caused_by(error),
        )
    }

    /// Installs what was prepared, with all the rights that it requests. Call it only if the plan needs no
    /// consent or the user has given it.
    pub fn apply(&self, prepared: &Prepared) -> Result<Receipt, Failure> {
        let Prepared { lock, fetched, .. } = prepared;
        let home = self.commands.home;
        let store = Store::open(home)?;
        store.put(fetched)?;
        let Resolved { name, parts, .. } = &fetched.resolved;
        let digest = parts.program().sha256;
        let compiled =
            code::compile(self.reporter.as_ref(), &store, name.as_str(), digest, fetched.program())?;
        let receipt = Receipt::new(fetched, Some(compiled), self.now)?;
        let ran = self.commands.named(name)?.answers.map(|ran| match ran.origin {
            Origin::BuiltIn { .. } => Previous::BuiltIn,
            Origin::Registry { .. } | Origin::Local { .. } => Previous::Added(Box::new(ran)),
        });
        previous::record(home, lock, &receipt, ran)?;
        receipt::write(home, lock, &receipt)?;
        Ok(receipt)
    }

    /// The only registry that has the name; if several have it, the user has to name one.
    fn registry_with(&mut self, request: &Request) -> Result<RegistryId, Failure> {
        let name = &request.name;
        let ids = registries::list(self.commands.home, self.commands.built_in)?;
        if ids.is_empty() {
            return Err(Failure::not_found("no registry configured").hint(ADD_REGISTRY));
        }
        let mut found = Vec::new();
        for id in &ids {
            if self.session(id)?.plugin(name)?.is_some() {
                found.push(id.clone());
            }
        }
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => match ids.as_slice() {
                // A single registry's own error suggests similar names.
                [one] => Ok(one.clone()),
                _ => Err(Failure::not_found(format!("command {name} not found in any registry"))
                    .hint("kf command list --available")),
            },
            [first, ..] => {
                let all = found.iter().map(RegistryId::as_str).collect::<Vec<_>>().join(", ");
                let named = Request { registry: Some(first.clone()), ..request.clone() };
                Err(Failure::usage(format!("{name} exists in several registries: {all}"))
                    .hint(format!("name the registry: {}", hints::word(&named))))
            }
        }
    }

    fn resolve_in(
        &mut self,
        registry: &RegistryId,
        name: &PluginName,
        want: &Want,
    ) -> Result<Resolved, Failure> {
        Ok(self.session(registry)?.resolve(name, want, &is_supported)?)
    }

    fn session(&mut self, id: &RegistryId) -> Result<&mut Session, Failure> {
        if !self.sessions.contains_key(id) {
            if let Some((kind, message, hint)) = self.failed.get(id) {
                return Err(Failure::new(*kind, message.clone()).maybe_hint(hint.clone()));
            }
            let session = match self.offline {
                true => cached(self.commands, id, self.now),
                false => refresh(self.commands, id, self.reporter.as_ref(), self.now),
            };
            match session {
                Ok(session) => drop(self.sessions.insert(id.clone(), session)),
                Err(error) => {
                    let hint = error.first_hint().map(str::to_owned);
                    self.failed.insert(id.clone(), (error.kind(), error.message().to_owned(), hint));
                    return Err(error);
                }
            }
        }
        self.sessions.get_mut(id).ok_or_else(|| Failure::failed(format!("registry {id} was not refreshed")))
    }

    fn fetch(&mut self, resolved: &Resolved) -> Result<Fetched, Failure> {
        if self.offline {
            return from_store(self.commands.home, resolved);
        }
        let label = format!("fetching {} {}", resolved.name, resolved.version);
        let _step = self.reporter.begin(&label);
        let registry = resolved.origin.registry().cloned();
        let registry =
            registry.ok_or_else(|| Failure::failed(format!("{} is not from a registry", resolved.name)))?;
        Ok(self.session(&registry)?.fetch(resolved)?)
    }
}

/// The state of a registry as of its last refresh. Nothing is fetched.
pub fn cached(commands: Commands<'_>, id: &RegistryId, now: Timestamp) -> Result<Session, Failure> {
    let registry = registries::load(commands.home, commands.built_in, id)?;
    Ok(trust::cached(commands.home, &registry, now)?)
}

/// The files of a release that was installed before.
fn from_store(home: &Home, resolved: &Resolved) -> Result<Fetched, Failure> {
    let Resolved { name, version, .. } = resolved;
    if !home.store().is_dir() {
        let message = format!("cannot add {name} {version} without fetching it: the store is empty");
        return Err(Failure::new(Kind::Unreachable, message));
    }
    let store = Store::open(home)?;
    let read = |part: Part| Ok::<_, kf_registry::Error>((part.kind, store.read(part.kind, part.sha256)?));
    let files = resolved.parts.iter().map(read).collect::<Result<_, _>>().map_err(|error| {
        let kind = match error.kind() {
            Kind::Untrusted => Kind::Untrusted,
            _ => Kind::Unreachable,
        };
        Failure::new(kind, format!("cannot add {name} {version} without fetching it: {error}"))
    })?;
    Ok(Fetched::new(resolved.clone(), files)?)
}

/// Refreshes a registry and reports progress.
pub fn refresh(
    commands: Commands<'_>,
    id: &RegistryId,
    reporter: &dyn Reporter,
    now: Timestamp,
) -> Result<Session, Failure> {
    let registry = registries::load(commands.home, commands.built_in, id)?;
    refresh_from(commands, &registry, reporter, now)
}

/// The same for a registry with other addresses than the configured ones.
pub fn refresh_from(
    commands: Commands<'_>,
    registry: &Registry,
    reporter: &dyn Reporter,
    now: Timestamp,
) -> Result<Session, Failure> {
    let (Commands { home, built_in }, id) = (commands, &registry.id);
    let _span = tracing::info_span!("refresh", registry = %id, urls = ?registry.urls).entered();
    let step: Arc<dyn crate::reporter::Step> = reporter.begin(&format!("refreshing registry {id}")).into();
    let mut options = Options { wanted: Wanted::Installed, ..Options::at(now) };
    // The session keeps the callback for later fetches; the step ends with the refresh.
    let shown = Arc::downgrade(&step);
    options.progress = {
        let id = id.clone();
        Arc::new(move |event| {
            if let Some(step) = shown.upgrade() {
                step.set(&format!("refreshing registry {id}: {}", event.file), event.received);
            }
        })
    };
    let session = trust::refresh(home, registry, &options)?;
    built_in::update_blocks(home, built_in, session.view())?;
    updates::record(commands, session.view());
    for mirror in session.mirrors() {
        if let Some(why) = &mirror.why {
            let (url, state) = (&mirror.url, mirror.state.as_str());
            reporter.warn(&format!("mirror {url} of registry {id} is {state}: {why}"));
        }
    }
    Ok(session)
}

fn old(receipt: &Receipt) -> Result<Old, Failure> {
    let accepted =
        Rights::parse(&receipt.consent.permissions).map_err(|error| invalid_receipt(receipt, &error))?;
    let Installed { tree, .. } = Installed::new(receipt.clone())?;
    Ok(Old {
        version: receipt.version.clone(),
        parts: receipt.parts.clone(),
        accepted,
        paths: PathArguments::of(&tree),
        origin: receipt.origin.clone(),
    })
}

fn offer(resolved: &Resolved, rights: Rights, permissions: &Permissions, paths: PathArguments) -> New {
    let Resolved { version, parts, origin, .. } = resolved;
    let consent = receipt::consent_digest(parts, origin, permissions);
    New { version: version.clone(), parts: parts.clone(), rights, paths, origin: origin.clone(), consent }
}

/// Whether a release upgrades a built-in command: it is by the same author and not older.
pub(crate) fn is_upgrade(built_in: &Receipt, offered: &Resolved) -> bool {
    offered.version >= built_in.version && offered.origin.shares_signer(&built_in.origin)
}

/// The failure for a release that does not upgrade the built-in command.
fn not_an_upgrade(built_in: &Receipt, offered: &Resolved) -> Failure {
    let Receipt { name, version, .. } = built_in;
    let with = hints::release(offered);
    Failure::untrusted(format!(
        "{name} {version} is built in: {with} is not a newer version by the same author"
    ))
    .hint(format!("kf command replace {name} --with {with}"))
}

/// The failure for an offered version that is older than the installed one and was not named.
fn refused_downgrade(old: &Receipt, offered: &Resolved) -> Failure {
    let (name, installed, older) = (&old.name, &old.version, &offered.version);
    let why = match (old.yank(), &old.blocked) {
        (_, Some(_)) => "blocked by its registry".to_owned(),
        (Some(yanked), None) => yanked.to_string(),
        (None, None) => "installed".to_owned(),
    };
    Failure::untrusted(format!("refusing to downgrade {name} from {installed} ({why}) to {older}"))
        .hint(format!("kf command add {}", hints::release(offered)))
}

/// The failure for a request from another origin.
fn origin_is_fixed(name: &PluginName, from: &dyn std::fmt::Display, what: &str) -> Failure {
    Failure::untrusted(format!("{name} was added {from}: remove it first to change its {what}"))
        .hint(format!("kf command remove {name}"))
}

#[cfg(test)]
mod tests;
