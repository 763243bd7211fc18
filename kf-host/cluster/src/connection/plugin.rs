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

use kf_core::text::one_line;

use super::authorization::bearer;
use super::plugin_process::{MAX_STDOUT_BYTES, OutputError, output, output_unattended};
use crate::kubeconfig::Settings;

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
    #[error("printed more than {} MiB and was stopped", MAX_STDOUT_BYTES >> 20)]
    TooLarge,
    #[error("answered something that is no credential: {0}")]
    Answer(String),
}

impl From<OutputError> for PluginError {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Io(error) => Self::Start(error),
            OutputError::TooLarge => Self::TooLarge,
        }
    }
}

impl PluginError {
    /// What the user gets to read beside the error, and who says it.
    pub(super) fn words(&self, settings: &Settings) -> Option<(String, String)> {
        match self {
            Self::Failed { said, .. } => {
                let plugin = settings.credential_plugin.as_deref().unwrap_or_default();
                Some((format!("the credential plugin {plugin}"), said.clone()))
            }
            Self::Start(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let exec = settings.config.auth_info.exec.as_ref()?;
                Some(("the kubeconfig".to_owned(), one_line(exec.install_hint.as_deref()?)))
            }
            _ => None,
        }
        .filter(|(_, words)| !words.is_empty())
    }
}

/// The most of a plugin's words that is shown, in characters.
const MAX_SAID_CHARS: usize = 800;

/// What a plugin printed, in one line. The remedy is mostly at its end, so what is too much is cut from the beginning.
fn last_words(stderr: &[u8]) -> String {
    let lines: Vec<String> =
        String::from_utf8_lossy(stderr).lines().map(one_line).filter(|line| !line.is_empty()).collect();
    let all = lines.join(" ");
    let excess = all.chars().count().saturating_sub(MAX_SAID_CHARS);
    if excess == 0 { all } else { format!("…{}", all.chars().skip(excess).collect::<String>()) }
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    /// Anything, because credentials work without it.
    expiration_timestamp: Option<serde_json::Value>,
}

/// Runs the plugin of the credentials, waits for it, and puts its answer in its place. With nobody there it gets no
/// terminal, and one that needs a terminal is not started. Returns when the plugin says that its credentials expire.
pub(super) fn resolve(auth: &mut AuthInfo, attended: bool) -> Result<Option<Timestamp>, PluginError> {
    let Some(exec) = auth.exec.take() else { return Ok(None) };
    take(auth, &run(&exec, attended)?)
}

/// Puts an answer in the place of the plugin.
fn take(auth: &mut AuthInfo, answer: &[u8]) -> Result<Option<Timestamp>, PluginError> {
    // JSON, or the YAML that Kubernetes' own client takes as well.
    let answer: ExecCredential = serde_saphyr::from_slice(answer)
        // What does not parse may be a bare token, and the parser's message would quote it.
        .map_err(|_| PluginError::Answer("it is not an ExecCredential in JSON or YAML".into()))?;
    let status = answer.status.ok_or_else(|| PluginError::Answer("it has no status".into()))?;
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let token = given(status.token).map(|token| token.trim().to_owned());
    let (certificate, key) = (given(status.client_certificate_data), given(status.client_key_data));
    if let (Some(certificate), Some(key)) = (&certificate, &key) {
        auth.client_certificate_data = Some(STANDARD.encode(certificate));
        auth.client_key_data = Some(STANDARD.encode(key).into());
    } else if token.is_none() {
        return Err(PluginError::Answer("it has neither a token nor a certificate with its key".into()));
    }
    if token.as_deref().is_some_and(|token| bearer(token).is_none()) {
        return Err(PluginError::Answer("its token does not fit into a header".into()));
    }
    auth.token = token.map(Into::into);
    let expires = status.expiration_timestamp;
    Ok(expires.as_ref().and_then(serde_json::Value::as_str).and_then(|text| text.parse().ok()))
}

/// What the plugin prints.
fn run(exec: &ExecConfig, attended: bool) -> Result<Vec<u8>, PluginError> {
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
    let output = if attended { output(&mut command)? } else { output_unattended(&mut command)? };
    if !output.status.success() {
        let mut said = last_words(&output.stderr);
        if said.is_empty() {
            "it said nothing".clone_into(&mut said);
        }
        return Err(PluginError::Failed { status: output.status, said });
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn end_of_a_plugin_s_words_is_kept() {
        let said = last_words(b"ERROR: no session\n\nPlease run:\n\n  $ gcloud auth login\n");
        assert_eq!(said, "ERROR: no session Please run: $ gcloud auth login");
        let traceback =
            format!("{}To refresh, run: aws sso login\n", "  File \"x.py\", line 1\n".repeat(500));
        let said = last_words(traceback.as_bytes());
        assert!(said.starts_with('…') && said.ends_with("run: aws sso login"), "{said}");
        assert_eq!(said.chars().count(), MAX_SAID_CHARS + 1);
    }

    #[test]
    fn expiration_is_read_and_never_required() {
        for (expiration, expected) in [
            ("", None),
            (", \"expirationTimestamp\": null", None),
            (", \"expirationTimestamp\": 7", None),
            (", \"expirationTimestamp\": \"soon\"", None),
            (", \"expirationTimestamp\": \"2026-12-01T10:00:00Z\"", Some("2026-12-01T10:00:00Z")),
        ] {
            let mut auth = AuthInfo::default();
            let answer = format!("{{\"status\": {{\"token\": \"t\"{expiration}}}}}");
            let expires = take(&mut auth, answer.as_bytes()).unwrap();
            assert_eq!(expires.map(|at| at.to_string()).as_deref(), expected, "{answer}");
            assert!(auth.token.is_some());
        }
    }

    proptest! {
        /// Whatever a plugin prints, it is an answer or an error that does not repeat it.
        #[test]
        fn answer_is_taken_or_refused(
            prefix in ".{0,3}",
            token in prop_oneof![Just("hunter2\\n".to_owned()), "\\PC{0,9}", ".{0,9}"],
            suffix in "[ \n}\\x00-]{0,4}",
        ) {
            let mut auth = AuthInfo::default();
            let answer = format!("{prefix}{{\"status\": {{\"token\": \"{token}\"}}}}{suffix}");
            match take(&mut auth, answer.as_bytes()) {
                Ok(_) => prop_assert!(auth.token.is_some()),
                Err(error) => prop_assert!(!error.to_string().contains("hunter2")),
            }
        }
    }
}
