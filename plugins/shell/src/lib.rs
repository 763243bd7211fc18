//! `kf shell`: opens a shell in a container of a workload.
//!
//! [`debug`] implements `--debug`, for images without a shell.

mod debug;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Place, PlaceChoice, Workload, complete_workload};

/// Open a shell in a workload
///
/// Opens in the main container of the newest running pod, unless --pod, --rank or --container choose another.
/// The shell is bash if the image has it, else sh. Piped input is run by the shell. To disconnect, type ~. on
/// a new line or press Ctrl-C three times. For an image without a shell, --debug adds a container with tools
/// to the pod, which stays until the pod ends.
#[derive(clap::Parser, Describe)]
#[kf(example("shell mnist", "open a shell in the newest pod"))]
#[kf(example("shell my-notebook --shell zsh", "use another shell"))]
#[kf(example("shell iris --debug", "debug a container whose image has no shell"))]
pub struct Shell {
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
    /// The shell [default: bash, or sh if there is no bash]
    #[arg(long, help_heading = "Session")]
    shell: Option<String>,
    /// Add a debug container to the pod and open the shell there
    #[arg(long, help_heading = "Session")]
    debug: bool,
    /// Image of the debug container
    #[arg(long, value_name = "IMAGE", default_value = debug::IMAGE, help_heading = "Session")]
    debug_image: String,
}

#[kf_plugin_sdk::main(complete = complete_workload)]
pub fn main(shell: Shell, kf: &Kf) -> Result<Exit> {
    let component = Workload::find(kf, &shell.name)?;
    let place = component.place(kf, &shell.choice())?;
    if shell.debug {
        return debug::open(kf, &shell, &place);
    }
    place.check_running()?;
    // In an interactive session the host prints the target.
    if !component.is_pod() && !kf.context().interactive {
        kf.note(format!("in pod {}, container {}", place.pod.name(), place.container));
    }
    let code = kf
        .session(place.pod.name())
        .container(&place.container)
        .stdin(true)
        .tty(kf.context().interactive)
        .exec(&shell.words())
        .map_err(|error| no_shell(kf, place.explain(kf, error), &shell, &place))?;
    Ok(Exit::of_session(code))
}

impl Shell {
    fn choice(&self) -> PlaceChoice {
        PlaceChoice { pod: self.pod.clone(), rank: self.rank, container: self.container.clone() }
    }

    /// The shell of `--shell`, else bash, else sh.
    fn words(&self) -> Vec<String> {
        const BASH_OR_SH: &str = "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi";
        match &self.shell {
            Some(shell) => vec![shell.clone()],
            None => ["sh", "-c", BASH_OR_SH].map(str::to_owned).to_vec(),
        }
    }
}

fn no_shell(kf: &Kf, error: Error, shell: &Shell, place: &Place) -> Error {
    if !error.is(ErrorCode::NotFound) || error.message.starts_with("pod ") {
        return error;
    }
    let pod = place.pod.name();
    let container = &place.container;
    let missing = shell.shell.as_deref();
    let message = match missing {
        Some(missing) => format!("the image of container {container} in pod {pod} has no `{missing}`"),
        None => format!("the image of container {container} in pod {pod} has no shell"),
    };
    let hint = match missing {
        Some(_) => kf.command_line().without("--shell"),
        None => kf.command_line().with("--debug"),
    };
    Error::not_found(message).hint(hint)
}
