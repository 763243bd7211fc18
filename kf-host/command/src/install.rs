//! Adding and upgrading: resolve, fetch, examine, plan; then, once somebody has agreed, apply.
//!
//! Nothing on disk changes before [`Installer::apply`], and there the receipt is written last: whatever
//! goes wrong, what was installed before is still installed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use kf_core::abi::is_supported;
use kf_core::tree::PathArguments;
use kf_core::{Failure, Kind, Permissions, PluginName, RegistryId};
use kf_home::lock::NameLock;
use kf_registry::built_in;
use kf_registry::index::{Origin, Request, Resolved, Want};
use kf_registry::parts::Program;
use kf_registry::receipt::{self, Receipt};
use kf_registry::registries;
use kf_registry::store::Store;
use kf_registry::trust::{self, Fetched, Options, Session};

use crate::code;
use crate::examine::{Bound, Examined, examine};
use crate::installed::{Commands, Installed, unusable};
use crate::local;
use crate::plan::{Change, New, Old, Plan, SignerChange};
use crate::reporter::Reporter;
use crate::reserved::Reserved;
use crate::rights::Rights;

/// What to type where no registry is set up.
pub const ADD_REGISTRY: &str = "kf registry add NAME URL --root root.json";

/// Adds and upgrades. Every registry is refreshed at most once.
pub struct Installer<'a> {
    commands: Commands<'a>,
    reserved: &'a Reserved,
    reporter: Arc<dyn Reporter>,
    now: Timestamp,
    sessions: BTreeMap<RegistryId, Session>,
    /// Why these could not be refreshed: kind, message and hint. Waiting for them once is enough.
    failed: BTreeMap<RegistryId, (Kind, String, Option<String>)>,
}

/// A release that was fetched and examined, and what installing it would change. Nobody else changes what
/// is installed under the name until this is dropped.
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
        Self { commands, reserved, reporter, now, sessions: BTreeMap::new(), failed: BTreeMap::new() }
    }

    /// The release that a request to add means. A name stays with the registry it was added from, and goes
    /// back to an older version only if the request names one. A built-in command is only upgraded, by its own author.
    pub fn resolve(&mut self, request: &Request) -> Result<Resolved, Failure> {
        let name = &request.name;
        let origin = self.commands.named(name)?.answers.map(|old| old.origin);
        let registry = match (&request.registry, &origin) {
            (Some(wanted), Some(Origin::Registry { registry, .. })) if wanted != registry => {
                return Err(stays(name, &format_args!("from registry {registry}"), "registry"));
            }
            (_, Some(Origin::Local { .. })) => return Err(stays(name, &"from a local file", "origin")),
            (Some(wanted), _) => wanted.clone(),
            (None, Some(Origin::Registry { registry, .. })) => registry.clone(),
            (None, Some(Origin::BuiltIn { .. }) | None) => self.registry_with(name)?,
        };
        let resolved = self.resolve_in(&registry, name, &request.want)?;
        match self.commands.named(name)?.answers {
            Some(old) if old.origin.is_built_in() => match is_upgrade(&old, &resolved) {
                true => Ok(resolved),
                false => Err(only_replaced(&old, &format_args!("{registry}/{name}@{}", resolved.version))),
            },
            Some(old) if resolved.version < old.version && !request.names_older_than(&old.version) => {
                Err(goes_back(&old, &resolved))
            }
            _ => Ok(resolved),
        }
    }

    /// The release that a request to replace a built-in command means, whoever signed it.
    pub fn resolve_replacement(&mut self, request: &Request) -> Result<Resolved, Failure> {
        let registry = match &request.registry {
            Some(registry) => registry.clone(),
            None => self.registry_with(&request.name)?,
        };
        self.resolve_in(&registry, &request.name, &request.want)
    }

    /// The release to upgrade an installed command to; none if there is nothing newer. A local file is
    /// upgraded by adding it again.
    pub fn resolve_newer(&mut self, old: &Receipt) -> Result<Option<Resolved>, Failure> {
        match &old.origin {
            Origin::Registry { registry, .. } => {
                Ok(self.session(registry)?.view().newer(&old.name, &old.version, &is_supported)?)
            }
            Origin::BuiltIn { .. } => self.newer_than_built_in(old),
            Origin::Local { .. } => Ok(None),
        }
    }

    /// The newest release of the same author in any registry.
    fn newer_than_built_in(&mut self, old: &Receipt) -> Result<Option<Resolved>, Failure> {
        let mut newest: Option<Resolved> = None;
        for id in registries::list(self.commands.home, self.commands.built_in)? {
            let view = self.session(&id)?.view();
            if !view.plugins.contains_key(&old.name) {
                continue;
            }
            let newer = view.newer(&old.name, &old.version, &is_supported)?;
            let newer = newer.filter(|newer| is_upgrade(old, newer));
            if newer
                .as_ref()
                .is_some_and(|newer| newest.as_ref().is_none_or(|newest| newer.version > newest.version))
            {
                newest = newer;
            }
        }
        Ok(newest)
    }

    /// Fetches and examines a release, to look at it. Nothing is locked and nothing is kept.
    pub fn look(&mut self, resolved: &Resolved) -> Result<(Fetched, Examined), Failure> {
        let fetched = self.fetch(resolved)?;
        let examined = self.examine(&fetched)?;
        Ok((fetched, examined))
    }

    /// Fetches and examines a release; none if it is installed just so.
    pub fn prepare(&mut self, resolved: &Resolved) -> Result<Option<Prepared>, Failure> {
        let (lock, receipt, old) = self.lock(&resolved.name)?;
        if let (Some(receipt), Some(old)) = (&receipt, &old)
            && old.parts == resolved.parts
        {
            // The manifest is the one that is installed, so what it asks for is known.
            let permissions = &receipt.permissions;
            let rights = Rights::parse(permissions)
                .map_err(|error| unusable(receipt, &format_args!("its {error}")))?;
            // And so is its command tree.
            let offer = offer(resolved, rights, permissions, old.paths.clone());
            if Plan::new(Some(old), offer).change == Change::Unchanged {
                return Ok(None);
            }
        }
        let fetched = self.fetch(resolved)?;
        self.examined(lock, old.as_ref(), fetched).map(Some)
    }

    /// Fetches and examines what is to take the place of a built-in command of the same name. All its rights are new, and
    /// another author needs consent even without any.
    pub fn prepare_replacement(&mut self, resolved: &Resolved) -> Result<Prepared, Failure> {
        let (lock, receipt, _) = self.lock(&resolved.name)?;
        let fetched = self.fetch(resolved)?;
        self.replacing(lock, receipt.as_ref(), fetched)
    }

    /// The same with a component of this machine.
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

    /// Reads and examines a component of this machine, with its manifest beside it; none if it is
    /// installed just so. It is asked for its command tree in the sandbox, without any grant.
    pub fn prepare_local(&mut self, path: &Path) -> Result<Option<Prepared>, Failure> {
        let fetched = local::read(path, self.reporter.as_ref())?;
        let (lock, receipt, old) = self.lock(&fetched.resolved.name)?;
        if let Some(registry) = receipt.as_ref().and_then(|receipt| receipt.origin.registry()) {
            let name = &fetched.resolved.name;
            return Err(stays(name, &format_args!("from registry {registry}"), "registry"));
        }
        if let Some(built_in) = receipt.as_ref().filter(|receipt| receipt.origin.is_built_in()) {
            return Err(only_replaced(built_in, &path.display()));
        }
        let prepared = self.examined(lock, old.as_ref(), fetched)?;
        Ok((prepared.plan.change != Change::Unchanged).then_some(prepared))
    }

    /// From here on nobody else changes what is installed under the name.
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
                "{name} {version} is a script, which this kf does not run"
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

    /// Installs what was prepared, with all the rights it asks for. Call it only where the plan needs no
    /// consent, or somebody has given it.
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
        receipt::write(home, lock, &receipt)?;
        Ok(receipt)
    }

    /// The one registry that has the name; a name in several is the user's to decide.
    fn registry_with(&mut self, name: &PluginName) -> Result<RegistryId, Failure> {
        let ids = registries::list(self.commands.home, self.commands.built_in)?;
        if ids.is_empty() {
            return Err(Failure::not_found("no registry is set up").hint(ADD_REGISTRY));
        }
        let mut having = Vec::new();
        for id in &ids {
            if self.session(id)?.view().plugins.contains_key(name) {
                having.push(id.clone());
            }
        }
        match having.as_slice() {
            [one] => Ok(one.clone()),
            [] => match ids.as_slice() {
                // With one registry its own error names what comes near.
                [one] => Ok(one.clone()),
                _ => Err(Failure::not_found(format!("no registry has a command {name}"))
                    .hint("kf command list --available")),
            },
            [first, ..] => {
                let all = having.iter().map(RegistryId::as_str).collect::<Vec<_>>().join(", ");
                Err(Failure::usage(format!("{name} is in several registries: {all}"))
                    .hint(format!("kf command add {first}/{name}")))
            }
        }
    }

    fn resolve_in(
        &mut self,
        registry: &RegistryId,
        name: &PluginName,
        want: &Want,
    ) -> Result<Resolved, Failure> {
        Ok(self.session(registry)?.view().resolve(name, want, &is_supported)?)
    }

    fn session(&mut self, id: &RegistryId) -> Result<&Session, Failure> {
        if !self.sessions.contains_key(id) {
            if let Some((kind, message, hint)) = self.failed.get(id) {
                return Err(Failure::new(*kind, message.clone()).maybe_hint(hint.clone()));
            }
            match refresh(self.commands, id, self.reporter.as_ref(), self.now) {
                Ok(session) => drop(self.sessions.insert(id.clone(), session)),
                Err(error) => {
                    let hint = error.first_hint().map(str::to_owned);
                    self.failed.insert(id.clone(), (error.kind(), error.message().to_owned(), hint));
                    return Err(error);
                }
            }
        }
        self.sessions.get(id).ok_or_else(|| Failure::failed(format!("registry {id} was not refreshed")))
    }

    fn fetch(&mut self, resolved: &Resolved) -> Result<Fetched, Failure> {
        let label = format!("fetching {} {}", resolved.name, resolved.version);
        let _step = self.reporter.begin(&label);
        let registry = resolved.origin.registry().cloned();
        let registry =
            registry.ok_or_else(|| Failure::failed(format!("{} has no registry", resolved.name)))?;
        Ok(self.session(&registry)?.fetch(resolved)?)
    }
}

/// Refreshes a registry with a step that says so.
pub fn refresh(
    commands: Commands<'_>,
    id: &RegistryId,
    reporter: &dyn Reporter,
    now: Timestamp,
) -> Result<Session, Failure> {
    let Commands { home, built_in } = commands;
    let registry = registries::load(home, built_in, id)?;
    let _span = tracing::info_span!("refresh", registry = %id, urls = ?registry.urls).entered();
    let step: Arc<dyn crate::reporter::Step> = reporter.begin(&format!("refreshing registry {id}")).into();
    let mut options = Options::at(now);
    // The session keeps it for what it fetches later. The step ends with the refresh.
    let shown = Arc::downgrade(&step);
    options.progress = {
        let id = id.clone();
        Arc::new(move |event| {
            if let Some(step) = shown.upgrade() {
                step.set(&format!("refreshing registry {id}: {}", event.file), event.received);
            }
        })
    };
    let session = trust::refresh(home, &registry, &options)?;
    built_in::follow(home, built_in, session.view())?;
    Ok(session)
}

fn old(receipt: &Receipt) -> Result<Old, Failure> {
    let accepted = Rights::parse(&receipt.consent.permissions)
        .map_err(|error| unusable(receipt, &format_args!("its {error}")))?;
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

/// Whether a release upgrades a built-in command: it is by the same author, and not older.
fn is_upgrade(built_in: &Receipt, offered: &Resolved) -> bool {
    offered.version >= built_in.version && offered.origin.shares_signer(&built_in.origin)
}

/// The release that was asked for does not upgrade the built-in command.
fn only_replaced(built_in: &Receipt, with: &dyn std::fmt::Display) -> Failure {
    let Receipt { name, version, .. } = built_in;
    Failure::untrusted(format!(
        "{name} {version} is built in, and {with} is not a newer version by its author"
    ))
    .hint(format!("kf command replace {name} --with {with}"))
}

/// What is offered is older than what is installed, and nobody named it.
fn goes_back(old: &Receipt, offered: &Resolved) -> Failure {
    let (name, installed, older) = (&old.name, &old.version, &offered.version);
    let why = match (old.yanked, &old.blocked) {
        (_, Some(_)) => "was blocked by its registry",
        (true, None) => "was withdrawn by its registry",
        (false, None) => "is installed",
    };
    Failure::untrusted(format!("{name} {installed} {why}, and the newest on offer is the older {older}"))
        .hint(format!("kf command add {name}@{older}"))
}

/// A name does not change its origin by itself.
fn stays(name: &PluginName, from: &dyn std::fmt::Display, what: &str) -> Failure {
    Failure::untrusted(format!("{name} was added {from}, and a name stays with its {what}"))
        .hint(format!("kf command remove {name}"))
}

#[cfg(test)]
mod tests;
