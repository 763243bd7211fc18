//! The environment variables that kf reads. Those of Kubernetes are read in `kf_cluster::kubeconfig`.

use std::ffi::OsString;
use std::path::PathBuf;

use kf_core::failure::{Failure, Result};
use kf_home::Home;
use kf_home::trusted::OwnPath;

/// One folder for all files of kf. Without it the XDG folders are used: settings in
/// `$XDG_CONFIG_HOME/kf` (`~/.config/kf`), installed commands in `$XDG_DATA_HOME/kf`
/// (`~/.local/share/kf`), caches in `$XDG_CACHE_HOME/kf` (`~/.cache/kf`), the
/// audit log and the namespace in use in `$XDG_STATE_HOME/kf` (`~/.local/state/kf`).
pub const KF_HOME: &str = "KF_HOME";
/// The namespace, unless `-n` is given. It takes precedence over `kf use`.
pub const KF_NAMESPACE: &str = "KF_NAMESPACE";
/// The path of the audit log; by default `audit.jsonl` in the state folder.
pub const KF_AUDIT_LOG: &str = "KF_AUDIT_LOG";
/// `1` shows where a command trapped.
pub const KF_BACKTRACE: &str = "KF_BACKTRACE";
/// What to log to stderr, such as `debug` or `info,kf_cluster=debug`; takes precedence over `-v`.
pub const KF_LOG: &str = "KF_LOG";
/// The browser to open pages in, before [`BROWSER`]; `none` for no browser.
pub const KF_BROWSER: &str = "KF_BROWSER";
/// Browsers, separated by colons; kf uses the first.
pub const BROWSER: &str = "BROWSER";
/// Set by completion scripts to request completions.
pub const KF_COMPLETE: &str = "KF_COMPLETE";
/// The time limit, in seconds, for completing names in the cluster; by default 2. kf's tests raise it, so
/// that they do not depend on the load of the machine.
pub const KF_COMPLETE_TIMEOUT: &str = "KF_COMPLETE_TIMEOUT";
/// Any value disables the notice of newer versions.
pub const KF_NO_UPDATE_NOTICE: &str = "KF_NO_UPDATE_NOTICE";
/// Set by CI systems.
pub const CI: &str = "CI";
/// Any value disables colour (no-color.org).
pub const NO_COLOR: &str = "NO_COLOR";
/// The user's login shell.
pub const SHELL: &str = "SHELL";
/// The folder of zsh's start-up files, if not the home folder.
pub const ZDOTDIR: &str = "ZDOTDIR";
/// Folders of program data, such as completion scripts.
pub const XDG_DATA_DIRS: &str = "XDG_DATA_DIRS";
pub const XDG_DATA_HOME: &str = "XDG_DATA_HOME";
pub const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
const HOME: &str = "HOME";
const TERM: &str = "TERM";
/// The variables of the text encoding; the first that is set counts.
const LOCALE: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];

/// Variables that configure kf itself. Commands cannot declare them for arguments: the value would be
/// passed to the guest.
pub const OWN_VARIABLES: [&str; 9] = [
    KF_HOME,
    KF_NAMESPACE,
    KF_AUDIT_LOG,
    KF_BACKTRACE,
    KF_LOG,
    KF_BROWSER,
    KF_COMPLETE,
    KF_COMPLETE_TIMEOUT,
    KF_NO_UPDATE_NOTICE,
];

/// The variable, unless it is unset or empty.
pub fn var(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The variable as text; none if unset, empty or not UTF-8.
pub fn text(name: &str) -> Option<String> {
    var(name)?.into_string().ok()
}

/// Whether the terminal supports no escape sequences.
pub fn dumb_terminal() -> bool {
    text(TERM).is_some_and(|term| term == "dumb")
}

/// Whether the locale's encoding is UTF-8.
pub fn utf8() -> bool {
    let locale = LOCALE.into_iter().find_map(var).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Whether windows can be shown.
pub fn has_screen() -> bool {
    var("DISPLAY").is_some() || var("WAYLAND_DISPLAY").is_some()
}

/// kf's folders.
///
/// # Errors
///
/// There is no home folder, or a variable has a relative path, which would make what kf trusts depend on the working
/// directory. The XDG specification says to ignore relative paths, but then kf would use a folder that the user did not
/// choose.
pub fn kf_home() -> Result<Home> {
    let home = directory(HOME)?;
    if let Some(dir) = directory(KF_HOME)? {
        return Ok(Home::under(dir));
    }
    let xdg = |variable: &str, below_home: &str| -> Result<OwnPath> {
        let base = directory(variable)?.or_else(|| home.as_ref().map(|home| home.join(below_home)));
        let base = base.ok_or_else(|| {
            Failure::failed("cannot determine the home folder").hint("set KF_HOME to a folder that you own")
        })?;
        Ok(OwnPath::new(base.join("kf")))
    };
    Ok(Home {
        config: xdg(XDG_CONFIG_HOME, ".config")?,
        data: xdg(XDG_DATA_HOME, ".local/share")?,
        cache: xdg("XDG_CACHE_HOME", ".cache")?,
        state: xdg("XDG_STATE_HOME", ".local/state")?,
    })
}

/// The directory that a variable names, if it is set.
fn directory(variable: &str) -> Result<Option<PathBuf>> {
    match var(variable).map(PathBuf::from) {
        Some(path) if !path.is_absolute() => {
            Err(Failure::usage(format!("invalid {variable} `{}`: not an absolute path", path.display()))
                .hint(format!("set {variable} to an absolute path")))
        }
        path => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kf_variables_list_is_complete() {
        let named = include_str!("env.rs").lines().filter_map(|line| line.strip_prefix("pub const KF_"));
        for name in named.filter_map(|line| line.split(':').next()) {
            assert!(OWN_VARIABLES.contains(&format!("KF_{name}").as_str()), "{name}");
        }
    }
}
