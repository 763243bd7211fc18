//! The job in a file.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::ComponentKind;
use serde_json::Value;

/// Reads the job of this name from the file.
///
/// A file with one job may call it something else, or nothing; a file with several must have one of
/// that name. Anything that is of none of these kinds is refused, because the command applies
/// nothing else.
pub fn read(kf: &Kf, file: &FileArg, name: &str, kinds: &[ComponentKind]) -> Result<Object> {
    let command = kf.context().command;
    let mut jobs = Vec::new();
    for document in parse(&file.read_text(kf)?, file.path())? {
        jobs.push(check_kind(document, file.path(), kinds, &command)?);
    }
    let mut job = choose(jobs, name, file.path())?;
    check_namespace(kf, &job, file.path(), name)?;
    let called = job.name().to_owned();
    if !called.is_empty() && called != name {
        let file = if file.path() == "-" { "stdin" } else { file.path() };
        kf.note(format!("{file} calls the job {called}; here it is {name}"));
    }
    job.set("/metadata/name", name);
    Ok(without_server_fields(job))
}

/// Without what an exported object carries and the server fills in.
fn without_server_fields(job: Object) -> Object {
    let mut value = job.into_value();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in
            ["creationTimestamp", "generateName", "generation", "managedFields", "resourceVersion", "uid"]
        {
            metadata.remove(field);
        }
    }
    value.into()
}

fn parse(text: &str, path: &str) -> Result<Vec<Value>> {
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

fn check_kind(document: Value, path: &str, kinds: &[ComponentKind], command: &str) -> Result<Object> {
    if !document.is_object() {
        return Err(Error::invalid(format!("{path} holds something that is no Kubernetes object")));
    }
    let object = Object::from(document);
    let known = ComponentKind::of(&object).filter(|_| object.str("/apiVersion").is_some());
    if known.is_some_and(|kind| kinds.contains(&kind)) {
        return Ok(object);
    }
    let named = |kind: &ComponentKind| format!("{}s of {}", kind.kind().kind, kind.group());
    let wanted = match kinds {
        [] => String::new(),
        [only] => named(only),
        [first, second] => format!("{} and {}", named(first), named(second)),
        [first, second, ..] => format!("{}, {} and the like", named(first), named(second)),
    };
    match object.kind() {
        "" => {
            let first = kinds.first().map(|kind| kind.kind().kind).unwrap_or_default();
            Err(Error::invalid(format!("{path} does not say its kind; write `kind: {first}`")))
        }
        kind => Err(Error::invalid(format!(
            "{path} holds a {kind}{}; kf {command} applies {wanted} and nothing else",
            of_group(&object)
        ))
        .hint("move it to a file of its own")),
    }
}

fn of_group(object: &Object) -> String {
    match object.group() {
        "" => String::new(),
        group => format!(" of {group}"),
    }
}

fn choose(mut jobs: Vec<Object>, name: &str, path: &str) -> Result<Object> {
    if jobs.len() > 1 {
        let names: Vec<_> = jobs.iter().map(|job| job.name().to_owned()).collect();
        jobs.retain(|job| job.name() == name);
        if jobs.is_empty() {
            return Err(Error::invalid(format!(
                "{path} holds {}, none is called {name}",
                names.join(" and ")
            )));
        }
        if jobs.len() > 1 {
            return Err(Error::invalid(format!("{path} holds {} jobs called {name}", jobs.len())));
        }
    }
    jobs.pop().ok_or_else(|| Error::invalid(format!("{path} is empty")))
}

fn check_namespace(kf: &Kf, job: &Object, path: &str, name: &str) -> Result<()> {
    let here = kf.namespace();
    match job.namespace() {
        Some(there) if there != here => {
            let command = kf.context().command;
            Err(Error::invalid(format!("{path} names the namespace {there}, and this is {here}"))
                .hint(format!("kf -n {there} {command} {name} {path}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use kf_plugin_sdk::testing::FakeHost;

    use super::*;

    fn read_text(text: &str, name: &str) -> Result<Object> {
        let host = FakeHost::new("team-a");
        host.change_context(|context| context.command = "train".into());
        host.file("job.yaml", text);
        let file = "job.yaml".parse().unwrap();
        read(&host.kf(), &file, name, &[ComponentKind::TrainJob, ComponentKind::PyTorchJob])
    }

    const JOB: &str = "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\n";

    #[test]
    fn a_single_job_takes_the_name_it_is_given() {
        let job =
            read_text(&format!("{JOB}metadata: {{name: other, uid: x}}\nstatus: {{}}\n"), "mnist").unwrap();
        assert_eq!(job.name(), "mnist");
        assert_eq!(job.at("/status"), None);
        assert_eq!(job.uid(), None);
    }

    #[test]
    fn of_several_jobs_the_one_of_that_name_is_taken() {
        let text =
            format!("{JOB}metadata: {{name: a}}\n---\n{JOB}metadata: {{name: b}}\nspec: {{x: 1}}\n---\n");
        assert_eq!(read_text(&text, "b").unwrap().int("/spec/x"), Some(1));
        let error = read_text(&text, "c").unwrap_err();
        assert_eq!(error.message, "job.yaml holds a and b, none is called c");
    }

    #[test]
    fn another_namespace_is_refused() {
        let error = read_text(&format!("{JOB}metadata: {{namespace: team-b}}\n"), "mnist").unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        assert_eq!(error.message, "job.yaml names the namespace team-b, and this is team-a");
        assert_eq!(error.hint.as_deref(), Some("kf -n team-b train mnist job.yaml"));
    }

    #[test]
    fn nothing_but_train_jobs_is_applied() {
        let refused = |text: &str| read_text(text, "mnist").unwrap_err().message;
        assert!(refused("apiVersion: v1\nkind: Secret\n").contains("holds a Secret"));
        assert_eq!(
            refused("apiVersion: evil.example/v1\nkind: TrainJob\n"),
            "job.yaml holds a TrainJob of evil.example; kf train applies TrainJobs of trainer.kubeflow.org and \
             PyTorchJobs of kubeflow.org and nothing else"
        );
        assert!(refused("apiVersion: kubeflow.org/v1\nkind: TFJob\n").contains("holds a TFJob"));
        assert!(
            refused("kind: TrainJob\n").contains("holds a TrainJob"),
            "without a version it is of no group"
        );
        assert!(refused("spec: {}\n").contains("does not say its kind"));
        assert!(refused("- 1\n").contains("no Kubernetes object"));
        assert_eq!(refused("---\n"), "job.yaml is empty");
    }

    #[test]
    fn broken_yaml_says_where() {
        let error = read_text("a: b\n  c: d\n", "mnist").unwrap_err();
        let expected =
            "job.yaml is not valid YAML: line 2 column 4: mapping values are not allowed in this context";
        assert_eq!(error.message, expected);
    }
}
