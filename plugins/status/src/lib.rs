//! `kf status`: what runs in a namespace, one line each, and why something does not.
//!
//! [`snapshot`] reads the namespace, [`components`] finds out what belongs to what, [`rows`] is what
//! a person sees, [`inquiry`] asks further where a reason has more to tell, [`watch`] shows what [`live`] keeps up to
//! date. How each is judged is the SDK's: every command says the same of it.

mod components;
mod inquiry;
mod live;
mod recent;
mod rows;
mod snapshot;
mod watch;

use kf_plugin_sdk::InNamespace;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{complete_component, spelled_out};

use components::{Component, components, named};
use inquiry::Inquiry;
use rows::{ComponentRow, Detail, PodRow};
use snapshot::{PODS, Snapshot, Source};

/// Show what runs here, and why something does not
///
/// Training jobs, experiments, jobs, notebooks, inference services, deployments and whatever else
/// runs in the namespace, each with its pods counted and with the one line that says what it waits
/// for or how it failed. Naming one shows its pods and the latest warnings too; naming several shows a
/// line for each.
#[derive(clap::Parser, Describe)]
#[kf(example("status", "everything in this namespace"))]
#[kf(example("status mnist", "one component with its pods and warnings"))]
#[kf(example("status --watch", "stay and show changes"))]
#[kf(example("status -A", "everything in all namespaces"))]
pub struct Status {
    /// The components, as NAME or KIND/NAME
    #[arg(value_name = "COMPONENT")]
    #[kf(complete = dynamic)]
    components: Vec<String>,
    /// Stay and show changes
    #[arg(long, short)]
    watch: bool,
    /// Show all namespaces
    #[arg(long, short = 'A', conflicts_with = "components")]
    all_namespaces: bool,
}

#[kf_plugin_sdk::main(complete = complete_component)]
pub fn main(status: Status, kf: &Kf) -> Result<Exit> {
    let names: Vec<_> = status.components.iter().map(|words| spelled_out(kf, words)).collect();
    if status.watch {
        return watch::run(kf, &names, status.all_namespaces);
    }
    if status.all_namespaces {
        return everywhere(kf);
    }
    let snapshot = Snapshot::read(kf)?;
    snapshot.tell_omissions(kf);
    match names.as_slice() {
        [] => overview(kf, &snapshot)?,
        [words] => detail(kf, &snapshot, words)?,
        several => return lines(kf, &snapshot, several),
    }
    Ok(Exit::OK)
}

fn overview(kf: &Kf, snapshot: &Snapshot) -> Result<()> {
    let rows = rows::overview(&components(snapshot), snapshot, kf.now(), &Inquiry::new(kf));
    if rows.is_empty() {
        let namespace = kf.namespace();
        kf.note(match snapshot.omissions() {
            Some(omitted) => {
                format!("nothing that you may list runs in {namespace}; you may not list {omitted}")
            }
            None => format!("nothing runs in {namespace}"),
        });
    }
    kf.table(&rows)
}

fn everywhere(kf: &Kf) -> Result<Exit> {
    let sources = [PODS].into_iter().chain(Source::all().filter(|source| *source != PODS));
    let sources: Vec<_> = sources.map(|source| source.api(kf)).collect();
    let mut rows = Vec::new();
    let mut last = None;
    for kf in &kf.all_namespaces(&sources)? {
        let snapshot = Snapshot::read(kf)?;
        let found = rows::overview(&components(&snapshot), &snapshot, kf.now(), &Inquiry::none(kf));
        rows.extend(found.into_iter().map(|row| InNamespace::of(kf, row)));
        last = Some(snapshot);
    }
    if let Some(snapshot) = last {
        snapshot.tell_omissions(kf);
    }
    if rows.is_empty() {
        kf.note("nothing runs in any namespace");
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}

/// A line for each of the components a person named. One that is missing hides none of the others.
fn lines(kf: &Kf, snapshot: &Snapshot, names: &[String]) -> Result<Exit> {
    let inquiry = Inquiry::new(kf);
    let (mut rows, mut failure) = (Vec::<ComponentRow>::new(), None);
    for words in names {
        match one(kf, snapshot, words) {
            Ok(component) => {
                let row = ComponentRow::of(&component, snapshot, kf.now(), &inquiry);
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
    let row = ComponentRow::of(&component, snapshot, now, &Inquiry::new(kf));
    let recent = recent::warnings(kf, &component, now)?;
    if !kf.output_format().is_table() {
        return kf.record(&Detail::new(row, recent));
    }
    kf.table(std::slice::from_ref(&row))?;
    // A pod that is its own component has been shown.
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

/// The one component a person named.
fn one<'a>(kf: &Kf, snapshot: &'a Snapshot, words: &str) -> Result<Component<'a>> {
    let mut found = named(snapshot, words);
    match found.len() {
        0 => {
            let limit = snapshot.omissions().map(|omitted| format!("; you may not list {omitted}"));
            let missing = format!("no `{words}` in {}", kf.namespace());
            Err(match snapshot.left_out.first_error() {
                // It may be of a kind that cannot be read.
                Some(error) => {
                    Error::new(error.code, format!("{missing}, as far as can be read")).hint("kf status")
                }
                None => Error::not_found(missing + &limit.unwrap_or_default()).hint("kf status"),
            })
        }
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<_> = found.iter().map(Component::full_name).collect();
            let first = names.first().cloned().unwrap_or_default();
            Err(Error::invalid(format!("`{words}` can be {}", names.join(" or ")))
                .hint(kf.command_line().replace(words, &first)))
        }
    }
}
