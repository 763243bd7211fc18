//! A run ends although the host's own side does not answer, and when the user says so.

use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kf_core::ui::{Column, Format, Row, Ui, WidgetId};
use kf_sandbox::{Fault, Limits};

use crate::guests;
use crate::host::{Given, Screen, patient, run_before};

/// A terminal nobody reads: closed, or full for ever.
enum Dead {
    Closed,
    Stuck,
}

impl Ui for Dead {
    fn output_format(&self) -> Format {
        Format::Table
    }

    fn print(&mut self, _: &[u8]) -> io::Result<()> {
        match self {
            Self::Closed => Err(io::ErrorKind::BrokenPipe.into()),
            Self::Stuck => loop {
                std::thread::park();
            },
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn note(&mut self, _: &str) {}

    fn warn(&mut self, _: &str) {}

    fn host_note(&mut self, _: &str) {}

    fn host_warn(&mut self, _: &str) {}

    fn table(&mut self, _: &[Column], _: &[Row]) -> io::Result<()> {
        self.print(b"")
    }

    fn record(&mut self, _: &[Column], _: &Row) -> io::Result<()> {
        self.print(b"")
    }

    fn live_table(&mut self, _: WidgetId, _: &[Column]) {}

    fn live_table_update(&mut self, _: WidgetId, _: &[Row]) -> io::Result<()> {
        self.print(b"")
    }

    fn live_table_end(&mut self, _: WidgetId) {}

    fn progress(&mut self, _: WidgetId, _: &str, _: Option<u64>) {}

    fn progress_set(&mut self, _: WidgetId, _: &str, _: u64) {}

    fn progress_end(&mut self, _: WidgetId) {}

    fn confirm(&mut self, _: &str, _: bool) -> bool {
        false
    }

    fn ask(&mut self, _: &str) -> Option<String> {
        None
    }
}

fn run(dead: Dead, attack: &str) -> Result<(), Fault> {
    let limits = Limits { stdout_bytes: u64::MAX, ..patient(Limits::default()) };
    let limits = match dead {
        Dead::Closed => limits,
        Dead::Stuck => Limits { wall: Duration::from_millis(500), ..limits },
    };
    let given = Given { limits, ..Given::default() };
    run_before(Box::new(dead), Screen::default(), guests::code(attack), given).result.map(drop)
}

/// With and without an async runtime, which wait in different ways.
#[test]
fn the_wall_clock_ends_a_write_that_blocks() {
    for attack in ["output_flood", "wasi_output_flood"] {
        let Err(Fault::Limit { limit }) = run(Dead::Stuck, attack) else { panic!("not ended by a limit") };
        assert_eq!(limit.which.name(), "run.wall");
    }
}

/// As with `| head`: also a guest that does not care about errors is ended.
#[test]
fn a_closed_stdout_ends_the_run() {
    for attack in ["output_flood", "wasi_output_flood", "table_flood"] {
        assert_eq!(run(Dead::Closed, attack), Err(Fault::OutputClosed));
    }
}

/// Whom the test below interrupts; it says how it ended.
#[test]
#[ignore = "run by ctrl_c_ends_a_wait"]
fn interrupted() {
    let given = Given::default();
    let code = guests::code("sleep_for_ever");
    let result = run_before(Box::new(Screen::default()), Screen::default(), code, given).result;
    println!("ended: {}", result.map(drop).unwrap_err());
}

/// How long a busy machine may take for either.
const PATIENCE: Duration = Duration::from_secs(300);

/// Looks until something is there.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the process has got so far as to look out for Ctrl-C: before that it just ends of one.
fn catches_interrupts(process: &Child) -> bool {
    const INTERRUPT: u64 = 1 << 1;
    let status = fs_err::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & INTERRUPT != 0
}

/// One is enough, from the moment on that the run listens.
#[test]
fn ctrl_c_ends_a_wait() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["stuck::interrupted", "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("the run to listen", || catches_interrupts(&child).then_some(()));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    until("the run to end", || child.try_wait().unwrap());
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.lines().any(|line| line.ends_with("ended: interrupted")), "{said}");
}
