use kf_notebook_server::{ServerState, View};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{WatchedRow, is_gpu};
use serde::Serialize;
use serde_json::Value;

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Serialize, TableRow)]
#[row(name = "format!(\"{}/{}\", self.kind, self.name)")]
pub(super) struct ServerRow {
    name: String,
    kind: &'static str,
    #[serde(skip)]
    #[column(title = "STATE")]
    state_cell: Cell,
    #[column(skip)]
    state: ServerState,
    /// For a Workspace, the id of its option.
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<String>,
    #[column(wide)]
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu: Option<String>,
    #[serde(skip)]
    #[column(title = "PVC")]
    claims_of: String,
    #[column(skip)]
    claims: Vec<String>,
    #[serde(skip)]
    #[column(title = "LAST-ACTIVITY")]
    active: String,
    #[column(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_activity: Option<Timestamp>,
    #[column(wide)]
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[column(wide)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl ServerRow {
    pub(super) fn of(kf: &Kf, view: &View<'_>, now: Timestamp) -> Self {
        let server = view.server;
        let spec = if server.is_notebook() { Some(server.object()) } else { None };
        // The pod has the actual resources; the spec of a stopped Notebook has those it would get.
        let containers = view
            .pod
            .map(|pod| pod.list("/spec/containers"))
            .or(spec.map(|spec| spec.list("/spec/template/spec/containers")))
            .unwrap_or_default();
        let container = server.container(containers);
        let image = match server.options() {
            Some((image, _)) => Some(image.to_owned()),
            None => container.and_then(|one| one.get("image")?.as_str()).map(str::to_owned),
        };
        let claims: Vec<String> = server.claims().into_iter().map(str::to_owned).collect();
        let last_activity = server.last_activity();
        Self {
            name: server.name().to_owned(),
            kind: server.kind().word(),
            state_cell: view.state.cell(),
            state: view.state,
            image,
            cpu: container.and_then(|one| amount(one, |name| name == "cpu")),
            memory: container.and_then(|one| amount(one, |name| name == "memory")),
            gpu: container.and_then(|one| amount(one, is_gpu)),
            claims_of: claims.join(","),
            claims,
            active: last_activity
                .map(|at| format!("{} ago", short_duration(at.age(now))))
                .unwrap_or_default(),
            last_activity,
            path: server.is_notebook().then(|| format!("/notebook/{}/{}/", kf.namespace(), server.name())),
            pod: view.pod.map(|pod| pod.name().to_owned()),
            why: view.why.clone(),
        }
    }

    pub(super) fn order(&self) -> (&str, &str) {
        (&self.name, self.kind)
    }
}

impl WatchedRow for ServerRow {
    fn age_like(&mut self, before: &[Self]) {
        let same = before.iter().find(|row| row.order() == self.order());
        if let Some(before) =
            same.filter(|row| row.last_activity == self.last_activity && row.state == self.state)
        {
            self.active.clone_from(&before.active);
            if self.state == ServerState::Stopped {
                self.why.clone_from(&before.why);
            }
        }
    }
}

/// The limit of a container for a resource, else its request.
fn amount(container: &Value, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
    let of = |bound: &str| {
        let amounts = container.pointer(bound)?.as_object()?;
        let amount = amounts.iter().find(|(name, _)| is_wanted(name)).map(|(_, amount)| amount)?;
        Some(amount.as_str().map_or_else(|| amount.to_string(), str::to_owned))
    };
    of("/resources/limits").or_else(|| of("/resources/requests"))
}
