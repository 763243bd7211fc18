//! `kf run`: a command in a container of a component.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Component, PlaceChoice, complete_component};

/// Run a command in a component
///
/// In the newest pod that runs and in the container that does the work, unless others are named. Its
/// exit code becomes kf's. What is piped in goes to the command; at a terminal that needs -i, and a
/// program that draws needs -t as well. Ctrl-C ends kf and the command's input; the command itself
/// hears of it only with -t. There, ~. on a new line or three times Ctrl-C leaves it.
#[derive(clap::Parser, Describe)]
#[kf(example("run mnist -- nvidia-smi", "a command in the newest pod"))]
#[kf(example("run mnist --rank 1 -- ls -l /data", "in the pod of one rank"))]
#[kf(example("run my-notebook -it -- python", "a program to talk to"))]
pub struct Run {
    /// The component, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    name: String,
    /// The container, if not the one that does the work
    #[arg(long, short, help_heading = "Where")]
    container: Option<String>,
    /// The pod, if not the newest that runs
    #[arg(long, conflicts_with = "rank", help_heading = "Where")]
    #[kf(complete = objects("/Pod"))]
    pod: Option<String>,
    /// The pod of this rank, counted from 0
    #[arg(long, value_name = "N", help_heading = "Where")]
    rank: Option<u32>,
    /// Pass on what is typed
    #[arg(long, short = 'i', help_heading = "How it runs")]
    stdin: bool,
    /// Give the command a terminal; implies -i
    #[arg(long, short, help_heading = "How it runs")]
    tty: bool,
    /// Pass nothing on, even if something is piped in
    #[arg(long, conflicts_with_all = ["stdin", "tty"], help_heading = "How it runs")]
    no_stdin: bool,
    /// What to run
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

#[kf_plugin_sdk::main(complete = complete_component)]
pub fn main(run: Run, kf: &Kf) -> Result<Exit> {
    let component = Component::find(kf, &run.name)?;
    let place = component.place(kf, &run.choice())?;
    place.check_running()?;
    let piped = !kf.context().interactive;
    let stdin = !run.no_stdin && (run.stdin || run.tty || piped);
    // kf itself says where what is typed goes.
    if !component.is_pod() && (piped || !stdin) {
        kf.note(format!("in pod {}, container {}", place.pod.name(), place.container));
    }
    let session = kf.session(place.pod.name()).container(&place.container).stdin(stdin).tty(run.tty);
    let code = session.exec(&run.command).map_err(|error| tell(kf, place.explain(kf, error), &run))?;
    Ok(Exit::of_session(code))
}

impl Run {
    fn choice(&self) -> PlaceChoice {
        PlaceChoice { pod: self.pod.clone(), rank: self.rank, container: self.container.clone() }
    }

    /// It is passed on only because it is no terminal.
    fn needs_no_stdin(&self, kf: &Kf) -> bool {
        !kf.context().interactive && !self.stdin && !self.tty && !self.no_stdin
    }
}

/// Not every image has the program, and a shell's words are not programs.
fn tell(kf: &Kf, error: Error, run: &Run) -> Error {
    let one_word = run.command.first().filter(|word| run.command.len() == 1 && word.contains(' '));
    if error.is(ErrorCode::Unsupported) && run.needs_no_stdin(kf) {
        return error.hint(kf.command_line().with("--no-stdin"));
    }
    match one_word {
        Some(line) if error.is(ErrorCode::NotFound) => {
            error.hint(kf.command_line().with_last(&["sh", "-c", line]))
        }
        _ => error,
    }
}
