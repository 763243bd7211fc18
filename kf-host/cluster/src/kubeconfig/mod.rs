//! Which cluster, as whom, in which namespace: the kubeconfig as kubectl reads it.
//!
//! Reading is cheap and does no network: commands that never call the API server pay only for
//! parsing the files. Precedence follows kubectl: `--kubeconfig` alone, else the files of
//! `KUBECONFIG` merged with the first to name a thing winning, else `~/.kube/config`, else the
//! service account of the pod kf runs in. The `KUBE_RS_DEBUG_*` overrides of the client library
//! are not loaded.

mod config;
mod kuberc;
mod proxy;

use std::ffi::OsString;
use std::path::PathBuf;

use kube::config::{AuthInfo, Kubeconfig};

pub use kuberc::{PluginPolicy, PolicyError};
pub use proxy::ProxyVariables;

use kf_core::Digest;
use kf_core::names::{NameError, Namespace};
use kf_home::trusted::{self, Unsafe};

/// The parts of the process's environment that decide; taken once, so that tests give their own.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `KUBECONFIG`, a list of paths.
    pub kubeconfig: Option<OsString>,
    pub home: Option<PathBuf>,
    /// `KUBERC`: a path, or `off`.
    pub kuberc: Option<OsString>,
    /// `KUBECTL_KUBERC`: `false` switches the kuberc off.
    pub kuberc_switch: Option<OsString>,
    /// `PATH`, to find credential plugins.
    pub path: Option<OsString>,
    pub proxies: ProxyVariables,
    /// Whether the environment of a pod is there.
    pub in_cluster: bool,
}

impl Sources {
    pub fn from_env() -> Self {
        let var = std::env::var_os;
        Self {
            kubeconfig: var("KUBECONFIG"),
            home: std::env::home_dir().filter(|home| home.is_absolute()),
            kuberc: var("KUBERC"),
            kuberc_switch: var("KUBECTL_KUBERC"),
            path: var("PATH"),
            proxies: ProxyVariables::from_env(),
            in_cluster: var("KUBERNETES_SERVICE_HOST").is_some(),
        }
    }

    /// The files to read, in order of precedence.
    fn files(&self) -> Vec<PathBuf> {
        let listed: Vec<PathBuf> = self
            .kubeconfig
            .as_ref()
            .map(|list| std::env::split_paths(list).filter(|p| !p.as_os_str().is_empty()).collect())
            .unwrap_or_default();
        if listed.is_empty() {
            self.home.iter().map(|home| home.join(".kube").join("config")).collect()
        } else {
            listed
        }
    }
}

/// What the flags of a run choose.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// `--kubeconfig`
    pub file: Option<PathBuf>,
    /// `--context`
    pub context: Option<String>,
    /// `-n`, `--namespace`
    pub namespace: Option<String>,
}

/// A cluster, a user and a namespace, not yet connected.
#[derive(Clone)]
pub struct Settings {
    /// `https://host:port`
    pub server: String,
    /// Absent in a pod.
    pub context: Option<String>,
    /// The kubeconfig's name for the credentials.
    pub user: Option<String>,
    pub namespace: Namespace,
    /// The files that were read; empty in a pod.
    pub files: Vec<PathBuf>,
    /// The server's certificate is not checked.
    pub insecure: bool,
    /// The user has credentials that are not sent, because the server has no TLS.
    pub unsent: bool,
    /// The credential plugin that will be run on the first call.
    pub credential_plugin: Option<String>,
    /// Somebody is there whom a credential plugin may ask.
    pub attended: bool,
    pub(crate) config: kube::Config,
}

impl Settings {
    /// What the kubeconfig does that a person may not know of, a line each: it believes any server,
    /// acts as somebody else, or may be written by somebody else.
    pub fn remarks(&self) -> Vec<String> {
        let server = &self.server;
        let insecure = self.insecure.then(|| {
            format!("the kubeconfig has the certificate of {server} not checked, so anybody may answer")
        });
        let unsent = self.unsent.then(|| {
            format!("{server} has no TLS, so your credentials are not sent to it; its URL should begin with https://")
        });
        let auth = &self.config.auth_info;
        let acting = auth.impersonate.as_ref().map(|user| {
            let groups = auth.impersonate_groups.as_deref().unwrap_or_default();
            let of = if groups.is_empty() { String::new() } else { format!(", of {}", groups.join(", ")) };
            format!("the kubeconfig has you act as {user}{of}")
        });
        let writable = self.files.iter().filter_map(|file| match trusted::check_file(file) {
            Err(kf_home::Error::UnsafePath {
                path,
                reason: reason @ (Unsafe::Owner(_) | Unsafe::Writable(_)),
            }) => {
                let of = if path == *file { String::new() } else { format!(" ({})", path.display()) };
                Some(format!("the kubeconfig {} is not yours alone{of}: {reason}", file.display()))
            }
            _ => None,
        });
        insecure.into_iter().chain(unsent).chain(acting).chain(writable).collect()
    }

    /// The digest of the certificates that vouch for the server; none where the system's do.
    pub fn authority(&self) -> Option<Digest> {
        let certificates = self.config.root_cert.as_ref()?;
        let parts: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
        Some(Digest::of_parts(&parts))
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("server", &self.server)
            .field("context", &self.context)
            .field("user", &self.user)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Why no cluster could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    #[error("no kubeconfig: {} does not exist", looked_at(.0))]
    Missing(Vec<PathBuf>),
    #[error("the kubeconfig {path} cannot be used: {why}")]
    Unreadable { path: PathBuf, why: String },
    #[error("the kubeconfig names no current context")]
    NoContext { known: Vec<String> },
    #[error("the kubeconfig has no context `{name}`")]
    UnknownContext { name: String, known: Vec<String> },
    #[error("the context `{context}` names the cluster `{cluster}`, which the kubeconfig does not have")]
    UnknownCluster { context: String, cluster: String },
    #[error("the context `{context}` names the user `{user}`, whom the kubeconfig does not have")]
    UnknownUser { context: String, user: String },
    #[error("the kubeconfig's cluster or user is incomplete: {0}")]
    Incomplete(String),
    #[error(transparent)]
    Namespace(#[from] NameError),
    #[error(transparent)]
    Plugin(#[from] PolicyError),
    #[error("the authentication provider `{0}` is gone from Kubernetes clients")]
    Provider(String),
}

fn looked_at(files: &[PathBuf]) -> String {
    files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl KubeconfigError {
    /// The next command to type.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => {
                Some("get a kubeconfig from the cluster's admin, then: kf --kubeconfig FILE …".into())
            }
            Self::NoContext { known } | Self::UnknownContext { known, .. } => Some(if known.is_empty() {
                "kf --kubeconfig FILE …, with a file that has one".into()
            } else {
                format!("kf --context NAME …, where NAME is one of {}", known.join(", "))
            }),
            Self::Provider(_) => Some("use a credential plugin instead".into()),
            Self::Plugin(error) => Some(error.hint()),
            _ => None,
        }
    }
}

/// Reads what the sources hold and takes the chosen context of it.
pub fn load(sources: &Sources, choice: &Choice) -> Result<Settings, KubeconfigError> {
    let files = match &choice.file {
        Some(file) => vec![file.clone()],
        None => sources.files(),
    };
    let (merged, read) = read(&files, choice.file.is_some())?;
    let empty = merged.contexts.is_empty() && merged.clusters.is_empty() && merged.current_context.is_none();
    if empty && choice.file.is_none() && choice.context.is_none() {
        if sources.in_cluster {
            return in_pod(choice);
        }
        if read.is_empty() {
            return Err(KubeconfigError::Missing(files));
        }
    }
    from_context(merged, read, sources, choice)
}

/// Merges the files that exist. kubectl skips missing ones, but not the one a flag names.
fn read(files: &[PathBuf], explicit: bool) -> Result<(Kubeconfig, Vec<PathBuf>), KubeconfigError> {
    let mut merged = Kubeconfig::default();
    let mut read = Vec::new();
    for file in files {
        if !file.exists() {
            if explicit {
                return Err(KubeconfigError::Missing(vec![file.clone()]));
            }
            continue;
        }
        let unreadable = |why: kube::config::KubeconfigError| KubeconfigError::Unreadable {
            path: file.clone(),
            why: first_line(&why.to_string()),
        };
        merged = Kubeconfig::read_from(file)
            .and_then(|config| merged.clone().merge(config))
            .map_err(unreadable)?;
        read.push(file.clone());
    }
    Ok((merged, read))
}

fn from_context(
    merged: Kubeconfig,
    files: Vec<PathBuf>,
    sources: &Sources,
    choice: &Choice,
) -> Result<Settings, KubeconfigError> {
    let known = || merged.contexts.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    let name = choice
        .context
        .clone()
        .or_else(|| merged.current_context.clone().filter(|name| !name.is_empty()))
        .ok_or_else(|| KubeconfigError::NoContext { known: known() })?;
    let context = merged
        .contexts
        .iter()
        .find(|c| c.name == name)
        .and_then(|c| c.context.clone())
        .ok_or_else(|| KubeconfigError::UnknownContext { name: name.clone(), known: known() })?;
    let cluster = merged.clusters.iter().find(|c| c.name == context.cluster).and_then(|c| c.cluster.clone());
    let Some(cluster) = cluster else {
        return Err(KubeconfigError::UnknownCluster { context: name, cluster: context.cluster });
    };
    let auth = match context.user.as_deref().filter(|user| !user.is_empty()) {
        None => AuthInfo::default(),
        Some(user) => merged
            .auth_infos
            .iter()
            .find(|a| a.name == user)
            .map(|a| a.auth_info.clone().unwrap_or_default())
            .ok_or_else(|| KubeconfigError::UnknownUser { context: name.clone(), user: user.to_owned() })?,
    };
    let mut config = config::config(&cluster, auth, &sources.proxies)?;
    let (auth, unsent) = config::only_over_tls(&config.cluster_url, std::mem::take(&mut config.auth_info));
    config.auth_info = auth;
    let credential_plugin = check_plugin(&mut config.auth_info, sources)?;
    let namespace = choice
        .namespace
        .clone()
        .or(context.namespace.clone())
        .filter(|n| !n.is_empty())
        .unwrap_or_else(|| "default".into());
    let settings = settings(config, Some(name), context.user, files, namespace, credential_plugin)?;
    Ok(Settings { unsent, ..settings })
}

fn in_pod(choice: &Choice) -> Result<Settings, KubeconfigError> {
    let mut config = kube::Config::incluster_env()
        .map_err(|error| KubeconfigError::Incomplete(first_line(&error.to_string())))?;
    config.proxy_url = None;
    let namespace = choice.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    settings(config, None, None, Vec::new(), namespace, None)
}

fn settings(
    config: kube::Config,
    context: Option<String>,
    user: Option<String>,
    files: Vec<PathBuf>,
    namespace: String,
    credential_plugin: Option<String>,
) -> Result<Settings, KubeconfigError> {
    Ok(Settings {
        server: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
        context,
        user,
        namespace: Namespace::parse(namespace)?,
        files,
        insecure: config.accept_invalid_certs,
        unsent: false,
        credential_plugin,
        attended: true,
        config,
    })
}

/// The program the credentials would run, if the user's policy lets it. It is run by the path that was checked.
fn check_plugin(auth: &mut AuthInfo, sources: &Sources) -> Result<Option<String>, KubeconfigError> {
    if let Some(provider) = &auth.auth_provider
        && provider.name != "oidc"
    {
        return Err(KubeconfigError::Provider(provider.name.clone()));
    }
    let Some(exec) = &mut auth.exec else { return Ok(None) };
    let command = exec
        .command
        .clone()
        .filter(|c| !c.is_empty())
        .ok_or_else(|| KubeconfigError::Incomplete("its credential plugin has no command".into()))?;
    let program = PluginPolicy::read(sources)?.check(&command, sources.path.as_deref())?;
    // A path that is not text could only be run as another one.
    let program =
        program.into_os_string().into_string().map_err(|_| PolicyError::NotFound(command.clone()))?;
    exec.command = Some(program);
    Ok(Some(command))
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.rsplit("error: ").next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests;
