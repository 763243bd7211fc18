//! The broker: the only way for a command to reach the API server.
//!
//! A guest calls typed verbs, and the broker turns each into exactly one checked request. Every string is parsed into a
//! name, the kind is resolved by discovery, the grant decides the access, the body must match the request, the path is
//! built from names and parsed back, and the request has the broker's headers and no others. Managed fields and the data
//! of secrets are removed from responses. The broker also enforces the run's budgets, writes the audit log before
//! anything is sent, and records calls and changes for `--explain` and `--dry-run`. Commands need no code for any of
//! this.

mod body;
mod budget;
mod calls;
mod diff;
mod guard;
mod logs;
mod ports;
mod questions;
mod redact;
mod report;
mod sessions;
mod watch;
mod wire;
mod writes;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use http::HeaderValue;

pub use budget::Budgets;
pub use diff::{DiffLine, Mark};
pub(crate) use questions::{access_review, verdict};
pub use report::{Action, CallRecord, Change, render_calls};

use kf_core::api::ApiError;
use kf_core::grants::Grants;
use kf_core::names::Namespace;
use kf_core::pod_http::PodHeader;
use kf_core::request::{Denial, Request};

use crate::audit::{AuditLog, Detail};
use crate::connection::Connection;
use crate::discovery::Discovery;
use budget::Meter;
use report::Recorder;

/// The command that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub name: String,
    pub version: String,
    /// Hex SHA-256 of the component.
    pub digest: String,
}

/// One run of one command.
#[derive(Debug)]
pub struct BrokerConfig {
    pub connection: Arc<Connection>,
    pub grants: Grants,
    /// The environment: the namespace of the run.
    pub namespace: Namespace,
    pub command: Command,
    /// Headers that every layer allows it to send to pods, in addition to the default ones.
    pub headers: BTreeSet<PodHeader>,
    /// Makes every write a server-side dry run, recorded in [`Broker::changes`].
    pub dry_run: bool,
    pub budgets: Budgets,
    pub audit: Option<AuditLog>,
}

/// Why a broker cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("invalid {field} `{value}` of the command: cannot be used for the field manager")]
    Command { field: &'static str, value: String },
}

/// Implements [`KubeApi`](kf_core::api::KubeApi) for one run. Cheap to clone.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Arc<Connection>,
    grants: Grants,
    namespace: Namespace,
    command: Command,
    headers: BTreeSet<PodHeader>,
    field_manager: String,
    user_agent: HeaderValue,
    dry_run: bool,
    meter: Meter,
    recorder: Recorder,
    audit: Option<AuditLog>,
    discovery: Discovery,
    tokens: ports::Tokens,
}

impl Broker {
    pub fn new(config: BrokerConfig) -> Result<Self, BrokerError> {
        let BrokerConfig { connection, grants, namespace, command, headers, dry_run, budgets, audit } =
            config;
        for (field, value) in
            [("name", &command.name), ("version", &command.version), ("digest", &command.digest)]
        {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.+".contains(&b);
            if value.is_empty() || value.len() > 100 || !value.bytes().all(fits) {
                return Err(BrokerError::Command { field, value: value.clone() });
            }
        }
        let short: String = command.digest.chars().take(8).collect();
        let agent =
            format!("kf/{} plugin/{}@{}+{short}", env!("CARGO_PKG_VERSION"), command.name, command.version);
        let user_agent = HeaderValue::try_from(agent)
            .map_err(|_| BrokerError::Command { field: "version", value: command.version.clone() })?;
        let field_manager = format!("kf-{}", command.name);
        Ok(Self {
            inner: Arc::new(Inner {
                connection,
                grants,
                namespace,
                command,
                headers,
                field_manager,
                user_agent,
                dry_run,
                meter: Meter::new(budgets),
                recorder: Recorder::default(),
                audit,
                discovery: Discovery::default(),
                tokens: ports::Tokens::default(),
            }),
        })
    }

    /// All calls so far, in the order they returned.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.inner.recorder.calls()
    }

    /// What the writes of a dry run would have done, in order.
    pub fn changes(&self) -> Vec<Change> {
        self.inner.recorder.changes()
    }

    /// Messages about failed calls that were withheld from the command, each with its source.
    pub fn withheld(&self) -> Vec<(String, String)> {
        let mut withheld = self.inner.recorder.withheld_messages();
        withheld.extend(self.inner.connection.plugin_output());
        withheld
    }

    /// The API server's warnings, without duplicates: deprecated versions, unknown fields.
    pub fn warnings(&self) -> Vec<String> {
        self.inner.recorder.warnings()
    }
}

impl Inner {
    /// The rule that allows a request, or the refusal as an error.
    fn check(&self, request: &Request) -> Result<usize, ApiError> {
        self.check_detailed(request, None)
    }

    fn check_detailed(&self, request: &Request, detail: Option<&Detail>) -> Result<usize, ApiError> {
        match request.decide(&self.grants) {
            Ok(allowed) => Ok(allowed.rule),
            Err(denial) => {
                let (access, layer) = match &denial {
                    Denial::Access(access, refusal) => (access.as_ref(), Some(refusal.layer)),
                    _ => (&request.access, None),
                };
                self.audit_refusal(access, layer, detail)?;
                Err(denial.error(&self.command.name, &request.place))
            }
        }
    }
}
