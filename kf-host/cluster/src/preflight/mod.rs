//! Before a run: may this user do what the command asks?
//!
//! One SelfSubjectAccessReview for every permission, all at once, so that a command that cannot
//! work says so before it has done half its work. The API server is asked again at every call;
//! preflight decides nothing.

mod cache;
mod granters;
mod served;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;

pub use granters::granters;
pub use served::ServedResources;

use kf_core::Digest;
use kf_core::api::{ApiError, ErrorCode};
use kf_core::grants::rule::{Scope, Verb};
use kf_core::grants::set::{Permission, spelled_out};
use kf_core::grants::{MissingRule, RuleSet};
use kf_core::names::{Namespace, Subresource};
use kf_home::trusted::OwnPath;

use crate::broker::{access_review, verdict};
use crate::connection::Connection;
use cache::Cache;

/// The most reviews one preflight asks for.
const MOST_QUESTIONS: usize = 256;

/// Reviews under way at the same time; each may need a connection of its own.
const AT_ONCE: usize = 8;

/// Whether the user may do what one rule of a manifest asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleVerdict {
    /// The manifest's rule, counted from 1.
    pub rule: usize,
    /// What the user's RBAC lacks; empty if nothing.
    pub missing: Vec<MissingRule>,
}

impl RuleVerdict {
    pub fn allowed(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Asks about every permission of the rules, those of scope environment in `namespace`.
///
/// `cache` is a file that remembers each yes for a minute; a no is asked again, so that a right
/// just given counts at once. It holds digests only and is readable by its owner alone. A cache
/// that cannot be read or written costs time and nothing else.
pub async fn preflight(
    connection: &Connection,
    rules: &RuleSet,
    namespace: &Namespace,
    cache: Option<&OwnPath>,
) -> Result<Vec<RuleVerdict>, ApiError> {
    let questions: BTreeSet<Question> = rules
        .permissions()
        .filter(|permission| !is_kf_own(permission))
        .map(|permission| Question::new(permission, namespace))
        .collect();
    let mut known = Cache::load(cache, Timestamp::now());
    let mut answers = ask(connection, questions, &mut known).await?;
    // Who may not do something everywhere may still do it here.
    let narrower: BTreeSet<Question> = rules
        .rules()
        .iter()
        .flat_map(spelled_out)
        .filter(|permission| !is_allowed(permission, rules, namespace, &answers))
        .map(|permission| Question::new(&permission, namespace))
        .filter(|question| !answers.contains_key(question))
        .collect();
    if !narrower.is_empty() {
        answers.append(&mut ask(connection, narrower, &mut known).await?);
    }
    known.save();
    Ok(verdicts(rules, namespace, &answers))
}

/// Asks all of it, as far as the answers are not remembered.
async fn ask(
    connection: &Connection,
    questions: BTreeSet<Question>,
    known: &mut Cache,
) -> Result<BTreeMap<Question, bool>, ApiError> {
    if questions.len() > MOST_QUESTIONS {
        return Err(ApiError::new(
            ErrorCode::Budget,
            format!("the rules spell out {} questions, more than {MOST_QUESTIONS}", questions.len()),
        ));
    }
    let fingerprint = connection.fingerprint();
    let asked = stream::iter(questions)
        .map(|question| {
            let key = question.key(&fingerprint);
            let remembered = known.has(&key);
            async move {
                let allowed = if remembered { true } else { question.ask(connection).await? };
                Ok::<_, ApiError>((question, key, allowed))
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let mut answers = BTreeMap::new();
    for answer in asked {
        let (question, key, allowed) = answer?;
        if allowed {
            known.remember(key);
        }
        answers.insert(question, allowed);
    }
    Ok(answers)
}

/// Whether it is kf's guard alone. Owner references and finalizers are metadata to the API server: who
/// may write an object may write them, and most roles name `finalizers` nowhere.
fn is_kf_own(permission: &Permission) -> bool {
    let subresource = permission.resource.subresource.as_ref().map(Subresource::as_str);
    permission.verb == Verb::Update && subresource == Some("finalizers")
}

/// Whether an answer says yes to it, or to something that implies it. A no to that says nothing: a user may list
/// the pods of a namespace and not those of all.
fn is_allowed(
    permission: &Permission,
    rules: &RuleSet,
    namespace: &Namespace,
    answers: &BTreeMap<Question, bool>,
) -> bool {
    let yes = |p: &Permission| answers.get(&Question::new(p, namespace)) == Some(&true);
    let mut covering = rules.permissions().filter(|p| p.covers(permission));
    is_kf_own(permission) || yes(permission) || covering.any(yes)
}

/// Sorts the answers by rule.
fn verdicts(rules: &RuleSet, namespace: &Namespace, answers: &BTreeMap<Question, bool>) -> Vec<RuleVerdict> {
    let denied = |permission: &Permission| !is_allowed(permission, rules, namespace, answers);
    rules
        .rules()
        .iter()
        .enumerate()
        .map(|(at, rule)| {
            let missing: BTreeSet<Question> =
                spelled_out(rule).filter(denied).map(|p| Question::new(&p, namespace)).collect();
            RuleVerdict { rule: at + 1, missing: missing.iter().map(Question::missing_rule).collect() }
        })
        .collect()
}

/// One question to the authorizer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    permission: Permission,
    /// Absent for cluster scope.
    namespace: Option<Namespace>,
}

impl Question {
    fn new(permission: &Permission, namespace: &Namespace) -> Self {
        Self {
            // RBAC knows neither: one question serves rules with and without them.
            permission: Permission { data: false, force: false, ..permission.clone() },
            namespace: (permission.scope == Scope::Environment).then(|| namespace.clone()),
        }
    }

    fn key(&self, fingerprint: &str) -> String {
        let question = serde_json::to_vec(&self.permission).unwrap_or_default();
        let namespace = self.namespace.as_ref().map(Namespace::as_str).unwrap_or_default();
        Digest::of_parts(&[fingerprint.as_bytes(), &question, namespace.as_bytes()]).to_string()
    }

    async fn ask(&self, connection: &Connection) -> Result<bool, ApiError> {
        let Permission { verb, group, resource, name, .. } = &self.permission;
        let review = access_review(verb.as_str(), group, resource, self.namespace.as_ref(), name.as_ref());
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        Ok(verdict(&connection.post(path, &review).await?).allowed)
    }

    fn missing_rule(&self) -> MissingRule {
        MissingRule {
            verb: self.permission.verb.to_string(),
            group: self.permission.group.to_string(),
            resource: self.permission.resource.to_string(),
            name: self.permission.name.as_ref().map(ToString::to_string),
            namespace: self.namespace.as_ref().map(ToString::to_string),
        }
    }
}

#[cfg(test)]
mod tests;
