//! Going back to the version that was installed before, without a network.
//!
//! The user consented to that version when it was added: to its bytes, its signer and its rights. That consent is in its
//! receipt and still holds, so nothing is asked. It is examined again all the same, because this kf may be newer than the
//! one that added it, and may have no right beyond those that were accepted then. The registry's ceiling of today applies:
//! what the registry no longer allows stays denied. A version that is blocked does not come back.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kf_core::abi::is_supported;
use kf_core::{Failure, PluginName};
use kf_home::Home;
use kf_home::lock::NameLock;
use kf_registry::index::{Origin, Resolved};
use kf_registry::previous::{self, Previous};
use kf_registry::receipt::{self, Receipt};
use kf_registry::store::Store;
use kf_registry::trust::Fetched;
use kf_registry::{Error, built_in, replacement};

use crate::code;
use crate::examine::{Bound, examine};
use crate::hints::add_again;
use crate::installed::{Commands, Installed, Named, supersedes};
use crate::reporter::Reporter;
use crate::reserved::Reserved;
use crate::rights::Rights;

/// The result of [`rollback`].
#[derive(Debug)]
pub struct RolledBack {
    pub from: Receipt,
    /// What runs now.
    pub to: Receipt,
    /// The rights that the version before did not have, as far as the registry allows them.
    pub regained: Rights,
    /// The rights of the version that runs now that its registry no longer allows. They are denied.
    pub above_ceiling: Rights,
}

/// Goes back to what ran before the installed version of a command: an earlier version, or the built-in command.
///
/// # Errors
///
/// Nothing is kept, it is damaged or blocked, or this kf does not support it. Nothing was changed then.
pub fn rollback(
    commands: Commands<'_>,
    reserved: &Reserved,
    reporter: &Arc<dyn Reporter>,
    name: &PluginName,
    now: Timestamp,
) -> Result<RolledBack, Failure> {
    let home = commands.home;
    let lock = NameLock::try_acquire(home, name)?;
    let Named { answers, other } = commands.named(name)?;
    let from = answers.ok_or_else(|| Error::NotInstalled { name: name.clone() })?;
    let kept = if from.origin.is_built_in() { None } else { previous::of(home, &from)? };
    let built_in = other.filter(|other| other.origin.is_built_in());
    let to = match kept {
        None => return Err(nothing_kept(home, &from)?),
        Some(Previous::BuiltIn) => to_built_in(home, &lock, built_in)?,
        Some(Previous::Added(to)) => {
            if let Some(built_in) = built_in.filter(|built_in| supersedes(built_in, &to)) {
                return Err(superseded(&to, &built_in));
            }
            to_added(home, reserved, reporter.as_ref(), &lock, *to, now)?
        }
    };
    let rights = |receipt: &Receipt| Installed::new(receipt.clone())?.rights();
    let now_has = rights(&to)?;
    let above_ceiling = match (&to.origin, Rights::parse(&to.ceiling)) {
        (Origin::Local { .. }, _) => Rights::default(),
        (_, Ok(ceiling)) => ceiling.growth(&now_has),
        (_, Err(_)) => now_has.clone(),
    };
    // The version before may be damaged; that is no reason to keep it.
    let regained = above_ceiling.growth(&rights(&from).unwrap_or_default().growth(&now_has));
    Ok(RolledBack { from, to, regained, above_ceiling })
}

/// Back to the built-in command: without a receipt it runs.
fn to_built_in(home: &Home, lock: &NameLock, built_in: Option<Receipt>) -> Result<Receipt, Failure> {
    let name = lock.name();
    let built_in = built_in.ok_or_else(|| {
        Failure::not_found(format!("{name} was built in before, but this kf has no built-in {name}"))
    })?;
    Installed::new(built_in.clone())?.startable()?;
    built_in::set_enabled(home, lock, true)?;
    receipt::remove(home, lock)?;
    Ok(built_in)
}

/// Back to an earlier version, from the store.
fn to_added(
    home: &Home,
    reserved: &Reserved,
    reporter: &dyn Reporter,
    lock: &NameLock,
    to: Receipt,
    now: Timestamp,
) -> Result<Receipt, Failure> {
    let Receipt { name, version, .. } = &to;
    let again = || add_again(&to);
    to.check_start().map_err(|blocked| Failure::from(blocked).hint(format!("kf command upgrade {name}")))?;
    if !is_supported(&to.abi) {
        return Err(Error::UnsupportedAbi {
            name: name.clone(),
            version: version.clone(),
            abi: to.abi.clone(),
        }
        .into());
    }
    let store = Store::open(home)?;
    let fetched = stored(&store, &to).map_err(|error| {
        Failure::new(error.kind(), format!("cannot go back to {name} {version}: {error}")).hint(again())
    })?;
    let bound = match to.origin {
        Origin::Registry { .. } | Origin::BuiltIn { .. } => Bound::Permissions(&to.consent.permissions),
        Origin::Local { .. } => Bound::Local,
    };
    examine(fetched.program(), &fetched.manifest, fetched.commands(), &bound, reserved).map_err(|error| {
        Failure::untrusted(format!("{name} {version} is refused: {error}")).caused_by(error)
    })?;
    let digest = to.program_digest();
    let compiled = match code::stored(home, &to)? {
        Some(_) => to.compiled.clone(),
        None => Some(code::compile(reporter, &store, name.as_str(), digest, fetched.program())?),
    };
    let receipt = Receipt { at: now, compiled, ..to };
    receipt::write(home, lock, &receipt)?;
    previous::forget(home, lock)?;
    Ok(receipt)
}

/// A release from the store, checked against its receipt.
pub(crate) fn stored(store: &Store, receipt: &Receipt) -> Result<Fetched, Error> {
    let mut files = BTreeMap::new();
    for part in receipt.parts.iter() {
        files.insert(part.kind, store.read(part.kind, part.sha256)?);
    }
    let resolved = Resolved {
        name: receipt.name.clone(),
        version: receipt.version.clone(),
        abi: receipt.abi.clone(),
        summary: receipt.summary.clone(),
        origin: receipt.origin.clone(),
        ceiling: receipt.ceiling.clone(),
        program: receipt.program.clone(),
        parts: receipt.parts.clone(),
        yanked: receipt.yank(),
    };
    let fetched = Fetched::new(resolved, files)?;
    if fetched.manifest.permissions != receipt.permissions {
        let reason = "its manifest requests other permissions than its receipt".to_owned();
        return Err(Error::Mismatch { name: receipt.name.clone(), reason });
    }
    Ok(fetched)
}

fn nothing_kept(home: &Home, from: &Receipt) -> Result<Failure, Failure> {
    let Receipt { name, version, origin, .. } = from;
    let failure = match origin {
        Origin::BuiltIn { .. } => {
            Failure::not_found(format!("{name} {version} is built in: it has no previous version"))
        }
        _ => Failure::not_found(format!("no previous version of {name} {version} is kept")),
    };
    Ok(match (replacement::of(home, name)?, origin) {
        (Some(_), _) => failure.hint(format!("kf command replace {name} --restore")),
        (None, Origin::Registry { registry, .. }) => {
            failure.hint(format!("kf command add {registry}/{name}@VERSION adds another version"))
        }
        (None, _) => failure,
    })
}

fn superseded(to: &Receipt, built_in: &Receipt) -> Failure {
    let (name, older, newer) = (&to.name, &to.version, &built_in.version);
    Failure::untrusted(format!(
        "cannot go back to {name} {older}: the built-in {name} {newer} is newer and would run"
    ))
    .hint(format!("kf command replace {name} --restore"))
}
