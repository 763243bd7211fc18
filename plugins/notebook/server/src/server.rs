use std::fmt;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Workload, WorkloadKind};
use serde_json::Value;

use crate::{GROUP, NOTEBOOK_LABEL, STOPPED, STOPPED_BY_KF, WORKSPACE_LABEL};

/// Both kinds.
pub const KINDS: [WorkloadKind; 2] = [WorkloadKind::Notebook, WorkloadKind::Workspace];

/// The kinds that the cluster serves; an error if it serves neither.
pub fn served(kf: &Kf) -> Result<Vec<WorkloadKind>> {
    let served = kf.discover(GROUP)?;
    let is_served = |kind: &WorkloadKind| served.iter().any(|served| served.kind == kind.kind().kind);
    let kinds: Vec<_> = KINDS.into_iter().filter(is_served).collect();
    if kinds.is_empty() {
        return Err(Error::not_found(format!(
            "this cluster has no notebooks (notebooks.{GROUP} or workspaces.{GROUP})"
        ))
        .hint("ask your admin to install Kubeflow Notebooks"));
    }
    Ok(kinds)
}

/// A Notebook or a Workspace.
#[derive(Clone, Debug)]
pub struct Server {
    pub component: Workload,
}

/// As in `notebook/alice`.
impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.component.fmt(formatter)
    }
}

impl Server {
    /// Finds `NAME` or `KIND/NAME`.
    pub fn find(kf: &Kf, words: &str) -> Result<Self> {
        let kinds = served(kf)?;
        match Workload::find_among(kf, words, &kinds) {
            Ok(component) => Ok(Self { component }),
            Err(error) if error.is(ErrorCode::NotFound) && error.hint.as_deref() == Some("kf status") => {
                let namespace = kf.namespace();
                let name = words.rsplit_once('/').map_or(words, |(_, name)| name);
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.word()).collect();
                Err(Error::not_found(format!("no {} `{name}` in {namespace}", kinds.join(" or ")))
                    .hint("kf notebook ls"))
            }
            Err(error) => Err(error),
        }
    }

    /// The server of an object; `None` if it is of another kind.
    pub fn of(object: Object) -> Option<Self> {
        let component = Workload::of(object)?;
        KINDS.contains(&component.kind).then_some(Self { component })
    }

    pub fn kind(&self) -> WorkloadKind {
        self.component.kind
    }

    pub fn is_notebook(&self) -> bool {
        self.kind() == WorkloadKind::Notebook
    }

    pub fn name(&self) -> &str {
        &self.component.name
    }

    pub fn object(&self) -> &Object {
        &self.component.object
    }

    /// Whether the desired state is running. The actual state can differ for a while.
    pub fn should_run(&self) -> bool {
        match self.kind() {
            WorkloadKind::Notebook => self.object().annotation(STOPPED).is_none(),
            _ => self.object().bool("/spec/paused") != Some(true),
        }
    }

    /// When it was stopped, if known.
    pub fn stopped_since(&self) -> Option<Timestamp> {
        match self.kind() {
            WorkloadKind::Notebook => Timestamp::parse(self.object().annotation(STOPPED)?),
            _ => self.millis("/status/pauseTime"),
        }
    }

    /// Whether kf stopped it. Unknown for a Workspace.
    pub fn stopped_by_kf(&self) -> Option<bool> {
        let object = self.object();
        let stopped = object.annotation(STOPPED).filter(|_| self.is_notebook())?;
        Some(object.annotation(STOPPED_BY_KF) == Some(stopped))
    }

    /// When it was last used, as reported by its controller.
    pub fn last_activity(&self) -> Option<Timestamp> {
        match self.kind() {
            WorkloadKind::Notebook => {
                Timestamp::parse(self.object().annotation("notebooks.kubeflow.org/last-activity")?)
            }
            _ => self.millis("/status/activity/lastActivity"),
        }
    }

    /// A time of a Workspace, in milliseconds; 0 means never.
    fn millis(&self, pointer: &str) -> Option<Timestamp> {
        let millis = u64::try_from(self.object().int(pointer)?).ok()?;
        (millis > 0).then_some(Timestamp(millis))
    }

    /// The image option and pod option of a Workspace.
    pub fn options(&self) -> Option<(&str, &str)> {
        let chosen = |what: &str| self.object().str(&format!("/spec/podTemplate/options/{what}"));
        Some((chosen("imageConfig")?, chosen("podConfig")?))
    }

    /// The options that an admin has set to replace those of a Workspace, if any.
    ///
    /// `pendingRestart` alone is not enough: a restart keeps the old options.
    pub fn replacement_options(&self) -> Option<(&str, &str)> {
        let (image, pod) = self.options()?;
        let desired = |what: &str| self.object().str(&format!("/status/podTemplateOptions/{what}/desired"));
        let wanted = (desired("imageConfig").unwrap_or(image), desired("podConfig").unwrap_or(pod));
        (wanted != (image, pod)).then_some(wanted)
    }

    /// The claims it mounts, the home volume first.
    pub fn claims(&self) -> Vec<&str> {
        let object = self.object();
        match self.kind() {
            WorkloadKind::Notebook => object
                .list("/spec/template/spec/volumes")
                .iter()
                .filter_map(|volume| volume.pointer("/persistentVolumeClaim/claimName")?.as_str())
                .collect(),
            _ => {
                let data = object.list("/spec/podTemplate/volumes/data").iter();
                let data = data.filter_map(|volume| volume.get("pvcName")?.as_str());
                object.str("/spec/podTemplate/volumes/home").into_iter().chain(data).collect()
            }
        }
    }

    /// The label of its pods that holds its name.
    pub fn label(&self) -> &'static str {
        if self.is_notebook() { NOTEBOOK_LABEL } else { WORKSPACE_LABEL }
    }

    /// The main container among those of a pod spec.
    pub fn container<'a>(&self, containers: &'a [Value]) -> Option<&'a Value> {
        let name = if self.is_notebook() { self.name() } else { "main" };
        let named = containers.iter().find(|one| one.get("name").and_then(Value::as_str) == Some(name));
        named.or(containers.first())
    }

    /// Reads it again; `None` if it was deleted or replaced.
    pub fn reload(&self, kf: &Kf) -> Result<Option<Self>> {
        let object = kf.api(self.kind().kind()).find(self.name())?;
        let same = |object: &Object| object.uid().is_none() || object.uid() == self.object().uid();
        Ok(object
            .filter(same)
            .map(|object| Self { component: Workload { object, ..self.component.clone() } }))
    }
}
