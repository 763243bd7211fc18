//! `kf notebook`: notebook servers of both of Kubeflow's kinds.
//!
//! `kf-notebook-server` implements the servers and their states; each module here is one verb.

mod create;
mod ls;
mod open;
mod start;
mod stop;

use kf_notebook_server::KINDS;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::complete_among;

/// Create, start, stop and open notebook servers
///
/// A server is a Notebook or a Workspace, whichever the cluster serves. Use KIND/NAME if there is one of each
/// with the same name.
#[derive(clap::Parser, Debug, Describe)]
#[kf(example(
    "notebook create alice --image jupyter:1 --size 10Gi --wait",
    "create a server with its own volume"
))]
#[kf(example("notebook open alice", "open it in the browser"))]
#[kf(example("notebook stop alice", "free its CPU and GPU, keep its files"))]
pub struct Notebook {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug, Describe)]
enum Verb {
    /// List notebook servers and why they are not running
    Ls(ls::Ls),
    /// Create a notebook server
    Create(create::Create),
    /// Start a stopped server, or change its image
    Start(start::Start),
    /// Stop a server and keep its volumes
    Stop(stop::Stop),
    /// Open a running server in the browser
    Open(open::Open),
}

#[kf_plugin_sdk::main(complete = complete)]
pub fn main(notebook: Notebook, kf: &Kf) -> Result<Exit> {
    match notebook.verb {
        Verb::Ls(ls) => ls::run(&ls, kf),
        Verb::Create(create) => create::run(&create, kf),
        Verb::Start(start) => start::run(&start, kf),
        Verb::Stop(stop) => stop::run(&stop, kf),
        Verb::Open(open) => open::run(&open, kf),
    }
}

fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    complete_among(request, kf, &KINDS)
}

/// The result of a change, as structured output.
#[derive(Debug, serde::Serialize, TableRow)]
#[row(name = "format!(\"{}/{}\", self.kind, self.name)")]
struct Report {
    kind: &'static str,
    name: String,
    change: &'static str,
}

impl Report {
    fn of(server: &kf_notebook_server::Server, change: &'static str) -> Self {
        Self { kind: server.kind().word(), name: server.name().to_owned(), change }
    }

    /// Prints one line, or the report as structured output.
    fn print(&self, kf: &Kf, more: &str) -> Result<()> {
        kf.report_with(format!("{}/{} {}{more}", self.kind, self.name, self.change), self)
    }
}
