//! `whoami` and `can-i`: who the user is, and which rights they have.
//!
//! Both require the right to create the review. A question about something that the command is itself allowed to do
//! does not, as the command could find out by doing it.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use http::Method;
use kf_core::api::{AccessQuestion, ApiError, ErrorCode, Identity, Verdict};
use kf_core::names::{Group, Namespace, ObjectName, Resource};
use kf_core::request::{Question, Review};
use serde_json::{Value, json};

use super::Inner;
use super::wire::{About, Call};

/// The number of concurrent reviews; each may need its own connection.
const CONCURRENCY: usize = 8;

impl Inner {
    pub(super) async fn can_i(&self, questions: Vec<AccessQuestion>) -> Result<Vec<Verdict>, ApiError> {
        let parsed = Question::parse_all(&questions, &self.namespace)?;
        let review = Review::Access(&parsed);
        self.may_ask(review)?;
        let mut verdicts = self.reviews(questions).await?;
        if !review.shows_reasons(&self.grants, &self.namespace) {
            verdicts.iter_mut().for_each(|verdict| verdict.reason = None);
        }
        Ok(verdicts)
    }

    pub(super) async fn whoami(&self) -> Result<Identity, ApiError> {
        self.may_ask(Review::Identity)?;
        self.identity().await
    }

    fn may_ask(&self, review: Review<'_>) -> Result<(), ApiError> {
        match review.decide(&self.grants, &self.namespace) {
            Ok(_) => Ok(()),
            Err((access, refusal)) => {
                self.audit_refusal(&access, Some(refusal.layer), None)?;
                let message = format!("{} is not allowed to {}", self.command.name, refusal.rule);
                let error = ApiError::new(ErrorCode::Forbidden, message);
                Err(ApiError { refusal: Some(refusal), ..error })
            }
        }
    }

    /// Sends the reviews, for commands and for the host itself.
    pub(super) async fn reviews(&self, questions: Vec<AccessQuestion>) -> Result<Vec<Verdict>, ApiError> {
        let questions = Question::parse_all(&questions, &self.namespace)?;
        let reviews: Vec<Call> = questions.iter().map(review).collect();
        stream::iter(reviews)
            .map(|call| async move { self.json(&call).await.map(|answer| verdict(&answer)) })
            .buffered(CONCURRENCY)
            .try_collect()
            .await
    }

    pub(super) async fn identity(&self) -> Result<Identity, ApiError> {
        let answer = match self.review_self("v1").await {
            // A server before 1.28 serves an older version; one without any may also return 403.
            Err(error) if matches!(error.code, ErrorCode::NotFound | ErrorCode::Forbidden) => {
                match self.self_review_version().await?.as_deref() {
                    None => return Err(no_self_review()),
                    Some("v1") => return Err(error),
                    Some(version) => self.review_self(version).await?,
                }
            }
            answer => answer?,
        };
        let user = answer.pointer("/status/userInfo").cloned().unwrap_or_default();
        let text = |field: &str| user.get(field).and_then(Value::as_str).map(str::to_owned);
        let groups = user.get("groups").and_then(Value::as_array).into_iter().flatten();
        Ok(Identity {
            username: text("username").ok_or_else(|| {
                ApiError::new(ErrorCode::Internal, "the API server did not return a user name")
            })?,
            uid: text("uid"),
            groups: groups.filter_map(Value::as_str).map(str::to_owned).collect(),
            expires: self.connection.credentials_expire(),
        })
    }
}

impl Inner {
    async fn review_self(&self, version: &str) -> Result<Value, ApiError> {
        let review = json!({"apiVersion": format!("{AUTHENTICATION}/{version}"), "kind": SELF_REVIEW});
        self.json(&posted("whoami", AUTHENTICATION, version, "selfsubjectreviews", &review)).await
    }

    /// The most stable version that the server has of it.
    async fn self_review_version(&self) -> Result<Option<String>, ApiError> {
        let served = self.discovery.group(self, &Group::parse(AUTHENTICATION)?).await?;
        let has =
            |version: &&str| served.iter().any(|kind| kind.version == **version && kind.kind == SELF_REVIEW);
        Ok(["v1", "v1beta1", "v1alpha1"].iter().copied().find(has).map(str::to_owned))
    }
}

const AUTHENTICATION: &str = "authentication.k8s.io";
const SELF_REVIEW: &str = "SelfSubjectReview";

fn no_self_review() -> ApiError {
    ApiError::new(
        ErrorCode::Unsupported,
        "this cluster does not serve SelfSubjectReview, which requires Kubernetes 1.28",
    )
}

fn review(question: &Question) -> Call {
    let Question { verb, group, resource, namespace, name } = question;
    let review = access_review(verb, group, resource, Some(namespace), name.as_ref());
    posted("can-i", "authorization.k8s.io", "v1", "selfsubjectaccessreviews", &review)
}

/// The body of a SelfSubjectAccessReview.
pub(crate) fn access_review(
    verb: &str,
    group: &Group,
    resource: &Resource,
    namespace: Option<&Namespace>,
    name: Option<&ObjectName>,
) -> Value {
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "verb": verb,
            "group": group,
            "resource": resource.plural,
            "subresource": resource.subresource.as_ref().map(|s| s.as_str()).unwrap_or_default(),
            "namespace": namespace.map(Namespace::as_str).unwrap_or_default(),
            "name": name.map(ObjectName::as_str).unwrap_or_default(),
        }},
    })
}

/// The authorizer's answer. Anything but a clear yes is a no.
pub(crate) fn verdict(answer: &Value) -> Verdict {
    let flag =
        |field: &str| answer.pointer(&format!("/status/{field}")).and_then(Value::as_bool) == Some(true);
    let reason = answer.pointer("/status/reason").and_then(Value::as_str).filter(|reason| !reason.is_empty());
    Verdict { allowed: flag("allowed") && !flag("denied"), reason: reason.map(kf_core::text::one_line) }
}

fn posted(verb: &'static str, group: &str, version: &str, resource: &str, body: &Value) -> Call {
    Call {
        about: About {
            verb,
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: None,
            name: None,
            dry_run: false,
            detail: None,
        },
        access: None,
        rule: None,
        method: Method::POST,
        path_and_query: format!("/apis/{group}/{version}/{resource}"),
        content_type: Some("application/json"),
        body: body.to_string().into_bytes(),
        object: String::new(),
        place: None,
    }
}
