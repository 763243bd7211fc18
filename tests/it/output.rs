//! Results with `-o`, `--dry-run` and on a narrow terminal.

use std::collections::BTreeSet;

use kf_tests::cluster::User;
use serde_json::{Value, json};

use crate::common::team::Team;
use crate::common::terminal::{Terminal, shown};
use crate::common::{Home, Ran, attacks};
use crate::kf_snapshot;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn stderr_has(ran: &Ran, text: &str) -> bool {
    ran.stderr.lines().any(|line| line.contains(text))
}

const TRAIN: [&str; 7] = ["train", "mnist", "--runtime", "kf-test", "--nodes", "2", "--dry-run"];

fn train(more: &[&'static str]) -> Vec<&'static str> {
    [&TRAIN[..], more].concat()
}

#[test]
fn dry_run_prints_documents_kubectl_accepts() {
    let team = Team::new("documents");
    let home = team.home(User::DataScientist, &["train", "remove"]);
    let as_yaml = home.run(train(&["-o", "yaml"])).success();
    assert!(stderr_has(&as_yaml, "would create trainjob/mnist"), "{}", as_yaml.transcript());
    let job: Value = serde_saphyr::from_str(&as_yaml.stdout).unwrap();
    assert_eq!(job["kind"], "TrainJob");
    assert_eq!(job["spec"]["trainer"]["numNodes"], 2);
    let bookkeeping = ["uid", "resourceVersion", "creationTimestamp", "managedFields", "dryRun"];
    assert!(bookkeeping.iter().all(|field| job["metadata"].get(field).is_none()), "{job}");
    assert_eq!(parsed(&home.run(train(&["-o", "json"])).success().stdout), job);

    // kubectl accepts it and prints the same name in its own dry run.
    let file = home.path().join("job.yaml");
    fs_err::write(&file, &as_yaml.stdout).unwrap();
    let file = file.to_str().unwrap();
    let named = team.admin(&["create", "-f", file, "--dry-run=server", "-o", "name"]);
    assert_eq!(named.trim().replace(".trainer.kubeflow.org/", "/"), "trainjob/mnist");
    assert_eq!(home.run(train(&["-o", "name"])).success().stdout, "trainjob/mnist\n");
    assert_eq!(team.admin(&["get", "trainjobs", "-o", "name"]), "");

    // For a delete, stdout has only the object that would be deleted.
    team.admin(&["create", "-f", file]);
    let remove = |format| home.run(["remove", "mnist", "--dry-run", "-o", format]).success();
    assert_eq!(remove("name").stdout, "trainjob/mnist\n");
    let identity = json!({
        "apiVersion": job["apiVersion"], "kind": "TrainJob",
        "metadata": { "name": "mnist", "namespace": team.name() },
    });
    assert_eq!(parsed(&remove("json").stdout), identity);
    let for_person = remove("table");
    assert_eq!(for_person.stdout, "", "nothing was removed: {}", for_person.transcript());
    assert!(stderr_has(&for_person, "would delete trainjob/mnist"), "{}", for_person.transcript());
    assert!(stderr_has(&for_person, "Nothing was changed."), "{}", for_person.transcript());
    assert_ne!(team.admin(&["get", "trainjobs", "-o", "name"]), "");
}

#[test]
fn dry_run_of_several_writes_prints_a_list() {
    let team = Team::new("list-of-documents");
    let home = team.home(User::DataScientist, &["train"]);
    let code = home.path().join("src");
    fs_err::create_dir_all(&code).unwrap();
    fs_err::write(code.join("train.py"), "print(1)\n").unwrap();
    let ran = home.run(train(&["--from-dir", "src", "-o", "yaml", "--", "python", "train.py"])).success();
    let list: Value = serde_saphyr::from_str(&ran.stdout).unwrap();
    let kinds = |list: &Value| {
        let items = list["items"].as_array().unwrap_or_else(|| panic!("no list: {list}"));
        items.iter().map(|item| item["kind"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!((&list["apiVersion"], &list["kind"]), (&json!("v1"), &json!("List")));
    assert_eq!(kinds(&list), ["ConfigMap", "TrainJob"].map(str::to_owned).into());
    let file = home.path().join("list.yaml");
    fs_err::write(&file, &ran.stdout).unwrap();
    let taken = team.admin(&["create", "-f", file.to_str().unwrap(), "--dry-run=server", "-o", "name"]);
    let taken: BTreeSet<_> = taken.lines().map(|name| name.replace(".trainer.kubeflow.org/", "/")).collect();
    let named = home.run(train(&["--from-dir", "src", "-o", "name", "--", "python", "train.py"])).success();
    assert_eq!(named.stdout.lines().map(str::to_owned).collect::<BTreeSet<_>>(), taken);
}

#[test]
fn all_namespaces_needs_cluster_wide_list() {
    let team = Team::new("everywhere");
    team.apply(
        "{apiVersion: v1, kind: Service, metadata: {name: found}, spec: {ports: [{port: 80}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {schedulerName: nobody, containers: [{name: main, image: 'kf.test/none'}]}
",
    );
    let words = [&["status", "-A"][..], &["top", "-A"], &["events", "-A"], &["services", "list", "-A"]];
    let commands = ["status", "top", "events", "services"];
    let admin = team.home(User::Admin, &commands);
    for words in words {
        admin.run(words).success();
    }
    let listed = admin.run(["services", "list", "--all-namespaces"]).success();
    let row = listed.stdout.lines().find(|line| line.starts_with(team.name())).unwrap_or_default();
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(row[1..], ["service", "found", "0/0", &format!("found.{}.svc:80", team.name())]);
    let mut watching = Terminal::start(admin.kf(["status", "-A", "--watch"]));
    watching.expect("NAMESPACE");
    watching.interrupt();
    let viewer = team.home(User::Viewer, &commands);
    for words in words.into_iter().chain([&["status", "-A", "--watch"][..]]) {
        let refused = viewer.run(words).code(4);
        assert!(stderr_has(&refused, "your own rights"), "{}", refused.transcript());
    }
    kf_snapshot!(viewer.run(["events", "-A"]), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: events is not allowed to list events in the whole cluster
      requested by events                      ✓
      allowed by registry                      ✓
      accepted by you                          ✓
      environment [NAMESPACE] ✓
      your own rights                          ✗ vic has no `list events` in the whole cluster
    hint: ask an administrator of the cluster
    ");
}

/// The screen of a terminal with this width after a command line.
fn on_terminal(home: &Home, width: usize, line: &str) -> String {
    let columns = width.try_into().unwrap();
    let (status, screen) = Terminal::start_sized(home.shell(line), columns, 24).finish();
    assert!(status.success(), "{}", shown(&screen));
    shown(&screen)
}

#[test]
fn narrow_terminal_wraps_tables_between_words() {
    let home = Home::with_commands(&["hello"]);
    for line in ["kf command list --available", "kf registry list", "kf command list -o wide"] {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut whole = words(&on_terminal(&home, 500, line));
        whole.sort();
        for width in [60, 40, 80] {
            let narrow = on_terminal(&home, width, line);
            let mut found = words(&narrow);
            found.sort();
            assert_eq!(found, whole, "{line} at {width} columns:\n{narrow}");
            let too_wide = |row: &&str| row.chars().count() > width && row.trim().contains(' ');
            assert_eq!(narrow.lines().find(too_wide), None, "{line} at {width} columns:\n{narrow}");
        }
    }
}

#[test]
fn wide_output_adds_columns_or_notes_none() {
    let home = Home::with_commands(&["hello"]);
    for words in [&["command", "list"][..], &["command", "list", "--available"], &["registry", "list"]] {
        let titles = |format: &str| {
            let ran = home.run([words, &["-o", format]].concat()).success();
            assert!(!stderr_has(&ran, "-o wide adds nothing"), "{}", ran.transcript());
            ran.stdout.lines().next().unwrap_or_default().split_whitespace().count()
        };
        assert!(titles("wide") > titles("table"), "{words:?}");
    }
    let ran = home.run(["hello", "-o", "wide"]).success();
    assert!(stderr_has(&ran, "-o wide has no effect here"), "{}", ran.transcript());
    assert_eq!(home.run(["hello"]).success().stderr, "");
}

#[test]
fn wide_without_extra_columns_is_refused() {
    let home = attacks::home(&["escape-sequences"]);
    let refused = home.run(["escape-sequences", "-o", "wide"]).code(2);
    assert!(stderr_has(&refused, "-o wide shows no additional columns here"), "{}", refused.transcript());
    assert!(stderr_has(&refused, "run without -o wide"), "{}", refused.transcript());
}

#[test]
fn yaml_documents_are_separated() {
    let home = attacks::home(&["escape-sequences"]);
    let ran = home.run(["escape-sequences", "-o", "yaml"]);
    let documents = ran.stdout.split("---\n").count();
    assert!(documents >= 3, "a table, a record and a live table: {}", ran.transcript());
}

#[test]
fn hello_prints_json_and_yaml() {
    let home = Home::with_commands(&["hello"]);
    let greeting = json!({ "greeting": "hello Ada" });
    assert_eq!(parsed(&home.run(["hello", "Ada", "-o", "json"]).success().stdout), greeting);
    let yaml = home.run(["hello", "Ada", "-o", "yaml"]).success().stdout;
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), greeting);
}
