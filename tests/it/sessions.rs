//! `kf run`, `kf shell` and forwarded ports on a real node, compared with kubectl.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use kf_tests::cluster::{User, skip_without_node};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::lines::lines_of;
use crate::common::team::Team;
use crate::common::terminal::{Terminal, shown};
use crate::common::{Home, Streams, TIMEOUT, attacks, output_of, registry, wait_for_exit};
use crate::kf_snapshot;

/// A pod with a web page and a shell.
pub const SERVER: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: server}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: "kf.test/busybox:1"
    command: [sh, -c, "mkdir /www; seq 20000 > /www/page; exec httpd -f -p 8080 -h /www"]
"#;

fn team(hint: &str) -> Team {
    let team = Team::with_node(hint);
    team.apply(SERVER);
    team.wait("condition=Ready", &["pod/server"]);
    team
}

/// Runs a command with this stdin.
fn run_with_stdin(mut command: Command, input: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = thread::spawn(move || {
        // A command that reads only the start closes the pipe.
        let _closed = stdin.write_all(&input);
    });
    let output = Streams::of(&mut child).output(&mut child);
    feeding.join().unwrap();
    output
}

fn code_of(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

#[test]
fn run_matches_kubectl_exec() {
    if skip_without_node("run_matches_kubectl_exec") {
        return;
    }
    let team = team("run");
    let home = team.home(User::DataScientist, &["run", "shell"]);
    for (script, expected) in [
        ("printf 'a\\0b\\377'; echo err >&2", 0),
        ("exit 7", 7),
        ("exit 2", 2),
        ("exit 255", 255),
        ("kill -9 $$", 137),
    ] {
        let ours = output_of(&mut home.kf(["run", "server", "--", "sh", "-c", script]));
        let theirs = team.kubectl(User::DataScientist, &["exec", "server", "--", "sh", "-c", script]);
        assert_eq!((code_of(&ours), code_of(&theirs)), (expected, expected), "{script}: {ours:?}");
        assert_eq!(ours.stdout, theirs.stdout, "{script}");
    }
    // All of stdin arrives, and its end.
    let large: Vec<u8> = (0..10u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let echoed = run_with_stdin(home.kf(["run", "server", "--", "cat"]), &large);
    assert_eq!(code_of(&echoed), 0, "{}", String::from_utf8_lossy(&echoed.stderr));
    assert!(echoed.stdout == large, "{} bytes came back", echoed.stdout.len());
    // Only as much as fits into the pipes: with more, the kubelet waits for a reader, with kubectl too.
    let head = run_with_stdin(home.kf(["run", "server", "--", "head", "-c", "5"]), &large[..1024]);
    assert_eq!((code_of(&head), head.stdout.as_slice()), (0, &large[..5]));
    // A shell reads a script from stdin.
    let script = run_with_stdin(home.kf(["shell", "server"]), b"echo $((6 * 7))\nexit 3\n");
    assert_eq!((code_of(&script), script.stdout.as_slice()), (3, &b"42\n"[..]));
    // Stdout is closed.
    let mut kf = home.kf(["run", "server", "--", "yes"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(kf.stdout.take());
    assert_eq!(wait_for_exit(&mut kf).code(), Some(141));
    // A missing program.
    let missing = home.run(["run", "server", "--", "no-such-program"]).code(5);
    assert!(missing.stderr.contains("program `no-such-program` not found"), "{}", missing.transcript());
    let shell = home.run(["shell", "server", "--shell", "zsh"]).code(5);
    assert!(shell.stderr.contains("has no `zsh`"), "{}", shell.transcript());
}

#[test]
fn viewer_cannot_run_and_sees_missing_right() {
    if skip_without_node("viewer_cannot_run_and_sees_missing_right") {
        return;
    }
    let team = team("run-vic");
    let home = team.home(User::Viewer, &["run", "shell"]);
    for words in [&["run", "server", "--", "id"][..], &["shell", "server"]] {
        let refused = home.run(words).code(4);
        assert!(refused.stderr.contains("pods/exec"), "{}", refused.transcript());
        assert!(refused.stderr.contains("your own rights"), "{}", refused.transcript());
    }
    let dana = team.home(User::DataScientist, &["run"]);
    let refused = dana.run(["run", "server", "--read-only", "--", "id"]).code(4);
    assert!(refused.stderr.contains("--read-only"), "{}", refused.transcript());
    let refused = dana.run(["run", "server", "--dry-run", "--", "id"]).code(2);
    assert!(refused.stderr.contains("run without --dry-run"), "{}", refused.transcript());
}

#[test]
fn session_with_terminal_or_stdin_needs_the_right() {
    let team = Team::new("joined");
    let home = attacks::home(&["joined-terminal"]).kubeconfig(&team.kubeconfig(User::Admin));
    kf_snapshot!(home.run_unchanged(["joined-terminal"]), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: joined-terminal is not allowed to use your terminal or stdin: its manifest does not have `[permissions] terminal = true`
    hint: ask the author of joined-terminal to add it
    ");
    // It is refused once the registry's ceiling no longer allows it.
    let home = attacks::home(&["granted-terminal"]).kubeconfig(&team.kubeconfig(User::Admin));
    let asked = home.run(["granted-terminal"]);
    assert!(asked.stderr.contains("exec stdin=true tty=false: Err"), "{}", asked.transcript());
    let receipt = home.path().join(".local/share/kf/receipts/granted-terminal.json");
    let mut lowered: Value = serde_json::from_slice(&fs_err::read(&receipt).unwrap()).unwrap();
    lowered["ceiling"].as_object_mut().unwrap().remove("terminal").unwrap();
    fs_err::write(&receipt, lowered.to_string()).unwrap();
    let refused = home.run(["granted-terminal"]).code(4);
    assert!(refused.stderr.contains("its registry no longer allows `terminal`"), "{}", refused.transcript());
    // A first-party command asks for it.
    let home = Home::empty();
    registry::set_up(&home, registry::published());
    let ran = home.run(["command", "add", "shell"]).code(8);
    let right = "It may pass your terminal and stdin to programs in pods.";
    assert!(ran.stderr.contains(right), "{}", ran.transcript());
    home.run(registry::hinted(&ran)).success();
    let described = home.run(["command", "describe", "shell", "-o", "json"]).success().stdout;
    let described: Value = serde_json::from_str(&described).unwrap();
    assert_eq!(described["terminal"], true);
}

#[test]
fn shell_terminal_is_raw_and_restored() {
    if skip_without_node("shell_terminal_is_raw_and_restored") {
        return;
    }
    let team = team("shell");
    let home = team.home(User::DataScientist, &["run", "shell"]);
    let mut terminal = Terminal::start(home.kf(["shell", "server"]));
    let before = terminal.settings();
    terminal.expect("# ");
    assert_ne!(terminal.settings(), before, "the terminal is not raw");
    terminal.resize(97, 31);
    // The new size arrives some time after the typed text, which the terminal echoes.
    let size = r#"until [ "$(stty size)" = "$((30 + 1)) $((96 + 1))" ]; do sleep 0.1; done; stty size"#;
    terminal.type_text(&format!("{size}\r"));
    terminal.expect("31 97");
    // The container receives Ctrl-C. Once its output appears, the process is in the foreground.
    terminal.type_text("sh -c 'echo from $((2 + 3)); exec sleep 1000'\r");
    terminal.expect("from 5");
    terminal.type_text("\x03");
    terminal.type_text("echo still $((40 + 2))\r");
    terminal.expect("still 42");
    terminal.type_text("exit 9\r");
    let keyboard = terminal.keyboard();
    let (status, screen) = terminal.finish();
    assert_eq!(status.code(), Some(9), "{}", shown(&screen));
    assert_eq!(crate::common::terminal::settings(&keyboard), before);
}

#[test]
fn escape_sequence_leaves_any_session() {
    if skip_without_node("escape_sequence_leaves_any_session") {
        return;
    }
    let team = team("leave");
    let home = team.home(User::DataScientist, &["run", "shell"]);
    // Programs that ignore Ctrl-C and read nothing: one with a password prompt, one that floods the screen with it, and
    // one that has keys sent as escape sequences.
    let prompt = "trap '' INT; printf 'Pass''word: '; while :; do sleep 1; done";
    let flood = "trap '' INT; while :; do echo 'Pass''word: '; done";
    let encoded = "trap '' INT; printf '\\033[>1uPass''word: '; while :; do sleep 1; done";
    for (script, way_out) in [
        (prompt, "\r~."),
        (prompt, "\x03\x03\x03"),
        (flood, "\r~."),
        (encoded, "\x1b[99;5u\x1b[99;5u\x1b[99;5u"),
    ] {
        let mut terminal = Terminal::start(home.kf(["shell", "server"]));
        let before = terminal.settings();
        terminal.expect(
            "your terminal is connected to pod server, container main; \
             to leave, type ~. on a new line or press Ctrl-C three times\r\n",
        );
        terminal.expect("# ");
        terminal.type_text(&format!("{script}\r"));
        terminal.expect("Password: ");
        terminal.type_text(way_out);
        let keyboard = terminal.keyboard();
        let (status, screen) = terminal.finish();
        let screen = shown(&screen);
        let case = format!("{way_out:?} during `{script}`: {status}");
        assert_eq!(status.code(), Some(130), "{case}:\n{}", last_lines(&screen));
        let last = "disconnected from pod server, container main\n";
        assert!(screen.ends_with(last), "{case}:\n{}", last_lines(&screen));
        assert_eq!(crate::common::terminal::settings(&keyboard), before);
    }
    // In a pipe nothing is printed.
    let piped = run_with_stdin(home.kf(["shell", "server"]), b"echo ~.\n");
    assert_eq!((code_of(&piped), String::from_utf8_lossy(&piped.stderr)), (0, "".into()));
}

/// The end of a screen: programs that flood it would hide why a test failed.
fn last_lines(screen: &str) -> String {
    let lines: Vec<_> = screen.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// The private terminal modes that are on after this output.
fn modes(screen: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(screen);
    let mut on = BTreeSet::new();
    for sequence in text.split("\x1b[?").skip(1) {
        let Some(end) = sequence.find(|c: char| c != ';' && !c.is_ascii_digit()) else { continue };
        for mode in sequence[..end].split(';') {
            // Three names of the alternate screen.
            let mode = if ["47", "1047"].contains(&mode) { "1049" } else { mode };
            match &sequence[end..=end] {
                "h" => on.insert(mode.to_owned()),
                "l" => on.remove(mode),
                _ => false,
            };
        }
    }
    on
}

#[test]
fn session_resets_terminal_modes() {
    if skip_without_node("session_resets_terminal_modes") {
        return;
    }
    let team = team("modes");
    let home = team.home(User::DataScientist, &["run"]);
    // Mouse, focus, paste, alternate screen, hidden cursor, keyboard protocol, a title, and an unterminated string.
    let hostile =
        r"printf '\033[?1049h\033[?1000;1003;1006;1004;2004;1;5;9001h\033[?25l\033[>1u\033]0;root@prod'";
    for script in [hostile.to_owned(), format!("{hostile}; kill -9 $$"), format!("{hostile}; sleep 1000")] {
        let mut terminal = Terminal::start(home.kf(["run", "server", "-t", "--", "sh", "-c", &script]));
        terminal.expect("root@prod");
        if script.contains("sleep") {
            terminal.type_text("\r~.");
        }
        let (_, screen) = terminal.finish();
        let hostile = screen.windows(9).rposition(|text| text == b"root@prod").unwrap();
        let (before, after) = screen.split_at(hostile);
        assert!(modes(before).contains("1003") && modes(before).contains("1049"), "{}", shown(before));
        // The cursor and line wrapping are on by default.
        assert_eq!(modes(&screen), BTreeSet::from(["25".to_owned(), "7".to_owned()]), "{after:?}");
        let after = String::from_utf8_lossy(after);
        assert!(after.contains("\x1b[=0u") && after.contains("\x1b[23;0t"), "{after:?}");
        // kf's message is not part of the title.
        assert!(after.find('\x18') < after.find("disconnected from pod server"), "{after:?}");
    }
}

#[test]
fn debug_container_joins_pod_and_returns_exit_code() {
    if skip_without_node("debug_container_joins_pod_and_returns_exit_code") {
        return;
    }
    let team = team("debug");
    let words = ["shell", "server", "--debug", "--debug-image", "kf.test/busybox:1"];
    let admin = team.home(User::Admin, &["shell"]);
    let script = b"md5sum /proc/1/root/www/page\nexit 6\n";
    let ran = run_with_stdin(admin.kf(words), script);
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(code_of(&ran), 6, "{stderr}");
    assert!(stderr.contains("container kf-debug-1"), "{stderr}");
    assert!(String::from_utf8_lossy(&ran.stdout).ends_with("  /proc/1/root/www/page\n"), "{ran:?}");
    // That is all of the container's output. (`kubectl attach` loses output after the end of its input.)
    let log = team.admin(&["logs", "server", "--container=kf-debug-1"]);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), log);
    // The role `edit` lacks the right.
    let dana = team.home(User::DataScientist, &["shell"]);
    let refused = dana.run(words).code(4);
    assert!(refused.stderr.contains("pods/ephemeralcontainers"), "{}", refused.transcript());
}

#[test]
fn signals_restore_the_terminal() {
    if skip_without_node("signals_restore_the_terminal") {
        return;
    }
    let team = team("killed");
    let home = team.home(User::DataScientist, &["shell"]);
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGINT, 130)] {
        let mut terminal = Terminal::start(home.kf(["shell", "server"]));
        let before = terminal.settings();
        terminal.expect("# ");
        assert_ne!(terminal.settings(), before);
        kill(Pid::from_raw(terminal.process_id().try_into().unwrap()), signal).unwrap();
        let keyboard = terminal.keyboard();
        let (status, screen) = terminal.finish();
        assert_eq!(status.code(), Some(code), "{signal}: {}", shown(&screen));
        assert_eq!(crate::common::terminal::settings(&keyboard), before, "{signal}");
    }
    team.admin(&["get", "pod", "server"]);
}

/// A kf that forwards ports of `server`, and the local ports.
fn holding(home: &Home) -> (Child, Vec<u16>) {
    let mut kf = home.kf(["held-ports"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = lines_of(kf.stdout.take().unwrap());
    let port = || lines.recv_timeout(TIMEOUT).unwrap().parse().unwrap();
    let ports = vec![port(), port()];
    (kf, ports)
}

fn page(port: u16) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /page HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
    Ok(answer.split_off(body.unwrap_or_default()))
}

#[test]
fn forwarded_ports_lose_no_request_and_close_with_kf() {
    if skip_without_node("forwarded_ports_lose_no_request_and_close_with_kf") {
        return;
    }
    let team = team("ports");
    let home = attacks::home(&["held-ports"]).kubeconfig(&team.kubeconfig(User::DataScientist));
    let (mut kf, ports) = holding(&home);
    let expected: Vec<u8> = (1..=20_000).map(|n| format!("{n}\n")).collect::<String>().into_bytes();
    let served = ports[0];
    let asked: Vec<_> = (0..200).map(|_| thread::spawn(move || page(served))).collect();
    let lost = asked
        .into_iter()
        .map(|request| request.join().unwrap())
        .filter(|answer| !answer.as_ref().is_ok_and(|body| *body == expected))
        .count();
    assert_eq!(lost, 0);
    // A port without a listener prints one error, and the others keep working.
    assert_eq!(page(ports[1]).unwrap_or_default(), b"");
    let stderr = lines_of(kf.stderr.take().unwrap());
    for (local, remote) in ports.iter().zip([8080, 9]) {
        let listens = stderr.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(listens, format!("localhost:{local} → pod server:{remote}"));
    }
    let line = stderr.recv_timeout(TIMEOUT).unwrap();
    assert!(line.contains(&format!("nothing listens on port 9 of pod server in {}", team.name())), "{line}");
    assert_eq!(page(served).unwrap(), expected);
    // The forward ends with the pod.
    team.admin(&["delete", "pod", "server", "--now"]);
    assert_eq!(wait_for_exit(&mut kf).code(), Some(0));
    assert!(TcpStream::connect(("127.0.0.1", served)).is_err());
}

#[test]
fn forwarded_ports_are_released_on_every_signal() {
    if skip_without_node("forwarded_ports_are_released_on_every_signal") {
        return;
    }
    let team = team("bound");
    let home = attacks::home(&["held-ports"]).kubeconfig(&team.kubeconfig(User::DataScientist));
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        let (mut kf, ports) = holding(&home);
        kill(Pid::from_raw(kf.id().try_into().unwrap()), signal).unwrap();
        wait_for_exit(&mut kf);
        for port in ports {
            assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "{signal} left {port} bound");
        }
    }
    let vic = attacks::home(&["held-ports"]).kubeconfig(&team.kubeconfig(User::Viewer));
    let refused = vic.run(["held-ports"]).code(4);
    assert!(refused.stderr.contains("pods/portforward"), "{}", refused.transcript());
}
