//! Registries that need credentials, and their addresses.

use std::io::{BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::registry::{self, published};
use crate::common::requests::{Request, serve};
use crate::common::servers::closed;
use crate::common::terminal::Terminal;
use crate::common::{Home, Ran};
use crate::kf_snapshot;

const TOKEN: &str = "s3cret-t0ken";

/// A server of registry files that records the credentials it receives.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Option<String>>>>,
}

impl Server {
    /// Serves the files of a folder to those who send this header.
    fn requiring(folder: &Path, authorization: &'static str) -> Self {
        Self::start(folder.to_owned(), move |given| match given {
            Some(given) if given == authorization => None,
            _ => Some("401 Unauthorized\r\n"),
        })
    }

    fn start(
        folder: PathBuf,
        refuse: impl Fn(Option<&str>) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let url = serve(move |stream: &TcpStream| {
            let mut reader = BufReader::new(stream);
            while let Some(request) = Request::read(&mut reader) {
                let given = request.header("authorization");
                record.lock().unwrap().push(given.map(str::to_owned));
                let body = fs_err::read(folder.join(request.path.trim_start_matches('/')));
                let (status, body) = match (refuse(given), body) {
                    (Some(status), _) => (status, Vec::new()),
                    (None, Ok(body)) => ("200 OK\r\n", body),
                    (None, Err(_)) => ("404 Not Found\r\n", Vec::new()),
                };
                let mut stream = stream;
                stream.write_all(
                    format!("HTTP/1.1 {status}Content-Length: {}\r\n\r\n", body.len()).as_bytes(),
                )?;
                stream.write_all(&body)?;
            }
            Ok(())
        });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn files() -> PathBuf {
    published().join("published")
}

fn root() -> String {
    files().join("metadata/1.root.json").display().to_string()
}

/// A home with a registry `team` at these addresses, which may not be reachable yet.
fn with_registry(urls: &[&str]) -> Home {
    let home = Home::empty();
    let root = root();
    // Set up from the folder, so that no credentials are needed for it.
    let folder = format!("file://{}", files().display());
    home.run(["registry", "add", "team", &folder, "--root", &root]).success();
    let words: Vec<&str> = [&["registry", "set-url", "team"][..], urls].concat();
    home.run(words).success();
    home
}

fn login(home: &Home, token: &str, more: &[&str]) -> Ran {
    let file = home.path().join("token");
    fs_err::write(&file, format!("{token}\n")).unwrap();
    let mut kf = home.kf([&["registry", "login", "team", "--token-fd", "0"][..], more].concat());
    let output = kf.stdin(Stdio::from(fs_err::File::open(file).unwrap().into_parts().0)).output().unwrap();
    Ran::of(&output, home.path())
}

fn files_with(home: &Home, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if String::from_utf8_lossy(&fs_err::read(&path).unwrap()).contains(text) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn missing_credentials_are_explained() {
    let server = Server::requiring(&files(), "Bearer s3cret-t0ken");
    let home = with_registry(&[&server.url]);
    kf_snapshot!(home.run_unchanged(["command", "add", "hello"]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: registry team requires authentication: http://[ADDRESS]/metadata/2.root.json returned 401 Unauthorized; no credentials
    hint: kf registry login team
    ");
    assert!(server.seen().iter().all(Option::is_none));
    // A registry that needs a login first stays set up.
    let home = Home::empty();
    kf_snapshot!(home.run(["registry", "add", "team", &server.url, "--root", &root()]), @"
    exit: 0
    ----- stdout -----
    Added registry team
    ----- stderr -----
    warning: registry team requires authentication: http://[ADDRESS]/metadata/2.root.json returned 401 Unauthorized; no credentials
    hint: kf registry login team
    ");
    login(&home, TOKEN, &[]).success();
    home.run(["command", "add", "hello"]).success();
    // Without its root, the root is fetched first.
    let digest = kf_toolchains::cache::digest_of(&fs_err::read(root()).unwrap());
    let home = Home::empty();
    let add = ["registry", "add", "team", &server.url, "--root-sha256", &digest];
    kf_snapshot!(home.run_unchanged(add), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: registry team requires authentication: http://[ADDRESS]/metadata/1.root.json returned 401 Unauthorized; no credentials
    hint: set KF_REGISTRY_TEAM_TOKEN to a token, or use `--root`
    ");
    home.env("KF_REGISTRY_TEAM_TOKEN", TOKEN).run(add).success();
}

#[test]
fn login_sends_token_and_stores_it_privately() {
    let server = Server::requiring(&files(), "Bearer s3cret-t0ken");
    let home = with_registry(&[&server.url]);
    kf_snapshot!(login(&home, "wrong", &[]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: registry team requires authentication: http://[ADDRESS]/metadata/2.root.json returned 401 Unauthorized for the stored token for http://[ADDRESS]
    hint: kf registry login team
    ");
    let stored = home.path().join(".config/kf/registries/team/credentials.json");
    assert!(!stored.exists(), "a token that is refused is not kept");
    kf_snapshot!(login(&home, TOKEN, &[]), @"
    exit: 0
    ----- stdout -----
    Logged in to registry team at http://[ADDRESS]
    ----- stderr -----
    ");
    fs_err::remove_file(home.path().join("token")).unwrap();
    server.seen();
    home.run(["command", "add", "hello", "-vv"]).success();
    assert!(server.seen().iter().all(|given| given.as_deref() == Some("Bearer s3cret-t0ken")));
    assert_eq!(files_with(&home, TOKEN), [stored.as_path()]);
    assert_eq!(stored.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    for words in [
        &["registry", "list", "-o", "json"][..],
        &["doctor", "-o", "json"],
        &["command", "describe", "whoami", "-vv"],
    ] {
        assert!(!home.run(words).transcript().contains(TOKEN), "{words:?}");
    }
    // Another user could read it.
    fs_err::set_permissions(&stored, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = home.run_unchanged(["command", "describe", "whoami"]).code(8);
    assert!(ran.stderr.contains("other users can read it"), "{}", ran.transcript());
    fs_err::set_permissions(&stored, std::fs::Permissions::from_mode(0o600)).unwrap();
    // A damaged file is not repeated.
    fs_err::write(&stored, format!("{{\"format\": 1, \"tokens\": \"{TOKEN}\"}}")).unwrap();
    assert!(!home.run(["command", "describe", "whoami"]).code(2).stderr.contains(TOKEN));
    fs_err::remove_file(&stored).unwrap();
    login(&home, TOKEN, &[]).success();
    kf_snapshot!(home.run(["registry", "logout", "team"]), @"
    exit: 0
    ----- stdout -----
    Logged out of registry team at http://[ADDRESS]
    ----- stderr -----
    ");
    assert!(!stored.exists());
    kf_snapshot!(home.run(["registry", "logout", "team"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no token of registry team is stored
    hint: kf registry login team
    ");
}

#[test]
fn login_on_terminal_hides_token() {
    let server = Server::requiring(&files(), "Bearer s3cret-t0ken");
    let home = with_registry(&[&server.url]);
    let mut terminal = Terminal::start(home.kf(["registry", "login", "team"]));
    terminal.expect("Token for ");
    terminal.type_text("s3cret-t0ken\n");
    let (status, screen) = terminal.finish();
    let screen = String::from_utf8_lossy(&screen);
    assert!(status.success() && !screen.contains(TOKEN), "{screen}");
    let ran = home.run(["registry", "login", "team"]).code(2);
    assert!(
        ran.stderr.ends_with("hint: kf registry login team --token-fd 0 < FILE\n"),
        "{}",
        ran.transcript()
    );
}

#[test]
fn token_is_not_sent_to_other_addresses() {
    let (own, mirror) =
        (Server::requiring(&files(), "Bearer s3cret-t0ken"), Server::start(files(), |_| None));
    let home = with_registry(&[&own.url, &mirror.url]).env("KF_REGISTRY_TEAM_TOKEN", TOKEN);
    home.run(["command", "describe", "whoami"]).success();
    assert!(own.seen().iter().any(|given| given.as_deref() == Some("Bearer s3cret-t0ken")));
    let seen = mirror.seen();
    assert!(!seen.is_empty() && seen.iter().all(Option::is_none), "{seen:?}");
}

#[test]
fn token_does_not_follow_redirect() {
    let target = Server::start(files(), |given| (given.is_none()).then_some("401 Unauthorized\r\n"));
    let location: &'static str = Box::leak(
        format!("302 Found\r\nLocation: {}/metadata/timestamp.json\r\n", target.url).into_boxed_str(),
    );
    let server = Server::start(files(), move |_| Some(location));
    let home = with_registry(&[&server.url]).env("KF_REGISTRY_TEAM_TOKEN", TOKEN);
    // Without the variable.
    drop((server.seen(), target.seen()));
    let ran = home.run_unchanged(["command", "describe", "whoami"]).code(3);
    assert!(ran.stderr.contains("credentials do not follow redirects"), "{}", ran.transcript());
    assert!(server.seen().iter().all(|given| given.as_deref() == Some("Bearer s3cret-t0ken")));
    let seen = target.seen();
    assert!(!seen.is_empty() && seen.iter().all(Option::is_none), "{seen:?}");
}

#[test]
fn token_is_not_sent_over_http() {
    // A name that does not resolve, so nothing could be sent anyway.
    let home = with_registry(&["http://registry.invalid"]);
    kf_snapshot!(login(&home, TOKEN, &[]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: refusing to store a token for http://registry.invalid: it would be sent without TLS
    hint: use an https:// address
    ");
    assert!(files_with(&home, TOKEN).iter().all(|path| path.ends_with("token")));
}

#[test]
fn invalid_token_is_refused_without_repeating_it() {
    let server = Server::requiring(&files(), "Bearer s3cret-t0ken");
    let home = with_registry(&[&server.url]);
    let ran = login(&home, "Bearer s3cret-t0ken", &[]).code(2);
    assert!(!ran.stderr.contains(TOKEN), "{}", ran.transcript());
    kf_snapshot!(home.env("KF_REGISTRY_TEAM_TOKEN", "s3cret-t0ken x").run_unchanged(["command", "describe", "whoami"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid token: the token in KF_REGISTRY_TEAM_TOKEN: it has a space or another character that a token cannot have
    ");
}

#[test]
fn password_of_netrc_is_sent_to_its_host() {
    let server = Server::requiring(&files(), "Basic ZGFuYTpodW50ZXIy");
    let home = with_registry(&[&server.url]);
    let netrc = home.path().join(".netrc");
    fs_err::write(&netrc, "machine 127.0.0.1 login dana password hunter2\n").unwrap();
    let mode = |mode| fs_err::set_permissions(&netrc, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let ran = home.run_unchanged(["command", "describe", "whoami"]).code(8);
    assert!(
        ran.stderr.contains(".netrc is not safe to use: other users can read it"),
        "{}",
        ran.transcript()
    );
    mode(0o600);
    home.run(["command", "add", "hello"]).success();
    let other = home.path().join("other");
    fs_err::rename(&netrc, &other).unwrap();
    home.run(["command", "describe", "whoami"]).code(3);
    let home = home.env("NETRC", &other.display().to_string());
    home.run(["command", "describe", "whoami"]).success();
    fs_err::write(&other, "machine 127.0.0.1 login dana password wrong\n").unwrap();
    let ran = home.run(["command", "describe", "whoami"]).code(3);
    assert!(ran.stderr.contains("for the password for 127.0.0.1 in "), "{}", ran.transcript());
    assert!(!ran.stderr.contains("wrong"), "{}", ran.transcript());
    fs_err::write(&other, "machine 127.0.0.1 hunter2\n").unwrap();
    let ran = home.run(["command", "describe", "whoami"]).code(3);
    assert!(ran.stderr.contains("not in the format of netrc"), "{}", ran.transcript());
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.transcript());
}

#[test]
fn forbidden_registry_is_reported() {
    let server = Server::start(files(), |_| Some("403 Forbidden\r\n"));
    let home = with_registry(&[&server.url]);
    kf_snapshot!(home.run_unchanged(["command", "add", "hello"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: registry team denied access: http://[ADDRESS]/metadata/timestamp.json returned 403 Forbidden; no credentials
    hint: ask the admins of registry team for access
    ");
}

#[test]
fn invalid_proxy_is_refused_instead_of_bypassed() {
    let home =
        with_registry(&["https://registry.invalid"]).env("HTTPS_PROXY", "ftp://me:hunter2@proxy.invalid");
    kf_snapshot!(home.run_unchanged(["command", "describe", "whoami"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid HTTPS_PROXY: not the URL of a proxy such as http://HOST:PORT
    ");
}

#[test]
fn addresses_of_registry_can_be_changed() {
    let out: TempDir = tempfile::tempdir().unwrap();
    registry::copy(&files(), out.path());
    let mirror = format!("file://{}", out.path().join("published").display());
    let home = Home::empty();
    let first = format!("file://{}", files().display());
    home.run(["registry", "add", "team", &first, "--root", &root()]).success();
    let masked = |ran: Ran| ran.masked(&mirror, "[MIRROR]").masked(&first, "[FIRST]");
    kf_snapshot!(masked(home.run_unchanged(["registry", "add", "team", &mirror, "--root", &root()])), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: registry team already exists
    hint: kf registry set-url team URL… sets its addresses
    ");
    kf_snapshot!(masked(home.run(["registry", "set-url", "team", &first, &mirror])), @"
    exit: 0
    ----- stdout -----
    Set the addresses of registry team: [FIRST] [MIRROR]
    ----- stderr -----
    ");
    let listed = |home: &Home| -> Value {
        serde_json::from_str(&home.run(["registry", "list", "-o", "json"]).success().stdout).unwrap()
    };
    assert_eq!(listed(&home)[0]["urls"], serde_json::json!([first, mirror]));
    let states = |home: &Home| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let listed = listed(home);
        let mirrors = listed[0]["mirrors"].as_array().unwrap().clone();
        mirrors.iter().map(|mirror| (text(&mirror["url"]), text(&mirror["state"]))).collect()
    };
    let state = |url: &str, state: &str| (url.to_owned(), state.to_owned());
    assert_eq!(states(&home), [state(&first, "current"), state(&mirror, "current")]);
    // A mirror that is gone is named, and the other one is used.
    fs_err::rename(out.path().join("published"), out.path().join("away")).unwrap();
    kf_snapshot!(masked(home.run(["command", "describe", "whoami"]).without_stdout()), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    warning: mirror [MIRROR] of registry team is unreachable: it has no timestamp.json
    Your rights were not checked: no kubeconfig: [HOME]/.kube/config does not exist
    ");
    assert_eq!(states(&home), [state(&first, "current"), state(&mirror, "unreachable")]);
    let closed = format!("http://{}", closed());
    home.run(["registry", "set-url", "team", &closed, &first]).success();
    home.run(["command", "describe", "whoami"]).success();
    home.run_unchanged(["registry", "set-url", "team", "ftp://x"]).code(2);
    home.run_unchanged(["registry", "set-url", "lab", &first]).code(5);
    home.run(["registry", "set-url", "team", &first]).success();
    assert!(states(&home).is_empty(), "a single address is no mirror");
}
