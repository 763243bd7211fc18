//! `kf delete`: deletes a namespace and everything in it.
//!
//! A deletion cannot be undone, so a user first sees what is deleted and types the name of the namespace; a
//! script passes it twice. [`inventory`] lists the contents, [`follow`] waits for the deletion, and
//! [`elsewhere`] suggests other commands.

mod elsewhere;
mod follow;
mod inventory;

use kf_plugin_sdk::abi::{DeleteOptions, Propagation};
use kf_plugin_sdk::namespaces::{self, Lookup};
use kf_plugin_sdk::prelude::*;
use serde::Serialize;

use inventory::Inventory;

/// Delete a namespace and everything in it
///
/// Shows what is deleted with it and asks for its name. Waits until it is deleted, and shows what blocks the
/// deletion. Finalizers are never removed.
#[derive(clap::Parser, Describe)]
#[kf(example("delete team-a", "show its contents, ask for the name, and delete it"))]
#[kf(example("delete team-a --confirm team-a", "delete it from a script"))]
#[kf(example("delete team-a --dry-run", "show what would be deleted"))]
pub struct Delete {
    /// The namespace
    #[kf(complete = objects("/Namespace"))]
    namespace: String,
    /// A second argument, as in kubectl
    #[arg(hide = true)]
    second: Option<String>,
    /// The name again, to skip the prompt
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Do not wait until it is deleted
    #[arg(long, help_heading = "Waiting")]
    no_wait: bool,
    /// How long to wait until it is deleted
    #[arg(long, value_name = "DURATION", default_value = "10m", help_heading = "Waiting")]
    timeout: Span,
}

#[kf_plugin_sdk::main]
pub fn main(delete: Delete, kf: &Kf) -> Result<Exit> {
    let name = delete.namespace.as_str();
    elsewhere::check_arguments(kf, name, delete.second.as_deref())?;
    namespaces::check_name(name)?;
    if namespaces::is_kubernetes_own(name) {
        return Err(Error::invalid(format!("namespace {name} is part of Kubernetes; kf does not delete it")));
    }
    let namespace = match namespaces::lookup(kf, name)? {
        Lookup::Found(namespace) => namespace,
        Lookup::Missing => {
            let missing = || namespaces::missing(kf, name, kf.command_line().without("--confirm"));
            return Err(elsewhere::workload_error(kf, name).unwrap_or_else(missing));
        }
        Lookup::Forbidden(error) => return Err(elsewhere::workload_error(kf, name).unwrap_or(error)),
    };
    if namespaces::is_terminating(&namespace) {
        kf.note(format!("{name} is already being deleted"));
    } else {
        Inventory::read(kf, name)?.print(kf, name);
        warn_of_profile(kf, &namespace);
        let options = DeleteOptions {
            propagation: Propagation::Background,
            uid: namespace.uid().map(str::to_owned),
            ..DeleteOptions::default()
        };
        if !kf.context().dry_run {
            check_permission(kf, name, &options)?;
            confirm(kf, &delete)?;
        }
        namespaces::api(kf).delete_with(name, &options)?;
    }
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    if delete.no_wait {
        return report(kf, name, "is being deleted");
    }
    follow::wait_until_deleted(kf, &namespace, delete.timeout.0)?;
    if kf.namespace() == name {
        let choose = kf.same_target("kf use NAMESPACE");
        kf.note(format!("{name} was the current namespace; `{choose}` sets another"));
    }
    report(kf, name, "deleted")
}

/// The result.
#[derive(Debug, Serialize, TableRow)]
#[row(name = "format!(\"namespace/{}\", self.namespace)")]
struct Deleted {
    namespace: String,
    state: &'static str,
}

fn report(kf: &Kf, name: &str, state: &'static str) -> Result<Exit> {
    kf.report_with(format!("namespace/{name} {state}"), &Deleted { namespace: name.to_owned(), state })?;
    Ok(Exit::OK)
}

fn warn_of_profile(kf: &Kf, namespace: &Object) {
    if let Some(profile) = namespaces::profile(namespace) {
        let of = profile.owner.map(|owner| format!(" of {owner}")).unwrap_or_default();
        kf.warn(format!(
            "Profile {0}{of} owns {1} and will recreate it, empty; to delete both, ask your admin to run: kubectl delete profile {0}",
            profile.name,
            namespace.name(),
        ));
    }
}

/// Checks the permission before the user has to type the name.
fn check_permission(kf: &Kf, name: &str, options: &DeleteOptions) -> Result<()> {
    let trial = DeleteOptions { dry_run: true, ..options.clone() };
    match namespaces::api(kf).delete_with(name, &trial) {
        Err(error) if error.is(ErrorCode::Forbidden) => Err(error),
        // Not every webhook supports dry runs; the actual request reports other errors.
        _ => Ok(()),
    }
}

/// Returns only if the user has confirmed the name.
fn confirm(kf: &Kf, delete: &Delete) -> Result<()> {
    let name = &delete.namespace;
    let hint = kf.command_line().set("--confirm", name);
    if let Some(given) = &delete.confirm {
        return match given == name {
            true => Ok(()),
            false => {
                Err(Error::invalid(format!("--confirm is {given}, not {name}: nothing was deleted"))
                    .hint(hint))
            }
        };
    }
    match kf.ask(&format!("Type {name} to delete it:")) {
        Some(typed) if typed == *name => Ok(()),
        Some(_) => Err(Error::failed(format!("cancelled: the name does not match, {name} was not deleted"))),
        None => {
            Err(Error::invalid(format!("not a terminal: refusing to delete {name} without confirmation"))
                .hint(hint))
        }
    }
}
