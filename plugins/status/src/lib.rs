//! `kf status`: the workloads of a namespace, and why they are not running.
//!
//! [`snapshot`] reads the namespace, [`components`] groups objects by owner, [`rows`] builds the tables, [`causes`] looks
//! up details of a reason, [`watch`] prints what [`live`] keeps up to date. States and reasons come from the SDK, so
//! every command reports the same ones.

mod causes;
mod components;
mod live;
mod recent;
mod rows;
mod snapshot;
mod watch;

use kf_plugin_sdk::InNamespace;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{complete_workload, expand_kind};

use causes::CauseLookup;
use components::{Workload, components, named};
use rows::{ComponentRow, Detail, PodRow};
use snapshot::{PODS, Snapshot, Source};

/// Show workloads and why they are not running
///
/// Lists training jobs, experiments, jobs, notebooks, inference services, deployments and all other pods in
/// the namespace, each with its number of ready pods and the reason it is waiting or failed. A single name
/// also shows its pods and latest warnings; several names show one line each.
#[derive(clap::Parser, Describe)]
#[kf(example("status", "all workloads in this namespace"))]
#[kf(example("status mnist", "one workload with its pods and warnings"))]
#[kf(example("status --watch", "watch for changes"))]
#[kf(example("status -A", "all workloads in all namespaces"))]
pub struct Status {
    /// The workloads, as NAME or KIND/NAME
    #[arg(value_name = "WORKLOAD")]
    #[kf(complete = dynamic)]
    components: Vec<String>,
    /// Watch for changes
    #[arg(long, short)]
    watch: bool,
    /// Show all namespaces
    #[arg(long, short = 'A', conflicts_with = "components")]
    all_namespaces: bool,
}

#[kf_plugin_sdk::main(complete = complete_workload)]
pub fn main(status: Status, kf: &Kf) -> Result<Exit> {
    let names: Vec<_> = status.components.iter().map(|words| expand_kind(kf, words)).collect();
    if status.watch {
        return watch::run(kf, &names, status.all_namespaces);
    }
    if status.all_namespaces {
        return all_namespaces(kf);
    }
    let snapshot = Snapshot::read(kf)?;
    snapshot.report_omissions(kf);
    match names.as_slice() {
        [] => overview(kf, &snapshot)?,
        [words] => detail(kf, &snapshot, words)?,
        several => return lines(kf, &snapshot, several),
    }
    Ok(Exit::OK)
}

fn overview(kf: &Kf, snapshot: &Snapshot) -> Result<()> {
    let rows = rows::overview(&components(snapshot), snapshot, kf.now(), &CauseLookup::new(kf));
    if rows.is_empty() {
        let namespace = kf.namespace();
        kf.note(match snapshot.omissions() {
            Some(omitted) => {
                format!("no workloads in {namespace}; skipped (no permission to list): {omitted}")
            }
            None => format!("no workloads in {namespace}"),
        });
    }
    kf.table(&rows)
}

fn all_namespaces(kf: &Kf) -> Result<Exit> {
    let sources = [PODS].into_iter().chain(Source::all().filter(|source| *source != PODS));
    let sources: Vec<_> = sources.map(|source| source.api(kf)).collect();
    let mut rows = Vec::new();
    let mut last = None;
    for kf in &kf.all_namespaces(&sources)? {
        let snapshot = Snapshot::read(kf)?;
        let found = rows::overview(&components(&snapshot), &snapshot, kf.now(), &CauseLookup::none(kf));
        rows.extend(found.into_iter().map(|row| InNamespace::of(kf, row)));
        last = Some(snapshot);
    }
    if let Some(snapshot) = last {
        snapshot.report_omissions(kf);
    }
    if rows.is_empty() {
        kf.note("no workloads in any namespace");
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}

/// One row for each of several names. A missing one does not hide the others.
fn lines(kf: &Kf, snapshot: &Snapshot, names: &[String]) -> Result<Exit> {
    let causes = CauseLookup::new(kf);
    let (mut rows, mut failure) = (Vec::<ComponentRow>::new(), None);
    for words in names {
        match one(kf, snapshot, words) {
            Ok(component) => {
                let row = ComponentRow::of(&component, snapshot, kf.now(), &causes);
                if !rows.contains(&row) {
                    rows.push(row);
                }
            }
            Err(error) => {
                if let Some(before) = failure.replace(error) {
                    let before: Error = before;
                    kf.warn(before.message);
                }
            }
        }
    }
    kf.table(&rows)?;
    failure.map_or(Ok(Exit::OK), Err)
}

fn detail(kf: &Kf, snapshot: &Snapshot, words: &str) -> Result<()> {
    let component = one(kf, snapshot, words)?;
    let now = kf.now();
    let row = ComponentRow::of(&component, snapshot, now, &CauseLookup::new(kf));
    let recent = recent::warnings(kf, &component, now)?;
    if !kf.output_format().is_table() {
        return kf.record(&Detail::new(row, recent));
    }
    kf.table(std::slice::from_ref(&row))?;
    // A bare pod is already shown.
    let pods: Vec<PodRow> = rows::pods(&component, snapshot, now);
    if !pods.is_empty() && component.kind != "Pod" {
        kf.print_line("")?;
        kf.table(&pods)?;
    }
    if !recent.is_empty() {
        kf.print_line("")?;
        kf.table(&recent)?;
    }
    Ok(())
}

/// The named workload.
fn one<'a>(kf: &Kf, snapshot: &'a Snapshot, words: &str) -> Result<Workload<'a>> {
    let mut found = named(snapshot, words);
    match found.len() {
        0 => {
            let limit =
                snapshot.omissions().map(|omitted| format!("; skipped (no permission to list): {omitted}"));
            let missing = format!("no workload `{words}` in {}", kf.namespace());
            Err(match snapshot.left_out.first_error() {
                // It may be of a kind that cannot be read.
                Some(error) => Error::new(error.code, format!("{missing} among the kinds that can be read"))
                    .hint("kf status"),
                None => Error::not_found(missing + &limit.unwrap_or_default()).hint("kf status"),
            })
        }
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<_> = found.iter().map(Workload::full_name).collect();
            let first = names.first().cloned().unwrap_or_default();
            Err(Error::invalid(format!("`{words}` is ambiguous: {}", names.join(" or ")))
                .hint(kf.command_line().replace(words, &first)))
        }
    }
}
