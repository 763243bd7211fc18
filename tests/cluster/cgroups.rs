//! The control group of a node's pods, in version 1 or 2.
//!
//! Version 1 has a hierarchy for each controller, and the group is created in all of them; version 2 has one
//! hierarchy, whose controllers must be delegated to the group.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;

use super::error::{ClusterError, Result};

/// The controllers without which a kubelet does not start.
const REQUIRED: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

const PREFIX: &str = "kf-node-";

/// The share of CPU time of all pods together, ten times that of a process on the machine, for either version.
const SHARES: (&str, &str) = ("cpu.shares", "10240");
const WEIGHT: (&str, &str) = ("cpu.weight", "1000");

/// The name of the group for the node with this number.
pub(crate) fn name(number: u8) -> String {
    format!("{PREFIX}{number}")
}

/// Where the machine's hierarchies are mounted.
enum Hierarchies {
    Version1(Vec<PathBuf>),
    Version2(PathBuf),
}

fn hierarchies() -> Result<Hierarchies> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mut version_1 = Vec::new();
    let mut version_2 = None;
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let Some(mount_point) = before.split_whitespace().nth(4).map(PathBuf::from) else { continue };
        if !mount_point.starts_with("/sys/fs/cgroup") {
            continue;
        }
        match after.split_whitespace().next() {
            Some("cgroup") => version_1.push(mount_point),
            Some("cgroup2") => version_2 = Some(mount_point),
            _ => {}
        }
    }
    match version_2 {
        _ if !version_1.is_empty() => Ok(Hierarchies::Version1(version_1)),
        Some(mount_point) => Ok(Hierarchies::Version2(mount_point)),
        None => Err(ClusterError::NodeUnsupported("no cgroups are mounted below /sys/fs/cgroup".to_owned())),
    }
}

/// Checks that the machine has all required controllers.
pub(crate) fn check() -> Result<()> {
    let offered = match hierarchies()? {
        Hierarchies::Version1(mount_points) => mount_points
            .iter()
            .filter_map(|mount_point| mount_point.file_name()?.to_str())
            .flat_map(|name| name.split(','))
            .map(str::to_owned)
            .collect::<Vec<_>>(),
        Hierarchies::Version2(root) => fs::read_to_string(root.join("cgroup.controllers"))?
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    };
    let missing: Vec<&str> =
        REQUIRED.into_iter().filter(|required| !offered.iter().any(|name| name == required)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(ClusterError::NodeUnsupported(format!(
        "the cgroup controllers {} are not available (available: {})",
        missing.join(", "),
        offered.join(", ")
    )))
}

/// Creates the group `name`.
pub(crate) fn create(name: &str) -> Result<()> {
    match hierarchies()? {
        Hierarchies::Version1(mount_points) => {
            for mount_point in mount_points {
                let group = mount_point.join(name);
                fs::create_dir_all(&group)?;
                // A new cpuset is empty, and no process can enter it.
                for file in ["cpuset.mems", "cpuset.cpus"] {
                    if group.join(file).exists() {
                        fs::write(group.join(file), fs::read(mount_point.join(file))?)?;
                    }
                }
                write_if_exists(&group, SHARES)?;
            }
        }
        Hierarchies::Version2(root) => {
            let control = root.join("cgroup.subtree_control");
            let enabled = fs::read_to_string(&control)?;
            for controller in REQUIRED {
                if !enabled.split_whitespace().any(|name| name == controller) {
                    fs::write(&control, format!("+{controller}")).map_err(|error| {
                        ClusterError::NodeUnsupported(format!(
                            "the cgroup controller {controller} cannot be delegated from {}: {error}; \
                             in a container, start it with --privileged and --cgroupns=host",
                            root.display()
                        ))
                    })?;
                }
            }
            let group = root.join(name);
            fs::create_dir_all(&group)?;
            write_if_exists(&group, WEIGHT)?;
        }
    }
    Ok(())
}

fn write_if_exists(group: &Path, (file, value): (&str, &str)) -> Result<()> {
    let file = group.join(file);
    if file.exists() {
        fs::write(file, value)?;
    }
    Ok(())
}

/// Removes the group `name` and everything below it, once its processes have ended.
pub(crate) fn remove(name: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut failure = None;
        for group in groups(name)? {
            if let Err(error) = remove_tree(&group) {
                failure = Some(error);
            }
        }
        match failure {
            None => return Ok(()),
            Some(error) if Instant::now() > deadline => return Err(error.into()),
            Some(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Removes the groups of stopped nodes: those without a network link and without processes.
pub(crate) fn sweep(is_running: impl Fn(u8) -> bool) -> Result<()> {
    let Ok(hierarchies) = hierarchies() else { return Ok(()) };
    let roots = match hierarchies {
        Hierarchies::Version1(roots) => roots,
        Hierarchies::Version2(root) => vec![root],
    };
    for root in roots {
        let Ok(entries) = fs::read_dir(&root) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            if number.is_some_and(|number| !is_running(number)) && is_empty(&entry.path()) {
                let _ = remove_tree(&entry.path());
            }
        }
    }
    Ok(())
}

fn groups(name: &str) -> Result<Vec<PathBuf>> {
    let roots = match hierarchies()? {
        Hierarchies::Version1(roots) => roots,
        Hierarchies::Version2(root) => vec![root],
    };
    Ok(roots.into_iter().map(|root| root.join(name)).filter(|group| group.is_dir()).collect())
}

fn children(group: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(group)?.flatten();
    Ok(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect())
}

fn is_empty(group: &Path) -> bool {
    fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|processes| processes.is_empty())
        && children(group).is_ok_and(|children| children.iter().all(|child| is_empty(child)))
}

fn remove_tree(group: &Path) -> std::io::Result<()> {
    for child in children(group)? {
        remove_tree(&child)?;
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
