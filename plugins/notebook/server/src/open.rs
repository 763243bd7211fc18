//! A server's page in the user's browser, for as long as the command runs.

use std::time::Duration;

use kf_plugin_sdk::border::Port;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use serde::Serialize;

use crate::page::{Page, page};
use crate::server::Server;
use crate::wait::until_running;

/// A server that is started may still need a moment before it listens.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How to open a page.
#[derive(Clone, Debug)]
pub struct Opening {
    /// On this machine; 0 is any that is free.
    pub local_port: u16,
    pub browser: bool,
    /// Which of a Workspace's ports; the first if none.
    pub port_id: Option<String>,
    /// Print the token with the address.
    pub show_token: bool,
    /// How long the server may take until it answers.
    pub limit: Duration,
}

/// What is said of an opened page.
#[derive(Debug, Serialize, TableRow)]
#[row(name = "self.server.clone()")]
struct Opened {
    server: String,
    url: String,
    pod: String,
    port: u16,
}

/// Leads a local port to the server and shows its page, until the server is stopped or deleted. Whoever
/// ends kf leaves the server running. When its pod is replaced the same port leads to the new one.
pub fn open(kf: &Kf, server: Server, opening: &Opening) -> Result<Exit> {
    let mut server = server;
    let mut local = opening.local_port;
    let mut is_shown = false;
    loop {
        let pod = until_running(kf, &mut server, opening.limit)?;
        let page = page(kf, &server, &pod, opening.port_id.as_deref())?;
        until_answers(kf, &server, &pod, &page, opening.limit)?;
        let forward = kf.forward_ports(pod.name(), &[Port { local, remote: page.port }])?;
        local = forward.ports().first().map_or(local, |port| port.local);
        if is_shown {
            kf.note(format!("connected to {server} again"));
        } else {
            let in_browser = opening.browser && forward.open_page(&page.with_token())?;
            tell(kf, &server, &pod, &page, local, in_browser, opening)?;
            is_shown = true;
        }
        let ended = forward.finish();
        drop(forward);
        let Some(now_is) = server.again(kf)? else {
            return Err(Error::failed(format!("{server} was deleted")));
        };
        server = now_is;
        if !server.is_wished() {
            kf.note(format!("{server} was stopped"));
            return Ok(Exit::OK);
        }
        let same = kf.api("Pod").find(pod.name())?.filter(|now_is| now_is.uid() == pod.uid());
        if same.is_some_and(|pod| pod.str("/metadata/deletionTimestamp").is_none()) {
            ended?;
        }
        kf.note(format!("the connection to pod {} has ended, waiting for {server} to be back", pod.name()));
        kf.sleep(ASK_AGAIN);
    }
}

fn tell(
    kf: &Kf,
    server: &Server,
    pod: &Object,
    page: &Page,
    local: u16,
    in_browser: bool,
    opening: &Opening,
) -> Result<()> {
    let path = if opening.show_token { page.with_token() } else { page.path.clone() };
    let url = format!("http://localhost:{local}{path}");
    if kf.output_format().is_table() {
        match in_browser {
            true => kf.note(format!("{server} is at {url}")),
            false => kf.print_line(&url)?,
        }
    } else {
        let (server, pod) = (server.to_string(), pod.name().to_owned());
        kf.record(&Opened { server, url, pod, port: local })?;
    }
    if page.token.is_some() && !in_browser && !opening.show_token {
        kf.note("it asks for a token; --show-token prints it with the address");
    }
    if kf.context().interactive {
        kf.note(format!("Ctrl-C closes the connection and leaves {server} running"));
    }
    Ok(())
}

/// Any answer will do: it listens.
fn until_answers(kf: &Kf, server: &Server, pod: &Object, page: &Page, limit: Duration) -> Result<()> {
    let progress = kf.progress(&format!("waiting for {server} to answer"));
    let begun = kf.now();
    loop {
        let error = match kf.pod_http(pod.name(), page.port).get(&page.path) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let listens_later = matches!(
            error.code,
            ErrorCode::Failed | ErrorCode::Internal | ErrorCode::TimedOut | ErrorCode::Unreachable
        );
        if !listens_later {
            return Err(error);
        }
        let waited = begun.age(kf.now());
        if waited >= limit {
            let text =
                format!("{server} does not answer on port {} after {}", page.port, short_duration(waited));
            return Err(
                Error::timed_out(format!("{text}: {}", error.message)).hint(format!("kf logs {server}"))
            );
        }
        progress.say(&format!(
            "waiting for {server} to answer on port {}, {}",
            page.port,
            short_duration(waited)
        ));
        kf.sleep(ASK_AGAIN);
    }
}
