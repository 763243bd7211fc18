//! Credential plugins: programs that print a token or a certificate.
//!
//! The client library would run the plugin up to three times per connection. Here it is run once, and its output
//! replaces it in the configuration. The protocol is Kubernetes' `ExecCredential`.

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

/// Why a plugin returned no credentials. The message follows the name of the plugin.
#[derive(Debug, thiserror::Error)]
pub(super) enum PluginError {
    #[error("cannot be started: {0}")]
    Start(std::io::Error),
    #[error("requires a terminal")]
    NoTerminal,
    #[error("failed ({status})")]
    Failed {
        status: std::process::ExitStatus,
        /// For the user alone: it may name accounts and requests.
        stderr: String,
    },
    #[error("printed more than {} MiB and was stopped", MAX_STDOUT_BYTES >> 20)]
    TooLarge,
    #[error("printed an invalid credential: {0}")]
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
    /// What to show the user with the error, and its source.
    pub(super) fn output(&self, settings: &Settings) -> Option<(String, String)> {
        match self {
            Self::Failed { stderr, .. } => {
                let plugin = settings.credential_plugin.as_deref().unwrap_or_default();
                Some((format!("the credential plugin {plugin}"), stderr.clone()))
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

/// How much of a plugin's stderr is shown, in characters.
const MAX_STDERR_CHARS: usize = 800;

/// The stderr of a plugin in one line. It is truncated at the start, as the remedy is usually at the end.
fn stderr_line(stderr: &[u8]) -> String {
    let lines: Vec<String> =
        String::from_utf8_lossy(stderr).lines().map(one_line).filter(|line| !line.is_empty()).collect();
    let all = lines.join(" ");
    let excess = all.chars().count().saturating_sub(MAX_STDERR_CHARS);
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
    /// Of any type, as an invalid one is ignored.
    expiration_timestamp: Option<serde_json::Value>,
}

/// Runs the plugin of the credentials and replaces it with its output. If not `attended`, it gets no terminal, and a
/// plugin that requires one is not started. Returns when the credentials expire, according to the plugin.
pub(super) fn resolve(auth: &mut AuthInfo, attended: bool) -> Result<Option<Timestamp>, PluginError> {
    let Some(exec) = auth.exec.take() else { return Ok(None) };
    apply(auth, &run(&exec, attended)?)
}

/// Sets the credentials from a plugin's output.
fn apply(auth: &mut AuthInfo, answer: &[u8]) -> Result<Option<Timestamp>, PluginError> {
    // JSON, or YAML, which client-go accepts too.
    let answer: ExecCredential = serde_saphyr::from_slice(answer)
        // Invalid output may be a bare token, which the parser's message would quote.
        .map_err(|_| PluginError::Answer("not an ExecCredential in JSON or YAML".into()))?;
    let status = answer.status.ok_or_else(|| PluginError::Answer("no status".into()))?;
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let token = given(status.token).map(|token| token.trim().to_owned());
    let (certificate, key) = (given(status.client_certificate_data), given(status.client_key_data));
    if let (Some(certificate), Some(key)) = (&certificate, &key) {
        auth.client_certificate_data = Some(STANDARD.encode(certificate));
        auth.client_key_data = Some(STANDARD.encode(key).into());
    } else if token.is_none() {
        return Err(PluginError::Answer("neither a token nor a certificate with its key".into()));
    }
    if token.as_deref().is_some_and(|token| bearer(token).is_none()) {
        return Err(PluginError::Answer("the token is not valid in a header".into()));
    }
    auth.token = token.map(Into::into);
    let expires = status.expiration_timestamp;
    Ok(expires.as_ref().and_then(serde_json::Value::as_str).and_then(|text| text.parse().ok()))
}

/// Runs the plugin and returns its stdout.
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
    // An interactive plugin uses the terminal; the stderr of any other is captured for errors.
    if interactive {
        command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
    } else {
        command.stdin(Stdio::null()).stderr(Stdio::piped());
    }
    let output = if attended { output(&mut command)? } else { output_unattended(&mut command)? };
    if !output.status.success() {
        let mut stderr = stderr_line(&output.stderr);
        if stderr.is_empty() {
            "no output on stderr".clone_into(&mut stderr);
        }
        return Err(PluginError::Failed { status: output.status, stderr });
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stderr_is_truncated_at_start() {
        let line = stderr_line(b"ERROR: no session\n\nPlease run:\n\n  $ gcloud auth login\n");
        assert_eq!(line, "ERROR: no session Please run: $ gcloud auth login");
        let traceback =
            format!("{}To refresh, run: aws sso login\n", "  File \"x.py\", line 1\n".repeat(500));
        let line = stderr_line(traceback.as_bytes());
        assert!(line.starts_with('…') && line.ends_with("run: aws sso login"), "{line}");
        assert_eq!(line.chars().count(), MAX_STDERR_CHARS + 1);
    }

    #[test]
    fn expiration_is_optional() {
        for (expiration, expected) in [
            ("", None),
            (", \"expirationTimestamp\": null", None),
            (", \"expirationTimestamp\": 7", None),
            (", \"expirationTimestamp\": \"soon\"", None),
            (", \"expirationTimestamp\": \"2026-12-01T10:00:00Z\"", Some("2026-12-01T10:00:00Z")),
        ] {
            let mut auth = AuthInfo::default();
            let answer = format!("{{\"status\": {{\"token\": \"t\"{expiration}}}}}");
            let expires = apply(&mut auth, answer.as_bytes()).unwrap();
            assert_eq!(expires.map(|at| at.to_string()).as_deref(), expected, "{answer}");
            assert!(auth.token.is_some());
        }
    }

    proptest! {
        /// Any output is either applied or an error that does not repeat it.
        #[test]
        fn output_is_applied_or_refused_without_being_repeated(
            prefix in ".{0,3}",
            token in prop_oneof![Just("hunter2\\n".to_owned()), "\\PC{0,9}", ".{0,9}"],
            suffix in "[ \n}\\x00-]{0,4}",
        ) {
            let mut auth = AuthInfo::default();
            let answer = format!("{prefix}{{\"status\": {{\"token\": \"{token}\"}}}}{suffix}");
            match apply(&mut auth, answer.as_bytes()) {
                Ok(_) => prop_assert!(auth.token.is_some()),
                Err(error) => prop_assert!(!error.to_string().contains("hunter2")),
            }
        }
    }
}
