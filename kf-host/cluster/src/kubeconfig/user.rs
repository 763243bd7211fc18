//! Converts a user of the kubeconfig for kube.
//!
//! Values that are sent in headers are validated here: kube (5.0) panics in a background task on a token that is not
//! a valid header value, and every later request then fails without naming the cause.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};

use super::KubeconfigError;
use super::document::Entry;

/// The maximum number of groups and extra values to impersonate with.
const MAX_IMPERSONATION: usize = 1000;

/// The fields that are credentials.
const CREDENTIALS: [&str; 9] = [
    "token",
    "tokenFile",
    "username",
    "password",
    "client-certificate",
    "client-certificate-data",
    "client-key-data",
    "exec",
    "auth-provider",
];

/// Whether the user has any credentials, valid or not.
pub(super) fn has_credentials(user: &Entry<'_>) -> bool {
    CREDENTIALS.iter().any(|field| user.has(field))
}

/// The credentials, and the user to impersonate. As with kubectl, a credential plugin is not run if there are other
/// credentials.
pub(super) fn auth_info(user: &Entry<'_>) -> Result<AuthInfo, KubeconfigError> {
    check_conflicts(user)?;
    let mut auth = impersonation(user)?;
    auth.token = token(user, "token")?.map(Into::into);
    auth.token_file = user.path("tokenFile")?;
    auth.username = user.text("username")?.map(str::to_owned);
    if auth.username.is_some() {
        auth.password = Some(user.text("password")?.unwrap_or_default().to_owned().into());
    }
    let encoded = |field| user.data(field).map(|data| data.map(|data| STANDARD.encode(data)));
    auth.client_certificate_data = encoded("client-certificate-data")?;
    auth.client_certificate = user.path("client-certificate")?;
    let has_certificate = auth.client_certificate_data.is_some() || auth.client_certificate.is_some();
    if has_certificate {
        auth.client_key_data = encoded("client-key-data")?.map(Into::into);
        auth.client_key = user.path("client-key")?;
        if auth.client_key_data.is_none() && auth.client_key.is_none() {
            return Err(user.missing("client-key"));
        }
    }
    if let Some(provider) = user.mapping("auth-provider")? {
        // kube sends the token unchanged, and panics if it is not a valid header value.
        auth.token = auth.token.or(Some(id_token(&provider)?.into()));
    }
    let has_others =
        has_certificate || auth.token.is_some() || auth.token_file.is_some() || auth.username.is_some();
    if let Some(exec) = user.mapping("exec")?.filter(|_| !has_others) {
        auth.exec = Some(plugin(&exec)?);
    }
    Ok(auth)
}

/// A token and a password are sent in the same header, so a user has one or the other. kubectl refuses the same pairs:
/// a password without a user name conflicts with `token`, but not with `tokenFile`.
fn check_conflicts(user: &Entry<'_>) -> Result<(), KubeconfigError> {
    const PAIRS: [(&str, &str); 3] =
        [("token", "username"), ("token", "password"), ("tokenFile", "username")];
    match PAIRS.into_iter().find(|(first, second)| user.has(first) && user.has(second)) {
        None => Ok(()),
        Some((first, second)) => Err(user.conflict(first, second)),
    }
}

/// The user to impersonate, which is not a credential.
pub(super) fn impersonation(user: &Entry<'_>) -> Result<AuthInfo, KubeconfigError> {
    let mut auth = AuthInfo {
        impersonate: header_value(user, "as")?,
        impersonate_uid: header_value(user, "as-uid")?,
        ..AuthInfo::default()
    };
    let given = |texts: Vec<String>| texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
    let groups = given(user.texts("as-groups")?);
    let mut extra = HashMap::new();
    if let Some(entries) = user.mapping("as-user-extra")? {
        for key in entries.keys() {
            extra.insert(key.to_owned(), given(entries.texts(key)?));
        }
    }
    let values = || groups.iter().chain(extra.values().flatten());
    if values().count() + extra.len() > MAX_IMPERSONATION {
        return Err(user.invalid("as-groups", format!("more than {MAX_IMPERSONATION} values")));
    }
    let fits = |key: &String| !key.is_empty() && key.len() <= 1000;
    if !extra.keys().all(fits) || values().any(|value| HeaderValue::from_str(value).is_err()) {
        return Err(user.invalid("as-groups", "a value in it or in `as-user-extra` is not valid in a header"));
    }
    let alone = [
        ("as-uid", auth.impersonate_uid.is_some()),
        ("as-groups", !groups.is_empty()),
        ("as-user-extra", !extra.is_empty()),
    ];
    if auth.impersonate.is_none()
        && let Some((field, _)) = alone.iter().find(|(_, given)| *given)
    {
        return Err(user.invalid(field, "requires `as`, the user to impersonate"));
    }
    auth.impersonate_groups = Some(groups).filter(|groups| !groups.is_empty());
    auth.impersonate_user_extra = Some(extra).filter(|extra| !extra.is_empty());
    Ok(auth)
}

fn header_value(user: &Entry<'_>, field: &str) -> Result<Option<String>, KubeconfigError> {
    let Some(word) = user.trimmed(field)? else { return Ok(None) };
    match HeaderValue::from_str(word) {
        Ok(_) => Ok(Some(word.to_owned())),
        Err(_) => Err(user.invalid(field, "contains a character that is not valid in a header")),
    }
}

/// A bearer token, without the trailing newline of `kubectl create token > file`.
fn token(entry: &Entry<'_>, field: &str) -> Result<Option<String>, KubeconfigError> {
    header_value(entry, field)
}

/// The token of `oidc`, the only auth provider that kubectl still supports and that runs no program.
fn id_token(provider: &Entry<'_>) -> Result<String, KubeconfigError> {
    let name = provider.text("name")?.unwrap_or_default();
    if name != "oidc" {
        return Err(KubeconfigError::RemovedAuthProvider(name.to_owned()));
    }
    let config = provider.mapping("config")?.ok_or_else(|| provider.missing("config"))?;
    token(&config, "id-token")?.ok_or_else(|| config.missing("id-token"))
}

fn plugin(exec: &Entry<'_>) -> Result<ExecConfig, KubeconfigError> {
    let command = exec.text("command")?.ok_or_else(|| exec.missing("command"))?;
    let command = match command.contains(std::path::MAIN_SEPARATOR) {
        true => exec.resolve("command", command)?,
        false => command.to_owned(),
    };
    let mut env = Vec::new();
    for variable in exec.mappings("env")? {
        let name = variable.text("name")?.ok_or_else(|| variable.missing("name"))?;
        let value = variable.text("value")?.unwrap_or_default();
        let pair = [("name", name), ("value", value)];
        env.push(pair.into_iter().map(|(key, text)| (key.to_owned(), text.to_owned())).collect());
    }
    let interactive_mode = match exec.text("interactiveMode")? {
        None => None,
        Some("Never") => Some(ExecInteractiveMode::Never),
        Some("IfAvailable") => Some(ExecInteractiveMode::IfAvailable),
        Some("Always") => Some(ExecInteractiveMode::Always),
        Some(_) => return Err(exec.invalid("interactiveMode", "must be Never, IfAvailable or Always")),
    };
    Ok(ExecConfig {
        api_version: exec.text("apiVersion")?.map(str::to_owned),
        command: Some(command),
        args: Some(exec.texts("args")?),
        env: Some(env),
        install_hint: exec.text("installHint")?.map(str::to_owned),
        interactive_mode,
        provide_cluster_info: exec.flag("provideClusterInfo")?,
        ..ExecConfig::default()
    })
}
