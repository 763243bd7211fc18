//! Checks without a network: kf's home, its registries, the command `train`, and the terminal.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jiff::Timestamp;
use kf_command::install::ADD_REGISTRY;
use kf_command::installed::Installed;
use kf_command::lockfile::{self, Status};
use kf_core::failure::Failure;
use kf_core::{PluginName, RegistryId};
use kf_home::Home;
use kf_home::trusted::OwnPath;
use kf_registry::{registries, trust};
use rustix::fs::{Access, access};
use serde_json::{Value, json};

use super::check::{Check, State};
use super::span::span;
use crate::app::commands_in;
use crate::env;
use crate::ui::Ui;

/// The command that trains.
pub const TRAIN: &str = "train";

pub fn program() -> Check {
    let (version, platform) =
        (env!("CARGO_PKG_VERSION"), [std::env::consts::OS, std::env::consts::ARCH].join(" "));
    Check::ok("kf", format!("{version} on {platform}")).fact("version", version).fact("platform", platform)
}

pub fn home(home: &Home) -> Check {
    let folders =
        [("config", &home.config), ("data", &home.data), ("cache", &home.cache), ("state", &home.state)];
    let facts: serde_json::Map<String, Value> =
        folders.iter().map(|(name, folder)| ((*name).to_owned(), folder_facts(folder))).collect();
    let check = Check::ok("home", home.data.display().to_string()).fact("folders", facts);
    folders.into_iter().fold(check, |check, (_, folder)| {
        if let Err(error) = folder.names() {
            return check.problem(State::Failed, error.to_string(), error.hint());
        }
        if is_writable(folder) {
            return check;
        }
        let note = format!("{} is not writable", folder.display());
        // Without an audit log no command can connect to a cluster.
        let needed = *folder == home.state && env::var(env::KF_AUDIT_LOG).is_none();
        let state = if needed { State::Failed } else { State::Warning };
        check.problem(state, note, Some("set KF_HOME to a folder that you own".to_owned()))
    })
}

fn folder_facts(folder: &OwnPath) -> Value {
    let path = folder.display().to_string();
    match fs_err::metadata(folder) {
        Ok(metadata) => json!({
            "path": path,
            "owner": metadata.uid(),
            "mode": format!("{:04o}", metadata.mode() & 0o7777),
            "private": folder.names().is_ok(),
            "writable": is_writable(folder),
        }),
        Err(_) => json!({ "path": path, "writable": is_writable(folder) }),
    }
}

/// Whether the folder, or the one it would be created in, is writable. Nothing is written.
fn is_writable(folder: &Path) -> bool {
    let existing = folder.ancestors().find(|path| path.symlink_metadata().is_ok());
    existing.is_some_and(|path| access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

pub fn registries(home: &Home, now: Timestamp) -> Check {
    const NAME: &str = "registry";
    let ids = match registries::list(home, kf_built_in::built_ins()) {
        Ok(ids) => ids,
        Err(error) => return Check::from_failure(NAME, &error.into()),
    };
    if ids.is_empty() {
        return Check::ok(NAME, "none set up").fact("registries", json!([]));
    }
    let found: Vec<_> = ids.iter().map(|id| (id, registry_age(home, id, now))).collect();
    let current = found.iter().filter_map(|(_, age)| age.as_ref().ok());
    let values: Vec<&str> = current.map(|age| age.words.as_str()).collect();
    let facts: Vec<Value> = found
        .iter()
        .map(|(id, age)| match age {
            Ok(age) => json!({ "name": id, "refreshed": age.refreshed, "expires": age.expires }),
            Err(error) => json!({ "name": id, "error": error.message() }),
        })
        .collect();
    let value = if values.is_empty() { "none can be used offline".to_owned() } else { values.join("; ") };
    let check = Check::ok(NAME, value).fact("registries", facts);
    found.iter().filter_map(|(_, age)| age.as_ref().err()).fold(check, |check, error| {
        let refresh = error.first_hint().unwrap_or("kf command list --available");
        check.problem(State::Warning, error.message(), Some(refresh.to_owned()))
    })
}

struct Age {
    refreshed: Option<Timestamp>,
    expires: Timestamp,
    words: String,
}

fn registry_age(home: &Home, id: &RegistryId, now: Timestamp) -> Result<Age, Failure> {
    let registry = registries::load(home, kf_built_in::built_ins(), id)?;
    let expires = trust::cached(home, &registry, now)?.view().expires;
    let refreshed = trust::last_seen(home, id)?;
    let ago = refreshed.map(|at| format!(", refreshed {} ago", span(at, now))).unwrap_or_default();
    let words = format!("{id}, valid for {}{ago}", span(now, expires));
    Ok(Age { refreshed, expires, words })
}

/// Checks whether `kf train` can start, and returns the command.
pub fn train(home: &Home) -> (Check, Option<Installed>) {
    let found =
        PluginName::parse(TRAIN).map_err(Failure::from).and_then(|name| commands_in(home).find(&name));
    let installed = match found {
        Ok(Some(installed)) => installed,
        Ok(None) => {
            let none_set_up = registries::list(home, kf_built_in::built_ins())
                .is_ok_and(|registries| registries.is_empty());
            let hint = if none_set_up { ADD_REGISTRY } else { "kf command add train" };
            return (Check::failed(TRAIN, "not installed").hint(Some(hint)), None);
        }
        Err(error) => return (Check::from_failure(TRAIN, &error), None),
    };
    let receipt = &installed.receipt;
    let (name, version, origin) = (&receipt.name, &receipt.version, receipt.origin.to_string());
    let check = match installed.startable() {
        Ok(_) => Check::ok(TRAIN, format!("{name} {version} ({origin})")),
        Err(error) => Check::from_failure(TRAIN, &error),
    };
    let check = check
        .fact("name", name.as_str())
        .fact("version", version.to_string())
        .fact("source", origin)
        .fact("sha256", receipt.program_digest().to_string());
    (check, Some(installed))
}

/// Compares the project's lock file with what is installed; none if there is no lock file.
pub fn lock(home: &Home) -> Option<Check> {
    const NAME: &str = "lock";
    let directory = std::env::current_dir().ok()?;
    let found = match lockfile::find(&directory) {
        Ok(found) => found?,
        Err(error) => {
            let check = Check::warning(NAME, error.message());
            return Some(check.hint(error.first_hint()));
        }
    };
    let path = found.path.display().to_string();
    let compared = lockfile::compare(commands_in(home), &found.lock);
    let check = Check::ok(NAME, path.as_str()).fact("path", path).fact("commands", compared.len());
    Some(compared.iter().fold(check, |check, lockfile::Installed { name, pinned, status }| {
        let note = match status {
            Status::Same => return check,
            Status::NotInstalled => format!("{name} {pinned} is not installed"),
            Status::Differs { version, .. } if version != pinned => {
                format!("{name} {version} is installed, not {pinned}")
            }
            Status::Differs { why, .. } => format!("{name} {pinned} differs: {}", why.join("; ")),
            Status::Broken { why } => why.clone(),
        };
        check.problem(State::Warning, note, Some("kf command add --locked".to_owned()))
    }))
}

pub fn terminal(ui: &Ui) -> Check {
    const NAME: &str = "terminal";
    let (is_terminal, utf8, color) = (ui.stdout_is_terminal(), env::utf8(), ui.colors_data());
    let columns = ui.stdout_columns();
    let check = if is_terminal {
        let width =
            columns.map_or_else(|| "width unknown".to_owned(), |columns| format!("{columns} columns"));
        let color = if color { "colour" } else { "no colour" };
        let charset = if utf8 { "UTF-8" } else { "not UTF-8" };
        Check::ok(NAME, format!("{width}, {color}, {charset}"))
    } else {
        Check::ok(NAME, "stdout is not a terminal")
    };
    let check = check.fact("terminal", is_terminal).fact("columns", json!(columns)).fact("utf8", utf8);
    let check = check.fact("color", color);
    if is_terminal && !utf8 {
        let note = "the locale is not UTF-8, so some output may not be readable";
        return check.problem(State::Warning, note, Some("export LC_ALL=C.UTF-8".to_owned()));
    }
    check
}
