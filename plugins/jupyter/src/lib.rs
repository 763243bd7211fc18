//! `kf jupyter`: starts the notebook server if it is stopped, waits for it, and opens it.

use kf_notebook_server::{KINDS, OpenOptions, Server, open, served, start};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::complete_among;

/// Start a notebook server and open it in the browser
///
/// Ctrl-C closes the connection and leaves the server running; `kf notebook stop` stops it.
#[derive(clap::Parser, Debug, Describe)]
#[kf(example("jupyter", "open the only server in the namespace"))]
#[kf(example("jupyter alice --no-browser", "print the address instead"))]
#[kf(example("jupyter workspace/bob --port 8888", "use a fixed local port"))]
pub struct Jupyter {
    /// The server, as NAME or KIND/NAME [default: the only one]
    #[kf(complete = dynamic)]
    name: Option<String>,
    /// Local port; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Print the address instead of opening a browser
    #[arg(long)]
    no_browser: bool,
    /// The workspace port to open [default: the first]
    #[arg(long, value_name = "ID")]
    port_id: Option<String>,
    /// Print the token with the address
    #[arg(long)]
    show_token: bool,
    /// How long to wait for the server to answer
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: Span,
}

#[kf_plugin_sdk::main(complete = complete)]
pub fn main(jupyter: Jupyter, kf: &Kf) -> Result<Exit> {
    let mut server = match &jupyter.name {
        Some(name) => Server::find(kf, name)?,
        None => only(kf)?,
    };
    if !server.should_run() {
        server = start(kf, &server, None)?;
        kf.note(format!("starting {server}"));
        if kf.context().dry_run {
            return Ok(Exit::OK);
        }
    }
    let opening = OpenOptions {
        local_port: jupyter.port,
        browser: !jupyter.no_browser,
        port_id: jupyter.port_id,
        show_token: jupyter.show_token,
        limit: jupyter.timeout.0,
    };
    open(kf, server, &opening)
}

/// The only server in the namespace; an error if there are several.
fn only(kf: &Kf) -> Result<Server> {
    let mut servers = Vec::new();
    let mut refused = None;
    let mut left_out = Skipped::default();
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
        return Err(Error::invalid(format!("several notebook servers: {}", names.join(", ")))
            .hint(kf.command_line().with(&first)));
    }
    match (servers.pop(), left_out.first_error().cloned().or(refused)) {
        (Some(server), _) => {
            left_out.tell(kf);
            Ok(server)
        }
        (None, Some(error)) => Err(error),
        (None, None) => Err(Error::not_found(format!("no notebook servers in {}", kf.namespace()))
            .hint("kf notebook create NAME --wait")),
    }
}

fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
    complete_among(request, kf, &KINDS)
}
