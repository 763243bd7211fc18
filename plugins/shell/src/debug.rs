//! A container with tools in a pod whose image has none.
//!
//! An *ephemeral container* joins a pod that runs. It shares the pod's network and, with
//! `targetContainerName`, sees the processes of a container; with the same user it reaches that one's
//! files below `/proc/1/root`. It cannot be taken out again, and goes with the pod.

use std::time::Duration;

use kf_plugin_sdk::border::PatchKind;
use kf_plugin_sdk::objects::{Change, Reflector};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::Place;
use serde_json::{Value, json};

use crate::Shell;

/// Small, and has a shell and the usual tools.
pub(crate) const IMAGE: &str = "busybox:1.37";

/// An image may have to be pulled.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) fn open(kf: &Kf, shell: &Shell, place: &Place) -> Result<Exit> {
    let pod = place.pod.name();
    let name = free_name(&place.pod);
    let pods = kf.api("Pod");
    let patch = json!({ "spec": { "ephemeralContainers": [container(&name, kf, shell, place)] } });
    pods.patch_below(pod, "ephemeralcontainers", PatchKind::Strategic, &patch)?;
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    kf.note(format!(
        "container {name} ({}) joins pod {pod}, beside {}; it stays until the pod ends",
        shell.debug_image, place.container
    ));
    wait(kf, pod, &name)?;
    kf.note(format!("the files of {} are below /proc/1/root", place.container));
    let session = kf.session(pod).container(&name).stdin(true).tty(kf.context().interactive);
    Ok(Exit::of_session(session.attach()?))
}

/// The user and the restrictions are those of the container it stands beside: so it may look there,
/// and whatever admitted that one admits this one.
fn container(name: &str, kf: &Kf, shell: &Shell, place: &Place) -> Value {
    let beside = place
        .pod
        .list("/spec/containers")
        .iter()
        .find(|c| c.get("name").and_then(Value::as_str) == Some(&place.container));
    let mut container = json!({
        "name": name,
        "image": shell.debug_image,
        "imagePullPolicy": "IfNotPresent",
        "stdin": true,
        "stdinOnce": true,
        "tty": kf.context().interactive,
        "targetContainerName": place.container,
        "command": [shell.shell.as_deref().unwrap_or("sh")],
    });
    if let (Some(context), Some(container)) =
        (beside.and_then(|c| c.get("securityContext")), container.as_object_mut())
    {
        container.insert("securityContext".to_owned(), context.clone());
    }
    container
}

fn free_name(pod: &Object) -> String {
    let taken = |name: &str| {
        let mut containers = pod.list("/spec/ephemeralContainers").iter();
        containers.any(|container| container.get("name").and_then(Value::as_str) == Some(name))
    };
    (1..).map(|number| format!("kf-debug-{number}")).find(|name| !taken(name)).unwrap_or_default()
}

/// Waits until the container runs.
fn wait(kf: &Kf, pod: &str, name: &str) -> Result<()> {
    let progress = kf.progress(&format!("waiting for container {name}"));
    let deadline = kf.after(PATIENCE);
    let itself = kf.api("Pod").fields(format!("metadata.name={pod}"));
    let (mut found, mut changes) = Reflector::open(kf, itself)?;
    let mut now = found.pop();
    loop {
        match now.as_ref().map(|pod| state(pod, name)) {
            None => return Err(Error::not_found(format!("pod {pod} is gone"))),
            Some(State::Runs) => return Ok(()),
            Some(State::Failed(why)) => {
                return Err(Error::failed(format!("container {name} does not start: {why}"))
                    .hint("name an image that this cluster can pull with --debug-image"));
            }
            Some(State::Waits(why)) => progress.set(&format!("waiting for container {name}{why}"), 0),
        }
        let ready = kf.wait(&[&changes.subscribe(), &deadline]);
        if !ready.contains(&0) {
            return Err(Error::timed_out(format!("container {name} does not run after 3 minutes"))
                .hint(format!("kf status pod/{pod}")));
        }
        for change in changes.changes()? {
            now = match change {
                Change::All(pods) => pods.into_iter().next(),
                Change::Put(pod) => Some(pod),
                Change::Deleted(_) => None,
            };
        }
    }
}

enum State {
    Waits(String),
    Runs,
    Failed(String),
}

fn state(pod: &Object, name: &str) -> State {
    let mut statuses = pod.list("/status/ephemeralContainerStatuses").iter();
    let status = statuses.find(|status| status.get("name").and_then(Value::as_str) == Some(name));
    let text = |pointer: &str| status.and_then(|status| status.pointer(pointer)).and_then(Value::as_str);
    let is = |state: &str| status.is_some_and(|status| status.pointer(&format!("/state/{state}")).is_some());
    if is("running") {
        return State::Runs;
    }
    if is("terminated") {
        let why = text("/state/terminated/message").or(text("/state/terminated/reason"));
        return State::Failed(why.unwrap_or("it ended at once").to_owned());
    }
    match text("/state/waiting/reason") {
        Some(
            reason
            @ ("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "CreateContainerConfigError"),
        ) => {
            let message = text("/state/waiting/message").unwrap_or_default();
            State::Failed(format!("{reason}: {message}").trim_end_matches([':', ' ']).to_owned())
        }
        Some(reason) => State::Waits(format!(": {reason}")),
        None => State::Waits(String::new()),
    }
}
