//! `kf run`: runs a command in a container of a workload.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{PlaceChoice, Workload, complete_workload};

/// Run a command in a workload
///
/// Runs in the main container of the newest running pod, unless --pod, --rank or --container choose another.
/// kf exits with the command's exit code. Piped input is passed to the command; at a terminal, pass -i, and
/// -t for programs that need a terminal. Ctrl-C ends kf and the command's input, and reaches the command only
/// with -t. With -t, type ~. on a new line or press Ctrl-C three times to disconnect.
#[derive(clap::Parser, Describe)]
#[kf(example("run mnist -- nvidia-smi", "run in the newest pod"))]
#[kf(example("run mnist --rank 1 -- ls -l /data", "run in the pod of rank 1"))]
#[kf(example("run my-notebook -it -- python", "run an interactive program"))]
pub struct Run {
    /// The workload, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    name: String,
    /// The container [default: the main container]
    #[arg(long, short, help_heading = "Target")]
    container: Option<String>,
    /// The pod [default: the newest running pod]
    #[arg(long, conflicts_with = "rank", help_heading = "Target")]
    #[kf(complete = objects("/Pod"))]
    pod: Option<String>,
    /// The pod of this rank, starting at 0
    #[arg(long, value_name = "N", help_heading = "Target")]
    rank: Option<u32>,
    /// Pass stdin to the command
    #[arg(long, short = 'i', help_heading = "Session")]
    stdin: bool,
    /// Allocate a terminal; implies -i
    #[arg(long, short, help_heading = "Session")]
    tty: bool,
    /// Do not pass stdin, even if it is piped
    #[arg(long, conflicts_with_all = ["stdin", "tty"], help_heading = "Session")]
    no_stdin: bool,
    /// The command to run, with its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

#[kf_plugin_sdk::main(complete = complete_workload)]
pub fn main(run: Run, kf: &Kf) -> Result<Exit> {
    let component = Workload::find(kf, &run.name)?;
    let place = component.place(kf, &run.choice())?;
    place.check_running()?;
    let piped = !kf.context().interactive;
    let stdin = !run.no_stdin && (run.stdin || run.tty || piped);
    // In an interactive session the host prints the target.
    if !component.is_pod() && (piped || !stdin) {
        kf.note(format!("in pod {}, container {}", place.pod.name(), place.container));
    }
    let session = kf.session(place.pod.name()).container(&place.container).stdin(stdin).tty(run.tty);
    let code = session.exec(&run.command).map_err(|error| with_hint(kf, place.explain(kf, error), &run))?;
    Ok(Exit::of_session(code))
}

impl Run {
    fn choice(&self) -> PlaceChoice {
        PlaceChoice { pod: self.pod.clone(), rank: self.rank, container: self.container.clone() }
    }

    /// Whether stdin is passed only because it is not a terminal.
    fn has_implicit_stdin(&self, kf: &Kf) -> bool {
        !kf.context().interactive && !self.stdin && !self.tty && !self.no_stdin
    }
}

/// Adds a hint to the error of a failed session.
fn with_hint(kf: &Kf, error: Error, run: &Run) -> Error {
    let one_word = run.command.first().filter(|word| run.command.len() == 1 && word.contains(' '));
    if error.is(ErrorCode::Unsupported) && run.has_implicit_stdin(kf) {
        return error.hint(kf.command_line().with("--no-stdin"));
    }
    match one_word {
        Some(line) if error.is(ErrorCode::NotFound) => {
            error.hint(kf.command_line().with_last(&["sh", "-c", line]))
        }
        _ => error,
    }
}
