//! Changes that are killed at any moment, that run at the same time, or that run out of disk space: afterwards there is the
//! old state or the new one, and the change can be repeated.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use crate::common::mounts::skip_without_namespaces;
use crate::common::people::Registry;
use crate::common::registry::copy;
use crate::common::{Home, Ran, output_of};

/// How often each change is killed.
const KILLS: u32 = 34;

/// After how many kills the change is repeated.
const REPEAT_EVERY: u32 = 8;

/// A change of what is installed or published.
struct Change<'a> {
    /// The state before it.
    before: &'a Home,
    /// Shell lines, run in the home: the change, and what shows the state.
    line: &'a str,
    state: &'a str,
}

impl Change<'_> {
    fn home(&self) -> Home {
        let home = Home::empty();
        copy(&self.before.path().join("."), home.path());
        home
    }

    fn shell(home: &Home, line: &str) -> Command {
        home.shell(&format!("cd \"$HOME\" && {line}"))
    }

    fn state(&self, home: &Home) -> String {
        Ran::of(&output_of(&mut Self::shell(home, self.state)), home.path()).transcript()
    }

    fn apply(&self, home: &Home) -> Ran {
        Ran::of(&output_of(&mut Self::shell(home, self.line)), home.path())
    }

    /// Kills the change at moments that are spread over its duration.
    fn kill(&self) {
        let before = self.state(&self.home());
        let done = self.home();
        let started = Instant::now();
        let ran = self.apply(&done).success();
        let duration = started.elapsed();
        let after = self.state(&done);
        assert_ne!(before, after, "`{}` changes nothing: {}", self.line, ran.transcript());
        for kill in 0..KILLS {
            let home = self.home();
            // The shell gives way to kf, so that the signal reaches it.
            let mut shell = Self::shell(&home, &format!("exec {}", self.line));
            let mut child = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // Half a step more, so that the last moments are after its usual end.
            thread::sleep(duration.mul_f64((f64::from(kill) + 0.5) / f64::from(KILLS - 2)));
            child.kill().unwrap();
            child.wait().unwrap();
            let found = self.state(&home);
            assert!(
                found == before || found == after,
                "`{}` killed at {kill}:\n{found}\n{before}\n{after}",
                self.line
            );
            // Nothing is left that prevents the change: no lock, no incomplete file.
            if kill % REPEAT_EVERY == 0 {
                let again = self.apply(&home);
                assert_eq!(self.state(&home), after, "`{}` repeated: {}", self.line, again.transcript());
            }
        }
    }
}

/// A registry with two versions of `hello`, the older one alone in `old`, and the homes of its user and publisher.
struct Fixture {
    registry: Registry,
    /// Without a command, with 0.1.0, and with a newer version to come.
    user: Home,
    installed: Home,
    /// The publisher with a copy of the registry and a signed version.
    publisher: Home,
}

fn fixture() -> Fixture {
    let registry = Registry::delegated();
    registry.publish_text("first");
    registry.hand_in("key.pem", "0.1.0", "", "one").success();
    registry.publish("one").success();
    let add = "kf registry add team \"file://$PWD/published\" --root published/metadata/1.root.json";
    registry.run(&registry.user, add).success();
    let user = Home::empty();
    copy(&registry.user.path().join("."), user.path());
    registry.run(&registry.user, "kf command add hello").success();
    let installed = Home::empty();
    copy(&registry.user.path().join("."), installed.path());

    registry.hand_in("key.pem", "0.2.0", "", "two").success();
    let publisher = Home::empty();
    copy(&registry.publisher.path().join("."), publisher.path());
    for folder in ["index", "published", "two"] {
        copy(&registry.path(folder), publisher.path());
    }
    registry.publish("two").success();
    Fixture { registry, user, installed, publisher }
}

const STATE: &str = "kf command list; kf hello Ada; kf greet Ada";

#[test]
fn change_killed_at_any_moment_leaves_old_or_new_state() {
    let Fixture { registry, user, installed, publisher } = fixture();
    let exported = registry.path("exported").display().to_string();
    let export = format!("kf command export {exported} hello");
    Change { before: &installed, line: &export, state: STATE }.apply(&installed).success();
    let import = format!("kf command import {exported}");
    let publish = "kf registry publish two --key key.pem --index index --passphrase-fd 3 3< passphrase";
    let published = "kf registry verify --index index --root published/metadata/1.root.json";
    let change = |before, line, state| Change { before, line, state };
    let changes = [
        change(&user, "kf command add hello@0.1.0", STATE),
        change(&user, import.as_str(), STATE),
        change(&installed, "kf command upgrade hello", STATE),
        change(&installed, "kf command remove hello", STATE),
        change(&installed, "kf command replace greet --with hello", STATE),
        change(&publisher, publish, published),
    ];
    thread::scope(|threads| {
        for change in &changes {
            threads.spawn(|| change.kill());
        }
    });
}

#[test]
fn concurrent_adds_install_one_command_and_leave_no_lock() {
    const ADDS: usize = 16;
    let fixture = fixture();
    let user = &fixture.user;
    let adds: Vec<_> = (0..ADDS)
        .map(|_| {
            let mut add = user.kf(["command", "add", "hello"]);
            add.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut added = 0;
    for add in adds {
        let ran = Ran::of(&add.wait_with_output().unwrap(), user.path());
        match ran.code {
            Some(0) => added += usize::from(ran.stdout.starts_with("Added hello 0.2.0")),
            // Another one is at it.
            _ => assert!(ran.stderr.contains("another kf"), "{}", ran.transcript()),
        }
    }
    assert_eq!(added, 1);
    assert_eq!(user.run(["hello", "Ada"]).success().stdout, "hello Ada\n");
    let again = user.run(["command", "add", "hello"]).success();
    assert!(again.stderr.contains("hello 0.2.0 is already added"), "{}", again.transcript());
}

/// What a change printed on a disk that has `free` KiB left, and the state once there is space again.
struct OnFullDisk {
    code: i32,
    said: String,
    state: String,
}

impl OnFullDisk {
    fn run(change: &Change<'_>, free: u32) -> Self {
        let home = change.home();
        let small = tempfile::tempdir().unwrap();
        let script = format!(
            "mount -t tmpfs -o size=8M tmpfs \"$0\" && cp -a \"$HOME/.\" \"$0\" && export HOME=\"$0\" && cd \"$0\" && \
             head --bytes={free}K /dev/zero > spare && {{ cat /dev/zero > full 2> /dev/null || rm spare; }} && \
             said=$({{ {}; }} 2>&1); code=$?; rm -f full; printf '%s\\n%s\\nSTATE\\n' $code \"$said\"; {{ {}; }} 2>&1",
            change.line, change.state
        );
        let shell = home.shell("");
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .arg(small.path())
            .env_clear();
        for (name, value) in shell.get_envs() {
            command.env(name, value.unwrap());
        }
        let output = output_of(&mut command);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (ran, state) = text.split_once("STATE\n").unwrap_or_else(|| panic!("{output:?}"));
        let (code, said) = ran.split_once('\n').unwrap();
        Self { code: code.parse().unwrap(), said: said.to_owned(), state: state.to_owned() }
    }
}

#[test]
fn change_on_full_disk_is_refused_and_leaves_old_state() {
    if skip_without_namespaces("change_on_full_disk_is_refused_and_leaves_old_state") {
        return;
    }
    let fixture = fixture();
    let Fixture { user, installed, .. } = &fixture;
    let state = STATE;
    for (before, line) in
        [(user, "kf command add hello@0.1.0"), (installed, "kf command replace greet --with hello")]
    {
        let change = Change { before, line, state };
        let old = OnFullDisk::run(&Change { before, line: "true", state }, 0).state;
        let mut refused = 0;
        // Memory is allocated in pages of 4 KiB.
        for free in (0..48).step_by(4).chain((48..).step_by(72)) {
            let OnFullDisk { code, said, state } = OnFullDisk::run(&change, free);
            if code == 0 && state != old {
                break;
            }
            refused += 1;
            assert!(free < 4096, "`{line}` needs more than {free} KiB: {said}");
            assert_eq!(state, old, "`{line}` with {free} KiB: {said}");
            assert!(
                said.contains("error: ") && said.contains("no storage space"),
                "`{line}` with {free} KiB: {said}"
            );
        }
        assert!(refused > 0, "`{line}` never ran out of space");
    }
}
