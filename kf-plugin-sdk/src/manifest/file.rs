//! Reading objects of known kinds from files.

use serde_json::Value;

use super::yaml::{self, Dialect};
use crate::abi::Kind;
use crate::args::FileArg;
use crate::command_line::CommandLine;
use crate::error::{Error, Result};
use crate::kf::Kf;
use crate::objects::Object;

/// Metadata fields of an exported object that the server or its controllers set. Owners and finalizers belong to the
/// exported object, not to the one created from it.
const SERVER_FIELDS: [&str; 11] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The annotation in which `kubectl apply` stores the object as it was last applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Reads the object of a name from a file of objects of these kinds.
///
/// The file is YAML or JSON as kubectl accepts it: documents, concatenated JSON values, or a list such as
/// `kind: List`. If the file has one object, its name is replaced; if it has several, one must have the name. A file
/// that contains any other kind is refused, because that object would not be applied.
pub fn read_manifest(kf: &Kf, file: &FileArg, name: &str, kinds: &[Kind]) -> Result<Object> {
    let path = shown(file);
    let object = choose(read_objects(kf, file, kinds)?, name, path)?;
    check_namespace(kf, &object, path)?;
    let called = object.name();
    if !called.is_empty() && called != name {
        kf.note(format!("{path} names it {called}; using {name}"));
    }
    let mut object = without_status(object);
    object.set("/metadata/name", name);
    Ok(object)
}

/// Reads the only object of a file, which must have a name. `named` returns the command line that selects an object
/// of the file by name, for the hint.
pub fn read_named_manifest(
    kf: &Kf,
    file: &FileArg,
    kinds: &[Kind],
    named: impl Fn(&str) -> CommandLine,
) -> Result<Object> {
    let path = shown(file);
    let mut objects = read_objects(kf, file, kinds)?;
    let names: Vec<_> =
        objects.iter().map(|object| object.name().to_owned()).filter(|name| !name.is_empty()).collect();
    let one = objects.pop().filter(|_| objects.is_empty());
    match (one, names.as_slice()) {
        (Some(object), [_]) => {
            check_namespace(kf, &object, path)?;
            Ok(without_status(object))
        }
        (_, []) => Err(Error::invalid(format!("{path} has no metadata.name")).hint(named("NAME"))),
        (_, [first, ..]) => {
            Err(Error::invalid(format!("{path} contains {}; specify one", names.join(" and ")))
                .hint(named(first)))
        }
    }
}

fn read_objects(kf: &Kf, file: &FileArg, kinds: &[Kind]) -> Result<Vec<Object>> {
    let (path, command) = (shown(file), kf.context().command);
    let documents = flattened(read_documents(kf, file, Dialect::Kubernetes)?);
    documents.into_iter().map(|document| check_kind(document, path, kinds, &command)).collect()
}

/// Reads the documents of a file, skipping null ones. An empty file is an error.
pub fn read_documents(kf: &Kf, file: &FileArg, dialect: Dialect) -> Result<Vec<Value>> {
    let path = shown(file);
    let text = yaml::decode(file.read(kf)?)
        .ok_or_else(|| Error::invalid(format!("{path} is not valid UTF-8 or UTF-16")))?;
    let documents =
        yaml::documents(&text, dialect).map_err(|error| Error::invalid(format!("{path}{error}")))?;
    if documents.is_empty() {
        return Err(Error::invalid(format!("{path} is empty")));
    }
    Ok(documents)
}

fn shown(file: &FileArg) -> &str {
    if file.path() == "-" { "stdin" } else { file.path() }
}

/// Replaces lists by their items. Items of a list such as `TrainJobList` can omit their kind.
fn flattened(documents: Vec<Value>) -> Vec<Value> {
    let mut objects = Vec::new();
    for mut document in documents {
        let text = |field: &str| document.get(field).and_then(Value::as_str).map(str::to_owned);
        let of_items = text("kind").and_then(|kind| kind.strip_suffix("List").map(str::to_owned));
        let version = text("apiVersion");
        let items = document.get_mut("items").map(Value::take);
        match (of_items, items) {
            (Some(kind), Some(Value::Array(items))) => {
                objects.extend(items.into_iter().map(|item| with_kind(item, &kind, version.as_deref())));
            }
            // kubectl also accepts a list whose items are null.
            (Some(_), Some(Value::Null)) => {}
            (_, items) => {
                if let (Some(items), Some(fields)) = (items, document.as_object_mut()) {
                    fields.insert("items".to_owned(), items);
                }
                objects.push(document);
            }
        }
    }
    objects
}

fn with_kind(mut item: Value, kind: &str, version: Option<&str>) -> Value {
    if let (Some(fields), false) = (item.as_object_mut(), kind.is_empty())
        && !fields.contains_key("kind")
    {
        fields.insert("kind".to_owned(), kind.into());
        if let Some(version) = version {
            fields.entry("apiVersion").or_insert_with(|| version.into());
        }
    }
    item
}

fn without_status(object: Object) -> Object {
    let mut value = object.into_value();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !SERVER_FIELDS.contains(&field.as_str()));
    }
    if let Some(annotations) = value.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    value.into()
}

fn check_kind(document: Value, path: &str, kinds: &[Kind], command: &str) -> Result<Object> {
    if !document.is_object() {
        return Err(Error::invalid(format!("{path} contains a document that is not a Kubernetes object")));
    }
    let object = Object::from(document);
    if kinds.iter().any(|kind| kind.kind == object.kind() && kind.group == object.group()) {
        check_metadata(&object, path)?;
        return Ok(object);
    }
    if object.kind().is_empty() {
        let first = kinds.first().map(|kind| kind.kind.as_str()).unwrap_or_default();
        return Err(Error::invalid(format!("{path} has no kind; add `kind: {first}`")));
    }
    let named = |kind: &Kind| format!("{}s of {}", kind.kind, kind.group);
    let wanted = match kinds {
        [] => String::new(),
        [only] => named(only),
        [first, second] => format!("{} and {}", named(first), named(second)),
        [first, second, ..] => format!("{}, {} and similar kinds", named(first), named(second)),
    };
    let kind = object.kind();
    let article = if kind.starts_with(['A', 'E', 'I', 'O']) { "an" } else { "a" };
    let group = if object.group().is_empty() { String::new() } else { format!(" of {}", object.group()) };
    Err(Error::invalid(format!(
        "{path} contains {article} {kind}{group}; kf {command} applies only {wanted}"
    ))
    .hint("move it to a separate file"))
}

/// Checks that name and namespace are strings. To Kubernetes, `name: y` is a boolean.
fn check_metadata(object: &Object, path: &str) -> Result<()> {
    let wrong = |what: String, fix: &str| Err(Error::invalid(format!("{path}: {what}")).hint(fix));
    match object.at("/metadata") {
        None | Some(Value::Null | Value::Object(_)) => {}
        Some(_) => return wrong("metadata is not a mapping".to_owned(), "use `metadata: {name: NAME}`"),
    }
    for field in ["name", "namespace"] {
        match object.at(&format!("/metadata/{field}")) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => {
                let what = format!("metadata.{field} must be a string, but YAML reads it as {other}");
                return wrong(what, "quote the value");
            }
        }
    }
    Ok(())
}

fn check_namespace(kf: &Kf, object: &Object, path: &str) -> Result<()> {
    let here = kf.namespace();
    match object.namespace() {
        Some(there) if there != here => {
            Err(Error::invalid(format!("{path} sets the namespace {there}, but the current one is {here}"))
                .hint(kf.command_line().set("-n", there)))
        }
        _ => Ok(()),
    }
}

fn choose(mut objects: Vec<Object>, name: &str, path: &str) -> Result<Object> {
    if objects.len() > 1 {
        let names: Vec<_> = objects.iter().map(|object| object.name().to_owned()).collect();
        objects.retain(|object| object.name() == name);
        if objects.is_empty() {
            return Err(Error::invalid(format!(
                "{path} contains {}, but nothing named {name}",
                names.join(" and ")
            )));
        }
        if objects.len() > 1 {
            return Err(Error::invalid(format!("{path} contains {} objects named {name}", objects.len())));
        }
    }
    objects.pop().ok_or_else(|| Error::invalid(format!("{path} is empty")))
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ErrorCode;
    use crate::testing::FakeHost;

    const HEAD: &str = "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\n";

    fn read(text: &str, name: &str) -> Result<Object> {
        let host = FakeHost::new("team-a");
        host.change_context(|context| context.command = "serve".into());
        host.file("iris.yaml", text);
        let file = "iris.yaml".parse().map_err(Error::invalid)?;
        let kinds = [Kind::new("serving.kserve.io", "InferenceService"), Kind::new("apps", "Deployment")];
        read_manifest(&host.kf(), &file, name, &kinds)
    }

    #[test]
    fn single_object_gets_requested_name() {
        let object = read(&format!("{HEAD}metadata: {{name: other, uid: x}}\nstatus: {{}}\n"), "iris");
        let object = object.unwrap();
        assert_eq!((object.name(), object.uid(), object.at("/status")), ("iris", None, None));
    }

    #[test]
    fn object_is_chosen_by_name_among_several() {
        let text =
            format!("{HEAD}metadata: {{name: a}}\n---\n{HEAD}metadata: {{name: b}}\nspec: {{x: 1}}\n---\n");
        assert_eq!(read(&text, "b").unwrap().int("/spec/x"), Some(1));
        assert_eq!(read(&text, "c").unwrap_err().message, "iris.yaml contains a and b, but nothing named c");
    }

    #[test]
    fn objects_of_list_are_read() {
        let item = "{apiVersion: serving.kserve.io/v1beta1, kind: InferenceService, metadata: {name: b}, spec: {x: 1}}";
        for list in [
            format!("apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: ''}}\nitems:\n- {item}\n"),
            format!("kind: List\nitems: [{item}]\n"),
            "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceServiceList\nitems:\n- {metadata: {name: b}, spec: {x: 1}}\n"
                .to_owned(),
            format!("{HEAD}metadata: {{name: a}}\n---\nkind: List\nitems: [{item}]\n"),
            format!("{{\"kind\":\"List\",\"items\":[]}}{{\"kind\":\"List\",\"items\":[{}]}}", r#"{"apiVersion":"serving.kserve.io/v1beta1","kind":"InferenceService","metadata":{"name":"b"},"spec":{"x":1}}"#),
        ] {
            let object = read(&list, "b").unwrap();
            assert_eq!((object.name(), object.int("/spec/x")), ("b", Some(1)), "{list}");
            assert_eq!(object.str("/apiVersion"), Some("serving.kserve.io/v1beta1"));
        }
        let refused = |text: &str| read(text, "b").unwrap_err().message;
        assert_eq!(refused("kind: List\nitems: []\n"), "iris.yaml is empty");
        assert_eq!(refused("kind: List\nitems:\n"), "iris.yaml is empty");
        assert!(refused("kind: List\n").starts_with("iris.yaml contains a List;"));
        assert!(refused("kind: List\nitems: [1]\n").contains("not a Kubernetes object"));
        assert!(refused("kind: List\nitems: [{metadata: {name: b}}]\n").contains("has no kind"));
        assert!(
            refused("kind: List\nitems: [{kind: Secret, apiVersion: v1}]\n").contains("contains a Secret;")
        );
        assert!(
            refused("kind: SecretList\napiVersion: v1\nitems: [{metadata: {name: b}}]\n")
                .contains("contains a Secret;")
        );
    }

    #[test]
    fn server_fields_of_exported_object_are_removed() {
        let text = format!(
            "{HEAD}metadata:\n  name: iris\n  uid: x\n  resourceVersion: '7'\n  generation: 2\n  generateName: i-\n  \
             creationTimestamp: null\n  deletionTimestamp: 2026-01-01T00:00:00Z\n  deletionGracePeriodSeconds: 0\n  \
             selfLink: /x\n  finalizers: [a.b/c]\n  managedFields: []\n  ownerReferences:\n  - {{apiVersion: a/v1, \
             kind: A, name: a, uid: y}}\n  labels: {{team: ml}}\n  annotations:\n    note: kept\n    \
             kubectl.kubernetes.io/last-applied-configuration: '{{}}'\nspec: {{x: 0400}}\nstatus: {{}}\n"
        );
        let expected = json!({
            "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
            "metadata": { "name": "iris", "labels": { "team": "ml" }, "annotations": { "note": "kept" } },
            "spec": { "x": 256 },
        });
        assert_eq!(read(&text, "iris").unwrap().into_value(), expected);
    }

    #[test]
    fn metadata_that_is_not_a_string_is_refused() {
        let refused =
            |metadata: &str| read(&format!("{HEAD}metadata: {metadata}\n"), "iris").unwrap_err().message;
        let name = "iris.yaml: metadata.name must be a string, but YAML reads it as";
        assert_eq!(refused("{name: y}"), format!("{name} true"));
        assert_eq!(refused("{name: 0400}"), format!("{name} 256"));
        assert_eq!(refused("{name: [a]}"), format!("{name} [\"a\"]"));
        assert_eq!(
            refused("{namespace: 1e3}"),
            "iris.yaml: metadata.namespace must be a string, but YAML reads it as 1000"
        );
        assert_eq!(refused("iris"), "iris.yaml: metadata is not a mapping");
        assert_eq!(read(&format!("{HEAD}metadata: {{name: 'y'}}\n"), "y").unwrap().name(), "y");
        assert_eq!(read(&format!("{HEAD}metadata:\n"), "y").unwrap().name(), "y");
    }

    #[test]
    fn object_of_another_namespace_is_refused() {
        let error = read(&format!("{HEAD}metadata: {{namespace: team-b}}\n"), "iris").unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        assert_eq!(error.message, "iris.yaml sets the namespace team-b, but the current one is team-a");
        assert_eq!(error.hint.as_deref(), Some("kf -n team-b serve"));
    }

    #[test]
    fn object_of_another_kind_is_refused() {
        let refused = |text: &str| read(text, "iris").unwrap_err().message;
        assert!(refused("apiVersion: v1\nkind: Secret\n").contains("contains a Secret;"));
        assert_eq!(
            refused("apiVersion: evil.example/v1\nkind: InferenceService\n"),
            "iris.yaml contains an InferenceService of evil.example; kf serve applies only InferenceServices of \
             serving.kserve.io and Deployments of apps"
        );
        // Without an apiVersion the group is empty.
        assert!(refused("kind: InferenceService\n").contains("contains an InferenceService;"));
        assert!(refused("spec: {}\n").contains("has no kind"));
        assert!(refused("- 1\n").contains("not a Kubernetes object"));
        assert_eq!(refused("---\n"), "iris.yaml is empty");
    }

    #[test]
    fn yaml_error_names_line_and_column() {
        let error = read("a: b\n  c: d\n", "iris").unwrap_err();
        let expected =
            "iris.yaml is not valid YAML: line 2 column 4: mapping values are not allowed in this context";
        assert_eq!(error.message, expected);
    }
}
