//! The namespace in use: what `kf use` chose, for each cluster.
//!
//! kubectl stores the namespace in the kubeconfig, which all programs and shells share. kf never
//! writes a kubeconfig: it stores the namespace in its own file, bound to the cluster that it was chosen
//! for. A cluster is identified without any request, by the context's name, the server and its certificate
//! authority. If a context points to another cluster later, the namespace does not apply there: what was
//! meant for a playground must not happen in production.

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

/// How many clusters are remembered; those with the oldest choices are dropped.
const MAX_CLUSTERS: usize = 100;

/// The cluster that a choice is bound to, as the kubeconfig describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterId {
    /// Absent in a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    server: String,
    /// SHA-256 of the certificate authorities of the server; absent for the system's.
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

/// The file `namespaces.json`, newest choice first.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Namespaces {
    format: Format<FORMAT>,
    clusters: Vec<Entry>,
}

/// What the file has about a cluster.
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
    /// It was chosen when the context pointed to another cluster.
    Stale {
        namespace: Namespace,
        server: String,
    },
}

/// The file in kf's own folder.
pub struct Store {
    dir: OwnPath,
}

impl Store {
    pub fn of(home: &Home) -> Self {
        Self { dir: home.selection() }
    }

    /// The namespace in use on a cluster, if one was chosen. One that was chosen for another cluster with
    /// the same context name is an error.
    pub fn in_use(&self, cluster: &ClusterId) -> Result<Option<Namespace>, Failure> {
        match self.find(cluster)? {
            Found::Nothing { .. } => Ok(None),
            Found::Chosen { namespace, .. } => Ok(Some(namespace)),
            Found::Stale { namespace, server } => Err(stale(cluster, &namespace, &server)),
        }
    }

    fn find(&self, cluster: &ClusterId) -> Result<Found, Failure> {
        let entries = self.read()?.clusters;
        if let Some(Entry { namespace, previous, .. }) =
            entries.iter().find(|entry| entry.cluster == *cluster)
        {
            let previous = previous.clone();
            return Ok(match namespace.clone() {
                Some(namespace) => Found::Chosen { namespace, previous },
                None => Found::Nothing { previous },
            });
        }
        let elsewhere = entries.into_iter().find(|entry| entry.cluster.context == cluster.context);
        Ok(match elsewhere {
            Some(Entry { cluster, namespace: Some(namespace), .. }) => {
                Found::Stale { namespace, server: cluster.server }
            }
            _ => Found::Nothing { previous: None },
        })
    }

    /// Stores a choice. Concurrent writes of other processes are not lost.
    fn save(&self, cluster: &ClusterId, namespace: Option<Namespace>) -> Result<(), Failure> {
        let _lock = self.lock()?;
        let mut all = self.read()?;
        let known = all.clusters.iter().position(|entry| entry.cluster == *cluster);
        let old = known.map(|at| all.clusters.remove(at));
        let (used, previous) = old.map(|entry| (entry.namespace, entry.previous)).unwrap_or_default();
        let previous = if used == namespace { previous } else { used };
        all.clusters.insert(0, Entry { cluster: cluster.clone(), namespace, previous });
        all.clusters.truncate(MAX_CLUSTERS);
        Ok(self.file().write_json(&all)?)
    }

    fn file(&self) -> OwnPath {
        self.dir.at("namespaces.json")
    }

    /// Held while the file is read and rewritten, which is quick.
    fn lock(&self) -> Result<File, Failure> {
        let path = self.dir.at("lock");
        let file = path.open_lock()?;
        file.lock().map_err(|error| Failure::failed(format!("cannot lock {}: {error}", path.display())))?;
        Ok(file)
    }

    fn read(&self) -> Result<Namespaces, Failure> {
        let path = self.file();
        let unreadable = |error: kf_home::Error| {
            let hint = match error {
                kf_home::Error::Format(FormatError::Newer { .. }) => {
                    "pass -n NAMESPACE, or upgrade kf".to_owned()
                }
                _ => format!("pass -n NAMESPACE, or remove {} and run `kf use` again", path.display()),
            };
            let kind = match error {
                kf_home::Error::UnsafePath { .. } => Kind::Untrusted,
                _ => Kind::Failed,
            };
            Failure::new(kind, format!("cannot read the namespace in use: {error}")).hint(hint)
        };
        Ok(path.read_json(MAX_BYTES, FORMAT).map_err(unreadable)?.unwrap_or_default())
    }
}

fn stale(cluster: &ClusterId, namespace: &Namespace, server: &str) -> Failure {
    let context = cluster.context.as_deref().unwrap_or("this pod");
    let now = &cluster.server;
    let other =
        if server == now { "with another certificate authority".to_owned() } else { format!("at {server}") };
    Failure::usage(format!(
        "namespace {namespace} was chosen for another cluster {other}: context {context} now points to {now}"
    ))
    .hint(format!("kf use NAMESPACE, or pass -n {namespace} once"))
}

/// The namespace in use, for a run of a command that may change it.
pub struct RunSelection {
    pub store: Store,
    pub cluster: ClusterId,
    pub dry_run: bool,
    /// Why a layer refuses it, if one does.
    pub refused: Option<String>,
    pub read_only: bool,
    /// A warning that something overrides the selection.
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
        match self.store.find(&self.cluster).map_err(into_api_error)? {
            Found::Nothing { previous } => Ok(Selected { namespace: None, previous: previous.map(text) }),
            Found::Chosen { namespace, previous } => {
                Ok(Selected { namespace: Some(namespace.to_string()), previous: previous.map(text) })
            }
            Found::Stale { namespace, server } => {
                Err(into_api_error(stale(&self.cluster, &namespace, &server)))
            }
        }
    }

    fn select(&mut self, namespace: Option<String>) -> Result<(), ApiError> {
        self.allowed()?;
        if self.read_only {
            let refused =
                error(ErrorCode::Forbidden, "cannot change the namespace in use with --read-only".into());
            return Err(ApiError { hint: Some("run without --read-only".into()), ..refused });
        }
        let namespace = namespace.map(Namespace::parse).transpose()?;
        if self.dry_run {
            return Ok(());
        }
        self.store.save(&self.cluster, namespace).map_err(into_api_error)?;
        if let Some(overridden) = &self.overridden {
            self.reporter.warn(overridden);
        }
        Ok(())
    }
}

fn error(code: ErrorCode, message: String) -> ApiError {
    ApiError::new(code, message)
}

fn into_api_error(failure: Failure) -> ApiError {
    let code = if failure.kind() == Kind::Usage { ErrorCode::Invalid } else { ErrorCode::Failed };
    ApiError { hint: failure.first_hint().map(str::to_owned), ..error(code, failure.message().to_owned()) }
}

#[cfg(test)]
mod tests;
