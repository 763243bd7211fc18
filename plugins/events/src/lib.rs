//! `kf events`: what happened in a namespace, the latest last.
//!
//! [`recorded`] makes one row of the many objects that tell of the same thing, [`scope`] finds out
//! what belongs to the component that was named, [`watch`] stays and shows what is new.

mod recorded;
mod scope;
mod watch;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::complete_component;

use recorded::rows;
use scope::Scope;

/// Show what happened here, the latest last
///
/// Events of the namespace, or of one component and all it made: its jobs, its pods. What
/// happened many times is one line with a count. Kubernetes keeps events for an hour.
#[derive(clap::Parser, Describe)]
#[kf(example("events", "everything in this namespace"))]
#[kf(example("events mnist --warnings", "what went wrong with one component"))]
#[kf(example("events --watch", "stay and show what is new"))]
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
}

impl Events {
    fn api(&self, kf: &Kf) -> Api {
        // kubeflow-edit has no rights on the newer group's events; both groups show the same.
        let events = kf.api(Kind::new("", "Event").version("v1"));
        if self.warnings { events.fields("type=Warning") } else { events }
    }
}

#[kf_plugin_sdk::main(complete = complete_component)]
pub fn main(events: Events, kf: &Kf) -> Result<Exit> {
    let scope = Scope::find(kf, events.component.as_deref())?;
    if events.watch {
        return watch::run(kf, &events, scope);
    }
    let found = events.api(kf).list()?;
    let rows = rows(found.iter().filter(|event| scope.holds(event)), kf.now());
    if rows.is_empty() {
        kf.note(scope.nothing(kf, events.warnings));
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}
