use std::io;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use kf_core::api::{ApiError, ByteStream, ErrorCode};
use kf_core::ui::{Column, Format, Row, Ui, WidgetId};
use proptest::prelude::*;

use super::{CopyError, Forwarding, LogSource, MAX_LINE_BYTES};
use crate::Limits;
use crate::fault::Fault;
use crate::output::{OutputError, SharedOutput};

/// Records what was printed; fails after a number of bytes.
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

/// A log whose chunks arrive one at a time, so that several alternate.
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
    // Logs are copied although the guest cannot print anything.
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
fn single_log_without_prefix_is_copied_byte_for_byte() {
    assert_eq!(
        printed(vec![(None, chunks(&["10%\r20", "%\r", "\nend without newline"]))]),
        "10%\r20%\r\nend without newline"
    );
}

#[test]
fn every_line_has_the_prefix() {
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
fn long_unfinished_line_is_printed() {
    let long = "x".repeat(MAX_LINE_BYTES + 1);
    let text = printed(vec![(Some("> "), chunks(&[&long, "tail\nnext\n"]))]);
    assert_eq!(text, format!("> {long}tail\n> next\n"), "the line continues");
    let text = printed(vec![(Some("> "), chunks(&[&long, "tail\n"])), (Some("| "), chunks(&["b\n", "c\n"]))]);
    assert!(
        text.lines().all(|line| line.starts_with("> ") || line == "| b" || line == "| c"),
        "cut, not mixed"
    );
}

#[test]
fn copied_bytes_are_counted_without_prefixes() {
    let (_, results) = copy(vec![(Some("[a] "), chunks(&["one\n", "two"]))], usize::MAX);
    assert!(matches!(results[..], [Ok(7)]));
}

#[test]
fn bytes_before_error_are_printed() {
    let error = ApiError::new(ErrorCode::NotFound, "gone");
    let log = vec![Ok(b"half a line".to_vec()), Err(error.clone())];
    let (printed, results) = copy(vec![(Some("> "), log)], usize::MAX);
    assert_eq!(printed, b"> half a line\n");
    assert!(matches!(&results[..], [Err(CopyError::Log(returned))] if *returned == error));
}

#[test]
fn closed_stdout_ends_copying() {
    let (_, results) = copy(vec![(None, chunks(&["one\n", "two\n", "three\n"]))], 8);
    assert!(matches!(results[..], [Err(CopyError::Output(OutputError::Stop(Fault::OutputClosed)))]));
}

proptest! {
    /// However the bytes are split, the lines of every log are printed whole, in order, with its prefix.
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
