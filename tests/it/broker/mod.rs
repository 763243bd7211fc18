//! The broker against a real API server and its RBAC.

mod authorizer;
mod objects;
mod preflight;
mod refusals;
mod writes;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use kf_cluster::broker::{Broker, BrokerConfig, Budgets, Command};
use kf_cluster::connection::{Connection, Timeouts};
use kf_cluster::kubeconfig::{Overrides, Settings, Sources, load};
use kf_core::api::{Kind, ObjectRef, Reach, Selection, WriteOptions};
use kf_core::grants::{Ceiling, Consent, Grants, RuleSet, RunFlags};
use kf_tests::cluster::{Cluster, Profile, TestNamespace, User};
use serde_json::{Value, json};

const TRAINER: &str = "trainer.kubeflow.org";
const PLAIN: WriteOptions = WriteOptions { dry_run: false, force: false };

fn cluster() -> &'static Cluster {
    Cluster::attach_or_start(Profile::Api).unwrap()
}

fn settings(kubeconfig: &Path) -> Settings {
    let choice = Overrides { file: Some(kubeconfig.to_owned()), ..Overrides::default() };
    load(&Sources::default(), &choice).unwrap()
}

fn connection(namespace: &TestNamespace, user: User) -> Arc<Connection> {
    Arc::new(Connection::new(settings(&namespace.kubeconfig(user)), Timeouts::default()))
}

fn grants(rules: &RuleSet) -> Grants {
    let component = "5f1c".to_owned();
    Grants {
        component: component.clone(),
        manifest: rules.clone(),
        ceiling: Ceiling::Registry(rules.clone()),
        consent: Some(Consent { component, rules: rules.clone() }),
        environment: None,
        run: RunFlags::default(),
    }
}

/// The config for a run of the command `probe` with these rules allowed by every layer of the grant.
fn config(namespace: &TestNamespace, user: User, rules: &[Value]) -> BrokerConfig {
    let connection = connection(namespace, user);
    BrokerConfig {
        namespace: connection.settings().unwrap().namespace.clone(),
        connection,
        grants: grants(&RuleSet::parse(rules).unwrap()),
        command: Command { name: "probe".into(), version: "1.0.0".into(), digest: "5f1c".into() },
        headers: BTreeSet::new(),
        dry_run: false,
        budgets: Budgets::default(),
        audit: None,
    }
}

fn broker(namespace: &TestNamespace, user: User, rules: &[Value]) -> Broker {
    Broker::new(config(namespace, user, rules)).unwrap()
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

const EVERY_VERB: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

/// Rules for everything that these tests do, so that only RBAC decides.
fn everything() -> Vec<Value> {
    let mut secrets = rule("", &["secrets"], &EVERY_VERB);
    secrets["data"] = json!(true);
    vec![
        rule("", &["configmaps", "pods", "services"], &EVERY_VERB),
        rule("", &["pods/log"], &["get"]),
        rule(TRAINER, &["trainjobs", "trainingruntimes"], &EVERY_VERB),
        secrets,
    ]
}

fn kind(group: &str, kind: &str) -> Kind {
    Kind { group: group.into(), version: None, kind: kind.into() }
}

fn object(group: &str, kind_name: &str, name: &str) -> ObjectRef {
    ObjectRef { kind: kind(group, kind_name), namespace: None, name: name.into(), subresource: None }
}

fn all(group: &str, kind_name: &str) -> Selection {
    Selection {
        kind: kind(group, kind_name),
        reach: Reach::Namespaced,
        namespace: None,
        label_selector: None,
        field_selector: None,
    }
}

fn config_map(name: &str) -> ObjectRef {
    object("", "ConfigMap", name)
}
