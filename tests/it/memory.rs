//! What kf needs beside the memory that a command may have: [`HOST_MEMORY`], whatever the command calls and whatever
//! an API server answers.
//!
//! The guest `hungry` has an attack for each function of the ABI, and takes all memory it may have itself before
//! it begins. Each runs in a kf of its own, whose peak is compared with that of a kf whose guest does nothing. A
//! process tells the peak of its children only once they have ended, and of all of them together. So between this
//! program and kf there is another, which has no other child: [`measured`] below.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use kf_sandbox::Limits;
use kf_sandbox::limits::HOST_MEMORY;
use nix::sys::resource::{UsageWho, getrusage};

use crate::common::liar::{LIES, Lie, serve};
use crate::common::servers::kubeconfig_for;
use crate::common::{Home, attacks, kf_program, output_of};

/// The answers that cost most where a function is answered.
fn lies(function: &str) -> &'static [Lie] {
    use Lie::{Bytes, Endless, Error, Headers, Items, None, Numbers, Text, Values};
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

/// Attacks of a function beside the first, and one of what a guest has beside the ABI.
const MORE: [&str; 5] =
    ["ui.table/cells", "ui.table/wide", "ui.table/columns", "ui.table/nested", "wasi.streams"];

/// The functions of the ABI, as `interface.function` and `interface.resource.function`. Dropping is none.
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
fn functions_of_the_abi_are_all_found() {
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

/// Runs kf with these words in this home, and says what its peak was.
#[test]
#[ignore = "run by the tests below"]
fn measured() {
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

/// The peak of a run in bytes, and how it ended.
fn peak(home: &Home, words: &str) -> (usize, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["memory::measured", "--exact", "--ignored", "--nocapture"])
        .env("KF_TEST_HOME", home.path())
        .env("KF_TEST_WORDS", words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, line) = said.split_once("\npeak ").unwrap_or_else(|| panic!("{said}"));
    let (kibibytes, ended) = line.split_once(" KiB, ").unwrap();
    (kibibytes.parse::<usize>().unwrap() << 10, ended.lines().take(4).collect::<Vec<_>>().join(" | "))
}

/// A home with files and a directory to read.
fn home(lie: Lie) -> Home {
    let home = attacks::home(&["hungry"]);
    kubeconfig_for(&home, &serve(lie), None);
    let folder = home.path().join("folder");
    fs_err::create_dir(&folder).unwrap();
    for place in [home.path(), &folder] {
        fs_err::write(place.join("large"), vec![b'x'; 16 << 20]).unwrap();
    }
    // As deep as a walk goes, with long names all the way.
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
    let homes: Vec<(Lie, Home)> = LIES.into_iter().map(|lie| (lie, home(lie))).collect();
    let home = |lie: Lie| &homes.iter().find(|(of, _)| *of == lie).unwrap().1;
    let (baseline, _) = peak(home(Lie::None), &words("nothing"));
    let mut wanted: Vec<String> =
        functions().into_iter().filter(|name| name != "describe" && name != "complete").collect();
    wanted.extend(MORE.iter().map(|name| (*name).to_owned()));
    let mut runs: Vec<(Lie, String)> =
        wanted.iter().flat_map(|name| lies(name).iter().map(move |lie| (*lie, words(name)))).collect();
    runs.push((Lie::None, "-- kf hungry ".to_owned()));
    runs.reverse();
    let (runs, too_much) = (Mutex::new(runs), Mutex::new(Vec::new()));
    let most = Limits::default().memory + HOST_MEMORY;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((lie, words)) = runs.lock().unwrap().pop() else { return };
                    let (peak, ended) = peak(home(lie), &words);
                    let more = peak.saturating_sub(baseline);
                    let line = format!("{:>5} MiB  {words:.40} ({lie:?}): {ended:.300}", more / MIB);
                    println!("{line}");
                    let begun = ended.contains("hungry") || words.starts_with("-- ");
                    if more > most || !begun || ended.contains("exit status: 99") {
                        too_much.lock().unwrap().push(line);
                    }
                }
            });
        }
    });
    let too_much = too_much.into_inner().unwrap();
    assert!(too_much.is_empty(), "more than {} MiB, or not attacked:\n{}", most / MIB, too_much.join("\n"));
}
