//! Kubeconfigs, servers and credentials that do not work: the error and its hint.

use kf_tests::cluster::User;

use crate::common::Home;
use crate::common::servers::{self, kubeconfig_for};
use crate::common::team::Team;
use crate::kf_snapshot;

#[test]
fn missing_default_kubeconfig_is_reported() {
    let home = Home::with_commands(&["whoami"]);
    kf_snapshot!(home.run_unchanged(["whoami"]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: no kubeconfig: [HOME]/.kube/config does not exist
    hint: get a kubeconfig from the cluster's admin, then: kf --kubeconfig FILE …
    ");
}

#[test]
fn missing_named_kubeconfig_is_reported() {
    let home = Home::with_commands(&["whoami"]);
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", "nowhere.yaml"]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: no kubeconfig: nowhere.yaml does not exist
    hint: get a kubeconfig from the cluster's admin, then: kf --kubeconfig FILE …
    ");
}

#[test]
fn kubeconfig_with_invalid_yaml_is_refused() {
    let home = Home::with_commands(&["whoami"]);
    fs_err::write(home.path().join("broken"), "clusters: [").unwrap();
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", "broken"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: cannot load the kubeconfig broken: line 1 column 11: unclosed bracket '['
    ");
}

#[test]
fn truncated_utf16_kubeconfig_is_refused() {
    let home = Home::with_commands(&["whoami"]);
    let text: Vec<u8> =
        "\u{feff}current-context: lab".encode_utf16().flat_map(u16::to_le_bytes).chain([b'\n']).collect();
    fs_err::write(home.path().join("cut"), text).unwrap();
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", "cut"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: cannot load the kubeconfig cut: not valid UTF-16
    ");
}

/// A kubeconfig whose user has these fields, for a server that refuses connections.
fn kubeconfig_of(home: &Home, user: &str) -> String {
    let file = home.path().join("kubeconfig");
    let server = servers::closed();
    let text = format!(
        "current-context: lab\n\
         clusters: [{{name: lab, cluster: {{server: 'https://{server}'}}}}]\n\
         contexts: [{{name: lab, context: {{cluster: lab, user: ada}}}}]\n\
         users: [{{name: ada, user: {{{user}}}}}]\n"
    );
    fs_err::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn server_without_scheme_is_warned_about() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, &servers::closed(), None);
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 7
    ----- stdout -----
    ----- stderr -----
    warning: http://[ADDRESS] does not use TLS: your credentials are not sent; its URL should start with https://
    error: cannot connect to the API server http://[ADDRESS]: Connection refused (os error 111)
    hint: check the server in your kubeconfig, or use another context
    ");
}

#[test]
fn insecure_server_with_authority_is_refused() {
    let home = Home::with_commands(&["whoami"]);
    let server = format!("https://{}', insecure-skip-tls-verify: true, note: '", servers::closed());
    let kubeconfig = kubeconfig_for(&home, &server, Some("authority"));
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid `insecure-skip-tls-verify` for cluster `lab` in the kubeconfig: not allowed together with `certificate-authority`; remove one
    hint: fix the kubeconfig, or use another context: kf --context NAME …
    ");
}

#[test]
fn token_with_line_break_is_refused() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_of(&home, "token: \"secret\\ntoken\"");
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid `token` for user `ada` in the kubeconfig: contains a character that is not valid in a header
    hint: fix the kubeconfig, or use another context: kf --context NAME …
    ");
}

#[test]
fn failed_credential_plugin_stderr_is_shown() {
    let home = Home::with_commands(&["whoami"]);
    let script = "echo 'Error: the session has expired' >&2; echo >&2; echo 'Run: aws sso login' >&2; exit 1";
    let exec = format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, \"{script}\"], interactiveMode: Never}}"
    );
    let kubeconfig = kubeconfig_of(&home, &exec);
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    the credential plugin sh (hidden from the command): Error: the session has expired Run: aws sso login
    error: the credential plugin sh failed (exit status: 1)
    hint: renew the credentials in your kubeconfig, or use another kubeconfig
    ");
}

#[test]
fn missing_credential_plugin_shows_install_hint() {
    let home = Home::with_commands(&["whoami"]);
    let exec = |command: &str| {
        format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: {command}, \
             installHint: \"Install it:\\n  gcloud components install gke-auth\"}}"
        )
    };
    let kubeconfig = kubeconfig_of(&home, &exec("gke-auth"));
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: the credential plugin `gke-auth` is not installed; install hint from the kubeconfig: Install it: gcloud components install gke-auth
    hint: install it, or use another kubeconfig
    ");
    let kubeconfig = kubeconfig_of(&home, &exec("/opt/gke-auth"));
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    the kubeconfig (hidden from the command): Install it: gcloud components install gke-auth
    error: the credential plugin /opt/gke-auth cannot be started: No such file or directory (os error 2)
    hint: renew the credentials in your kubeconfig, or use another kubeconfig
    ");
}

/// Without a scheme it means http, as in kubectl. The error is about the proxy, as nothing else is contacted.
#[test]
fn proxy_variable_without_scheme_means_http() {
    let home = Home::with_commands(&["whoami"]).env("HTTPS_PROXY", &servers::closed());
    let kubeconfig = kubeconfig_for(&home, "https://lab.invalid:6443", None);
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 7
    ----- stdout -----
    ----- stderr -----
    error: cannot connect to the API server https://lab.invalid:6443 through the proxy [ADDRESS]: Connection refused (os error 111)
    hint: check the server in your kubeconfig, or use another context
    ");
}

#[test]
fn invalid_proxy_variable_is_refused() {
    let home = Home::with_commands(&["whoami"]).env("HTTPS_PROXY", "ftp://user:password@proxy.example");
    let kubeconfig = kubeconfig_for(&home, "https://lab.invalid:6443", None);
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid HTTPS_PROXY: must start with http://, https:// or socks5://
    hint: set HTTPS_PROXY to a URL such as http://proxy.example:3128, or unset it
    ");
}

#[test]
fn missing_context_lists_existing_ones() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig, "--context", "prod"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: context `prod` does not exist in the kubeconfig
    hint: kf --context NAME …, where NAME is one of lab
    ");
}

/// The kubeconfig may come from someone else, and its user may not have read it.
#[test]
fn insecure_kubeconfig_is_warned_about() {
    let home = Home::with_commands(&["whoami"]);
    let server = format!("https://{}', insecure-skip-tls-verify: true, note: '", servers::closed());
    let kubeconfig = kubeconfig_for(&home, &server, None);
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 7
    ----- stdout -----
    ----- stderr -----
    warning: insecure-skip-tls-verify is set: the certificate of https://[ADDRESS] is not verified
    error: cannot connect to the API server https://[ADDRESS]: Connection refused (os error 111)
    hint: check the server in your kubeconfig, or use another context
    ");
}

#[test]
fn unreachable_server_is_reported() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, &format!("https://{}", servers::closed()), None);
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 7
    ----- stdout -----
    ----- stderr -----
    error: cannot connect to the API server https://[ADDRESS]: Connection refused (os error 111)
    hint: check the server in your kubeconfig, or use another context
    ");
}

#[test]
fn silent_tls_server_times_out() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, &format!("https://{}", servers::silent()), None);
    let ran = home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig, "--request-timeout", "1s"]);
    kf_snapshot!(ran, @"
    exit: 6
    ----- stdout -----
    ----- stderr -----
    error: the API server https://[ADDRESS] accepts connections but did not answer within 1 s
    hint: use a longer request timeout
    ");
}

#[test]
fn silent_http_server_times_out() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, &format!("http://{}", servers::silent()), None);
    let ran = home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig, "--request-timeout", "1"]);
    kf_snapshot!(ran, @"
    exit: 6
    ----- stdout -----
    ----- stderr -----
    warning: http://[ADDRESS] does not use TLS: your credentials are not sent; its URL should start with https://
    error: the API server http://[ADDRESS] did not answer within 1 s
    hint: use a longer request timeout
    ");
}

#[test]
fn expired_server_certificate_is_refused() {
    let home = Home::with_commands(&["whoami"]);
    let (address, certificate) = servers::with_expired_certificate();
    let kubeconfig = kubeconfig_for(&home, &format!("https://{address}"), Some(&certificate));
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: the certificate of https://[ADDRESS] has expired
    hint: ask the cluster's admin, or get a new kubeconfig
    ");
}

#[test]
fn invalid_token_is_unauthenticated() {
    let team = Team::new("token");
    let home = Home::with_commands(&["whoami"]);
    let text = fs_err::read_to_string(team.kubeconfig(User::DataScientist)).unwrap();
    let mut kubeconfig: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    kubeconfig["users"][0]["user"] = serde_json::json!({ "token": "nobody-issued-this" });
    let file = home.path().join("kubeconfig");
    fs_err::write(&file, kubeconfig.to_string()).unwrap();
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &file.display().to_string()]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: the API server does not accept your credentials
    hint: renew the credentials in your kubeconfig, or use another kubeconfig
    ");
}

#[test]
fn expired_client_certificate_is_unauthenticated() {
    let team = Team::new("expired");
    let home = Home::with_commands(&["whoami"]);
    let (certificate, key) = servers::expired_identity();
    let text = fs_err::read_to_string(team.kubeconfig(User::DataScientist)).unwrap();
    let mut kubeconfig: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let (certificate_file, key_file) = (home.path().join("ended.crt"), home.path().join("ended.key"));
    fs_err::write(&certificate_file, certificate.pem()).unwrap();
    fs_err::write(&key_file, key.serialize_pem()).unwrap();
    kubeconfig["users"][0]["user"] =
        serde_json::json!({ "client-certificate": certificate_file, "client-key": key_file });
    let file = home.path().join("kubeconfig");
    fs_err::write(&file, kubeconfig.to_string()).unwrap();
    kf_snapshot!(home.run_unchanged(["whoami", "--kubeconfig", &file.display().to_string()]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: your credentials for https://[ADDRESS] expired at [DATE]
    hint: renew the credentials in your kubeconfig, or use another kubeconfig
    ");
}
