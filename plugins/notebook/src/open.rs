use kf_notebook_server::{Opening, Server};
use kf_plugin_sdk::prelude::*;

#[derive(clap::Args, Debug, Describe)]
pub(crate) struct Open {
    /// The server, as NAME or KIND/NAME
    #[kf(complete = dynamic)]
    name: String,
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

pub(crate) fn run(open: &Open, kf: &Kf) -> Result<Exit> {
    let server = Server::find(kf, &open.name)?;
    if !server.is_wished() {
        let hint = format!("kf notebook start {} --wait", open.name);
        return Err(Error::failed(format!("{server} is stopped")).hint(hint));
    }
    let opening = Opening {
        local_port: open.port,
        browser: !open.no_browser,
        port_id: open.port_id.clone(),
        show_token: open.show_token,
        limit: open.timeout.0,
    };
    kf_notebook_server::open(kf, server, &opening)
}
