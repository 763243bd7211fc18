//! Files that another user of the machine wrote, or could have written.
//!
//! Each file that decides what kf trusts is tampered with in each possible way, in a home that is otherwise safe, and
//! kf is run so that it reads the file. Only root can change the owner of files, so only root tests everything.

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use kf_toolchains::skip;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::common::registry::hinted;
use crate::common::servers::kubeconfig_for;
use crate::common::{Home, Ran};

/// A user other than root and the user of the tests.
const OTHER_UID: u32 = 65534;

const DATA: &str = ".local/share/kf";

/// A way to tamper with a file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tampering {
    WritableByAll,
    WritableByGroup,
    OfAnotherUser,
    Link,
    Pipe,
    Device,
    Directory,
}

impl Tampering {
    const FILE: [Self; 7] = [
        Self::WritableByAll,
        Self::WritableByGroup,
        Self::OfAnotherUser,
        Self::Link,
        Self::Pipe,
        Self::Device,
        Self::Directory,
    ];
    const DIRECTORY: [Self; 4] =
        [Self::WritableByAll, Self::WritableByGroup, Self::OfAnotherUser, Self::Link];

    fn needs_root(self) -> bool {
        matches!(self, Self::WritableByGroup | Self::OfAnotherUser | Self::Device)
    }

    fn apply(self, path: &Path) {
        let mode = |mode| fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let node = |kind, device| mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, device).unwrap();
        let aside = path.with_extension("aside");
        match self {
            Self::WritableByAll => mode(if path.is_dir() { 0o777 } else { 0o666 }),
            Self::WritableByGroup => {
                chown(path, None, Some(OTHER_UID)).unwrap();
                mode(if path.is_dir() { 0o770 } else { 0o660 });
            }
            Self::OfAnotherUser => chown(path, Some(OTHER_UID), None).unwrap(),
            Self::Link => {
                fs_err::rename(path, &aside).unwrap();
                symlink(&aside, path).unwrap();
            }
            Self::Pipe => {
                fs_err::remove_file(path).unwrap();
                node(FileType::Fifo, 0);
            }
            Self::Device => {
                fs_err::remove_file(path).unwrap();
                node(FileType::CharacterDevice, makedev(1, 5));
            }
            Self::Directory => {
                fs_err::remove_file(path).unwrap();
                fs_err::create_dir(path).unwrap();
            }
        }
    }
}

/// A file that kf trusts, and arguments that make kf read it.
struct TrustedFile {
    file: PathBuf,
    words: Vec<String>,
    /// The exit code while the file is untouched.
    code: i32,
}

fn home() -> Home {
    let home = Home::with_commands(&["hello", "whoami"]);
    let write = |path: &str, text: &str| {
        let path = home.path().join(path);
        let folder = path.parent().unwrap();
        fs_err::create_dir_all(folder).unwrap();
        fs_err::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        fs_err::write(&path, text).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write(&format!("{DATA}/slots/hello.json"), r#"{"format": 1, "name": "hello", "answered_by": "hello"}"#);
    write(&format!("{DATA}/previous/hello.json"), r#"{"format": 1, "name": "hello", "entries": []}"#);
    // Certificates are for addresses with TLS, and this registry is a folder.
    write(".config/kf/registries/kubeflow/ca.pem", "");
    write(".local/state/kf/selection/namespaces.json", r#"{"format": 1, "clusters": []}"#);
    write(".local/state/kf/audit.jsonl", "");
    home
}

/// The only file below a folder whose path has this suffix.
fn find(folder: &Path, ending: &str) -> PathBuf {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn trusted(home: &Home) -> Vec<TrustedFile> {
    let receipt = fs_err::read_to_string(home.path().join(DATA).join("receipts/hello.json")).unwrap();
    let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
    let parts = receipt["parts"].as_array().unwrap();
    let component = parts.iter().find(|part| part["kind"] == "component").unwrap();
    let digest = component["sha256"].as_str().unwrap();
    let kubeconfig = kubeconfig_for(home, "https://127.0.0.1:1", None);
    let at = |path: &str| home.path().join(path);
    let compiled = find(&at(&format!("{DATA}/compiled")), &format!("{digest}.cwasm"));
    let hello = ["hello", "Ada"];
    let upgrade = ["command", "upgrade", "hello"];
    let whoami = ["whoami", "--kubeconfig", kubeconfig.as_str()];
    let trusted = |file: PathBuf, words: &[&str], code| TrustedFile {
        file,
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        code,
    };
    vec![
        trusted(at(&format!("{DATA}/receipts/hello.json")), &hello, 0),
        trusted(at(&format!("{DATA}/slots/hello.json")), &hello, 0),
        trusted(at(&format!("{DATA}/previous/hello.json")), &["command", "rollback", "hello"], 5),
        trusted(at(".config/kf/registries/kubeflow/ca.pem"), &upgrade, 0),
        trusted(compiled, &hello, 0),
        trusted(at(".config/kf/registries/kubeflow/registry.toml"), &upgrade, 0),
        trusted(at(".config/kf/registries/kubeflow/root.json"), &upgrade, 0),
        trusted(at(&format!("{DATA}/registries/kubeflow/state.json")), &upgrade, 0),
        trusted(at(&format!("{DATA}/store/format")), &["hello", "again"], 0),
        trusted(at(&format!("{DATA}/store/v1/{digest}.wasm")), &["hello", "again"], 0),
        trusted(at(".local/state/kf/selection/namespaces.json"), &whoami, 7),
        trusted(at(".local/state/kf/audit.jsonl"), &whoami, 7),
    ]
}

impl TrustedFile {
    /// Runs kf so that it reads the file.
    fn run(&self, home: &Home) -> Ran {
        // A compiled command does not read the store.
        if self.words.last().is_some_and(|word| word == "again") {
            fs_err::remove_dir_all(home.path().join(DATA).join("compiled")).unwrap();
        }
        home.run(&self.words)
    }
}

/// kf's own directories above a file, from the top.
fn own_directories(home: &Home, file: &Path) -> Vec<PathBuf> {
    let above: Vec<&Path> = file.ancestors().skip(1).take_while(|path| *path != home.path()).collect();
    let own = above.iter().rposition(|path| path.ends_with("kf")).unwrap();
    above[..=own].iter().rev().map(|path| (*path).to_owned()).collect()
}

fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    !skip::unless(root.then_some(()).ok_or("only root can change the owner of files"), test)
}

#[track_caller]
fn refused(ran: &Ran, what: &str, tampered: &Path) {
    assert_eq!(ran.code, Some(8), "{what}: {}", ran.transcript());
    assert_eq!(ran.stdout, "", "{what}: {}", ran.transcript());
    let named = format!("{} is not safe to use: ", tampered.display());
    assert!(ran.stderr.contains(&named), "{what}: {}", ran.transcript());
    assert!(ran.stderr.contains("\nhint: "), "{what}: {}", ran.transcript());
}

#[test]
fn files_others_could_write_are_refused() {
    let count = trusted(&home()).len();
    let is_root = is_root("files_others_could_write_are_refused");
    for at in 0..count {
        let home = home();
        let trusted = trusted(&home).remove(at);
        assert_eq!(trusted.run(&home).code, Some(trusted.code), "{}", trusted.file.display());
    }
    for at in 0..count {
        for tampering in Tampering::FILE.into_iter().filter(|tampering| is_root || !tampering.needs_root()) {
            let home = home();
            let trusted = trusted(&home).remove(at);
            tampering.apply(&trusted.file);
            refused(&trusted.run(&home), &format!("{tampering:?}"), &trusted.file);
        }
    }
}

#[test]
fn files_in_directories_others_could_write_are_refused() {
    let is_root = is_root("files_in_directories_others_could_write_are_refused");
    let mut tried = Vec::new();
    for at in 0..trusted(&home()).len() {
        let home = home();
        let trusted = trusted(&home).remove(at);
        for (depth, directory) in own_directories(&home, &trusted.file).into_iter().enumerate() {
            let relative = directory.strip_prefix(home.path()).unwrap().to_owned();
            let again = trusted.words.last().is_some_and(|word| word == "again");
            // Once is enough, and the compiled files are deleted where the store is read.
            if tried.contains(&relative) || again && depth == 0 {
                continue;
            }
            tried.push(relative.clone());
            for tampering in
                Tampering::DIRECTORY.into_iter().filter(|tampering| is_root || !tampering.needs_root())
            {
                // kf's topmost directory may be a link, such as to another disk.
                if tampering == Tampering::Link && depth == 0 {
                    continue;
                }
                let home = self::home();
                let trusted = self::trusted(&home).remove(at);
                let directory = home.path().join(&relative);
                tampering.apply(&directory);
                refused(&trusted.run(&home), &format!("{tampering:?}"), &directory);
            }
        }
    }
    assert!(tried.len() > 8, "{tried:?}");
}

#[test]
fn home_below_directory_others_could_write_is_refused() {
    let is_root = is_root("home_below_directory_others_could_write_is_refused");
    for above in ["", ".local", ".local/share"] {
        let home = home();
        let directory = home.path().join(above);
        let directory: PathBuf = directory.components().collect();
        let mode = |mode| fs_err::set_permissions(&directory, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        refused(&home.run(["hello"]), above, &directory);
        // With the sticky bit other users cannot replace the files.
        mode(0o1777);
        home.run(["hello"]).success();
        mode(0o755);
        home.run(["hello"]).success();
        if is_root {
            chown(&directory, Some(OTHER_UID), None).unwrap();
            let ran = home.run(["hello"]);
            refused(&ran, above, &directory);
            assert!(ran.stderr.contains("use sudo -H"), "{}", ran.transcript());
        }
    }
}

#[test]
fn relative_home_is_refused() {
    let home = home();
    for (variable, value) in [
        ("HOME", "."),
        ("HOME", "home"),
        ("KF_HOME", "."),
        ("KF_HOME", "kf"),
        ("XDG_CONFIG_HOME", "x"),
        ("XDG_DATA_HOME", "./x"),
        ("XDG_CACHE_HOME", ".."),
        ("XDG_STATE_HOME", "x/y"),
    ] {
        let mut command = home.kf(["command", "list"]);
        command.env(variable, value);
        let ran = Ran::of(&command.output().unwrap(), home.path()).code(2);
        let error = format!("error: invalid {variable} `{value}`: not an absolute path\n");
        assert!(ran.stderr.starts_with(&error), "{}", ran.transcript());
    }
    // Empty counts as unset.
    let mut command = home.kf(["hello"]);
    command.env("KF_HOME", "").env("XDG_DATA_HOME", "");
    Ran::of(&command.output().unwrap(), home.path()).success();
}

#[test]
fn created_files_are_private_regardless_of_umask() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    let kf = home.kf(["whoami", "--kubeconfig", &kubeconfig]);
    let mut shell = home.kf([""; 0]);
    shell = {
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", "umask 0; exec \"$@\"", "sh"])
            .arg(kf.get_program())
            .args(kf.get_args())
            .env_clear();
        for (name, value) in shell.get_envs() {
            command.env(name, value.unwrap());
        }
        command
    };
    Ran::of(&shell.output().unwrap(), home.path()).code(7);
    let mode = |path: &str| fs_err::metadata(home.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(".local/state"), 0o700);
    assert_eq!(mode(".local/state/kf"), 0o700);
    assert_eq!(mode(".local/state/kf/audit.jsonl"), 0o600);
}

#[test]
fn named_audit_log_must_be_private() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    let log = home.path().join("log");
    let run = || {
        let mut command = home.kf(["whoami", "--kubeconfig", &kubeconfig]);
        Ran::of(&command.env("KF_AUDIT_LOG", &log).output().unwrap(), home.path())
    };
    run().code(7);
    assert_eq!(fs_err::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    let is_root = is_root("named_audit_log_must_be_private");
    for tampering in Tampering::FILE.into_iter().filter(|tampering| is_root || !tampering.needs_root()) {
        tampering.apply(&log);
        refused(&run(), &format!("{tampering:?}"), &log);
        let _gone = fs_err::remove_file(&log).or_else(|_| fs_err::remove_dir(&log));
        run().code(7);
    }
    // It must not be readable by others either.
    fs_err::set_permissions(&log, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(run().code(8).stderr.contains("other users can read it (mode 0644)"));
}

#[test]
fn kuberc_others_could_write_allows_no_plugin() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = home.path().join("kubeconfig");
    fs_err::write(
        &kubeconfig,
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
         clusters: [{name: lab, cluster: {server: 'https://127.0.0.1:1'}}]\n\
         users: [{name: ada, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: 'true', \
         interactiveMode: Never}}}]\n\
         contexts: [{name: lab, context: {cluster: lab, user: ada}}]\n",
    )
    .unwrap();
    let kuberc = home.path().join(".kube/kuberc");
    fs_err::create_dir_all(kuberc.parent().unwrap()).unwrap();
    let policy = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n\
                  credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- command: 'true'\n";
    fs_err::write(&kuberc, policy).unwrap();
    let run = || home.run(["whoami", "--kubeconfig", kubeconfig.to_str().unwrap()]);
    assert!(!run().stderr.contains("kuberc"), "{}", run().transcript());
    // Links are allowed, as files in homes often are links.
    Tampering::Link.apply(&kuberc);
    assert!(!run().stderr.contains("kuberc"), "{}", run().transcript());
    let is_root = is_root("kuberc_others_could_write_allows_no_plugin");
    for tampering in [Tampering::WritableByAll, Tampering::OfAnotherUser, Tampering::Pipe, Tampering::Device]
    {
        if tampering.needs_root() && !is_root {
            continue;
        }
        fs_err::remove_file(&kuberc).unwrap();
        fs_err::write(&kuberc, policy).unwrap();
        tampering.apply(&kuberc);
        let ran = run().code(2);
        assert!(ran.stderr.contains("credential plugins are not run"), "{tampering:?}: {}", ran.transcript());
        assert!(ran.stderr.contains("is not safe to use"), "{tampering:?}: {}", ran.transcript());
    }
}

/// A kubeconfig decides where the user's credentials are sent, and which program provides them.
#[test]
fn kubeconfig_others_could_write_is_warned_about() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    let warned = || {
        let ran = home.run(["whoami", "--kubeconfig", &kubeconfig]).code(7);
        ran.stderr.lines().find(|line| line.contains("unsafe kubeconfig")).map(str::to_owned)
    };
    assert_eq!(warned(), None);
    Tampering::WritableByAll.apply(Path::new(&kubeconfig));
    let expected =
        format!("warning: unsafe kubeconfig {kubeconfig}: other users can write to it (mode 0666)");
    assert_eq!(warned(), Some(expected));
    fs_err::set_permissions(&kubeconfig, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(warned(), None);
    if is_root("kubeconfig_others_could_write_is_warned_about") {
        Tampering::OfAnotherUser.apply(Path::new(&kubeconfig));
        assert!(warned().unwrap().ends_with("it belongs to another user (uid 65534)"));
    }
}

/// Consent by digest covers the rights of a command, not the place where it is stored.
#[test]
fn add_to_home_others_could_write_is_refused() {
    let home = home();
    let words = hinted(&home.run(["command", "add", "logs"]).code(8));
    fs_err::set_permissions(home.path().join(DATA), std::fs::Permissions::from_mode(0o777)).unwrap();
    let ran = home.run_unchanged(&words);
    refused(&ran, "add", &home.path().join(DATA));
}
