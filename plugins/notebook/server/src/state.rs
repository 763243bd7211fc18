use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{PodState, Severity, is_ready, pod_state, pod_trouble, refusal};
use serde::Serialize;
use serde_json::Value;

use crate::names::check_name;
use crate::server::Server;
use crate::snapshot::Snapshot;

/// If the controller has created nothing in this time, it will not.
const CONTROLLER_TIMEOUT: Duration = Duration::from_secs(15);

/// The state of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ServerState {
    Running,
    /// Not running yet; the reason tells what it waits for.
    Pending,
    /// It fails repeatedly, but may recover.
    Failed,
    /// Stopped, but its pod still exists.
    Stopping,
    Stopped,
    /// Being deleted.
    Terminating,
}

impl ServerState {
    /// The table cell.
    pub fn cell(self) -> Cell {
        let tone = match self {
            Self::Running => Tone::Good,
            Self::Pending => Tone::Warning,
            Self::Failed => Tone::Bad,
            Self::Stopping | Self::Stopped | Self::Terminating => Tone::Faint,
        };
        Cell::toned(format!("{self:?}"), tone)
    }
}

/// A server and its actual state, judged by its pod and the objects of its controller.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub server: &'a Server,
    pub state: ServerState,
    /// The reason in one line, if there is one.
    pub why: Option<String>,
    /// Its pod, if it exists.
    pub pod: Option<&'a Object>,
    /// Its pod does not have the current spec and never will while it is not ready: a StatefulSet replaces only ready
    /// pods.
    pub is_stuck: bool,
    /// Waiting does not help: it refers to something that does not exist.
    pub is_permanent: bool,
    /// Its pod was refused by a quota or a webhook. The controller retries.
    pub is_refused: bool,
}

impl<'a> View<'a> {
    pub fn new(server: &'a Server, snapshot: &'a Snapshot, now: Timestamp) -> Self {
        let pod = snapshot.pod(server);
        let mut view = Self {
            server,
            state: ServerState::Pending,
            why: None,
            pod,
            is_stuck: false,
            is_permanent: false,
            is_refused: false,
        };
        if server.object().str("/metadata/deletionTimestamp").is_some() {
            view.state = ServerState::Terminating;
            view.why = pod.map(|pod| format!("waiting for pod {} to terminate", pod.name()));
        } else if server.should_run() {
            view.evaluate(snapshot, now);
        } else {
            view.evaluate_stopped(now);
        }
        view
    }

    /// The pod, if the server can be used.
    pub fn ready_pod(&self) -> Option<&'a Object> {
        self.pod.filter(|_| self.state == ServerState::Running)
    }

    fn set(&mut self, state: ServerState, why: impl Into<String>) {
        self.state = state;
        self.why = Some(why.into());
    }

    fn evaluate_stopped(&mut self, now: Timestamp) {
        if let Some(pod) = self.pod {
            return self.set(ServerState::Stopping, format!("waiting for pod {} to terminate", pod.name()));
        }
        self.state = ServerState::Stopped;
        let since =
            self.server.stopped_since().map(|since| format!("{} ago", short_duration(since.age(now))));
        let by = match self.server.stopped_by_kf() {
            Some(true) => Some("by kf notebook stop"),
            Some(false) => Some("not by kf: it was idle, or another user stopped it"),
            None => None,
        };
        let words: Vec<_> = since.as_deref().into_iter().chain(by).collect();
        self.why = (!words.is_empty()).then(|| format!("stopped {}", words.join(" ")));
    }

    fn evaluate(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let error = self.permanent_error();
        match self.pod {
            Some(pod) if pod_state(pod) == PodState::Terminating => {
                self.set(
                    ServerState::Pending,
                    format!("waiting for its old pod {} to terminate", pod.name()),
                );
            }
            Some(pod) => self.evaluate_pod(pod, snapshot),
            None => self.evaluate_without_pod(snapshot, now),
        }
        // The pod of a workspace keeps running when its kind or option is deleted.
        if let Some(error) = error {
            self.why = Some(error);
            self.is_permanent = self.pod.is_none();
            if self.is_permanent {
                self.state = ServerState::Failed;
            }
        }
    }

    fn evaluate_pod(&mut self, pod: &Object, snapshot: &Snapshot) {
        if pod_state(pod) == PodState::Running && is_ready(pod) {
            self.state = ServerState::Running;
            self.why = self.server.replacement_options().map(|(image, options)| {
                format!(
                    "options {image} and {options} replace the current ones; kf notebook start {} --update",
                    self.server
                )
            });
            return;
        }
        match pod_trouble(pod, &snapshot.events) {
            Some(trouble) if trouble.severity == Severity::Failing => {
                self.set(ServerState::Failed, trouble.text);
            }
            Some(trouble) => self.set(ServerState::Pending, trouble.text),
            None => self.state = ServerState::Pending,
        }
        self.is_stuck = snapshot.set(self.server).is_some_and(|set| is_older(pod, set));
        if self.is_stuck {
            let why = self.why.take().map(|why| format!("{why}; ")).unwrap_or_default();
            let server = self.server;
            self.why =
                Some(format!("{why}its pod does not have its current spec; kf notebook start {server}"));
        }
    }

    /// The status does not distinguish "just created" from "cannot be created"; events and owners do.
    fn evaluate_without_pod(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let (server, events) = (self.server, &snapshot.events);
        if let Some(old) = snapshot.leftover_pod(server) {
            let text = format!("waiting for pod {} of a deleted {} to terminate", old.name(), server.name());
            return self.set(ServerState::Pending, text);
        }
        let set = snapshot.set(server);
        let warning = match set {
            Some(set) => events.warning(set),
            // The Notebook controller copies the warnings to the Notebook; the Workspace controller does not.
            None if server.is_notebook() => events.warning(server.object()),
            None if snapshot.sets.is_none() => {
                let below = format!("ws-{}-", server.name());
                events.warning_like("StatefulSet", &below, server.object().created())
            }
            None => None,
        };
        if let Some((_, message)) = warning {
            // The same state and reason as in `kf status`.
            self.is_refused = true;
            return self.set(ServerState::Pending, refusal(message));
        }
        let has_no_set = snapshot.sets.is_some() && set.is_none();
        if has_no_set && let Err(error) = check_name(server.kind(), server.name()) {
            self.is_permanent = true;
            return self.set(ServerState::Failed, error.message);
        }
        let age = server.object().created().map(|created| created.age(now)).unwrap_or_default();
        if has_no_set && age > CONTROLLER_TIMEOUT {
            let text = format!("the {} controller has created nothing for it", server.kind());
            return self.set(ServerState::Pending, text);
        }
        self.set(ServerState::Pending, "no pod yet");
    }

    /// An error that waiting does not fix. Any other `Error` of a Workspace is temporary.
    fn permanent_error(&self) -> Option<String> {
        let object = self.server.object();
        let message =
            object.str("/status/stateMessage").filter(|_| object.str("/status/state") == Some("Error"))?;
        let permanent = ["unknown WorkspaceKind", "invalid imageConfig", "invalid podConfig"];
        permanent
            .iter()
            .any(|words| message.contains(words))
            .then(|| message.trim_start_matches("Workspace ").to_owned())
    }
}

/// Whether a pod has another revision than its stateful set has now.
pub(crate) fn is_older(pod: &Object, set: &Object) -> bool {
    let now = set.str("/status/updateRevision").filter(|_| is_current(set));
    match (pod.label("controller-revision-hash"), now) {
        (Some(of_pod), Some(now)) => of_pod != now,
        _ => false,
    }
}

fn is_current(set: &Object) -> bool {
    set.int("/status/observedGeneration") >= set.int("/metadata/generation")
}

/// Whether readiness is proven by a probe. Without one a container is ready as soon as it starts, also at each start
/// of a crash loop.
pub(crate) fn has_readiness_probe(server: &Server, pod: &Object) -> bool {
    let container = server.container(pod.list("/spec/containers"));
    container.is_some_and(|container| container.get("readinessProbe").is_some())
}

/// A text field of a container.
pub(crate) fn field<'a>(container: &'a Value, pointer: &str) -> Option<&'a str> {
    container.pointer(pointer)?.as_str()
}
