//! `kf jupyter`: to work, in one word. Starts the server if it is stopped, waits, and shows it.

use kf_notebook_server::{KINDS, Opening, Server, open, served, start};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::complete_among;

/// Start your notebook server and show it in the browser
///
/// Ctrl-C closes the connection and leaves the server running; `kf notebook stop` stops it.
#[derive(clap::Parser, Debug, Describe)]
#[kf(example("jupyter", "the only server in the namespace"))]
#[kf(example("jupyter alice --no-browser", "print the address instead"))]
#[kf(example("jupyter workspace/bob --port 8888", "always at the same address"))]
pub struct Jupyter {
    /// The server, as NAME or KIND/NAME; the only one if absent
    #[kf(complete = dynamic)]
    name: Option<String>,
    /// The port on this machine; any free one if absent
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Print the address and open no browser
    #[arg(long)]
    no_browser: bool,
    /// Which of a workspace's ports; the first if absent
    #[arg(long, value_name = "ID")]
    port_id: Option<String>,
    /// Print the token with the address
    #[arg(long)]
    show_token: bool,
    /// How long it may take until it answers
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: Span,
}

#[kf_plugin_sdk::main(complete = complete)]
pub fn main(jupyter: Jupyter, kf: &Kf) -> Result<Exit> {
    let mut server = match &jupyter.name {
        Some(name) => Server::find(kf, name)?,
        None => only(kf)?,
    };
    if !server.is_wished() {
        server = start(kf, &server, None)?;
        kf.note(format!("starting {server}"));
        if kf.context().dry_run {
            return Ok(Exit::OK);
        }
    }
    let opening = Opening {
        local_port: jupyter.port,
        browser: !jupyter.no_browser,
        port_id: jupyter.port_id,
        show_token: jupyter.show_token,
        limit: jupyter.timeout.0,
    };
    open(kf, server, &opening)
}

/// The only server there is; where there are several, one has to be named.
fn only(kf: &Kf) -> Result<Server> {
    let mut servers = Vec::new();
    let mut refused = None;
    let mut left_out = LeftOut::default();
    for kind in served(kf)? {
        match kf.api(kind.kind()).list() {
            Err(error) if error.is(ErrorCode::Forbidden) => refused = Some(error),
            answer => {
                let objects = left_out.take(kind.plural(), answer)?;
                servers.extend(objects.into_iter().flatten().filter_map(Server::of));
            }
        }
    }
    if let [_, _, ..] = servers.as_slice() {
        let names: Vec<_> = servers.iter().map(Server::to_string).collect();
        let first = names.first().cloned().unwrap_or_default();
        return Err(
            Error::invalid(format!("there are {}", names.join(", "))).hint(kf.command_line().with(&first))
        );
    }
    match (servers.pop(), left_out.first_error().cloned().or(refused)) {
        (Some(server), _) => {
            left_out.tell(kf);
            Ok(server)
        }
        (None, Some(error)) => Err(error),
        (None, None) => Err(Error::not_found(format!("no notebook server in {}", kf.namespace()))
            .hint("kf notebook create NAME --wait")),
    }
}

fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    complete_among(request, kf, &KINDS)
}
