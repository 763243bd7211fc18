//! A pseudo-terminal, so that kf runs interactively.
//!
//! It is the program's controlling terminal, so that a typed Ctrl-C becomes a signal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::tcgetattr;
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::{TIMEOUT, wait_for_exit};

/// How often the reader checks whether the terminal was closed.
const POLL_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// A program on a terminal: its output so far, and the keyboard.
pub struct Terminal {
    child: Child,
    keyboard: File,
    /// The terminal's settings before the program started.
    before: String,
    is_closed: Arc<AtomicBool>,
    reading: JoinHandle<()>,
    chunks: Receiver<Vec<u8>>,
    screen: Vec<u8>,
}

impl Terminal {
    pub fn start(program: Command) -> Self {
        Self::start_sized(program, 0, 0)
    }

    /// On a terminal that has this size from the start; 0 is unknown.
    pub fn start_sized(program: Command, columns: u16, rows: u16) -> Self {
        let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&main).unwrap();
        unlockpt(&main).unwrap();
        let mut command = on_controlling_terminal(&program);
        let name = ptsname(&main, Vec::new()).unwrap().into_string().unwrap();
        let keyboard = File::from(main);
        resize(&keyboard, columns, rows);
        let before = settings(&keyboard);
        let side = || fs_err::OpenOptions::new().read(true).write(true).open(&name).unwrap().into_parts().0;
        let child = command
            .stdin(Stdio::from(side()))
            .stdout(Stdio::from(side()))
            .stderr(Stdio::from(side()))
            .spawn()
            .unwrap();
        drop(command);
        let mut reader = keyboard.try_clone().unwrap();
        let (sender, chunks) = channel();
        let is_closed = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&is_closed);
        let reading = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !closed.load(Ordering::Relaxed) {
                // A blocked reader would keep the terminal open.
                if poll(&mut [PollFd::new(&reader, PollFlags::IN)], Some(&POLL_INTERVAL)) == Ok(0) {
                    continue;
                }
                match reader.read(&mut buffer) {
                    Ok(length @ 1..) if sender.send(buffer[..length].to_vec()).is_ok() => {}
                    _ => break,
                }
            }
        });
        Self { child, keyboard, before, is_closed, reading, chunks, screen: Vec::new() }
    }

    /// Waits until the text has appeared.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        self.expect_times(text, 1);
    }

    /// How often the text has appeared so far.
    pub fn times(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.screen).matches(text).count()
    }

    /// Waits until the text has appeared this many times.
    #[track_caller]
    pub fn expect_times(&mut self, text: &str, times: usize) {
        let started = Instant::now();
        while self.times(text) < times {
            match self.chunks.recv_timeout(TIMEOUT.saturating_sub(started.elapsed())) {
                Ok(chunk) => self.screen.extend(chunk),
                Err(_) => panic!("no `{text}` on the terminal:\n{}", String::from_utf8_lossy(&self.screen)),
            }
        }
    }

    pub fn type_text(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// The terminal's settings.
    pub fn settings(&self) -> String {
        settings(&self.keyboard)
    }

    /// The keyboard alone, to read the settings after the program has ended.
    pub fn keyboard(&self) -> File {
        self.keyboard.try_clone().unwrap()
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        resize(&self.keyboard, columns, rows);
    }

    /// Types Ctrl-C and returns the final screen. Asserts exit code 130 and restored terminal settings.
    #[track_caller]
    pub fn interrupt(mut self) -> String {
        let (before, keyboard) = (self.before.clone(), self.keyboard.try_clone().unwrap());
        let started = Instant::now();
        while !catches_interrupts(self.child.id()) {
            assert!(started.elapsed() < TIMEOUT, "Ctrl-C is not caught:\n{}", shown(&self.screen));
            std::thread::sleep(Duration::from_millis(10));
        }
        self.type_text("\x03");
        let (status, screen) = self.finish();
        let shown = shown(&screen);
        assert_eq!(status.code(), Some(130), "{shown}");
        assert_eq!(settings(&keyboard), before);
        shown
    }

    /// Sends a signal and returns the exit status. Asserts restored terminal settings.
    #[track_caller]
    pub fn signal(self, signal: Signal) -> ExitStatus {
        let (before, keyboard) = (self.before.clone(), self.keyboard.try_clone().unwrap());
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        let (status, screen) = self.finish();
        assert_eq!(settings(&keyboard), before, "{signal}: {}", shown(&screen));
        status
    }

    /// Closes the terminal, so that the kernel sends SIGHUP, and returns the exit status.
    #[track_caller]
    pub fn close(self) -> ExitStatus {
        let Self { mut child, keyboard, is_closed, reading, .. } = self;
        is_closed.store(true, Ordering::Relaxed);
        reading.join().unwrap();
        drop(keyboard);
        wait_for_exit(&mut child)
    }

    /// The screen so far.
    pub fn screen(&self) -> String {
        shown(&self.screen)
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Types an answer each time that its prompt appears, until the program ends. Returns its exit status and its screen.
    pub fn answer(mut self, answers: &[(&str, &str)]) -> (ExitStatus, String) {
        let mut given = vec![0; answers.len()];
        while let Ok(chunk) = self.chunks.recv_timeout(TIMEOUT) {
            self.screen.extend(chunk);
            for ((prompt, answer), given) in answers.iter().zip(&mut given) {
                while *given < self.times(prompt) {
                    self.type_text(answer);
                    *given += 1;
                }
            }
        }
        let screen = self.screen();
        (wait_for_exit(&mut self.child), screen)
    }

    /// Waits until the program ends; returns its exit status and everything it wrote.
    pub fn finish(mut self) -> (ExitStatus, Vec<u8>) {
        let status = wait_for_exit(&mut self.child);
        while let Ok(chunk) = self.chunks.recv_timeout(TIMEOUT) {
            self.screen.extend(chunk);
        }
        (status, self.screen)
    }
}

fn resize(keyboard: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(keyboard, size).unwrap();
}

/// A terminal's settings, for comparison.
pub fn settings(keyboard: &File) -> String {
    format!("{:?}", tcgetattr(keyboard).unwrap())
}

/// Whether the program has installed its handler for Ctrl-C.
fn catches_interrupts(process: u32) -> bool {
    const INTERRUPT: u64 = 1 << 1;
    let status = fs_err::read_to_string(format!("/proc/{process}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & INTERRUPT != 0
}

fn on_controlling_terminal(program: &Command) -> Command {
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(program.get_program()).args(program.get_args()).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(program.get_current_dir().unwrap());
    command
}

/// The visible text: without cleared lines and escape sequences.
pub fn shown(screen: &[u8]) -> String {
    let text = String::from_utf8_lossy(screen).replace("\r\n", "\n");
    let mut lines = vec![String::new()];
    let mut rest = text.as_str();
    while let Some(next) = rest.chars().next() {
        let line = lines.last_mut().unwrap();
        if let Some(after) = rest.strip_prefix("\r\u{1b}[2K") {
            line.clear();
            rest = after;
        } else if let Some(after) = rest.strip_prefix('\u{1b}').and_then(after_sequence) {
            rest = after;
        } else {
            if next == '\n' {
                lines.push(String::new());
            } else if !['\u{18}', '\u{f}'].contains(&next) {
                line.push(next);
            }
            rest = &rest[next.len_utf8()..];
        }
    }
    lines.join("\n")
}

/// The text after an escape sequence whose ESC was already removed.
fn after_sequence(rest: &str) -> Option<&str> {
    let (length, body) = match rest.chars().next()? {
        '[' => (1, rest[1..].find(|c| ('@'..='~').contains(&c))? + 1),
        ']' => (1, rest.find("\u{1b}\\")? + 1),
        '(' | ')' => (1, 1),
        _ => (1, 0),
    };
    rest.get(length + body..)
}
