//! Adding and upgrading: resolve, fetch, examine, plan; then, once somebody has agreed, apply.
//!
//! Nothing on disk changes before [`Installer::apply`], and there the receipt is written last: whatever
//! goes wrong, what was installed before is still installed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kf_core::abi::is_supported;
use kf_core::{Failure, PluginName, RegistryId};
use kf_home::Home;
use kf_home::lock::NameLock;
use kf_registry::index::{Request, Resolved, Want};
use kf_registry::receipt::{self, Receipt};
use kf_registry::registries;
use kf_registry::store::Store;
use kf_registry::trust::{self, Fetched, Options, Session};
use semver::VersionReq;

use crate::code;
use crate::examine::{Examined, examine};
use crate::installed::unusable;
use crate::plan::{Change, Content, New, Old, Plan};
use crate::reporter::Reporter;
use crate::reserved::Reserved;
use crate::rights::Rights;

/// Adds and upgrades. Every registry is refreshed at most once.
pub struct Installer<'a> {
    home: &'a Home,
    reserved: &'a Reserved,
    reporter: Arc<dyn Reporter>,
    now: Timestamp,
    sessions: BTreeMap<RegistryId, Session>,
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
    pub fn new(home: &'a Home, reserved: &'a Reserved, reporter: Arc<dyn Reporter>, now: Timestamp) -> Self {
        Self { home, reserved, reporter, now, sessions: BTreeMap::new() }
    }

    /// The release that a request to add means. A name stays with the registry it was added from.
    pub fn resolve(&mut self, request: &Request) -> Result<Resolved, Failure> {
        let old = receipt::read(self.home, &request.name)?;
        let registry = match (&request.registry, &old) {
            (Some(wanted), Some(old)) if *wanted != old.origin.registry => {
                return Err(Failure::untrusted(format!(
                    "{} was added from registry {}, and a name stays with its registry",
                    old.name, old.origin.registry
                ))
                .hint(format!("kf command remove {}", old.name)));
            }
            (Some(wanted), _) => wanted.clone(),
            (None, Some(old)) => old.origin.registry.clone(),
            (None, None) => self.registry_with(&request.name)?,
        };
        self.resolve_in(&registry, &request.name, &request.want)
    }

    /// The release to upgrade an installed command to; none if there is nothing newer.
    pub fn resolve_newer(&mut self, old: &Receipt) -> Result<Option<Resolved>, Failure> {
        let newest = Want::Newest(VersionReq::STAR);
        let resolved = self.resolve_in(&old.origin.registry, &old.name, &newest)?;
        Ok((resolved.version > old.version).then_some(resolved))
    }

    /// Fetches and examines a release; none if it is installed just so.
    pub fn prepare(&mut self, resolved: &Resolved) -> Result<Option<Prepared>, Failure> {
        let Resolved { name, version, .. } = resolved;
        let lock = NameLock::try_acquire(self.home, name)?;
        let receipt = receipt::read(self.home, name)?;
        let old = receipt.as_ref().map(old).transpose()?;
        let content = Content {
            program: resolved.wasm.sha256,
            manifest: resolved.manifest.sha256,
            commands: resolved.commands.sha256,
        };
        if let (Some(receipt), Some(old)) = (&receipt, &old)
            && old.content == content
        {
            // The manifest is the one that is installed, so what it asks for is known.
            let permissions = &receipt.permissions;
            let rights = Rights::parse(permissions)
                .map_err(|error| unusable(receipt, &format_args!("its {error}")))?;
            let consent = receipt::consent_digest(content.program, permissions);
            let plan = Plan::new(Some(old), New { version: version.clone(), content, rights, consent });
            if plan.change == Change::Unchanged {
                return Ok(None);
            }
        }
        let fetched = self.fetch(resolved)?;
        let examined =
            examine(&fetched.wasm, &fetched.manifest, &fetched.commands, &resolved.ceiling, self.reserved)
                .map_err(|error| {
                    Failure::untrusted(format!("{name} {version} is refused: {error}")).caused_by(error)
                })?;
        let new = New {
            version: version.clone(),
            content,
            rights: examined.rights.clone(),
            consent: receipt::consent_digest(content.program, &fetched.manifest.permissions),
        };
        let plan = Plan::new(old.as_ref(), new);
        Ok(Some(Prepared { lock, fetched, examined, plan }))
    }

    /// Installs what was prepared, with all the rights it asks for. Call it only where the plan needs no
    /// consent, or somebody has given it.
    pub fn apply(&self, prepared: &Prepared) -> Result<Receipt, Failure> {
        let Prepared { lock, fetched, .. } = prepared;
        let store = Store::open(self.home)?;
        store.put(fetched)?;
        let Resolved { name, wasm, .. } = &fetched.resolved;
        let compiled =
            code::compile(self.reporter.as_ref(), &store, name.as_str(), wasm.sha256, &fetched.wasm)?;
        let receipt = Receipt::new(fetched, Some(compiled), self.now)?;
        receipt::write(self.home, lock, &receipt)?;
        Ok(receipt)
    }

    /// The one registry that has the name; a name in several is the user's to decide.
    fn registry_with(&mut self, name: &PluginName) -> Result<RegistryId, Failure> {
        let ids = registries::list(self.home)?;
        if ids.is_empty() {
            return Err(
                Failure::not_found("no registry is set up").hint("kf registry add NAME URL --root root.json")
            );
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
            let session = refresh(self.home, id, self.reporter.as_ref(), self.now)?;
            self.sessions.insert(id.clone(), session);
        }
        self.sessions.get(id).ok_or_else(|| Failure::failed(format!("registry {id} was not refreshed")))
    }

    fn fetch(&mut self, resolved: &Resolved) -> Result<Fetched, Failure> {
        let label = format!("fetching {} {}", resolved.name, resolved.version);
        let _step = self.reporter.begin(&label);
        Ok(self.session(&resolved.registry)?.fetch(resolved)?)
    }
}

/// Refreshes a registry with a step that says so.
pub fn refresh(
    home: &Home,
    id: &RegistryId,
    reporter: &dyn Reporter,
    now: Timestamp,
) -> Result<Session, Failure> {
    let registry = registries::load(home, id)?;
    let step: Arc<dyn crate::reporter::Step> = reporter.begin(&format!("refreshing registry {id}")).into();
    let mut options = Options::at(now);
    options.progress = {
        let id = id.clone();
        Arc::new(move |event| step.set(&format!("refreshing registry {id}: {}", event.file), event.received))
    };
    Ok(trust::refresh(home, &registry, &options)?)
}

fn old(receipt: &Receipt) -> Result<Old, Failure> {
    let accepted = Rights::parse(&receipt.consent.permissions)
        .map_err(|error| unusable(receipt, &format_args!("its {error}")))?;
    Ok(Old { version: receipt.version.clone(), content: Content::of(receipt), accepted })
}
