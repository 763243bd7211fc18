//! Everything that goes wrong: one clear error, its own exit code, and nothing changed.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use kf_tests::cluster::User;

use crate::common::registry::{hinted, published, set_up};
use crate::common::team::Team;
use crate::common::terminal::Terminal;
use crate::common::{Home, Ran, servers};
use crate::kf_snapshot;

/// A kubeconfig with nothing in it but a server.
fn kubeconfig_for(home: &Home, server: &str, authority: Option<&str>) -> String {
    let authority_file = home.path().join("authority.pem");
    fs_err::write(&authority_file, authority.unwrap_or_default()).unwrap();
    let authority = match authority {
        Some(_) => format!(", certificate-authority: {}", authority_file.display()),
        None => String::new(),
    };
    let file = home.path().join("kubeconfig");
    fs_err::write(
        &file,
        format!(
            "apiVersion: v1
kind: Config
current-context: lab
clusters: [{{name: lab, cluster: {{server: '{server}'{authority}}}}}]
users: [{{name: ada, user: {{token: secret-token}}}}]
contexts: [{{name: lab, context: {{cluster: lab, user: ada, namespace: team-a}}}}]
"
        ),
    )
    .unwrap();
    file.display().to_string()
}

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
    error: the API server http://[ADDRESS] did not answer within 1 s
    hint: wait longer: kf --request-timeout 2m …
    ");
}

#[test]
fn a_timeout_that_is_none() {
    let home = Home::with_commands(&["whoami"]);
    kf_snapshot!(home.run_in_vain(["whoami", "--request-timeout", "soon"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid value 'soon' for '--request-timeout <DURATION>': not a duration such as 90s or 2m
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

#[test]
fn a_script_gets_every_error_as_json() {
    let home = Home::with_commands(&["train", "whoami"]);
    let nowhere = kubeconfig_for(&home, &format!("https://{}", servers::closed()), None);
    for (arguments, code, word) in [
        (&["whoami"][..], 3, "unauthenticated"),
        (&["whoami", "--kubeconfig", &nowhere], 7, "unreachable"),
        (&["-n", "Team_A", "whoami", "--kubeconfig", &nowhere], 2, "usage"),
        (&["train", "mnist", "nowhere.yaml", "--kubeconfig", &nowhere], 2, "usage"),
        (&["command", "add", "train@9"], 5, "not-found"),
        (&["trian"], 5, "not-found"),
        (&["whoami", "--lod"], 2, "usage"),
    ] {
        let ran = home.run_in_vain(arguments.iter().chain(&["-o", "json"])).code(code);
        let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(error["error"]["code"], word, "{}", ran.transcript());
        assert!(error["error"]["message"].is_string(), "{}", ran.transcript());
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn a_namespace_that_is_none() {
    let home = Home::with_commands(&["status"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    kf_snapshot!(home.run_in_vain(["-n", "Team_A", "status", "--kubeconfig", &kubeconfig]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: namespace `Team_A` may hold only lower case letters, digits and `-`
    ");
}

#[test]
fn a_namespace_that_is_not_there_or_not_yours() {
    let team = Team::new("elsewhere");
    let home = team.home(User::DataScientist, &["status"]);
    kf_snapshot!(home.run_in_vain(["-n", "nowhere", "status"]), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: status may not list pods in nowhere
      asked by status     ✓
      allowed by registry ✓
      accepted by you     ✓
      environment nowhere ✓
      your own rights     ✗ dana has no `list pods` in nowhere
      also missing: watch pods
    hint: ask an owner of nowhere: whoever has the role admin or kubeflow-admin there
    ");
}

#[test]
fn a_job_in_a_namespace_that_is_not_there() {
    let team = Team::new("no-such");
    let home = team.home(User::Admin, &["train"]);
    kf_snapshot!(home.run_in_vain(["-n", "nowhere", "train", "mnist", "--runtime", "kf-test"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: there is no namespace nowhere
    ");
}

fn job_file(home: &Home, text: &str) {
    fs_err::write(home.path().join("job.yaml"), text).unwrap();
}

const JOB: &str = "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\n";

#[test]
fn a_file_that_is_no_yaml() {
    let home = Home::with_commands(&["train"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    job_file(&home, "spec:\n  trainer: {numNodes: 2\n  runtimeRef: [\n");
    kf_snapshot!(home.run_in_vain(["train", "mnist", "job.yaml", "--kubeconfig", &kubeconfig]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: job.yaml is not valid YAML: line 3 column 13: while parsing a flow mapping, did not find expected ',' or '}'
    ");
}

#[test]
fn a_file_with_something_else_in_it() {
    let home = Home::with_commands(&["train"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    job_file(&home, "apiVersion: v1\nkind: Secret\nmetadata: {name: loot}\n");
    kf_snapshot!(home.run_in_vain(["train", "mnist", "job.yaml", "--kubeconfig", &kubeconfig]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: job.yaml holds a Secret; kf train applies TrainJobs of trainer.kubeflow.org, PyTorchJobs of kubeflow.org and the like and nothing else
    hint: move it to a file of its own
    ");
}

#[test]
fn a_file_that_is_not_there() {
    let home = Home::with_commands(&["train"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    kf_snapshot!(home.run_in_vain(["train", "mnist", "job.yaml", "--kubeconfig", &kubeconfig]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: failed to open file `job.yaml`: No such file or directory (os error 2)
    ");
}

/// A job the cluster refuses is not there afterwards, and neither is anything else.
#[track_caller]
fn refused_by_the_cluster(team: &Team, arguments: &[&str], file: &str) -> Ran {
    let home = team.home(User::DataScientist, &["train"]);
    job_file(&home, file);
    let before = team.versions();
    let ran = home.run_in_vain(arguments);
    assert_eq!(team.versions(), before);
    ran
}

#[test]
fn a_job_the_schema_rejects() {
    let team = Team::new("schema");
    let job = format!("{JOB}spec: {{runtimeRef: {{name: kf-test}}, trainer: {{numNodes: two}}}}\n");
    kf_snapshot!(refused_by_the_cluster(&team, &["train", "mnist", "job.yaml"], &job), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: the cluster refuses the training job: .spec.trainer.numNodes: expected numeric (int or float), got string
    ");
}

#[test]
fn a_job_with_a_field_that_does_not_exist() {
    let team = Team::new("field");
    let job = format!("{JOB}spec: {{runtimeRef: {{name: kf-test}}, trainer: {{nodes: 2}}}}\n");
    kf_snapshot!(refused_by_the_cluster(&team, &["train", "mnist", "job.yaml"], &job), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: the cluster refuses the training job: .spec.trainer.nodes: field not declared in schema
    ");
}

#[test]
fn a_runtime_nobody_knows() {
    let team = Team::new("runtime");
    let job = format!("{JOB}spec: {{runtimeRef: {{name: kf-tset}}}}\n");
    kf_snapshot!(refused_by_the_cluster(&team, &["train", "mnist", "job.yaml"], &job), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no training runtime `kf-tset`; there are kf-test
    hint: kf train mnist job.yaml --runtime kf-test
    ");
}

/// Runs kf in a home that nobody can write to, not even root.
fn run_read_only(home: &Home, arguments: &[&str]) -> Ran {
    let kf = home.kf(arguments);
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && cd / && exec \"$@\"";
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(home.path());
    command.arg(kf.get_program()).args(kf.get_args()).env_clear();
    for (name, value) in kf.get_envs() {
        command.env(name, value.unwrap());
    }
    Ran::of(&command.output().unwrap(), home.path())
}

/// Containers may forbid what [`run_read_only`] needs.
fn skip_without_namespaces(test: &str) -> bool {
    let possible = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !possible {
        // Past the capture of the test runner, like every other skip.
        std::io::stderr()
            .write_all(format!("SKIPPED {test}: user namespaces are not allowed here\n").as_bytes())
            .unwrap();
    }
    !possible
}

#[test]
fn a_home_that_cannot_be_written_to() {
    if skip_without_namespaces("a_home_that_cannot_be_written_to") {
        return;
    }
    let home = Home::with_commands(&["hello", "whoami"]);
    let hint = hinted(&{
        let probe = Home::empty();
        set_up(&probe, published());
        probe.run(["command", "add", "logs"]).code(8)
    });
    // What is added runs.
    assert_eq!(run_read_only(&home, &["hello", "Ada"]).success().stdout, "hello Ada\n");
    run_read_only(&home, &["command", "list"]).success();
    let words: Vec<&str> = hint.iter().map(String::as_str).collect();
    kf_snapshot!(run_read_only(&home, &words), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: cannot write to [HOME]/.local/share/kf/registries/kubeflow/state.lock: Read-only file system (os error 30)
    hint: set KF_HOME to a folder of yours
    ");
    kf_snapshot!(run_read_only(&home, &["command", "remove", "hello"]), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: cannot write to [HOME]/.local/share/kf/locks/hello.lock: Read-only file system (os error 30)
    hint: set KF_HOME to a folder of yours
    ");
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    kf_snapshot!(run_read_only(&home, &["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: the audit log cannot be kept: failed to create directory `[HOME]/.local/state/kf`: Read-only file system (os error 30)
    hint: set KF_AUDIT_LOG to a file you can write to
    ");
}

#[test]
fn two_adds_at_once() {
    let home = Home::empty();
    set_up(&home, published());
    let mut first = Terminal::start(home.kf(["command", "add", "train"]));
    first.expect("[y/N]");
    let second = home.run_in_vain(["command", "add", "train"]);
    kf_snapshot!(second.masked(&first.process_id().to_string(), "[PID]"), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: another kf (process [PID]) is changing train
    hint: wait for it to finish, then try again
    ");
    // Of another name nobody is in the way.
    home.run(["command", "add", "hello"]).success();
    first.type_text("y\n");
    let (status, screen) = first.finish();
    assert!(status.success(), "{}", String::from_utf8_lossy(&screen));
    home.run(["train", "--help"]).success();
}

/// Raises the format that a file of kf's begins with.
fn of_a_newer_kf(file: &Path) {
    let text = fs_err::read_to_string(file).unwrap();
    let newer = text.replacen("\"format\": 1", "\"format\": 2", 1);
    assert_ne!(newer, text);
    fs_err::write(file, newer).unwrap();
}

#[test]
fn a_command_added_by_a_newer_kf() {
    let home = Home::with_commands(&["hello", "whoami"]);
    of_a_newer_kf(&home.path().join(".local/share/kf/receipts/hello.json"));
    kf_snapshot!(home.run_in_vain(["hello"]), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: [HOME]/.local/share/kf/receipts/hello.json was written by a newer kf: it has format 2, and this kf knows 1
    hint: update kf
    ");
    for change in [["command", "add", "hello"], ["command", "remove", "hello"]] {
        let ran = home.run_in_vain(change).code(1);
        assert!(ran.stderr.contains("written by a newer kf"), "{}", ran.transcript());
    }
    // The others are none the worse for it.
    home.run(["whoami", "--help"]).success();
    kf_snapshot!(home.run_in_vain(["command", "list"]), @"
    exit: 0
    ----- stdout -----
    NAME    VERSION  SOURCE    ABOUT
    hello   -        -         [HOME]/.local/share/kf/receipts/hello.json was written by a newer kf: it has format 2, and this kf knows 1
    whoami  0.1.0    kubeflow  Show who the cluster thinks you are
    ----- stderr -----
    ");
}

#[test]
fn a_store_written_by_a_newer_kf() {
    let home = Home::with_commands(&["whoami"]);
    let format = home.path().join(".local/share/kf/store/format");
    let text = fs_err::read_to_string(&format).unwrap();
    fs_err::write(&format, text.replace('1', "2")).unwrap();
    kf_snapshot!(home.run_in_vain(["command", "add", "hello", "--yes"]), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 by kubeflow ([SIZE], sha256 [DIGEST])
    hello asks for no rights on the cluster. It may do nothing else: no network, no files, no secrets.
    error: [HOME]/.local/share/kf/store/format was written by a newer kf: it has format 2, and this kf knows 1
    hint: update kf
    ");
}
