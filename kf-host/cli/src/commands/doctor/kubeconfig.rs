//! Checks which kubeconfig is used, and whether other users can access it.

use std::path::Path;

use kf_cluster::kubeconfig::Settings;
use kf_core::shell;
use kf_home::trusted::{self, Unsafe};

use super::check::{Check, State};

pub fn check(settings: &Settings) -> Check {
    const NAME: &str = "kubeconfig";
    let files: Vec<String> = settings.files.iter().map(|file| file.display().to_string()).collect();
    let value = match &settings.context {
        Some(context) => format!("{}, context {context}", files.join(", ")),
        None => "none: in a pod, with its service account".to_owned(),
    };
    let check = Check::ok(NAME, value)
        .fact("files", files)
        .fact("context", settings.context.clone())
        .fact("user", settings.user.clone());
    settings.files.iter().fold(check, |check, file| match exposed(file) {
        Some((note, hint)) => check.problem(State::Warning, note, Some(hint)),
        None => check,
    })
}

/// How other users can access a file with credentials, and the hint.
fn exposed(file: &Path) -> Option<(String, String)> {
    let Err(kf_home::Error::UnsafePath { path, reason }) = trusted::check_private_file(file) else {
        return None;
    };
    let shown = path.display();
    let hint = match reason {
        Unsafe::Readable(_) => format!("chmod go= {}", shell::path(&path)),
        Unsafe::Writable(_) => format!("chmod go-w {}", shell::path(&path)),
        Unsafe::Owner(_) => format!("check who created {shown}"),
        // For example a pipe, which the user chose.
        _ => return None,
    };
    Some((format!("{shown} is not private: {reason}"), hint))
}
