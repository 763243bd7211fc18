//! An API server that goes away and comes back, and what it was asked meanwhile.
//!
//! Its etcd goes on, and its port and certificate stay, so to clients it is the same server with its
//! connections lost and its watch cache empty. Only for a cluster of the test's own: everybody who shares
//! one would be cut off.

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

/// What a person asked of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asked.
    pub user: String,
    /// Such as `list` or `watch`.
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
    /// Stops the API server with this signal, and waits until nobody listens on its port.
    pub fn stop_api_server(&self, with: Signal) -> Result<()> {
        let held = Files(&self.directory).held(API_SERVER);
        let aside = held.with_extension("new");
        fs::write(&aside, with.as_str())?;
        fs::rename(&aside, &held)?;
        let address = self.server().trim_start_matches("https://").to_owned();
        block_on(wait_until("the API server to go", &self.logs(), || async {
            Ok(TcpStream::connect(&address).is_err())
        }))
    }

    /// Starts it again, and waits until it is ready.
    pub fn start_api_server(&self) -> Result<()> {
        fs::remove_file(Files(&self.directory).held(API_SERVER))?;
        let admin = self.kubeconfig(User::Admin);
        block_on(async {
            let client = connect(&admin).await?;
            self.wait_until_ready(&client).await
        })
    }

    /// Every request of a person so far, if it was started with [`Options::audit`](super::Options::audit).
    pub fn audited(&self) -> Result<Vec<Request>> {
        let log = fs::read_to_string(Files(&self.directory).log("audit"))?;
        let mut seen = HashSet::new();
        let events = log.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok());
        // A watch is written down when it begins and when it ends.
        Ok(events
            .filter(|event| seen.insert(event.audit_id.clone()))
            .map(|event| Request { user: event.user.username, verb: event.verb, path: event.request_uri })
            .collect())
    }
}
