//! `kf events`: the events of a namespace, newest last.
//!
//! [`row`] groups events that report the same thing into one row, [`scope`] finds the objects that belong to the
//! named workload, [`watch`] implements `--watch`.

mod row;
mod scope;
mod watch;
mod window;

use kf_plugin_sdk::InNamespace;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::complete_workload;

use row::rows;
use scope::Scope;
use window::{Tail, Window};

/// Show recent events, newest last
///
/// Shows the events of the namespace, or of one workload and the jobs and pods it created. Repeated events
/// are one line with a count. Kubernetes keeps events for an hour. By default the last 100 lines are shown;
/// --tail and --since change that.
#[derive(clap::Parser, Describe)]
#[kf(example("events", "all events in this namespace"))]
#[kf(example("events mnist --warnings", "warnings about one workload"))]
#[kf(example("events --watch", "watch for new events"))]
#[kf(example("events -A --since 10m", "the last ten minutes in all namespaces"))]
pub struct Events {
    /// The workload, as NAME or KIND/NAME
    #[arg(value_name = "WORKLOAD")]
    #[kf(complete = dynamic)]
    component: Option<String>,
    /// Only warnings
    #[arg(long)]
    warnings: bool,
    /// Watch for new events
    #[arg(long, short)]
    watch: bool,
    /// Show all namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["component", "watch"])]
    all_namespaces: bool,
    /// Only events newer than this, such as 10m
    #[arg(long, value_name = "DURATION", conflicts_with = "watch", help_heading = "Output")]
    since: Option<Span>,
    /// Only the last LINES lines, or `all` [default: 100, or all with --since]
    #[arg(long, value_name = "LINES", conflicts_with = "watch", help_heading = "Output")]
    tail: Option<Tail>,
}

impl Events {
    fn window(&self) -> Window {
        Window { since: self.since.map(|since| since.0), tail: self.tail }
    }

    /// The note if there are no rows.
    fn empty_note(&self) -> &'static str {
        if self.warnings { "no warnings" } else { "no events" }
    }

    fn api(&self, kf: &Kf) -> Api {
        // kubeflow-edit has no rights on the newer group's events; both groups show the same.
        let events = kf.api(Kind::new("", "Event").version("v1"));
        if self.warnings { events.fields("type=Warning") } else { events }
    }
}

#[kf_plugin_sdk::main(complete = complete_workload)]
pub fn main(events: Events, kf: &Kf) -> Result<Exit> {
    if events.all_namespaces {
        return all_namespaces(kf, &events);
    }
    let scope = Scope::find(kf, events.component.as_deref())?;
    if events.watch {
        return watch::run(kf, &events, scope);
    }
    let found = events.api(kf).list()?;
    let rows = rows(found.iter().filter(|event| scope.contains_event(event)), kf.now());
    let rows = events.window().limit(kf, rows, |row| row.last);
    if rows.is_empty() {
        kf.note(scope.empty_note(kf, &events));
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}

fn all_namespaces(kf: &Kf, events: &Events) -> Result<Exit> {
    let mut found = Vec::new();
    for kf in &kf.all_namespaces(&[events.api(kf)])? {
        let rows = rows(events.api(kf).list()?.iter(), kf.now());
        found.extend(rows.into_iter().map(|row| InNamespace::of(kf, row)));
    }
    found.sort_by_key(|row| row.row.last);
    let rows = events.window().limit(kf, found, |row| row.row.last);
    if rows.is_empty() {
        kf.note(format!("{} in any namespace{}", events.empty_note(), events.window()));
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}
