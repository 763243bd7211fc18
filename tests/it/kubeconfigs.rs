//! Kubeconfigs as people have them, beside kubectl: what it takes kf takes, and what it refuses kf refuses.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kf_tests::cluster::User;
use serde_json::{Value, json};

use crate::common::team::Team;
use crate::common::{Home, output_of};
use crate::kf_snapshot;

/// A team and the kubeconfig of one who may look.
struct Odd {
    team: Team,
    home: Home,
    kubeconfig: Value,
}

impl Odd {
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

    /// The kubeconfig with one thing changed.
    fn with(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut kubeconfig = self.kubeconfig.clone();
        change(&mut kubeconfig);
        kubeconfig.to_string()
    }

    fn kubectl_takes(&self, kubeconfig: &Path) -> bool {
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

/// The data of a field and the file that it is moved to.
fn to_file(odd: &Odd, entry: &mut Value, field: &str) {
    let data = entry[format!("{field}-data")].take();
    entry[format!("{field}-data")] = json!("");
    let encoded = odd.write("encoded", data.as_str().unwrap());
    let output = output_of(Command::new("base64").arg("-d").arg(encoded));
    entry[field] = json!(odd.write(field, output.stdout));
}

#[test]
fn odd_kubeconfigs_are_taken_as_kubectl_takes_them() {
    let odd = Odd::new("kubeconfigs");
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
        ("acting as nobody", odd.with(|k| user(k)["as"] = json!("")), true),
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
    ];
    // An existing cluster keeps it for itself.
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
    for (what, kubeconfig, works) in cases {
        let path = odd.write("odd-kubeconfig", kubeconfig);
        assert_eq!(odd.kubectl_takes(&path), works, "kubectl: {what}");
        let ran = odd.home.run(["whoami", "--kubeconfig", path.to_str().unwrap()]);
        assert_eq!(ran.code == Some(0), works, "{what}: {}", ran.transcript());
    }
}

#[test]
fn empty_current_context_leaves_it_to_the_next_file() {
    let odd = Odd::new("current-context");
    let first = odd.write("first", "apiVersion: v1\nkind: Config\ncurrent-context: \"\"\n");
    let list = std::env::join_paths([first, odd.team.kubeconfig(User::Viewer)]).unwrap();
    let home = Home::with_commands(&["whoami"]).env("KUBECONFIG", list.to_str().unwrap());
    assert!(home.run(["whoami"]).success().stdout.contains("vic"));
    let mut kubectl = Command::new(odd.team.kubectl_path());
    assert!(output_of(kubectl.env("KUBECONFIG", &list).args(["auth", "whoami"])).status.success());
}

/// As of a shell variable that is not set.
#[test]
fn flag_with_an_empty_value_is_not_given() {
    let team = Team::new("empty-flags");
    let home = team.home(User::Viewer, &["whoami"]);
    let ran = home.run(["whoami", "-n", "", "--context", "", "--kubeconfig", "", "-o", "json"]).success();
    let whoami: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(whoami["namespace"], team.name());
    assert_eq!(whoami["user"], "vic");
}

#[test]
fn context_without_credentials() {
    let odd = Odd::new("anonymous");
    let path = odd.write("anonymous", odd.with(|k| *user(k) = json!({})));
    kf_snapshot!(odd.home.run_in_vain(["whoami", "--kubeconfig", path.to_str().unwrap()]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: the context `kf-test-vic` names no credentials
    hint: take another context or kubeconfig: kf --context NAME …, or kf --kubeconfig FILE …
    ");
}
