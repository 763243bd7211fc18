//! `kf use`: sets the namespace for commands that do not name one.
//!
//! kf stores the namespace, one per cluster, and never writes a kubeconfig, so other programs are not affected.

use std::collections::BTreeSet;

use kf_plugin_sdk::namespaces::{self, Lookup};
use kf_plugin_sdk::prelude::*;
use serde::Serialize;

/// The argument for the previous namespace.
const PREVIOUS: &str = "-";

/// Set the namespace for later commands
///
/// kf stores it per cluster and does not change your kubeconfig. -n and KF_NAMESPACE take precedence. Without
/// an argument, the current namespace is shown.
#[derive(clap::Parser, Describe)]
#[kf(example("use team-a", "use team-a for later commands"))]
#[kf(example("use -", "switch to the previous namespace"))]
#[kf(example("use", "show the current namespace and where it is set"))]
pub struct Use {
    /// The namespace; - for the previous one
    #[kf(complete = dynamic)]
    #[arg(conflicts_with = "clear")]
    namespace: Option<String>,
    /// Use the kubeconfig's namespace again
    #[arg(long)]
    clear: bool,
}

/// The current namespace.
#[derive(Debug, Serialize, TableRow)]
#[row(name = "format!(\"namespace/{}\", self.namespace)")]
struct InUse {
    namespace: String,
    cluster: Option<String>,
    /// Where it is set.
    from: &'static str,
    #[column(title = "BEFORE")]
    previous: Option<String>,
}

#[kf_plugin_sdk::main(complete = complete)]
pub fn main(arguments: Use, kf: &Kf) -> Result<Exit> {
    match arguments.namespace.as_deref() {
        None if arguments.clear => select(kf, None)?,
        None => kf.record(&in_use(kf)?)?,
        Some(PREVIOUS) => match previous(kf)? {
            Some(namespace) => set(kf, &namespace)?,
            None => select(kf, None)?,
        },
        Some(namespace) => set(kf, namespace)?,
    }
    Ok(Exit::OK)
}

fn in_use(kf: &Kf) -> Result<InUse> {
    let selected = kf.selected()?;
    let context = kf.context();
    let from = match selected.namespace {
        Some(chosen) if chosen == context.namespace => "kf use",
        Some(_) => "-n or KF_NAMESPACE",
        None => "kubeconfig, -n or KF_NAMESPACE",
    };
    Ok(InUse { namespace: context.namespace, cluster: context.cluster, from, previous: selected.previous })
}

/// The previous namespace; `None` if it was the kubeconfig's.
fn previous(kf: &Kf) -> Result<Option<String>> {
    let selected = kf.selected()?;
    if selected.namespace.is_none() && selected.previous.is_none() {
        return Err(Error::not_found("no previous namespace").hint("kf use NAMESPACE"));
    }
    Ok(selected.previous)
}

fn set(kf: &Kf, namespace: &str) -> Result<()> {
    namespaces::check_name(namespace)?;
    check(kf, namespace)?;
    select(kf, Some(namespace))
}

/// Checks that the user can work in the namespace. This does not need permission to read it.
fn check(kf: &Kf, namespace: &str) -> Result<()> {
    match namespaces::lookup(kf, namespace)? {
        Lookup::Missing => Err(namespaces::missing(kf, namespace, kf.command_line())),
        Lookup::Found(found) if namespaces::is_terminating(&found) => {
            Err(Error::failed(format!("namespace {namespace} is being deleted")).hint("kf use NAMESPACE"))
        }
        Lookup::Found(_) if namespaces::may_work_in(kf, namespace)? => Ok(()),
        Lookup::Found(_) => {
            kf.warn(format!("you have no rights in {namespace}: you cannot even list its pods"));
            Ok(())
        }
        Lookup::Forbidden(_) if namespaces::may_work_in(kf, namespace)? => {
            kf.note(format!("you cannot read namespace {namespace} itself, but you have rights in it"));
            Ok(())
        }
        Lookup::Forbidden(error) => Err(error),
    }
}

fn select(kf: &Kf, namespace: Option<&str>) -> Result<()> {
    kf.select(namespace)?;
    let context = kf.context();
    let on = context.cluster.as_ref().map(|cluster| format!(" on {cluster}")).unwrap_or_default();
    if !kf.output_format().is_table() {
        let shown = namespace.map_or(String::new(), str::to_owned);
        let from = if namespace.is_some() { "kf use" } else { "kubeconfig" };
        let previous = (!context.dry_run).then(|| kf.selected()).transpose()?.and_then(|now| now.previous);
        return kf.record(&InUse { namespace: shown, cluster: context.cluster, from, previous });
    }
    let would = if context.dry_run { "would be " } else { "" };
    kf.print_line(match namespace {
        Some(namespace) => format!("namespace/{namespace} {would}in use{on}"),
        None => format!("the kubeconfig's namespace {would}in use{on}"),
    })
}

/// Completes the namespaces that can be listed, and the current and previous ones.
fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    let listed = namespaces::api(kf).list().unwrap_or_default();
    let mut names: BTreeSet<String> = listed.iter().map(|namespace| namespace.name().to_owned()).collect();
    let selected = kf.selected().unwrap_or_default();
    names.extend(selected.namespace);
    names.extend(selected.previous);
    names.retain(|name| name.starts_with(request.word()));
    Ok(names.into_iter().map(|value| Candidate { value, help: None }).collect())
}
