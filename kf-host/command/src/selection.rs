//! Which namespace is in use: what `kf use` chose, for which cluster.
//!
//! kubectl keeps the namespace in the kubeconfig, where every program and every shell shares it. kf
//! never writes a kubeconfig: it keeps its own note, and binds it to the cluster it was chosen on
//! by what can be read without asking anybody: the context's name, the server and the authority
//! that vouches for it. A context that now leads somewhere else does not take its namespace along:
//! what was meant for a playground must not happen in production.

use std::fs::File;
use std::sync::Arc;

use kf_cluster::kubeconfig::Settings;
use kf_core::api::{ApiError, ErrorCode};
use kf_core::format::{Format, FormatError};
use kf_core::names::Namespace;
use kf_core::selection::{Selected, Selection};
use kf_core::{Digest, Failure, Kind};
use kf_home::Home;
use kf_home::trusted::OwnPath;
use serde::{Deserialize, Serialize};

use crate::reporter::Reporter;

const FORMAT: u64 = 1;
const MAX_BYTES: u64 = 1 << 20;

/// Clusters that were not chosen on for longest are forgotten beyond so many.
const MAX_CLUSTERS: usize = 100;

/// What a choice is bound to; all of it stands in the kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterId {
    /// Absent in a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    server: String,
    /// SHA-256 of the certificates that vouch for the server; absent where the system's do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authority: Option<Digest>,
}

impl ClusterId {
    pub fn of(settings: &Settings) -> Self {
        Self {
            context: settings.context.clone(),
            server: settings.server.clone(),
            authority: settings.authority(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    cluster: ClusterId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<Namespace>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Namespace>,
}

/// `namespaces.json`, the cluster that was chosen on last first.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Namespaces {
    format: Format<FORMAT>,
    clusters: Vec<Entry>,
}

/// What is kept for a cluster.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Nothing was chosen, or the kubeconfig's namespace was.
    Nothing {
        previous: Option<Namespace>,
    },
    Chosen {
        namespace: Namespace,
        previous: Option<Namespace>,
    },
    /// It was chosen when the context led to another cluster.
    Stale {
        namespace: Namespace,
        server: String,
    },
}

/// The file, in a folder of kf's own.
pub struct Store {
    dir: OwnPath,
}

impl Store {
    pub fn of(home: &Home) -> Self {
        Self { dir: home.selection() }
    }

    /// The namespace in use on a cluster, if one was chosen there. One that was chosen for another
    /// cluster under the same context's name is refused.
    pub fn in_use(&self, cluster: &ClusterId) -> Result<Option<Namespace>, Failure> {
        match self.find(cluster)? {
            Found::Nothing { .. } => Ok(None),
            Found::Chosen { namespace, .. } => Ok(Some(namespace)),
            Found::Stale { namespace, server } => Err(stale(cluster, &namespace, &server)),
        }
    }

    fn find(&self, cluster: &ClusterId) -> Result<Found, Failure> {
        let kept = self.read()?.clusters;
        if let Some(Entry { namespace, previous, .. }) = kept.iter().find(|entry| entry.cluster == *cluster) {
            let previous = previous.clone();
            return Ok(match namespace.clone() {
                Some(namespace) => Found::Chosen { namespace, previous },
                None => Found::Nothing { previous },
            });
        }
        let elsewhere = kept.into_iter().find(|entry| entry.cluster.context == cluster.context);
        Ok(match elsewhere {
            Some(Entry { cluster, namespace: Some(namespace), .. }) => {
                Found::Stale { namespace, server: cluster.server }
            }
            _ => Found::Nothing { previous: None },
        })
    }

    /// Keeps a choice. What other processes keep at the same time is not lost.
    fn keep(&self, cluster: &ClusterId, namespace: Option<Namespace>) -> Result<(), Failure> {
        let _lock = self.lock()?;
        let mut all = self.read()?;
        let known = all.clusters.iter().position(|entry| entry.cluster == *cluster);
        let before = known.map(|place| all.clusters.remove(place));
        let (used, previous) = before.map(|entry| (entry.namespace, entry.previous)).unwrap_or_default();
        let previous = if used == namespace { previous } else { used };
        all.clusters.insert(0, Entry { cluster: cluster.clone(), namespace, previous });
        all.clusters.truncate(MAX_CLUSTERS);
        Ok(self.file().write_json(&all)?)
    }

    fn file(&self) -> OwnPath {
        self.dir.at("namespaces.json")
    }

    /// Held while the file is read and written anew, which takes no time worth mentioning.
    fn lock(&self) -> Result<File, Failure> {
        let path = self.dir.at("lock");
        let file = path.open_lock()?;
        file.lock().map_err(|error| Failure::failed(format!("cannot lock {}: {error}", path.display())))?;
        Ok(file)
    }

    fn read(&self) -> Result<Namespaces, Failure> {
        let path = self.file();
        let unusable = |error: kf_home::Error| {
            let hint = match error {
                kf_home::Error::Format(FormatError::Newer { .. }) => {
                    "kf -n NAMESPACE …, or a newer kf".to_owned()
                }
                _ => format!("kf -n NAMESPACE …, or remove {} and choose again", path.display()),
            };
            let kind = match error {
                kf_home::Error::UnsafePath { .. } => Kind::Untrusted,
                _ => Kind::Failed,
            };
            Failure::new(kind, format!("which namespace is in use cannot be read: {error}")).hint(hint)
        };
        Ok(path.read_json(MAX_BYTES, FORMAT).map_err(unusable)?.unwrap_or_default())
    }
}

fn stale(cluster: &ClusterId, namespace: &Namespace, server: &str) -> Failure {
    let context = cluster.context.as_deref().unwrap_or("this pod");
    let now = &cluster.server;
    let whereto = if server == now { "with another authority".to_owned() } else { format!("at {server}") };
    Failure::usage(format!(
        "{namespace} was chosen for another cluster {whereto}, and the context {context} now leads to {now}"
    ))
    .hint(format!("kf use NAMESPACE, to choose one for this cluster, or kf -n {namespace} …"))
}

/// The selection of one run of a command that was granted to change it.
pub struct RunSelection {
    pub store: Store,
    pub cluster: ClusterId,
    pub dry_run: bool,
    /// Why it may not, where a layer says no.
    pub refused: Option<String>,
    pub read_only: bool,
    /// What goes before whatever is selected, as a warning.
    pub overridden: Option<String>,
    pub reporter: Arc<dyn Reporter>,
}

impl RunSelection {
    fn allowed(&self) -> Result<(), ApiError> {
        self.refused.as_ref().map_or(Ok(()), |why| Err(error(ErrorCode::Forbidden, why.clone())))
    }
}

impl Selection for RunSelection {
    fn current(&mut self) -> Result<Selected, ApiError> {
        self.allowed()?;
        let text = |namespace: Namespace| namespace.to_string();
        match self.store.find(&self.cluster).map_err(told)? {
            Found::Nothing { previous } => Ok(Selected { namespace: None, previous: previous.map(text) }),
            Found::Chosen { namespace, previous } => {
                Ok(Selected { namespace: Some(namespace.to_string()), previous: previous.map(text) })
            }
            Found::Stale { namespace, server } => Err(told(stale(&self.cluster, &namespace, &server))),
        }
    }

    fn select(&mut self, namespace: Option<String>) -> Result<(), ApiError> {
        self.allowed()?;
        if self.read_only {
            let refused =
                error(ErrorCode::Forbidden, "the namespace in use may not change in this run".into());
            return Err(ApiError { hint: Some("leave out --read-only".into()), ..refused });
        }
        let namespace = namespace.map(Namespace::parse).transpose()?;
        if self.dry_run {
            return Ok(());
        }
        self.store.keep(&self.cluster, namespace).map_err(told)?;
        if let Some(overridden) = &self.overridden {
            self.reporter.warn(overridden);
        }
        Ok(())
    }
}

fn error(code: ErrorCode, message: String) -> ApiError {
    ApiError::new(code, message)
}

fn told(failure: Failure) -> ApiError {
    let code = if failure.kind() == Kind::Usage { ErrorCode::Invalid } else { ErrorCode::Failed };
    ApiError { hint: failure.first_hint().map(str::to_owned), ..error(code, failure.message().to_owned()) }
}

#[cfg(test)]
mod tests;
