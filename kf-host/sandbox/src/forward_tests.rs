use std::io;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use kf_core::api::{ApiError, ByteStream, ErrorCode};
use kf_core::ui::{Column, Format, Row, Ui, WidgetId};
use proptest::prelude::*;

use super::{CopyError, Forwarding, LogSource, MAX_LINE};
use crate::Limits;
use crate::fault::Fault;
use crate::output::{OutputError, SharedOutput};

/// Keeps what was printed; fails from a number of bytes on.
#[derive(Clone)]
struct Paper {
    printed: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl Ui for Paper {
    fn output_format(&self) -> Format {
        Format::Table
    }

    fn print(&mut self, data: &[u8]) -> io::Result<()> {
        let mut printed = self.printed.lock().unwrap();
        if printed.len() + data.len() > self.room {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        printed.extend_from_slice(data);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn note(&mut self, _: &str) {}

    fn warn(&mut self, _: &str) {}

    fn host_note(&mut self, _: &str) {}

    fn host_warn(&mut self, _: &str) {}

    fn table(&mut self, _: &[Column], _: &[Row]) -> io::Result<()> {
        Ok(())
    }

    fn record(&mut self, _: &[Column], _: &Row) -> io::Result<()> {
        Ok(())
    }

    fn live_table(&mut self, _: WidgetId, _: &[Column]) {}

    fn live_table_update(&mut self, _: WidgetId, _: &[Row]) -> io::Result<()> {
        Ok(())
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

type Log = (Option<&'static str>, Vec<Result<Vec<u8>, ApiError>>);

/// A log whose chunks come one at a time, so that several take turns.
fn stream(chunks: Vec<Result<Vec<u8>, ApiError>>) -> ByteStream {
    let chunks = futures_util::stream::iter(chunks);
    chunks
        .then(|chunk| async {
            tokio::task::yield_now().await;
            chunk
        })
        .boxed()
}

fn copy(logs: Vec<Log>, room: usize) -> (Vec<u8>, Vec<Result<u64, CopyError>>) {
    let printed = Arc::new(Mutex::new(Vec::new()));
    let paper = Paper { printed: Arc::clone(&printed), room };
    // The guest may print nothing, and the logs are copied all the same.
    let limits = Limits { stdout_bytes: 0, ..Limits::default() };
    let output = SharedOutput::new(Box::new(paper), &limits);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let results = runtime.block_on(async {
        let forward = |(prefix, chunks): Log| {
            let source = LogSource::Stream(stream(chunks));
            Forwarding::new(source, prefix.map(str::to_owned), output.clone(), ())
        };
        let forwardings: Vec<_> = logs.into_iter().map(forward).collect();
        let mut results = Vec::new();
        for forwarding in &forwardings {
            results.push(forwarding.finish().await);
        }
        results
    });
    let printed = printed.lock().unwrap().clone();
    (printed, results)
}

fn chunks(texts: &[&str]) -> Vec<Result<Vec<u8>, ApiError>> {
    texts.iter().map(|text| Ok(text.as_bytes().to_vec())).collect()
}

fn printed(logs: Vec<Log>) -> String {
    String::from_utf8(copy(logs, usize::MAX).0).unwrap()
}

#[test]
fn one_log_without_a_prefix_is_copied_byte_for_byte() {
    assert_eq!(
        printed(vec![(None, chunks(&["10%\r20", "%\r", "\nend without newline"]))]),
        "10%\r20%\r\nend without newline"
    );
}

#[test]
fn every_line_gets_the_prefix() {
    let log = chunks(&["one\ntw", "o\n", "\n", "last"]);
    assert_eq!(printed(vec![(Some("[a] "), log)]), "[a] one\n[a] two\n[a] \n[a] last\n");
}

#[test]
fn lines_of_two_logs_do_not_mix() {
    let (a, b) = (chunks(&["a1 ", "a2\na3", " a4"]), chunks(&["b1 ", "b2\nb3", " b4"]));
    let text = printed(vec![(None, a), (Some("> "), b)]);
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["> b1 b2", "> b3 b4", "a1 a2", "a3 a4"]);
}

#[test]
fn a_line_without_an_end_is_not_held_for_ever() {
    let long = "x".repeat(MAX_LINE + 1);
    let text = printed(vec![(Some("> "), chunks(&[&long, "tail\nnext\n"]))]);
    assert_eq!(text, format!("> {long}tail\n> next\n"), "nothing came between, so it goes on");
    let text = printed(vec![(Some("> "), chunks(&[&long, "tail\n"])), (Some("| "), chunks(&["b\n", "c\n"]))]);
    assert!(
        text.lines().all(|line| line.starts_with("> ") || line == "| b" || line == "| c"),
        "cut, not mixed"
    );
}

#[test]
fn the_copied_bytes_are_counted_without_prefixes() {
    let (_, results) = copy(vec![(Some("[a] "), chunks(&["one\n", "two"]))], usize::MAX);
    assert!(matches!(results[..], [Ok(7)]));
}

#[test]
fn what_came_before_an_error_is_printed() {
    let error = ApiError::new(ErrorCode::NotFound, "gone");
    let log = vec![Ok(b"half a line".to_vec()), Err(error.clone())];
    let (printed, results) = copy(vec![(Some("> "), log)], usize::MAX);
    assert_eq!(printed, b"> half a line\n");
    assert!(matches!(&results[..], [Err(CopyError::Log(told))] if *told == error));
}

#[test]
fn a_closed_stdout_ends_the_run() {
    let (_, results) = copy(vec![(None, chunks(&["one\n", "two\n", "three\n"]))], 8);
    assert!(matches!(results[..], [Err(CopyError::Output(OutputError::Stop(Fault::OutputClosed)))]));
}

proptest! {
    /// However the bytes are cut, the lines of every log come out whole, in order, under its prefix.
    #[test]
    fn lines_stay_whole(
        logs in prop::collection::vec(prop::collection::vec("[a-c]{0,5}", 1..8), 2..4),
        cuts in prop::collection::vec(1_usize..7, 1..6),
    ) {
        const PREFIXES: [&str; 3] = ["0: ", "1: ", "2: "];
        let inputs = logs.iter().zip(PREFIXES).map(|(lines, prefix)| {
            let mut bytes: &[u8] = &lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect::<Vec<_>>();
            let mut chunks = Vec::new();
            for cut in cuts.iter().cycle() {
                if bytes.is_empty() {
                    break;
                }
                let (chunk, rest) = bytes.split_at((*cut).min(bytes.len()));
                chunks.push(Ok(chunk.to_vec()));
                bytes = rest;
            }
            (Some(prefix), chunks)
        });
        let text = printed(inputs.collect());
        for (lines, prefix) in logs.iter().zip(PREFIXES) {
            let out: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(prefix)).collect();
            prop_assert_eq!(out, lines.iter().map(String::as_str).collect::<Vec<_>>());
        }
        prop_assert_eq!(text.lines().count(), logs.iter().map(Vec::len).sum::<usize>());
    }
}
