//! Completion of names that are in the cluster.
//!
//! An argument declares where its values come from: from the command itself, whose guest is started, or
//! from the objects of a kind, which the host lists on the command's behalf. Both use the grant of a run
//! of that command on that line (manifest, ceiling, consent) without writes. The host's own `--namespace`
//! uses the user's rights. The values of `--context` are read from the kubeconfig without a request.
//!
//! The user is waiting at the prompt, so all of this runs on a thread that is abandoned at the timeout.
//! Errors are not reported: they give no candidates.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use clap_complete::{ArgValueCompleter, CompletionCandidate};
use kf_cluster::connection::kill_unattended_plugins;
use kf_command::complete;
use kf_core::PluginName;
use kf_core::tree::{Argument, Completion, ValueType};
use kf_sandbox::{Candidate, CompletionRequest};
use tokio::signal::unix::{SignalKind, signal};

use super::line::Line;
use crate::added::{self, argv};
use crate::app::App;
use crate::args::RunArgs;
use crate::candidates::{matching, without_files};
use crate::commands::Cli;
use crate::env;
use crate::shutdown;
use crate::ui::Ui;

/// The default of [`KF_COMPLETE_TIMEOUT`](env::KF_COMPLETE_TIMEOUT): the time limit from the start of kf,
/// including the connection.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// Completes the names for one call of the shell.
pub struct ClusterNames {
    line: Line,
    timeout: Duration,
    started: Instant,
    /// A call completes one value, so at most one command is started.
    queried: AtomicBool,
}

/// Where the candidates come from.
#[derive(Clone)]
enum Source {
    Namespaces,
    /// The contexts of the kubeconfig.
    Contexts,
    /// The values of an argument of an added command.
    Argument {
        command: String,
        argument: Arc<Argument>,
    },
}

impl ClusterNames {
    pub fn new(line: Line) -> Self {
        let timeout = timeout(env::text(env::KF_COMPLETE_TIMEOUT).as_deref());
        Self { line, timeout, started: Instant::now(), queried: AtomicBool::new(false) }
    }

    /// Whether the word being completed is a name that was queried.
    pub fn was_queried(&self) -> bool {
        self.queried.load(Ordering::Relaxed)
    }

    /// Completes the host's own `--namespace`.
    pub fn namespaces(self: &Arc<Self>) -> ArgValueCompleter {
        self.completer(Source::Namespaces)
    }

    /// Completes the host's own `--context`.
    pub fn contexts(self: &Arc<Self>) -> ArgValueCompleter {
        self.completer(Source::Contexts)
    }

    /// Completes an argument of an added command if its values are in the cluster. Paths are excluded: a
    /// path grants read access, so the command must not suggest one.
    pub fn values(self: &Arc<Self>, command: &str, argument: &Argument) -> Option<ArgValueCompleter> {
        let is_dynamic = matches!(argument.completion, Completion::Dynamic | Completion::Objects(_))
            && (!argument.is_path() || argument.value_type == ValueType::NameOrFile);
        let source = Source::Argument { command: command.to_owned(), argument: Arc::new(argument.clone()) };
        is_dynamic.then(|| self.completer(source))
    }

    fn completer(self: &Arc<Self>, source: Source) -> ArgValueCompleter {
        let names = Arc::clone(self);
        ArgValueCompleter::new(move |typed: &OsStr| names.complete(&source, typed))
    }

    fn complete(self: &Arc<Self>, source: &Source, typed: &OsStr) -> Vec<CompletionCandidate> {
        // A word that begins with a dash becomes a flag.
        let Some(typed) = typed.to_str().filter(|typed| !typed.starts_with('-')) else { return Vec::new() };
        if self.queried.swap(true, Ordering::Relaxed) {
            return Vec::new();
        }
        let (names, source_of_query, word) = (Arc::clone(self), source.clone(), typed.to_owned());
        end_plugins_on_signals();
        let found = run_with_timeout(self.remaining(), move || names.query(&source_of_query, &word));
        kill_unattended_plugins();
        let found = found.flatten().unwrap_or_default();
        match source {
            Source::Argument { argument, .. } => matching(without_files(found, argument.value_type), typed),
            Source::Namespaces | Source::Contexts => matching(found, typed),
        }
    }

    fn remaining(&self) -> Duration {
        self.timeout.saturating_sub(self.started.elapsed())
    }

    fn query(&self, source: &Source, typed: &str) -> Option<Vec<Candidate>> {
        let line =
            self.line.parse(added::all(Cli::command(), env::kf_home().ok().as_ref(), &|_, _, arg| arg))?;
        let mut global = line.global;
        let limit = global.request_timeout.map_or(self.timeout, |limit| limit.min(self.timeout));
        global.request_timeout = Some(limit);
        match source {
            Source::Namespaces => {
                // The namespace being typed is not complete yet.
                global.namespace = None;
                let app = App::new(&Ui::silent(), global).ok()?;
                let names = app.target().namespaces(&app.home).ok()?;
                Some(names.into_iter().map(|value| Candidate { value, help: None }).collect())
            }
            Source::Contexts => {
                let app = App::new(&Ui::silent(), global).ok()?;
                let names = app.target().contexts().ok()?;
                Some(names.into_iter().map(|value| Candidate { value, help: None }).collect())
            }
            Source::Argument { command, argument } => {
                let app = App::new(&Ui::silent(), global).ok()?;
                let installed = app.commands().find(&PluginName::parse(command.as_str()).ok()?).ok()??;
                let setting = app.setting(&RunArgs { read_only: true, ..RunArgs::default() });
                match &argument.completion {
                    Completion::Objects(kind) => complete::by_kind(&installed, &setting, kind).ok(),
                    Completion::Dynamic => {
                        let (_, own) = line.matches.subcommand()?;
                        let words = argv::completion_words(&installed.tree, own, env::text, argument, typed);
                        let request = CompletionRequest { words, argument: argument.id.clone() };
                        complete::by_command(&installed, &setting, request, self.remaining()).ok()
                    }
                    Completion::None | Completion::Files => None,
                }
            }
        }
    }
}

/// Ends credential plugins when kf is ended by a signal. They run in their own process group, so signals from the
/// keyboard do not reach them.
fn end_plugins_on_signals() {
    let (caught, is_caught) = mpsc::sync_channel(1);
    let watching = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let number = runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).ok()?;
            let mut terminate = signal(SignalKind::terminate()).ok()?;
            let mut hangup = signal(SignalKind::hangup()).ok()?;
            let _gone = caught.send(());
            tokio::select! {
                _ = interrupt.recv() => Some(2),
                _ = terminate.recv() => Some(15),
                _ = hangup.recv() => Some(1),
            }
        });
        if let Some(number) = number {
            kill_unattended_plugins();
            shutdown::exit_process(kf_core::exit::killed_by(number));
        }
    };
    let _thread = thread::Builder::new().name("signals".to_owned()).spawn(watching);
    // Plugins must not start before the signals are caught.
    let _failed = is_caught.recv();
}

/// The timeout of a value of the variable. An invalid value counts as unset: completion cannot report errors.
fn timeout(seconds: Option<&str>) -> Duration {
    seconds
        .and_then(|seconds| seconds.parse().ok())
        .map_or(DEFAULT_TIMEOUT, |seconds: u32| Duration::from_secs(seconds.into()))
}

/// The result of `work`, or none after `limit`. The work then continues until the process ends.
fn run_with_timeout<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, answer) = mpsc::sync_channel(1);
    let work = move || {
        let _gone = sender.send(work());
    };
    thread::Builder::new().name("kf-complete".to_owned()).spawn(work).ok()?;
    answer.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hanging_work_times_out() {
        assert_eq!(run_with_timeout(Duration::from_secs(60), || 7), Some(7));
        let never = || loop {
            thread::park();
        };
        assert_eq!(run_with_timeout::<()>(Duration::from_millis(1), never), None);
    }

    #[test]
    fn timeout_defaults_to_two_seconds_if_invalid() {
        for unset in [None, Some(""), Some("soon"), Some("-1"), Some("1.5")] {
            assert_eq!(timeout(unset), Duration::from_secs(2), "{unset:?}");
        }
        assert_eq!(timeout(Some("30")), Duration::from_secs(30));
    }

    #[test]
    fn flag_prefix_sends_no_request() {
        let names = Arc::new(ClusterNames::new(Line::default()));
        assert!(names.complete(&Source::Namespaces, OsStr::new("--fol")).is_empty());
        assert!(!names.queried.load(Ordering::Relaxed));
    }
}
