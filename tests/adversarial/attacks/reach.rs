//! Attacks on what is not the guest's: the machine's files and environment, and the cluster.

use kf_cluster::grants::Layer;
use kf_sandbox::{ErrorCode, Fault, FileGrant, Granted, Interface, UndeclaredImports, inspect};

use crate::guests;
use crate::host::{Given, run, run_with, soon};

pub(crate) fn environment_and_home() {
    let attacked = run("environment_and_home");
    assert_eq!(attacked.result.unwrap().exit, Ok(0));
    assert_eq!(String::from_utf8_lossy(&attacked.screen.stdout), "");
}

pub(crate) fn open_files() {
    let folder = tempfile::tempdir().unwrap();
    let (named, other) = (folder.path().join("named.yaml"), folder.path().join("other.yaml"));
    fs_err::write(&named, "named\n").unwrap();
    fs_err::write(&other, "other\n").unwrap();
    let arguments = [&named, &other].map(|path| path.to_str().unwrap().to_owned()).to_vec();
    let attacked = run_with(
        "open_files",
        Given {
            files: vec![FileGrant { argument: arguments[0].clone(), path: named }],
            arguments,
            granted: Granted { files: true, ..Granted::default() },
            limits: soon(),
        },
    );
    assert_eq!(attacked.result.unwrap().exit, Ok(0));
    assert_eq!(String::from_utf8_lossy(&attacked.screen.stdout), "named\n");
}

pub(crate) fn undeclared_import() {
    let wasm = guests::wasm("undeclared_import");
    let refusal = inspect(&wasm).unwrap().check_imports(Granted::default()).unwrap_err();
    assert_eq!(refusal, UndeclaredImports { interfaces: vec![Interface::Kube] });
    assert_eq!(refusal.to_string(), "it imports kf:plugin/kube, which its manifest does not ask for");
    // Were it installed all the same, it would not start.
    let attacked = run("undeclared_import");
    assert_eq!(attacked.result.unwrap_err(), Fault::Undeclared(refusal));
    assert!(attacked.calls.is_empty());
}

/// What each call may do is the broker's to decide. Here: the guest learns nothing of who refused
/// it, the host remembers, and no call takes another way.
pub(crate) fn lying_manifest() {
    let granted = Granted { kube: true, ..Granted::default() };
    let attacked = run_with("lying_manifest", Given { granted, limits: soon(), ..Given::default() });
    let outcome = attacked.result.unwrap();
    assert_eq!(outcome.exit.unwrap_err().code, ErrorCode::Forbidden);
    let refusal = outcome.refusal.unwrap();
    assert_eq!((refusal.layer, refusal.rule.verb.as_str()), (Layer::Manifest, "get"));
    let verbs: Vec<_> = attacked.calls.iter().filter_map(|call| call.split(' ').next()).collect();
    assert_eq!(verbs, ["get", "list", "create", "delete", "get"]);
    let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"}}"#;
    assert_eq!(String::from_utf8_lossy(&attacked.screen.stdout), pod);
    assert!(!attacked.screen.notes.concat().contains("alice"), "the refusal entered the guest");
}

/// The broker parses names. Here: every word arrives there as the guest gave it, in its own field,
/// so that there is one place to refuse it and nothing was made of it before.
pub(crate) fn namespace_escape() {
    let granted = Granted { kube: true, logs: true, ..Granted::default() };
    let attacked = run_with("namespace_escape", Given { granted, limits: soon(), ..Given::default() });
    assert_eq!(attacked.result.unwrap().exit, Ok(0), "got through: {:?}", attacked.screen.notes);
    let has = |start: &str, word: &str| {
        attacked.calls.iter().any(|call| call.starts_with(start) && call.contains(&format!("{word:?}")))
    };
    for word in
        ["../../kube-system/secrets/token", "web/exec?command=sh", "%2e%2e/%2e%2e/kube-system", "web\0"]
    {
        assert!(has("get", word) && has("list", word) && has("log", word), "{word:?} was changed on its way");
    }
    let body = r#""namespace":"kube-system""#;
    assert!(attacked.calls.iter().any(|call| call.starts_with("create") && call.contains(body)));
}
