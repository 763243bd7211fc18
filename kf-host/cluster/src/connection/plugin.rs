//! Credential plugins: a program of the user's that prints a token or a certificate.
//!
//! The client library would run it once for each part of a connection that asks, up to three
//! times; it is run once here, and its answer stands in the configuration from then on. The
//! protocol is Kubernetes' `ExecCredential`.

use std::io::IsTerminal as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;

use super::plugin_process::output_unattended;

/// Why a plugin gave no credentials; ends a sentence that names the plugin.
#[derive(Debug, thiserror::Error)]
pub(super) enum PluginError {
    #[error("cannot be started: {0}")]
    Start(std::io::Error),
    #[error("needs a terminal to ask on")]
    NoTerminal,
    #[error("failed ({status})")]
    Failed {
        status: std::process::ExitStatus,
        /// For the user: it may name accounts and whole requests.
        said: String,
    },
    #[error("answered something that is no credential: {0}")]
    Answer(String),
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<Timestamp>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Runs the plugin of the credentials, waits for it, and puts its answer in its place. Returns
/// when the answer ends, if it says so. With nobody there it gets no terminal, and one that needs a
/// terminal is not started.
pub(super) fn resolve(auth: &mut AuthInfo, attended: bool) -> Result<Option<Timestamp>, PluginError> {
    let Some(exec) = auth.exec.take() else { return Ok(None) };
    let status = run(&exec, attended)?;
    if let (Some(certificate), Some(key)) = (&status.client_certificate_data, &status.client_key_data) {
        auth.client_certificate_data = Some(STANDARD.encode(certificate));
        auth.client_key_data = Some(STANDARD.encode(key).into());
    } else if status.token.is_none() {
        return Err(PluginError::Answer("it has neither a token nor a certificate with its key".into()));
    }
    auth.token = status.token.map(Into::into);
    Ok(status.expiration_timestamp)
}

fn run(exec: &ExecConfig, attended: bool) -> Result<Status, PluginError> {
    let terminal = attended && std::io::stdin().is_terminal();
    let interactive = match exec.interactive_mode {
        Some(ExecInteractiveMode::Never) => false,
        Some(ExecInteractiveMode::Always) if !terminal => return Err(PluginError::NoTerminal),
        _ => terminal,
    };
    let mut command = Command::new(exec.command.as_deref().unwrap_or_default());
    command.args(exec.args.iter().flatten());
    for entry in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (entry.get("name"), entry.get("value")) {
            command.env(name, value);
        }
    }
    let cluster = exec.provide_cluster_info.then_some(exec.cluster.as_ref()).flatten();
    let info = json!({
        "apiVersion": exec.api_version,
        "kind": "ExecCredential",
        "spec": {"interactive": interactive, "cluster": cluster},
    });
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    // A plugin that may ask needs the terminal for it; one that may not is quoted if it fails.
    if interactive {
        command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
    } else {
        command.stdin(Stdio::null()).stderr(Stdio::piped());
    }
    let output = if attended { command.output() } else { output_unattended(&mut command) };
    let output = output.map_err(PluginError::Start)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
        return Err(PluginError::Failed { status: output.status, said: said.to_owned() });
    }
    // JSON, or the YAML that Kubernetes' own client takes as well.
    let answer: ExecCredential = serde_saphyr::from_slice(&output.stdout)
        // What does not parse may be a bare token, and the parser's message would quote it.
        .map_err(|_| PluginError::Answer("it is not an ExecCredential in JSON or YAML".into()))?;
    answer.status.ok_or_else(|| PluginError::Answer("it has no status".into()))
}
