//! The cluster part of `kf doctor`: whether the server responds, who the user is, the namespace, and what is served.
//!
//! Whether the server responds is checked first. The other questions are then asked concurrently, and each fails on
//! its own. The report may be shared with support, so no answer repeats the user's credentials or the output of a
//! credential plugin, which is kept apart.

use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use kf_core::api::{ApiError, ErrorCode, Identity};
use kf_core::grants::{Granter, RuleSet};
use kf_core::names::{Group, Namespace, Plural};
use kf_core::text::one_line;
use kf_home::trusted::OwnPath;
use serde_json::{Value, json};

use crate::connection::{Connection, is_about_credentials};
use crate::preflight::{self, RuleVerdict, ServedResources};

/// The number of concurrent discovery requests.
const CONCURRENCY: usize = 8;

/// The maximum length of a version, in characters.
const MAX_VERSION_CHARS: usize = 60;

/// What to ask about.
#[derive(Clone, Copy, Debug)]
pub struct Questions<'a> {
    pub namespace: &'a Namespace,
    /// Asks whether each is served.
    pub resources: &'a [(Group, Plural)],
    /// Asks whether the user has these rights. For missing rights of the first set, granters are looked up.
    pub rules: &'a [RuleSet],
    /// Where [`preflight`] caches its answers.
    pub cache: Option<&'a OwnPath>,
}

/// The result.
#[derive(Debug)]
pub struct Checkup {
    pub reached: Reached,
    /// When the credentials expire, if they contain that.
    pub credentials_expiry: Option<Timestamp>,
    /// The source and the output of a credential plugin that failed. The output may name accounts and requests, so it
    /// is for the user alone.
    pub plugin_output: Option<(String, String)>,
    /// `None` if the server did not accept a request.
    pub answers: Option<Answers>,
}

/// Whether the server responds.
#[derive(Debug)]
pub enum Reached {
    /// It responds; its version, if it reports one.
    Server(Option<String>),
    /// It responds, but does not accept the credentials.
    Refused(ApiError),
    /// Nothing was sent, as there are no usable credentials.
    NoCredentials(ApiError),
    Failed(ApiError),
}

/// The answers of a server that responds.
#[derive(Debug)]
pub struct Answers {
    pub identity: Result<Identity, ApiError>,
    pub namespace: Result<NamespaceState, ApiError>,
    /// In the order of the questions.
    pub served: Vec<Result<bool, ApiError>>,
    /// In the order of the questions.
    pub rights: Vec<Result<Vec<RuleVerdict>, ApiError>>,
    /// Who can grant what the first set of rules lacks, if anything, and if the user is allowed to know.
    pub granters: Vec<Granter>,
}

/// The state of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceState {
    Active,
    Terminating,
    Missing,
    /// The user is not allowed to read it.
    Hidden,
}

/// Asks all questions.
pub async fn checkup(connection: &Connection, questions: Questions<'_>) -> Checkup {
    let mut reached = reach(connection).await;
    let mut answers = match reached {
        Reached::Server(_) => Some(ask(connection, questions).await),
        Reached::Refused(_) | Reached::NoCredentials(_) | Reached::Failed(_) => None,
    };
    let plugin_output = connection.plugin_output();
    let withheld = Withheld { secrets: connection.secrets().await, plugin_output: plugin_output.as_ref() };
    withheld.reached(&mut reached);
    answers.iter_mut().for_each(|answers| withheld.answers(answers));
    Checkup { reached, credentials_expiry: connection.credentials_expiry().await, plugin_output, answers }
}

async fn reach(connection: &Connection) -> Reached {
    match connection.get("/version").await {
        Ok(answer) => Reached::Server(version(&answer)),
        Err(error) => match error.code {
            ErrorCode::Forbidden => Reached::Server(None),
            ErrorCode::Unauthenticated if connection.has_answered() => Reached::Refused(error),
            _ if !connection.has_answered() && is_about_credentials(&error) => Reached::NoCredentials(error),
            _ => Reached::Failed(error),
        },
    }
}

/// A version such as `v1.36.1+k3s1`; anything else is ignored.
fn version(answer: &Value) -> Option<String> {
    let version = answer.get("gitVersion")?.as_str()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || ".+-_".contains(c);
    (version.len() <= MAX_VERSION_CHARS && version.chars().all(fits)).then(|| version.to_owned())
}

async fn ask(connection: &Connection, questions: Questions<'_>) -> Answers {
    let Questions { namespace, resources, .. } = questions;
    let (identity, namespace, served, (rights, granters)) = tokio::join!(
        identity(connection),
        namespace_state(connection, namespace),
        served(connection, resources),
        rights(connection, questions),
    );
    Answers { identity, namespace, served, rights, granters }
}

async fn identity(connection: &Connection) -> Result<Identity, ApiError> {
    let review = async |version: &str| {
        let group = "authentication.k8s.io";
        let review = json!({ "apiVersion": format!("{group}/{version}"), "kind": "SelfSubjectReview" });
        connection.post(&format!("/apis/{group}/{version}/selfsubjectreviews"), &review).await
    };
    let answer = match review("v1").await {
        // A server before 1.28.
        Err(error) if error.code == ErrorCode::NotFound => review("v1beta1").await?,
        answer => answer?,
    };
    let user = answer.pointer("/status/userInfo").cloned().unwrap_or_default();
    let text = |field: &str| user.get(field).and_then(Value::as_str).map(one_line);
    let groups = user.get("groups").and_then(Value::as_array).into_iter().flatten();
    Ok(Identity {
        username: text("username")
            .ok_or_else(|| ApiError::new(ErrorCode::Internal, "the API server did not return a user name"))?,
        uid: text("uid"),
        groups: groups.filter_map(Value::as_str).map(one_line).collect(),
        expires: connection.credentials_expire(),
    })
}

async fn namespace_state(connection: &Connection, namespace: &Namespace) -> Result<NamespaceState, ApiError> {
    match connection.get(&format!("/api/v1/namespaces/{namespace}")).await {
        Ok(answer) if answer.pointer("/status/phase").and_then(Value::as_str) == Some("Terminating") => {
            Ok(NamespaceState::Terminating)
        }
        Ok(_) => Ok(NamespaceState::Active),
        Err(error) => match error.code {
            ErrorCode::NotFound => Ok(NamespaceState::Missing),
            ErrorCode::Forbidden => Ok(NamespaceState::Hidden),
            _ => Err(error),
        },
    }
}

async fn served(connection: &Connection, resources: &[(Group, Plural)]) -> Vec<Result<bool, ApiError>> {
    let served = &ServedResources::default();
    stream::iter(resources)
        .map(|(group, plural)| served.serves(connection, group, plural))
        .buffered(CONCURRENCY)
        .collect()
        .await
}

/// One set after the other: later sets use the cached answers of the first, and a server that does not respond is only
/// waited for once.
async fn rights(
    connection: &Connection,
    questions: Questions<'_>,
) -> (Vec<Result<Vec<RuleVerdict>, ApiError>>, Vec<Granter>) {
    let Questions { namespace, rules, cache, .. } = questions;
    let mut rights: Vec<Result<Vec<RuleVerdict>, ApiError>> = Vec::new();
    for rules in rules {
        let answer = match rights.last() {
            Some(Err(error)) if matches!(error.code, ErrorCode::TimedOut | ErrorCode::Unreachable) => {
                Err(error.clone())
            }
            _ => preflight::preflight(connection, rules, namespace, cache).await,
        };
        rights.push(answer);
    }
    let is_lacking = |verdicts: &Vec<RuleVerdict>| verdicts.iter().any(|verdict| !verdict.allowed());
    let granters = match rights.first() {
        Some(Ok(verdicts)) if is_lacking(verdicts) => preflight::granters(connection, namespace).await,
        _ => Vec::new(),
    };
    (rights, granters)
}

/// What answers must not repeat.
struct Withheld<'a> {
    secrets: Vec<String>,
    plugin_output: Option<&'a (String, String)>,
}

impl Withheld<'_> {
    fn reached(&self, reached: &mut Reached) {
        match reached {
            Reached::Server(Some(version)) => self.text(version),
            Reached::Server(None) => {}
            Reached::Refused(error) | Reached::NoCredentials(error) | Reached::Failed(error) => {
                self.error(error);
            }
        }
    }

    fn answers(&self, answers: &mut Answers) {
        let Answers { identity, namespace, served, rights, granters } = answers;
        match identity {
            Ok(identity) => {
                let uid = identity.uid.iter_mut();
                let texts = std::iter::once(&mut identity.username).chain(uid).chain(&mut identity.groups);
                texts.for_each(|text| self.text(text));
            }
            Err(error) => self.error(error),
        }
        let errors = namespace.as_mut().err().into_iter();
        let errors = errors.chain(served.iter_mut().filter_map(|served| served.as_mut().err()));
        let errors = errors.chain(rights.iter_mut().filter_map(|rights| rights.as_mut().err()));
        errors.for_each(|error| self.error(error));
        granters.iter_mut().for_each(|granter| self.text(&mut granter.subject));
    }

    fn error(&self, error: &mut ApiError) {
        if let Some((_, words)) = self.plugin_output
            && let Some(message) = error.message.strip_suffix(&format!(": {words}"))
        {
            error.message = message.to_owned();
        }
        self.text(&mut error.message);
    }

    fn text(&self, text: &mut String) {
        if self.secrets.iter().any(|secret| text.contains(secret.as_str())) {
            "(withheld: contains your credentials)".clone_into(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_version_is_ignored() {
        let of = |text: &str| version(&json!({ "gitVersion": text }));
        for text in ["v1.36.1", "v1.33.4-eks-1ce7d0d", "v1.34.0+k3s1"] {
            assert_eq!(of(text).as_deref(), Some(text));
        }
        for text in ["v1 of evil", "\u{1b}[2J", "<b>", &"1".repeat(61)] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(version(&json!({ "gitVersion": 1 })), None);
    }

    #[test]
    fn answers_do_not_repeat_credentials_or_plugin_output() {
        let words = ("the credential plugin aws".to_owned(), "no session for key AKIA7".to_owned());
        let withheld = Withheld { secrets: vec!["hunter22".to_owned()], plugin_output: Some(&words) };
        let mut error = ApiError::new(
            ErrorCode::Unauthenticated,
            "the credential plugin aws failed (exit status: 1): no session for key AKIA7",
        );
        withheld.error(&mut error);
        assert_eq!(error.message, "the credential plugin aws failed (exit status: 1)");
        let mut reached = Reached::Server(Some("v1.36-hunter22".to_owned()));
        withheld.reached(&mut reached);
        let repeats = |answer: &dyn std::fmt::Debug| format!("{answer:?}").contains("hunter22");
        assert!(!repeats(&reached));
        let refused = || ApiError::new(ErrorCode::Internal, "no Bearer hunter22 here");
        let granter = Granter { subject: "hunter22".into(), role: "admin".into(), enough: None };
        let mut answers = Answers {
            identity: Ok(Identity {
                username: "hunter22".into(),
                uid: Some("hunter22".into()),
                groups: vec!["x-hunter22".into()],
                expires: None,
            }),
            namespace: Err(refused()),
            served: vec![Err(refused())],
            rights: vec![Err(refused())],
            granters: vec![granter],
        };
        withheld.answers(&mut answers);
        assert!(!repeats(&answers), "{answers:?}");
    }
}
