//! The SDK's `FakeHost` refuses the same requests as the broker with an API server, with the same error code.
//!
//! Both get the same manifest, cluster, and request, often hostile. The broker uses a small API server that implements
//! discovery and RBAC, and knows which objects exist.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests; clippy only excuses functions marked as tests"
)]

mod server;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kf_cluster::broker::{Broker, BrokerConfig, Budgets, Command};
use kf_cluster::connection::Connection;
use kf_core::api::{self, KubeApi as _};
use kf_core::grants::{Ceiling, Consent, Grants, RuleSet, RunFlags};
use kf_core::names::Namespace;
use kf_plugin_sdk::abi::{self, Host as _};
use kf_plugin_sdk::testing::FakeHost;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use server::{CUSTOM, Server};

const NAMESPACE: &str = "team-a";

/// The input of both.
#[derive(Clone, Debug)]
struct Case {
    rules: Vec<Value>,
    /// Indices of [`server::CUSTOM`].
    served: Vec<usize>,
    objects: Vec<Value>,
    /// Verb, group and resource that RBAC denies.
    denied: Vec<(&'static str, &'static str, &'static str)>,
    dry_run: bool,
    request: Request,
}

#[derive(Clone, Debug)]
enum Request {
    Get(abi::ObjectRef),
    List(abi::Selection, Option<u32>, Option<String>),
    Watch(abi::Selection, String),
    Create(abi::ObjectRef, Value, abi::WriteOptions),
    Apply(abi::ObjectRef, Value, abi::WriteOptions),
    Patch(abi::ObjectRef, abi::PatchKind, Value, abi::WriteOptions),
    Delete(abi::ObjectRef, abi::DeleteOptions),
    Log(Pod, abi::LogOptions),
    Exec(Pod, Vec<String>, abi::SessionOptions),
    Attach(Pod, abi::SessionOptions),
    PortForward(Pod, Vec<abi::Port>),
    Http(abi::HttpRequest),
    CanI(abi::Access),
    Discover(String),
}

/// Namespace and name.
type Pod = (Option<String>, String);

// ---- generators ----

/// Usually a valid value, sometimes an invalid one.
fn mostly(valid: &'static [&'static str], hostile: &'static [&'static str]) -> BoxedStrategy<String> {
    prop_oneof![19 => select(valid), 1 => select(hostile)].prop_map(str::to_owned).boxed()
}

const HOSTILE: &[&str] =
    &["", "..", "../secrets/s", "a b", "web-0/exec?stdin=true", "%2e", "x#y", "Ä", "a\n"];

fn names() -> BoxedStrategy<String> {
    mostly(&["web-0", "web-1", "mnist", "s", "desk", "team-a", "absent", "status"], HOSTILE)
}

fn namespaces() -> BoxedStrategy<Option<String>> {
    prop_oneof![2 => Just(None), 1 => mostly(&[NAMESPACE, "team-b"], HOSTILE).prop_map(Some)].boxed()
}

fn kinds() -> impl Strategy<Value = abi::Kind> {
    let known = select(vec![
        ("", "Pod"),
        ("", "Secret"),
        ("", "Namespace"),
        ("", "Node"),
        ("batch", "Job"),
        ("kubeflow.org", "Notebook"),
        ("kubeflow.org", "notebook"),
        ("kubeflow.org", "Workspace"),
        ("trainer.kubeflow.org", "ClusterTrainingRuntime"),
        ("absent.example", "Thing"),
        ("", "Thing"),
        ("batch", "../Job"),
        ("../batch", "Job"),
    ]);
    let version = prop_oneof![
        6 => Just(None),
        1 => select(vec!["v1", "v1beta1", "v9", "1", "../v1"]).prop_map(|version| Some(version.to_owned())),
    ];
    (known, version).prop_map(|((group, kind), version)| {
        let kind = abi::Kind::new(group, kind);
        abi::Kind { version, ..kind }
    })
}

/// An object that may exist, or any other.
fn references() -> BoxedStrategy<abi::ObjectRef> {
    let subresource = prop_oneof![
        5 => Just(None),
        1 => select(vec!["status", "scale", "finalize", "log", "exec", "token", "proxy", "../x", ""])
            .prop_map(|subresource| Some(subresource.to_owned())),
    ];
    let existing = select(vec![
        ("", "Pod", "web-0"),
        ("", "Secret", "s"),
        ("", "Namespace", "team-a"),
        ("", "Node", "web-0"),
        ("batch", "Job", "mnist"),
    ]);
    let existing = existing.prop_map(|(group, kind, name)| abi::ObjectRef {
        kind: abi::Kind::new(group, kind),
        namespace: None,
        name: name.into(),
        subresource: None,
    });
    let anything = (kinds(), namespaces(), names(), subresource);
    let anything = anything.prop_map(|(kind, namespace, name, subresource)| abi::ObjectRef {
        kind,
        namespace,
        name,
        subresource,
    });
    prop_oneof![existing, anything].boxed()
}

fn selections() -> impl Strategy<Value = abi::Selection> {
    let labels = prop_oneof![
        4 => Just(None),
        4 => select(vec![
            "", "app=web", "app!=web", "size>3", "size<3", "app in (web,db)", "app notin (db)", "!app",
            "app=web,,x", "size>x", "app like (web)", "a=b&watch=true", "app in (web", "-a=b", "a/b/c",
        ]).prop_map(|text| Some(text.to_owned())),
        1 => "[a-c =!<>(),/.in]{0,12}".prop_map(Some),
    ];
    let fields = prop_oneof![
        4 => Just(None),
        4 => select(vec![
            "", "metadata.name=web-0", "metadata.name==mnist", "metadata.name!=web-0", "status.phase=Running",
            "metadata.namespace=team-a", "type=Opaque", "spec.priority=1", "metadata.name", "a=b=c", "a b=c",
            "metadata.name=../x", "metadata.name=",
        ]).prop_map(|text| Some(text.to_owned())),
        1 => "[a-c.=!,\\\\ ]{0,12}".prop_map(Some),
    ];
    (kinds(), any::<bool>(), namespaces(), labels, fields).prop_map(
        |(kind, everywhere, namespace, labels, fields)| abi::Selection {
            kind,
            everywhere,
            namespace,
            labels,
            fields,
        },
    )
}

/// Bodies and merge patches. Some fields contradict the request or need their own grant.
fn bodies() -> BoxedStrategy<Value> {
    let parts = select(vec![
        json!({"apiVersion": "v1"}),
        json!({"apiVersion": "batch/v1"}),
        json!({"apiVersion": "kubeflow.org/v1"}),
        json!({"apiVersion": "kubeflow.org/v1beta1"}),
        json!({"apiVersion": "batch/../v1"}),
        json!({"kind": "Pod"}),
        json!({"kind": "Job"}),
        json!({"kind": "Notebook"}),
        json!({"kind": null}),
        json!({"metadata": {"name": "web-0"}}),
        json!({"metadata": {"name": "mnist"}}),
        json!({"metadata": {"namespace": "team-a"}}),
        json!({"metadata": {"namespace": "team-b"}}),
        json!({"metadata": {"namespace": null}}),
        json!({"metadata": {"generateName": "x-"}}),
        json!({"metadata": {"managedFields": []}}),
        json!({"metadata": {"finalizers": ["x"]}}),
        json!({"metadata": {"ownerReferences": []}}),
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"$patch": "delete"}}),
        json!({"metadata": []}),
        json!({"$patch": "replace"}),
        json!({"status": {"phase": "Failed"}}),
        json!({"spec": {"suspend": true}}),
        json!({"spec": null}),
        json!({"data": {"a": "b"}}),
    ]);
    let object = prop::collection::vec(parts, 0..=2).prop_map(|parts| {
        let mut body = json!({});
        for part in parts {
            for (field, value) in part.as_object().unwrap() {
                match (&mut body[field], value) {
                    (Value::Object(have), Value::Object(more)) => have.extend(more.clone()),
                    (old, value) => *old = value.clone(),
                }
            }
        }
        body
    });
    let odd = select(vec![json!([]), json!(null), json!("x"), json!(1)]);
    prop_oneof![15 => Just(json!({})), 15 => object, 1 => odd].boxed()
}

fn json_patches() -> BoxedStrategy<Value> {
    let operations = select(vec![
        json!({"op": "add", "path": "/spec/x", "value": 1}),
        json!({"op": "copy", "from": "/data/password", "path": "/metadata/labels/a"}),
        json!({"op": "add", "path": "/metadata/finalizers/-", "value": "x"}),
        json!({"op": "remove", "path": "/status"}),
        json!({"op": "replace", "path": "/metadata/name", "value": "x"}),
        json!({"op": "replace", "path": "", "value": {}}),
        json!({"op": "add"}),
        json!(1),
    ]);
    let list = prop::collection::vec(operations, 0..3).prop_map(Value::Array);
    prop_oneof![9 => list, 1 => Just(json!({"path": "/spec"}))].boxed()
}

fn write_options() -> impl Strategy<Value = abi::WriteOptions> {
    (any::<bool>(), any::<bool>()).prop_map(|(dry_run, force)| abi::WriteOptions { dry_run, force })
}

fn patches() -> impl Strategy<Value = Request> {
    let merge = bodies().prop_map(|body| (abi::PatchKind::Merge, body));
    let strategic = bodies().prop_map(|body| (abi::PatchKind::Strategic, body));
    let json = json_patches().prop_map(|body| (abi::PatchKind::Json, body));
    (references(), prop_oneof![merge, strategic, json], write_options())
        .prop_map(|(object, (kind, body), options)| Request::Patch(object, kind, body, options))
}

fn deletes() -> impl Strategy<Value = Request> {
    let uid = prop_oneof![
        3 => Just(None),
        1 => select(vec!["uid-1", "uid-2", "uid-9", "a b", ""]).prop_map(|uid| Some(uid.to_owned())),
    ];
    let grace = select(vec![None, None, Some(0), Some(30)]);
    (references(), any::<bool>(), grace, uid).prop_map(|(object, dry_run, grace_period_seconds, uid)| {
        let propagation = abi::Propagation::Background;
        Request::Delete(object, abi::DeleteOptions { dry_run, propagation, grace_period_seconds, uid })
    })
}

fn pods() -> BoxedStrategy<Pod> {
    prop_oneof![Just((None, "web-0".to_owned())), (namespaces(), names())].boxed()
}

fn containers() -> BoxedStrategy<Option<String>> {
    prop_oneof![3 => Just(None), 1 => mostly(&["main", "side"], HOSTILE).prop_map(Some)].boxed()
}

fn sessions() -> BoxedStrategy<abi::SessionOptions> {
    (containers(), any::<bool>(), any::<bool>())
        .prop_map(|(container, stdin, tty)| abi::SessionOptions { container, stdin, tty })
        .boxed()
}

fn http_requests() -> impl Strategy<Value = Request> {
    let path = mostly(&["/", "/a?b=c", "/a%20b"], &["", "x", "//evil", "/../x", "/%2e%2e/x", "/a b", "/a#b"]);
    let header = select(vec![
        ("accept", "*/*"),
        ("x-a", "1"),
        ("Authorization", "Bearer x"),
        ("x_forwarded_for", "1"),
        ("a b", "1"),
        ("x", "1\r\ny: 2"),
    ]);
    let bearer = (
        mostly(&["default", "pipelines"], HOSTILE),
        mostly(&["pipelines.example"], &["", "a b", server::AUDIENCE]),
    )
        .prop_map(|(service_account, audience)| abi::Bearer { service_account, audience });
    let method = select(vec![abi::Method::Get, abi::Method::Head, abi::Method::Post]);
    let headers = prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(header, 1..3)];
    let bearer = prop_oneof![Just(None), bearer.prop_map(Some)];
    (pods(), select(vec![8080u16, 8080, 8080, 0]), method, path, headers, bearer).prop_map(
        |((namespace, pod), port, method, path, headers, bearer)| {
            let headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            Request::Http(abi::HttpRequest {
                namespace,
                pod,
                port,
                method,
                path,
                headers,
                body: Vec::new(),
                bearer,
            })
        },
    )
}

fn questions() -> impl Strategy<Value = Request> {
    let name = prop_oneof![Just(None), names().prop_map(Some)];
    let verb = mostly(&["get", "list", "fetch"], &["", "*", "Get", "get pods"]);
    let resource = mostly(&["pods", "pods/log", "jobs"], &["", "*", "pods/", "pods/log/x", "a b"]);
    (verb, mostly(&["", "batch"], &["..", "a b"]), resource, namespaces(), name).prop_map(
        |(verb, group, resource, namespace, name)| {
            Request::CanI(abi::Access { verb, group, resource, namespace, name })
        },
    )
}

fn requests() -> BoxedStrategy<Request> {
    let token = prop_oneof![
        4 => Just(None),
        1 => mostly(&["0", "1"], &["", "x", "a b", "1&limit=9"]).prop_map(Some),
    ];
    let limit = select(vec![None, Some(0), Some(1), Some(1000)]);
    let version = mostly(&["0", "7"], &["", "x", "a b", "1&watch=false"]);
    let command = select(vec![vec!["sh", "-c", "id\n"], vec![], vec!["", "x"], vec!["a\0b"]]);
    let port = select(vec![8080u16, 8080, 80, 0]);
    prop_oneof![
        references().prop_map(Request::Get),
        (selections(), limit, token).prop_map(|(what, limit, token)| Request::List(what, limit, token)),
        (selections(), version).prop_map(|(what, version)| Request::Watch(what, version)),
        (references(), bodies(), write_options()).prop_map(|(o, body, w)| Request::Create(o, body, w)),
        (references(), bodies(), write_options()).prop_map(|(o, body, w)| Request::Apply(o, body, w)),
        patches(),
        deletes(),
        (pods(), containers()).prop_map(|(pod, container)| {
            Request::Log(pod, abi::LogOptions { container, ..abi::LogOptions::default() })
        }),
        (pods(), command, sessions()).prop_map(|(pod, command, options)| {
            Request::Exec(pod, command.into_iter().map(str::to_owned).collect(), options)
        }),
        (pods(), sessions()).prop_map(|(pod, options)| Request::Attach(pod, options)),
        (pods(), prop::collection::vec(port, 0..3)).prop_map(|(pod, ports)| {
            let ports = ports.into_iter().map(|remote| abi::Port { local: 0, remote });
            Request::PortForward(pod, ports.collect())
        }),
        http_requests(),
        questions(),
        mostly(&["", "kubeflow.org", "absent.example"], &["..", "a b", "Ä"]).prop_map(Request::Discover),
    ]
    .boxed()
}

const RESOURCES: [(&str, &str); 20] = [
    ("", "pods"),
    ("", "pods/log"),
    ("", "pods/exec"),
    ("", "pods/attach"),
    ("", "pods/portforward"),
    ("", "pods/status"),
    ("", "secrets"),
    ("", "namespaces"),
    ("", "nodes"),
    ("", "serviceaccounts/token"),
    ("batch", "jobs"),
    ("batch", "jobs/status"),
    ("batch", "jobs/finalizers"),
    ("batch", "jobs/scale"),
    ("kubeflow.org", "notebooks"),
    ("kubeflow.org", "notebooks/status"),
    ("kubeflow.org", "notebooks/finalizers"),
    ("kubeflow.org", "workspaces"),
    ("trainer.kubeflow.org", "clustertrainingruntimes"),
    ("trainer.kubeflow.org", "clustertrainingruntimes/status"),
];
const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];

/// All rights in one group, or a few in several.
fn rules() -> impl Strategy<Value = Value> {
    let group = select(vec!["", "batch", "kubeflow.org", "trainer.kubeflow.org"]);
    let wide = group.prop_map(|group| {
        let resources: Vec<_> =
            RESOURCES.iter().filter(|(of, _)| *of == group).map(|(_, one)| *one).collect();
        json!({
            "apiGroups": [group], "resources": resources, "verbs": VERBS, "resourceNames": [],
            "scope": "cluster", "data": false, "force": true,
        })
    });
    let names = prop::sample::subsequence(vec!["web-0", "mnist", "s", "desk"], 1..=2);
    let names = prop_oneof![3 => Just(vec![]), 1 => names];
    let resources = prop::sample::subsequence(RESOURCES.to_vec(), 1..=6);
    let verbs = prop::sample::subsequence(VERBS.to_vec(), 1..=7);
    let scope = select(vec!["environment", "environment", "cluster"]);
    let narrow =
        (resources, verbs, names, scope, any::<bool>()).prop_map(|(resources, verbs, names, scope, more)| {
            let secrets = resources == [("", "secrets")];
            let groups: BTreeSet<_> = resources.iter().map(|(group, _)| *group).collect();
            let resources: Vec<_> = resources.iter().map(|(_, resource)| *resource).collect();
            json!({
                "apiGroups": groups, "resources": resources, "verbs": verbs, "resourceNames": names,
                "scope": scope, "data": more && secrets, "force": more && verbs.contains(&"patch"),
            })
        });
    prop_oneof![2 => wide, 1 => narrow]
}

fn objects() -> impl Strategy<Value = Vec<Value>> {
    let object = |version: &str, kind: &str, namespace: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": namespace, "name": name}});
    let mut all = Vec::new();
    for (name, phase) in [("web-0", "Running"), ("web-1", "Pending"), ("mnist", "Succeeded")] {
        let mut pod = object("v1", "Pod", NAMESPACE, name);
        pod["status"] = json!({"phase": phase});
        all.push(pod);
    }
    all.push(object("v1", "Pod", "team-b", "web-0"));
    all.push(object("v1", "Secret", NAMESPACE, "s"));
    all.push(object("batch/v1", "Job", NAMESPACE, "mnist"));
    for (kind, name) in [("Namespace", "team-a"), ("Node", "web-0")] {
        all.push(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}));
    }
    let length = all.len();
    prop::sample::subsequence(all, 0..=length)
}

fn cases() -> impl Strategy<Value = Case> {
    let denied = (select(vec!["*", "get", "create", "list", "patch"]), select(RESOURCES.to_vec()))
        .prop_map(|(verb, (group, resource))| (verb, group, resource));
    let served = prop::sample::subsequence((0..CUSTOM.len()).collect::<Vec<_>>(), 0..=CUSTOM.len());
    let rules = prop::collection::vec(rules(), 0..=4);
    let denied = prop::collection::vec(denied, 0..=2);
    let dry_run = prop::bool::weighted(0.2);
    (rules, served, objects(), denied, dry_run, requests()).prop_map(
        |(rules, served, objects, denied, dry_run, request)| Case {
            rules,
            served,
            objects,
            denied,
            dry_run,
            request,
        },
    )
}

// ---- execution ----

/// The error code, or `Ok` if the request is allowed.
type Outcome = Result<(), String>;

fn fake(case: &Case) -> Outcome {
    let host = FakeHost::new(NAMESPACE);
    let list = |rule: &Value, field: &str| format!("{field} = {}\n", rule[field]);
    let fields = ["apiGroups", "resources", "verbs", "resourceNames", "scope", "data", "force"];
    let manifest = case.rules.iter().map(|rule| {
        let fields = fields.map(|field| list(rule, field)).concat();
        format!("[[permissions.kubernetes]]\n{fields}")
    });
    // Terminals are not checked by the broker, but by the sandbox.
    host.manifest(&format!("[permissions]\nterminal = true\n{}", manifest.collect::<String>()));
    for (group, version, kind, plural, namespaced) in case.served.iter().map(|at| CUSTOM[*at]) {
        host.cluster(|cluster| cluster.serve(group, version, kind, plural, namespaced));
    }
    for object in &case.objects {
        host.put(object.clone());
        if object["kind"] == "Pod" {
            let name = object["metadata"]["name"].as_str().unwrap();
            host.cluster(|cluster| cluster.log(name, "main", "epoch 1\n"));
        }
    }
    for (verb, group, resource) in &case.denied {
        host.cluster(|cluster| cluster.deny(verb, group, resource));
    }
    host.on_http(|_| Ok(kf_plugin_sdk::HttpResponse { status: 200, ..Default::default() }));
    host.change_context(|context| context.dry_run = case.dry_run);
    let answer = match &case.request {
        Request::Get(object) => host.get(object).map(drop),
        Request::List(what, limit, token) => host.list(what, *limit, token.as_deref()).map(drop),
        Request::Watch(what, version) => host.open_watch(what, version).map(drop),
        Request::Create(object, body, options) => host.create(object, body, *options).map(drop),
        Request::Apply(object, body, options) => host.apply(object, body, *options).map(drop),
        Request::Patch(object, kind, body, options) => host.patch(object, *kind, body, *options).map(drop),
        Request::Delete(object, options) => host.delete(object, options),
        Request::Log((namespace, pod), options) => {
            host.open_log(namespace.as_deref(), pod, options).map(drop)
        }
        Request::Exec((namespace, pod), command, options) => {
            host.exec(namespace.as_deref(), pod, command, options).map(drop)
        }
        Request::Attach((namespace, pod), options) => {
            host.attach(namespace.as_deref(), pod, options).map(drop)
        }
        Request::PortForward((namespace, pod), ports) => {
            host.open_port_forward(namespace.as_deref(), pod, ports).map(drop)
        }
        Request::Http(request) => host.send(request).map(drop),
        Request::CanI(question) => host.can_i(std::slice::from_ref(question)).map(drop),
        Request::Discover(group) => host.discover(group).map(drop),
    };
    answer.map_err(|error| format!("{:?}", error.code))
}

fn kind(kind: &abi::Kind) -> api::Kind {
    api::Kind { group: kind.group.clone(), version: kind.version.clone(), kind: kind.kind.clone() }
}

fn reference(object: &abi::ObjectRef) -> api::ObjectRef {
    api::ObjectRef {
        kind: kind(&object.kind),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        subresource: object.subresource.clone(),
    }
}

fn selection(what: &abi::Selection) -> api::Selection {
    api::Selection {
        kind: kind(&what.kind),
        reach: if what.everywhere { api::Reach::AllNamespaces } else { api::Reach::Namespaced },
        namespace: what.namespace.clone(),
        label_selector: what.labels.clone(),
        field_selector: what.fields.clone(),
    }
}

fn pod((namespace, name): &Pod) -> api::PodRef {
    api::PodRef { namespace: namespace.clone(), name: name.clone() }
}

fn session(options: &abi::SessionOptions) -> api::SessionOptions {
    let abi::SessionOptions { container, stdin, tty } = options.clone();
    api::SessionOptions { container, stdin, tty }
}

fn written(options: abi::WriteOptions) -> api::WriteOptions {
    api::WriteOptions { dry_run: options.dry_run, force: options.force }
}

async fn broker(case: &Case) -> Outcome {
    let server = Arc::new(Server::new(&case.served, &case.objects, &case.denied));
    let client = kube::Client::new(server::service(Arc::clone(&server)), "default");
    let rules = RuleSet::parse(&case.rules).unwrap();
    let digest = "5f1c0000aaaa".to_owned();
    let broker = Broker::new(BrokerConfig {
        connection: Arc::new(Connection::from_client(client, "https://lab")),
        grants: Grants {
            component: digest.clone(),
            manifest: rules.clone(),
            ceiling: Ceiling::Registry(rules.clone()),
            consent: Some(Consent { component: digest.clone(), rules }),
            environment: None,
            run: RunFlags::default(),
        },
        namespace: Namespace::parse(NAMESPACE).unwrap(),
        command: Command { name: "train".into(), version: "1.4.0".into(), digest },
        headers: BTreeSet::new(),
        dry_run: case.dry_run,
        budgets: Budgets::default(),
        audit: None,
    })
    .unwrap();
    let answer = match &case.request {
        Request::Get(object) => broker.get(reference(object)).await.map(drop),
        Request::List(what, limit, token) => {
            broker.list(selection(what), *limit, token.clone()).await.map(drop)
        }
        Request::Watch(what, version) => broker.watch(selection(what), version.clone()).await.map(drop),
        Request::Create(object, body, options) => {
            broker.create(reference(object), body.clone(), written(*options)).await.map(drop)
        }
        Request::Apply(object, body, options) => {
            broker.apply(reference(object), body.clone(), written(*options)).await.map(drop)
        }
        Request::Patch(object, kind, body, options) => {
            let kind = match kind {
                abi::PatchKind::Merge => api::PatchKind::Merge,
                abi::PatchKind::Json => api::PatchKind::Json,
                abi::PatchKind::Strategic => api::PatchKind::Strategic,
            };
            broker.patch(reference(object), kind, body.clone(), written(*options)).await.map(drop)
        }
        Request::Delete(object, options) => {
            let options = api::DeleteOptions {
                dry_run: options.dry_run,
                propagation: api::Propagation::Background,
                grace_period_seconds: options.grace_period_seconds,
                uid: options.uid.clone(),
            };
            broker.delete(reference(object), options).await
        }
        Request::Log((namespace, pod), options) => {
            let options =
                api::LogOptions { container: options.container.clone(), ..api::LogOptions::default() };
            broker.log(namespace.clone(), pod.clone(), options).await.map(drop)
        }
        Request::Exec(of, command, options) => {
            broker.exec(pod(of), command.clone(), session(options)).await.map(drop)
        }
        Request::Attach(of, options) => broker.attach(pod(of), session(options)).await.map(drop),
        Request::PortForward(of, ports) => {
            let ports = ports.iter().map(|port| api::PortPair { local: port.local, remote: port.remote });
            broker.port_forward(pod(of), ports.collect()).await.map(drop)
        }
        Request::Http(request) => {
            let request = api::PodRequest {
                pod: pod(&(request.namespace.clone(), request.pod.clone())),
                port: request.port,
                method: match request.method {
                    abi::Method::Get => api::HttpMethod::Get,
                    abi::Method::Head => api::HttpMethod::Head,
                    _ => api::HttpMethod::Post,
                },
                path: request.path.clone(),
                headers: request.headers.clone(),
                body: request.body.clone().into(),
                bearer: request.bearer.as_ref().map(|bearer| api::Bearer {
                    service_account: bearer.service_account.clone(),
                    audience: bearer.audience.clone(),
                }),
            };
            broker.pod_http(request).await.map(drop)
        }
        Request::CanI(question) => {
            let abi::Access { verb, group, resource, namespace, name } = question.clone();
            let question = api::AccessQuestion { verb, group, resource, namespace, name };
            broker.can_i(vec![question]).await.map(drop)
        }
        Request::Discover(group) => broker.discover(group.clone()).await.map(drop),
    };
    // The server has no WebSockets: a request that reaches this point was allowed.
    let withheld = broker.withheld().into_iter().map(|(_, message)| message);
    let messages: Vec<String> =
        withheld.chain(answer.as_ref().err().map(|error| error.message.clone())).collect();
    match answer {
        Err(_) if messages.iter().any(|message| message.contains(server::NO_WEBSOCKETS)) => Ok(()),
        other => other.map_err(|error| format!("{:?}", error.code)),
    }
}

/// Known differences: features that the fake host does not implement.
fn is_known_difference(case: &Case, fake: &Outcome, broker: &Outcome) -> bool {
    let own_audience = matches!(&case.request, Request::Http(request)
        if request.bearer.as_ref().is_some_and(|bearer| bearer.audience == server::AUDIENCE));
    match &case.request {
        // It does not support JSON patches.
        Request::Patch(_, abi::PatchKind::Json, ..) => {
            fake == &Err("Unsupported".into()) && (broker.is_ok() || broker == &Err("NotFound".into()))
        }
        // It does not know the audiences of the API server.
        Request::Http(_) => own_audience && broker == &Err("Invalid".into()),
        _ => false,
    }
}

/// The number of requests, unless `PROPTEST_CASES` is set.
const CASES: u32 = 10_000;

#[test]
fn fake_host_and_broker_refuse_the_same_requests() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let cases_run = if std::env::var_os("PROPTEST_CASES").is_some() { config.cases } else { CASES };
    let mut runner = TestRunner::new(ProptestConfig { cases: cases_run, ..config });
    let outcomes = RefCell::new(BTreeMap::<String, u32>::new());
    let result = runner.run(&cases(), |case| {
        let (fake, broker) = (fake(&case), runtime.block_on(broker(&case)));
        *outcomes.borrow_mut().entry(format!("{broker:?}")).or_default() += 1;
        if !is_known_difference(&case, &fake, &broker) {
            prop_assert_eq!(fake, broker, "fake host, then broker");
        }
        Ok(())
    });
    assert!(result.is_ok(), "{}", result.unwrap_err());
    // Check that the generator covers all kinds of outcomes.
    let outcomes = outcomes.into_inner();
    println!("{outcomes:?}");
    for code in ["Invalid", "Forbidden", "NotFound", "Conflict"] {
        assert!(outcomes.contains_key(&format!("Err({code:?})")), "no {code}: {outcomes:?}");
    }
    assert!(outcomes.contains_key("Ok(())"), "nothing is allowed: {outcomes:?}");
}
