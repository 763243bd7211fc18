use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{PodState, Severity, is_ready, pod_state, pod_trouble, refusal};
use serde::Serialize;
use serde_json::Value;

use crate::names::check_name;
use crate::scene::Scene;
use crate::server::Server;

/// A controller that has done nothing in this time will not.
const CONTROLLER_ACTS_WITHIN: Duration = Duration::from_secs(15);

/// How a server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ServerState {
    Running,
    /// Not yet; the reason says what it waits for.
    Pending,
    /// It runs into something again and again; may still heal.
    Failed,
    /// Wished to stop, and its pod is still there.
    Stopping,
    Stopped,
    /// Being deleted.
    Terminating,
}

impl ServerState {
    /// As a table shows it.
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

/// A server with what its pod and its controller's objects say.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub server: &'a Server,
    pub state: ServerState,
    /// The one line; none where there is nothing to say.
    pub why: Option<String>,
    /// Its own pod, if there is one.
    pub pod: Option<&'a Object>,
    /// Its pod is older than a change of its spec, and will never get it while it is not ready: a
    /// stateful set replaces only what is ready.
    pub is_stuck: bool,
    /// Waiting changes nothing: what it names does not exist.
    pub is_final: bool,
    /// Its pod was refused, by a quota or a webhook. Its controller tries again.
    pub is_refused: bool,
}

impl<'a> View<'a> {
    pub fn new(server: &'a Server, scene: &'a Scene, now: Timestamp) -> Self {
        let pod = scene.pod(server);
        let mut view = Self {
            server,
            state: ServerState::Pending,
            why: None,
            pod,
            is_stuck: false,
            is_final: false,
            is_refused: false,
        };
        if server.object().str("/metadata/deletionTimestamp").is_some() {
            view.state = ServerState::Terminating;
            view.why = pod.map(|pod| format!("waits for pod {} to end", pod.name()));
        } else if server.is_wished() {
            view.judge(scene, now);
        } else {
            view.judge_stopped(now);
        }
        view
    }

    /// The pod, if the server can be used.
    pub fn ready_pod(&self) -> Option<&'a Object> {
        self.pod.filter(|_| self.state == ServerState::Running)
    }

    fn say(&mut self, state: ServerState, why: impl Into<String>) {
        self.state = state;
        self.why = Some(why.into());
    }

    fn judge_stopped(&mut self, now: Timestamp) {
        if let Some(pod) = self.pod {
            return self.say(ServerState::Stopping, format!("waits for pod {} to end", pod.name()));
        }
        self.state = ServerState::Stopped;
        let since =
            self.server.stopped_since().map(|since| format!("{} ago", short_duration(since.age(now))));
        let by = match self.server.stopped_by_kf() {
            Some(true) => Some("by kf notebook stop"),
            Some(false) => Some("not by kf: it was idle, or somebody stopped it"),
            None => None,
        };
        let words: Vec<_> = since.as_deref().into_iter().chain(by).collect();
        self.why = (!words.is_empty()).then(|| format!("stopped {}", words.join(" ")));
    }

    fn judge(&mut self, scene: &Scene, now: Timestamp) {
        let complaint = self.final_complaint();
        match self.pod {
            Some(pod) if pod_state(pod) == PodState::Terminating => {
                self.say(ServerState::Pending, format!("waits for its old pod {} to end", pod.name()));
            }
            Some(pod) => self.judge_pod(pod, scene),
            None => self.judge_without_pod(scene, now),
        }
        // The pod of a workspace whose kind or option has gone keeps running.
        if let Some(complaint) = complaint {
            self.why = Some(complaint);
            self.is_final = self.pod.is_none();
            if self.is_final {
                self.state = ServerState::Failed;
            }
        }
    }

    fn judge_pod(&mut self, pod: &Object, scene: &Scene) {
        if pod_state(pod) == PodState::Running && is_ready(pod) {
            self.state = ServerState::Running;
            self.why = self.server.offered().map(|(image, options)| {
                format!(
                    "its options have been replaced by {image} and {options}; kf notebook start {} --update",
                    self.server
                )
            });
            return;
        }
        match pod_trouble(pod, &scene.events) {
            Some(trouble) if trouble.severity == Severity::Failing => {
                self.say(ServerState::Failed, trouble.text);
            }
            Some(trouble) => self.say(ServerState::Pending, trouble.text),
            None => self.state = ServerState::Pending,
        }
        self.is_stuck = scene.set(self.server).is_some_and(|set| is_older(pod, set));
        if self.is_stuck {
            let why = self.why.take().map(|why| format!("{why}; ")).unwrap_or_default();
            let server = self.server;
            self.why = Some(format!("{why}its pod is older than its spec; kf notebook start {server}"));
        }
    }

    /// The status is the same for "just made" and "cannot be made", so events and owners have to say.
    fn judge_without_pod(&mut self, scene: &Scene, now: Timestamp) {
        let (server, events) = (self.server, &scene.events);
        if let Some(old) = scene.left_over(server) {
            let text = format!("waits for pod {} of an earlier {} to end", old.name(), server.name());
            return self.say(ServerState::Pending, text);
        }
        let set = scene.set(server);
        let warning = match set {
            Some(set) => events.warning(set),
            // A Notebook's controller repeats the warnings on the Notebook, a Workspace's does not.
            None if server.is_notebook() => events.warning(server.object()),
            None if scene.sets.is_none() => {
                let below = format!("ws-{}-", server.name());
                events.warning_like("StatefulSet", &below, server.object().created())
            }
            None => None,
        };
        if let Some((_, message)) = warning {
            // As `kf status` judges it, and as it says it.
            self.is_refused = true;
            return self.say(ServerState::Pending, refusal(message));
        }
        let unmade = scene.sets.is_some() && set.is_none();
        if unmade && let Err(error) = check_name(server.kind(), server.name()) {
            self.is_final = true;
            return self.say(ServerState::Failed, error.message);
        }
        let age = server.object().created().map(|created| created.age(now)).unwrap_or_default();
        if unmade && age > CONTROLLER_ACTS_WITHIN {
            let text = format!("the {} controller has made nothing of it", server.kind());
            return self.say(ServerState::Pending, text);
        }
        self.say(ServerState::Pending, "no pod yet");
    }

    /// What waiting will not heal. Any other `Error` of a Workspace is one of the moment.
    fn final_complaint(&self) -> Option<String> {
        let object = self.server.object();
        let said =
            object.str("/status/stateMessage").filter(|_| object.str("/status/state") == Some("Error"))?;
        let is_final = ["unknown WorkspaceKind", "invalid imageConfig", "invalid podConfig"];
        is_final
            .iter()
            .any(|words| said.contains(words))
            .then(|| said.trim_start_matches("Workspace ").to_owned())
    }
}

/// Whether a pod was made from another revision than its stateful set has now.
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

/// Whether being ready proves that it works: without a probe a container is ready as soon as it
/// starts, and again at each start of a crash loop.
pub(crate) fn is_proven(server: &Server, pod: &Object) -> bool {
    let container = server.container(pod.list("/spec/containers"));
    container.is_some_and(|container| container.get("readinessProbe").is_some())
}

/// The text of a field of a container.
pub(crate) fn field<'a>(container: &'a Value, pointer: &str) -> Option<&'a str> {
    container.pointer(pointer)?.as_str()
}
