//! What a cluster says to somebody who looks for what is in their way: whether it answers, as whom, where, and what
//! it serves.
//!
//! Whether the server answers is found out first. The other questions are then asked at the same time, and each stands
//! alone: one that fails leaves the others their answers. All of it may be shown to others who help, so no answer
//! repeats the user's credentials or what a credential plugin said; the latter is kept apart.

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

/// Requests for what is served that are under way at the same time.
const AT_ONCE: usize = 8;

/// The longest version that is believed to be one, in characters.
const MAX_VERSION_CHARS: usize = 60;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Questions<'a> {
    pub namespace: &'a Namespace,
    /// Whether each is served.
    pub resources: &'a [(Group, Plural)],
    /// Whether the user has these rights; the first set is the one whose lack needs a remedy.
    pub rules: &'a [RuleSet],
    /// Where [`preflight`] remembers the answers about rights.
    pub cache: Option<&'a OwnPath>,
}

/// What was found out.
#[derive(Debug)]
pub struct Checkup {
    pub reached: Reached,
    /// When the credentials end, if they say so themselves.
    pub credentials_end: Option<Timestamp>,
    /// The words of a credential plugin that failed, and who says them. They may name accounts and whole requests:
    /// they are for the user alone.
    pub plugin_words: Option<(String, String)>,
    /// None where nothing more could be asked.
    pub answers: Option<Answers>,
}

/// Whether there is a server.
#[derive(Debug)]
pub enum Reached {
    /// It answers; its version, if it tells.
    Server(Option<String>),
    /// It answers, and does not accept the credentials.
    Refused(ApiError),
    /// Nothing was sent, because the credentials cannot be used.
    NoCredentials(ApiError),
    Failed(ApiError),
}

/// What a server that answers says.
#[derive(Debug)]
pub struct Answers {
    pub identity: Result<Identity, ApiError>,
    pub namespace: Result<NamespaceState, ApiError>,
    /// In the order of the questions.
    pub served: Vec<Result<bool, ApiError>>,
    /// In the order of the questions.
    pub rights: Vec<Result<Vec<RuleVerdict>, ApiError>>,
    /// Who can give what the first set of rules lacks, if anything does and the user may know.
    pub granters: Vec<Granter>,
}

/// What is known of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceState {
    Active,
    Terminating,
    Missing,
    /// The user may not read it.
    Hidden,
}

/// Asks all of it.
pub async fn checkup(connection: &Connection, questions: Questions<'_>) -> Checkup {
    let mut reached = reach(connection).await;
    let mut answers = match reached {
        Reached::Server(_) => Some(ask(connection, questions).await),
        Reached::Refused(_) | Reached::NoCredentials(_) | Reached::Failed(_) => None,
    };
    let plugin_words = connection.plugin_words();
    let withheld = Withheld { secrets: connection.secrets().await, plugin_words: plugin_words.as_ref() };
    withheld.reached(&mut reached);
    answers.iter_mut().for_each(|answers| withheld.answers(answers));
    Checkup { reached, credentials_end: connection.credentials_end().await, plugin_words, answers }
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

/// A version such as `v1.36.1+k3s1`, and nothing else that a server may say in its place.
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
            .ok_or_else(|| ApiError::new(ErrorCode::Internal, "the API server did not say who you are"))?,
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
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// One set after the other: what the first has asked is remembered for the others, and a server that does not answer is
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

/// What no answer may repeat.
struct Withheld<'a> {
    secrets: Vec<String>,
    plugin_words: Option<&'a (String, String)>,
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
        if let Some((_, words)) = self.plugin_words
            && let Some(message) = error.message.strip_suffix(&format!(": {words}"))
        {
            error.message = message.to_owned();
        }
        self.text(&mut error.message);
    }

    fn text(&self, text: &mut String) {
        if self.secrets.iter().any(|secret| text.contains(secret.as_str())) {
            "(withheld: it repeats your credentials)".clone_into(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_a_version_or_nothing() {
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
    fn answers_do_not_repeat_credentials_or_words_of_a_plugin() {
        let words = ("the credential plugin aws".to_owned(), "no session for key AKIA7".to_owned());
        let withheld = Withheld { secrets: vec!["hunter22".to_owned()], plugin_words: Some(&words) };
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
