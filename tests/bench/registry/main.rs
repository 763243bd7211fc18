//! Measures how a registry scales: 100, 1,000 and 10,000 plugins by a tenth as many authors, each plugin with two versions,
//! and a first `add` from one of 100,000.
//!
//! The plugins are invented ([`catalog`]), but their registry is staged, signed and assembled like any other, served over HTTP,
//! and used by `kf` processes with homes of their own. Requests and bytes are those of the HTTP server, in both directions and
//! with the heads of requests and answers. The component is counted separately, because its size has nothing to do with the
//! registry's.
//!
//! Beside it, in turns with kf, git clones and fetches krew's index of the same plugins ([`krew`]).
//!
//! ```text
//! cargo xtask bench --registry          # in a release build
//! cargo xtask bench --registry --dev    # in the build of the tests: the same bytes, other times
//! ```
//!
//! The results are printed, and written to `target/bench/registry.md` and `target/bench/registry.svg`. None is asserted.

use std::error::Error as AnyError;
use std::io::{Error, Result, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use plotters::style::RGBColor;

mod catalog;
mod chart;
mod growth;
#[path = "../homes.rs"]
mod homes;
mod krew;
mod measure;
mod published;
mod report;

use catalog::{ADDED, plugins};
use chart::Line;
use growth::{Basis, Growth, grow};
use kf_tests::rounds::{Contender, measure, shown};
use krew::Index;
use measure::{CLONE, COLD, FETCH, IDLE, Published, SHALLOW, Scene};
use published::{Component, Registry, Versions};
use report::{Size, exact, grouped, ratio, table};

const PLUGINS: [usize; 3] = [100, 1000, 10_000];
const GROWN: usize = 100_000;

/// How many commits of krew's index publish all plugins once. A real index has one for each version, but each commit of so large
/// a folder takes git seconds.
const COMMITS: usize = 100;
const COMMITS_OF_GROWN: usize = 10;

/// In memory, where there is such a folder: publishing flushes every file to the disk.
const MEMORY: &str = "/dev/shm";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _gone = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> std::result::Result<(), Box<dyn AnyError>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kf, artifacts, folder, rounds] = arguments.as_slice() else {
        return Err("usage: kf-bench-registry KF ARTIFACTS FOLDER ROUNDS".into());
    };
    let bench = Bench { kf: kf.into(), folder: folder.into(), rounds: rounds.parse()? };
    fs_err::create_dir_all(&bench.folder)?;
    let work = tempfile::tempdir_in(&bench.folder)?;
    let component = Component::hello(&bench.kf, Path::new(artifacts), &work.path().join("hello"))?;

    let [smallest, ..] = PLUGINS;
    let mut text = HEAD.to_owned();
    let mut sizes = Vec::new();
    for count in PLUGINS {
        let size = bench.measure(count, &component, &work.path().join(count.to_string()))?;
        let rows = table(&size)?;
        print(&rows)?;
        text.push_str(&rows);
        sizes.push(size);
    }
    let help = bench.help(&work.path().join(smallest.to_string()))?;
    print(&help)?;
    text.push_str(&help);
    let fast = fast_folder(work.path())?;
    let folder = work.path().join("grown");
    let grown = grow(&bench.kf, &component, GROWN, fast.path(), &folder, &sizes)?;
    let rows = growth_table(&sizes, &grown);
    print(&rows)?;
    text.push_str(&rows);
    fs_err::write(bench.folder.join("registry.md"), text)?;
    chart::draw(&bench.folder.join("registry.svg"), &lines(&sizes, &grown))?;
    Ok(())
}

const HEAD: &str = "# Registries of many plugins\n\nTen plugins an author, two versions a plugin. Bytes are in both directions \
                    and without the component, whose bytes follow a `+`. Times are medians of whole processes; an `add` also compiles the \
                    component.\n";

struct Bench {
    kf: PathBuf,
    folder: PathBuf,
    rounds: usize,
}

impl Bench {
    fn measure(&self, count: usize, component: &Component, folder: &Path) -> Result<Size> {
        progress(&format!("{} plugins", grouped(count)));
        let fast = fast_folder(folder)?;
        let plugins = plugins(count)?;
        let (before, git) = (fast.path().join("before"), fast.path().join("git"));
        let registry = Registry::new(&fast.path().join("registry"), &plugins, component)?;
        let changed = plugins.iter().find(|plugin| ADDED.first() == Some(&plugin.name.as_str()));
        let changed = changed.ok_or_else(|| Error::other("the added command is missing"))?;
        let mut published = registry.publish_all(&plugins, Versions::All);
        if let Ok(took) = &published {
            progress(&format!(
                "staged in {} ms, signed in {} ms, assembled in {} ms",
                took.stage.as_millis(),
                took.sign.as_millis(),
                took.assemble.as_millis()
            ));
            if let Err(error) = registry.publish_one(changed, &before) {
                published = Err(error);
            }
        }
        Index::create(&git.join("before"), &plugins, COMMITS)?
            .with_another_version(&git.join("after"), changed)?;
        let scene = Scene::new(&self.kf, folder, &git)?;
        let served = Published { before, after: registry.published(), root: registry.root() };
        if published.is_ok()
            && let Err(error) = scene.prepare_homes(&served)
        {
            published = Err(error);
        }
        let is_published = published.as_ref().ok().map(|_| &served);
        let actions = scene.measure(self.rounds, is_published, None)?;
        let published = published.map_err(|error| error.to_string());
        Ok(Size { plugins: count, authors: registry.authors(), published, actions })
    }

    /// The time of `kf --help` with installed commands. `folder` has the homes of a registry.
    fn help(&self, folder: &Path) -> Result<String> {
        let (none, few, many) = (folder.join("set-up"), folder.join("few"), folder.join("many"));
        let [first, _] = ADDED;
        for (home, others) in [(&few, 19), (&many, 199)] {
            homes::copy(&folder.join("added"), home)?;
            homes::repeat_commands(home, first, others)?;
        }
        let mut contenders = [("0", &none), ("20", &few), ("200", &many)].map(|(commands, home)| {
            let mut kf = Command::new(&self.kf);
            kf.arg("--help").env_clear().env("KF_HOME", home).env("HOME", home);
            kf.stdin(Stdio::null()).stdout(Stdio::null());
            Contender::new(commands, move || succeed(&mut kf))
        });
        measure(self.rounds * 10, &mut contenders)?;
        let times = contenders.each_mut().map(Contender::time);
        let mut text =
            "\n## kf --help\n\n| installed commands | time | to the first |\n|---:|---:|---:|\n".to_owned();
        let [first, ..] = times;
        for (commands, time) in ["0", "20", "200"].into_iter().zip(times) {
            let ratio = ratio(time.as_secs_f64(), first.as_secs_f64());
            text.push_str(&format!("| {commands} | {} | {ratio} |\n", shown(time)));
        }
        Ok(text)
    }
}

/// A temporary folder whose files are not flushed to a disk, if there can be one.
fn fast_folder(otherwise: &Path) -> Result<tempfile::TempDir> {
    fs_err::create_dir_all(otherwise)?;
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("kf-bench-");
        builder
    };
    builder().tempdir_in(MEMORY).or_else(|_| builder().tempdir_in(otherwise))
}

/// How a first `add` and a refresh without news grow.
fn growth_table(sizes: &[Size], grown: &Growth) -> String {
    let row = |size: &Size, kf: Option<u64>, idle: Option<u64>| {
        let cells = [
            kf.map(exact),
            size.krew(CLONE).map(exact),
            size.krew(SHALLOW).map(exact),
            kf.zip(size.krew(SHALLOW)).map(|(kf, git)| ratio(kf as f64, git as f64)),
            idle.map(exact),
            size.krew(FETCH).map(exact),
        ];
        let cells = cells.map(|cell| cell.unwrap_or_else(|| "–".to_owned()));
        format!("| {} | {} |\n", grouped(size.plugins), cells.join(" | "))
    };
    let mut text = "\n## Growth\n\n| plugins | first command add | git clone | git clone --depth 1 | kf to the latter \
                    | command outdated, nothing new | git fetch, nothing new |\n|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    text.extend(
        sizes.iter().map(|size| {
            row(size, size.kf(COLD).map(|cost| cost.bytes), size.kf(IDLE).map(|cost| cost.bytes))
        }),
    );
    text.push_str(&row(&grown.size, grown.cold, grown.idle));
    let plugins = grouped(grown.size.plugins);
    text.push_str(&match &grown.basis {
        Basis::Fetched => format!(
            "\nOf {plugins} plugins, only those of the added commands' authors have versions. kf fetched what is listed.\n"
        ),
        Basis::Scaled(error) => format!(
            "\nFor {plugins} plugins the bytes of kf are on a line through the two rows before: {error}. Those of git were \
             transferred.\n"
        ),
    });
    text
}

fn lines(sizes: &[Size], grown: &Growth) -> [Line; 3] {
    let points = |of: &dyn Fn(&Size) -> Option<u64>, last: Option<u64>| {
        let measured = sizes.iter().filter_map(|size| Some((size.plugins, of(size)?)));
        measured.chain(last.map(|bytes| (grown.size.plugins, bytes))).collect()
    };
    let git = |name: &'static str| points(&|size: &Size| size.krew(name), grown.size.krew(name));
    [
        Line {
            name: "kf command add".to_owned(),
            color: RGBColor(0x1f, 0x6f, 0xeb),
            points: points(&|size: &Size| size.kf(COLD).map(|cost| cost.bytes), grown.cold),
        },
        Line { name: CLONE.to_owned(), color: RGBColor(0xd0, 0x49, 0x2f), points: git(CLONE) },
        Line { name: SHALLOW.to_owned(), color: RGBColor(0xb0, 0x8a, 0x2e), points: git(SHALLOW) },
    ]
}

/// Runs a program that must succeed.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let output = command.stderr(Stdio::piped()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let name = command.get_program().to_string_lossy();
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(Error::other(format!("{name} ended with {}: {stderr}", output.status)))
}

fn print(text: &str) -> Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes())
}

fn progress(text: &str) {
    let _gone = writeln!(std::io::stderr(), "· {text}");
}
