//! The cluster that a command line selects.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use kf_cluster::connection::{Connection, Timeouts};
use kf_cluster::kubeconfig::{self, KubeconfigError, NamespaceOrigin, Overrides, Settings, Sources};
use kf_core::failure::Context as _;
use kf_core::text::escaped;
use kf_core::{Failure, Kind};
use kf_home::Home;

use crate::selection::{ClusterId, Store};

/// The flags of a command line that select the cluster.
#[derive(Clone, Debug, Default)]
pub struct Target {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// From a flag or a variable. If absent, the namespace in use, or else the kubeconfig's, applies.
    pub namespace: Option<String>,
    pub request_timeout: Option<Duration>,
    /// Whether a credential plugin may prompt the user.
    pub attended: bool,
}

impl Target {
    /// Reads the kubeconfig, without network access. The namespace is the one given, the one in use, or the
    /// kubeconfig's, in this order.
    pub fn settings(&self, home: &Home) -> Result<Settings, Failure> {
        let mut settings = self.load()?;
        if self.namespace.is_none()
            && let Some(in_use) = Store::of(home).in_use(&ClusterId::of(&settings))?
        {
            settings.namespace = in_use;
            settings.namespace_origin = NamespaceOrigin::Chosen;
        }
        Ok(settings)
    }

    /// The same for a command that chooses the namespace: a namespace that was chosen for another cluster, or
    /// cannot be read, is ignored.
    pub fn settings_to_choose(&self, home: &Home) -> Result<Settings, Failure> {
        let mut settings = self.load()?;
        if self.namespace.is_none()
            && let Ok(Some(in_use)) = Store::of(home).in_use(&ClusterId::of(&settings))
        {
            settings.namespace = in_use;
            settings.namespace_origin = NamespaceOrigin::Chosen;
        }
        Ok(settings)
    }

    fn load(&self) -> Result<Settings, Failure> {
        let choice = Overrides {
            file: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
        };
        let mut settings = kubeconfig::load(&Sources::from_env(), &choice).map_err(kubeconfig_failure)?;
        settings.attended = self.attended;
        tracing::debug!(files = ?settings.files, user = settings.user, "read the kubeconfig");
        Ok(settings)
    }

    pub fn connect(&self, settings: Settings) -> Connection {
        let of = |limit| Timeouts { connect: limit, answer: limit };
        Connection::new(settings, self.request_timeout.map(of).unwrap_or_default())
    }

    /// The contexts of the kubeconfig, without network access.
    pub fn contexts(&self) -> Result<Vec<String>, Failure> {
        kubeconfig::contexts(&Sources::from_env(), self.kubeconfig.as_deref()).map_err(kubeconfig_failure)
    }

    /// The namespaces, if the user may list them.
    pub fn namespaces(&self, home: &Home) -> Result<Vec<String>, Failure> {
        let connection = self.connect(self.settings(home)?);
        Ok(block_on(kf_cluster::namespaces::list(&connection))??)
    }
}

fn kubeconfig_failure(error: KubeconfigError) -> Failure {
    let kind = match error {
        KubeconfigError::Missing(_) => Kind::Unauthenticated,
        _ => Kind::Usage,
    };
    Failure::new(kind, error.to_string()).maybe_hint(kubeconfig_hint(&error)).caused_by(error)
}

fn kubeconfig_hint(error: &KubeconfigError) -> Option<String> {
    Some(match error {
        KubeconfigError::Missing(_) => {
            "get a kubeconfig from the cluster's admin, then: kf --kubeconfig FILE …".to_owned()
        }
        KubeconfigError::NoContext { known } | KubeconfigError::UnknownContext { known, .. } => {
            if known.is_empty() {
                return Some("kf --kubeconfig FILE …, with a file that has a context".to_owned());
            }
            let known: Vec<_> = known.iter().map(|name| escaped(name, &[])).collect();
            format!("kf --context NAME …, where NAME is one of {}", known.join(", "))
        }
        KubeconfigError::NoCluster { .. }
        | KubeconfigError::UnknownCluster { .. }
        | KubeconfigError::UnknownUser { .. }
        | KubeconfigError::MissingField { .. }
        | KubeconfigError::InvalidField { .. }
        | KubeconfigError::ConflictingAuth { .. } => {
            "fix the kubeconfig, or use another context: kf --context NAME …".to_owned()
        }
        _ => return error.hint(),
    })
}

/// Runs one of the host's own requests to the API server.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context(Kind::Failed, || "cannot start the async runtime".to_owned())?;
    Ok(runtime.block_on(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_kubeconfig_hints_at_flag() {
        let hint = |error: &KubeconfigError| kubeconfig_hint(error).unwrap();
        assert!(hint(&KubeconfigError::Missing(Vec::new())).contains("kf --kubeconfig FILE"));
        assert!(hint(&KubeconfigError::NoContext { known: Vec::new() }).contains("kf --kubeconfig FILE"));
        let known = vec!["lab".to_owned(), "a\u{1b}[2J".to_owned()];
        let unknown = hint(&KubeconfigError::UnknownContext { name: "lba".into(), known });
        assert!(unknown.contains("lab, ") && !unknown.contains('\u{1b}'), "{unknown}");
        let conflict = KubeconfigError::ConflictingAuth {
            entry: "user `u`".into(),
            file: "config".into(),
            first: "token",
            second: "username",
        };
        assert!(hint(&conflict).contains("kf --context NAME"));
    }
}
