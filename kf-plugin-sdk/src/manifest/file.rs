//! The object of a known kind in a file.

use serde_json::Value;

use crate::args::FileArg;
use crate::border::Kind;
use crate::error::{Error, Result};
use crate::kf::Kf;
use crate::objects::Object;

/// What an exported object carries and the server fills in.
const OF_THE_SERVER: [&str; 6] =
    ["creationTimestamp", "generateName", "generation", "managedFields", "resourceVersion", "uid"];

/// Reads the object of this name from a file, if it is of one of these kinds.
///
/// A file with one object may call it something else, or nothing; a file with several must have
/// one of that name. A file with any other kind is refused, because it would not be applied.
pub fn read_manifest(kf: &Kf, file: &FileArg, name: &str, kinds: &[Kind]) -> Result<Object> {
    let path = file.path();
    let command = kf.context().command;
    let mut objects = Vec::new();
    for document in documents(&file.read_text(kf)?, path)? {
        objects.push(check_kind(document, path, kinds, &command)?);
    }
    let object = choose(objects, name, path)?;
    check_namespace(kf, &object, path)?;
    let called = object.name();
    if !called.is_empty() && called != name {
        let path = if path == "-" { "stdin" } else { path };
        kf.note(format!("{path} calls it {called}; here it is {name}"));
    }
    let mut value = object.into_value();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !OF_THE_SERVER.contains(&field.as_str()));
    }
    let mut object = Object::from(value);
    object.set("/metadata/name", name);
    Ok(object)
}

fn check_kind(document: Value, path: &str, kinds: &[Kind], command: &str) -> Result<Object> {
    if !document.is_object() {
        return Err(Error::invalid(format!("{path} holds something that is no Kubernetes object")));
    }
    let object = Object::from(document);
    if kinds.iter().any(|kind| kind.kind == object.kind() && kind.group == object.group()) {
        return Ok(object);
    }
    if object.kind().is_empty() {
        let first = kinds.first().map(|kind| kind.kind.as_str()).unwrap_or_default();
        return Err(Error::invalid(format!("{path} does not say its kind; write `kind: {first}`")));
    }
    let named = |kind: &Kind| format!("{}s of {}", kind.kind, kind.group);
    let wanted = match kinds {
        [] => String::new(),
        [only] => named(only),
        [first, second] => format!("{} and {}", named(first), named(second)),
        [first, second, ..] => format!("{}, {} and the like", named(first), named(second)),
    };
    let kind = object.kind();
    let article = if kind.starts_with(['A', 'E', 'I', 'O']) { "an" } else { "a" };
    let group = if object.group().is_empty() { String::new() } else { format!(" of {}", object.group()) };
    Err(Error::invalid(format!(
        "{path} holds {article} {kind}{group}; kf {command} applies {wanted} and nothing else"
    ))
    .hint("move it to a file of its own"))
}

fn check_namespace(kf: &Kf, object: &Object, path: &str) -> Result<()> {
    let here = kf.namespace();
    match object.namespace() {
        Some(there) if there != here => {
            Err(Error::invalid(format!("{path} names the namespace {there}, and this is {here}"))
                .hint(kf.command_line().set("-n", there)))
        }
        _ => Ok(()),
    }
}

/// Every document of a YAML or JSON file that is not empty.
fn documents(text: &str, path: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        let complaint = error.to_string();
        let first = complaint.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Error::invalid(format!("{path} is not valid YAML: {first}"))
    })?;
    let documents: Vec<_> = documents.into_iter().filter(|document| !document.is_null()).collect();
    if documents.is_empty() {
        return Err(Error::invalid(format!("{path} is empty")));
    }
    Ok(documents)
}

fn choose(mut objects: Vec<Object>, name: &str, path: &str) -> Result<Object> {
    if objects.len() > 1 {
        let names: Vec<_> = objects.iter().map(|object| object.name().to_owned()).collect();
        objects.retain(|object| object.name() == name);
        if objects.is_empty() {
            return Err(Error::invalid(format!(
                "{path} holds {}, none is called {name}",
                names.join(" and ")
            )));
        }
        if objects.len() > 1 {
            return Err(Error::invalid(format!("{path} holds {} objects called {name}", objects.len())));
        }
    }
    objects.pop().ok_or_else(|| Error::invalid(format!("{path} is empty")))
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
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
    fn a_single_object_takes_the_name_it_is_given() {
        let object = read(&format!("{HEAD}metadata: {{name: other, uid: x}}\nstatus: {{}}\n"), "iris");
        let object = object.unwrap();
        assert_eq!((object.name(), object.uid(), object.at("/status")), ("iris", None, None));
    }

    #[test]
    fn of_several_objects_the_one_of_that_name_is_taken() {
        let text =
            format!("{HEAD}metadata: {{name: a}}\n---\n{HEAD}metadata: {{name: b}}\nspec: {{x: 1}}\n---\n");
        assert_eq!(read(&text, "b").unwrap().int("/spec/x"), Some(1));
        assert_eq!(read(&text, "c").unwrap_err().message, "iris.yaml holds a and b, none is called c");
    }

    #[test]
    fn another_namespace_is_refused() {
        let error = read(&format!("{HEAD}metadata: {{namespace: team-b}}\n"), "iris").unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        assert_eq!(error.message, "iris.yaml names the namespace team-b, and this is team-a");
        assert_eq!(error.hint.as_deref(), Some("kf -n team-b serve"));
    }

    #[test]
    fn nothing_but_these_kinds_is_applied() {
        let refused = |text: &str| read(text, "iris").unwrap_err().message;
        assert!(refused("apiVersion: v1\nkind: Secret\n").contains("holds a Secret;"));
        assert_eq!(
            refused("apiVersion: evil.example/v1\nkind: InferenceService\n"),
            "iris.yaml holds an InferenceService of evil.example; kf serve applies InferenceServices of \
             serving.kserve.io and Deployments of apps and nothing else"
        );
        // Without a version it is of no group.
        assert!(refused("kind: InferenceService\n").contains("holds an InferenceService;"));
        assert!(refused("spec: {}\n").contains("does not say its kind"));
        assert!(refused("- 1\n").contains("no Kubernetes object"));
        assert_eq!(refused("---\n"), "iris.yaml is empty");
    }

    #[test]
    fn broken_yaml_says_where() {
        let error = read("a: b\n  c: d\n", "iris").unwrap_err();
        let expected =
            "iris.yaml is not valid YAML: line 2 column 4: mapping values are not allowed in this context";
        assert_eq!(error.message, expected);
    }
}
