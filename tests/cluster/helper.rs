//! The program `kf-test-cluster`, which supervises clusters.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use kf_toolchains::{command, locations};
use serde::Deserialize;

use super::error::{ClusterError, Result};

const HELPER: &str = "kf-test-cluster";

/// The path of the program that supervises clusters. Builds it if necessary.
pub(crate) fn helper_program() -> Result<PathBuf> {
    // Cargo sets this for the integration tests of this package.
    if let Some(path) = env::var_os("CARGO_BIN_EXE_kf-test-cluster") {
        return Ok(path.into());
    }
    let own = env::current_exe()?;
    if own.file_name().is_some_and(|name| name == HELPER) {
        return Ok(own);
    }
    let beside = own.ancestors().skip(1).take(2).map(|directory| directory.join(HELPER));
    for path in beside {
        if is_current(&path)? {
            return Ok(path);
        }
    }
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let messages = command::output(
        Command::new(cargo)
            .current_dir(locations::workspace())
            // With the features of the workspace, for which the dependencies are built already.
            .args(["build", "--quiet", "--workspace", "--bin", HELPER])
            .arg("--message-format=json-render-diagnostics"),
    )?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .find(|path| path.file_name().is_some_and(|name| name == HELPER))
        .ok_or_else(|| ClusterError::malformed(HELPER, "cargo did not report its path"))
}

/// Whether the program was built after the last change of its sources.
fn is_current(program: &Path) -> Result<bool> {
    let Ok(built) = fs::metadata(program).and_then(|metadata| metadata.modified()) else {
        return Ok(false);
    };
    for folder in ["", "part", "stand_ins"].map(|folder| locations::sources().join(folder)) {
        for source in fs::read_dir(folder)? {
            if source?.metadata()?.modified()? > built {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
