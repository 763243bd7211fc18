//! `kf notebook`: notebook servers of both of Kubeflow's kinds.
//!
//! What a server is and how it is doing stands in `kf-notebook-server`; here is a module a verb.

mod create;
mod ls;
mod open;
mod start;
mod stop;

use kf_notebook_server::KINDS;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::complete_among;

/// Make, start, stop and open notebook servers
///
/// A server is a Notebook or a Workspace, whichever the cluster serves. NAME can be KIND/NAME where
/// both have one of that name.
#[derive(clap::Parser, Debug, Describe)]
#[kf(example(
    "notebook create alice --image jupyter:1 --size 10Gi --wait",
    "make one with a volume of its own"
))]
#[kf(example("notebook open alice", "show it in the browser"))]
#[kf(example("notebook stop alice", "free its CPU and GPU, keep its files"))]
pub struct Notebook {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug, Describe)]
enum Verb {
    /// List the notebook servers, and why one does not run
    Ls(ls::Ls),
    /// Make a notebook server
    Create(create::Create),
    /// Start a stopped server, or give one another image
    Start(start::Start),
    /// Stop a server and keep its volumes
    Stop(stop::Stop),
    /// Show a running server in the browser
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

/// What is left after a change, as data.
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

    /// One line for a person, the report for a program.
    fn print(&self, kf: &Kf, more: &str) -> Result<()> {
        kf.did_with(format!("{}/{} {}{more}", self.kind, self.name, self.change), self)
    }
}
