//! Unusual kubeconfigs: kf accepts and refuses the same ones as kubectl.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kf_tests::cluster::User;
use serde_json::{Value, json};

use crate::common::team::Team;
use crate::common::{Home, Ran, output_of};
use crate::kf_snapshot;

/// A team and the kubeconfig of its viewer.
struct Fixture {
    team: Team,
    home: Home,
    kubeconfig: Value,
}

impl Fixture {
    fn new(hint: &str) -> Self {
        let team = Team::new(hint);
        let home = Home::with_commands(&["whoami"]);
        let text = fs_err::read_to_string(team.kubeconfig(User::Viewer)).unwrap();
        Self { kubeconfig: serde_saphyr::from_str(&text).unwrap(), team, home }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.path().join(name);
        fs_err::write(&path, content).unwrap();
        path
    }

    /// The kubeconfig with a change.
    fn with(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut kubeconfig = self.kubeconfig.clone();
        change(&mut kubeconfig);
        kubeconfig.to_string()
    }

    fn kubectl_accepts(&self, kubeconfig: &Path) -> bool {
        let mut kubectl = Command::new(self.team.kubectl_path());
        kubectl.env_remove("KUBECONFIG").stdin(Stdio::null());
        output_of(kubectl.arg("--kubeconfig").arg(kubeconfig).args(["auth", "whoami"])).status.success()
    }
}

fn cluster(kubeconfig: &mut Value) -> &mut Value {
    &mut kubeconfig["clusters"][0]["cluster"]
}

fn user(kubeconfig: &mut Value) -> &mut Value {
    &mut kubeconfig["users"][0]["user"]
}

/// Moves the data of a field to a file.
fn to_file(odd: &Fixture, entry: &mut Value, field: &str) {
    let data = entry[format!("{field}-data")].take();
    entry[format!("{field}-data")] = json!("");
    let encoded = odd.write("encoded", data.as_str().unwrap());
    let output = output_of(Command::new("base64").arg("-d").arg(encoded));
    entry[field] = json!(odd.write(field, output.stdout));
}

/// The key of the authority's data in the kubeconfig as JSON.
const AUTHORITY: &str = "\"certificate-authority-data\":";

fn plugin(command: &str) -> Value {
    let api = "client.authentication.k8s.io/v1";
    json!({"exec": {"apiVersion": api, "command": command, "interactiveMode": "Never"}})
}

/// On purpose: their meaning is clear.
#[test]
fn kubeconfigs_refused_by_kubectl_are_accepted() {
    let odd = Fixture::new("taken-by-kf");
    let token = odd.team.admin(&["create", "token", "default", "--namespace", odd.team.name()]);
    let token = token.trim();
    for (what, kubeconfig) in [
        // kubectl reports that the data overrides the file, and fails.
        (
            "an authority in a file and as data",
            odd.with(|k| cluster(k)["certificate-authority"] = json!("/nowhere")),
        ),
        (
            "a certificate in a file and as data",
            odd.with(|k| {
                user(k)["client-certificate"] = json!("/nowhere");
                user(k)["client-key"] = json!("/nowhere");
            }),
        ),
        // kubectl decodes it twice.
        ("base64 with a tag", odd.with(|_| {}).replace(AUTHORITY, &format!("{AUTHORITY}!!binary "))),
        // kubectl trims a token file, but reports an invalid header for a token.
        ("a token with a line end", odd.with(|k| *user(k) = json!({"token": format!("{token}\n")}))),
        // Without an interactive mode kf uses IfAvailable, the default of older versions of the API.
        (
            "a plugin without a mode beside a token",
            odd.with(|k| *user(k) = json!({"token": token, "exec": {"command": "login"}})),
        ),
    ] {
        let path = odd.write("odd-kubeconfig", kubeconfig);
        assert!(!odd.kubectl_accepts(&path), "kubectl: {what}");
        let ran = odd.home.run(["whoami", "--kubeconfig", path.to_str().unwrap()]);
        assert_eq!(ran.code, Some(0), "{what}: {}", ran.transcript());
    }
}

/// As PowerShell's `>` writes it. Both refuse half a character at the end.
#[test]
fn utf16_kubeconfig_is_accepted() {
    let odd = Fixture::new("utf-16");
    let text: Vec<u8> =
        std::iter::once(0xFEFF).chain(odd.with(|_| {}).encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for (text, works, code) in [(text.clone(), true, 0), ([text, vec![b'\n']].concat(), false, 2)] {
        let path = odd.write("odd-kubeconfig", text);
        assert_eq!(odd.kubectl_accepts(&path), works);
        odd.home.run(["whoami", "--kubeconfig", path.to_str().unwrap()]).code(code);
    }
}

#[test]
fn unusual_kubeconfigs_are_accepted_as_by_kubectl() {
    let odd = Fixture::new("kubeconfigs");
    let authority = odd.kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"].clone();
    let authority = authority.as_str().unwrap().to_owned();
    let wrapped: Vec<&str> =
        authority.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let token = odd.team.admin(&["create", "token", "default", "--namespace", odd.team.name()]);
    let token_file = odd.write("token", format!("{}\n", token.trim()));
    let token = token.trim();
    let leaf = odd.team.cluster().directory().join("pki/apiserver.crt");
    let mut bundle = b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_vec();
    let own = odd.with(|k| to_file(&odd, cluster(k), "certificate-authority"));
    bundle.extend(fs_err::read(odd.home.path().join("certificate-authority")).unwrap());
    let bundle = odd.write("bundle", bundle);
    let beside_files = odd.with(|k| {
        to_file(&odd, user(k), "client-certificate");
        to_file(&odd, user(k), "client-key");
    });
    let mut cases = vec![
        ("authority in a file beside empty data", own, true),
        ("certificate in files beside empty data", beside_files, true),
        (
            "wrapped base64",
            odd.with(|k| cluster(k)["certificate-authority-data"] = json!(wrapped.join("\n"))),
            true,
        ),
        (
            "a bundle with a broken certificate",
            odd.with(|k| {
                cluster(k)["certificate-authority-data"].take();
                cluster(k)["certificate-authority"] = json!(bundle);
            }),
            true,
        ),
        (
            "stray contexts",
            odd.with(|k| {
                let contexts = k["contexts"].as_array_mut().unwrap();
                contexts.push(json!({"name": "stray", "context": {}}));
                contexts.push(json!({"name": "bare"}));
            }),
            true,
        ),
        (
            "a key that is there twice",
            odd.with(|_| {}).replacen('{', "{\"current-context\": \"gone\", ", 1),
            true,
        ),
        ("an empty user to act as", odd.with(|k| user(k)["as"] = json!("")), true),
        ("a token file with a line end", odd.with(|k| *user(k) = json!({"tokenFile": token_file})), true),
        (
            "a plugin beside a token",
            odd.with(|k| {
                *user(k) = json!({"token": token, "exec": {
                    "apiVersion": "client.authentication.k8s.io/v1", "command": "/nonexistent/login",
                    "interactiveMode": "Never", "provideClusterInfo": null, "args": null,
                }});
            }),
            true,
        ),
        ("groups without a user to act as", odd.with(|k| user(k)["as-groups"] = json!(["admins"])), false),
        ("no credentials", odd.with(|k| *user(k) = json!({})), false),
        ("a number as namespace", odd.with(|k| k["contexts"][0]["context"]["namespace"] = json!(123)), false),
        ("a proxy without a scheme", odd.with(|k| cluster(k)["proxy-url"] = json!("127.0.0.1:1")), false),
        (
            "a server that is both checked and not",
            odd.with(|k| cluster(k)["insecure-skip-tls-verify"] = json!(true)),
            false,
        ),
        (
            "a server without a scheme",
            odd.with(|k| {
                let server = cluster(k)["server"].as_str().unwrap().replace("https://", "");
                cluster(k)["server"] = json!(server);
            }),
            false,
        ),
        ("a certificate without a key", odd.with(|k| user(k)["client-key-data"] = json!("")), false),
        (
            "a token and a password",
            odd.with(|k| *user(k) = json!({"token": token, "username": "ada", "password": "p"})),
            false,
        ),
        (
            "a token and a user name",
            odd.with(|k| *user(k) = json!({"token": token, "username": "ada"})),
            false,
        ),
        (
            "a token and a password alone",
            odd.with(|k| *user(k) = json!({"token": token, "password": "p"})),
            false,
        ),
        (
            "a token file and a password",
            odd.with(|k| *user(k) = json!({"tokenFile": token_file, "username": "ada", "password": "p"})),
            false,
        ),
        (
            "a token file and a password alone",
            odd.with(|k| *user(k) = json!({"tokenFile": token_file, "password": "p"})),
            true,
        ),
        (
            "a token and an empty password",
            odd.with(|k| *user(k) = json!({"token": token, "username": "", "password": null})),
            true,
        ),
        (
            "a token file beside an old token",
            odd.with(|k| *user(k) = json!({"tokenFile": token_file, "token": "old"})),
            true,
        ),
        (
            "base64 with the end of a line",
            odd.with(|k| cluster(k)["certificate-authority-data"] = json!(format!("{authority}\n"))),
            true,
        ),
        (
            "a wrapped key",
            odd.with(|k| {
                let key = user(k)["client-key-data"].as_str().unwrap().to_owned();
                let lines: Vec<&str> =
                    key.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
                user(k)["client-key-data"] = json!(lines.join("\n"));
            }),
            true,
        ),
        ("invalid base64", odd.with(|k| user(k)["client-key-data"] = json!("%%%")), false),
        ("a missing context", odd.with(|k| k["current-context"] = json!("gone")), false),
        ("an empty context", odd.with(|k| k["current-context"] = json!("")), false),
        ("a missing user", odd.with(|k| k["contexts"][0]["context"]["user"] = json!("gone")), false),
        ("a plugin that answers nothing", odd.with(|k| *user(k) = plugin("true")), false),
        ("a plugin that fails", odd.with(|k| *user(k) = plugin("false")), false),
        ("a plugin that is not installed", odd.with(|k| *user(k) = plugin("no-such-login")), false),
        (
            "a removed auth provider",
            odd.with(|k| *user(k) = json!({"auth-provider": {"name": "gcp"}})),
            false,
        ),
    ];
    // An existing cluster does not expose it.
    if leaf.is_file() {
        let own_leaf = |k: &mut Value| {
            cluster(k)["certificate-authority-data"].take();
            cluster(k)["certificate-authority"] = json!(leaf);
        };
        cases.push(("the server's own certificate", odd.with(own_leaf), true));
        let elsewhere = |k: &mut Value| {
            own_leaf(k);
            cluster(k)["tls-server-name"] = json!("elsewhere.example");
        };
        cases.push(("the server's own certificate for another name", odd.with(elsewhere), false));
    }
    let mut differences = Vec::new();
    for (what, kubeconfig, works) in cases {
        let path = odd.write("odd-kubeconfig", kubeconfig);
        let ran = odd.home.run(["whoami", "--kubeconfig", path.to_str().unwrap()]);
        let found = (odd.kubectl_accepts(&path), ran.code == Some(0));
        if found != (works, works) {
            differences.push(format!("{what}: kubectl and kf: {found:?}: {}", ran.transcript()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn empty_current_context_falls_through_to_next_file() {
    let odd = Fixture::new("current-context");
    let first = odd.write("first", "apiVersion: v1\nkind: Config\ncurrent-context: \"\"\n");
    let list = std::env::join_paths([first, odd.team.kubeconfig(User::Viewer)]).unwrap();
    let home = Home::with_commands(&["whoami"]).env("KUBECONFIG", list.to_str().unwrap());
    assert!(home.run(["whoami"]).success().stdout.contains("vic"));
    let mut kubectl = Command::new(odd.team.kubectl_path());
    assert!(output_of(kubectl.env("KUBECONFIG", &list).args(["auth", "whoami"])).status.success());
}

/// Of several files, the first to name an entry wins.
#[test]
fn kubeconfigs_are_merged_as_by_kubectl() {
    let odd = Fixture::new("merged");
    let whole = odd.write("whole", odd.with(|_| {}));
    let part = |name: &str, keep: &str| {
        let kept = odd.kubeconfig[keep].clone();
        odd.write(name, json!({"apiVersion": "v1", "kind": "Config", keep: kept}).to_string())
    };
    let (clusters, users, contexts) =
        (part("clusters", "clusters"), part("users", "users"), part("contexts", "contexts"));
    let name = odd.kubeconfig["current-context"].as_str().unwrap();
    let current = odd.write("current", json!({"current-context": name}).to_string());
    let other_user = {
        let mut user = odd.kubeconfig["users"][0].clone();
        user["user"] = json!({"token": "nobody-issued-this"});
        odd.write("other-user", json!({"users": [user]}).to_string())
    };
    let gone = odd.home.path().join("gone");
    let (empty, null) = (odd.write("empty", ""), odd.write("null", "clusters: null\nusers: null\n"));
    let broken = odd.write("broken", "clusters: [");
    for (files, works) in [
        (vec![&gone, &whole], true),
        (vec![&empty, &null, &whole], true),
        (vec![&clusters, &users, &contexts, &current], true),
        (vec![&current, &contexts, &users, &clusters], true),
        (vec![&contexts, &users, &current], false),
        (vec![&other_user, &whole], false),
        (vec![&whole, &other_user], true),
        (vec![&whole, &whole], true),
        (vec![&broken, &whole], false),
        (vec![&whole, &broken], false),
        (vec![&gone], false),
    ] {
        let list = std::env::join_paths(&files).unwrap();
        for list in
            [list.clone(), [":".as_ref(), list.as_os_str(), ":".as_ref()].into_iter().collect::<OsString>()]
        {
            let mut kubectl = Command::new(odd.team.kubectl_path());
            // Assumes no service account of a pod, and no server at the port that kubectl tries by default.
            kubectl.env("KUBECONFIG", &list).args(["auth", "whoami"]);
            let theirs = output_of(&mut kubectl);
            assert_eq!(theirs.status.success(), works, "kubectl: {list:?}: {theirs:?}");
            let ran = Ran::of(&output_of(odd.home.kf(["whoami"]).env("KUBECONFIG", &list)), odd.home.path());
            assert_eq!(ran.code == Some(0), works, "{list:?}: {}", ran.transcript());
        }
    }
}

/// As from an unset shell variable.
#[test]
fn empty_flag_value_counts_as_unset() {
    let team = Team::new("empty-flags");
    let home = team.home(User::Viewer, &["whoami"]);
    let ran = home.run(["whoami", "-n", "", "--context", "", "--kubeconfig", "", "-o", "json"]).success();
    let whoami: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(whoami["namespace"], team.name());
    assert_eq!(whoami["user"], "vic");
    let mut kubectl = Command::new(team.kubectl_path());
    kubectl.env("KUBECONFIG", team.kubeconfig(User::DataScientist));
    kubectl.args(["-n", "", "--context", "", "--kubeconfig", "", "create", "configmap", "empty"]);
    let theirs = output_of(kubectl.args(["--dry-run=server", "-o", "jsonpath={.metadata.namespace}"]));
    assert_eq!(String::from_utf8_lossy(&theirs.stdout), team.name(), "{theirs:?}");
}

#[test]
fn context_without_credentials_is_refused() {
    let odd = Fixture::new("anonymous");
    let path = odd.write("anonymous", odd.with(|k| *user(k) = json!({})));
    kf_snapshot!(odd.home.run_unchanged(["whoami", "--kubeconfig", path.to_str().unwrap()]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: context `kf-test-vic` has no credentials
    hint: use another context or kubeconfig
    ");
}
