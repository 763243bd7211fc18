//! `kf delete`: a namespace and all that is in it.
//!
//! Nothing brings a namespace back, so a person sees first what goes with it and types its name;
//! a script says the name twice. [`inventory`] reads what is there, [`follow`] says what the
//! cluster is still waiting for. [`elsewhere`] knows what else may have been meant.

mod elsewhere;
mod follow;
mod inventory;

use kf_plugin_sdk::border::{DeleteOptions, Propagation};
use kf_plugin_sdk::namespaces::{self, Looked};
use kf_plugin_sdk::prelude::*;
use serde::Serialize;

use inventory::Inventory;

/// Delete a namespace and all that is in it
///
/// Shows first what goes with it, and asks for the name. Stays until it is gone, and says what
/// holds it. Finalizers are never removed by force.
#[derive(clap::Parser, Describe)]
#[kf(example("delete team-a", "look at what goes, type the name, and follow it"))]
#[kf(example("delete team-a --confirm team-a", "without a terminal"))]
#[kf(example("delete team-a --dry-run", "only look"))]
pub struct Delete {
    /// The namespace
    #[kf(complete = objects("/Namespace"))]
    namespace: String,
    /// A second word, as kubectl takes one
    #[arg(hide = true)]
    second: Option<String>,
    /// The name once more, instead of typing it
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Do not wait until it is gone
    #[arg(long, help_heading = "Waiting")]
    no_wait: bool,
    /// How long to wait until it is gone
    #[arg(long, value_name = "DURATION", default_value = "10m", help_heading = "Waiting")]
    timeout: Span,
}

#[kf_plugin_sdk::main]
pub fn main(delete: Delete, kf: &Kf) -> Result<Exit> {
    let name = delete.namespace.as_str();
    elsewhere::check_line(kf, name, delete.second.as_deref())?;
    namespaces::check_name(name)?;
    if namespaces::is_kubernetes_own(name) {
        return Err(Error::invalid(format!("namespace {name} is part of Kubernetes; kf does not delete it")));
    }
    let namespace = match namespaces::look(kf, name)? {
        Looked::There(namespace) => namespace,
        Looked::Missing => {
            let missing = || namespaces::missing(kf, name, kf.command_line().without("--confirm"));
            return Err(elsewhere::component_instead(kf, name).unwrap_or_else(missing));
        }
        Looked::Hidden(error) => return Err(elsewhere::component_instead(kf, name).unwrap_or(error)),
    };
    if namespaces::is_terminating(&namespace) {
        kf.note(format!("{name} is being deleted already"));
    } else {
        Inventory::read(kf, name)?.tell(kf, name);
        tell_profile(kf, &namespace);
        let options = DeleteOptions {
            propagation: Propagation::Background,
            uid: namespace.uid().map(str::to_owned),
            ..DeleteOptions::default()
        };
        if !kf.context().dry_run {
            check_rights(kf, name, &options)?;
            confirm(kf, &delete)?;
        }
        namespaces::api(kf).delete_with(name, &options)?;
    }
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    if delete.no_wait {
        return say(kf, name, "is being deleted");
    }
    follow::until_gone(kf, &namespace, delete.timeout.0)?;
    if kf.namespace() == name {
        let choose = kf.same_target("kf use NAMESPACE");
        kf.note(format!("{name} was the namespace of this run; `{choose}` chooses another"));
    }
    say(kf, name, "deleted")
}

/// What became of it.
#[derive(Debug, Serialize, TableRow)]
#[row(name = "format!(\"namespace/{}\", self.namespace)")]
struct Deleted {
    namespace: String,
    state: &'static str,
}

fn say(kf: &Kf, name: &str, state: &'static str) -> Result<Exit> {
    kf.did_with(format!("namespace/{name} {state}"), &Deleted { namespace: name.to_owned(), state })?;
    Ok(Exit::OK)
}

fn tell_profile(kf: &Kf, namespace: &Object) {
    if let Some(profile) = namespaces::profile(namespace) {
        let of = profile.owner.map(|owner| format!(" of {owner}")).unwrap_or_default();
        kf.warn(format!(
            "Profile {0}{of} owns {1} and will make it anew, empty; an administrator deletes both with: kubectl delete profile {0}",
            profile.name,
            namespace.name(),
        ));
    }
}

/// Nobody should type a name only to be refused.
fn check_rights(kf: &Kf, name: &str, options: &DeleteOptions) -> Result<()> {
    let trial = DeleteOptions { dry_run: true, ..options.clone() };
    match namespaces::api(kf).delete_with(name, &trial) {
        Err(error) if error.is(ErrorCode::Forbidden) => Err(error),
        // Not every webhook can be tried out; the real call will tell.
        _ => Ok(()),
    }
}

/// Returns only if the person means it.
fn confirm(kf: &Kf, delete: &Delete) -> Result<()> {
    let name = &delete.namespace;
    let hint = kf.command_line().set("--confirm", name);
    if let Some(given) = &delete.confirm {
        return match given == name {
            true => Ok(()),
            false => Err(Error::invalid(format!("--confirm names {given}, not {name}; nothing was deleted"))
                .hint(hint)),
        };
    }
    match kf.ask(&format!("Type {name} to delete it:")) {
        Some(typed) if typed == *name => Ok(()),
        Some(_) => Err(Error::failed(format!("that is not {name}; nothing was deleted"))),
        None => Err(Error::invalid("nobody can be asked for the name, so nothing was deleted").hint(hint)),
    }
}
