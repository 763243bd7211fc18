//! The documents of a file.

use std::collections::BTreeSet;

use kf_tests::cluster::User;

use super::{Differences, kubectl, ran};
use crate::common::Home;
use crate::common::servers::{closed, kubeconfig_for};
use crate::common::team::Team;

fn job(name: &str) -> String {
    format!(
        "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {{name: {name}}}\n\
         spec: {{runtimeRef: {{name: kf-test}}}}\n"
    )
}

fn json_job(name: &str) -> String {
    format!(
        "{{\"apiVersion\": \"trainer.kubeflow.org/v1alpha1\", \"kind\": \"TrainJob\", \
         \"metadata\": {{\"name\": \"{name}\"}}, \"spec\": {{\"runtimeRef\": {{\"name\": \"kf-test\"}}}}}}"
    )
}

fn listed(kind: &str, jobs: &[&str]) -> String {
    let items: Vec<_> = jobs.iter().map(|name| json_job(name)).collect();
    let version = if kind == "List" { "v1" } else { "trainer.kubeflow.org/v1alpha1" };
    format!("apiVersion: {version}\nkind: {kind}\nitems: [{}]\n", items.join(", "))
}

/// kf trains one job at a time. Without a name it lists the jobs it found.
#[test]
fn documents_of_a_file_match_kubectl() {
    let team = Team::new("documents");
    let home = Home::with_commands(&["train"]);
    // kubectl needs a cluster that serves the kind; kf fails before it contacts one.
    let cluster = team.kubeconfig(User::Admin);
    let nowhere = kubeconfig_for(&home, &format!("https://{}", closed()), None);
    let (a, b) = (job("a"), job("b"));
    let (json_a, json_b) = (json_job("a"), json_job("b"));
    let mut differences = Differences::default();
    for (what, text) in [
        ("two documents", format!("{a}---\n{b}")),
        ("separators all around", format!("---\n{a}---\n{b}---\n")),
        ("empty documents", format!("---\n---\n{a}---\n\n---\n# nothing\n---\n{b}")),
        ("a comment behind a separator", format!("{a}--- # the second\n{b}")),
        ("a comment before", format!("# jobs\n{a}---\n{b}")),
        ("an end of a document", format!("{a}...\n---\n{b}")),
        ("line ends of Windows", format!("{a}---\n{b}").replace('\n', "\r\n")),
        ("a byte order mark", format!("\u{feff}{a}---\n{b}")),
        ("a null document", format!("{a}---\nnull\n---\n{b}")),
        ("a list", listed("List", &["a", "b"])),
        ("a list of the kind", listed("TrainJobList", &["a", "b"])),
        ("an empty list beside them", format!("{}---\n{a}---\n{b}", listed("List", &[]))),
        ("a list and a document", format!("{}---\n{b}", listed("List", &["a"]))),
        ("JSON one after the other", format!("{json_a}{json_b}")),
        ("JSON on lines", format!("{json_a}\n{json_b}\n")),
        ("JSON documents of YAML", format!("{json_a}\n---\n{json_b}\n")),
        ("JSON and YAML", format!("{json_a}\n---\n{b}")),
        ("YAML and JSON", format!("{a}---\n{json_b}")),
        ("JSON indented with tabs", format!("{{\n\t{}{{\n\t{}", &json_a[1..], &json_b[1..])),
        ("white space before JSON", format!("\n  {json_a}\n{json_b}")),
    ] {
        let file = home.path().join("jobs.yaml");
        fs_err::write(&file, text).unwrap();
        let both = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let mut theirs = kubectl(&team, &home, &cluster);
        let theirs = ran(theirs.args(["create", "--dry-run=client", "-o", "name", "-f"]).arg(&file), &home);
        let names = theirs.stdout.lines().filter_map(|line| line.rsplit('/').next().map(str::to_owned));
        differences.check(&format!("kubectl: {what}"), &names.collect(), &both, &theirs);
        let ours = home.run(["train", "jobs.yaml", "--kubeconfig", &nowhere]);
        let named = ours.stderr.contains("jobs.yaml contains a and b; specify one");
        differences.check(&format!("kf: {what}"), &(named, ours.code), &(true, Some(2)), &ours);
    }
    // kubectl splits a file at its separators before parsing, so a directive is an invalid document.
    let file = home.path().join("jobs.yaml");
    fs_err::write(&file, format!("%YAML 1.1\n---\n{a}---\n{b}")).unwrap();
    let mut theirs = kubectl(&team, &home, &cluster);
    ran(theirs.args(["create", "--dry-run=client", "-o", "name", "-f"]).arg(&file), &home).code(1);
    let ours = home.run(["train", "jobs.yaml", "--kubeconfig", &nowhere]).code(2);
    assert!(ours.stderr.contains("jobs.yaml contains a and b; specify one"), "{}", ours.transcript());
}
