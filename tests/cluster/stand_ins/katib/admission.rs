//! The defaults, validation and mutation of Katib's webhooks.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::DynamicObject;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::super::super::images::BUSYBOX;
use super::super::text;
use super::{COLLECTOR, EXPERIMENT, METRICS_FILE, TRIAL, count, set, trials};

pub(super) enum Verdict {
    Allowed,
    /// A JSON patch.
    Changed(Vec<Value>),
    Refused(String),
}

/// The default for parallel trials.
const DEFAULT_PARALLEL: i64 = 3;

pub(super) fn default_experiment(request: &Value) -> Verdict {
    let Some(object) = request.get("object") else { return Verdict::Allowed };
    if let Some(refused) = decoding_error(object) {
        return Verdict::Refused(refused);
    }
    let Some(spec) = object.get("spec").filter(|spec| spec.is_object()) else { return Verdict::Allowed };
    let mut wanted = spec.clone();
    let missing = |spec: &Value, pointer: &str| spec.pointer(pointer).is_none_or(Value::is_null);
    if missing(&wanted, "/parallelTrialCount") {
        set(&mut wanted, "parallelTrialCount", json!(DEFAULT_PARALLEL));
    }
    if text(&wanted, "/resumePolicy").is_empty() {
        set(&mut wanted, "resumePolicy", json!("Never"));
    }
    if missing(&wanted, "/metricsCollectorSpec/collector") {
        set(&mut wanted, "metricsCollectorSpec", json!({"collector": {"kind": "StdOut"}}));
    }
    default_objective(&mut wanted);
    default_trial_template(&mut wanted);
    for parameter in wanted.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(space) = parameter.get_mut("feasibleSpace")
            && text(space, "/distribution").is_empty()
        {
            set(space, "distribution", json!("uniform"));
        }
    }
    if wanted == *spec {
        return Verdict::Allowed;
    }
    Verdict::Changed(vec![json!({"op": "replace", "path": "/spec", "value": wanted})])
}

fn default_objective(spec: &mut Value) {
    let Some(objective) = spec.get_mut("objective").filter(|objective| objective.is_object()) else { return };
    let metric = text(objective, "/objectiveMetricName").to_owned();
    let mut strategies =
        objective.get("metricStrategies").and_then(Value::as_array).cloned().unwrap_or_default();
    if strategies.iter().any(|strategy| text(strategy, "/name") == metric) {
        return;
    }
    let value = match text(objective, "/type") {
        "minimize" => "min",
        "maximize" => "max",
        _ => "latest",
    };
    strategies.push(json!({"name": metric, "value": value}));
    set(objective, "metricStrategies", json!(strategies));
}

fn default_trial_template(spec: &mut Value) {
    let Some(template) = spec.get_mut("trialTemplate").filter(|template| template.is_object()) else {
        return;
    };
    if text(template, "/trialSpec/kind") != "TrainJob" {
        return;
    }
    for (field, kind) in [("successCondition", "Complete"), ("failureCondition", "Failed")] {
        if text(template, &format!("/{field}")).is_empty() {
            let condition = format!("status.conditions.#(type==\"{kind}\")#|#(status==\"True\")#");
            set(template, field, json!(condition));
        }
    }
    if template.get("primaryPodLabels").is_none() {
        let labels = json!({
            "jobset.sigs.k8s.io/replicatedjob-name": "node", "batch.kubernetes.io/job-completion-index": "0",
        });
        set(template, "primaryPodLabels", labels);
    }
}

/// The error of decoding an object into Go's types; the definitions have no schema.
fn decoding_error(object: &Value) -> Option<String> {
    let is_wrong = |value: &Value, numbers: bool| match value {
        Value::Null => false,
        Value::Number(_) => !numbers,
        _ => numbers || !value.is_string(),
    };
    for (field, numbers) in [
        ("maxTrialCount", true),
        ("parallelTrialCount", true),
        ("maxFailedTrialCount", true),
        ("resumePolicy", false),
    ] {
        let value = object.pointer(&format!("/spec/{field}")).unwrap_or(&Value::Null);
        if is_wrong(value, numbers) {
            let kind = if value.is_string() { "string" } else { "object" };
            return Some(format!(
                "json: cannot unmarshal {kind} into Go struct field ExperimentSpec.spec.{field} of type {}",
                if numbers { "int32" } else { "v1beta1.ResumePolicyType" }
            ));
        }
    }
    None
}

pub(super) async fn validate_experiment(client: &Client, request: &Value) -> Verdict {
    let (object, old) = (request.get("object").cloned().unwrap_or_default(), request.get("oldObject"));
    let old = old.filter(|old| old.is_object());
    let namespace = text(request, "/namespace");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let labels = match namespaces.get(namespace).await {
        Ok(found) => found.metadata.labels.unwrap_or_default(),
        Err(error) => return Verdict::Refused(error.to_string()),
    };
    const INJECTION: &str = "katib.kubeflow.org/metrics-collector-injection";
    if labels.get(INJECTION).map(String::as_str) != Some("enabled") {
        let name = text(&object, "/metadata/name");
        return Verdict::Refused(format!(
            "Cannot create the Experiment {name:?} in namespace {namespace:?}: the namespace lacks label \
             \"{INJECTION}: enabled\""
        ));
    }
    match validation_errors(&object, old).as_slice() {
        [] => Verdict::Allowed,
        [only] => Verdict::Refused(only.clone()),
        several => Verdict::Refused(format!("[{}]", several.join(", "))),
    }
}

fn validation_errors(object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut all = Vec::new();
    let name = text(object, "/metadata/name");
    let is_valid_name = name.starts_with(|letter: char| letter.is_ascii_lowercase()) && name.len() <= 40;
    if !is_valid_name {
        all.push(format!(
            "metadata.name: Invalid value: {name:?}: name must consist of lower case alphanumeric characters or '-', \
             start with an alphabetic character, and end with an alphanumeric character and may not be longer than 40 \
             characters. "
        ));
    }
    let number = |field: &str| count(object, &format!("/spec/{field}"));
    let max = number("maxTrialCount");
    for (field, min, message) in [
        ("maxFailedTrialCount", 0, "should not be less than 0"),
        ("maxTrialCount", 1, "must be greater than 0"),
        ("parallelTrialCount", 1, "must be greater than 0"),
    ] {
        match number(field) {
            Some(value) if value < min => {
                all.push(format!("spec.{field}: Invalid value: {value}: {message}"))
            }
            Some(value) if field != "maxTrialCount" && max.is_some_and(|max| value > max) => {
                all.push(format!(
                    "spec.{field}: Invalid value: {value}: should be less than or equal to spec.maxTrialCount"
                ));
            }
            _ => {}
        }
    }
    if let Some(old) = old {
        all.extend(update_errors(object, old));
    }
    if !object.pointer("/spec/objective").is_some_and(Value::is_object) {
        all.push("spec.objective: Required value: must be specified".to_owned());
        return all;
    }
    if text(object, "/spec/objective/objectiveMetricName").is_empty() {
        all.push("spec.objective.objectiveMetricName: Required value: must be specified".to_owned());
    }
    if !["minimize", "maximize"].contains(&text(object, "/spec/objective/type")) {
        let kind = text(object, "/spec/objective/type");
        all.push(format!("spec.objective.type: Invalid value: {kind:?}: must be minimize or maximize"));
    }
    if !["random", "grid"].contains(&text(object, "/spec/algorithm/algorithmName")) {
        all.push("spec.algorithm.algorithmName: Invalid value: GetSuggestionConfigData failed".to_owned());
    }
    if !["Never", "LongRunning", "FromVolume"].contains(&text(object, "/spec/resumePolicy")) {
        all.push("spec.resumePolicy: Invalid value: invalid ResumePolicy".to_owned());
    }
    all.extend(template_errors(object));
    if object.pointer("/spec/parameters").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        all.push("spec: Required value: spec.parameters or spec.nasConfig must be specified".to_owned());
    }
    all
}

fn update_errors(object: &Value, old: &Value) -> Vec<String> {
    let mut all = Vec::new();
    let (new, before) = (object.get("spec"), old.get("spec"));
    if new == before {
        return all;
    }
    let status = old.get("status");
    let has_ended =
        super::status_has_condition(status, "Succeeded") || super::status_has_condition(status, "Failed");
    let reached_max = super::status_has_condition(status, "Succeeded")
        && old.to_string().contains("ExperimentMaxTrialsReached")
        && text(old, "/spec/resumePolicy") != "Never";
    if has_ended && !reached_max {
        let policy = text(object, "/spec/resumePolicy");
        all.push(format!(
            "spec.resumePolicy: Invalid value: {policy:?}: Experiment can be restarted if it is in succeeded state by \
             reaching max trials and spec.resumePolicy = LongRunning or spec.resumePolicy = FromVolume, when experiment \
             is completed"
        ));
    }
    let known = count(old, "/status/trials").unwrap_or(0);
    if let Some(max) = count(object, "/spec/maxTrialCount").filter(|max| *max <= known) {
        all.push(format!(
            "spec.maxTrialCount: Invalid value: {max}: must be greater than status.trials count"
        ));
    }
    let rest = |spec: Option<&Value>| {
        let mut spec = spec.cloned().unwrap_or_default();
        if let Some(fields) = spec.as_object_mut() {
            for field in ["maxFailedTrialCount", "maxTrialCount", "parallelTrialCount"] {
                fields.remove(field);
            }
        }
        spec
    };
    if rest(new) != rest(before) {
        all.push(
            "spec: Forbidden: only spec.parallelTrialCount, spec.maxTrialCount and spec.maxFailedTrialCount are editable"
                .to_owned(),
        );
    }
    all
}

fn template_errors(object: &Value) -> Vec<String> {
    let Some(template) = object.pointer("/spec/trialTemplate").filter(|template| template.is_object()) else {
        return vec!["spec.trialTemplate: Required value: must be specified".to_owned()];
    };
    let mut all = Vec::new();
    if text(template, "/primaryContainerName").is_empty() {
        all.push("spec.trialTemplate.primaryContainerName: Required value: must be specified".to_owned());
    }
    if text(template, "/successCondition").is_empty() || text(template, "/failureCondition").is_empty() {
        let missing = "Required value: successCondition and failureCondition must be specified";
        all.push(format!("spec.trialTemplate: {missing}"));
    }
    let Some(parameters) = template.get("trialParameters").and_then(Value::as_array) else {
        all.push("spec.trialTemplate.trialParameters: Required value: must be specified".to_owned());
        return all;
    };
    let mut spec = template.get("trialSpec").cloned().unwrap_or_default().to_string();
    for (index, parameter) in parameters.iter().enumerate() {
        let placeholder = format!("${{trialParameters.{}}}", text(parameter, "/name"));
        if !spec.contains(&placeholder) {
            let name = text(parameter, "/name");
            all.push(format!(
                "spec.trialTemplate.trialParameters[{index}].name: Invalid value: {name:?}: parameter name: {name} in \
                 spec.trialParameters not found in spec.trialTemplate"
            ));
        }
        spec = spec.replace(&placeholder, "test-value");
    }
    if spec.contains("${trialParameters.") {
        all.push("spec.trialTemplate: Invalid value: \"\": parameters in spec.trialTemplate not found in spec.trialParameters".to_owned());
    }
    if template.pointer("/trialSpec/metadata/name").is_some() {
        all.push(
            "spec.trialTemplate: Invalid value: \"\": metadata.name and metadata.namespace in spec.trialTemplate must be \
             omitted"
                .to_owned(),
        );
    }
    all
}

/// Prints the file with the trial's output, with a prefix as in klog, until the trial has ended. Fails if the trial fails.
const COLLECT: &str = r#"
f=/var/log/katib/metrics.log
until [ -e $f ]; do sleep 0.1; done
tail -n +1 -f $f | while read -r line; do echo "I0101 00:00:00.000000      14 main.go:139] $line"; done &
completed() { for p in /var/log/katib/*.pid; do [ -e "$p" ] && return 0; done; return 1; }
until completed; do
  alive=
  for c in /proc/[0-9]*/cmdline; do grep -q '[1]>/var/log/katib/metrics.log' $c 2>/dev/null && alive=1; done
  [ -z "$alive" ] && ! completed && { sleep 1; exit 1; }
  sleep 0.2
done
sleep 1
"#;

/// Wraps the container of a trial's primary pod and adds the collector.
pub(super) async fn inject(client: &Client, request: &Value) -> Verdict {
    let pod = request.get("object").cloned().unwrap_or_default();
    // Upstream finds the Trial through the chain of owners; the names are the same.
    let job = text(&pod, "/metadata/labels/jobset.sigs.k8s.io~1jobset-name");
    if job.is_empty() {
        return Verdict::Allowed;
    }
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), text(request, "/namespace"), &trials());
    let trial = match api.get_opt(job).await {
        Ok(Some(trial)) => trial,
        Ok(None) => return Verdict::Allowed,
        Err(error) => return Verdict::Refused(error.to_string()),
    };
    let mut patch = Vec::new();
    let experiment = trial.metadata.labels.as_ref().and_then(|labels| labels.get(EXPERIMENT)).cloned();
    let mut labels = pod.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    set(&mut labels, EXPERIMENT, json!(experiment));
    set(&mut labels, TRIAL, json!(job));
    patch.push(json!({"op": "add", "path": "/metadata/labels", "value": labels.clone()}));
    let primary =
        trial.data.pointer("/spec/primaryPodLabels").and_then(Value::as_object).cloned().unwrap_or_default();
    if primary.iter().any(|(label, value)| labels.get(label) != Some(value)) {
        return Verdict::Changed(patch);
    }
    let name = text(&trial.data, "/spec/primaryContainerName");
    let mut spec = pod.get("spec").cloned().unwrap_or_default();
    let containers = spec.get_mut("containers").and_then(Value::as_array_mut);
    let Some(container) = containers.and_then(|all| all.iter_mut().find(|one| text(one, "/name") == name))
    else {
        return Verdict::Refused(format!(
            "unable to find primary container in mutated pod containers: {name}"
        ));
    };
    let words = |container: &Value, field: &str| -> Vec<String> {
        let words = container.get(field).and_then(Value::as_array).into_iter().flatten();
        words.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut line = words(container, "command");
    if line.is_empty() {
        // Upstream reads the entrypoint from the image's registry, which does not exist here.
        let image = text(container, "/image");
        return Verdict::Refused(format!("Failed to get container image {image:?} info from registry"));
    }
    line.extend(words(container, "args"));
    let mut command = vec!["sh".to_owned(), "-c".to_owned()];
    if let [shell, flag, ..] = line.as_slice()
        && ["sh", "bash"].contains(&shell.as_str())
        && flag == "-c"
    {
        command = line.drain(..2).collect();
    }
    line.push(format!("1>{METRICS_FILE} 2>&1"));
    line.push("&& echo completed > /var/log/katib/$$$$.pid".to_owned());
    set(container, "command", json!(command));
    set(container, "args", json!([line.join(" ")]));
    let metric = text(&trial.data, "/spec/objective/objectiveMetricName");
    let collector = json!({
        "name": COLLECTOR, "image": BUSYBOX, "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", COLLECT, "collector"],
        "args": ["-t", job, "-m", metric, "-path", METRICS_FILE, "-format", "TEXT"],
    });
    if let Some(all) = spec.get_mut("containers").and_then(Value::as_array_mut) {
        all.push(collector);
        let mount = json!({"name": "metrics-volume", "mountPath": "/var/log/katib"});
        for container in all.iter_mut().filter(|one| [COLLECTOR, name].contains(&text(one, "/name"))) {
            let mut mounts =
                container.get("volumeMounts").and_then(Value::as_array).cloned().unwrap_or_default();
            mounts.push(mount.clone());
            set(container, "volumeMounts", json!(mounts));
        }
    }
    let mut volumes = spec.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
    volumes.push(json!({"name": "metrics-volume", "emptyDir": {}}));
    set(&mut spec, "volumes", json!(volumes));
    set(&mut spec, "shareProcessNamespace", json!(true));
    patch.push(json!({"op": "replace", "path": "/spec", "value": spec}));
    Verdict::Changed(patch)
}
