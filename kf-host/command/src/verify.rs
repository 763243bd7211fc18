//! Checks that what is installed is still what was verified when it was added. Nothing is fetched and nothing is changed.
//!
//! Starting a command checks only what it needs: its receipt, and that no other user could have written the compiled code.
//! This checks everything that kf stores about a command: the bytes in the store against the digests of the receipt, the
//! manifest and the command tree against the receipt, and the release against the last verified state of its registry.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::Timestamp;
use kf_core::{Failure, PluginName, RegistryId};
use kf_registry::index::{Listed, Origin};
use kf_registry::previous::{self, Previous};
use kf_registry::receipt::Receipt;
use kf_registry::store::Store;
use kf_registry::trust::{self, Session};
use kf_registry::{Error, registries, replacement};
use semver::Version;

use crate::code;
use crate::hints::add_again;
use crate::installed::{Commands, Installed};
use crate::rollback::stored;

/// What was found about one command.
#[derive(Debug)]
pub struct Report {
    pub name: PluginName,
    /// None if its receipt cannot be read.
    pub version: Option<Version>,
    pub origin: Option<Origin>,
    /// What is damaged, or no longer as its registry has it.
    pub problems: Vec<Problem>,
    /// What could not be checked, or does not prevent a run.
    pub notes: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    pub what: String,
    /// The command that mends it.
    pub hint: Option<String>,
}

impl Problem {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: Some(hint.into()) }
    }

    fn of(failure: &Failure) -> Self {
        Self { what: failure.message().to_owned(), hint: failure.first_hint().map(str::to_owned) }
    }
}

impl Report {
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Checks the named commands, or all that are added or built in.
///
/// # Errors
///
/// A named command is not installed, or the commands cannot be listed.
pub fn verify(commands: Commands<'_>, names: &[PluginName], now: Timestamp) -> Result<Vec<Report>, Failure> {
    let mut verifier = Verifier { commands, now, registries: BTreeMap::new() };
    let is_wanted = |name: &PluginName| names.is_empty() || names.contains(name);
    let mut reports = Vec::new();
    for (name, named) in commands.list()?.into_iter().filter(|(name, _)| is_wanted(name)) {
        match named {
            Err(error) => {
                let problems = vec![Problem::of(&Failure::from(error))];
                reports.push(Report { name, version: None, origin: None, problems, notes: Vec::new() });
            }
            Ok(named) => {
                // A built-in command that does not run is not used.
                let unused = named.other.filter(|other| !other.origin.is_built_in());
                reports
                    .extend(named.answers.into_iter().chain(unused).map(|receipt| verifier.check(&receipt)));
            }
        }
    }
    reports.extend(lost_replacements(commands)?.into_iter().filter(|report| is_wanted(&report.name)));
    match names.iter().find(|name| reports.iter().all(|report| report.name != **name)) {
        Some(name) => Err(Error::NotInstalled { name: name.clone() }.into()),
        None => Ok(reports),
    }
}

/// Replaced names whose replacement is not installed.
fn lost_replacements(commands: Commands<'_>) -> Result<Vec<Report>, Failure> {
    let mut reports = Vec::new();
    for (name, with) in replacement::list(commands.home)? {
        if commands.named(&with).is_ok_and(|named| named.answers.is_none()) {
            let what = format!("it is replaced by {with}, which is not installed");
            let problems = vec![Problem::new(what, format!("kf command replace {name} --restore"))];
            reports.push(Report { name, version: None, origin: None, problems, notes: Vec::new() });
        }
    }
    Ok(reports)
}

struct Verifier<'a> {
    commands: Commands<'a>,
    now: Timestamp,
    /// The last verified state of each registry, or why there is none.
    registries: BTreeMap<RegistryId, Result<Session, String>>,
}

impl Verifier<'_> {
    fn check(&mut self, receipt: &Receipt) -> Report {
        let mut report = Report {
            name: receipt.name.clone(),
            version: Some(receipt.version.clone()),
            origin: Some(receipt.origin.clone()),
            problems: Vec::new(),
            notes: Vec::new(),
        };
        let startable = Installed::new(receipt.clone()).and_then(|installed| installed.startable());
        report.problems.extend(startable.err().as_ref().map(Problem::of));
        report.problems.extend(self.check_files(receipt));
        report.problems.extend(code::stored(self.commands.home, receipt).err().as_ref().map(Problem::of));
        if let Some(registry) = receipt.origin.registry() {
            match self.listed(registry, &receipt.name) {
                Ok(listed) => report.problems.extend(differs(receipt, registry, listed)),
                Err(why) => report.notes.push(format!("not compared with registry {registry}: {why}")),
            }
        }
        report.notes.extend(receipt.yank().map(|yanked| yanked.to_string()));
        report.notes.extend(self.lost_rollback(receipt));
        report
    }

    /// Checks the stored files against the receipt.
    fn check_files(&self, receipt: &Receipt) -> Vec<Problem> {
        if receipt.origin.is_built_in() {
            let damaged = self.commands.built_in.component(receipt).err();
            return damaged
                .map(|error| Problem::new(error.to_string(), "install kf again"))
                .into_iter()
                .collect();
        }
        let again = add_again(receipt);
        let problem = |error: &Error| Problem::new(error.to_string(), &again);
        let store = match Store::open(self.commands.home) {
            Ok(store) => store,
            Err(error) => return vec![Problem::of(&error.into())],
        };
        let damaged: Vec<Problem> = receipt
            .parts
            .iter()
            .filter_map(|part| store.read(part.kind, part.sha256).err())
            .map(|error| problem(&error))
            .collect();
        match damaged.is_empty() {
            true => stored(&store, receipt).err().iter().map(problem).collect(),
            false => damaged,
        }
    }

    /// Why the user could not go back to the version before.
    fn lost_rollback(&self, receipt: &Receipt) -> Option<String> {
        let lost = |error: Error| format!("`kf command rollback {}` will not work: {error}", receipt.name);
        match previous::of(self.commands.home, receipt) {
            Err(error) => Some(lost(error)),
            Ok(Some(Previous::Added(kept))) => {
                Store::open(self.commands.home).and_then(|store| stored(&store, &kept)).err().map(lost)
            }
            Ok(Some(Previous::BuiltIn) | None) => None,
        }
    }

    /// What the last verified state of a registry says about a command; the error is why that is not known.
    fn listed(&mut self, id: &RegistryId, name: &PluginName) -> Result<Option<&Listed>, String> {
        let session = self.registry(id).map_err(|why| why.to_owned())?;
        session.plugin(name).map_err(|error| error.to_string())
    }

    /// The last verified state of a registry, or why there is none.
    fn registry(&mut self, id: &RegistryId) -> Result<&mut Session, &str> {
        let Commands { home, built_in } = self.commands;
        let found = match self.registries.entry(id.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let session = registries::load(home, built_in, id)
                    .and_then(|registry| trust::cached(home, &registry, self.now));
                unknown.insert(session.map_err(|error| error.to_string()))
            }
        };
        found.as_mut().map_err(|why| why.as_str())
    }
}

/// How an installed release differs from what its registry has.
fn differs(receipt: &Receipt, registry: &RegistryId, listed: Option<&Listed>) -> Option<Problem> {
    let Receipt { name, version, .. } = receipt;
    let ask = || format!("ask the admins of registry {registry}");
    let upgrade = || format!("kf command upgrade {name}");
    let Some(listed) = listed else {
        return Some(Problem::new(format!("registry {registry} no longer lists {name}"), ask()));
    };
    if let Some(problem) = &listed.problem {
        return Some(Problem::new(format!("registry {registry}: {problem}"), ask()));
    }
    let (owner, signer) = (&listed.entry.owner, receipt.origin.owner());
    if let Some(signer) = signer.filter(|signer| *signer != owner) {
        return Some(Problem::new(
            format!("it is signed by {signer}, but {owner} owns {name} now"),
            upgrade(),
        ));
    }
    let Some(release) = listed.releases.get(version) else {
        return Some(Problem::new(format!("registry {registry} no longer has {name} {version}"), upgrade()));
    };
    if release.parts != receipt.parts {
        let what = format!("{owner} now signs other files as {name} {version} in registry {registry}");
        return Some(Problem::new(what, ask()));
    }
    match (&release.blocked, &receipt.blocked) {
        (Some(reason), None) => {
            Some(Problem::new(format!("blocked by registry {registry}: {reason}"), upgrade()))
        }
        _ => None,
    }
}
