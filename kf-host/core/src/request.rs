//! The requests of a command: the objects they name, and the accesses that the grant must allow.
//!
//! A command names kinds, and only the cluster knows which resource serves a kind, so a request is parsed in two
//! steps. A [`Reference`] has the names of a call. Resolved to the resource that serves its kind it is a [`Place`].
//! A [`Request`] is a verb on a place, with every access that the grant must allow. The broker and the fake host of
//! the SDK share this module, so that a command's tests get the same refusals as its users.

use serde::de::{Deserialize as _, IntoDeserializer as _, value};
use serde_json::Value;

use crate::api::{
    AccessQuestion, ApiError, Bearer, ErrorCode, Kind, ObjectRef, PatchKind, PortPair, Reach, Selection,
};
use crate::body::{Extra, check_patch, fit_object};
use crate::grants::{Access, Allowed, Grants, Refusal, RunFlags, Verb, Want, decide};
use crate::kinds::Served;
use crate::names::{
    Group, KindName, NameError, Namespace, ObjectName, Plural, Resource, Subresource, Version,
};
use crate::selectors::{FieldSelector, LabelSelector};
use crate::url::Target;

/// Subresources that are not documents: streams, credentials and proxies.
const NOT_DOCUMENTS: [&str; 8] =
    ["attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "token"];

/// The most words of a command that runs in a container.
pub const MAX_COMMAND_WORDS: usize = 1000;

/// The most bytes of such a command, which is part of the URL.
pub const MAX_COMMAND_BYTES: usize = 16 << 10;

/// The most ports of one port-forward.
pub const MAX_PORTS: usize = 16;

/// The most questions of one `can-i`.
pub const MAX_QUESTIONS: usize = 100;

/// The parsed names of a call, before the kind is resolved to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub group: Group,
    /// The preferred version if absent.
    pub version: Option<Version>,
    pub kind: KindName,
    namespace: Option<Namespace>,
    reach: Reach,
    name: Option<ObjectName>,
    subresource: Option<Subresource>,
}

impl Reference {
    /// An object, or a document below it.
    pub fn object(object: &ObjectRef) -> Result<Self, ApiError> {
        Self::object_in(object, None)
    }

    /// An object that is created, applied or deleted as a whole. If the reference has no version, that of
    /// the body counts.
    pub fn whole(object: &ObjectRef, body: Option<&Value>) -> Result<Self, ApiError> {
        if let Some(subresource) = &object.subresource {
            return Err(ApiError::invalid(format!("subresource {subresource} can only be read and patched")));
        }
        let api_version = body.and_then(|body| body.get("apiVersion")).and_then(Value::as_str);
        let version = api_version.map(|text| text.rsplit_once('/').map_or(text, |(_, version)| version));
        Self::object_in(object, version)
    }

    /// The objects of a list or a watch.
    pub fn selection(what: &Selection) -> Result<Self, ApiError> {
        Self::kind(&what.kind, what.namespace.as_deref(), what.reach, None)
    }

    pub fn pod(namespace: Option<&str>, name: &str) -> Result<Self, ApiError> {
        Self::core_object("Pod", namespace, name)
    }

    /// A service account of the run's namespace.
    pub fn service_account(name: &str) -> Result<Self, ApiError> {
        Self::core_object("ServiceAccount", None, name)
    }

    fn core_object(kind: &str, namespace: Option<&str>, name: &str) -> Result<Self, ApiError> {
        let name = ObjectName::parse(name)?;
        let kind = Kind { group: String::new(), version: None, kind: kind.to_owned() };
        Ok(Self { name: Some(name), ..Self::kind(&kind, namespace, Reach::Namespaced, None)? })
    }

    fn object_in(object: &ObjectRef, version: Option<&str>) -> Result<Self, ApiError> {
        let name = ObjectName::parse(object.name.as_str())?;
        let subresource = object.subresource.as_deref().map(document).transpose()?;
        let kind = Self::kind(&object.kind, object.namespace.as_deref(), Reach::Namespaced, version)?;
        Ok(Self { name: Some(name), subresource, ..kind })
    }

    fn kind(
        kind: &Kind,
        namespace: Option<&str>,
        reach: Reach,
        version: Option<&str>,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            group: Group::parse(kind.group.as_str())?,
            kind: KindName::parse(kind.kind.as_str())?,
            version: kind.version.as_deref().or(version).map(Version::parse).transpose()?,
            namespace: namespace.map(Namespace::parse).transpose()?,
            reach,
            name: None,
            subresource: None,
        })
    }

    /// The error if no resource serves the kind.
    pub fn not_served(&self) -> ApiError {
        let version = self.version.as_ref().map(|version| format!(" in {version}")).unwrap_or_default();
        let group = if self.group.is_core() { String::new() } else { format!(".{}", self.group) };
        ApiError::new(
            ErrorCode::NotFound,
            format!("the cluster does not serve {}{group}{version}", self.kind),
        )
        .hint("ask its administrator")
    }

    /// The place of a served kind, in the run's namespace if the call names none.
    pub fn place(self, served: Served, environment: &Namespace) -> Place {
        let namespace = match (served.namespaced, self.reach) {
            (false, _) | (true, Reach::AllNamespaces) => None,
            (true, Reach::Namespaced) => Some(self.namespace.unwrap_or_else(|| environment.clone())),
        };
        let (name, subresource) = (self.name, self.subresource);
        Place { served, environment: environment.clone(), namespace, name, subresource }
    }
}

fn document(subresource: &str) -> Result<Subresource, ApiError> {
    if NOT_DOCUMENTS.contains(&subresource) {
        return Err(ApiError::invalid(format!("subresource {subresource} is not a document")));
    }
    Ok(Subresource::parse(subresource)?)
}

/// A served kind and the namespace of its objects, optionally with the name of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub served: Served,
    /// The namespace of the run.
    pub environment: Namespace,
    /// Absent for cluster-scoped kinds and all namespaces.
    pub namespace: Option<Namespace>,
    pub name: Option<ObjectName>,
    pub subresource: Option<Subresource>,
}

impl Place {
    /// The access that the API server's authorizer checks for this verb.
    pub fn access(&self, verb: Verb) -> Access {
        Access {
            verb,
            group: self.served.group.clone(),
            resource: Resource { plural: self.served.plural.clone(), subresource: self.subresource.clone() },
            namespace: self.namespace.clone().or_else(|| self.own_namespace()),
            name: self.name.clone(),
            environment: self.environment.clone(),
            want: Want::Plain,
        }
    }

    /// The API server's authorizer treats a namespace object as part of that namespace, so that a role in
    /// the namespace can allow reading it.
    fn own_namespace(&self) -> Option<Namespace> {
        let is_namespace = self.served.group.is_core() && self.served.plural.as_str() == "namespaces";
        self.name.as_ref().filter(|_| is_namespace).and_then(|name| Namespace::parse(name.as_str()).ok())
    }

    /// The subresource of this object.
    pub fn below(&self, subresource: &str) -> Result<Self, NameError> {
        Ok(Self { subresource: Some(Subresource::parse(subresource)?), ..self.clone() })
    }

    /// The object, or the document below it.
    pub fn object(&self) -> Target {
        Target { name: self.name.clone(), subresource: self.subresource.clone(), ..self.collection() }
    }

    pub fn collection(&self) -> Target {
        Target {
            group: self.served.group.clone(),
            version: self.served.version.clone(),
            plural: self.served.plural.clone(),
            namespace: self.namespace.clone(),
            name: None,
            subresource: None,
        }
    }

    /// `trainjob mnist in team-a`, `pods in team-a`, `nodes`.
    pub fn words(&self) -> String {
        let mut words = match &self.name {
            Some(name) => format!("{} {name}", self.served.kind.as_str().to_ascii_lowercase()),
            None => self.served.plural.to_string(),
        };
        if let Some(namespace) = &self.namespace {
            words.push_str(&format!(" in {namespace}"));
        }
        words
    }

    pub fn is_secret(&self) -> bool {
        self.served.group.is_core() && self.served.plural.as_str() == "secrets"
    }

    /// Whether the grant hides the data of what this access reads.
    pub fn hides_data(&self, grants: &Grants, read: &Access) -> bool {
        self.is_secret() && decide(grants, &Access { want: Want::Data, ..read.clone() }).is_err()
    }

    /// Whether the grant lets the command read the object, itself or as part of its parent, with any verb. A right
    /// to open a session in a pod or to read its log does not count.
    pub fn is_shown(&self, grants: &Grants) -> bool {
        let whole = Self { subresource: None, ..self.clone() };
        let is_document = self.subresource.as_ref().is_some_and(|sub| !NOT_DOCUMENTS.contains(&sub.as_str()));
        let places = [is_document.then_some(self), Some(&whole)];
        places.into_iter().flatten().any(|place| place.is_read(grants, Want::Plain))
    }

    /// Whether this is a secret whose data the grant hides for every verb.
    pub fn is_secret_without_data(&self, grants: &Grants) -> bool {
        self.is_secret() && !self.is_read(grants, Want::Data)
    }

    fn is_read(&self, grants: &Grants, want: Want) -> bool {
        let mut verbs = [Verb::Get, Verb::List, Verb::Watch].into_iter();
        verbs.any(|verb| decide(grants, &Access { want, ..self.access(verb) }).is_ok())
    }

    /// Whether the grant lets a patch change fields of other managers.
    pub fn can_take_over(&self, grants: &Grants) -> bool {
        decide(grants, &Access { want: Want::Force, ..self.access(Verb::Patch) }).is_ok()
    }

    /// The error if a dry run is asked for what does not support it.
    pub fn no_dry_run(&self, what: &str) -> ApiError {
        ApiError::invalid(format!("cannot dry-run {what} of {}", self.words())).hint("run without --dry-run")
    }
}

/// The selectors of a list or a watch; an absent one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selectors {
    pub labels: Option<LabelSelector>,
    pub fields: Option<FieldSelector>,
}

impl Selectors {
    pub fn parse(what: &Selection) -> Result<Self, NameError> {
        let (labels, fields) = (what.label_selector.as_deref(), what.field_selector.as_deref());
        Ok(Self {
            labels: labels.filter(|text| !text.is_empty()).map(LabelSelector::parse).transpose()?,
            fields: fields.filter(|text| !text.is_empty()).map(FieldSelector::parse).transpose()?,
        })
    }
}

/// A verb on a place, and every access that the grant must allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub place: Place,
    /// The access that the API server checks.
    pub access: Access,
    /// Further accesses, in the order in which they are checked.
    before: Vec<Access>,
    after: Vec<Access>,
    /// Whether the result could reveal the content of the object.
    needs_read: bool,
}

impl Request {
    fn new(place: Place, verb: Verb) -> Self {
        let access = place.access(verb);
        Self { place, access, before: Vec::new(), after: Vec::new(), needs_read: false }
    }

    pub fn get(place: Place) -> Self {
        Self::new(place, Verb::Get)
    }

    /// `list` or `watch`. The authorizer treats a selected name as the name of the request, and so does the grant.
    pub fn select(place: Place, verb: Verb, selectors: &Selectors) -> Self {
        let selected = selectors.fields.as_ref().and_then(FieldSelector::selected_name);
        let mut request = Self::new(place, verb);
        request.access.name = selected.and_then(|name| ObjectName::parse(name).ok());
        request
    }

    /// A POST does not name its object, and RBAC rules with names never match it. One that creates a namespace
    /// is not in a namespace. Missing fields of the body are filled in.
    pub fn create(place: Place, body: &mut Value) -> Result<Self, ApiError> {
        let extras = fit(&place, body)?;
        let access = Access { name: None, namespace: place.namespace.clone(), ..place.access(Verb::Create) };
        let after = extra_accesses(&place, &extras)?;
        Ok(Self { access, after, ..Self::new(place, Verb::Create) })
    }

    /// Server-side apply creates the object if it does not exist, so it needs both verbs.
    pub fn apply(place: Place, body: &mut Value, force: bool) -> Result<Self, ApiError> {
        let extras = fit(&place, body)?;
        let mut after = vec![place.access(Verb::Create)];
        if force {
            after.push(Access { want: Want::Force, ..place.access(Verb::Patch) });
        }
        after.extend(extra_accesses(&place, &extras)?);
        Ok(Self { after, ..Self::new(place, Verb::Patch) })
    }

    pub fn patch(place: Place, kind: PatchKind, body: &Value) -> Result<Self, ApiError> {
        let extras = check_patch(kind, body, &place.served, place.namespace.as_ref(), named(&place)?)?;
        let after = extra_accesses(&place, &extras)?;
        // `copy` copies data to a readable place, and `test` confirms a guess.
        let needs_read = kind == PatchKind::Json;
        Ok(Self { after, needs_read, ..Self::new(place, Verb::Patch) })
    }

    pub fn delete(place: Place) -> Self {
        Self::new(place, Verb::Delete)
    }

    pub fn log(pod: &Place) -> Result<Self, NameError> {
        Ok(Self::new(pod.below("log")?, Verb::Get))
    }

    /// A stream into a pod: `exec`, `attach` or `portforward`. The upgrade is a GET, and the API server
    /// asks for `create` as well.
    pub fn session(pod: &Place, subresource: &str) -> Result<Self, NameError> {
        let place = pod.below(subresource)?;
        Ok(Self { before: vec![place.access(Verb::Get)], ..Self::new(place, Verb::Create) })
    }

    /// A token of a service account.
    pub fn token(account: &Place) -> Result<Self, NameError> {
        Ok(Self::new(account.below("token")?, Verb::Create))
    }

    /// Checks every access against the grant. The returned rule is the one of [`Self::access`].
    pub fn decide(&self, grants: &Grants) -> Result<Allowed, Denial> {
        let allow = |access: &Access| match decide(grants, access) {
            Ok(allowed) => Ok(allowed),
            Err(_) if access.want == Want::Force => Err(Denial::Force),
            Err(refusal) => Err(Denial::Access(Box::new(access.clone()), refusal)),
        };
        self.before.iter().try_for_each(|access| allow(access).map(drop))?;
        let allowed = allow(&self.access)?;
        self.after.iter().try_for_each(|access| allow(access).map(drop))?;
        if self.needs_read && self.place.is_secret_without_data(grants) {
            return Err(Denial::Data);
        }
        if self.needs_read && !self.place.is_shown(grants) {
            return Err(Denial::Unreadable);
        }
        Ok(allowed)
    }

    /// The accesses that the API server checks in any case.
    pub fn authorized(&self) -> impl Iterator<Item = &Access> {
        self.before.iter().chain([&self.access])
    }

    /// The target of the URL.
    pub fn target(&self) -> Target {
        let is_unnamed = self.access.verb == Verb::Create && self.place.subresource.is_none();
        match self.access.verb {
            Verb::List | Verb::Watch => self.place.collection(),
            _ if is_unnamed => self.place.collection(),
            _ => self.place.object(),
        }
    }
}

/// Why the grant does not allow a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// One layer does not allow one access.
    Access(Box<Access>, Box<Refusal>),
    /// The rule does not let an apply take over fields.
    Force,
    /// A JSON patch of a secret whose data is hidden.
    Data,
    /// A JSON patch of an object that the command is not allowed to read.
    Unreadable,
}

impl Denial {
    pub fn error(self, command: &str, place: &Place) -> ApiError {
        match self {
            Self::Access(_, refusal) => {
                let message = format!("{command} is not allowed to {}", refusal.rule);
                ApiError { refusal: Some(refusal), ..ApiError::new(ErrorCode::Forbidden, message) }
            }
            Self::Force => {
                let message = format!("{command} is not allowed to take over fields of {}", place.words());
                ApiError::new(ErrorCode::Forbidden, message)
                    .hint("the rule in the manifest needs `force = true`")
            }
            Self::Unreadable => {
                ApiError::invalid(format!("a JSON patch of {} needs the right to read it", place.words()))
            }
            Self::Data => ApiError::invalid("a JSON patch of a secret needs the right to read its data"),
        }
    }
}

fn named(place: &Place) -> Result<&ObjectName, ApiError> {
    place.name.as_ref().ok_or_else(|| ApiError::invalid("a write needs a name"))
}

fn fit(place: &Place, body: &mut Value) -> Result<Vec<Extra>, ApiError> {
    fit_object(body, &place.served, place.namespace.as_ref(), named(place)?)
}

fn extra_accesses(place: &Place, extras: &[Extra]) -> Result<Vec<Access>, ApiError> {
    let access = |extra: &Extra| {
        let (verb, subresource) = match extra {
            Extra::Finalizers => (Verb::Update, "finalizers"),
            Extra::Status => (Verb::Patch, "status"),
        };
        Ok(place.below(subresource)?.access(verb))
    };
    extras.iter().map(access).collect()
}

/// Checks a command that is to run in a container.
pub fn check_command(command: &[String]) -> Result<(), ApiError> {
    let bytes: usize = command.iter().map(String::len).sum();
    if command.first().is_none_or(String::is_empty) {
        return Err(ApiError::invalid("no command to run"));
    }
    if command.len() > MAX_COMMAND_WORDS || bytes > MAX_COMMAND_BYTES {
        return Err(ApiError::invalid(format!(
            "the command is longer than {MAX_COMMAND_WORDS} words or {} KiB",
            MAX_COMMAND_BYTES >> 10
        ))
        .hint("put it in a script, and run that"));
    }
    if command.iter().any(|word| word.contains('\0')) {
        return Err(ApiError::invalid("the command contains a NUL byte"));
    }
    Ok(())
}

/// Checks the ports of a port-forward.
pub fn check_ports(ports: &[PortPair]) -> Result<(), ApiError> {
    if ports.is_empty() || ports.len() > MAX_PORTS {
        let message = format!("a port-forward needs 1 to {MAX_PORTS} ports, not {}", ports.len());
        return Err(ApiError::invalid(message));
    }
    if ports.iter().any(|pair| pair.remote == 0) {
        return Err(ApiError::invalid("invalid port 0"));
    }
    Ok(())
}

/// Checks the audience of a token.
pub fn check_audience(bearer: &Bearer) -> Result<(), ApiError> {
    let audience = &bearer.audience;
    if audience.is_empty() || audience.len() > 256 || !audience.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ApiError::invalid(
            "invalid audience: must be 1 to 256 printable characters without spaces",
        ));
    }
    Ok(())
}

/// A parsed question about the user's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub verb: String,
    pub group: Group,
    pub resource: Resource,
    pub namespace: Namespace,
    pub name: Option<ObjectName>,
}

impl Question {
    /// The questions of one `can-i`, in the run's namespace where they name none.
    pub fn parse_all(questions: &[AccessQuestion], environment: &Namespace) -> Result<Vec<Self>, ApiError> {
        if questions.len() > MAX_QUESTIONS {
            return Err(ApiError::invalid(format!(
                "{} questions in one call, at most {MAX_QUESTIONS} are allowed",
                questions.len()
            )));
        }
        questions.iter().map(|question| Self::parse(question, environment)).collect()
    }

    fn parse(question: &AccessQuestion, environment: &Namespace) -> Result<Self, ApiError> {
        let group = Group::parse(question.group.as_str())?;
        let resource = Resource::parse(&question.resource)?;
        let namespace = match &question.namespace {
            Some(namespace) => Namespace::parse(namespace.as_str())?,
            None => environment.clone(),
        };
        let name = question.name.as_deref().map(ObjectName::parse).transpose()?;
        let verb = question.verb.clone();
        if verb.is_empty() || !verb.bytes().all(|b| b.is_ascii_lowercase()) {
            return Err(ApiError::invalid("invalid verb: only lower-case letters"));
        }
        Ok(Self { verb, group, resource, namespace, name })
    }
}

impl Question {
    /// Whether the grant gives the command the right in question. It could find out the answer by trying.
    fn is_about_own_right(&self, grants: &Grants, environment: &Namespace) -> bool {
        let verb: Result<Verb, value::Error> = Verb::deserialize(self.verb.as_str().into_deserializer());
        verb.is_ok_and(|verb| {
            let access = Access {
                verb,
                group: self.group.clone(),
                resource: self.resource.clone(),
                namespace: Some(self.namespace.clone()),
                name: self.name.clone(),
                environment: environment.clone(),
                want: Want::Plain,
            };
            decide(grants, &access).is_ok()
        })
    }
}

/// A question about the user. The answer reveals their identity or their other rights, so it needs the same right as
/// the corresponding review of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review<'q> {
    Identity,
    Access(&'q [Question]),
}

impl Review<'_> {
    /// Whether the command is allowed to ask. Reviews change nothing, so `--read-only` lets them through.
    ///
    /// # Errors
    ///
    /// The missing access, and the layer that refuses it.
    pub fn decide(
        self,
        grants: &Grants,
        environment: &Namespace,
    ) -> Result<Option<Allowed>, (Box<Access>, Box<Refusal>)> {
        let grants = Grants { run: RunFlags::default(), ..grants.clone() };
        if let Self::Access(questions) = self
            && questions.iter().all(|question| question.is_about_own_right(&grants, environment))
        {
            return Ok(None);
        }
        let access = self.access(environment);
        decide(&grants, &access).map(Some).map_err(|refusal| (Box::new(access), refusal))
    }

    /// Whether the command is allowed to read the reasons in the answers, which name roles, bindings and groups.
    pub fn shows_reasons(self, grants: &Grants, environment: &Namespace) -> bool {
        let grants = Grants { run: RunFlags::default(), ..grants.clone() };
        decide(&grants, &self.access(environment)).is_ok()
    }

    fn access(self, environment: &Namespace) -> Access {
        let (group, plural) = match self {
            Self::Identity => ("authentication.k8s.io", "selfsubjectreviews"),
            Self::Access(_) => ("authorization.k8s.io", "selfsubjectaccessreviews"),
        };
        Access {
            verb: Verb::Create,
            group: Group::known(group),
            resource: Resource { plural: Plural::known(plural), subresource: None },
            namespace: Some(environment.clone()),
            name: None,
            environment: environment.clone(),
            want: Want::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::grants::{Ceiling, Consent, RuleSet, RunFlags};
    use crate::kinds::built_in;

    fn grants(rules: &[Value]) -> Grants {
        let rules = RuleSet::parse(rules).unwrap();
        Grants {
            component: String::new(),
            manifest: rules.clone(),
            ceiling: Ceiling::Registry(rules.clone()),
            consent: Some(Consent { component: String::new(), rules }),
            environment: None,
            run: RunFlags::default(),
        }
    }

    fn object(kind: &str, name: &str) -> ObjectRef {
        let kind = Kind { group: String::new(), version: None, kind: kind.into() };
        ObjectRef { kind, namespace: None, name: name.into(), subresource: None }
    }

    fn place(reference: Reference) -> Place {
        let served = built_in(&reference.group, reference.version.as_ref(), &reference.kind).unwrap();
        reference.place(served, &Namespace::parse("team-a").unwrap())
    }

    /// The accesses of a request, as `verb resource name`.
    fn needs(request: &Request) -> Vec<String> {
        let all = request.before.iter().chain([&request.access]).chain(&request.after);
        all.map(|access| {
            let name = access.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            format!("{} {}{name}", access.verb, access.resource)
        })
        .collect()
    }

    #[test]
    fn request_needs_every_access_it_uses() {
        let pod = place(Reference::pod(None, "web-0").unwrap());
        let secret = place(Reference::object(&object("Secret", "s")).unwrap());
        let owned = || json!({"metadata": {"ownerReferences": []}});
        for (request, expected) in [
            (Request::get(pod.clone()), vec!["get pods web-0"]),
            (Request::log(&pod).unwrap(), vec!["get pods/log web-0"]),
            (Request::session(&pod, "exec").unwrap(), vec!["get pods/exec web-0", "create pods/exec web-0"]),
            (
                Request::create(secret.clone(), &mut owned()).unwrap(),
                vec!["create secrets", "update secrets/finalizers s"],
            ),
            (
                Request::apply(secret.clone(), &mut json!({"status": {}}), true).unwrap(),
                vec!["patch secrets s", "create secrets s", "patch secrets s", "patch secrets/status s"],
            ),
            (Request::patch(secret.clone(), PatchKind::Json, &json!([])).unwrap(), vec!["patch secrets s"]),
            (Request::delete(secret), vec!["delete secrets s"]),
        ] {
            assert_eq!(needs(&request), expected);
        }
    }

    #[test]
    fn session_with_one_verb_is_denied() {
        let exec = Request::session(&place(Reference::pod(None, "web-0").unwrap()), "exec").unwrap();
        let rule = |verbs: &[&str]| json!({"apiGroups": [""], "resources": ["pods/exec"], "verbs": verbs});
        assert_eq!(exec.decide(&grants(&[rule(&["get", "create"])])), Ok(Allowed { rule: 1 }));
        for verbs in [["get"], ["create"]] {
            assert!(matches!(exec.decide(&grants(&[rule(&verbs)])), Err(Denial::Access(..))), "{verbs:?}");
        }
    }

    #[test]
    fn json_patch_of_secret_needs_right_to_its_data() {
        let secret = place(Reference::object(&object("Secret", "s")).unwrap());
        let patch = Request::patch(secret, PatchKind::Json, &json!([])).unwrap();
        let rule = |data: bool| json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "patch"], "data": data});
        assert_eq!(patch.decide(&grants(&[rule(false)])), Err(Denial::Data));
        assert_eq!(patch.decide(&grants(&[rule(true)])), Ok(Allowed { rule: 1 }));
    }

    #[test]
    fn selected_name_is_the_name_of_the_access() {
        let mut what = Selection {
            kind: object("Pod", "").kind,
            reach: Reach::Namespaced,
            namespace: None,
            label_selector: Some(String::new()),
            field_selector: Some("metadata.name=web-0".into()),
        };
        let list = |what: &Selection| {
            let selectors = Selectors::parse(what).unwrap();
            Request::select(place(Reference::selection(what).unwrap()), Verb::List, &selectors)
        };
        assert_eq!(needs(&list(&what)), ["list pods web-0"]);
        assert_eq!(list(&what).target().name, None);
        what.field_selector = Some("metadata.name!=web-0".into());
        assert_eq!(needs(&list(&what)), ["list pods"]);
    }

    #[test]
    fn body_version_is_used_if_reference_has_none() {
        let body = json!({"apiVersion": "batch/v1beta1"});
        let mut job = object("Job", "mnist");
        job.kind.group = "batch".into();
        let version = |job: &ObjectRef| Reference::whole(job, Some(&body)).unwrap().version.unwrap();
        assert_eq!(version(&job).as_str(), "v1beta1");
        job.kind.version = Some("v1".into());
        assert_eq!(version(&job).as_str(), "v1");
        job.subresource = Some("scale".into());
        assert!(Reference::whole(&job, Some(&body)).is_err());
    }

    #[test]
    fn namespace_object_is_in_its_own_namespace() {
        let namespace = place(Reference::object(&object("Namespace", "team-a")).unwrap());
        assert!(Request::get(namespace.clone()).access.in_environment());
        let create = Request::create(namespace, &mut json!({})).unwrap();
        assert_eq!((create.access.namespace, create.access.name), (None, None));
    }

    #[test]
    fn stream_or_credential_subresource_is_refused() {
        for subresource in NOT_DOCUMENTS.into_iter().chain(["../x", ""]) {
            let below = ObjectRef { subresource: Some(subresource.into()), ..object("Pod", "web-0") };
            assert_eq!(Reference::object(&below).unwrap_err().code, ErrorCode::Invalid, "{subresource}");
        }
    }

    #[test]
    fn empty_or_oversized_command_is_invalid() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert!(check_command(&words(&["sh", "-c", "a\nb", ""])).is_ok());
        assert!(check_command(&[]).is_err());
        assert!(check_command(&words(&["", "x"])).is_err());
        assert!(check_command(&words(&["a\0b"])).is_err());
        assert!(check_command(&words(&["x"; MAX_COMMAND_WORDS + 1])).is_err());
        assert!(check_command(&words(&[&"x".repeat(MAX_COMMAND_BYTES + 1)])).is_err());
    }

    #[test]
    fn question_with_invalid_words_is_refused() {
        let question = |verb: &str, resource: &str| AccessQuestion {
            verb: verb.into(),
            group: String::new(),
            resource: resource.into(),
            namespace: None,
            name: None,
        };
        let parse = |question| Question::parse_all(&[question], &Namespace::parse("team-a").unwrap());
        assert!(parse(question("list", "pods/log")).is_ok());
        for (verb, resource) in
            [("List", "pods"), ("", "pods"), ("get pods", "pods"), ("*", "pods"), ("get", "*")]
        {
            assert!(parse(question(verb, resource)).is_err(), "{verb} {resource}");
        }
    }
}
