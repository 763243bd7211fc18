//! `kf shell`: a shell in a container of a component.
//!
//! [`debug`] helps where the image has none.

mod debug;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Component, Place, PlaceChoice, complete_component};

/// Open a shell in a component
///
/// In the newest pod that runs and in the container that does the work, unless others are named. It
/// is bash where the image has it, else sh. What is piped in is run. Type ~. on a new line or Ctrl-C
/// three times to leave it, whatever runs there. An image without any shell can be looked into with
/// --debug: a container with tools joins the pod, and stays until the pod ends.
#[derive(clap::Parser, Describe)]
#[kf(example("shell mnist", "a shell in the newest pod"))]
#[kf(example("shell my-notebook --shell zsh", "another shell"))]
#[kf(example("shell iris --debug", "beside a container whose image has no shell"))]
pub struct Shell {
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
    /// The shell, if not bash or sh
    #[arg(long, help_heading = "How it runs")]
    shell: Option<String>,
    /// Add a container with tools to the pod and open the shell there
    #[arg(long, help_heading = "How it runs")]
    debug: bool,
    /// The image of that container
    #[arg(long, value_name = "IMAGE", default_value = debug::IMAGE, help_heading = "How it runs")]
    debug_image: String,
}

#[kf_plugin_sdk::main(complete = complete_component)]
pub fn main(shell: Shell, kf: &Kf) -> Result<Exit> {
    let component = Component::find(kf, &shell.name)?;
    let place = component.place(kf, &shell.choice())?;
    if shell.debug {
        return debug::open(kf, &shell, &place);
    }
    place.check_running()?;
    // kf itself tells a person where they type.
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

    /// The shell that was named, or the better one of those there are.
    fn words(&self) -> Vec<String> {
        const BETTER: &str = "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi";
        match &self.shell {
            Some(shell) => vec![shell.clone()],
            None => ["sh", "-c", BETTER].map(str::to_owned).to_vec(),
        }
    }
}

fn no_shell(kf: &Kf, error: Error, shell: &Shell, place: &Place) -> Error {
    if !error.is(ErrorCode::NotFound) || error.message.starts_with("there is no pod") {
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
