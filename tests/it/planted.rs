//! What another user of the machine put where kf reads, or could have put there.
//!
//! Each file that decides what kf trusts is replaced in each way that somebody else could, below a home that is safe, and
//! kf is run as it would read that file. Only root can give files away, so only root tries all of it.

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use kf_toolchains::skip;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::common::registry::hinted;
use crate::common::servers::kubeconfig_for;
use crate::common::{Home, Ran};

/// A user that is neither root nor the one who runs the tests.
const STRANGER: u32 = 65534;

const DATA: &str = ".local/share/kf";

/// What is tried with a file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    WritableByAll,
    WritableByGroup,
    OfAnotherUser,
    Link,
    Pipe,
    Device,
    Directory,
}

impl Plant {
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

    fn at(self, path: &Path) {
        let mode = |mode| fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let node = |kind, device| mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, device).unwrap();
        let aside = path.with_extension("aside");
        match self {
            Self::WritableByAll => mode(if path.is_dir() { 0o777 } else { 0o666 }),
            Self::WritableByGroup => {
                chown(path, None, Some(STRANGER)).unwrap();
                mode(if path.is_dir() { 0o770 } else { 0o660 });
            }
            Self::OfAnotherUser => chown(path, Some(STRANGER), None).unwrap(),
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

/// A file that kf believes, and the words that have it read.
struct Believed {
    file: PathBuf,
    words: Vec<String>,
    /// As long as nothing is planted.
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
    write(".local/state/kf/selection/namespaces.json", r#"{"format": 1, "clusters": []}"#);
    write(".local/state/kf/audit.jsonl", "");
    home
}

/// The one file with such a name in a folder or below it.
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

fn believed(home: &Home) -> Vec<Believed> {
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
    let believed = |file: PathBuf, words: &[&str], code| Believed {
        file,
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        code,
    };
    vec![
        believed(at(&format!("{DATA}/receipts/hello.json")), &hello, 0),
        believed(at(&format!("{DATA}/slots/hello.json")), &hello, 0),
        believed(compiled, &hello, 0),
        believed(at(".config/kf/registries/kubeflow/registry.toml"), &upgrade, 0),
        believed(at(".config/kf/registries/kubeflow/root.json"), &upgrade, 0),
        believed(at(&format!("{DATA}/registries/kubeflow/state.json")), &upgrade, 0),
        believed(at(&format!("{DATA}/store/format")), &["hello", "again"], 0),
        believed(at(&format!("{DATA}/store/v1/{digest}.wasm")), &["hello", "again"], 0),
        believed(at(".local/state/kf/selection/namespaces.json"), &whoami, 7),
        believed(at(".local/state/kf/audit.jsonl"), &whoami, 7),
    ]
}

impl Believed {
    /// Runs kf so that it reads the file.
    fn run(&self, home: &Home) -> Ran {
        // What is compiled needs nothing of the store.
        if self.words.last().is_some_and(|word| word == "again") {
            fs_err::remove_dir_all(home.path().join(DATA).join("compiled")).unwrap();
        }
        home.run(&self.words)
    }
}

/// kf's own directories on the way to a file, the topmost first.
fn own_directories(home: &Home, file: &Path) -> Vec<PathBuf> {
    let above: Vec<&Path> = file.ancestors().skip(1).take_while(|path| *path != home.path()).collect();
    let own = above.iter().rposition(|path| path.ends_with("kf")).unwrap();
    above[..=own].iter().rev().map(|path| (*path).to_owned()).collect()
}

fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    !skip::unless(root.then_some(()).ok_or("only root can give files away"), test)
}

#[track_caller]
fn refused(ran: &Ran, what: &str, planted: &Path) {
    assert_eq!(ran.code, Some(8), "{what}: {}", ran.transcript());
    assert_eq!(ran.stdout, "", "{what}: {}", ran.transcript());
    let named = format!("{} is not safe to use: ", planted.display());
    assert!(ran.stderr.contains(&named), "{what}: {}", ran.transcript());
    assert!(ran.stderr.contains("\nhint: "), "{what}: {}", ran.transcript());
}

#[test]
fn files_that_somebody_else_could_have_written_are_refused() {
    let count = believed(&home()).len();
    let is_root = is_root("files_that_somebody_else_could_have_written_are_refused");
    for at in 0..count {
        let home = home();
        let believed = believed(&home).remove(at);
        assert_eq!(believed.run(&home).code, Some(believed.code), "{}", believed.file.display());
    }
    for at in 0..count {
        for plant in Plant::FILE.into_iter().filter(|plant| is_root || !plant.needs_root()) {
            let home = home();
            let believed = believed(&home).remove(at);
            plant.at(&believed.file);
            refused(&believed.run(&home), &format!("{plant:?}"), &believed.file);
        }
    }
}

#[test]
fn files_in_directories_that_somebody_else_could_change_are_refused() {
    let is_root = is_root("files_in_directories_that_somebody_else_could_change_are_refused");
    let mut tried = Vec::new();
    for at in 0..believed(&home()).len() {
        let home = home();
        let believed = believed(&home).remove(at);
        for (depth, directory) in own_directories(&home, &believed.file).into_iter().enumerate() {
            let relative = directory.strip_prefix(home.path()).unwrap().to_owned();
            let again = believed.words.last().is_some_and(|word| word == "again");
            // Once is enough, and what is compiled is gone where the store is read.
            if tried.contains(&relative) || again && depth == 0 {
                continue;
            }
            tried.push(relative.clone());
            for plant in Plant::DIRECTORY.into_iter().filter(|plant| is_root || !plant.needs_root()) {
                // A whole directory may lie on another disk.
                if plant == Plant::Link && depth == 0 {
                    continue;
                }
                let home = self::home();
                let believed = self::believed(&home).remove(at);
                let directory = home.path().join(&relative);
                plant.at(&directory);
                refused(&believed.run(&home), &format!("{plant:?}"), &directory);
            }
        }
    }
    assert!(tried.len() > 8, "{tried:?}");
}

#[test]
fn home_below_a_directory_that_others_may_write_is_refused() {
    let is_root = is_root("home_below_a_directory_that_others_may_write_is_refused");
    for above in ["", ".local", ".local/share"] {
        let home = home();
        let directory = home.path().join(above);
        let directory: PathBuf = directory.components().collect();
        let mode = |mode| fs_err::set_permissions(&directory, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        refused(&home.run(["hello"]), above, &directory);
        // Each user's files are their own there.
        mode(0o1777);
        home.run(["hello"]).success();
        mode(0o755);
        home.run(["hello"]).success();
        if is_root {
            chown(&directory, Some(STRANGER), None).unwrap();
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
    // Empty is unset.
    let mut command = home.kf(["hello"]);
    command.env("KF_HOME", "").env("XDG_DATA_HOME", "");
    Ran::of(&command.output().unwrap(), home.path()).success();
}

#[test]
fn what_kf_makes_is_private_whatever_the_umask() {
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
fn audit_log_that_is_named_must_be_a_private_file() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    let log = home.path().join("log");
    let run = || {
        let mut command = home.kf(["whoami", "--kubeconfig", &kubeconfig]);
        Ran::of(&command.env("KF_AUDIT_LOG", &log).output().unwrap(), home.path())
    };
    run().code(7);
    assert_eq!(fs_err::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    let is_root = is_root("audit_log_that_is_named_must_be_a_private_file");
    for plant in Plant::FILE.into_iter().filter(|plant| is_root || !plant.needs_root()) {
        plant.at(&log);
        refused(&run(), &format!("{plant:?}"), &log);
        let _gone = fs_err::remove_file(&log).or_else(|_| fs_err::remove_dir(&log));
        run().code(7);
    }
    // Others may not read it either.
    fs_err::set_permissions(&log, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(run().code(8).stderr.contains("other users can read it (mode 0644)"));
}

#[test]
fn kuberc_that_somebody_else_could_have_written_allows_no_plugin() {
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
    // Homes are often made of links.
    Plant::Link.at(&kuberc);
    assert!(!run().stderr.contains("kuberc"), "{}", run().transcript());
    let is_root = is_root("kuberc_that_somebody_else_could_have_written_allows_no_plugin");
    for plant in [Plant::WritableByAll, Plant::OfAnotherUser, Plant::Pipe, Plant::Device] {
        if plant.needs_root() && !is_root {
            continue;
        }
        fs_err::remove_file(&kuberc).unwrap();
        fs_err::write(&kuberc, policy).unwrap();
        plant.at(&kuberc);
        let ran = run().code(2);
        assert!(ran.stderr.contains("credential plugins are not run"), "{plant:?}: {}", ran.transcript());
        assert!(ran.stderr.contains("is not safe to use"), "{plant:?}: {}", ran.transcript());
    }
}

/// It says where the user's credentials go, and which program gets them.
#[test]
fn kubeconfig_that_others_may_write_is_warned_of() {
    let home = Home::with_commands(&["whoami"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    let warned = || {
        let ran = home.run(["whoami", "--kubeconfig", &kubeconfig]).code(7);
        ran.stderr.lines().find(|line| line.contains("unsafe kubeconfig")).map(str::to_owned)
    };
    assert_eq!(warned(), None);
    Plant::WritableByAll.at(Path::new(&kubeconfig));
    let expected =
        format!("warning: unsafe kubeconfig {kubeconfig}: other users may write to it (mode 0666)");
    assert_eq!(warned(), Some(expected));
    fs_err::set_permissions(&kubeconfig, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(warned(), None);
    if is_root("kubeconfig_that_others_may_write_is_warned_of") {
        Plant::OfAnotherUser.at(Path::new(&kubeconfig));
        assert!(warned().unwrap().ends_with("it belongs to another user (uid 65534)"));
    }
}

/// Accepting a command by its digest is for what is asked for, not for where it is kept.
#[test]
fn nothing_is_added_to_a_home_that_others_may_change() {
    let home = home();
    let words = hinted(&home.run(["command", "add", "logs"]).code(8));
    fs_err::set_permissions(home.path().join(DATA), std::fs::Permissions::from_mode(0o777)).unwrap();
    let ran = home.run_in_vain(&words);
    refused(&ran, "add", &home.path().join(DATA));
}
