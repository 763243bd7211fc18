//! Adding and upgrading: find, fetch, check, show, ask, compile, record.
//!
//! Nothing on disk changes before the answer is yes, and the receipt is written last: whatever
//! goes wrong, what was installed before is still installed.

use std::collections::BTreeMap;
use std::sync::Arc;

use kf_core::Kind;
use kf_core::abi::is_supported;
use kf_core::size::Decimal;
use kf_core::{PluginName, RegistryId};
use kf_home::lock::NameLock;
use kf_registry::index::{Request, Resolved, Want};
use kf_registry::receipt::{self, Receipt};
use kf_registry::registries;
use kf_registry::store::Store;
use kf_registry::trust::{self, Fetched, Options, Session};
use semver::{Version, VersionReq};

use super::code;
use super::consent::{Answer, Question};
use super::examine::{Examined, examine};
use super::rights::{self, Rights};
use crate::app::App;
use crate::cluster;
use crate::error::{CliError, Result};
use crate::ui::Progress;

/// What came of a request.
pub enum Outcome {
    Installed { name: PluginName, version: Version },
    Unchanged { name: PluginName, version: Version },
}

/// One run of `kf command`: every registry is refreshed at most once.
pub struct Installer<'a> {
    app: &'a App,
    answer: &'a Answer,
    sessions: BTreeMap<RegistryId, Session>,
}

impl<'a> Installer<'a> {
    pub fn new(app: &'a App, answer: &'a Answer) -> Self {
        Self { app, answer, sessions: BTreeMap::new() }
    }

    pub fn add(&mut self, request: &Request) -> Result<Outcome> {
        let old = receipt::read(&self.app.home, &request.name)?;
        let registry = match (&request.registry, &old) {
            (Some(wanted), Some(old)) if *wanted != old.origin.registry => {
                return Err(CliError::untrusted(format!(
                    "{} was added from registry {}, and a name stays with its registry",
                    old.name, old.origin.registry
                ))
                .hint(format!("kf command remove {}", old.name)));
            }
            (Some(wanted), _) => wanted.clone(),
            (None, Some(old)) => old.origin.registry.clone(),
            (None, None) => self.registry_with(&request.name)?,
        };
        let resolved = self.resolve(&registry, &request.name, &request.want)?;
        self.install(&resolved, false)
    }

    /// With `dry_run` the difference is shown and nothing is changed.
    pub fn upgrade(&mut self, name: &PluginName, dry_run: bool) -> Result<Outcome> {
        let old = receipt::require(&self.app.home, name)?;
        let registry = old.origin.registry.clone();
        let resolved = self.resolve(&registry, name, &Want::Newest(VersionReq::STAR))?;
        if resolved.version <= old.version {
            return Ok(Outcome::Unchanged { name: name.clone(), version: old.version });
        }
        self.install(&resolved, dry_run)
    }

    /// From here on nobody else changes what is installed under the name.
    fn install(&mut self, resolved: &Resolved, dry_run: bool) -> Result<Outcome> {
        let Resolved { name, version, .. } = resolved;
        let lock = NameLock::try_acquire(&self.app.home, name)?;
        let old = receipt::read(&self.app.home, name)?;
        let old = old.as_ref();
        if old.is_some_and(|old| old.version == *version && old.wasm.sha256 == resolved.wasm.sha256) {
            return Ok(Outcome::Unchanged { name: name.clone(), version: version.clone() });
        }
        let fetched = self.fetch(resolved)?;
        let examined = examine(&fetched.wasm, &fetched.manifest, &fetched.commands, &resolved.ceiling)
            .map_err(|error| CliError::untrusted(format!("{name} {version} is refused: {error}")))?;
        self.show(old, &fetched, &examined)?;
        if dry_run {
            self.app.ui.note("Nothing was changed.");
            return Ok(Outcome::Installed { name: name.clone(), version: version.clone() });
        }
        self.ask(old, &fetched, &examined)?;
        self.record(&lock, &fetched)?;
        Ok(Outcome::Installed { name: name.clone(), version: version.clone() })
    }

    /// The rights, or how they grow, and which of them the user holds.
    fn show(&self, old: Option<&Receipt>, fetched: &Fetched, examined: &Examined) -> Result<()> {
        let ui = &self.app.ui;
        let resolved = &fetched.resolved;
        let (name, version) = (&resolved.name, &resolved.version);
        let size = Decimal(resolved.wasm.length);
        let digest = resolved.wasm.sha256.short();
        if let Some(old) = old {
            ui.note(&format!(
                "{name} {} → {version} by {} ({size}, sha256 {digest})",
                old.version, resolved.owner
            ));
            let accepted = accepted(old)?;
            let growth = accepted.growth(&examined.rights);
            let unchanged = examined.rights.count() - growth.count();
            rights::show(ui, &rights::growth_lines(&growth, unchanged));
        } else {
            ui.note(&format!("{name} {version} by {} ({size}, sha256 {digest})", resolved.owner));
            rights::show(ui, &rights::lines(name.as_str(), &examined.rights, &examined.tree));
        }
        if resolved.yanked {
            ui.warn(&format!("{name} {version} was withdrawn by its registry"));
        }
        if !examined.rights.rules.is_empty() {
            cluster::show_own_rights(self.app, &examined.rights.rules);
        }
        Ok(())
    }

    fn ask(&self, old: Option<&Receipt>, fetched: &Fetched, examined: &Examined) -> Result<()> {
        let Resolved { name, version, wasm, .. } = &fetched.resolved;
        let (action, retry, grows) = match old {
            None => (
                format!("add {name}"),
                format!("kf command add {name}@{version}"),
                !examined.rights.is_empty(),
            ),
            Some(old) => {
                let growth = accepted(old)?.growth(&examined.rights);
                (
                    format!("upgrade {name} and let it {}", rights::in_words(&growth)),
                    format!("kf command add {name}@{version}"),
                    !growth.is_empty(),
                )
            }
        };
        let digest = receipt::consent_digest(wasm.sha256, &fetched.manifest.permissions);
        self.answer.ask(&self.app.ui, &Question { action: &action, digest, grows, retry: &retry })
    }

    fn record(&self, lock: &NameLock, fetched: &Fetched) -> Result<()> {
        let store = Store::open(&self.app.home)?;
        store.put(fetched)?;
        let name = fetched.resolved.name.as_str();
        let digest = fetched.resolved.wasm.sha256;
        let compiled = code::compile(&self.app.ui, &store, name, digest, &fetched.wasm)?;
        let receipt = Receipt::new(fetched, Some(compiled), App::now())?;
        Ok(receipt::write(&self.app.home, lock, &receipt)?)
    }

    /// The one registry that has the name; a name in several is the user's to decide.
    fn registry_with(&mut self, name: &PluginName) -> Result<RegistryId> {
        let ids = registries::list(&self.app.home)?;
        if ids.is_empty() {
            return Err(CliError::not_found("no registry is set up")
                .hint("kf registry add NAME URL --root root.json"));
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
                _ => Err(CliError::not_found(format!("no registry has a command {name}"))
                    .hint("kf command list --available")),
            },
            [first, ..] => {
                let all = having.iter().map(RegistryId::as_str).collect::<Vec<_>>().join(", ");
                Err(CliError::usage(format!("{name} is in several registries: {all}"))
                    .hint(format!("kf command add {first}/{name}")))
            }
        }
    }

    fn resolve(&mut self, registry: &RegistryId, name: &PluginName, want: &Want) -> Result<Resolved> {
        Ok(self.session(registry)?.view().resolve(name, want, &is_supported)?)
    }

    fn session(&mut self, id: &RegistryId) -> Result<&Session> {
        if !self.sessions.contains_key(id) {
            let session = refresh(self.app, id)?;
            self.sessions.insert(id.clone(), session);
        }
        self.sessions
            .get(id)
            .ok_or_else(|| CliError::new(Kind::Failed, format!("registry {id} was not refreshed")))
    }

    fn fetch(&mut self, resolved: &Resolved) -> Result<Fetched> {
        let _progress =
            self.app.ui.progress(&format!("fetching {} {}", resolved.name, resolved.version), None);
        Ok(self.session(&resolved.registry)?.fetch(resolved)?)
    }
}

/// Refreshes a registry with a line that says so to a waiting person.
pub fn refresh(app: &App, id: &RegistryId) -> Result<Session> {
    let registry = registries::load(&app.home, id)?;
    let progress: Arc<Progress> = Arc::new(app.ui.progress(&format!("refreshing registry {id}"), None));
    let mut options = Options::at(App::now());
    options.progress = {
        let progress = Arc::clone(&progress);
        let id = id.clone();
        Arc::new(move |event| {
            progress.set(&format!("refreshing registry {id}: {}", event.file), event.received)
        })
    };
    Ok(trust::refresh(&app.home, &registry, &options)?)
}

fn accepted(receipt: &Receipt) -> Result<Rights> {
    Rights::parse(&receipt.consent.permissions).map_err(|error| {
        CliError::untrusted(format!("the receipt of {} cannot be used: its {error}", receipt.name))
    })
}
