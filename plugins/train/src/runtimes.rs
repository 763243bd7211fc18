//! Lists the training runtimes.

use kf_plugin_sdk::prelude::*;
use kf_training_job::GROUP;
use kf_training_job::runtime::{CLUSTER_WIDE, NAMESPACED, is_deprecated};
use serde::Serialize;

#[derive(Serialize, TableRow)]
#[row(name = "format!(\"{}/{}\", self.kind.to_lowercase(), self.name)")]
struct RuntimeRow {
    name: String,
    framework: Option<String>,
    /// The default number of nodes of a job.
    nodes: i64,
    #[column(skip)]
    deprecated: bool,
    #[serde(skip)]
    #[column(title = "SUPPORT")]
    support: Cell,
    /// `ClusterTrainingRuntime`, or `TrainingRuntime` if it is of this namespace.
    #[column(wide)]
    kind: &'static str,
}

pub(crate) fn list(kf: &Kf) -> Result<Exit> {
    let mut rows = Vec::new();
    let mut refused = None;
    let mut left_out = Skipped::default();
    for kind in [CLUSTER_WIDE, NAMESPACED] {
        match kf.api(Kind::new(GROUP, kind)).list() {
            Err(error) if error.is(ErrorCode::Forbidden) => {
                kf.warn(format!("skipped (no permission to list): {}s", kind.to_lowercase()));
                refused = Some(error);
            }
            Err(error) if error.is(ErrorCode::NotFound) => return Err(error),
            answer => {
                let runtimes = left_out.take(&format!("{}s", kind.to_lowercase()), answer)?;
                rows.extend(runtimes.iter().flatten().map(|runtime| row(kind, runtime)));
            }
        }
    }
    if let Some(error) = left_out.first_error().or(refused.as_ref()).filter(|_| rows.is_empty()) {
        return Err(error.clone());
    }
    left_out.tell(kf);
    if rows.is_empty() {
        kf.note("no training runtimes found; ask your admin to install one");
    }
    kf.table(&rows)?;
    Ok(Exit::OK)
}

fn row(kind: &'static str, runtime: &Object) -> RuntimeRow {
    let deprecated = is_deprecated(runtime);
    RuntimeRow {
        name: runtime.name().to_owned(),
        framework: runtime.label("trainer.kubeflow.org/framework").map(str::to_owned),
        nodes: runtime.int("/spec/mlPolicy/numNodes").unwrap_or(1),
        deprecated,
        support: if deprecated { Cell::toned("deprecated", Tone::Warning) } else { Cell::default() },
        kind,
    }
}
