//! The process of a credential plugin, and how much of its output is read.
//!
//! A plugin that nobody waits for at a terminal runs in a process group of its own, so that it can be ended with
//! everything it has started: when time is up it must not go on where its user cannot see it.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

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

/// The most that a plugin may print to stdout, in bytes. Credentials take a few KiB.
pub(super) const MAX_STDOUT_BYTES: u64 = 1 << 20;

/// How much of the end of a plugin's stderr is kept, in bytes.
const MAX_STDERR_BYTES: usize = 64 << 10;

/// Why there is no output.
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

/// Waits for a plugin and all it prints.
pub(super) fn output(command: &mut Command) -> Result<Output, OutputError> {
    collect(command.stdout(Stdio::piped()).spawn()?, Child::kill)
}

/// The same for a plugin that nobody waits for. Meanwhile [`end_unattended_plugins`] ends it.
pub(super) fn output_unattended(command: &mut Command) -> Result<Output, OutputError> {
    command.stdout(Stdio::piped()).process_group(0);
    // Nobody may end the plugins between its start and its entry here.
    let (child, group) = {
        let mut groups = groups();
        if groups.is_closed {
            return Err(io::Error::other("there is no time left").into());
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
    // What it left behind has no one to talk to any more, and its number may soon be another's.
    let mut groups = groups();
    groups.running.retain(|running| Some(*running) != group);
    output
}

/// Reads all that a program prints, and kills it once that is too much.
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
        // The end of its stderr is not waited for: what the program has started may hold it open.
        is_over.store(true, Ordering::Relaxed);
        let _gone = kill(&mut child);
        child.wait()?;
        return Err(OutputError::TooLarge);
    }
    let stderr = stderr.and_then(|reader| reader.join().ok()).transpose()?.unwrap_or_default();
    Ok(Output { status: child.wait()?, stdout, stderr })
}

/// The end of a stream that may be long, or what there is once nobody wants it any more.
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
    fn output_up_to_the_limit_is_read_and_more_ends_the_program() {
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
    fn only_the_end_of_a_long_stderr_is_kept() {
        for run in WAYS {
            let output = run(&mut script("yes words | head -c 3000000 >&2; echo the remedy >&2")).unwrap();
            assert_eq!(output.stderr.len(), MAX_STDERR_BYTES);
            assert!(output.stderr.ends_with(b"the remedy\n"));
        }
    }
}
