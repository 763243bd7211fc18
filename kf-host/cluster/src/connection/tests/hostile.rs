//! Randomly mutated kubeconfigs: loading one and setting up its connection succeeds or fails with one clear error, and
//! never panics.
//!
//! The mutations are the same in every run. `KF_FUZZ_CASES` sets their number.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use super::*;
use crate::kubeconfig::{ProxyVariables, Settings};

const CASES: u32 = 1500;

/// Used for everything secret.
const SECRET: &str = "hunter2";

/// The files next to the kubeconfig, and the values that refer to them.
struct Material {
    directory: tempfile::TempDir,
    authority: String,
    certificate: String,
    key: String,
    /// An address that refuses connections.
    closed: SocketAddr,
}

impl Material {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let (_, key, certificate) = authority.sign(2100);
        let (authority, key) = (authority.0.pem(), key.serialize_pem());
        let write = |name: &str, content: &str| fs_err::write(directory.path().join(name), content).unwrap();
        write("ca.pem", &authority);
        write("client.pem", &certificate);
        write("client.key", &key);
        write("token", &format!("{SECRET}\n"));
        write("empty", "");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = listener.local_addr().unwrap();
        let encoded = |text: &str| STANDARD.encode(text);
        let (authority, certificate, key) = (encoded(&authority), encoded(&certificate), encoded(&key));
        Self { directory, authority, certificate, key, closed }
    }

    /// Kubeconfigs as written by common tools.
    fn corpus(&self) -> Vec<String> {
        let Self { authority, certificate, key, closed, .. } = self;
        let wrapped = authority.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap());
        let wrapped = wrapped.collect::<Vec<_>>().join("\n      ");
        vec![
            format!(
                "apiVersion: v1\nkind: Config\npreferences: {{}}\ncurrent-context: arn:aws:eks:eu-west-1:1:cluster/lab\n\
                 clusters:\n- name: arn:aws:eks:eu-west-1:1:cluster/lab\n  cluster:\n    server: https://{closed}\n    \
                 certificate-authority-data: {authority}\n\
                 contexts:\n- name: arn:aws:eks:eu-west-1:1:cluster/lab\n  context:\n    \
                 cluster: arn:aws:eks:eu-west-1:1:cluster/lab\n    user: eks\n    namespace: team-a\n\
                 users:\n- name: eks\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1beta1\n      \
                 command: /nonexistent/aws\n      args: [--region, eu-west-1, eks, get-token]\n      \
                 env:\n      - name: AWS_PROFILE\n        value: {SECRET}\n      interactiveMode: IfAvailable\n      \
                 installHint: |\n        Install it\n        from https://aws.example\n      provideClusterInfo: true\n"
            ),
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: kind-lab\nclusters:\n- cluster:\n    \
                 certificate-authority-data: |\n      {wrapped}\n    server: https://{closed}\n  name: kind-lab\n\
                 contexts:\n- context: {{cluster: kind-lab, user: kind-lab}}\n  name: kind-lab\n- context: {{}}\n  name: stray\n\
                 users:\n- name: kind-lab\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n"
            ),
            format!(
                "current-context: minikube\nclusters:\n- name: minikube\n  cluster:\n    certificate-authority: ca.pem\n    \
                 server: https://{closed}\n    tls-server-name: minikube.example\n    extensions:\n    - extension:\n        \
                 last-update: Thu, 18 Feb 2021 16:59:26 PST\n        version: v1.17.1\n      name: cluster_info\n\
                 contexts:\n- name: minikube\n  context: {{cluster: minikube, user: minikube, extensions: []}}\n\
                 users:\n- name: minikube\n  user: {{client-certificate: client.pem, client-key: client.key}}\n"
            ),
            format!(
                "current-context: default/api-lab:6443/alice\ncontexts: [{{name: 'default/api-lab:6443/alice', context: \
                 {{cluster: 'api-lab:6443', user: 'alice/api-lab:6443', namespace: default}}}}]\nclusters: [{{name: \
                 'api-lab:6443', cluster: {{server: 'https://{closed}/k8s/clusters/c-m-1', insecure-skip-tls-verify: true, \
                 proxy-url: 'http://a:{SECRET}@{closed}'}}}}]\nusers: [{{name: 'alice/api-lab:6443', user: \
                 {{token: 'sha256~{SECRET}', as: root, as-uid: '1', as-groups: [a, b], as-user-extra: {{scopes: [c]}}}}}}]\n"
            ),
            format!(
                "x-cluster: &cluster {{server: 'https://{closed}', certificate-authority-data: !!binary {authority}}}\n\
                 current-context: a\n---\ncontexts:\n- name: a\n  context: &context {{cluster: a, user: a}}\n- name: b\n  \
                 context: {{<<: *context, namespace: b}}\nclusters:\n- name: a\n  cluster: {{<<: &c {{server: \
                 'https://{closed}'}}, certificate-authority: ca.pem}}\nusers:\n- name: a\n  user: {{tokenFile: token}}\n"
            ),
            format!(
                "current-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\nclusters: [{{name: a, \
                 cluster: {{server: 'localhost:{}', proxy-url: 'socks5://{closed}'}}}}]\nusers: [{{name: a, user: \
                 {{username: alice, password: {SECRET}}}}}]\n",
                closed.port()
            ),
            json!({
                "kind": "Config", "apiVersion": "v1", "current-context": "oidc",
                "contexts": [{"name": "oidc", "context": {"cluster": "lab", "user": "oidc"}}],
                "clusters": [{"name": "lab", "cluster": {"server": format!("https://{closed}"), "certificate-authority-data": authority}}],
                "users": [{"name": "oidc", "user": {"auth-provider": {"name": "oidc", "config": {
                    "client-id": "kf", "id-token": format!("a.{SECRET}.c"), "refresh-token": SECRET}}}}],
            })
            .to_string(),
        ]
    }
}

/// One mutation. The numbers select a place and the change, for a text of any size.
type Change = (u8, u16, u16, u8);

const TOKENS: &[&str] = &[
    "",
    "\0",
    "\n",
    "\r\n",
    "\t",
    " ",
    "- ",
    ": ",
    ", ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a ",
    "<<: ",
    "!!binary ",
    "!x ",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "#",
    "---\n",
    "...\n",
    "null",
    "~",
    "true",
    "yes",
    "0",
    "-1",
    "0x1f",
    "1e999",
    ".nan",
    "99999999999999999999",
    "é",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{feff}",
    "\u{2028}",
    "\\u0000",
    "\\n",
    "%",
    "@",
    "/",
    "//",
    "://",
    "http://",
    "ftp://",
    ":99999",
    "[::1",
    "2001:db8::1",
    "-----BEGIN CERTIFICATE-----",
    "=",
    "name: a",
    "current-context: a",
    "server: a",
    "token: a",
    "exec: {command: /nonexistent/a}",
    "as-groups: [a]",
];

fn changed_text(text: &str, changes: &[Change]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (kind, place, length, what) in changes {
        let at = usize::from(*place) * bytes.len() / 65536;
        let end = (at + usize::from(*length) % 64).min(bytes.len());
        match kind % 7 {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let copy = bytes[at..end].to_vec();
                let to = usize::from(*length) * bytes.len() / 65536;
                bytes.splice(to..to, copy);
            }
            2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= *what),
            3 => bytes.truncate(at),
            4 => {
                let units: Vec<u16> = String::from_utf8_lossy(&bytes).encode_utf16().collect();
                bytes =
                    [0xFF, 0xFE].into_iter().chain(units.into_iter().flat_map(u16::to_le_bytes)).collect();
                bytes.truncate(bytes.len() - usize::from(what % 2));
            }
            _ => {
                let token = TOKENS[usize::from(*what) % TOKENS.len()].as_bytes();
                let end = if kind % 2 == 0 { at } else { end };
                bytes.splice(at..end, token.iter().copied());
            }
        }
    }
    bytes
}

fn odd_value(what: u8, length: u16) -> Value {
    let long = || "x".repeat(usize::from(length) * 3);
    match what % 19 {
        0 => Value::Null,
        1 => json!(""),
        2 => json!([]),
        3 => json!({}),
        4 => json!(true),
        5 => json!(-1),
        6 => json!(1e300),
        7 => json!("\u{0}"),
        8 => json!("a\nb"),
        9 => json!(long()),
        10 => json!([null, "", 7, {"name": "a"}]),
        11 => json!({"name": "a", "": null, "k": ["a\nb"]}),
        12 => json!("https://"),
        13 => json!(format!("https://127.0.0.1:1/{}", long())),
        14 => json!("[::1]:1"),
        15 => json!("empty"),
        16 => json!("token"),
        17 => json!("Always"),
        _ => json!(vec!["a"; usize::from(length)]),
    }
}

/// The JSON pointers of a tree, from the root.
fn places(tree: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match tree {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{i}"), all);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{at}/{key}"), all);
            }
        }
        _ => {}
    }
}

fn changed_tree(mut tree: Value, changes: &[Change]) -> Vec<u8> {
    for (kind, place, length, what) in changes {
        let mut all = Vec::new();
        places(&tree, "", &mut all);
        let at = |number: u16| &all[usize::from(number) * all.len() / 65536];
        let other = tree.pointer(at(*length)).cloned().unwrap_or_default();
        let Some(node) = tree.pointer_mut(at(*place)) else { continue };
        match (kind % 5, node) {
            (0, Value::Object(fields)) => {
                let key = fields.keys().nth(usize::from(*what) % fields.len().max(1)).cloned();
                key.map(|key| fields.remove(&key));
            }
            (1, Value::Object(fields)) => {
                let keys = [
                    "token",
                    "server",
                    "as",
                    "as-groups",
                    "exec",
                    "command",
                    "env",
                    "cluster",
                    "user",
                    "name",
                ];
                fields.insert(keys[usize::from(*what) % keys.len()].to_owned(), other);
            }
            (2, Value::Array(items)) => items.insert(0, other),
            (3, node) => *node = other,
            (_, node) => *node = odd_value(*what, *length % 2000),
        }
    }
    match changes.first() {
        Some((kind, ..)) if kind % 2 == 0 => tree.to_string().into_bytes(),
        _ => serde_saphyr::to_string(&tree).unwrap_or_default().into_bytes(),
    }
}

/// Checks that a message is one readable line without secrets.
fn check(message: &str, may_move_secrets: bool) {
    assert!(!message.trim().is_empty());
    assert!(!message.contains(kf_core::text::is_unsafe), "{message:?}");
    for word in ["panic", "Options", "buffer's worker", "AliasAnchorRatio", "unwrap"] {
        assert!(!message.contains(word), "{message}");
    }
    assert!(may_move_secrets || !message.contains(SECRET), "{message}");
}

/// Whether a request would neither leave this machine nor run a program.
fn stays_here(settings: &Settings) -> bool {
    let is_here = |url: &http::Uri| matches!(url.host(), Some("127.0.0.1" | "localhost"));
    let config = &settings.config;
    settings.credential_plugin.is_none()
        && is_here(&config.cluster_url)
        && config.proxy_url.as_ref().is_none_or(is_here)
}

/// Loads a kubeconfig and connects. `may_move_secrets` is set if a mutation can move a secret to a place of names.
fn set_up(material: &Material, file: &[u8], proxy: &str, may_move_secrets: bool) {
    let path = material.directory.path().join("config");
    fs_err::write(&path, file).unwrap();
    let proxies = ProxyVariables {
        https: Some(proxy.to_owned()),
        no_proxy: Some(format!("127.0.0.1,{proxy}")),
        ..ProxyVariables::default()
    };
    let sources = Sources { proxies, ..Sources::default() };
    let settings = match load(&sources, &Overrides { file: Some(path), ..Overrides::default() }) {
        Ok(settings) => settings,
        Err(error) => return check(&error.to_string(), may_move_secrets),
    };
    settings.warnings().iter().for_each(|remark| check(remark, may_move_secrets));
    let may_ask = stays_here(&settings);
    let has_plugin = settings.credential_plugin.is_some();
    let connection = Connection::new(settings, Timeouts::default());
    connection.fingerprint();
    connection.credentials_expire();
    if has_plugin {
        return;
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Err(error) = runtime.block_on(connection.client()) {
        return check(&error.message, may_move_secrets);
    }
    if may_ask && let Err(error) = runtime.block_on(connection.get("/version")) {
        check(&error.message, may_move_secrets);
    }
}

fn run(strategy: impl Strategy<Value = (usize, Vec<Change>, String)>, case: impl Fn(usize, &[Change], &str)) {
    let cases = std::env::var_os("KF_FUZZ_CASES").and_then(|cases| cases.to_str()?.parse().ok());
    let config = Config { cases: cases.unwrap_or(CASES), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&strategy, |(file, changes, proxy)| {
        case(file, &changes, &proxy);
        Ok(())
    });
    outcome.unwrap_or_else(|failed| panic!("{failed}"));
}

fn changes() -> impl Strategy<Value = (usize, Vec<Change>, String)> {
    let proxy = prop_oneof![Just(String::new()), "[a-z0-9:/.@,%*\\[\\] -]{0,12}"];
    (any::<usize>(), vec(any::<Change>(), 0..6), proxy)
}

#[test]
fn kubeconfig_with_mutated_bytes_loads_or_fails_with_one_error() {
    let material = Material::new();
    let corpus = material.corpus();
    run(changes(), |file, changes, proxy| {
        let file = changed_text(&corpus[file % corpus.len()], changes);
        set_up(&material, &file, proxy, false);
    });
}

#[test]
fn kubeconfig_with_mutated_tree_loads_or_fails_with_one_error() {
    let material = Material::new();
    let trees: Vec<Value> = material
        .corpus()
        .iter()
        .map(|text| {
            let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
            documents.into_iter().fold(json!({}), |mut whole, document| {
                let Value::Object(fields) = document else { panic!("not a mapping") };
                fields.into_iter().for_each(|(key, value)| whole[key] = value);
                whole
            })
        })
        .collect();
    run(changes(), |file, changes, proxy| {
        let file = changed_tree(trees[file % trees.len()].clone(), changes);
        set_up(&material, &file, proxy, true);
    });
}

/// Certificates, keys and tokens are read from files too.
#[test]
fn kubeconfig_with_mutated_files_loads_or_fails_with_one_error() {
    let material = Material::new();
    let folder = material.directory.path();
    let whole = ["ca.pem", "client.pem", "client.key", "token"]
        .map(|name| (name, fs_err::read_to_string(folder.join(name)).unwrap()));
    let users = ["client-certificate: client.pem, client-key: client.key", "tokenFile: token"];
    run(changes(), |file, changes, proxy| {
        let (name, content) = &whole[file % whole.len()];
        fs_err::write(folder.join(name), changed_text(content, changes)).unwrap();
        let user = users[usize::from(*name == "token")];
        let kubeconfig = format!(
            "current-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\nclusters: [{{name: a, \
             cluster: {{server: 'https://{}', certificate-authority: ca.pem}}}}]\nusers: [{{name: a, user: {{{user}}}}}]\n",
            material.closed
        );
        set_up(&material, kubeconfig.as_bytes(), proxy, false);
        fs_err::write(folder.join(name), content).unwrap();
    });
}

#[test]
fn corpus_has_only_valid_kubeconfigs() {
    let material = Material::new();
    for text in material.corpus() {
        let path = material.directory.path().join("config");
        fs_err::write(&path, &text).unwrap();
        let choice = Overrides { file: Some(path), ..Overrides::default() };
        let settings = load(&Sources::default(), &choice).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(stays_here(&settings) || settings.credential_plugin.is_some(), "{text}");
    }
}
