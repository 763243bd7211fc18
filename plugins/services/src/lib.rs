//! `kf services`: what can be reached in a namespace, and whether it answers.
//!
//! [`targets`] reads what there is and which pods stand behind it; [`list`], [`health`] and
//! [`stats`] each make a table of it.

mod health;
mod list;
mod prometheus;
mod stats;
mod targets;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{ComponentKind, complete_among};

use targets::Scene;

/// Show what can be reached here, and whether it answers
#[derive(clap::Parser, Describe)]
#[kf(example("services list", "inference services, notebooks and services with their addresses"))]
#[kf(example("services list -A", "those of all namespaces"))]
#[kf(example("services health iris", "ask the pods behind one whether they are ready"))]
#[kf(example("services stats", "requests, CPU and memory of each"))]
pub struct Services {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Describe)]
enum Action {
    /// List what can be reached, with addresses and ready endpoints
    List(List),
    /// Ask the pods behind each whether they are ready; exits 1 if one is not
    Health(Which),
    /// Show requests, CPU and memory of each
    Stats(Which),
}

#[derive(clap::Args, Describe)]
struct Which {
    /// Only this one, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    name: Option<String>,
    /// Also services that a notebook or inference service made for itself
    #[arg(long, short)]
    all: bool,
}

#[derive(clap::Args, Describe)]
struct List {
    #[command(flatten)]
    which: Which,
    /// Keep the table up to date
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
        Action::List(list) if list.all_namespaces => return list::everywhere(kf, &list.which),
        Action::List(list) => &list.which,
        Action::Health(which) | Action::Stats(which) => which,
    };
    let targets = Scene::read(kf)?.targets(kf, which.name.as_deref(), which.all)?;
    if targets.is_empty() {
        kf.note(format!("nothing can be reached in {}", kf.namespace()));
    }
    match services.action {
        Action::List(_) => list::run(kf, &targets),
        Action::Health(_) => health::run(kf, &targets),
        Action::Stats(_) => stats::run(kf, &targets),
    }
}

fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    let mut found = complete_among(request, kf, &[ComponentKind::InferenceService, ComponentKind::Notebook])?;
    let services = kf.api("Service").list().unwrap_or_default();
    let names = services.iter().map(Object::name).filter(|name| name.starts_with(request.word()));
    found.extend(names.map(|name| Candidate { value: name.to_owned(), help: Some("service".to_owned()) }));
    Ok(found)
}
