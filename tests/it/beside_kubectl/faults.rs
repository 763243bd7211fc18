//! Clusters that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{Differences, kubectl, ran};
use crate::common::Home;
use crate::common::faulty::{FaultyServer, PODS, Response, healthy, list, pod};
use crate::common::requests::Request;
use crate::common::team::Team;

const METRICS: &str = "/apis/metrics.k8s.io";
const SERVING: &str = "/apis/serving.kserve.io";

/// A server with the discovery documents that kubectl needs: pods, metrics and inference services.
fn discovered(request: &Request) -> Response {
    let group = |name: &str, version: &str| {
        let version = json!({ "groupVersion": format!("{name}/{version}"), "version": version });
        json!({ "name": name, "versions": [version], "preferredVersion": version })
    };
    let resources = |group: &str, name: &str, kind: &str| {
        let resource = json!({ "name": name, "singularName": kind.to_lowercase(), "kind": kind, "namespaced": true,
                               "verbs": ["get", "list", "watch"] });
        Response::Json(
            200,
            json!({ "kind": "APIResourceList", "groupVersion": group, "resources": [resource] }),
        )
    };
    match request.path.as_str() {
        "/api" => Response::Json(200, json!({ "kind": "APIVersions", "versions": ["v1"] })),
        "/apis" => {
            let groups = [group("metrics.k8s.io", "v1beta1"), group("serving.kserve.io", "v1beta1")];
            Response::Json(200, json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        "/api/v1" => resources("v1", "pods", "Pod"),
        METRICS => Response::Json(200, group("metrics.k8s.io", "v1beta1")),
        SERVING => Response::Json(200, group("serving.kserve.io", "v1beta1")),
        "/apis/metrics.k8s.io/v1beta1" => resources("metrics.k8s.io/v1beta1", "pods", "PodMetrics"),
        "/apis/serving.kserve.io/v1beta1" => {
            resources("serving.kserve.io/v1beta1", "inferenceservices", "InferenceService")
        }
        path if path.starts_with(SERVING) => list(&[], ""),
        PODS => pods(&[pod("web")], ""),
        _ => healthy(request),
    }
}

/// A page of pods with the fields that a generic client needs.
fn pods(items: &[Value], token: &str) -> Response {
    let Response::Json(code, mut page) = list(items, token) else { unreachable!("list returns JSON") };
    page["kind"] = json!("PodList");
    page["apiVersion"] = json!("v1");
    Response::Json(code, page)
}

/// One fault, and the pods and exit code of each program.
struct Case {
    what: &'static str,
    answer: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    /// The arguments of kubectl.
    words: &'static [&'static str],
    kubectl: (&'static str, i32),
    kf: (&'static str, i32),
}

#[test]
fn faults_are_handled_as_by_kubectl_or_better() {
    let team = Team::new("faults");
    let home = Home::with_commands(&["status"]);
    let busy = |code: u16| {
        let (theirs, times) = (AtomicUsize::new(0), 4);
        move |request: &Request| match request.path.as_str() {
            PODS if theirs.fetch_add(1, Ordering::SeqCst) % (times + 1) < times => Response::Busy(code, 0),
            _ => discovered(request),
        }
    };
    let expiring = || {
        let lists = Arc::new(AtomicUsize::new(0));
        move |request: &Request| match request.path.as_str() {
            PODS if request.query.contains("continue=old") => {
                Response::status(410, "Expired", "The provided continue parameter is too old")
            }
            PODS => match lists.fetch_add(1, Ordering::SeqCst) {
                0 => pods(&[pod("web")], "old"),
                _ => pods(&[pod("web"), pod("new")], ""),
            },
            _ => discovered(request),
        }
    };
    let cases = [
        Case {
            what: "no fault",
            answer: Box::new(discovered),
            words: &["get", "pods"],
            kubectl: ("pod/web\n", 0),
            kf: ("pod/web\n", 0),
        },
        Case {
            what: "an aggregated API is unavailable",
            answer: Box::new(|request| match request.path.as_str() {
                path if path.starts_with(METRICS) => Response::Text(503, "service unavailable\n"),
                _ => discovered(request),
            }),
            words: &["get", "pods"],
            kubectl: ("pod/web\n", 0),
            kf: ("pod/web\n", 0),
        },
        Case {
            what: "the server is busy (429)",
            answer: Box::new(busy(429)),
            words: &["get", "pods"],
            kubectl: ("pod/web\n", 0),
            kf: ("pod/web\n", 0),
        },
        Case {
            what: "the server is busy (503)",
            answer: Box::new(busy(503)),
            words: &["get", "pods"],
            kubectl: ("pod/web\n", 0),
            kf: ("pod/web\n", 0),
        },
        Case {
            what: "the conversion webhook of one kind fails",
            answer: Box::new(|request| match request.path.as_str() {
                path if path.starts_with(SERVING) && path.contains("/namespaces/") => {
                    Response::status(500, "InternalError", "conversion webhook failed")
                }
                _ => discovered(request),
            }),
            words: &["get", "pods,inferenceservices"],
            // Both show the other kinds. kubectl fails, as a requested kind is missing; `kf status` chooses the kinds
            // itself, so it warns.
            kubectl: ("pod/web\n", 1),
            kf: ("pod/web\n", 0),
        },
        Case {
            what: "a list expires between two pages",
            answer: Box::new(expiring()),
            words: &["get", "pods"],
            kubectl: ("pod/new\npod/web\n", 0),
            kf: ("pod/new\npod/web\n", 0),
        },
    ];
    let mut differences = Differences::default();
    for case in cases {
        let answer: Arc<dyn Fn(&Request) -> Response + Send + Sync> = Arc::from(case.answer);
        let faulty = FaultyServer::serve(move |request| answer(request));
        let file = faulty.kubeconfig(&home);
        let sorted = |text: &str| {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            lines.into_iter().map(|line| format!("{line}\n")).collect::<String>()
        };
        let ours = home.run(["status", "-o", "name", "--kubeconfig", &file]);
        let expected = (case.kf.0.to_owned(), Some(case.kf.1));
        differences.check(
            &format!("kf: {}", case.what),
            &(sorted(&ours.stdout), ours.code),
            &expected,
            &ours,
        );
        // kubectl caches the discovery documents of a server.
        let _ = fs_err::remove_dir_all(home.path().join(".kube"));
        let theirs = ran(kubectl(&team, &home, file.as_ref()).args(case.words).args(["-o", "name"]), &home);
        let expected = (case.kubectl.0.to_owned(), Some(case.kubectl.1));
        differences.check(
            &format!("kubectl: {}", case.what),
            &(sorted(&theirs.stdout), theirs.code),
            &expected,
            &theirs,
        );
    }
}

/// Before Kubernetes 1.28 there is no SelfSubjectReview. kubectl fails; kf shows what else it knows.
#[test]
fn whoami_works_without_self_subject_review() {
    let team = Team::new("old-server");
    let home = Home::with_commands(&["whoami"]);
    let file = FaultyServer::serve(healthy).kubeconfig(&home);
    let theirs = ran(kubectl(&team, &home, file.as_ref()).args(["auth", "whoami"]), &home).code(1);
    assert!(theirs.stderr.contains("selfsubjectreviews API is not enabled"), "{}", theirs.transcript());
    let ours = home.run(["whoami", "--kubeconfig", &file]).success();
    assert!(ours.stderr.contains("does not serve SelfSubjectReview"), "{}", ours.transcript());
}
