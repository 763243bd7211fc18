//! `kf use`: which namespace commands work in when none is named.
//!
//! kf keeps the choice, one for each cluster, and never writes a kubeconfig: other programs and
//! other shells are not moved along.

use std::collections::BTreeSet;

use kf_plugin_sdk::namespaces::{self, Looked};
use kf_plugin_sdk::prelude::*;
use serde::Serialize;

/// The word for the namespace that was in use before.
const BEFORE: &str = "-";

/// Choose the namespace later commands work in
///
/// The choice is kf's own and holds for the cluster it was made on; your kubeconfig stays as it
/// is. -n and KF_NAMESPACE go before it. Without a name it shows what is in use.
#[derive(clap::Parser, Describe)]
#[kf(example("use team-a", "work in team-a from now on"))]
#[kf(example("use -", "go back to the one before"))]
#[kf(example("use", "show what is in use, and why"))]
pub struct Use {
    /// The namespace; - is the one before
    #[kf(complete = dynamic)]
    #[arg(conflicts_with = "clear")]
    namespace: Option<String>,
    /// Go back to the kubeconfig's namespace
    #[arg(long)]
    clear: bool,
}

/// What is in use, for a person or a program.
#[derive(Debug, Serialize, TableRow)]
#[row(name = "format!(\"namespace/{}\", self.namespace)")]
struct InUse {
    namespace: String,
    cluster: Option<String>,
    /// Why this one.
    from: &'static str,
    #[column(title = "BEFORE")]
    previous: Option<String>,
}

#[kf_plugin_sdk::main(complete = complete)]
pub fn main(arguments: Use, kf: &Kf) -> Result<Exit> {
    match arguments.namespace.as_deref() {
        None if arguments.clear => select(kf, None)?,
        None => kf.record(&in_use(kf)?)?,
        Some(BEFORE) => match before(kf)? {
            Some(namespace) => choose(kf, &namespace)?,
            None => select(kf, None)?,
        },
        Some(namespace) => choose(kf, namespace)?,
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

/// The namespace before the one in use; none if that was the kubeconfig's.
fn before(kf: &Kf) -> Result<Option<String>> {
    let selected = kf.selected()?;
    if selected.namespace.is_none() && selected.previous.is_none() {
        return Err(Error::not_found("no namespace was in use before").hint("kf use NAMESPACE"));
    }
    Ok(selected.previous)
}

fn choose(kf: &Kf, namespace: &str) -> Result<()> {
    namespaces::check_name(namespace)?;
    check(kf, namespace)?;
    select(kf, Some(namespace))
}

/// Whether it can be worked in. Who may not look at a namespace may be allowed to use it.
fn check(kf: &Kf, namespace: &str) -> Result<()> {
    match namespaces::look(kf, namespace)? {
        Looked::Missing => Err(namespaces::missing(kf, namespace, kf.command_line())),
        Looked::There(found) if namespaces::is_terminating(&found) => {
            Err(Error::failed(format!("namespace {namespace} is being deleted")).hint("kf use NAMESPACE"))
        }
        Looked::There(_) if namespaces::may_work_in(kf, namespace)? => Ok(()),
        Looked::There(_) => {
            kf.warn(format!("you may not work in {namespace}: not even list its pods"));
            Ok(())
        }
        Looked::Hidden(_) if namespaces::may_work_in(kf, namespace)? => {
            kf.note(format!("you may not look at the namespace {namespace} itself, but may work in it"));
            Ok(())
        }
        Looked::Hidden(error) => Err(error),
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

/// The namespaces one may list, else those that are known from before.
fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    let listed = namespaces::api(kf).list().unwrap_or_default();
    let mut names: BTreeSet<String> = listed.iter().map(|namespace| namespace.name().to_owned()).collect();
    let selected = kf.selected().unwrap_or_default();
    names.extend(selected.namespace);
    names.extend(selected.previous);
    names.retain(|name| name.starts_with(request.word()));
    Ok(names.into_iter().map(|value| Candidate { value, help: None }).collect())
}
