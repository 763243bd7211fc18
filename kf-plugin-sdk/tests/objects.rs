//! Reading and writing objects.

use kf_plugin_sdk::abi::WriteOptions;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use serde_json::{Value, json};

fn pod(name: &str, app: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": app } } })
}

#[test]
fn list_reads_all_pages_and_watch_continues_from_there() {
    let host = FakeHost::new("team-a");
    for number in 0..600 {
        host.put(pod(&format!("web-{number:03}"), "web"));
    }
    host.put(pod("db", "db"));
    let kf = host.kf();
    let (pods, watch) = kf.api("Pod").labels("app=web").list_and_watch().unwrap();
    assert_eq!(pods.len(), 600);
    assert_eq!(pods[599].name(), "web-599");

    host.put(pod("db-2", "db"));
    host.put(pod("web-new", "web"));
    host.cluster(|cluster| cluster.remove("Pod", "web-000"));
    let events = watch.next().unwrap();
    let seen: Vec<_> = events.iter().map(|event| (event.kind, event.object.name())).collect();
    assert_eq!(seen, [(EventKind::Added, "web-new"), (EventKind::Deleted, "web-000")]);
}

#[test]
fn failed_page_fails_list() {
    let host = FakeHost::new("team-a");
    host.put(pod("web", "web"));
    host.cluster(|cluster| cluster.fail("list", "Pod", Error::new(ErrorCode::Expired, "too old")));
    assert_eq!(host.kf().api("Pod").list().unwrap_err().code, ErrorCode::Expired);
}

#[test]
fn find_returns_none_if_missing_and_error_if_forbidden() {
    let host = FakeHost::new("team-a");
    let pods = host.kf().api("Pod");
    assert_eq!(pods.find("web"), Ok(None));
    assert_eq!(host.kf().api("example.org/Thing").find("web"), Ok(None), "a kind that is not served");
    host.cluster(|cluster| cluster.deny("get", "", "pods"));
    assert_eq!(pods.find("web").unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn dry_run_stores_nothing() {
    let host = FakeHost::new("team-a");
    let pods = host.kf().api("Pod");
    pods.apply_with(&pod("web", "web").into(), WriteOptions { dry_run: true, force: false }).unwrap();
    host.change_context(|context| context.dry_run = true);
    pods.create(&pod("web", "web").into()).unwrap();
    assert_eq!(pods.find("web"), Ok(None));
}

#[test]
fn object_without_name_is_refused() {
    let host = FakeHost::new("team-a");
    let error = host.kf().api("Pod").create(&json!({ "kind": "Pod" }).into()).unwrap_err();
    assert_eq!(error, Error::invalid("the Pod has no name"));
    assert!(host.cluster(|cluster| cluster.writes().is_empty()));
}

#[cfg(feature = "typed")]
#[test]
fn built_in_kinds_can_be_structs() {
    use k8s_openapi::api::core::v1::Pod;

    let host = FakeHost::new("team-a");
    host.put(pod("web", "web"));
    let found: Pod = host.kf().get("web").unwrap();
    assert_eq!(found.metadata.labels.unwrap()["app"], "web");
    assert_eq!(host.kf().typed::<Pod>().list().unwrap().len(), 1);
}

fn many_pods(count: usize) -> FakeHost {
    let host = FakeHost::new("team-a");
    for number in 0..count {
        host.put(
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("pod-{number:04}") } }),
        );
    }
    host
}

#[test]
fn list_is_restarted_if_pages_expire() {
    let host = many_pods(600);
    let kf = host.kf();
    let listed = |kf: &Kf| -> [Result<usize>; 3] {
        [
            kf.api("Pod").list().map(|pods| pods.len()),
            kf.api("Pod").list_and_watch().map(|(pods, _)| pods.len()),
            kf.list_many(&[Kind::from("Pod")]).remove(0).map(|listed| listed.items.len()),
        ]
    };
    for pages in [0, 1] {
        for way in 0..3 {
            host.cluster(|cluster| cluster.expire_pages("Pod", pages));
            assert_eq!(listed(&kf)[way], Ok(600), "{pages} {way}");
        }
    }
    host.cluster(|cluster| cluster.expire_pages("Pod", u32::MAX));
    for answer in listed(&kf) {
        assert_eq!(answer.unwrap_err().code, ErrorCode::Expired, "the number of restarts is limited");
    }
}

fn pod_in(namespace: &str, name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace } })
}

/// Names of the pods, by namespace.
fn pods_by_namespace(namespaces: &[Kf]) -> Vec<(String, Vec<String>)> {
    let pods = |kf: &Kf| kf.api("Pod").list().unwrap_or_default();
    let names = |pods: Vec<Object>| pods.iter().map(|pod| pod.name().to_owned()).collect();
    namespaces.iter().map(|kf| (kf.namespace(), names(pods(kf)))).collect()
}

#[test]
fn all_namespaces_lists_each_kind_once() {
    let host = FakeHost::new("team-a");
    host.serve("batch", "v1", "Job", "jobs");
    for (namespace, name) in [("team-b", "web-1"), ("team-a", "db"), ("team-b", "web-0")] {
        host.put(pod_in(namespace, name));
    }
    host.put(
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j", "namespace": "ops" } }),
    );
    let kf = host.kf();
    let namespaces = kf.all_namespaces(&[kf.api("Pod"), kf.api("batch/Job")]).unwrap();
    let of = |namespace: &str, names: &[&str]| {
        (namespace.to_owned(), names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(
        pods_by_namespace(&namespaces),
        [of("ops", &[]), of("team-a", &["db"]), of("team-b", &["web-0", "web-1"])]
    );
    // Other calls go to the namespace.
    let team_b = namespaces.last().unwrap();
    assert_eq!(team_b.api("Pod").get("web-0").unwrap().namespace(), Some("team-b"));
    assert_eq!(team_b.api("Pod").get("db").unwrap_err().code, ErrorCode::NotFound);
    // Lists are not read again.
    host.cluster(|cluster| cluster.fail("list", "Pod", Error::failed("asked again")));
    assert_eq!(pods_by_namespace(&namespaces)[1], of("team-a", &["db"]));
    assert_eq!(team_b.api("Pod").labels("app=web").list().unwrap_err().message, "asked again");
}

#[test]
fn all_namespaces_fails_on_first_list_and_defers_errors_of_others() {
    let host = FakeHost::new("team-a");
    host.serve("batch", "v1", "Job", "jobs");
    host.put(pod_in("team-b", "web"));
    let kf = host.kf();
    host.cluster(|cluster| cluster.deny("list", "batch", "jobs"));
    let asked = [kf.api("Pod"), kf.api("batch/Job")];
    let namespaces = kf.all_namespaces(&asked).unwrap();
    assert_eq!(namespaces.len(), 1);
    assert_eq!(namespaces[0].api("batch/Job").list().unwrap_err().code, ErrorCode::Forbidden);
    host.cluster(|cluster| cluster.deny("list", "", "pods"));
    assert_eq!(kf.all_namespaces(&asked).err().map(|error| error.code), Some(ErrorCode::Forbidden));
}

#[test]
fn all_namespaces_without_cluster_scope_is_forbidden() {
    let rule = "[[permissions.kubernetes]]\napiGroups = [\"\"]\nresources = [\"pods\"]\nverbs = [\"list\"]\n";
    let host = FakeHost::new("team-a");
    host.manifest(rule);
    let kf = host.kf();
    assert!(kf.api("Pod").list().is_ok());
    assert_eq!(kf.all_namespaces(&[kf.api("Pod")]).err().map(|error| error.code), Some(ErrorCode::Forbidden));
    host.manifest(&format!("{rule}scope = \"cluster\"\n"));
    assert!(host.kf().all_namespaces(&[host.kf().api("Pod")]).is_ok());
}

#[test]
fn result_of_dry_run_is_marked() {
    let host = FakeHost::new("team-a");
    let kf = host.kf();
    let pods = kf.api("Pod");
    let web = Object::from(pod("web", "web"));
    assert!(pods.apply_with(&web, WriteOptions::DRY_RUN).unwrap().is_dry_run());
    let stored = pods.apply(&web).unwrap();
    assert!(!stored.is_dry_run());
    host.change_context(|context| context.dry_run = true);
    let marked = pods.merge("web", &json!({ "metadata": { "labels": { "app": "new" } } })).unwrap();
    assert!(marked.is_dry_run());
    assert!(!pods.get("web").unwrap().is_dry_run());
    // The mark is not stored when the object is applied.
    host.change_context(|context| context.dry_run = false);
    assert!(!pods.apply(&marked).unwrap().is_dry_run());
    assert_eq!(pods.get("web").unwrap().at("/metadata/dryRun"), None);
}

#[test]
fn did_prints_change_unless_dry_run() {
    let host = FakeHost::new("team-a");
    let web = Object::from(pod("web", "web"));
    host.kf().report("created", &web).unwrap();
    assert_eq!(host.terminal().stdout, "pod/web created\n");
    host.kf_flags(&["-n", "team-b"]);
    host.kf().next_step("follow it", "kf logs web -f");
    assert_eq!(host.terminal().notes, ["follow it with `kf -n team-b logs web -f`"]);
    host.format(Format::Json);
    host.kf().report("deleted", "pod/web").unwrap();
    let record: Value = serde_json::from_str(&host.terminal().stdout["pod/web created\n".len()..]).unwrap();
    assert_eq!(record, json!({ "object": "pod/web", "change": "deleted" }));
    for format in [Format::Table, Format::Json, Format::Name] {
        let host = FakeHost::new("team-a");
        host.format(format);
        host.change_context(|context| context.dry_run = true);
        host.kf().report("deleted", "pod/web").unwrap();
        assert_eq!(host.terminal().stdout, "", "kf itself prints what would be deleted");
        host.kf().next_step("follow it", "kf logs web -f");
        assert_eq!(host.terminal().notes, [""; 0], "a dry run has no next step");
    }
}

#[derive(serde::Serialize, TableRow)]
struct Plain {
    name: &'static str,
}

#[derive(serde::Serialize, TableRow)]
struct Wide {
    name: &'static str,
    #[column(wide)]
    node: &'static str,
}

#[test]
fn wide_is_refused_without_wide_columns() {
    let host = FakeHost::new("team-a");
    host.kf().table(&[Plain { name: "web" }]).unwrap();
    host.format(Format::Wide);
    let error = host.kf().table(&[Plain { name: "web" }]).unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::Invalid, Some("run without -o wide")));
    assert_eq!(host.kf().live_table().update(&[Plain { name: "web" }]).unwrap_err().code, ErrorCode::Invalid);
    // A table after one with wide columns is accepted.
    host.kf().table(&[Wide { name: "web", node: "n" }]).unwrap();
    host.kf().table(&[Plain { name: "web" }]).unwrap();
}
