//! `kf top`: how much CPU, memory and GPU is asked for, allowed and used.
//!
//! Use is measured by a metrics server, which not every cluster has; what pods ask for stands in
//! their specs. [`usage`] reads the latter, [`rows`] sums both up.

mod rows;
mod usage;

use std::cmp::Reverse;
use std::time::Duration;

use kf_plugin_sdk::InNamespace;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Component, ComponentKind, Measured, complete_component};

use rows::{ComponentUse, PodUse};

/// Show how much CPU, memory and GPU is asked for and used
///
/// One line a component, or one a pod where a component is named. Use is what the metrics server
/// last measured; without one it is unknown.
#[derive(clap::Parser, Describe)]
#[kf(example("top", "every component of this namespace, the largest first"))]
#[kf(example("top mnist", "the pods of one component"))]
#[kf(example("top --pods", "every pod"))]
#[kf(example("top -A", "every component of all namespaces"))]
pub struct Top {
    /// The component, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    component: Option<String>,
    /// One line a pod
    #[arg(long)]
    pods: bool,
    /// Stay and measure again and again
    #[arg(long, short)]
    watch: bool,
    /// Show all namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["component", "watch"])]
    all_namespaces: bool,
}

/// A metrics server measures every quarter of a minute.
const AGAIN: Duration = Duration::from_secs(15);

#[kf_plugin_sdk::main(complete = complete_component)]
pub fn main(top: Top, kf: &Kf) -> Result<Exit> {
    if top.all_namespaces {
        return everywhere(kf, &top);
    }
    let by_pod = top.pods || top.component.is_some();
    let uses = read(kf, &top, true)?;
    match (top.watch, by_pod) {
        (true, true) => return watch(kf, &top, uses, |uses| uses),
        (true, false) => return watch(kf, &top, uses, ComponentUse::of),
        (false, false) => kf.table(&ComponentUse::of(uses))?,
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

fn everywhere(kf: &Kf, top: &Top) -> Result<Exit> {
    let (mut pods, mut components) = (Vec::new(), Vec::new());
    let mut missing = None;
    for kf in
        &kf.all_namespaces(&[kf.api("Pod"), Measured::api(kf), kf.api(ComponentKind::TrainJob.kind())])?
    {
        let running = kf.api("Pod").list()?.into_iter().filter(usage::takes_resources).collect::<Vec<_>>();
        let measured = Measured::read(kf)?;
        missing = missing.or(measured.missing().filter(|_| !running.is_empty()));
        let uses = rows::of_pods(&running, &measured, &usage::training_jobs(kf)?);
        match top.pods {
            true => pods.extend(uses.into_iter().map(|row| InNamespace::of(kf, row))),
            false => {
                components.extend(ComponentUse::of(uses).into_iter().map(|row| InNamespace::of(kf, row)))
            }
        }
    }
    if let Some(missing) = missing {
        kf.note(missing);
    }
    if pods.is_empty() && components.is_empty() {
        kf.note("no pod in any namespace takes anything now");
    }
    // The largest of all namespaces first; those of one namespace are in order already.
    pods.sort_by_key(|pod| Reverse(pod.row.size()));
    components.sort_by_key(|component| Reverse(component.row.size()));
    if top.pods {
        kf.table(&pods)?
    } else {
        kf.table(&components)?
    }
    Ok(Exit::OK)
}

/// What each pod uses now. What is missing is told to who has not been told.
fn read(kf: &Kf, top: &Top, tell: bool) -> Result<Vec<PodUse>> {
    let pods = match &top.component {
        None => kf.api("Pod").list()?,
        Some(words) => Component::find(kf, words)?.pods(kf)?,
    };
    let pods: Vec<Object> = pods.into_iter().filter(usage::takes_resources).collect();
    let measured = Measured::read(kf)?;
    if let Some(missing) = measured.missing().filter(|_| tell && !pods.is_empty()) {
        kf.note(missing);
    }
    if tell && pods.is_empty() {
        let what = top.component.as_deref().map_or_else(|| kf.namespace(), str::to_owned);
        kf.note(format!("no pod of {what} takes anything now"));
    }
    Ok(rows::of_pods(&pods, &measured, &usage::training_jobs(kf)?))
}

/// Stays until it is stopped from outside.
fn watch<T: TableRow>(
    kf: &Kf,
    top: &Top,
    mut uses: Vec<PodUse>,
    rows: impl Fn(Vec<PodUse>) -> Vec<T>,
) -> Result<Exit> {
    let screen = kf.live_table::<T>();
    loop {
        screen.update(&rows(uses))?;
        if kf.wait(&[&kf.after(AGAIN)]).is_empty() {
            return Ok(Exit::OK);
        }
        uses = read(kf, top, false)?;
    }
}
