//! The cluster, user and namespace to use: reads the kubeconfig as kubectl does.
//!
//! Loading does no network I/O: commands that never call the API server pay only for parsing the files. Precedence
//! follows kubectl: `--kubeconfig` alone, else the files of `KUBECONFIG`, merged so that the first to set a value
//! wins, else `~/.kube/config`, else the service account of the pod that kf runs in. The `KUBE_RS_DEBUG_*` overrides
//! of the client library are not loaded.

mod certificates;
mod config;
mod contexts;
mod document;
mod error;
mod kuberc;
mod proxy;
mod server;
mod user;

use std::ffi::OsString;
use std::path::PathBuf;

use kube::config::AuthInfo;

pub use contexts::contexts;
pub(crate) use document::read_bounded;
pub use error::KubeconfigError;
pub use kuberc::{PluginPolicy, PolicyError};
pub use proxy::ProxyVariables;

use document::{Document, Entry};
use kf_core::Digest;
use kf_core::names::Namespace;
use kf_core::text::{escaped, one_line};
use kf_home::trusted::{self, Unsafe};

/// The parts of the environment that a kubeconfig is located and loaded with. Tests set their own.
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
    /// Whether kf runs in a pod.
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

/// The flags of a run that override the kubeconfig.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--kubeconfig`
    pub file: Option<PathBuf>,
    /// `--context`
    pub context: Option<String>,
    /// `-n`, `--namespace`
    pub namespace: Option<String>,
}

/// Where the namespace of [`Settings`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceOrigin {
    /// A flag or variable of this run.
    Named,
    /// Selected for this cluster with `kf use`.
    Chosen,
    /// The kubeconfig's context.
    Context,
    /// The pod that kf runs in.
    Pod,
    /// `default`, as nothing sets one.
    Default,
}

/// How a user authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    Plugin,
    Password,
    Token,
    /// A token that is read from a file.
    TokenFile,
    Certificate,
    None,
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
    pub namespace_origin: NamespaceOrigin,
    /// The files that were read; empty in a pod.
    pub files: Vec<PathBuf>,
    /// The server's certificate is not verified.
    pub insecure: bool,
    /// The user has credentials that are not sent, because the server has no TLS.
    pub credentials_unsent: bool,
    /// The credential plugin that will be run on the first call.
    pub credential_plugin: Option<String>,
    /// Whether a user is present to answer questions of a credential plugin.
    pub attended: bool,
    pub(crate) config: kube::Config,
}

impl Settings {
    /// Warnings about the kubeconfig, one line each: it trusts any server, impersonates another user, or can be changed
    /// by other users.
    pub fn warnings(&self) -> Vec<String> {
        let server = &self.server;
        let insecure = self
            .insecure
            .then(|| format!("insecure-skip-tls-verify is set: the certificate of {server} is not verified"));
        let credentials_unsent = self.credentials_unsent.then(|| {
            format!(
                "{server} does not use TLS: your credentials are not sent; its URL should start with https://"
            )
        });
        let acting = self.impersonation_warning();
        let writable = self.files.iter().filter_map(|file| match trusted::check_file(file) {
            Err(kf_home::Error::UnsafePath {
                path,
                reason: reason @ (Unsafe::Owner(_) | Unsafe::Writable(_)),
            }) => {
                let target = if path == *file { String::new() } else { format!(" ({})", path.display()) };
                Some(format!("unsafe kubeconfig {}{target}: {reason}", file.display()))
            }
            _ => None,
        });
        insecure.into_iter().chain(credentials_unsent).chain(acting).chain(writable).collect()
    }

    /// The warning that the kubeconfig impersonates a user.
    pub fn impersonation_warning(&self) -> Option<String> {
        let auth = &self.config.auth_info;
        let user = auth.impersonate.as_ref()?;
        let groups = auth.impersonate_groups.as_deref().unwrap_or_default();
        let groups =
            if groups.is_empty() { String::new() } else { format!(", groups {}", groups.join(", ")) };
        Some(escaped(&format!("the kubeconfig impersonates {user}{groups}"), &[]))
    }

    /// The kind of credentials that identifies the user.
    pub fn credential_kind(&self) -> CredentialKind {
        let auth = &self.config.auth_info;
        let kinds = [
            (auth.exec.is_some(), CredentialKind::Plugin),
            (auth.username.is_some(), CredentialKind::Password),
            (auth.token.is_some(), CredentialKind::Token),
            (auth.token_file.is_some(), CredentialKind::TokenFile),
            (
                auth.client_certificate.is_some() || auth.client_certificate_data.is_some(),
                CredentialKind::Certificate,
            ),
        ];
        kinds.into_iter().find(|(is_there, _)| *is_there).map_or(CredentialKind::None, |(_, kind)| kind)
    }

    /// Whether the user has no credentials.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.credential_kind() == CredentialKind::None
    }

    /// The digest of the server's certificate authorities; `None` if the system's are used.
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

/// Loads the kubeconfig and resolves the selected context. An empty overrides, such as from an unset shell variable, is
/// ignored.
pub fn load(sources: &Sources, overrides: &Overrides) -> Result<Settings, KubeconfigError> {
    let file = overrides.file.as_ref().filter(|file| !file.as_os_str().is_empty());
    let context = overrides.context.as_deref().filter(|context| !context.is_empty());
    let namespace = overrides.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let files = file.map_or_else(|| sources.files(), |file| vec![file.clone()]);
    let (document, read) = read(&files, file.is_some())?;
    if document.is_empty() && file.is_none() && context.is_none() {
        if sources.in_cluster {
            return in_pod(namespace);
        }
        if read.is_empty() {
            return Err(KubeconfigError::Missing(files));
        }
    }
    from_context(&document, read, sources, context, namespace)
}

/// Merges the files that exist. As with kubectl, missing files are skipped, unless a flag names them.
fn read(files: &[PathBuf], explicit: bool) -> Result<(Document, Vec<PathBuf>), KubeconfigError> {
    let mut merged = Document::default();
    let mut read = Vec::new();
    for file in files {
        if !file.try_exists().unwrap_or(true) {
            if explicit {
                return Err(KubeconfigError::Missing(vec![file.clone()]));
            }
            continue;
        }
        let document = Document::read(file)
            .map_err(|why| KubeconfigError::Unreadable { path: file.clone(), why: one_line(&why) })?;
        merged.add(document);
        read.push(file.clone());
    }
    Ok((merged, read))
}

fn from_context(
    document: &Document,
    files: Vec<PathBuf>,
    sources: &Sources,
    context: Option<&str>,
    namespace: Option<&str>,
) -> Result<Settings, KubeconfigError> {
    let known = || document.context_names();
    let name = context
        .or(document.current_context())
        .ok_or_else(|| KubeconfigError::NoContext { known: known() })?
        .to_owned();
    let context = document
        .context(&name)
        .ok_or_else(|| KubeconfigError::UnknownContext { name: name.clone(), known: known() })??;
    let cluster =
        context.name("cluster").ok_or_else(|| KubeconfigError::NoCluster { context: name.clone() })?;
    let cluster = document
        .cluster(&cluster)
        .ok_or_else(|| KubeconfigError::UnknownCluster { context: name.clone(), cluster })??;
    let user_name = context.name("user");
    let user = match &user_name {
        None => Entry::no_user(),
        Some(user) => document
            .user(user)
            .ok_or_else(|| KubeconfigError::UnknownUser { context: name.clone(), user: user.clone() })??,
    };
    let (mut config, credentials_unsent) = config::config(&cluster, &user, &sources.proxies)?;
    let credential_plugin = check_plugin(&mut config.auth_info, sources)?;
    let namespace = match namespace {
        Some(namespace) => (namespace, NamespaceOrigin::Named),
        None => match context.text("namespace")? {
            Some(namespace) => (namespace, NamespaceOrigin::Context),
            None => ("default", NamespaceOrigin::Default),
        },
    };
    let settings = settings(config, Some(name), user_name, files, namespace, credential_plugin)?;
    Ok(Settings { credentials_unsent, ..settings })
}

fn in_pod(namespace: Option<&str>) -> Result<Settings, KubeconfigError> {
    let mut config = kube::Config::incluster_env()
        .map_err(|error| KubeconfigError::ServiceAccount(first_line(&error.to_string())))?;
    config.proxy_url = None;
    let of_pod = config.default_namespace.clone();
    let namespace = match namespace {
        Some(namespace) => (namespace, NamespaceOrigin::Named),
        None => (of_pod.as_str(), NamespaceOrigin::Pod),
    };
    settings(config, None, None, Vec::new(), namespace, None)
}

fn settings(
    config: kube::Config,
    context: Option<String>,
    user: Option<String>,
    files: Vec<PathBuf>,
    (namespace, namespace_origin): (&str, NamespaceOrigin),
    credential_plugin: Option<String>,
) -> Result<Settings, KubeconfigError> {
    Ok(Settings {
        server: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
        context,
        user,
        namespace: Namespace::parse(namespace)?,
        namespace_origin,
        files,
        insecure: config.accept_invalid_certs,
        credentials_unsent: false,
        credential_plugin,
        attended: true,
        config,
    })
}

/// The program that the credentials run, if the user's policy allows it. It is run by the path that was checked.
fn check_plugin(auth: &mut AuthInfo, sources: &Sources) -> Result<Option<String>, KubeconfigError> {
    let Some(exec) = &mut auth.exec else { return Ok(None) };
    let command = exec.command.clone().unwrap_or_default();
    let refused = |error: PolicyError| {
        let is_missing = matches!(error, PolicyError::NotFound(_));
        let install_hint = exec.install_hint.as_deref().filter(|_| is_missing).map(one_line);
        KubeconfigError::Plugin { error, install_hint: install_hint.filter(|hint| !hint.is_empty()) }
    };
    let policy = PluginPolicy::read(sources).map_err(refused)?;
    let program = policy.check(&command, sources.path.as_deref()).map_err(refused)?;
    // kube takes the path as a string, so one that is not UTF-8 cannot be run.
    let program = program
        .into_os_string()
        .into_string()
        .map_err(|_| refused(PolicyError::NotFound(command.clone())))?;
    exec.command = Some(program);
    Ok(Some(command))
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.rsplit("error: ").next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests;
