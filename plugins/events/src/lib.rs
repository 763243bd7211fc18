//! `kf events`: what happened in a namespace, the latest last.
//!
//! [`recorded`] makes one row of the many objects that tell of the same thing, [`scope`] finds out
//! what belongs to the component that was named, [`watch`] stays and shows what is new.

mod recorded;
mod scope;
mod watch;
mod window;

use kf_plugin_sdk::InNamespace;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::complete_component;

use recorded::rows;
use scope::Scope;
use window::{Tail, Window};

/// Show what happened here, the latest last
///
/// Events of the namespace, or of one component and all it made: its jobs, its pods. What
/// happened many times is one line with a count. Kubernetes keeps events for an hour. Of many events
/// the last 100 are shown; --tail and --since choose others.
#[derive(clap::Parser, Describe)]
#[kf(example("events", "everything in this namespace"))]
#[kf(example("events mnist --warnings", "what went wrong with one component"))]
#[kf(example("events --watch", "stay and show what is new"))]
#[kf(example("events -A --since 10m", "the last ten minutes of all namespaces"))]
pub struct Events {
    /// The component, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    component: Option<String>,
    /// Only warnings
    #[arg(long)]
    warnings: bool,
    /// Stay and show what is new
    #[arg(long, short)]
    watch: bool,
    /// Show all namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["component", "watch"])]
    all_namespaces: bool,
    /// Only what happened in so long a time
    #[arg(long, value_name = "DURATION", conflicts_with = "watch", help_heading = "How much")]
    since: Option<Span>,
    /// Only the last so many lines, or all [default: 100, and all with --since]
    #[arg(long, value_name = "LINES", conflicts_with = "watch", help_heading = "How much")]
    tail: Option<Tail>,
}

impl Events {
    fn window(&self) -> Window {
        Window { since: self.since.map(|since| since.0), tail: self.tail }
    }

    /// What is said where there are none.
    fn none(&self) -> &'static str {
        if self.warnings { "no warnings" } else { "no events" }
    }

    fn api(&self, kf: &Kf) -> Api {
        // kubeflow-edit has no rights on the newer group's events; both groups show the same.
        let events = kf.api(Kind::new("", "Event").version("v1"));
        if self.warnings { events.fields("type=Warning") } else { events }
    }
}

#[kf_plugin_sdk::main(complete = complete_component)]
pub fn main(events: Events, kf: &Kf) -> Result<Exit> {
    if events.all_namespaces {
        return everywhere(kf, &events);
    }
    let scope = Scope::find(kf, events.component.as_deref())?;
    if events.watch {
        return watch::run(kf, &events, scope);
    }
    let found = events.api(kf).list()?;
    let rows = rows(found.iter().filter(|event| scope.holds(event)), kf.now());
    let rows = events.window().cut(kf, rows, |row| row.last);
    if rows.is_empty() {
        kf.note(scope.nothing(kf, &events));
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}

fn everywhere(kf: &Kf, events: &Events) -> Result<Exit> {
    let mut found = Vec::new();
    for kf in &kf.all_namespaces(&[events.api(kf)])? {
        let rows = rows(events.api(kf).list()?.iter(), kf.now());
        found.extend(rows.into_iter().map(|row| InNamespace::of(kf, row)));
    }
    found.sort_by_key(|row| row.row.last);
    let rows = events.window().cut(kf, found, |row| row.row.last);
    if rows.is_empty() {
        kf.note(format!("{} in any namespace{}", events.none(), events.window()));
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}
