//! Attacks on what is not the guest's: the machine's files and environment, and the cluster.

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

/// A directory with a file, a link out of it to a secret, and the secret beside it. While the guest
/// reads, a file is swapped for a link and back as fast as the machine can.
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
    // Were it installed all the same, it would not start.
    let attacked = run("undeclared_import");
    assert_eq!(attacked.result.unwrap_err(), Fault::Undeclared(refusal));
    assert!(attacked.calls.is_empty());
}

/// What each call may do is the broker's to decide. Here: the guest learns nothing of who refused
/// it, the host remembers, and no call takes another way.
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

/// The broker counts refusals and writes them down. Here: each of them gets there, and the guest goes on.
pub(crate) fn refusal_flood() {
    let granted = Granted { kube: true, ..Granted::default() };
    let attacked = run_with("refusal_flood", Given { granted, ..Given::default() });
    assert_eq!(attacked.result.unwrap().exit, Ok(0));
    assert_eq!(attacked.calls.len(), 3_000);
    assert_eq!(String::from_utf8_lossy(&attacked.screen.stdout), "3000 refused, 0 over budget\n");
}

/// The broker parses names. Here: every word arrives there as the guest gave it, in its own field,
/// so that there is one place to refuse it and nothing was made of it before.
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

/// As for [`namespace_escape`]: what the broker is to refuse arrives there unchanged.
pub(crate) fn session_elsewhere() {
    let given = Given { granted: sessions(), terminal: Ok(()), ..Given::default() };
    let attacked = run_with("session_elsewhere", given);
    assert_eq!(attacked.result.unwrap().exit, Ok(0), "got through: {:?}", attacked.screen.notes);
    for (verb, word) in [("exec", "%2e%2e"), ("portforward", "web?ports=22"), ("attach", "web\0")] {
        let has = |call: &String| call.starts_with(verb) && call.contains(&format!("{word:?}"));
        assert!(attacked.calls.iter().any(has), "{word:?} was changed on its way");
    }
}

/// A port that nobody typed is a free one, and every listener is told.
pub(crate) fn fixed_port() {
    let listened = |words: &[&str]| {
        let arguments = words.iter().map(|word| (*word).to_owned()).collect();
        let given = Given { granted: sessions(), arguments, ..Given::default() };
        let attacked = run_with("fixed_port", given);
        assert_eq!(attacked.result.unwrap().exit, Ok(0));
        assert_eq!(attacked.screen.host_notes[0], "localhost:8080 → pod web:80");
        attacked.calls.concat()
    };
    for nobody in [&[][..], &["web-5432"], &["15432"], &["54321"], &["--name=a5432"], &["5432a:80"]] {
        assert!(listened(nobody).contains("local: 0"), "{nobody:?}");
    }
    for typed in [&["5432"][..], &["--port=5432"], &["--port", "5432"], &["5432:80"], &["-p5432"]] {
        assert!(listened(typed).contains("local: 5432"), "{typed:?}");
    }
}

/// Here: headers and path arrive in fields of their own. That the broker refuses them is tried where it is.
pub(crate) fn http_smuggling() {
    let granted = Granted { pod_http: true, ..Granted::default() };
    let attacked = run_with("http_smuggling", Given { granted, ..Given::default() });
    assert_eq!(attacked.result.unwrap().exit, Ok(0), "got through: {:?}", attacked.screen.notes);
    let has = |word: &str| attacked.calls.iter().any(|call| call.contains(&format!("{word:?}")));
    assert!(has("1\r\nhost: evil") && has("/x HTTP/1.1\r\nhost: evil\r\n\r\nGET /"));
}

/// What an API server's words hold is tried with a real one. Here: every write and question is the broker's to decide.
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
