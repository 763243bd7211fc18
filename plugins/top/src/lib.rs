//! `kf top`: how much CPU, memory and GPU is asked for, allowed and used.
//!
//! Use is measured by a metrics server, which not every cluster has; what pods ask for stands in
//! their specs. [`usage`] reads the latter, [`rows`] sums both up.

mod rows;
mod usage;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Component, Measured, complete_component};

use rows::{ComponentUse, PodUse};

/// Show how much CPU, memory and GPU is asked for and used
///
/// One line a component, or one a pod where a component is named. Use is what the metrics server
/// last measured; without one it is unknown.
#[derive(clap::Parser, Describe)]
#[kf(example("top", "every component of this namespace, the largest first"))]
#[kf(example("top mnist", "the pods of one component"))]
#[kf(example("top --pods", "every pod"))]
pub struct Top {
    /// The component, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    component: Option<String>,
    /// One line a pod
    #[arg(long)]
    pods: bool,
}

#[kf_plugin_sdk::main(complete = complete_component)]
pub fn main(top: Top, kf: &Kf) -> Result<Exit> {
    let pods = match &top.component {
        None => kf.api("Pod").list()?,
        Some(words) => Component::find(kf, words)?.pods(kf)?,
    };
    let pods: Vec<Object> = pods.into_iter().filter(usage::takes_resources).collect();
    let measured = Measured::read(kf)?;
    if let Some(missing) = measured.missing().filter(|_| !pods.is_empty()) {
        kf.note(missing);
    }
    if pods.is_empty() {
        let what = top.component.as_deref().map_or_else(|| kf.namespace(), str::to_owned);
        kf.note(format!("no pod of {what} takes anything now"));
    }
    let uses = rows::of_pods(&pods, &measured, &usage::training_jobs(kf)?);
    if top.pods || top.component.is_some() {
        let mut rows = uses;
        if rows.len() > 1 && kf.output_format().is_table() {
            rows.push(PodUse::total(&rows));
        }
        kf.table(&rows)?;
    } else {
        kf.table(&ComponentUse::of(uses))?;
    }
    Ok(Exit::OK)
}
