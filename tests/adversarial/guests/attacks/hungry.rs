//! Makes the host use as much memory as possible, with the most expensive use of each function of the ABI.
//!
//! Before that the guest allocates all of its own memory, except for what the attack needs, so that the host's memory
//! is additional.

#![cfg(target_arch = "wasm32")]

use std::hint::black_box;
use std::mem::forget;

use kf_attacks::plugin::kube::{
    self, Access, DeleteOptions, ObjectRef, PatchKind, Propagation, Reach, Selection, Watch, WriteOptions,
};
use kf_attacks::plugin::logs::{self, LogOptions, LogStream};
use kf_attacks::plugin::pod_http::{self, Bearer, Method, Request};
use kf_attacks::plugin::sessions::{self, Port, Process, SessionOptions};
use kf_attacks::plugin::tree::{Argument, ArgumentKind, Command, Completion, ValueType};
use kf_attacks::plugin::types::ErrorCode;
use kf_attacks::plugin::ui::{self, Cell, Column, LiveTable, Progress, Row, Tone};
use kf_attacks::plugin::{clock, context, files, poll, selection};
use kf_attacks::{Answer, Candidate, CompletionRequest, Error, attack, describe_completing, kind, object};
use wasip2::cli::stderr::get_stderr;
use wasip2::cli::stdout::get_stdout;

attack!(run, describe, complete, *b"0.1.0");

const MIB: usize = 1 << 20;

/// The limit of one call, except for small arguments.
const CALL: usize = 16 * MIB;

fn describe() -> Vec<Command> {
    let option = |id: &str, value_type: ValueType| Argument {
        id: id.to_owned(),
        kind: ArgumentKind::Option,
        long: Some(id.to_owned()),
        value_type,
        repeated: true,
        completion: Completion::None,
        ..argument()
    };
    describe_completing()
        .into_iter()
        .map(|command| Command {
            arguments: vec![
                argument(),
                option("file", ValueType::File),
                option("directory", ValueType::Directory),
            ],
            ..command
        })
        .collect()
}

/// The function to attack.
fn argument() -> Argument {
    let mut completing = describe_completing();
    completing.remove(0).arguments.remove(0)
}

fn complete(_: CompletionRequest) -> Vec<Candidate> {
    let candidates =
        (0..250_000).map(|_| Candidate { value: String::new(), help: Some("x".into()) }).collect();
    hoard(8 * MIB);
    candidates
}

/// The exit code for an unknown function.
const UNKNOWN: u8 = 99;

fn run(words: Vec<String>) -> Answer {
    // Shows that it was started.
    ui::note("hungry");
    let function = words.iter().find_map(|word| word.strip_prefix("attack:"));
    match attacked(function.unwrap_or_default()) {
        Err(error) if function == Some("run") => Err(error),
        // A refused attack still counts as tried.
        Err(error) if error.code != ErrorCode::Invalid || !error.message.starts_with("no attack") => {
            ui::note(&format!("refused: {}", error.message));
            Ok(0)
        }
        Err(_) => Ok(UNKNOWN),
        Ok(()) => Ok(0),
    }
}

static PAGE: [u8; 4 << 10] = [1; 4 << 10];

/// Allocates all memory except for `free` bytes.
fn hoard(free: usize) {
    let reserve = vec![1_u8; free];
    black_box(&reserve);
    for size in [MIB, 64 << 10, 4 << 10] {
        loop {
            let mut block = Vec::new();
            if block.try_reserve_exact(size).is_err() {
                break;
            }
            (0..size / PAGE.len()).for_each(|_| block.extend_from_slice(&PAGE));
            black_box(&block);
            forget(block);
        }
    }
}

/// A JSON array of one-field objects, which take a hundred times their size when parsed.
fn bomb(bytes: usize) -> String {
    format!("[{}{{}}]", "{\"\":0},".repeat(bytes / 7))
}

/// As many values as the host parses.
fn largest() -> String {
    format!("{{\"spec\":{}}}", bomb(17_100 * 7))
}

fn pods() -> Selection {
    Selection {
        kind: kind("Pod"),
        reach: Reach::Namespaced,
        namespace: None,
        label_selector: None,
        field_selector: None,
    }
}

fn columns(count: usize, title: usize) -> Vec<Column> {
    (0..count).map(|_| Column { title: "T".repeat(title), wide: false }).collect()
}

fn cell(text: &str) -> Cell {
    Cell { text: text.to_owned(), tone: Tone::Plain }
}

fn row(cells: Vec<Cell>, object: String) -> Row {
    Row { cells, object, name: String::new() }
}

fn ignore<T>(answer: T) {
    black_box(answer);
}

/// Any answer is fine.
fn tried<T>(answer: Result<T, Error>) -> Result<(), Error> {
    answer.map(drop)
}

/// Opens as many as possible.
fn all<T>(mut open: impl FnMut() -> Result<T, Error>) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    loop {
        match open() {
            Ok(one) => all.push(one),
            Err(error) if all.is_empty() => return Err(error),
            Err(_) => return Ok(all),
        }
    }
}

/// Waits until the data of all open streams has arrived.
fn pause() {
    poll::wait(&[&clock::after(300)]);
}

const PLAIN: WriteOptions = WriteOptions { dry_run: false, force: false };

fn watches() -> Result<Vec<Watch>, Error> {
    all(|| kube::open_watch(&pods(), "1"))
}

fn open_logs() -> Result<Vec<LogStream>, Error> {
    let options = LogOptions {
        container: None,
        follow: false,
        previous: false,
        timestamps: false,
        since: None,
        tail_lines: None,
    };
    all(|| logs::open_log(None, "web", &options))
}

const STDIN: SessionOptions = SessionOptions { container: None, stdin: true, tty: false };

fn processes() -> Result<Vec<Process>, Error> {
    all(|| sessions::start(None, "web", &["cat".to_owned()], &STDIN))
}

fn port_forwards() -> Result<Vec<sessions::PortForward>, Error> {
    let port = Port { local: 0, remote: 80 };
    all(|| sessions::open_port_forward(None, "web", &[port; 16]))
}

fn request(body: usize, bearer: bool) -> Request {
    Request {
        namespace: None,
        pod: "web".to_owned(),
        port: 80,
        method: Method::Post,
        path: "/".to_owned(),
        headers: (0..64).map(|n| (format!("x-{n}"), "x".repeat(200))).collect(),
        body: vec![b'x'; body],
        bearer: bearer.then(|| Bearer { service_account: "a".to_owned(), audience: "b".to_owned() }),
    }
}

fn attacked(function: &str) -> Result<(), Error> {
    let web = object("Pod", "web");
    match function {
        "nothing" => Ok(()),

        "kube.get" => {
            hoard(20 * MIB);
            tried(kube::get(&web))
        }
        "kube.list" => {
            hoard(20 * MIB);
            tried(kube::list(&pods(), None, None))
        }
        "kube.get-many" => {
            let many = vec![web; 60_000];
            hoard(20 * MIB);
            black_box(kube::get_many(&many));
            black_box(kube::get_many(&many[..20]));
            Ok(())
        }
        "kube.list-many" => {
            let many: Vec<_> = (0..6).map(|_| pods()).collect();
            hoard(20 * MIB);
            black_box(kube::list_many(&many, None));
            Ok(())
        }
        "kube.create" | "kube.apply" | "kube.patch" => {
            let bodies =
                [largest(), bomb(3 * MIB - 10), format!("{{\"data\":\"{}\"}}", "\\u0001".repeat(MIB / 2))];
            let too_large = bomb(CALL);
            hoard(4 * MIB);
            for body in bodies.iter().chain([&too_large]) {
                match function {
                    "kube.create" => drop(kube::create(&web, body, PLAIN)),
                    "kube.apply" => drop(kube::apply(&web, body, PLAIN)),
                    _ => drop(kube::patch(&web, PatchKind::Merge, body, PLAIN)),
                }
            }
            Ok(())
        }
        "kube.delete" => {
            let uid = Some("u".repeat(CALL));
            let options = DeleteOptions {
                dry_run: false,
                propagation: Propagation::Orphan,
                grace_period_seconds: None,
                uid,
            };
            hoard(4 * MIB);
            tried(kube::delete(&web, &options))?;
            tried(kube::delete(&web, &DeleteOptions { uid: None, ..options }))
        }
        "kube.open-watch" => {
            let long = Selection { label_selector: Some("a,".repeat(CALL / 2)), ..pods() };
            hoard(4 * MIB);
            drop(kube::open_watch(&long, "1"));
            forget(watches()?);
            pause();
            Ok(())
        }
        "kube.watch.next" => {
            hoard(20 * MIB);
            let watches = watches()?;
            pause();
            for watch in watches.iter().chain(&watches) {
                drop(watch.next());
            }
            pause();
            Ok(())
        }
        "kube.watch.subscribe" => {
            hoard(4 * MIB);
            let watches = watches()?;
            loop {
                watches.iter().for_each(|watch| forget(watch.subscribe()));
            }
        }
        "kube.can-i" => {
            let empty = || Access {
                verb: "get".to_owned(),
                group: String::new(),
                resource: "pods".to_owned(),
                namespace: None,
                name: None,
            };
            let many: Vec<_> = (0..130_000).map(|_| empty()).collect();
            hoard(20 * MIB);
            drop(kube::can_i(&many));
            tried(kube::can_i(&many[..20]))
        }
        "kube.whoami" => {
            hoard(20 * MIB);
            tried(kube::whoami())
        }
        "kube.discover" => {
            hoard(4 * MIB);
            for n in 0..20 {
                let of = |version: &str| ObjectRef {
                    kind: kube::Kind {
                        group: format!("g{n}.example"),
                        version: Some(version.to_owned()),
                        kind: "Absent".to_owned(),
                    },
                    ..object("", "web")
                };
                black_box((kube::get(&of("v1")).is_ok(), kube::discover(&format!("g{n}.example")).is_ok()));
            }
            Ok(())
        }

        "logs.open-log" => {
            hoard(4 * MIB);
            forget(open_logs()?);
            pause();
            Ok(())
        }
        "logs.log-stream.next" | "logs.log-stream.subscribe" => {
            hoard(4 * MIB);
            let streams = open_logs()?;
            streams.iter().for_each(|log| forget(log.subscribe()));
            pause();
            for log in &streams {
                drop(log.next());
            }
            pause();
            Ok(())
        }
        "logs.forward" | "logs.forwarding.subscribe" => {
            let prefix = "p".repeat(CALL);
            hoard(4 * MIB);
            let copied: Vec<_> =
                open_logs()?.into_iter().map(|log| logs::forward(log, Some(&prefix))).collect();
            copied.iter().for_each(|copied| forget(copied.subscribe()));
            pause();
            Ok(())
        }
        "logs.forwarding.finish" => {
            hoard(4 * MIB);
            for log in open_logs()?.into_iter().take(2) {
                drop(logs::forward(log, Some(&"p".repeat(256))).finish());
            }
            Ok(())
        }

        "sessions.exec" => {
            let words = vec!["x".to_owned(); 700_000];
            hoard(16 * MIB);
            drop(sessions::exec(None, "web", &words, &STDIN));
            tried(sessions::exec(None, "web", &words[..10], &STDIN))
        }
        "sessions.attach" => {
            let pod = "p".repeat(CALL);
            hoard(4 * MIB);
            drop(sessions::attach(None, &pod, &STDIN));
            tried(sessions::attach(None, "web", &STDIN))
        }
        "sessions.start" | "sessions.process.subscribe" => {
            hoard(4 * MIB);
            let processes = processes()?;
            processes.iter().for_each(|process| forget(process.subscribe()));
            pause();
            Ok(())
        }
        "sessions.process.next" => {
            hoard(4 * MIB);
            let processes = processes()?;
            pause();
            for process in processes.iter().chain(&processes) {
                drop(process.next());
            }
            pause();
            Ok(())
        }
        "sessions.process.write" | "sessions.process.close-stdin" => {
            let data = vec![b'x'; CALL / 2];
            hoard(4 * MIB);
            let processes = processes()?;
            for process in processes.iter().take(10) {
                drop(process.write(&data));
                drop(process.close_stdin());
            }
            pause();
            Ok(())
        }
        "sessions.open-port-forward" | "sessions.port-forward.ports" | "sessions.port-forward.subscribe" => {
            let ports = vec![Port { local: 0, remote: 80 }; 4 * MIB];
            hoard(4 * MIB);
            drop(sessions::open_port_forward(None, "web", &ports));
            let forwards = port_forwards()?;
            for forward in &forwards {
                black_box(forward.ports());
                forget(forward.subscribe());
            }
            pause();
            Ok(())
        }
        "sessions.port-forward.finish" => {
            hoard(4 * MIB);
            let forwards = port_forwards()?;
            tried(forwards[0].finish())
        }
        "sessions.port-forward.open-page" => {
            let path = "/".repeat(CALL);
            hoard(4 * MIB);
            tried(port_forwards()?[0].open_page(&path))
        }

        "pod-http.send" => {
            let (large, small, with_token) = (request(CALL, false), request(0, false), request(0, true));
            hoard(20 * MIB);
            drop(pod_http::send(&large));
            drop(pod_http::send(&with_token));
            tried(pod_http::send(&small))
        }

        "ui.output-format" => {
            hoard(4 * MIB);
            (0..50_000).for_each(|_| ignore(ui::output_format()));
            Ok(())
        }
        "ui.print" => {
            let data: Vec<u8> = std::iter::repeat_n(b"\xff\n", CALL / 2).flatten().copied().collect();
            hoard(4 * MIB);
            ui::print(&data)
        }
        "wasi.streams" => {
            let (stdout, stderr) = (get_stdout(), get_stderr());
            let most = vec![b'x'; 64 << 10];
            hoard(4 * MIB);
            (0..500).for_each(|_| forget(stdout.subscribe()));
            // Without a newline.
            for stream in [stdout, stderr] {
                for _ in 0..CALL / most.len() {
                    let _ = stream.write(&most);
                    let _ = stream.write_zeroes(64 << 10);
                    let _ = stream.blocking_flush();
                }
            }
            Ok(())
        }
        "ui.note" | "ui.warn" => {
            let (text, lines) = ("\u{1}".repeat(MIB / 2), "\n".repeat(9_000));
            let too_long = "x".repeat(CALL);
            hoard(4 * MIB);
            let say = |text: &str| if function == "ui.note" { ui::note(text) } else { ui::warn(text) };
            say(&lines);
            say(&text);
            say(&too_long);
            Ok(())
        }
        "ui.table" => {
            let object = format!("{{\"spec\":{}}}", bomb(CALL - 100));
            let one = [row(vec![cell("")], object)];
            hoard(4 * MIB);
            ui::table(&columns(1, 1), &one)?;
            Ok(())
        }
        "ui.table/cells" => {
            let rows: Vec<_> = (0..4_000).map(|_| row(vec![cell(""); 100], "0".to_owned())).collect();
            hoard(4 * MIB);
            ui::table(&columns(100, 1_000), &rows)
        }
        "ui.table/wide" => {
            let mut rows: Vec<_> =
                (0..50_000).map(|_| row(vec![cell("a"), cell("b")], "0".to_owned())).collect();
            rows.push(row(vec![cell(&"x".repeat(4 * MIB)), cell("b")], "0".to_owned()));
            hoard(4 * MIB);
            ui::table(&columns(2, 1), &rows)
        }
        "ui.table/columns" => {
            let columns = columns(300_000, 0);
            hoard(4 * MIB);
            ui::table(&columns, &[])
        }
        "ui.table/nested" => {
            let deep = format!(
                "{}{}{}",
                "[".repeat(126),
                "0,".repeat(CALL / 2 - 1_000),
                "0".to_owned() + &"]".repeat(126)
            );
            let one = [row(vec![cell("")], deep)];
            hoard(4 * MIB);
            ui::table(&columns(1, 1), &one)
        }
        "ui.record" => {
            let rows = [
                format!("{{\"spec\":{}}}", bomb(CALL - 100)),
                format!("\"{}\"", "\\n".repeat(CALL / 2 - 100)),
            ];
            let rows = rows.map(|object| row(vec![cell("")], object));
            hoard(4 * MIB);
            rows.iter().try_for_each(|row| ui::record(&columns(1, 1), row))
        }
        "ui.live-table" => {
            let columns = columns(100, 160_000);
            hoard(4 * MIB);
            for _ in 0..1_000 {
                forget(LiveTable::new(&columns));
            }
            Ok(())
        }
        "ui.live-table.update" => {
            let table = LiveTable::new(&columns(1, 1));
            let rows = |update: usize| -> Vec<Row> {
                let object = format!("[{}0]", "[0],".repeat(400));
                let named =
                    |n: usize| Row { name: format!("{update}/{n}"), ..row(vec![cell("")], object.clone()) };
                (0..9_000).map(named).collect()
            };
            for update in 0..3 {
                table.update(&rows(update))?;
            }
            let last = rows(3);
            hoard(4 * MIB);
            table.update(&last)
        }
        "ui.progress" | "ui.progress.set" => {
            let label = "l".repeat(CALL);
            hoard(4 * MIB);
            for _ in 0..1_000 {
                let progress = Progress::new(&label, None);
                progress.set(&label, 1);
                forget(progress);
            }
            Ok(())
        }
        "ui.confirm" | "ui.ask" => {
            let question = "q".repeat(CALL);
            hoard(4 * MIB);
            match function {
                "ui.confirm" => ignore(ui::confirm(&question, true)),
                _ => ignore(ui::ask(&question)),
            }
            Ok(())
        }

        "context.current" | "context.command-line" => {
            hoard(4 * MIB);
            for _ in 0..10_000 {
                black_box((context::current(), context::command_line()));
            }
            Ok(())
        }
        "selection.current" | "selection.select" => {
            let namespace = "n".repeat(CALL);
            hoard(4 * MIB);
            drop(selection::select(Some(&namespace)));
            tried(selection::current())
        }
        "files.read" => {
            hoard(40 * MIB);
            for _ in 0..2 {
                drop(files::read("-"));
                drop(files::read("large"));
            }
            drop(files::read(&"x".repeat(CALL)));
            Ok(())
        }
        "files.walk" => {
            let skip = vec!["s".repeat(8); 200_000];
            hoard(20 * MIB);
            drop(files::walk("folder", &skip));
            tried(files::walk("folder", &[]))
        }
        "files.read-below" => {
            hoard(40 * MIB);
            drop(files::read_below("folder", &"x/".repeat(CALL / 2)));
            tried(files::read_below("folder", "large"))
        }

        "poll.wait" | "poll.pollable.ready" | "clock.after" => {
            hoard(4 * MIB);
            let timers: Vec<_> = (0..900).map(|_| clock::after(1_000_000)).collect();
            for _ in 0..50 {
                timers.iter().for_each(|timer| ignore(timer.ready()));
            }
            let mut all: Vec<_> = timers.iter().collect();
            let soon = clock::after(10);
            all.push(&soon);
            black_box(poll::wait(&all));
            (0..1_000).for_each(|_| forget(clock::after(1_000_000)));
            Ok(())
        }
        "clock.now" => {
            hoard(4 * MIB);
            (0..50_000).for_each(|_| ignore(clock::now()));
            Ok(())
        }

        "run" => {
            let (message, hint) = ("m".repeat(CALL / 2), Some("h".repeat(CALL / 2)));
            hoard(4 * MIB);
            Err(Error { code: ErrorCode::Failed, message, hint })
        }

        _ => Err(Error { code: ErrorCode::Invalid, message: "no attack".to_owned(), hint: None }),
    }
}
