//! Objects of the cluster, as a command handles them.

use kf_plugin_sdk::border::WriteOptions;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use serde_json::{Value, json};

fn pod(name: &str, app: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": app } } })
}

#[test]
fn a_list_goes_through_all_pages_and_a_watch_takes_over_from_there() {
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
fn a_page_that_fails_fails_the_list() {
    let host = FakeHost::new("team-a");
    host.put(pod("web", "web"));
    host.cluster(|cluster| cluster.fail("list", "Pod", Error::new(ErrorCode::Expired, "too old")));
    assert_eq!(host.kf().api("Pod").list().unwrap_err().code, ErrorCode::Expired);
}

#[test]
fn absence_is_an_answer_and_a_refusal_is_not() {
    let host = FakeHost::new("team-a");
    let pods = host.kf().api("Pod");
    assert_eq!(pods.find("web"), Ok(None));
    assert_eq!(host.kf().api("example.org/Thing").find("web"), Ok(None), "a kind nobody serves");
    host.cluster(|cluster| cluster.deny("get", "", "pods"));
    assert_eq!(pods.find("web").unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn a_dry_run_stores_nothing_however_it_is_asked_for() {
    let host = FakeHost::new("team-a");
    let pods = host.kf().api("Pod");
    pods.apply_with(&pod("web", "web").into(), WriteOptions { dry_run: true, force: false }).unwrap();
    host.change_context(|context| context.dry_run = true);
    pods.create(&pod("web", "web").into()).unwrap();
    assert_eq!(pods.find("web"), Ok(None));
}

#[test]
fn an_object_without_a_name_is_not_sent() {
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
fn list_whose_pages_expire_begins_anew() {
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
        assert_eq!(answer.unwrap_err().code, ErrorCode::Expired, "it is not tried for ever");
    }
}
