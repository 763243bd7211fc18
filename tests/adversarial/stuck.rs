//! A run ends although the host's own side does not answer, and when the user says so.

use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use kf_core::ui::{Column, Format, Row, Ui, WidgetId};
use kf_sandbox::{Fault, Limits};

use crate::guests;
use crate::host::{Given, Screen, run_before};

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
    let limits = Limits { wall: Duration::from_millis(500), stdout_bytes: u64::MAX, ..Limits::default() };
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
    let limits = Limits { wall: Duration::from_secs(60), ..Limits::default() };
    let given = Given { limits, ..Given::default() };
    let code = guests::code("sleep_for_ever");
    let result = run_before(Box::new(Screen::default()), Screen::default(), code, given).result;
    println!("ended: {}", result.map(drop).unwrap_err());
}

/// An interrupt before the run has begun just ends the process, or is not heard where the tests
/// were started without a terminal. So the process is started and interrupted until it was a run.
#[test]
fn ctrl_c_ends_a_wait() {
    let ended = (1..=10).find_map(|patience| {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["stuck::interrupted", "--exact", "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id().to_string();
        std::thread::sleep(Duration::from_millis(300 * patience));
        while child.try_wait().unwrap().is_none() {
            Command::new("kill").args(["-INT", &pid]).status().unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        lines.into_iter().find(|line| line.contains("ended: "))
    });
    assert!(ended.as_deref().is_some_and(|line| line.ends_with("ended: interrupted")), "{ended:?}");
}
