//! Opens a server's page in the browser, and forwards its port while the command runs.

use std::time::Duration;

use kf_plugin_sdk::abi::Port;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use serde::Serialize;

use crate::page::{Page, page};
use crate::server::Server;
use crate::wait::until_running;

/// A server may not listen yet when its pod is ready.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How to open a page.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The local port; 0 picks a free one.
    pub local_port: u16,
    pub browser: bool,
    /// The port of a Workspace; `None` is the first.
    pub port_id: Option<String>,
    /// Print the token with the address.
    pub show_token: bool,
    /// How long to wait for the server to answer.
    pub limit: Duration,
}

/// The report about an opened page.
#[derive(Debug, Serialize, TableRow)]
#[row(name = "self.server.clone()")]
struct Opened {
    server: String,
    url: String,
    pod: String,
    port: u16,
}

/// Forwards a local port to the server and opens its page, until the server is stopped or deleted. Ending kf leaves
/// the server running. If the pod is replaced, the same local port is forwarded to the new one.
pub fn open(kf: &Kf, server: Server, opening: &OpenOptions) -> Result<Exit> {
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
            kf.note(format!("reconnected to {server}"));
        } else {
            let in_browser = opening.browser && forward.open_page(&page.with_token())?;
            report(kf, &server, &pod, &page, local, in_browser, opening)?;
            is_shown = true;
        }
        let ended = forward.finish();
        drop(forward);
        let Some(reloaded) = server.reload(kf)? else {
            return Err(Error::failed(format!("{server} was deleted")));
        };
        server = reloaded;
        if !server.should_run() {
            kf.note(format!("{server} was stopped"));
            return Ok(Exit::OK);
        }
        let same = kf.api("Pod").find(pod.name())?.filter(|found| found.uid() == pod.uid());
        if same.is_some_and(|pod| pod.str("/metadata/deletionTimestamp").is_none()) {
            ended?;
        }
        kf.note(format!("lost connection to pod {}, waiting for {server}", pod.name()));
        kf.sleep(RETRY_INTERVAL);
    }
}

fn report(
    kf: &Kf,
    server: &Server,
    pod: &Object,
    page: &Page,
    local: u16,
    in_browser: bool,
    opening: &OpenOptions,
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
        kf.note("the page asks for a token; --show-token prints it with the address");
    }
    if kf.context().interactive {
        kf.note(format!("Ctrl-C closes the connection and leaves {server} running"));
    }
    Ok(())
}

/// Waits until the server listens. Any HTTP answer counts.
fn until_answers(kf: &Kf, server: &Server, pod: &Object, page: &Page, limit: Duration) -> Result<()> {
    let progress = kf.progress(&format!("waiting for {server} to answer"));
    let started = kf.now();
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
        let waited = started.age(kf.now());
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
        kf.sleep(RETRY_INTERVAL);
    }
}
