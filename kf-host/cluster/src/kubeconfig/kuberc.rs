//! Which credential plugins may run.
//!
//! A kubeconfig can name a program to run for credentials, so a kubeconfig from someone else runs a program from
//! someone else. Since Kubernetes 1.35 kubectl reads a policy from the user's kuberc: all plugins, none, or an
//! allowlist. kf honours the same file. If it cannot be read, no plugin is run.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kf_home::trusted;
use serde::Deserialize;

use super::Sources;

/// The largest kuberc that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The user's policy for credential plugins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PluginPolicy {
    /// kubectl's default.
    #[default]
    AllowAll,
    DenyAll,
    /// Names looked up in `PATH`, or paths.
    Allowlist(Vec<String>),
}

/// A credential plugin that will not be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("{path}: {why}; credential plugins are not run")]
    Unreadable { path: PathBuf, why: String },
    #[error("the credential plugin `{command}` is not allowed by your kuberc: {why}")]
    Denied { command: String, why: &'static str },
    #[error("the credential plugin `{0}` is not installed")]
    NotFound(String),
    #[error("the credential plugin `{command}` is {}, found through a relative folder in PATH", path.display())]
    Relative { command: String, path: PathBuf },
}

impl PolicyError {
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Unreadable { path, .. } => format!("fix {}", path.display()),
            Self::Denied { command, .. } => {
                format!(
                    "kubectl kuberc set --section credentialplugin --policy Allowlist --allowlist-entry command={command}"
                )
            }
            Self::Relative { path, .. } => format!(
                "remove the folder from PATH, or use the path of the program in the kubeconfig: {}",
                std::path::absolute(path).unwrap_or_else(|_| path.clone()).display()
            ),
            Self::NotFound(_) => "install it, or use another kubeconfig".to_owned(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Preference {
    api_version: String,
    kind: String,
    #[serde(default)]
    credential_plugin_policy: Option<String>,
    #[serde(default)]
    credential_plugin_allowlist: Option<Vec<Entry>>,
}

/// The field was `name` in 1.35 and is `command` since.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(alias = "name")]
    command: String,
}

impl PluginPolicy {
    /// Reads the kuberc that the sources point at. Without one, the default policy applies.
    pub(super) fn read(sources: &Sources) -> Result<Self, PolicyError> {
        let off = |value: &Option<std::ffi::OsString>, word: &str| value.as_deref() == Some(OsStr::new(word));
        if off(&sources.kuberc_switch, "false") || off(&sources.kuberc, "off") {
            return Ok(Self::AllowAll);
        }
        let named = sources.kuberc.as_ref().filter(|path| !path.is_empty()).map(PathBuf::from);
        let path = match (&named, &sources.home) {
            (Some(path), _) => path.clone(),
            (None, Some(home)) => home.join(".kube").join("kuberc"),
            (None, None) => return Ok(Self::AllowAll),
        };
        let unreadable = |why: String| PolicyError::Unreadable { path: path.clone(), why };
        match trusted::read_named(&path, MAX_BYTES).map_err(|error| unreadable(error.to_string()))? {
            Some(bytes) => std::str::from_utf8(&bytes)
                .map_err(|error| error.to_string())
                .and_then(Self::parse)
                .map_err(unreadable),
            None if named.is_none() => Ok(Self::AllowAll),
            None => Err(unreadable("it does not exist".into())),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: Preference = serde_saphyr::from_str(text)
            .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
        if !file.api_version.starts_with("kubectl.config.k8s.io/") || file.kind != "Preference" {
            return Err("not a kubectl Preference".into());
        }
        let list =
            file.credential_plugin_allowlist.map(|l| l.into_iter().map(|e| e.command).collect::<Vec<_>>());
        match (file.credential_plugin_policy.as_deref().unwrap_or_default(), list) {
            ("" | "AllowAll", None) => Ok(Self::AllowAll),
            ("DenyAll", None) => Ok(Self::DenyAll),
            ("Allowlist", Some(list)) if !list.is_empty() => Ok(Self::Allowlist(list)),
            ("Allowlist", _) => Err("the policy is Allowlist, but the list is missing or empty".into()),
            ("" | "AllowAll" | "DenyAll", Some(_)) => {
                Err("a list is set, but the policy is not Allowlist".into())
            }
            (other, _) => Err(format!("unknown policy `{other}`")),
        }
    }

    /// The program that a kubeconfig's command names, if it is allowed to run. Names are resolved on both sides, so that
    /// a name and a path can match.
    pub(super) fn check(&self, command: &str, search: Option<&OsStr>) -> Result<PathBuf, PolicyError> {
        let denied = |why| PolicyError::Denied { command: command.to_owned(), why };
        if *self == Self::DenyAll {
            return Err(denied("the policy is DenyAll"));
        }
        let plugin = look_up(command, search)?;
        match self {
            Self::Allowlist(_) if !plugin.is_file() => Err(PolicyError::NotFound(command.to_owned())),
            Self::Allowlist(list)
                if !list.iter().any(|entry| look_up(entry, search).as_ref() == Ok(&plugin)) =>
            {
                Err(denied("not in the allowlist"))
            }
            _ => Ok(plugin),
        }
    }
}

/// The program that a command names: itself if it is a path, else the first of that name in `PATH`. A program found
/// through a relative folder is refused, as by Go's `exec.LookPath`: it depends on where kf is started.
fn look_up(command: &str, search: Option<&OsStr>) -> Result<PathBuf, PolicyError> {
    let not_found = || PolicyError::NotFound(command.to_owned());
    if command.contains(std::path::MAIN_SEPARATOR) {
        return std::path::absolute(command).map_err(|_| not_found());
    }
    let found = std::env::split_paths(search.ok_or_else(not_found)?)
        .map(|dir| if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir })
        .map(|dir| dir.join(command))
        .find(|path| is_executable(path))
        .ok_or_else(not_found)?;
    if found.is_absolute() {
        Ok(found)
    } else {
        Err(PolicyError::Relative { command: command.to_owned(), path: found })
    }
}

fn is_executable(path: &Path) -> bool {
    fs_err::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n";

    fn parse(rest: &str) -> Result<PluginPolicy, String> {
        PluginPolicy::parse(&format!("{HEAD}{rest}"))
    }

    #[test]
    fn kubectl_policies_are_parsed() {
        assert_eq!(parse(""), Ok(PluginPolicy::AllowAll));
        assert_eq!(parse("aliases: []\n"), Ok(PluginPolicy::AllowAll));
        assert_eq!(parse("credentialPluginPolicy: DenyAll\n"), Ok(PluginPolicy::DenyAll));
        for field in ["name", "command"] {
            let list =
                format!("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- {field}: login\n");
            assert_eq!(parse(&list), Ok(PluginPolicy::Allowlist(vec!["login".into()])));
        }
    }

    #[test]
    fn invalid_kuberc_is_an_error() {
        for bad in [
            "credentialPluginPolicy: Sometimes\n",
            "credentialPluginPolicy: Allowlist\n",
            "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: []\n",
            "credentialPluginAllowlist:\n- name: login\n",
            "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- path: login\n",
            "credentialPluginPolicy: [\n",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(PluginPolicy::parse("kind: Preference\n").is_err());
    }

    #[test]
    fn listed_name_matches_only_program_found_in_path() {
        let dir = tempfile::tempdir().unwrap();
        let (good, other) = (dir.path().join("good"), dir.path().join("other"));
        for sub in [&good, &other] {
            fs_err::create_dir(sub).unwrap();
            program(&sub.join("login"));
        }
        let policy = PluginPolicy::Allowlist(vec!["login".into()]);
        let search = good.as_os_str();
        let path = |dir: &Path| dir.join("login").display().to_string();
        assert_eq!(policy.check("login", Some(search)), Ok(good.join("login")));
        assert_eq!(policy.check(&path(&good), Some(search)), Ok(good.join("login")));
        assert!(matches!(policy.check(&path(&other), Some(search)), Err(PolicyError::Denied { .. })));
        assert!(matches!(policy.check("absent", Some(search)), Err(PolicyError::NotFound(_))));
        assert!(matches!(policy.check("login", None), Err(PolicyError::NotFound(_))));
    }

    fn program(path: &Path) {
        fs_err::write(path, "").unwrap();
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn program_in_relative_folder_is_refused_by_any_policy() {
        let here = std::env::current_dir().unwrap();
        let dir = tempfile::tempdir_in(&here).unwrap();
        program(&dir.path().join("login"));
        let relative = dir.path().strip_prefix(&here).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        program(&elsewhere.path().join("login"));
        let list = PluginPolicy::Allowlist(vec!["login".into()]);
        for policy in [PluginPolicy::AllowAll, list] {
            let search = std::env::join_paths([relative, elsewhere.path()]).unwrap();
            let error = policy.check("login", Some(&search)).unwrap_err();
            assert!(matches!(error, PolicyError::Relative { .. }), "{error}");
            assert!(error.hint().contains(&dir.path().join("login").display().to_string()));
            // The first match wins, as in a shell.
            let search = std::env::join_paths([elsewhere.path(), relative]).unwrap();
            assert_eq!(policy.check("login", Some(&search)), Ok(elsewhere.path().join("login")));
        }
    }

    #[test]
    fn empty_path_entry_is_current_folder() {
        let error = look_up("Cargo.toml", Some(OsStr::new(":/nonexistent"))).unwrap_err();
        assert!(matches!(error, PolicyError::NotFound(_)), "it is not executable: {error}");
        let here = tempfile::Builder::new().prefix("kf-login").tempfile_in(".").unwrap();
        fs_err::set_permissions(here.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let name = here.path().file_name().unwrap().to_str().unwrap();
        for search in ["", ":/nonexistent", ".", "/nonexistent:."] {
            let error = look_up(name, Some(OsStr::new(search))).unwrap_err();
            assert!(matches!(error, PolicyError::Relative { .. }), "{search:?}: {error}");
        }
        assert!(matches!(look_up(name, None), Err(PolicyError::NotFound(_))));
    }
}
