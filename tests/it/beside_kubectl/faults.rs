//! Clusters that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{Differences, kubectl, ran};
use crate::common::Home;
use crate::common::faulty::{Answer, Faulty, PODS, honest, list, pod};
use crate::common::requests::Request;
use crate::common::team::Team;

const METRICS: &str = "/apis/metrics.k8s.io";
const SERVING: &str = "/apis/serving.kserve.io";

/// A server that kubectl can ask for its kinds too: pods, use and inference services.
fn discovered(asked: &Request) -> Answer {
    let group = |name: &str, version: &str| {
        let version = json!({ "groupVersion": format!("{name}/{version}"), "version": version });
        json!({ "name": name, "versions": [version], "preferredVersion": version })
    };
    let resources = |group: &str, name: &str, kind: &str| {
        let resource = json!({ "name": name, "singularName": kind.to_lowercase(), "kind": kind, "namespaced": true,
                               "verbs": ["get", "list", "watch"] });
        Answer::Json(
            200,
            json!({ "kind": "APIResourceList", "groupVersion": group, "resources": [resource] }),
        )
    };
    match asked.path.as_str() {
        "/api" => Answer::Json(200, json!({ "kind": "APIVersions", "versions": ["v1"] })),
        "/apis" => {
            let groups = [group("metrics.k8s.io", "v1beta1"), group("serving.kserve.io", "v1beta1")];
            Answer::Json(200, json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        "/api/v1" => resources("v1", "pods", "Pod"),
        METRICS => Answer::Json(200, group("metrics.k8s.io", "v1beta1")),
        SERVING => Answer::Json(200, group("serving.kserve.io", "v1beta1")),
        "/apis/metrics.k8s.io/v1beta1" => resources("metrics.k8s.io/v1beta1", "pods", "PodMetrics"),
        "/apis/serving.kserve.io/v1beta1" => {
            resources("serving.kserve.io/v1beta1", "inferenceservices", "InferenceService")
        }
        path if path.starts_with(SERVING) => list(&[], ""),
        PODS => pods(&[pod("web")], ""),
        _ => honest(asked),
    }
}

/// A page of pods as a client that knows nothing of them takes it.
fn pods(items: &[Value], token: &str) -> Answer {
    let Answer::Json(code, mut page) = list(items, token) else { unreachable!("it is a page") };
    page["kind"] = json!("PodList");
    page["apiVersion"] = json!("v1");
    Answer::Json(code, page)
}

/// One fault, and what each program shows of the pods: their names, and whether that is all.
struct Case {
    what: &'static str,
    answer: Box<dyn Fn(&Request) -> Answer + Send + Sync>,
    /// What kubectl is asked.
    words: &'static [&'static str],
    kubectl: (&'static str, i32),
    kf: (&'static str, i32),
}

#[test]
fn faults_are_survived_as_by_kubectl_or_better() {
    let team = Team::new("faults");
    let home = Home::with_commands(&["status"]);
    let busy = |code: u16| {
        let (theirs, times) = (AtomicUsize::new(0), 4);
        move |asked: &Request| match asked.path.as_str() {
            PODS if theirs.fetch_add(1, Ordering::SeqCst) % (times + 1) < times => Answer::Busy(code, 0),
            _ => discovered(asked),
        }
    };
    let expiring = || {
        let lists = Arc::new(AtomicUsize::new(0));
        move |asked: &Request| match asked.path.as_str() {
            PODS if asked.query.contains("continue=old") => {
                Answer::status(410, "Expired", "The provided continue parameter is too old")
            }
            PODS => match lists.fetch_add(1, Ordering::SeqCst) {
                0 => pods(&[pod("web")], "old"),
                _ => pods(&[pod("web"), pod("new")], ""),
            },
            _ => discovered(asked),
        }
    };
    let cases = [
        Case {
            what: "all is well",
            answer: Box::new(discovered),
            words: &["get", "pods"],
            kubectl: ("pod/web\n", 0),
            kf: ("pod/web\n", 0),
        },
        Case {
            what: "an aggregated API is away",
            answer: Box::new(|asked| match asked.path.as_str() {
                path if path.starts_with(METRICS) => Answer::Text(503, "service unavailable\n"),
                _ => discovered(asked),
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
            answer: Box::new(|asked| match asked.path.as_str() {
                path if path.starts_with(SERVING) && path.contains("/namespaces/") => {
                    Answer::status(500, "InternalError", "conversion webhook failed")
                }
                _ => discovered(asked),
            }),
            words: &["get", "pods,inferenceservices"],
            // kubectl shows the others as well, and fails: what was asked for by name is missing. Nobody asks kf for the
            // kinds of `kf status`, so it warns.
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
        let answer: Arc<dyn Fn(&Request) -> Answer + Send + Sync> = Arc::from(case.answer);
        let faulty = Faulty::serve(move |asked| answer(asked));
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
        // kubectl keeps what it learns of a server.
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

/// Before Kubernetes 1.28 a server does not say who asks. kubectl fails; kf says what else it knows.
#[test]
fn server_that_does_not_say_who_asks() {
    let team = Team::new("old-server");
    let home = Home::with_commands(&["whoami"]);
    let file = Faulty::serve(honest).kubeconfig(&home);
    let theirs = ran(kubectl(&team, &home, file.as_ref()).args(["auth", "whoami"]), &home).code(1);
    assert!(theirs.stderr.contains("selfsubjectreviews API is not enabled"), "{}", theirs.transcript());
    let ours = home.run(["whoami", "--kubeconfig", &file]).success();
    assert!(ours.stderr.contains("it serves no SelfSubjectReview"), "{}", ours.transcript());
}
