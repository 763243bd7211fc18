//! Running programs with a time limit.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// The time limit, generous for a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Runs a program to its end and returns its output.
#[track_caller]
pub(crate) fn output_of(command: &mut Command) -> Output {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = piped.spawn().unwrap();
    let (ended, output) = channel();
    thread::spawn(move || ended.send(child.wait_with_output()));
    output.recv_timeout(TIME_LIMIT).unwrap().unwrap()
}

/// Waits until the program has written a line that contains `text`.
#[track_caller]
pub(crate) fn await_line(child: &mut Child, text: &'static str) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (found, line) = channel();
    thread::spawn(move || found.send(lines.map_while(Result::ok).any(|line| line.contains(text))));
    assert_eq!(line.recv_timeout(TIME_LIMIT), Ok(true), "the program did not write `{text}`");
}
