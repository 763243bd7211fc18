//! What users do with a registry, and with krew's index of the same plugins.

use std::cell::RefCell;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kf_tests::file_server::FileServer;
use kf_tests::rounds::{Contender, measure};

use crate::catalog::{ADDED, MISSPELLED};
use crate::homes;
use crate::krew::{self, git};
use crate::succeed;

/// What an action took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    /// Of HTTP. For git, they are not counted.
    pub(crate) requests: usize,
    /// The requests for the roles of authors.
    pub(crate) author_roles: usize,
    /// In both directions, with the heads of requests and answers, without the component.
    pub(crate) bytes: u64,
    /// The bytes for the component.
    pub(crate) component: u64,
    pub(crate) time: Duration,
    /// The error, if it failed.
    pub(crate) failed: Option<String>,
}

/// What a user does with a registry, and what a user of krew does instead.
pub(crate) struct Action {
    pub(crate) name: &'static str,
    pub(crate) kf: Option<Cost>,
    pub(crate) krew: Option<(&'static str, Cost)>,
}

/// A registry to measure: how it is published, and once more with another version of the first command.
pub(crate) struct Published {
    pub(crate) before: PathBuf,
    pub(crate) after: PathBuf,
    pub(crate) root: PathBuf,
}

/// A place for homes and clones, with the servers.
pub(crate) struct Scene<'a> {
    kf: &'a Path,
    folder: PathBuf,
    http: FileServer,
    git: krew::Server,
}

pub(crate) const CLONE: &str = "git clone";
pub(crate) const SHALLOW: &str = "git clone --depth 1";
pub(crate) const FETCH: &str = "git fetch, nothing new";
pub(crate) const FETCH_ONE: &str = "git fetch, one new version";

/// The actions with git: the repository, and how to clone it or, without words, that a clone fetches from it.
const GIT: [(&str, &str, &[&str]); 4] = [
    (CLONE, "before", &["clone", "-q"]),
    (SHALLOW, "before", &["clone", "-q", "--depth", "1"]),
    (FETCH, "before", &[]),
    (FETCH_ONE, "after", &[]),
];

/// The actions with kf.
const SET_UP: &str = "registry add, with a pinned root";
pub(crate) const COLD: &str = "registry add, then command add";
const WARM: &str = "command add of a second command";
pub(crate) const IDLE: &str = "command outdated, nothing new";
const ONE: &str = "command outdated, one new version";
const LIST_COLD: &str = "registry add, then command list --available";
const LIST: &str = "command list --available, nothing new";
const WRONG: &str = "command add of a misspelled name";

/// The actions with kf, and what krew does instead: it clones its index once and fetches before it installs.
const PEERS: [(&str, Option<&str>); 9] = [
    (SET_UP, None),
    (COLD, Some(CLONE)),
    (COLD, Some(SHALLOW)),
    (WARM, Some(FETCH)),
    (IDLE, Some(FETCH)),
    (ONE, Some(FETCH_ONE)),
    (LIST_COLD, Some(CLONE)),
    (LIST, Some(FETCH)),
    (WRONG, Some(FETCH)),
];

const LIST_AVAILABLE: [&str; 3] = ["command", "list", "--available"];

impl<'a> Scene<'a> {
    /// `git` is the folder with the repositories `before` and `after`.
    pub(crate) fn new(kf: &'a Path, folder: &Path, git: &Path) -> Result<Self> {
        fs_err::create_dir_all(folder)?;
        let (http, git) = (FileServer::serve(folder)?, krew::Server::start(git)?);
        Ok(Self { kf, folder: folder.to_owned(), http, git })
    }

    /// The home where the first command was added.
    pub(crate) fn added(&self) -> PathBuf {
        self.folder.join("added")
    }

    /// The home where the registry was added, and no command.
    pub(crate) fn set_up(&self) -> PathBuf {
        self.folder.join("set-up")
    }

    /// The home where the commands of the registry were listed, too.
    fn listed(&self) -> PathBuf {
        self.folder.join("listed")
    }

    /// A kf with this home.
    pub(crate) fn kf(&self, home: &Path, words: &[&str]) -> Command {
        let mut kf = Command::new(self.kf);
        kf.args(words).env_clear().env("KF_HOME", home).env("HOME", home).env("KF_NO_UPDATE_NOTICE", "1");
        kf.stdin(Stdio::null());
        kf
    }

    /// Prepares the homes that the actions start with. Fails with the first error of kf.
    pub(crate) fn prepare_homes(&self, published: &Published) -> Result<()> {
        self.http.change_to(&published.before);
        let root = published.root.display().to_string();
        fs_err::create_dir_all(self.folder.join("empty"))?;
        homes::copy(&self.folder.join("empty"), &self.set_up())?;
        let add = ["registry", "add", "bench", &self.http.url, "--root", &root];
        let succeeds = |home: &Path, words: &[&str]| match run(&mut self.kf(home, words), 0) {
            Some(error) => Err(Error::other(error)),
            None => Ok(()),
        };
        succeeds(&self.set_up(), &add)?;
        homes::copy(&self.set_up(), &self.added())?;
        let [first, _] = ADDED;
        succeeds(&self.added(), &["command", "add", first])?;
        homes::copy(&self.added(), &self.listed())?;
        succeeds(&self.listed(), &LIST_AVAILABLE)
    }

    /// Runs all actions, or only some of them, in turns. Without a published registry, only those with git.
    pub(crate) fn measure(
        &self,
        rounds: usize,
        published: Option<&Published>,
        only: Option<&[&str]>,
    ) -> Result<Vec<Action>> {
        let is_wanted = |name: &str| only.is_none_or(|only| only.contains(&name));
        let root = published.map(|published| published.root.display().to_string()).unwrap_or_default();
        let [first, second] = ADDED;
        let (empty, added, listed) = (self.folder.join("empty"), self.added(), self.listed());
        let add_registry = ["registry", "add", "bench", &self.http.url, "--root", &root];
        let (add, add_second) = (["command", "add", first], ["command", "add", second]);
        let (outdated, misspelled) = (["command", "outdated"], ["command", "add", MISSPELLED]);
        let mut ours: Vec<(&str, &Path, Vec<&[&str]>, i32)> = vec![
            (SET_UP, &empty, vec![&add_registry], 0),
            (COLD, &empty, vec![&add_registry, &add], 0),
            (WARM, &added, vec![&add_second], 0),
            (IDLE, &added, vec![&outdated], 0),
            (ONE, &added, vec![&outdated], 0),
            (LIST_COLD, &empty, vec![&add_registry, &LIST_AVAILABLE], 0),
            (LIST, &listed, vec![&LIST_AVAILABLE], 0),
            (WRONG, &added, vec![&misspelled], 5),
        ];
        ours.retain(|(name, ..)| published.is_some() && is_wanted(name));
        let theirs: Vec<_> = GIT.into_iter().filter(|(name, ..)| is_wanted(name)).collect();
        let costs: Vec<RefCell<Cost>> = (0..ours.len() + theirs.len()).map(|_| RefCell::default()).collect();
        let (our_costs, their_costs) = costs.split_at(ours.len());
        self.clone_for_fetches()?;
        let mut contenders = Vec::new();
        if let Some(published) = published {
            for ((name, home, runs, exit_code), cost) in ours.iter().zip(our_costs) {
                let served = if *name == ONE { &published.after } else { &published.before };
                contenders.push(self.contender(name, home, served, runs, *exit_code, cost));
            }
        }
        for (&(name, repository, words), cost) in theirs.iter().zip(their_costs) {
            contenders.push(match words {
                [] => self.fetch(name, repository, cost),
                words => self.clone_with(name, repository, words, cost),
            });
        }
        measure(rounds, &mut contenders)?;
        let times: Vec<Duration> = contenders.iter_mut().map(Contender::time).collect();
        drop(contenders);
        let names = ours.iter().map(|(name, ..)| *name).chain(theirs.iter().map(|(name, ..)| *name));
        let measured: Vec<(&'static str, Cost)> = names
            .zip(costs.into_iter().zip(times))
            .map(|(name, (cost, time))| (name, Cost { time, ..cost.into_inner() }))
            .collect();
        let find = |name: &str| measured.iter().find(|(found, _)| *found == name).cloned();
        let action = |(name, peer): (&'static str, Option<&str>)| Action {
            name,
            kf: find(name).map(|(_, cost)| cost),
            krew: peer.and_then(find),
        };
        Ok(PEERS
            .into_iter()
            .map(action)
            .filter(|action| action.kf.is_some() || action.krew.is_some())
            .collect())
    }

    /// Runs kf in a copy of a home, once for each command line.
    fn contender<'b>(
        &'b self,
        name: &'static str,
        from: &'b Path,
        served: &'b Path,
        runs: &'b [&'b [&'b str]],
        exit_code: i32,
        cost: &'b RefCell<Cost>,
    ) -> Contender<'b> {
        let home = self.folder.join("home");
        let used = home.clone();
        let prepare = move || {
            clear(&home)?;
            homes::copy(from, &home)?;
            self.http.change_to(served);
            self.http.taken();
            Ok(())
        };
        Contender::prepared(name, prepare, move || {
            let failed = runs.iter().find_map(|words| run(&mut self.kf(&used, words), exit_code));
            let exchanges = self.http.taken();
            let bytes = |is_component: bool| {
                let counted = exchanges
                    .iter()
                    .filter(|exchange| exchange.path.ends_with("plugin.wasm") == is_component);
                counted.map(|exchange| exchange.bytes).sum()
            };
            let of_authors = exchanges.iter().filter(|exchange| exchange.path.contains(".author-"));
            *cost.borrow_mut() = Cost {
                requests: exchanges.len(),
                author_roles: of_authors.count(),
                bytes: bytes(false),
                component: bytes(true),
                time: Duration::ZERO,
                failed,
            };
            Ok(())
        })
    }

    fn clone_with<'b>(
        &'b self,
        name: &'static str,
        repository: &'b str,
        words: &'static [&'static str],
        cost: &'b RefCell<Cost>,
    ) -> Contender<'b> {
        let folder = self.folder.join("clone");
        let prepare = move || {
            clear(&folder)?;
            self.git.taken();
            Ok(())
        };
        Contender::prepared(name, prepare, move || {
            let url = format!("{}/{repository}", self.git.url);
            succeed(git(&self.folder).args(words).args([&url, "clone"]))?;
            *cost.borrow_mut() = Cost { bytes: self.git.taken(), ..Cost::default() };
            Ok(())
        })
    }

    /// A clone, for copies that fetch.
    fn clone_for_fetches(&self) -> Result<()> {
        let url = format!("{}/before", self.git.url);
        succeed(git(&self.folder).args(["clone", "-q", &url, "cloned"]))
    }

    /// Fetches into a copy of the clone and sets the files to it, as krew does.
    fn fetch<'b>(
        &'b self,
        name: &'static str,
        repository: &'b str,
        cost: &'b RefCell<Cost>,
    ) -> Contender<'b> {
        let folder = self.folder.join("clone");
        let used = folder.clone();
        let prepare = move || {
            clear(&folder)?;
            homes::copy(&self.folder.join("cloned"), &folder)?;
            let url = format!("{}/{repository}", self.git.url);
            succeed(git(&folder).args(["remote", "set-url", "origin", &url]))?;
            // A copied file is new to git until it has read it again.
            succeed(git(&folder).args(["reset", "-q", "--hard"]))?;
            self.git.taken();
            Ok(())
        };
        Contender::prepared(name, prepare, move || {
            succeed(git(&used).args(["fetch", "-q", "origin"]))?;
            succeed(git(&used).args(["reset", "-q", "--hard", "@{upstream}"]))?;
            *cost.borrow_mut() = Cost { bytes: self.git.taken(), ..Cost::default() };
            Ok(())
        })
    }
}

/// Runs kf. Returns what it printed to stderr if it did not end with the expected exit code.
fn run(kf: &mut Command, exit_code: i32) -> Option<String> {
    match kf.output() {
        Ok(output) if output.status.code() == Some(exit_code) => None,
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let line = stderr.lines().find(|line| line.starts_with("error: "));
            Some(line.map_or_else(|| output.status.to_string(), |line| line.to_owned()))
        }
        Err(error) => Some(error.to_string()),
    }
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() { fs_err::remove_dir_all(folder) } else { Ok(()) }
}
