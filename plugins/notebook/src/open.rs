use kf_notebook_server::{OpenOptions, Server};
use kf_plugin_sdk::prelude::*;

#[derive(clap::Args, Debug, Describe)]
pub(crate) struct Open {
    /// The server, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    name: String,
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

pub(crate) fn run(open: &Open, kf: &Kf) -> Result<Exit> {
    let server = Server::find(kf, &open.name)?;
    if !server.should_run() {
        let hint = format!("kf notebook start {} --wait", open.name);
        return Err(Error::failed(format!("{server} is stopped")).hint(hint));
    }
    let opening = OpenOptions {
        local_port: open.port,
        browser: !open.no_browser,
        port_id: open.port_id.clone(),
        show_token: open.show_token,
        limit: open.timeout.0,
    };
    kf_notebook_server::open(kf, server, &opening)
}
