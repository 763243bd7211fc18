//! A run ends although the host's own output blocks, and when the user presses Ctrl-C.

use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kf_core::ui::{Column, Format, Row, Ui, WidgetId};
use kf_sandbox::{Fault, Limits};

use crate::guests;
use crate::host::{Given, Screen, patient, run_before};

/// A terminal that is closed, or blocks forever.
enum DeadTerminal {
    Closed,
    Stuck,
}

impl Ui for DeadTerminal {
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

fn run(terminal: DeadTerminal, attack: &str) -> Result<(), Fault> {
    let limits = Limits { stdout_bytes: u64::MAX, ..patient(Limits::default()) };
    let limits = match terminal {
        DeadTerminal::Closed => limits,
        DeadTerminal::Stuck => Limits { wall: Duration::from_millis(500), ..limits },
    };
    let given = Given { limits, ..Given::default() };
    run_before(Box::new(terminal), Screen::default(), guests::code(attack), given).result.map(drop)
}

/// With and without an async runtime, which are supervised differently.
#[test]
fn blocked_write_is_ended_by_wall_clock() {
    for attack in ["output_flood", "wasi_output_flood"] {
        let Err(Fault::Limit { limit }) = run(DeadTerminal::Stuck, attack) else {
            panic!("not ended by a limit")
        };
        assert_eq!(limit.which.name(), "run.wall");
    }
}

/// As with `| head`: even a guest that ignores errors is stopped.
#[test]
fn closed_stdout_ends_the_run() {
    for attack in ["output_flood", "wasi_output_flood", "table_flood"] {
        assert_eq!(run(DeadTerminal::Closed, attack), Err(Fault::OutputClosed));
    }
}

/// The process that the test below interrupts. Prints how its run ended.
#[test]
#[ignore = "run by ctrl_c_ends_a_wait"]
fn interrupted() {
    let given = Given::default();
    let code = guests::code("sleep_for_ever");
    let result = run_before(Box::new(Screen::default()), Screen::default(), code, given).result;
    println!("ended: {}", result.map(drop).unwrap_err());
}

/// A timeout for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Waits until `check` returns something.
fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(begun.elapsed() < TIMEOUT, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the process handles Ctrl-C already. Before that, Ctrl-C just kills it.
fn handles_interrupts(process: &Child) -> bool {
    const INTERRUPT: u64 = 1 << 1;
    let status = fs_err::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & INTERRUPT != 0
}

/// One Ctrl-C is enough, once the run handles it.
#[test]
fn ctrl_c_ends_a_wait() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["stuck::interrupted", "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("the run to handle Ctrl-C", || handles_interrupts(&child).then_some(()));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    until("the run to end", || child.try_wait().unwrap());
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert!(stdout.lines().any(|line| line.ends_with("ended: interrupted")), "{stdout}");
}
