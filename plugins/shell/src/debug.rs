//! A debug container in a pod whose image has no tools.
//!
//! An *ephemeral container* is added to a running pod. It shares the pod's network and, with `targetContainerName`,
//! sees the processes of that container; as the same user it can read that container's files in `/proc/1/root`. It
//! cannot be removed before the pod ends.

use std::time::Duration;

use kf_plugin_sdk::abi::PatchKind;
use kf_plugin_sdk::objects::{Change, Reflector};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::Place;
use serde_json::{Value, json};

use crate::Shell;

/// A small image with a shell and the usual tools.
pub(crate) const IMAGE: &str = "busybox:1.37";

/// Includes the time to pull the image.
const START_TIMEOUT: Duration = Duration::from_secs(180);

pub(crate) fn open(kf: &Kf, shell: &Shell, place: &Place) -> Result<Exit> {
    let pod = place.pod.name();
    let name = free_name(&place.pod);
    let pods = kf.api("Pod");
    let patch = json!({ "spec": { "ephemeralContainers": [container(&name, kf, shell, place)] } });
    pods.patch_subresource(pod, "ephemeralcontainers", PatchKind::Strategic, &patch)?;
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    kf.note(format!(
        "added container {name} ({}) to pod {pod}, next to {}; it stays until the pod ends",
        shell.debug_image, place.container
    ));
    wait(kf, pod, &name)?;
    kf.note(format!("the files of {} are in /proc/1/root", place.container));
    let session = kf.session(pod).container(&name).stdin(true).tty(kf.context().interactive);
    Ok(Exit::of_session(session.attach()?))
}

/// The debug container. It copies the security context of its target, so that it can read the target's files and
/// passes the same admission checks.
fn container(name: &str, kf: &Kf, shell: &Shell, place: &Place) -> Value {
    let target = place
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
        (target.and_then(|c| c.get("securityContext")), container.as_object_mut())
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

/// Waiting until the container is running.
fn wait(kf: &Kf, pod: &str, name: &str) -> Result<()> {
    let progress = kf.progress(&format!("waiting for container {name}"));
    let deadline = kf.after(START_TIMEOUT);
    let itself = kf.api("Pod").fields(format!("metadata.name={pod}"));
    let (mut found, mut changes) = Reflector::open(kf, itself)?;
    let mut now = found.pop();
    loop {
        match now.as_ref().map(|pod| state(pod, name)) {
            None => return Err(Error::not_found(format!("pod {pod} was deleted"))),
            Some(State::Running) => return Ok(()),
            Some(State::Failed(why)) => {
                return Err(Error::failed(format!("container {name} failed to start: {why}"))
                    .hint("pass an image that the cluster can pull to --debug-image"));
            }
            Some(State::Waiting(why)) => progress.set(&format!("waiting for container {name}{why}"), 0),
        }
        let ready = kf.wait(&[&changes.subscribe(), &deadline]);
        if !ready.contains(&0) {
            return Err(Error::timed_out(format!("container {name} is not running after 3 minutes"))
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
    Waiting(String),
    Running,
    Failed(String),
}

fn state(pod: &Object, name: &str) -> State {
    let mut statuses = pod.list("/status/ephemeralContainerStatuses").iter();
    let status = statuses.find(|status| status.get("name").and_then(Value::as_str) == Some(name));
    let text = |pointer: &str| status.and_then(|status| status.pointer(pointer)).and_then(Value::as_str);
    let is = |state: &str| status.is_some_and(|status| status.pointer(&format!("/state/{state}")).is_some());
    if is("running") {
        return State::Running;
    }
    if is("terminated") {
        let why = text("/state/terminated/message").or(text("/state/terminated/reason"));
        return State::Failed(why.unwrap_or("it exited immediately").to_owned());
    }
    match text("/state/waiting/reason") {
        Some(
            reason
            @ ("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "CreateContainerConfigError"),
        ) => {
            let message = text("/state/waiting/message").unwrap_or_default();
            State::Failed(format!("{reason}: {message}").trim_end_matches([':', ' ']).to_owned())
        }
        Some(reason) => State::Waiting(format!(": {reason}")),
        None => State::Waiting(String::new()),
    }
}
