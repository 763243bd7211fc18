//! Checks of the cluster, from the results of a checkup.

use jiff::{SignedDuration, Timestamp};
use kf_cluster::checkup::{Answers, Checkup, NamespaceState, Reached};
use kf_cluster::kubeconfig::{CredentialKind, NamespaceOrigin, Settings};
use kf_cluster::preflight::RuleVerdict;
use kf_command::refusal::{Who, explain};
use kf_core::api::{ApiError, ErrorCode, Identity};
use kf_core::failure::Failure;
use kf_core::grants::{Granter, Layer, MissingRule, Refusal};
use kf_core::names::{Group, Plural};
use serde_json::json;

use super::check::{Check, State};
use super::local::TRAIN;
use super::span::span;

/// Parts of Kubeflow and related APIs, with resources of which one must be served.
const PARTS: [(&str, &[(&str, &str)]); 6] = [
    (TRAINER, &[("trainer.kubeflow.org", "trainjobs")]),
    ("Katib", &[("kubeflow.org", "experiments")]),
    ("KServe", &[("serving.kserve.io", "inferenceservices")]),
    ("notebooks", &[("kubeflow.org", "notebooks"), ("kubeflow.org", "workspaces")]),
    ("pipelines", &[("argoproj.io", "workflows"), ("pipelines.kubeflow.org", "pipelines")]),
    ("metrics", &[("metrics.k8s.io", "pods")]),
];

/// The part that `train` needs.
const TRAINER: &str = "Trainer";

/// How long before they expire there is a warning for credentials that are not renewed automatically.
const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(24);

/// The user name of requests without credentials.
const ANONYMOUS: &str = "system:anonymous";

/// How many missing rights are shown.
const MAX_MISSING_SHOWN: usize = 5;

pub const NAMES: [&str; 5] = ["server", "credentials", "namespace", "cluster", "rights"];

/// All resources of [`PARTS`], in order.
pub fn resources() -> Vec<(Group, Plural)> {
    let all = PARTS.iter().flat_map(|(_, resources)| resources.iter());
    all.filter_map(|(group, plural)| Some((Group::parse(*group).ok()?, Plural::parse(*plural).ok()?)))
        .collect()
}

/// The results of the checkup, with what is needed to explain them.
pub struct Cluster<'a> {
    pub settings: &'a Settings,
    pub found: &'a Checkup,
    /// What sets the namespace on the command line.
    pub named_by: &'static str,
    /// Why the selected namespace cannot be used.
    pub bad_namespace: Option<&'a Failure>,
    /// The commands whose rights were checked, in the order of the answers.
    pub commands: &'a [String],
    pub now: Timestamp,
}

impl Cluster<'_> {
    /// All checks, in the order of [`NAMES`].
    pub fn checks(&self) -> Vec<Check> {
        let server = self.server();
        let credentials = self.credentials();
        let unknown = self.found.answers.as_ref().is_none_or(|answers| is_unknown(&answers.identity));
        let why = match (server.state, credentials.state) {
            (State::Failed, _) => "the server does not answer",
            _ => "you are not authenticated",
        };
        let answers = self.found.answers.as_ref().filter(|_| !unknown);
        let (namespace, cluster, rights) = match answers {
            Some(answers) => (self.namespace(Some(&answers.namespace)), parts(answers), self.rights(answers)),
            None => (self.namespace(None), Check::skipped("cluster", why), Check::skipped("rights", why)),
        };
        vec![server, credentials, namespace, cluster, rights]
    }

    fn server(&self) -> Check {
        const NAME: &str = "server";
        let url = &self.settings.server;
        let check = match &self.found.reached {
            Reached::Server(Some(version)) => {
                Check::ok(NAME, format!("{url}, Kubernetes {version}")).fact("version", version.as_str())
            }
            Reached::Server(None) | Reached::Refused(_) => Check::ok(NAME, url.as_str()),
            Reached::NoCredentials(_) => Check::skipped(NAME, format_args!("no credentials for {url}")),
            Reached::Failed(error) => from_error(NAME, error),
        };
        let check = check.fact("url", url.as_str()).fact("certificateChecked", !self.settings.insecure);
        if !self.settings.insecure {
            return check;
        }
        let note = "its certificate is not verified, so any server could answer";
        let hint = "ask for a kubeconfig with the cluster's certificate-authority-data";
        check.problem(State::Warning, note, Some(hint.to_owned()))
    }

    fn credentials(&self) -> Check {
        const NAME: &str = "credentials";
        let Self { settings, found, now, .. } = self;
        let ended = found.credentials_expiry.filter(|end| end <= now);
        let kind = self.kind();
        let check = match (&found.reached, found.answers.as_ref().map(|answers| &answers.identity)) {
            (Reached::NoCredentials(error), _) => from_error(NAME, error),
            (_, Some(Ok(identity))) if identity.username != ANONYMOUS => self.known(identity, &kind),
            _ if let Some(end) = ended => {
                let of = if settings.credential_kind() == CredentialKind::Plugin {
                    "credentials of the "
                } else {
                    ""
                };
                Check::failed(NAME, format!("the {of}{kind} expired at {end:.0}")).hint(Some(self.renew()))
            }
            (Reached::Refused(error), _) => from_error(NAME, error),
            (_, Some(Ok(_))) => Check::failed(NAME, format!("{kind}; the server treats you as {ANONYMOUS}"))
                .hint(Some(self.renew())),
            (_, Some(Err(error))) if error.code == ErrorCode::Unauthenticated => from_error(NAME, error),
            (_, Some(Err(error))) => {
                let note = format!("cannot determine your user name: {}", error.message);
                Check::ok(NAME, kind).problem(severity(error), note, error.hint.clone())
            }
            (_, None) => Check {
                state: State::Skipped,
                ..Check::ok(NAME, format!("{kind}, not checked: the server does not answer"))
            },
        };
        let mut check = check
            .fact("kind", kind_name(settings.credential_kind()))
            .fact("plugin", settings.credential_plugin.clone())
            .fact("expires", json!(found.credentials_expiry));
        if let Some((speaker, words)) = &found.plugin_output {
            check.private.push(format!("{speaker}: {words}"));
        }
        match settings.impersonation_warning() {
            Some(acting) => check.problem(State::Warning, acting, None),
            None => check,
        }
    }

    fn known(&self, identity: &Identity, kind: &str) -> Check {
        let end = self.found.credentials_expiry;
        let left = end.map(|end| format!(", valid for {}", span(self.now, end))).unwrap_or_default();
        let by = match self.settings.credential_kind() {
            // For example, behind `kubectl proxy`.
            CredentialKind::None => "without credentials".to_owned(),
            _ => format!("by {kind}"),
        };
        let check = Check::ok("credentials", format!("{}, {by}{left}", identity.username))
            .fact("username", identity.username.as_str())
            .fact("groups", identity.groups.clone());
        let kept = [CredentialKind::Token, CredentialKind::Certificate];
        let is_renewed = !kept.contains(&self.settings.credential_kind());
        match end.filter(|end| !is_renewed && end.duration_since(self.now) < EXPIRES_SOON) {
            Some(end) => {
                check.problem(State::Warning, format!("they expire at {end:.0}"), Some(self.renew()))
            }
            None => check,
        }
    }

    fn kind(&self) -> String {
        match self.settings.credential_kind() {
            CredentialKind::Plugin => {
                let plugin = self.settings.credential_plugin.as_deref().unwrap_or_default();
                format!("credential plugin {plugin}")
            }
            CredentialKind::Password => "password".to_owned(),
            CredentialKind::Token => "token".to_owned(),
            CredentialKind::TokenFile if self.settings.context.is_none() => "service account".to_owned(),
            CredentialKind::TokenFile => "token file".to_owned(),
            CredentialKind::Certificate => "client certificate".to_owned(),
            CredentialKind::None => "no credentials".to_owned(),
        }
    }

    fn renew(&self) -> String {
        match self.settings.credential_kind() {
            CredentialKind::Plugin => {
                let plugin = self.settings.credential_plugin.as_deref().unwrap_or_default();
                format!("log in again with the tool that {plugin} belongs to")
            }
            _ => "get a new kubeconfig from the cluster's admin, then: kf --kubeconfig FILE …".to_owned(),
        }
    }

    fn namespace(&self, state: Option<&Result<NamespaceState, ApiError>>) -> Check {
        const NAME: &str = "namespace";
        let (namespace, origin) = (&self.settings.namespace, self.settings.namespace_origin);
        let (why, code) = match origin {
            NamespaceOrigin::Named => (self.named_by, "named"),
            NamespaceOrigin::Chosen => ("set by kf use", "chosen"),
            NamespaceOrigin::Context => ("from the context", "context"),
            NamespaceOrigin::Pod => ("from this pod", "pod"),
            NamespaceOrigin::Default => ("the default, as the context sets none", "default"),
        };
        let value = format!("{namespace}, {why}");
        let other = || Some("kf use NAMESPACE".to_owned());
        let check = Check::ok(NAME, value.as_str());
        let check = match state {
            _ if let Some(error) = self.bad_namespace => Check::from_failure(NAME, error),
            Some(Ok(NamespaceState::Active)) => check.fact("exists", true),
            Some(Ok(NamespaceState::Hidden)) => {
                Check::ok(NAME, format!("{value}; no permission to check that it exists"))
            }
            Some(Ok(NamespaceState::Missing)) => {
                check.problem(State::Failed, "it does not exist", other()).fact("exists", false)
            }
            Some(Ok(NamespaceState::Terminating)) => {
                check.problem(State::Failed, "it is being deleted", other()).fact("exists", true)
            }
            Some(Err(error)) => check.problem(severity(error), error.message.as_str(), error.hint.clone()),
            None => Check { state: State::Skipped, value: format!("{value}, not checked"), ..check },
        };
        check.fact("name", namespace.as_str()).fact("origin", code)
    }

    fn rights(&self, answers: &Answers) -> Check {
        const NAME: &str = "rights";
        let namespace = &self.settings.namespace;
        let mut all = self.commands.iter().zip(&answers.rights);
        let Some((train, first)) = all.next() else {
            return Check::skipped(NAME, format_args!("{TRAIN} cannot be used"));
        };
        let mut check = match first {
            Err(error) => return from_error(NAME, error),
            Ok(verdicts) => match missing(verdicts).as_slice() {
                [] => Check::ok(NAME, format!("you have all rights that {train} needs in {namespace}")),
                missing => {
                    let words: Vec<String> = missing.iter().map(ToString::to_string).collect();
                    let headline = format!("you lack rights that {train} needs in {namespace}");
                    let mut check =
                        Check::failed(NAME, headline).hint(self.remedy(missing, &answers.granters));
                    check.notes.extend(
                        words.iter().take(MAX_MISSING_SHOWN).map(|words| format!("you lack {words}")),
                    );
                    let more = words.len().saturating_sub(MAX_MISSING_SHOWN);
                    check.notes.extend((more > 0).then(|| format!("and {more} more")));
                    check.fact("missing", words)
                }
            },
        };
        let lacking: Vec<&str> = all
            .filter(|(_, verdicts)| verdicts.as_ref().is_ok_and(|verdicts| !missing(verdicts).is_empty()))
            .map(|(command, _)| command.as_str())
            .collect();
        if !lacking.is_empty() {
            check.notes.push(format!("not permitted in {namespace}: {}", lacking.join(", ")));
        }
        check.fact("notPermitted", lacking)
    }

    fn remedy(&self, missing: &[&MissingRule], granters: &[Granter]) -> Option<String> {
        let rule = (*missing.first()?).clone();
        let refusal = Refusal { layer: Layer::Rbac, rule, user: None };
        let who = Who {
            command: TRAIN,
            reinstall: "kf command add train",
            environment: self.settings.namespace.as_str(),
            from_registry: true,
            granters,
        };
        Some(explain(&refusal, who).hint)
    }
}

fn missing(verdicts: &[RuleVerdict]) -> Vec<&MissingRule> {
    verdicts.iter().flat_map(|verdict| &verdict.missing).collect()
}

/// Whether the server does not accept the credentials, or there are none.
fn is_unknown(identity: &Result<Identity, ApiError>) -> bool {
    match identity {
        Ok(identity) => identity.username == ANONYMOUS,
        Err(error) => error.code == ErrorCode::Unauthenticated,
    }
}

/// The severity of a failed request.
fn severity(error: &ApiError) -> State {
    match error.code {
        ErrorCode::TimedOut | ErrorCode::Unreachable => State::Failed,
        _ => State::Warning,
    }
}

fn from_error(name: &'static str, error: &ApiError) -> Check {
    Check::failed(name, error.message.as_str()).hint(error.hint.clone())
}

fn parts(answers: &Answers) -> Check {
    let mut found = answers.served.iter();
    let served: Vec<(&str, Result<bool, &ApiError>)> = PARTS
        .iter()
        .map(|(part, resources)| {
            let each: Vec<_> = found.by_ref().take(resources.len()).collect();
            let error = each.iter().find_map(|served| served.as_ref().err());
            match each.iter().any(|served| matches!(served, Ok(true))) {
                true => (*part, Ok(true)),
                false => (*part, error.map_or(Ok(false), Err)),
            }
        })
        .collect();
    let names = |wanted: bool| {
        let parts = served.iter().filter(move |(_, is_served)| *is_served == Ok(wanted));
        parts.map(|(part, _)| *part).collect::<Vec<_>>()
    };
    let (here, missing) = (names(true), names(false));
    let list =
        |what: &str, parts: &[&str]| (!parts.is_empty()).then(|| format!("{what}{}", parts.join(", ")));
    let lists: Vec<String> =
        [list("serves ", &here), list("not served: ", &missing)].into_iter().flatten().collect();
    let check = Check::ok("cluster", lists.join("; "))
        .fact("served", here.clone())
        .fact("notServed", missing.clone());
    let unknown = served.iter().find_map(|(part, is_served)| Some((*part, is_served.as_ref().err()?)));
    let check = match unknown {
        Some((part, error)) => {
            let state = if part == TRAINER { State::Failed } else { severity(error) };
            check.problem(state, format!("cannot check {part}: {}", error.message), error.hint.clone())
        }
        None => check,
    };
    if !missing.contains(&TRAINER) {
        return check;
    }
    let note = format!("{TRAIN} needs Kubeflow Trainer to run its jobs");
    check.problem(State::Failed, note, Some("ask a cluster admin to install Kubeflow Trainer".to_owned()))
}

fn kind_name(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Plugin => "plugin",
        CredentialKind::Password => "password",
        CredentialKind::Token => "token",
        CredentialKind::TokenFile => "token-file",
        CredentialKind::Certificate => "client-certificate",
        CredentialKind::None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_valid_resources() {
        let all: usize = PARTS.iter().map(|(_, resources)| resources.len()).sum();
        assert_eq!(resources().len(), all);
    }
}
