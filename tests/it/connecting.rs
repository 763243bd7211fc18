//! Kubeconfigs, servers and credentials that lead nowhere: what is wrong, and whom to ask.

use kf_tests::cluster::User;

use crate::common::Home;
use crate::common::servers::{self, kubeconfig_for};
use crate::common::team::Team;
use crate::kf_snapshot;

#[test]
fn no_kubeconfig() {
    let home = Home::with_commands(&["whoami"]);
    kf_snapshot!(home.run_in_vain(["whoami"]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: no kubeconfig: [HOME]/.kube/config does not exist
    hint: get a kubeconfig from the cluster's admin, then: kf --kubeconfig FILE …
    ");
}

#[test]
fn a_kubeconfig_that_is_not_there() {
    let home = Home::with_commands(&["whoami"]);
    kf_snapshot!(home.run_in_vain(["whoami", "--kubeconfig", "nowhere.yaml"]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: no kubeconfig: nowhere.yaml does not exist
    hint: get a kubeconfig from the cluster's admin, then: kf --kubeconfig FILE …
    ");
}

#[test]
fn a_kubeconfig_that_is_no_yaml() {
    let home = Home::with_commands(&["whoami"]);
    fs_err::write(home.path().join("broken"), "clusters: [").unwrap();
    kf_snapshot!(home.run_in_vain(["whoami", "--kubeconfig", "broken"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: the kubeconfig broken cannot be used: line 1 column 11: unclosed bracket '['
    ");
}

#[test]
fn a_context_that_is_not_there() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    kf_snapshot!(home.run_in_vain(["whoami", "--kubeconfig", &kubeconfig, "--context", "prod"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: the kubeconfig has no context `prod`
    hint: kf --context NAME …, where NAME is one of lab
    ");
}

/// It may come from somebody else, and its user may not have read it.
#[test]
fn a_kubeconfig_that_believes_any_server() {
    let home = Home::with_commands(&["whoami"]);
    let server = format!("https://{}', insecure-skip-tls-verify: true, note: '", servers::closed());
    let kubeconfig = kubeconfig_for(&home, &server, None);
    kf_snapshot!(home.run_in_vain(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 7
    ----- stdout -----
    ----- stderr -----
    warning: the kubeconfig has the certificate of https://[ADDRESS] not checked, so anybody may answer
    error: the API server https://[ADDRESS] cannot be reached: Connection refused (os error 111)
    hint: see that your kubeconfig names the right server, or take another: kf --context NAME …
    ");
}

#[test]
fn a_server_that_is_not_there() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, &format!("https://{}", servers::closed()), None);
    kf_snapshot!(home.run_in_vain(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 7
    ----- stdout -----
    ----- stderr -----
    error: the API server https://[ADDRESS] cannot be reached: Connection refused (os error 111)
    hint: see that your kubeconfig names the right server, or take another: kf --context NAME …
    ");
}

#[test]
fn a_server_that_takes_connections_and_says_nothing() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, &format!("https://{}", servers::silent()), None);
    let ran = home.run_in_vain(["whoami", "--kubeconfig", &kubeconfig, "--request-timeout", "1s"]);
    kf_snapshot!(ran, @"
    exit: 6
    ----- stdout -----
    ----- stderr -----
    error: the API server https://[ADDRESS] takes connections but does not answer them within 1 s
    hint: wait longer: kf --request-timeout 2m …
    ");
}

#[test]
fn a_server_that_takes_questions_and_never_answers() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, &format!("http://{}", servers::silent()), None);
    let ran = home.run_in_vain(["whoami", "--kubeconfig", &kubeconfig, "--request-timeout", "1"]);
    kf_snapshot!(ran, @"
    exit: 6
    ----- stdout -----
    ----- stderr -----
    warning: http://[ADDRESS] has no TLS, so your credentials are not sent to it; its URL should begin with https://
    error: the API server http://[ADDRESS] did not answer within 1 s
    hint: wait longer: kf --request-timeout 2m …
    ");
}

#[test]
fn a_server_whose_certificate_has_expired() {
    let home = Home::with_commands(&["whoami"]);
    let (address, certificate) = servers::with_expired_certificate();
    let kubeconfig = kubeconfig_for(&home, &format!("https://{address}"), Some(&certificate));
    kf_snapshot!(home.run_in_vain(["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: the certificate of https://[ADDRESS] has expired
    hint: ask whoever runs the cluster, or fetch a new kubeconfig
    ");
}

#[test]
fn a_token_nobody_issued() {
    let team = Team::new("token");
    let home = Home::with_commands(&["whoami"]);
    let text = fs_err::read_to_string(team.kubeconfig(User::DataScientist)).unwrap();
    let mut kubeconfig: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    kubeconfig["users"][0]["user"] = serde_json::json!({ "token": "nobody-issued-this" });
    let file = home.path().join("kubeconfig");
    fs_err::write(&file, kubeconfig.to_string()).unwrap();
    kf_snapshot!(home.run_in_vain(["whoami", "--kubeconfig", &file.display().to_string()]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: the API server does not accept your credentials
    hint: renew the credentials in your kubeconfig, or take another: kf --kubeconfig FILE …
    ");
}

#[test]
fn a_client_certificate_that_has_expired() {
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
    kf_snapshot!(home.run_in_vain(["whoami", "--kubeconfig", &file.display().to_string()]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: your credentials for https://[ADDRESS] ended at [DATE]
    hint: renew the credentials in your kubeconfig, or take another: kf --kubeconfig FILE …
    ");
}
