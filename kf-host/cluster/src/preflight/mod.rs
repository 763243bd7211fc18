//! Before a run: checks whether the user has the rights that the command needs.
//!
//! Sends one SelfSubjectAccessReview for every permission, concurrently, so that a command fails before it has done
//! half its work. This authorizes nothing: the API server decides again on every call.

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

/// The maximum number of reviews of one preflight.
const MAX_QUESTIONS: usize = 256;

/// The number of concurrent reviews; each may need its own connection.
const CONCURRENCY: usize = 8;

/// Whether the user has the rights of one rule of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleVerdict {
    /// The manifest's rule, counted from 1.
    pub rule: usize,
    /// The rights that the user lacks.
    pub missing: Vec<MissingRule>,
}

impl RuleVerdict {
    pub fn allowed(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Asks about every permission of the rules, those of scope environment in `namespace`.
///
/// `cache` is a file that keeps positive answers for a minute. Negative ones are not cached, so that a new right takes
/// effect at once. The file contains only digests and is private to its owner. If it cannot be read or written, it is
/// ignored.
pub async fn preflight(
    connection: &Connection,
    rules: &RuleSet,
    namespace: &Namespace,
    cache: Option<&OwnPath>,
) -> Result<Vec<RuleVerdict>, ApiError> {
    let questions: BTreeSet<Question> = rules
        .permissions()
        .filter(|permission| !is_kf_only(permission))
        .map(|permission| Question::new(permission, namespace))
        .collect();
    let mut known = Cache::load(cache, Timestamp::now());
    let mut answers = ask(connection, questions, &mut known).await?;
    // A user without a right in all namespaces may still have it in this one.
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

/// Asks the questions whose answers are not cached.
async fn ask(
    connection: &Connection,
    questions: BTreeSet<Question>,
    known: &mut Cache,
) -> Result<BTreeMap<Question, bool>, ApiError> {
    if questions.len() > MAX_QUESTIONS {
        return Err(ApiError::new(
            ErrorCode::Budget,
            format!("the rules need {} access reviews, more than {MAX_QUESTIONS}", questions.len()),
        ));
    }
    let fingerprint = connection.fingerprint();
    let asked = stream::iter(questions)
        .map(|question| {
            let key = question.key(&fingerprint);
            let is_cached = known.has(&key);
            async move {
                let allowed = if is_cached { true } else { question.ask(connection).await? };
                Ok::<_, ApiError>((question, key, allowed))
            }
        })
        .buffer_unordered(CONCURRENCY)
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

/// Whether only kf enforces it. To the API server, owner references and finalizers are metadata: a user who can write
/// an object can set them, and most roles do not name `finalizers`.
fn is_kf_only(permission: &Permission) -> bool {
    let subresource = permission.resource.subresource.as_ref().map(Subresource::as_str);
    permission.verb == Verb::Update && subresource == Some("finalizers")
}

/// Whether the permission, or one that implies it, was allowed. A wider one being denied means nothing: a user may be
/// able to list pods in one namespace but not in all.
fn is_allowed(
    permission: &Permission,
    rules: &RuleSet,
    namespace: &Namespace,
    answers: &BTreeMap<Question, bool>,
) -> bool {
    let yes = |p: &Permission| answers.get(&Question::new(p, namespace)) == Some(&true);
    let mut covering = rules.permissions().filter(|p| p.covers(permission));
    is_kf_only(permission) || yes(permission) || covering.any(yes)
}

/// Groups the answers by rule.
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
            // RBAC has neither: one question serves rules with and without them.
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
