//! Starts, stops and changes servers.
//!
//! Idle culling writes the same objects at any time. So all changes are merge patches without a resource version: they
//! neither conflict nor revert other fields.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use serde_json::{Map, Value, json};

use crate::page::Page;
use crate::server::Server;
use crate::wait::until_stopped;
use crate::{STOPPED, STOPPED_BY_KF};

/// Requests the server to stop. Does not wait for its pod.
pub fn stop(kf: &Kf, server: &Server) -> Result<Server> {
    let patch = if server.is_notebook() {
        let now = kf.now().to_string();
        json!({ "metadata": { "annotations": { STOPPED: now, STOPPED_BY_KF: now } } })
    } else {
        json!({ "spec": { "paused": true } })
    };
    apply(kf, server, &patch)
}

/// Requests the server to run, with a change if given.
pub fn start(kf: &Kf, server: &Server, change: Option<Value>) -> Result<Server> {
    let mut patch = if server.is_notebook() {
        json!({ "metadata": { "annotations": { STOPPED: null, STOPPED_BY_KF: null } } })
    } else {
        json!({ "spec": { "paused": false } })
    };
    if let Some(change) = change {
        merge_into(&mut patch, change);
    }
    apply(kf, server, &patch)
}

/// Stops the server, waits until its pod is deleted, and starts it with the change.
///
/// A StatefulSet replaces only ready pods. A pod that never gets ready would keep its old spec for ever.
pub fn restart_with(kf: &Kf, server: &Server, change: Option<Value>, limit: Duration) -> Result<Server> {
    let mut server = stop(kf, server)?;
    until_stopped(kf, &mut server, limit)?;
    start(kf, &server, change)
}

fn apply(kf: &Kf, server: &Server, patch: &Value) -> Result<Server> {
    let object = kf.api(server.kind().kind()).merge(server.name(), patch)?;
    let mut component = server.component.clone();
    component.object = object;
    Ok(Server { component })
}

/// A requested change of what a server runs.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub image: Option<String>,
    /// Requests and limits, by resource.
    pub resources: Vec<(String, String)>,
    pub image_option: Option<String>,
    pub pod_option: Option<String>,
}

impl Change {
    /// The merge patch; `None` if nothing changes. Fields that the kind does not have are refused.
    pub fn patch(&self, kf: &Kf, server: &Server) -> Result<Option<Value>> {
        let for_notebooks = self.image.is_some() || !self.resources.is_empty();
        let for_workspaces = self.image_option.is_some() || self.pod_option.is_some();
        if server.is_notebook() && for_workspaces {
            let line = kf.command_line().without("--image-option").without("--pod-option");
            return Err(Error::invalid(format!(
                "--image-option and --pod-option apply only to workspaces, not to {server}"
            ))
            .hint(line.set("--image", "IMAGE")));
        }
        if !server.is_notebook() && for_notebooks {
            let notebooks = ["--image", "--cpu", "--memory", "--gpu"];
            let line = notebooks.into_iter().fold(kf.command_line(), |line, flag| line.without(flag));
            return Err(Error::invalid(format!(
                "--image, --cpu, --memory and --gpu apply only to notebooks, not to {server}"
            ))
            .hint(line.set("--image-option", "ID").set("--pod-option", "ID")));
        }
        if server.is_notebook() { Ok(self.of_notebook(server)) } else { Ok(self.of_workspace(server)) }
    }

    fn of_notebook(&self, server: &Server) -> Option<Value> {
        let before = server.object().list("/spec/template/spec/containers");
        let name = server.container(before)?.get("name")?.clone();
        let mut containers = before.to_vec();
        let container = containers.iter_mut().find(|one| one.get("name") == Some(&name))?;
        if let Some(image) = &self.image {
            set(container, &["image"], json!(image));
        }
        for (resource, amount) in &self.resources {
            for bound in ["requests", "limits"] {
                set(container, &["resources", bound, resource], json!(amount));
            }
        }
        (containers != before)
            .then(|| json!({ "spec": { "template": { "spec": { "containers": containers } } } }))
    }

    fn of_workspace(&self, server: &Server) -> Option<Value> {
        let (image, pod) = server.options().unwrap_or_default();
        let wanted = [("imageConfig", &self.image_option, image), ("podConfig", &self.pod_option, pod)];
        let changed: Map<_, _> = wanted
            .into_iter()
            .filter_map(|(field, wanted, before)| {
                let wanted = wanted.as_deref().filter(|wanted| *wanted != before)?;
                Some((field.to_owned(), json!(wanted)))
            })
            .collect();
        (!changed.is_empty()).then(|| json!({ "spec": { "podTemplate": { "options": changed } } }))
    }
}

/// Kernels of a running Jupyter server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels {
    pub open: usize,
    pub busy: usize,
}

/// The kernels of the server; `None` if it does not report them.
pub fn kernels(kf: &Kf, pod: &Object, page: &Page) -> Option<Kernels> {
    let path = format!("{}api/kernels", page.path);
    let page = Page { path, ..page.clone() };
    let answer = kf.pod_http(pod.name(), page.port).get(&page.with_token()).ok()?;
    let kernels: Vec<Value> = serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == 200)?;
    let is_busy = |kernel: &&Value| {
        kernel.get("execution_state").and_then(Value::as_str).is_some_and(|state| state != "idle")
    };
    Some(Kernels { open: kernels.len(), busy: kernels.iter().filter(is_busy).count() })
}

fn set(place: &mut Value, path: &[&str], value: Value) {
    let Some((last, above)) = path.split_last() else { return };
    let mut place = place;
    for step in above {
        let Value::Object(fields) = place else { return };
        place = fields.entry(*step).or_insert_with(|| json!({}));
    }
    if let Value::Object(fields) = place {
        fields.insert((*last).to_owned(), value);
    }
}

/// Merges a patch into another.
fn merge_into(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(fields), Value::Object(more)) => {
            for (name, value) in more {
                merge_into(fields.entry(name).or_insert(Value::Null), value);
            }
        }
        (place, value) => *place = value,
    }
}
