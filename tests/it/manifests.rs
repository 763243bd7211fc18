//! YAML and JSON files, compared with kubectl.

use std::process::Command;

use kf_tests::cluster::User;
use serde_json::{Value, json};

use crate::common::servers::kubeconfig_for;
use crate::common::team::Team;
use crate::common::{Home, output_of};
use crate::kf_snapshot;

const VALUES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../kf-plugin-sdk/tests/yaml/values.yaml");
const MEANING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../kf-plugin-sdk/tests/yaml/values.json");

/// The SDK's tests compare kf with this table.
#[test]
fn kubectl_reads_yaml_values_as_recorded() {
    let team = Team::new("yaml-values");
    let mut kubectl = Command::new(team.kubectl_path());
    let output = output_of(kubectl.args(["annotate", "--local", "-f", VALUES, "-o", "json", "a=b"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected: Value = serde_json::from_str(&fs_err::read_to_string(MEANING).unwrap()).unwrap();
    assert_eq!(read["spec"], expected);
}

/// A job with a patch of its runtime's pods, with values as YAML 1.1 reads them.
fn job(name: &str) -> String {
    format!(
        "apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {{name: {name}, labels: {{mode: '0400'}}}}
spec:
  suspend: yes
  runtimeRef: {{name: kf-test}}
  trainer:
    numNodes: 0x2
    env: [{{name: MODE, value: '0400'}}, {{name: FLAG, value: \"on\"}}]
  runtimePatches:
  - manager: example.org/secret
    trainingRuntimeSpec:
      template:
        spec:
          replicatedJobs:
          - name: node
            template:
              spec:
                template:
                  spec:
                    volumes:
                    - name: keys
                      secret: {{secretName: keys, defaultMode: 0400, items: [{{key: a, path: a, mode: 0o440}}]}}
"
    )
}

#[test]
fn job_from_file_matches_kubectl() {
    let team = Team::new("yaml-job");
    let home = team.home(User::DataScientist, &["train"]);
    fs_err::write(home.path().join("kf.yaml"), job("by-kf")).unwrap();
    let ran = home.run(["train", "kf.yaml"]).success();
    assert_eq!(ran.stdout, "trainjob/by-kf created (runtime kf-test, 2 nodes)\n", "{}", ran.transcript());
    team.apply(&job("by-kubectl"));
    let spec = |name: &str| {
        let text = team.admin(&["get", "trainjob", name, "-o", "jsonpath={.spec}"]);
        let mut spec: Value = serde_json::from_str(&text).unwrap();
        // Set by the API server.
        spec["runtimePatches"][0].as_object_mut().unwrap().remove("time");
        spec
    };
    let ours = spec("by-kf");
    assert_eq!(ours, spec("by-kubectl"));
    let pods =
        "/runtimePatches/0/trainingRuntimeSpec/template/spec/replicatedJobs/0/template/spec/template/spec";
    assert_eq!(ours.pointer(&format!("{pods}/volumes/0/secret/defaultMode")), Some(&json!(256)));
    assert_eq!(ours.pointer(&format!("{pods}/volumes/0/secret/items/0/mode")), Some(&json!(288)));
    assert_eq!(ours.pointer("/trainer/env/0/value"), Some(&json!("0400")));
}

#[test]
fn exported_yaml_lists_and_json_are_accepted() {
    let team = Team::new("yaml-export");
    let home = team.home(User::DataScientist, &["train"]);
    team.apply(&job("first"));
    let owner = "{\"metadata\":{\"finalizers\":[\"example.org/held\"],\"ownerReferences\":[{\"apiVersion\":\"v1\",\
                 \"kind\":\"ConfigMap\",\"name\":\"owner\",\"uid\":\"1b4e28ba-2fa1-11d2-883f-0016d3cca427\"}]}}";
    team.admin(&["patch", "trainjob", "first", "--type=merge", "-p", owner]);
    let one = team.admin(&["get", "trainjob", "first", "-o", "yaml"]);
    let list = team.admin(&["get", "trainjobs", "-o", "yaml"]);
    let json = team.admin(&["get", "trainjob", "first", "-o", "json"]);
    team.admin(&["patch", "trainjob", "first", "--type=merge", "-p", "{\"metadata\":{\"finalizers\":null}}"]);
    for (name, file, text) in [
        ("one", "one.yaml", one),
        ("of-list", "list.yaml", list),
        ("of-json", "many.json", format!("{json}{}", json.replace("\"first\"", "\"of-json\""))),
    ] {
        fs_err::write(home.path().join(file), text).unwrap();
        let ran = home.run(["train", name, file]).success();
        assert!(ran.stdout.starts_with(&format!("trainjob/{name} created")), "{}", ran.transcript());
        let made: Value =
            serde_json::from_str(&team.admin(&["get", "trainjob", name, "-o", "json"])).unwrap();
        assert_eq!(made["metadata"].get("ownerReferences"), None);
        assert_eq!(made["metadata"].get("finalizers"), None);
    }
}

#[test]
fn type_error_is_shown_in_full() {
    let team = Team::new("yaml-type");
    let home = team.home(User::DataScientist, &["train"]);
    let file = job("mnist").replace("value: \"on\"", "value: on");
    fs_err::write(home.path().join("job.yaml"), file).unwrap();
    kf_snapshot!(home.run_unchanged(["train", "job.yaml"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: train: the cluster rejected the training job: .spec.trainer.env[name=\"FLAG\"].value: expected string, got true
    ");
}

#[test]
fn name_too_long_for_pods_is_refused() {
    let team = Team::new("long-name");
    let home = team.home(User::DataScientist, &["train"]);
    let before = team.versions();
    let name = "a".repeat(60);
    let ran = home.run_unchanged(["train", &name, "--runtime", "kf-test", "--nodes", "2"]).code(2);
    assert!(
        ran.stderr.contains("at most 48 for valid pod names (`NAME-node-0-1-…`)"),
        "{}",
        ran.transcript()
    );
    assert_eq!(team.versions(), before);
}

#[test]
fn malformed_job_files_are_explained() {
    let home = Home::with_commands(&["train"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    let refused = |text: &str| {
        fs_err::write(home.path().join("job.yaml"), text).unwrap();
        home.run_unchanged(["train", "job.yaml", "--kubeconfig", &kubeconfig])
    };
    kf_snapshot!(refused("kind: TrainJob\nspec:\n  suspend: true\n  suspend: false\n"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: train: job.yaml line 4: duplicate key `suspend`, first on line 3
    ");
    kf_snapshot!(refused("spec: {{ .Values.spec }}\n"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: train: job.yaml line 1: a key cannot be a mapping; a template such as {{ … }} must be rendered first
    ");
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f")] {
        bomb.push_str(&format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(", ")));
    }
    kf_snapshot!(refused(&bomb), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: train: job.yaml line 5: the file has more than 120000 values once its aliases are expanded
    ");
    kf_snapshot!(refused("apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\n"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: train: job.yaml has no metadata.name
    hint: kf train NAME --kubeconfig [HOME]/kubeconfig job.yaml
    ");
}
