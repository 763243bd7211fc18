//! A test cluster does not outlive the run that started it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kf_tests::cluster::{progress, skip_without_own_node, sweep};
use serde_json::Value;

use super::hold;
use crate::common::{Streams, until};

/// A process that holds a cluster, as a test program does.
struct Holder {
    process: Child,
    directory: PathBuf,
    node: Option<u64>,
}

impl Holder {
    fn start(profile: &str) -> Self {
        let (process, directory) = hold(profile, &[]);
        let plan: Value = read_json(&directory.join("plan.json"));
        let node = plan.pointer("/node/link/number").and_then(Value::as_u64);
        let holder = Self { process, directory, node };
        assert_eq!(node.is_some(), profile == "node");
        let found = holder.remains(true);
        assert!(found.len() > 3, "the checks find too little of a running cluster: {found:?}");
        holder
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// What remains of the cluster on this machine; with `everything` also files and control groups.
    fn remains(&self, everything: bool) -> Vec<String> {
        let mut remains = processes(&self.directory, self.node);
        let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
        remains.extend(
            mounts.lines().filter(|line| line.contains(self.directory.to_str().unwrap())).map(str::to_owned),
        );
        if let Some(number) = self.node {
            let link = PathBuf::from(format!("/sys/class/net/kfnode{number}"));
            remains.extend(link.exists().then(|| link.display().to_string()));
        }
        if everything {
            remains.extend(self.directory.exists().then(|| self.directory.display().to_string()));
            remains.extend(self.node.into_iter().flat_map(control_groups));
        }
        remains
    }

    fn expect_nothing_left(&self, everything: bool) {
        until(|| match self.remains(everything) {
            nothing if nothing.is_empty() => Ok(()),
            remains => Err(format!("left behind: {remains:#?}")),
        });
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

/// The processes that name the cluster's directory or are in the node's control group.
fn processes(directory: &Path, node: Option<u64>) -> Vec<String> {
    let directory = directory.to_str().unwrap();
    let group = node.map(|number| format!("/kf-node-{number}/"));
    let mut found = Vec::new();
    for entry in fs_err::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        // The process may end meanwhile.
        let Ok(line) = fs_err::read(path.join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let groups = fs_err::read_to_string(path.join("cgroup")).unwrap_or_default();
        if line.contains(directory) || group.as_ref().is_some_and(|group| groups.contains(group)) {
            found.push(format!("{} {line}", path.display()));
        }
    }
    found
}

fn control_groups(number: u64) -> Vec<String> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs_err::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    std::iter::once(root.to_owned())
        .chain(hierarchies)
        .map(|hierarchy| hierarchy.join(format!("kf-node-{number}")))
        .filter(|group| group.exists())
        .map(|group| group.display().to_string())
        .collect()
}

/// The registry has files and runs in the node's network namespace.
#[test]
fn part_is_installed_once_and_removed_with_killed_harness() {
    if skip_without_own_node("part_is_installed_once_and_removed_with_killed_harness") {
        return;
    }
    let mut holder = Holder::start("node");
    let ask = || {
        Command::new(env!("CARGO_BIN_EXE_kf-test-cluster"))
            .arg("require")
            .arg(&holder.directory)
            .arg("registry")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut installations = 0;
    for mut asking in [ask(), ask()] {
        let output = Streams::of(&mut asking).output(&mut asking);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        installations += stderr.matches("installing registry").count();
    }
    assert_eq!(installations, 1);
    holder.kill();
    holder.expect_nothing_left(true);
}

#[test]
fn killed_harness_leaves_no_control_plane() {
    let mut holder = Holder::start("api");
    holder.kill();
    holder.expect_nothing_left(true);
}

#[test]
fn killed_supervisor_leaves_nothing() {
    let profile =
        if skip_without_own_node("killed_supervisor_leaves_nothing (of a node)") { "api" } else { "node" };
    let mut holder = Holder::start(profile);
    let supervisor = read_json(&holder.directory.join("supervisor.json"));
    let pid = supervisor["pid"].as_u64().unwrap();
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
    holder.expect_nothing_left(false);
    // The next run removes files and empty control groups.
    sweep(progress::silent).unwrap();
    holder.expect_nothing_left(true);
    holder.kill();
}
