//! `kf create`: creates a namespace.
//!
//! Kubernetes has no self-service: the cluster's admin decides who may create namespaces, and their labels
//! control admission policies. So this command sets one label, `app.kubernetes.io/managed-by`, and nothing else.

use std::time::Duration;

use kf_plugin_sdk::namespaces::{self, Lookup};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use serde::Serialize;
use serde_json::json;

const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Create a namespace
///
/// Waits until pods can be created in it. The cluster's admin decides who may create namespaces.
#[derive(clap::Parser, Describe)]
#[kf(example("create team-a", "create a namespace"))]
#[kf(example("create team-a --use", "create it and use it for later commands"))]
#[kf(example("create team-a --dry-run", "check whether you are allowed to"))]
pub struct Create {
    /// The namespace
    namespace: String,
    /// A second argument, as in kubectl
    #[arg(hide = true)]
    second: Option<String>,
    /// Use it for later commands
    #[arg(long = "use")]
    in_use: bool,
    /// How long to wait until it is ready
    #[arg(long, value_name = "DURATION", default_value = "60s", help_heading = "Waiting")]
    timeout: Span,
}

/// The result.
#[derive(Debug, Serialize, TableRow)]
#[row(name = "format!(\"namespace/{}\", self.namespace)")]
struct Created {
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
            "namespace `{name}`: the prefix kube- is reserved for Kubernetes"
        )));
    }
    if let Lookup::Found(existing) = namespaces::lookup(kf, name)? {
        return Err(exists(kf, &existing));
    }
    create_namespace(kf, name)?;
    let created = Created { namespace: name.clone(), in_use: create.in_use };
    if !kf.context().dry_run {
        wait_until_ready(kf, name, create.timeout.0)?;
        warn_without_rights(kf, name)?;
    }
    if create.in_use {
        kf.select(Some(name))?;
    }
    let in_use = if create.in_use { " and in use" } else { "" };
    kf.report_with(format!("namespace/{name} created{in_use}"), &created)?;
    Ok(Exit::OK)
}

/// The error for `KIND NAME`, as `kubectl create` expects it.
fn only_namespaces(kf: &Kf, kind: &str, name: &str) -> Error {
    let error =
        Error::invalid(format!("kf create creates only namespaces: expected one name, got `{kind} {name}`"));
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

fn create_namespace(kf: &Kf, name: &str) -> Result<()> {
    let mut namespace = Object::new(&Kind::new("", "Namespace").version("v1"), name);
    namespace.set("/metadata/labels", json!({ "app.kubernetes.io/managed-by": "kf" }));
    match namespaces::api(kf).create(&namespace) {
        // It was created in the meantime, or exists and cannot be read.
        Err(error) if error.is(ErrorCode::Conflict) => Err(match namespaces::lookup(kf, name)? {
            Lookup::Found(existing) => exists(kf, &existing),
            Lookup::Missing | Lookup::Forbidden(_) => error.hint(format!("kf use {name}")),
        }),
        created => created.map(drop),
    }
}

/// The error for an existing namespace of the name.
fn exists(kf: &Kf, existing: &Object) -> Error {
    let name = existing.name();
    if namespaces::is_terminating(existing) {
        let remains = namespaces::remains(existing);
        let remains = if remains.is_empty() { String::new() } else { format!(": {}", remains.join("; ")) };
        let message = format!("namespace {name} is still being deleted{remains}");
        return Error::new(ErrorCode::Conflict, message).hint(format!("kf delete {name}"));
    }
    let age = existing.created().map(|time| format!("created {} ago", short_duration(time.age(kf.now()))));
    let manager = namespaces::kept_by(existing).map(|manager| format!("managed by {manager}"));
    let details: Vec<_> = age.into_iter().chain(manager).collect();
    let details = if details.is_empty() { String::new() } else { format!(": {}", details.join(", ")) };
    let message = format!("namespace {name} already exists{details}");
    Error::new(ErrorCode::Conflict, message).hint(format!("kf use {name}"))
}

/// Waits for the default service account, without which pods cannot be created. Does not wait if it cannot be read.
fn wait_until_ready(kf: &Kf, name: &str, limit: Duration) -> Result<()> {
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
                "namespace {name} was created, but has no default service account after {}",
                short_duration(waited)
            );
            return Err(Error::timed_out(message).hint(format!("kf -n {name} status")));
        }
        progress.say(&format!("waiting for {name}: its default service account, {}", short_duration(waited)));
        kf.sleep(POLL_INTERVAL);
    }
}

/// Warns if the user has no rights in the new namespace: creating it gives none.
fn warn_without_rights(kf: &Kf, name: &str) -> Result<()> {
    if !namespaces::may_work_in(kf, name)? {
        let who = kf.whoami().map_or_else(|_| "USER".to_owned(), |identity| identity.username);
        kf.warn(format!(
            "you have no rights in {name} yet; ask your admin to run: kubectl create rolebinding {who} --clusterrole edit --user {who} -n {name}"
        ));
    }
    Ok(())
}
