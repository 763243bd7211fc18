//! kf needs at most [`HOST_MEMORY`] in addition to the command's own memory, for any call of the command and any
//! response of an API server.
//!
//! The guest `hungry` has an attack for each function of the ABI, and first allocates all memory that it may have
//! itself. Each attack runs in its own kf, whose peak is compared with that of a kf whose guest does nothing. A
//! process can read only the combined peak of all its ended children. So between this program and kf there is another
//! process with kf as its only child: [`measure_peak`] below.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use kf_sandbox::Limits;
use kf_sandbox::limits::HOST_MEMORY;
use nix::sys::resource::{UsageWho, getrusage};

use crate::common::hostile_server::{PAYLOADS, Payload, serve};
use crate::common::servers::kubeconfig_for;
use crate::common::{Home, attacks, kf_program, output_of};

/// The responses that cost most memory for each function.
fn payloads(function: &str) -> &'static [Payload] {
    use Payload::{Bytes, Endless, Error, Headers, Items, None, Numbers, Text, Values};
    match function {
        "kube.get" => &[Items, Values, Text, Endless, Bytes, Error, Headers],
        "kube.list" => &[Items, Values, Text, Numbers, Endless, Error],
        "kube.get-many" | "kube.list-many" => &[Values, Text, Error],
        "kube.create" | "kube.patch" | "kube.apply" => &[Values, Text],
        "kube.can-i" => &[Text],
        "kube.whoami" => &[Values],
        "kube.discover" => &[Values, Endless],
        "kube.open-watch" => &[Bytes, Endless],
        "kube.watch.next" => &[Items, Values, Text],
        "logs.open-log" | "logs.log-stream.next" => &[None, Endless],
        "sessions.exec" => &[Values, Text, Endless, Error],
        "sessions.attach" => &[Values, Text],
        "sessions.start" | "sessions.process.next" => &[Text, Endless],
        "sessions.port-forward.finish" => &[Values, Text],
        "pod-http.send" => &[None, Endless, Headers],
        _ => &[None],
    }
}

/// More attacks on single functions, and one on the WASI streams.
const EXTRA_ATTACKS: [&str; 5] =
    ["ui.table/cells", "ui.table/wide", "ui.table/columns", "ui.table/nested", "wasi.streams"];

/// The functions of the ABI, as `interface.function` and `interface.resource.function`, without destructors.
fn functions() -> BTreeSet<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../kf-plugin-sdk/wit/since-0.1.0");
    let mut functions = BTreeSet::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let text = fs_err::read_to_string(entry.unwrap().path()).unwrap();
        let mut within: Vec<String> = Vec::new();
        for line in text.lines().map(|line| line.trim().replace('%', "")) {
            let name = |text: &str| text.split([':', ' ', '{', '(', ';']).next().unwrap().to_owned();
            let path =
                |name: &str| within.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
            if line.starts_with("///") {
                continue;
            } else if let Some(export) = line.strip_prefix("export ") {
                functions.insert(name(export));
            } else if line.starts_with("constructor(") {
                functions.insert(within.join("."));
            } else if line.contains(": func(") {
                functions.insert(path(&name(&line)));
            } else if let Some(block) = line.strip_suffix('{') {
                let words = block.trim();
                let named = ["interface ", "resource "].iter().find_map(|kind| words.strip_prefix(kind));
                within.push(named.map(name).unwrap_or_default());
            } else if line == "}" {
                within.pop();
            }
        }
    }
    functions
}

#[test]
fn all_abi_functions_are_found() {
    let functions = functions();
    for name in [
        "kube.get",
        "kube.watch.next",
        "ui.live-table",
        "ui.live-table.update",
        "poll.wait",
        "run",
        "describe",
    ] {
        assert!(functions.contains(name), "{name} is not among {functions:?}");
    }
    assert!(functions.len() > 50, "{functions:?}");
}

/// Runs kf with these arguments in this home, and prints its peak.
#[test]
#[ignore = "run by the tests below"]
fn measure_peak() {
    let variable = |name: &str| std::env::var_os(name).unwrap().into_string().unwrap();
    let home = variable("KF_TEST_HOME");
    let mut command = Command::new(kf_program());
    command
        .args(variable("KF_TEST_WORDS").split(' '))
        .env_clear()
        .env("HOME", &home)
        .env("PATH", "/usr/bin:/bin")
        .env("TMPDIR", &home)
        .current_dir(&home)
        .stdin(fs_err::File::open(format!("{home}/large")).unwrap().into_parts().0)
        .stdout(Stdio::null());
    for (name, value) in [("KF_COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", "2"), ("_CLAP_IFS", "\u{b}")] {
        if variable("KF_TEST_WORDS").starts_with("-- ") {
            command.env(name, value);
        }
    }
    let output = output_of(&mut command);
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    println!("\npeak {peak} KiB, {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

/// The peak of a run in bytes, and its exit status and stderr.
fn peak(home: &Home, words: &str) -> (usize, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["memory::measure_peak", "--exact", "--ignored", "--nocapture"])
        .env("KF_TEST_HOME", home.path())
        .env("KF_TEST_WORDS", words)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, line) = stdout.split_once("\npeak ").unwrap_or_else(|| panic!("{stdout}"));
    let (kibibytes, ended) = line.split_once(" KiB, ").unwrap();
    (kibibytes.parse::<usize>().unwrap() << 10, ended.lines().take(4).collect::<Vec<_>>().join(" | "))
}

/// A home with large files and a deep directory.
fn home(payload: Payload) -> Home {
    let home = attacks::home(&["hungry"]);
    kubeconfig_for(&home, &serve(payload), None);
    let folder = home.path().join("folder");
    fs_err::create_dir(&folder).unwrap();
    for place in [home.path(), &folder] {
        fs_err::write(place.join("large"), vec![b'x'; 16 << 20]).unwrap();
    }
    // As deep as kf walks, with long names.
    let mut deep = folder;
    for _ in 0..15 {
        deep = deep.join("d".repeat(250));
    }
    fs_err::create_dir_all(&deep).unwrap();
    for n in 0..2_000 {
        fs_err::write(deep.join(format!("{n:0>200}")), "").unwrap();
    }
    home
}

fn words(function: &str) -> String {
    format!("hungry attack:{function} --file - --file large --directory folder --kubeconfig kubeconfig")
}

const MIB: usize = 1 << 20;

#[test]
fn host_memory_is_bounded_over_all_functions_and_answers() {
    let homes: Vec<(Payload, Home)> = PAYLOADS.into_iter().map(|payload| (payload, home(payload))).collect();
    let home = |payload: Payload| &homes.iter().find(|(of, _)| *of == payload).unwrap().1;
    let (baseline, _) = peak(home(Payload::None), &words("nothing"));
    let mut wanted: Vec<String> =
        functions().into_iter().filter(|name| name != "describe" && name != "complete").collect();
    wanted.extend(EXTRA_ATTACKS.iter().map(|name| (*name).to_owned()));
    let mut runs: Vec<(Payload, String)> = wanted
        .iter()
        .flat_map(|name| payloads(name).iter().map(move |payload| (*payload, words(name))))
        .collect();
    runs.push((Payload::None, "-- kf hungry ".to_owned()));
    runs.reverse();
    let (runs, too_much) = (Mutex::new(runs), Mutex::new(Vec::new()));
    let limit = Limits::default().memory + HOST_MEMORY;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((payload, words)) = runs.lock().unwrap().pop() else { return };
                    let (peak, ended) = peak(home(payload), &words);
                    let more = peak.saturating_sub(baseline);
                    let line = format!("{:>5} MiB  {words:.40} ({payload:?}): {ended:.300}", more / MIB);
                    println!("{line}");
                    let begun = ended.contains("hungry") || words.starts_with("-- ");
                    if more > limit || !begun || ended.contains("exit status: 99") {
                        too_much.lock().unwrap().push(line);
                    }
                }
            });
        }
    });
    let too_much = too_much.into_inner().unwrap();
    assert!(
        too_much.is_empty(),
        "more than {} MiB, or the attack did not run:\n{}",
        limit / MIB,
        too_much.join("\n")
    );
}
