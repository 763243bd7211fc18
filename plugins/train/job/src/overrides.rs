//! Flags on top of the file.

use kf_plugin_sdk::prelude::*;
use serde_json::{Value, json};

use crate::{JobFlags, QUEUE_LABEL, quantity};

/// Puts every flag but `--runtime` and `--from-dir` onto the training job; `--set` last, for it is
/// the most exact.
pub fn apply(flags: &JobFlags, job: &mut Object) -> Result<()> {
    if let Some(nodes) = flags.nodes {
        job.set("/spec/trainer/numNodes", nodes);
    }
    if let Some(image) = &flags.image {
        job.set("/spec/trainer/image", image.as_str());
    }
    set_resources(flags, job)?;
    set_queue(flags, job);
    if !flags.command.is_empty() {
        job.set("/spec/trainer/command", flags.command.clone());
        // Arguments in the file were meant for the file's command.
        if let Some(trainer) = job.at("/spec/trainer").and_then(Value::as_object) {
            let mut trainer = trainer.clone();
            trainer.remove("args");
            job.set("/spec/trainer", trainer);
        }
    }
    for pair in &flags.env {
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Error::invalid(format!("--env {pair} is not NAME=VALUE")))?;
        set_variable(job, name, value);
    }
    set_fields(flags, job)
}

/// `--set` alone, which fits any kind of object.
pub fn set_fields(flags: &JobFlags, job: &mut Object) -> Result<()> {
    for pair in &flags.set {
        let (path, value) =
            pair.split_once('=').ok_or_else(|| Error::invalid(format!("--set {pair} is not PATH=VALUE")))?;
        set(job, path, value)?;
    }
    Ok(())
}

/// `--queue` alone, which fits every kind Kueue knows.
pub fn set_queue(flags: &JobFlags, job: &mut Object) {
    if let Some(queue) = &flags.queue {
        job.set(&format!("/metadata/labels/{}", escaped(QUEUE_LABEL)), queue.as_str());
    }
}

/// What a node asks for is what it gets: requests and limits are the same.
fn set_resources(flags: &JobFlags, job: &mut Object) -> Result<()> {
    let mut wanted = Vec::new();
    if let Some(cpu) = &flags.cpu {
        quantity::check("cpu", cpu, "4 or 500m")?;
        wanted.push(("cpu", cpu.as_str()));
    }
    if let Some(memory) = &flags.memory {
        quantity::check("memory", memory, "16Gi")?;
        wanted.push(("memory", memory.as_str()));
    }
    if let Some(gpu) = &flags.gpu {
        let (resource, count) = gpu.split_once('=').unwrap_or(("nvidia.com/gpu", gpu));
        if resource.is_empty() || count.parse::<u32>().is_err() {
            return Err(Error::invalid(format!(
                "--gpu {gpu} is no number of GPUs, such as 1 or amd.com/gpu=1"
            )));
        }
        wanted.push((resource, count));
    }
    for (resource, quantity) in wanted {
        for part in ["requests", "limits"] {
            job.set(&format!("/spec/trainer/resourcesPerNode/{part}/{}", escaped(resource)), quantity);
        }
    }
    Ok(())
}

/// A name as a step of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Replaces a variable of that name or adds it.
fn set_variable(job: &mut Object, name: &str, value: &str) {
    let mut variables = job.list("/spec/trainer/env").to_vec();
    variables.retain(|variable| variable.get("name").and_then(Value::as_str) != Some(name));
    variables.push(json!({ "name": name, "value": value }));
    job.set("/spec/trainer/env", variables);
}

/// Sets one field. The value is read as YAML: `4` is a number, `"4"` is text, `[a, b]` a list.
fn set(job: &mut Object, path: &str, value: &str) -> Result<()> {
    let steps = steps(path)?;
    let text = || Value::String(value.to_owned());
    let value = match value {
        "" => text(),
        _ => serde_saphyr::from_str(value).unwrap_or_else(|_| text()),
    };
    let mut document = std::mem::take(job).into_value();
    let result = put(&mut document, &steps, value, path);
    *job = document.into();
    result
}

/// One step into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
}

/// `spec.trainer.env[0].value`; a dot within a name is written `\.`.
fn steps(path: &str) -> Result<Vec<Step>> {
    let wrong = |why: &str| Error::invalid(format!("--set {path}: {why}"));
    let marked = path.replace("\\.", "\0");
    let mut steps = Vec::new();
    for part in marked.split('.') {
        let (name, indexes) = part.split_once('[').map_or((part, None), |(name, rest)| (name, Some(rest)));
        if name.is_empty() {
            return Err(wrong("a name is missing between dots"));
        }
        steps.push(Step::Field(name.replace('\0', ".")));
        for index in indexes.into_iter().flat_map(|indexes| indexes.split('[')) {
            let index = index.strip_suffix(']').and_then(|index| index.parse().ok());
            steps.push(Step::Index(index.ok_or_else(|| wrong("an index is a number in brackets"))?));
        }
    }
    let field = |position: usize| match steps.get(position) {
        Some(Step::Field(name)) => name.as_str(),
        _ => "",
    };
    match (field(0), field(1)) {
        ("spec", _) | ("metadata", "labels" | "annotations") if steps.len() > 1 => Ok(steps),
        ("metadata", _) => Err(wrong("of the metadata only labels and annotations can be set")),
        _ => Err(wrong("a path starts with `spec.`, such as spec.trainer.numProcPerNode")),
    }
}

fn put(place: &mut Value, steps: &[Step], value: Value, path: &str) -> Result<()> {
    let Some((step, rest)) = steps.split_first() else {
        *place = value;
        return Ok(());
    };
    match step {
        Step::Field(name) => {
            if place.is_null() {
                *place = json!({});
            }
            let Value::Object(fields) = place else {
                return Err(Error::invalid(format!("--set {path}: what holds `{name}` has no fields")));
            };
            put(fields.entry(name.clone()).or_insert(Value::Null), rest, value, path)
        }
        Step::Index(index) => {
            if place.is_null() {
                *place = json!([]);
            }
            let Value::Array(items) = place else {
                return Err(Error::invalid(format!(
                    "--set {path}: [{index}] is asked of something that is no list"
                )));
            };
            if *index > items.len() {
                return Err(Error::invalid(format!("--set {path}: the list has {} items", items.len())));
            }
            if *index == items.len() {
                items.push(Value::Null);
            }
            items.get_mut(*index).map_or(Ok(()), |item| put(item, rest, value, path))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Object {
        json!({ "spec": { "trainer": {
            "args": ["--old"], "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }],
        } } })
        .into()
    }

    fn with(flags: JobFlags) -> Result<Object> {
        let mut job = job();
        apply(&flags, &mut job).map(|()| job)
    }

    fn set_to(pair: &str) -> Result<Object> {
        with(JobFlags { set: vec![pair.into()], ..JobFlags::default() })
    }

    #[test]
    fn a_command_replaces_the_arguments_of_the_old_one() {
        let job = with(JobFlags { command: vec!["python".into(), "train.py".into()], ..JobFlags::default() })
            .unwrap();
        assert_eq!(job.at("/spec/trainer/command"), Some(&json!(["python", "train.py"])));
        assert_eq!(job.at("/spec/trainer/args"), None);
    }

    #[test]
    fn resources_are_asked_for_and_granted_alike() {
        let flags = JobFlags {
            cpu: Some("500m".into()),
            memory: Some("1Gi".into()),
            gpu: Some("2".into()),
            queue: Some("team".into()),
            ..JobFlags::default()
        };
        let job = with(flags).unwrap();
        let expected = json!({ "cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "2" });
        assert_eq!(job.at("/spec/trainer/resourcesPerNode/limits"), Some(&expected));
        assert_eq!(job.at("/spec/trainer/resourcesPerNode/requests"), Some(&expected));
        assert_eq!(job.label("kueue.x-k8s.io/queue-name"), Some("team"));
        let job = with(JobFlags { gpu: Some("amd.com/gpu=1".into()), ..JobFlags::default() }).unwrap();
        assert_eq!(job.str("/spec/trainer/resourcesPerNode/limits/amd.com~1gpu"), Some("1"));
        for gpu in ["two", "=1", "nvidia.com/gpu=", "-1"] {
            assert!(with(JobFlags { gpu: Some(gpu.into()), ..JobFlags::default() }).is_err(), "{gpu}");
        }
        assert!(with(JobFlags { memory: Some("1GB".into()), ..JobFlags::default() }).is_err());
    }

    #[test]
    fn a_variable_replaces_its_namesake() {
        let job = with(JobFlags { env: vec!["A=x=y".into(), "C=".into()], ..JobFlags::default() }).unwrap();
        let expected = json!([
            { "name": "B", "value": "2" }, { "name": "A", "value": "x=y" }, { "name": "C", "value": "" },
        ]);
        assert_eq!(job.at("/spec/trainer/env"), Some(&expected));
        assert!(with(JobFlags { env: vec!["=x".into()], ..JobFlags::default() }).is_err());
    }

    #[test]
    fn a_set_value_is_typed_like_yaml() {
        let value = |pair: &str| set_to(pair).unwrap().at("/spec/x").cloned();
        assert_eq!(value("spec.x=4"), Some(json!(4)));
        assert_eq!(value("spec.x=\"4\""), Some(json!("4")));
        assert_eq!(value("spec.x=8Gi"), Some(json!("8Gi")));
        assert_eq!(value("spec.x=[a, 1]"), Some(json!(["a", 1])));
        assert_eq!(value("spec.x="), Some(json!("")));
        assert_eq!(value("spec.x=a=b"), Some(json!("a=b")));
    }

    #[test]
    fn a_set_path_reaches_into_lists_and_dotted_names() {
        let job = set_to("spec.trainer.env[1].value=9").unwrap();
        assert_eq!(job.int("/spec/trainer/env/1/value"), Some(9));
        let job = set_to(r"spec.trainer.resourcesPerNode.limits.nvidia\.com/gpu=1").unwrap();
        assert_eq!(job.int("/spec/trainer/resourcesPerNode/limits/nvidia.com~1gpu"), Some(1));
        let job = set_to("metadata.labels.team=ml").unwrap();
        assert_eq!(job.label("team"), Some("ml"));
    }

    #[test]
    fn a_set_path_that_leads_nowhere_is_refused() {
        for pair in [
            "spec=1",
            "x.y=1",
            "metadata.name=x",
            "metadata.namespace=x",
            "spec..x=1",
            "spec.x",
            "spec.x[a]=1",
            "spec.trainer.env[7].name=x",
            "spec.trainer.env.name=x",
            "spec.trainer[0]=x",
            "status.x=1",
            "=1",
        ] {
            assert_eq!(set_to(pair).map_err(|error| error.code), Err(ErrorCode::Invalid), "{pair}");
        }
    }
}
