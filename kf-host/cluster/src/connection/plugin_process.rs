//! Credential plugins that nobody waits for at a terminal.
//!
//! Such a plugin runs in a process group of its own, so that it can be ended with everything it has
//! started: when time is up it must not go on where its user cannot see it.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// The groups that run, and whether more may start.
struct Groups {
    running: Vec<Pid>,
    is_closed: bool,
}

static GROUPS: Mutex<Groups> = Mutex::new(Groups { running: Vec::new(), is_closed: false });

fn groups() -> MutexGuard<'static, Groups> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the credential plugins that run unattended, with all they have started, and lets no other start.
pub fn end_unattended_plugins() {
    let mut groups = groups();
    groups.is_closed = true;
    for group in groups.running.drain(..) {
        let _gone = kill_process_group(group, Signal::KILL);
    }
}

/// Waits for a plugin and all it prints. Meanwhile [`end_unattended_plugins`] ends it.
pub(super) fn output_unattended(command: &mut Command) -> io::Result<Output> {
    command.stdout(Stdio::piped()).process_group(0);
    // Nobody may end the plugins between its start and its entry here.
    let (child, group) = {
        let mut groups = groups();
        if groups.is_closed {
            return Err(io::Error::other("there is no time left"));
        }
        let child = command.spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        groups.running.extend(group);
        (child, group)
    };
    let output = child.wait_with_output();
    // What it left behind has no one to talk to any more, and its number may soon be another's.
    let mut groups = groups();
    groups.running.retain(|running| Some(*running) != group);
    output
}
