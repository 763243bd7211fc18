//! Attacks on resources that are not the guest's: files, the environment and the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kf_core::api::ErrorCode;
use kf_core::grants::Layer;
use kf_sandbox::{Fault, FileGrant, FileReach, Granted, Interface, UndeclaredImports, inspect};

use crate::guests;
use crate::host::{Given, run, run_with};

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
            files: vec![FileGrant { argument: arguments[0].clone(), path: named, reach: FileReach::File }],
            arguments,
            granted: Granted { files: true, ..Granted::default() },
            ..Given::default()
        },
    );
    assert_eq!(attacked.result.unwrap().exit, Ok(0));
    assert_eq!(String::from_utf8_lossy(&attacked.screen.stdout), "named\n");
}

/// A directory with a file and a link to a secret outside of it. While the guest reads, a file is
/// replaced by a link and back as fast as possible.
pub(crate) fn directory_escape() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("project");
    fs_err::create_dir_all(directory.join("sub")).unwrap();
    fs_err::write(directory.join("train.py"), "mine\n").unwrap();
    fs_err::write(home.path().join("secret"), "stolen\n").unwrap();
    std::os::unix::fs::symlink(home.path().join("secret"), directory.join("link")).unwrap();
    std::os::unix::fs::symlink(home.path(), directory.join("up")).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let swapping = std::thread::spawn({
        let (stop, directory, home) = (Arc::clone(&stop), directory.clone(), home.path().to_owned());
        move || {
            let (file, link) = (home.join("file"), home.join("to-secret"));
            while !stop.load(Ordering::Relaxed) {
                fs_err::write(&file, "mine\n").unwrap();
                fs_err::rename(&file, directory.join("swapped")).unwrap();
                std::os::unix::fs::symlink(home.join("secret"), &link).unwrap();
                fs_err::rename(&link, directory.join("swapped")).unwrap();
            }
        }
    });
    let argument = directory.to_str().unwrap().to_owned();
    let attacked = run_with(
        "directory_escape",
        Given {
            files: vec![FileGrant { argument: argument.clone(), path: directory, reach: FileReach::Below }],
            arguments: vec![argument, home.path().join("secret").to_str().unwrap().to_owned()],
            granted: Granted { files: true, ..Granted::default() },
            ..Given::default()
        },
    );
    stop.store(true, Ordering::Relaxed);
    swapping.join().unwrap();
    assert_eq!(attacked.result.unwrap().exit, Ok(0));
    assert_eq!(String::from_utf8_lossy(&attacked.screen.stdout), "mine\n");
}

pub(crate) fn undeclared_import() {
    let wasm = guests::wasm("undeclared_import");
    let refusal = inspect(&wasm).unwrap().check_imports(Granted::default()).unwrap_err();
    assert_eq!(refusal, UndeclaredImports { interfaces: vec![Interface::Kube] });
    assert_eq!(refusal.to_string(), "it imports kf:plugin/kube, which its manifest does not ask for");
    // If it were installed anyway, it would not start.
    let attacked = run("undeclared_import");
    assert_eq!(attacked.result.unwrap_err(), Fault::Undeclared(refusal));
    assert!(attacked.calls.is_empty());
}

/// The broker decides about each call. Here: the guest does not learn which layer refused it, the host
/// remembers, and every call goes through the broker.
pub(crate) fn lying_manifest() {
    let granted = Granted { kube: true, ..Granted::default() };
    let attacked = run_with("lying_manifest", Given { granted, ..Given::default() });
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

/// The broker counts and logs refusals. Here: it gets all of them, and the guest continues.
pub(crate) fn refusal_flood() {
    let granted = Granted { kube: true, ..Granted::default() };
    let attacked = run_with("refusal_flood", Given { granted, ..Given::default() });
    assert_eq!(attacked.result.unwrap().exit, Ok(0));
    assert_eq!(attacked.calls.len(), 3_000);
    assert_eq!(String::from_utf8_lossy(&attacked.screen.stdout), "3000 refused, 0 over budget\n");
}

/// The broker parses names. Here: it gets every string unchanged and in its own field, so that it is the
/// only place that has to refuse them.
pub(crate) fn namespace_escape() {
    let granted = Granted { kube: true, logs: true, ..Granted::default() };
    let attacked = run_with("namespace_escape", Given { granted, ..Given::default() });
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

fn sessions() -> Granted {
    Granted { sessions: true, ..Granted::default() }
}

pub(crate) fn undeclared_session() {
    let wasm = guests::wasm("undeclared_session");
    let refusal =
        inspect(&wasm).unwrap().check_imports(Granted { kube: true, ..Granted::default() }).unwrap_err();
    assert_eq!(refusal, UndeclaredImports { interfaces: vec![Interface::Sessions] });
    let attacked = run("undeclared_session");
    assert_eq!(attacked.result.unwrap_err(), Fault::Undeclared(refusal));
    assert!(attacked.calls.is_empty());
}

/// As for [`namespace_escape`]: the broker gets the strings unchanged.
pub(crate) fn session_elsewhere() {
    let given = Given { granted: sessions(), terminal: Ok(()), ..Given::default() };
    let attacked = run_with("session_elsewhere", given);
    assert_eq!(attacked.result.unwrap().exit, Ok(0), "got through: {:?}", attacked.screen.notes);
    for (verb, word) in [("exec", "%2e%2e"), ("portforward", "web?ports=22"), ("attach", "web\0")] {
        let has = |call: &String| call.starts_with(verb) && call.contains(&format!("{word:?}"));
        assert!(attacked.calls.iter().any(has), "{word:?} was changed on its way");
    }
}

/// A port that the user did not type is replaced by a free one, and every listener is announced.
pub(crate) fn fixed_port() {
    let listened = |words: &[&str]| {
        let arguments = words.iter().map(|word| (*word).to_owned()).collect();
        let given = Given { granted: sessions(), arguments, ..Given::default() };
        let attacked = run_with("fixed_port", given);
        assert_eq!(attacked.result.unwrap().exit, Ok(0));
        assert_eq!(attacked.screen.host_notes[0], "localhost:8080 → pod web:80");
        attacked.calls.concat()
    };
    for other in [&[][..], &["web-5432"], &["15432"], &["54321"], &["--name=a5432"], &["5432a:80"]] {
        assert!(listened(other).contains("local: 0"), "{other:?}");
    }
    for typed in [&["5432"][..], &["--port=5432"], &["--port", "5432"], &["5432:80"], &["-p5432"]] {
        assert!(listened(typed).contains("local: 5432"), "{typed:?}");
    }
}

/// Here: headers and path arrive in their own fields. The broker's own tests check that it refuses them.
pub(crate) fn http_smuggling() {
    let granted = Granted { pod_http: true, ..Granted::default() };
    let attacked = run_with("http_smuggling", Given { granted, ..Given::default() });
    assert_eq!(attacked.result.unwrap().exit, Ok(0), "got through: {:?}", attacked.screen.notes);
    let has = |word: &str| attacked.calls.iter().any(|call| call.contains(&format!("{word:?}")));
    assert!(has("1\r\nhost: evil") && has("/x HTTP/1.1\r\nhost: evil\r\n\r\nGET /"));
}

/// Messages of the API server are tested with a real one. Here: the broker gets every write and question.
pub(crate) fn hidden_words() {
    let granted = Granted { kube: true, ..Granted::default() };
    let attacked = run_with("hidden_words", Given { granted, ..Given::default() });
    assert_eq!(attacked.result.unwrap().exit.unwrap_err().code, ErrorCode::Forbidden);
    let count = |verb: &str| attacked.calls.iter().filter(|call| call.starts_with(verb)).count();
    assert_eq!((count("patch "), count("apply ")), (44, 20), "{:?}", attacked.calls);
}

pub(crate) fn page_elsewhere() {
    let attacked = run_with("page_elsewhere", Given { granted: sessions(), ..Given::default() });
    assert_eq!(attacked.result.unwrap().exit, Ok(0), "got through: {:?}", attacked.screen.notes);
    let pages: Vec<_> = attacked.screen.words.iter().filter(|word| word.starts_with("page ")).collect();
    assert_eq!(pages, ["page http://localhost:8080/lab?token=x"]);
}
