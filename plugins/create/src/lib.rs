//! `kf create`: a namespace to work in.
//!
//! Kubernetes has no self-service: who may make namespaces is the cluster's administrator's
//! decision, and the labels of a namespace decide about its guards. So this command sets one label
//! of its own and nothing else.

use std::time::Duration;

use kf_plugin_sdk::namespaces::{self, Looked};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use serde::Serialize;
use serde_json::json;

const PAUSE: Duration = Duration::from_millis(200);

/// Make a namespace to work in
///
/// Waits until pods can be made in it. Who may make namespaces is decided by the cluster's
/// administrator.
#[derive(clap::Parser, Describe)]
#[kf(example("create team-a", "make a namespace"))]
#[kf(example("create team-a --use", "and work in it from now on"))]
#[kf(example("create team-a --dry-run", "see whether you may"))]
pub struct Create {
    /// The namespace
    namespace: String,
    /// A second word, as kubectl takes one
    #[arg(hide = true)]
    second: Option<String>,
    /// Work in it from now on
    #[arg(long = "use")]
    in_use: bool,
    /// How long to wait until it can be used
    #[arg(long, value_name = "DURATION", default_value = "60s", help_heading = "Waiting")]
    timeout: Span,
}

/// What was made.
#[derive(Debug, Serialize, TableRow)]
#[row(name = "format!(\"namespace/{}\", self.namespace)")]
struct Made {
    namespace: String,
    in_use: bool,
}

#[kf_plugin_sdk::main]
pub fn main(create: Create, kf: &Kf) -> Result<Exit> {
    let name = &create.namespace;
    if let Some(second) = &create.second {
        return Err(only_namespaces(kf, name, second));
    }
    namespaces::check_name(name)?;
    if name.starts_with("kube-") {
        return Err(Error::invalid(format!(
            "namespace `{name}`: names that begin with kube- are Kubernetes' own"
        )));
    }
    if let Looked::There(there) = namespaces::look(kf, name)? {
        return Err(there_already(kf, &there));
    }
    make(kf, name)?;
    let made = Made { namespace: name.clone(), in_use: create.in_use };
    if !kf.context().dry_run {
        wait_until_usable(kf, name, create.timeout.0)?;
        tell_rights(kf, name)?;
    }
    if create.in_use {
        kf.select(Some(name))?;
    }
    let in_use = if create.in_use { ", and in use" } else { "" };
    kf.did_with(format!("namespace/{name} created{in_use}"), &made)?;
    Ok(Exit::OK)
}

/// `kubectl create` takes a kind and a name. This command makes one kind.
fn only_namespaces(kf: &Kf, kind: &str, name: &str) -> Error {
    let error = Error::invalid(format!(
        "kf create makes a namespace and nothing else: it takes one name, not `{kind} {name}`"
    ));
    let line = match kind.to_lowercase().as_str() {
        "namespace" | "namespaces" | "ns" => format!("kf create {name}"),
        "notebook" | "notebooks" | "workspace" | "workspaces" => format!("kf notebook create {name}"),
        "inferenceservice" | "inferenceservices" | "isvc" => format!("kf serve {name}"),
        "experiment" | "experiments" => format!("kf tune {name}"),
        "trainjob" | "trainjobs" | "job" | "jobs" | "pytorchjob" | "tfjob" | "mpijob" => {
            format!("kf train {name}")
        }
        _ => return error,
    };
    error.hint(kf.same_target(&line))
}

fn make(kf: &Kf, name: &str) -> Result<()> {
    let mut namespace = Object::new(&Kind::new("", "Namespace").version("v1"), name);
    namespace.set("/metadata/labels", json!({ "app.kubernetes.io/managed-by": "kf" }));
    match namespaces::api(kf).create(&namespace) {
        // Somebody was quicker, or it is there and may not be looked at.
        Err(error) if error.is(ErrorCode::Conflict) => Err(match namespaces::look(kf, name)? {
            Looked::There(there) => there_already(kf, &there),
            Looked::Missing | Looked::Hidden(_) => error.hint(format!("kf use {name}")),
        }),
        made => made.map(drop),
    }
}

/// Says what is known about the namespace that has the name.
fn there_already(kf: &Kf, there: &Object) -> Error {
    let name = there.name();
    if namespaces::is_terminating(there) {
        let remains = namespaces::remains(there);
        let remains = if remains.is_empty() { String::new() } else { format!(": {}", remains.join("; ")) };
        let message = format!("an earlier namespace {name} is still being deleted{remains}");
        return Error::new(ErrorCode::Conflict, message).hint(format!("kf delete {name}"));
    }
    let age = there.created().map(|made| format!(" since {}", short_duration(made.age(kf.now()))));
    let by = namespaces::kept_by(there).map(|by| format!(", kept by {by}"));
    let message = format!("namespace {name} is there{}{}", age.unwrap_or_default(), by.unwrap_or_default());
    Error::new(ErrorCode::Conflict, message).hint(format!("kf use {name}"))
}

/// Without its default service account no pod can be made in it. Who may not look waits for nothing.
fn wait_until_usable(kf: &Kf, name: &str, limit: Duration) -> Result<()> {
    let accounts = kf.api("ServiceAccount").in_namespace(name);
    let progress = kf.progress(&format!("waiting for {name}: its default service account"));
    let start = kf.now();
    loop {
        match accounts.find("default") {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {}
            Err(error) if error.is(ErrorCode::Forbidden) => return Ok(()),
            Err(error) => return Err(error),
        }
        let waited = start.age(kf.now());
        if waited >= limit {
            let message = format!(
                "namespace {name} is made, but has no default service account after {}",
                short_duration(waited)
            );
            return Err(Error::timed_out(message).hint(format!("kf -n {name} status")));
        }
        progress.say(&format!("waiting for {name}: its default service account, {}", short_duration(waited)));
        kf.sleep(PAUSE);
    }
}

/// Making a namespace gives nobody rights in it.
fn tell_rights(kf: &Kf, name: &str) -> Result<()> {
    if !namespaces::may_work_in(kf, name)? {
        let who = kf.whoami().map_or_else(|_| "USER".to_owned(), |identity| identity.username);
        kf.warn(format!(
            "you have no rights in {name} yet; ask an administrator: kubectl create rolebinding {who} --clusterrole edit --user {who} -n {name}"
        ));
    }
    Ok(())
}
