//! `kf services`: the services of a namespace, and whether they respond.
//!
//! [`targets`] reads the services and their pods; [`list`], [`health`] and [`stats`] each print a table of them.

mod health;
mod list;
mod prometheus;
mod stats;
mod targets;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{WorkloadKind, complete_among};

use targets::Snapshot;

/// List services and check whether they respond
#[derive(clap::Parser, Describe)]
#[kf(example("services list", "list inference services, notebooks and services with their addresses"))]
#[kf(example("services list -A", "list all namespaces"))]
#[kf(example("services health iris", "check the pods of one service"))]
#[kf(example("services stats", "show requests, CPU and memory of each service"))]
pub struct Services {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Describe)]
enum Action {
    /// List services with their addresses and ready endpoints
    List(List),
    /// Check whether the pods respond; exits 1 if one does not
    Health(Which),
    /// Show requests, CPU and memory of each service
    Stats(Which),
}

#[derive(clap::Args, Describe)]
struct Which {
    /// Only this service, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    name: Option<String>,
    /// Include services created for notebooks and inference services
    #[arg(long, short)]
    all: bool,
}

#[derive(clap::Args, Describe)]
struct List {
    #[command(flatten)]
    which: Which,
    /// Watch for changes
    #[arg(long, short)]
    watch: bool,
    /// Show all namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["name", "watch"])]
    all_namespaces: bool,
}

#[kf_plugin_sdk::main(complete = complete)]
pub fn main(services: Services, kf: &Kf) -> Result<Exit> {
    let which = match &services.action {
        Action::List(list) if list.watch => return list::watch(kf, &list.which),
        Action::List(list) if list.all_namespaces => return list::all_namespaces(kf, &list.which),
        Action::List(list) => &list.which,
        Action::Health(which) | Action::Stats(which) => which,
    };
    let targets = Snapshot::read(kf)?.targets(kf, which.name.as_deref(), which.all)?;
    if targets.is_empty() {
        kf.note(format!("no services in {}", kf.namespace()));
    }
    match services.action {
        Action::List(_) => list::run(kf, &targets),
        Action::Health(_) => health::run(kf, &targets),
        Action::Stats(_) => stats::run(kf, &targets),
    }
}

fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    let mut found = complete_among(request, kf, &[WorkloadKind::InferenceService, WorkloadKind::Notebook])?;
    let services = kf.api("Service").list().unwrap_or_default();
    let names = services.iter().map(Object::name).filter(|name| name.starts_with(request.word()));
    found.extend(names.map(|name| Candidate { value: name.to_owned(), help: Some("service".to_owned()) }));
    Ok(found)
}
