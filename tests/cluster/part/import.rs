//! Imports images into the containerd of a running node.

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kf_toolchains::command;

use super::super::error::{ClusterError, Result};
use super::super::image::{self, Image};
use super::super::node::{CONTAINERD_SOCKET, IMPORT_IMAGES};
use super::super::supervisor::{self, Files, ProcessIdentity};

/// Streams `images` into the node of the cluster in `directory`.
pub(super) fn into_node(directory: &Path, images: Vec<Image>) -> Result<()> {
    if images.is_empty() {
        return Ok(());
    }
    let mut command = ctr(directory)?;
    command.args(["images", "import", "-"]);
    let what = PathBuf::from(command.get_program());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let written = match child.stdin.take() {
        Some(stdin) => image::write_archive(images, BufWriter::new(stdin), &what),
        None => Ok(()),
    };
    let output = child.wait_with_output()?;
    if output.status.success() {
        return written;
    }
    // Its own error is more useful than the failed write.
    Err(kf_toolchains::Error::CommandFailed {
        command: format!("{} images import", what.display()),
        status: output.status.to_string(),
        output: command::last_part(&String::from_utf8_lossy(&output.stderr)).to_owned(),
    }
    .into())
}

/// containerd's client, for the node of the cluster in `directory`.
pub(super) fn ctr(directory: &Path) -> Result<Command> {
    let files = Files(directory);
    let first: ProcessIdentity = supervisor::read_json(&files.node())?;
    if !first.is_alive() {
        return Err(ClusterError::Stopped { reason: "its node has ended".to_owned(), logs: files.logs() });
    }
    let ctr = supervisor::read_plan(directory)?
        .programs
        .into_iter()
        .find(|program| program.name == IMPORT_IMAGES)
        .ok_or_else(|| ClusterError::malformed(files.plan(), "it imports no images"))?;
    let mut command = Command::new(&ctr.path);
    // The node's socket is reached through its first process.
    command.arg(format!("--address=/proc/{}/root{CONTAINERD_SOCKET}", first.pid()));
    command.arg("--namespace=k8s.io").envs(ctr.environment);
    Ok(command)
}
