//! The process of a credential plugin, and how much of its output is read.
//!
//! An unattended plugin runs in its own process group, so that it can be killed with all its children: after a timeout
//! nothing may keep running unseen.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};

/// The running process groups, and whether more can be started.
struct Groups {
    running: Vec<Pid>,
    is_closed: bool,
}

static GROUPS: Mutex<Groups> = Mutex::new(Groups { running: Vec::new(), is_closed: false });

fn groups() -> MutexGuard<'static, Groups> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills the unattended credential plugins with all their children, and prevents new ones from starting.
pub fn kill_unattended_plugins() {
    let mut groups = groups();
    groups.is_closed = true;
    for group in groups.running.drain(..) {
        let _gone = kill_process_group(group, Signal::KILL);
    }
}

/// The maximum size of a plugin's stdout, in bytes. Credentials take a few KiB.
pub(super) const MAX_STDOUT_BYTES: u64 = 1 << 20;

/// How much of a plugin's stderr is kept, from its end, in bytes.
const MAX_STDERR_BYTES: usize = 64 << 10;

/// Why a plugin has no usable output.
#[derive(Debug)]
pub(super) enum OutputError {
    Io(io::Error),
    /// The plugin printed more than [`MAX_STDOUT_BYTES`], and was killed.
    TooLarge,
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Waits for a plugin and collects its output.
pub(super) fn output(command: &mut Command) -> Result<Output, OutputError> {
    collect(command.stdout(Stdio::piped()).spawn()?, Child::kill)
}

/// The same for an unattended plugin, which [`kill_unattended_plugins`] can kill.
pub(super) fn output_unattended(command: &mut Command) -> Result<Output, OutputError> {
    command.stdout(Stdio::piped()).process_group(0);
    // The lock is held until the group is registered, so that it cannot be missed.
    let (child, group) = {
        let mut groups = groups();
        if groups.is_closed {
            return Err(io::Error::other("no time left").into());
        }
        let child = command.spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        groups.running.extend(group);
        (child, group)
    };
    let output = collect(child, |child| match group {
        Some(group) => Ok(kill_process_group(group, Signal::KILL)?),
        None => child.kill(),
    });
    // Unregister it, as its process ID may be reused.
    let mut groups = groups();
    groups.running.retain(|running| Some(*running) != group);
    output
}

/// Collects the output of a program, and kills it if the output exceeds the limit.
fn collect(mut child: Child, kill: impl FnOnce(&mut Child) -> io::Result<()>) -> Result<Output, OutputError> {
    let is_over = Arc::new(AtomicBool::new(false));
    let stderr = child.stderr.take().map(|stderr| {
        let is_over = Arc::clone(&is_over);
        thread::spawn(move || last_bytes(stderr, &is_over))
    });
    let mut stdout = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        pipe.take(MAX_STDOUT_BYTES + 1).read_to_end(&mut stdout)?;
    }
    if stdout.len() as u64 > MAX_STDOUT_BYTES {
        // Do not wait for the end of stderr: a child of the program may hold it open.
        is_over.store(true, Ordering::Relaxed);
        let _gone = kill(&mut child);
        child.wait()?;
        return Err(OutputError::TooLarge);
    }
    let stderr = stderr.and_then(|reader| reader.join().ok()).transpose()?.unwrap_or_default();
    Ok(Output { status: child.wait()?, stdout, stderr })
}

/// The last bytes of a stream, or those so far once `is_over` is set.
fn last_bytes(mut stream: impl Read, is_over: &AtomicBool) -> io::Result<Vec<u8>> {
    let mut last = VecDeque::new();
    let mut chunk = [0; 4096];
    loop {
        let read = match stream.read(&mut chunk) {
            Ok(0) => return Ok(last.into()),
            Ok(_) if is_over.load(Ordering::Relaxed) => return Ok(last.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        last.extend(chunk.iter().take(read));
        last.drain(..last.len().saturating_sub(MAX_STDERR_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Run = fn(&mut Command) -> Result<Output, OutputError>;

    const WAYS: [Run; 2] = [output, output_unattended];

    fn script(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]).stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }

    #[test]
    fn output_over_limit_kills_program() {
        for run in WAYS {
            let exactly = format!("head -c {MAX_STDOUT_BYTES} /dev/zero; echo done >&2; exit 3");
            let output = run(&mut script(&exactly)).unwrap();
            assert_eq!((output.stdout.len() as u64, output.status.code()), (MAX_STDOUT_BYTES, Some(3)));
            assert_eq!(output.stderr, b"done\n");
            let more = format!("head -c {} /dev/zero; sleep 100000", MAX_STDOUT_BYTES + 1);
            for endless in ["yes", "yes & yes >&2", "while :; do echo x; done", &more] {
                let ran = run(&mut script(endless));
                assert!(matches!(ran, Err(OutputError::TooLarge)), "{endless}: {ran:?}");
            }
        }
    }

    #[test]
    fn long_stderr_is_truncated_at_start() {
        for run in WAYS {
            let output = run(&mut script("yes words | head -c 3000000 >&2; echo the remedy >&2")).unwrap();
            assert_eq!(output.stderr.len(), MAX_STDERR_BYTES);
            assert!(output.stderr.ends_with(b"the remedy\n"));
        }
    }
}
