//! Stops and restarts the API server, and reads its audit log.
//!
//! etcd keeps running, and the port and certificate are kept, so to clients it is the same server with lost
//! connections and an empty watch cache. Only for a cluster that is not shared with other tests.

use std::collections::HashSet;
use std::net::TcpStream;

use fs_err as fs;
use nix::sys::signal::Signal;
use serde::Deserialize;

use super::client::{block_on, connect, wait_until};
use super::control_plane::API_SERVER;
use super::error::Result;
use super::supervisor::Files;
use super::{Cluster, User};

/// A user's request to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The user's name.
    pub user: String,
    /// The verb, such as `list` or `watch`.
    pub verb: String,
    /// The path and the query.
    pub path: String,
}

/// A line of the audit log.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "auditID")]
    audit_id: String,
    user: Username,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
}

#[derive(Deserialize)]
struct Username {
    username: String,
}

impl Cluster {
    /// Stops the API server with this signal, and waits until its port is closed.
    pub fn stop_api_server(&self, with: Signal) -> Result<()> {
        let held = Files(&self.directory).held(API_SERVER);
        let temporary = held.with_extension("new");
        fs::write(&temporary, with.as_str())?;
        fs::rename(&temporary, &held)?;
        let address = self.server().trim_start_matches("https://").to_owned();
        block_on(wait_until("the API server to stop", &self.logs(), || async {
            Ok(TcpStream::connect(&address).is_err())
        }))
    }

    /// Restarts it, and waits until it is ready.
    pub fn start_api_server(&self) -> Result<()> {
        fs::remove_file(Files(&self.directory).held(API_SERVER))?;
        let admin = self.kubeconfig(User::Admin);
        block_on(async {
            let client = connect(&admin).await?;
            self.wait_until_ready(&client).await
        })
    }

    /// All requests of users so far, if the cluster was started with [`Options::audit`](super::Options::audit).
    pub fn audited(&self) -> Result<Vec<Request>> {
        let log = fs::read_to_string(Files(&self.directory).log("audit"))?;
        let mut seen = HashSet::new();
        let events = log.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok());
        // A watch is logged when it starts and when it ends.
        Ok(events
            .filter(|event| seen.insert(event.audit_id.clone()))
            .map(|event| Request { user: event.user.username, verb: event.verb, path: event.request_uri })
            .collect())
    }
}
