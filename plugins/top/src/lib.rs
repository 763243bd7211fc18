//! `kf top`: requested, allowed and used CPU, memory and GPUs.
//!
//! Usage comes from a metrics server, which not every cluster has; requests and limits are in the pod specs. [`usage`]
//! reads the latter, [`rows`] sums both.

mod rows;
mod usage;

use std::cmp::Reverse;
use std::time::Duration;

use kf_plugin_sdk::InNamespace;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Measured, Workload, WorkloadKind, complete_workload};

use rows::{PodUse, WorkloadUse};

/// Show requested and used CPU, memory and GPUs
///
/// Shows one line per workload, or one per pod if a workload is named. Usage is what the metrics server last
/// measured, and unknown without a metrics server.
#[derive(clap::Parser, Describe)]
#[kf(example("top", "all workloads in this namespace, largest first"))]
#[kf(example("top mnist", "the pods of one workload"))]
#[kf(example("top --pods", "all pods"))]
#[kf(example("top -A", "all workloads in all namespaces"))]
pub struct Top {
    /// The workload, as NAME or KIND/NAME
    #[arg(value_name = "WORKLOAD")]
    #[kf(complete = dynamic)]
    component: Option<String>,
    /// Show one line per pod
    #[arg(long)]
    pods: bool,
    /// Refresh every 15 seconds
    #[arg(long, short)]
    watch: bool,
    /// Show all namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["component", "watch"])]
    all_namespaces: bool,
}

/// The default interval of a metrics server.
const REFRESH_INTERVAL: Duration = Duration::from_secs(15);

#[kf_plugin_sdk::main(complete = complete_workload)]
pub fn main(top: Top, kf: &Kf) -> Result<Exit> {
    if top.all_namespaces {
        return all_namespaces(kf, &top);
    }
    let by_pod = top.pods || top.component.is_some();
    let uses = read(kf, &top, true)?;
    match (top.watch, by_pod) {
        (true, true) => return watch(kf, &top, uses, |uses| uses),
        (true, false) => return watch(kf, &top, uses, WorkloadUse::of),
        (false, false) => kf.table(&WorkloadUse::of(uses))?,
        (false, true) => {
            let mut rows = uses;
            if rows.len() > 1 && kf.output_format().is_table() {
                rows.push(PodUse::total(&rows));
            }
            kf.table(&rows)?;
        }
    }
    Ok(Exit::OK)
}

fn all_namespaces(kf: &Kf, top: &Top) -> Result<Exit> {
    let (mut pods, mut workloads) = (Vec::new(), Vec::new());
    let mut missing = None;
    for kf in
        &kf.all_namespaces(&[kf.api("Pod"), Measured::api(kf), kf.api(WorkloadKind::TrainJob.kind())])?
    {
        let running = kf.api("Pod").list()?.into_iter().filter(usage::is_active).collect::<Vec<_>>();
        let measured = Measured::read(kf)?;
        missing = missing.or(measured.missing().filter(|_| !running.is_empty()));
        let uses = rows::of_pods(&running, &measured, &usage::training_jobs(kf)?);
        match top.pods {
            true => pods.extend(uses.into_iter().map(|row| InNamespace::of(kf, row))),
            false => workloads.extend(WorkloadUse::of(uses).into_iter().map(|row| InNamespace::of(kf, row))),
        }
    }
    if let Some(missing) = missing {
        kf.note(missing);
    }
    if pods.is_empty() && workloads.is_empty() {
        kf.note("no pods running in any namespace");
    }
    // Sorted over all namespaces, largest first.
    pods.sort_by_key(|pod| Reverse(pod.row.size()));
    workloads.sort_by_key(|workload| Reverse(workload.row.size()));
    if top.pods {
        kf.table(&pods)?
    } else {
        kf.table(&workloads)?
    }
    Ok(Exit::OK)
}

/// The current usage of each pod. With `notes`, prints what is missing.
fn read(kf: &Kf, top: &Top, notes: bool) -> Result<Vec<PodUse>> {
    let pods = match &top.component {
        None => kf.api("Pod").list()?,
        Some(words) => Workload::find(kf, words)?.pods(kf)?,
    };
    let pods: Vec<Object> = pods.into_iter().filter(usage::is_active).collect();
    let measured = Measured::read(kf)?;
    if let Some(missing) = measured.missing().filter(|_| notes && !pods.is_empty()) {
        kf.note(missing);
    }
    if notes && pods.is_empty() {
        kf.note(match &top.component {
            Some(name) => format!("no pods running for {name}"),
            None => format!("no pods running in {}", kf.namespace()),
        });
    }
    Ok(rows::of_pods(&pods, &measured, &usage::training_jobs(kf)?))
}

/// Runs until it is interrupted.
fn watch<T: TableRow>(
    kf: &Kf,
    top: &Top,
    mut uses: Vec<PodUse>,
    rows: impl Fn(Vec<PodUse>) -> Vec<T>,
) -> Result<Exit> {
    let screen = kf.live_table::<T>();
    loop {
        screen.update(&rows(uses))?;
        if kf.wait(&[&kf.after(REFRESH_INTERVAL)]).is_empty() {
            return Ok(Exit::OK);
        }
        uses = read(kf, top, false)?;
    }
}
