//! Names of what lives in the cluster.
//!
//! They are asked for while the value of an argument is completed that says where they come from: from
//! the command itself, whose guest is started for it, or from the objects of a kind, which the host
//! lists on the command's behalf. Both have the grant of a run of that command on that line (the
//! manifest, the ceiling, the consent), less every write. For the host's own `--namespace` the user's
//! rights are enough. The values of `--context` stand in the kubeconfig, and no cluster is asked.
//!
//! A person waits at the prompt. So all of it happens on a thread that is left behind when the time is
//! up, whatever it hangs on, and nothing is said: whatever goes wrong, there are no candidates.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use clap_complete::{ArgValueCompleter, CompletionCandidate};
use kf_cluster::connection::end_unattended_plugins;
use kf_command::complete;
use kf_core::PluginName;
use kf_core::tree::{Argument, Completion, ValueType};
use kf_sandbox::{Candidate, CompletionRequest};
use tokio::signal::unix::{SignalKind, signal};

use super::line::Line;
use crate::added::{self, argv};
use crate::app::App;
use crate::args::RunArgs;
use crate::candidates::{fitting, without_files};
use crate::commands::Cli;
use crate::env;
use crate::leave;
use crate::ui::Ui;

/// How long a person waits, from the start of kf on and with connecting, unless
/// [`KF_COMPLETE_TIMEOUT`](env::KF_COMPLETE_TIMEOUT) says otherwise.
const PATIENCE: Duration = Duration::from_secs(2);

/// The one answer that a call of the shell is worth.
pub struct Live {
    line: Line,
    patience: Duration,
    begun: Instant,
    /// One value is completed in a call, so one command is started at most.
    asked: AtomicBool,
}

/// What a value names.
#[derive(Clone)]
enum Names {
    Namespaces,
    /// Of the kubeconfig.
    Contexts,
    /// Whatever an argument of an added command does.
    Of {
        command: String,
        argument: Arc<Argument>,
    },
}

impl Live {
    pub fn new(line: Line) -> Self {
        let patience = patience(env::text(env::KF_COMPLETE_TIMEOUT).as_deref());
        Self { line, patience, begun: Instant::now(), asked: AtomicBool::new(false) }
    }

    /// Whether the word being completed names something that lives in the cluster.
    pub fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Completes the host's own `--namespace`.
    pub fn namespaces(self: &Arc<Self>) -> ArgValueCompleter {
        self.completer(Names::Namespaces)
    }

    /// Completes the host's own `--context`.
    pub fn contexts(self: &Arc<Self>) -> ArgValueCompleter {
        self.completer(Names::Contexts)
    }

    /// Completes an argument of an added command, if its values live in the cluster. A path is none of
    /// those: it lets the command read, so which one is offered is not the command's to say.
    pub fn values(self: &Arc<Self>, command: &str, argument: &Argument) -> Option<ArgValueCompleter> {
        let lives = matches!(argument.completion, Completion::Dynamic | Completion::Objects(_))
            && (!argument.is_path() || argument.value_type == ValueType::NameOrFile);
        let names = Names::Of { command: command.to_owned(), argument: Arc::new(argument.clone()) };
        lives.then(|| self.completer(names))
    }

    fn completer(self: &Arc<Self>, names: Names) -> ArgValueCompleter {
        let live = Arc::clone(self);
        ArgValueCompleter::new(move |typed: &OsStr| live.offer(&names, typed))
    }

    fn offer(self: &Arc<Self>, names: &Names, typed: &OsStr) -> Vec<CompletionCandidate> {
        // What begins with a dash is a flag about to be typed.
        let Some(typed) = typed.to_str().filter(|typed| !typed.starts_with('-')) else { return Vec::new() };
        if self.asked.swap(true, Ordering::Relaxed) {
            return Vec::new();
        }
        let (live, asked, word) = (Arc::clone(self), names.clone(), typed.to_owned());
        end_plugins_at_signals();
        let found = within(self.left(), move || live.ask(&asked, &word));
        end_unattended_plugins();
        let found = found.flatten().unwrap_or_default();
        match names {
            Names::Of { argument, .. } => fitting(without_files(found, argument.value_type), typed),
            Names::Namespaces | Names::Contexts => fitting(found, typed),
        }
    }

    fn left(&self) -> Duration {
        self.patience.saturating_sub(self.begun.elapsed())
    }

    fn ask(&self, names: &Names, typed: &str) -> Option<Vec<Candidate>> {
        let line =
            self.line.typed(added::all(Cli::command(), env::kf_home().ok().as_ref(), &|_, _, arg| arg))?;
        let mut global = line.global;
        let limit = global.request_timeout.map_or(self.patience, |limit| limit.min(self.patience));
        global.request_timeout = Some(limit);
        match names {
            Names::Namespaces => {
                // What is being typed names none yet.
                global.namespace = None;
                let app = App::new(&Ui::mute(), global).ok()?;
                let names = app.target().namespaces(&app.home).ok()?;
                Some(names.into_iter().map(|value| Candidate { value, help: None }).collect())
            }
            Names::Contexts => {
                let app = App::new(&Ui::mute(), global).ok()?;
                let names = app.target().contexts().ok()?;
                Some(names.into_iter().map(|value| Candidate { value, help: None }).collect())
            }
            Names::Of { command, argument } => {
                let app = App::new(&Ui::mute(), global).ok()?;
                let installed = app.commands().find(&PluginName::parse(command.as_str()).ok()?).ok()??;
                let setting = app.setting(&RunArgs { read_only: true, ..RunArgs::default() });
                match &argument.completion {
                    Completion::Objects(kind) => complete::by_kind(&installed, &setting, kind).ok(),
                    Completion::Dynamic => {
                        let (_, own) = line.matches.subcommand()?;
                        let words = argv::unfinished_words(&installed.tree, own, env::text, argument, typed);
                        let request = CompletionRequest { words, argument: argument.id.clone() };
                        complete::by_command(&installed, &setting, request, self.left()).ok()
                    }
                    Completion::None | Completion::Files => None,
                }
            }
        }
    }
}

/// A credential plugin is in a process group of its own, so what ends kf from the keyboard does not reach it
/// by itself.
fn end_plugins_at_signals() {
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
            end_unattended_plugins();
            leave::gone(kf_core::exit::killed_by(number));
        }
    };
    let _thread = thread::Builder::new().name("signals".to_owned()).spawn(watching);
    // A plugin that started before would be missed.
    let _failed = is_caught.recv();
}

/// An invalid value counts as unset: while a line is completed there is no place for an error.
fn patience(seconds: Option<&str>) -> Duration {
    seconds
        .and_then(|seconds| seconds.parse().ok())
        .map_or(PATIENCE, |seconds: u32| Duration::from_secs(seconds.into()))
}

/// The answer of some work, if it comes in time; else the work goes on until the process ends.
fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
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
    fn work_that_hangs_is_left_behind() {
        assert_eq!(within(Duration::from_secs(60), || 7), Some(7));
        let never = || loop {
            thread::park();
        };
        assert_eq!(within::<()>(Duration::from_millis(1), never), None);
    }

    #[test]
    fn patience_is_two_seconds_unless_a_number_of_seconds_is_set() {
        for unset in [None, Some(""), Some("soon"), Some("-1"), Some("1.5")] {
            assert_eq!(patience(unset), Duration::from_secs(2), "{unset:?}");
        }
        assert_eq!(patience(Some("30")), Duration::from_secs(30));
    }

    #[test]
    fn a_flag_asks_nobody() {
        let live = Arc::new(Live::new(Line::default()));
        assert!(live.offer(&Names::Namespaces, OsStr::new("--fol")).is_empty());
        assert!(!live.asked.load(Ordering::Relaxed));
    }
}
