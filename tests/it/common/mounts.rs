//! kf in a home whose file system refuses writes, in a separate mount namespace.

use std::process::Command;

use kf_toolchains::skip;

use super::{Home, Ran, output_of};

/// Runs kf in a read-only home, read-only for root too.
pub fn run_read_only(home: &Home, arguments: &[&str]) -> Ran {
    run_mounted(home, "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"", arguments)
}

/// Runs kf in an empty home on a full disk.
pub fn run_on_full_disk(home: &Home, arguments: &[&str]) -> Ran {
    let fill = "{ head --bytes=64K /dev/zero > \"$0/full\" || true; } 2> /dev/null";
    run_mounted(home, &format!("mount -t tmpfs -o size=16K tmpfs \"$0\" && {fill}"), arguments)
}

/// Runs kf after a shell has mounted the home, its `$0`.
fn run_mounted(home: &Home, mount: &str, arguments: &[&str]) -> Ran {
    let kf = home.kf(arguments);
    let mut command = Command::new("unshare");
    let script = format!("{mount} && cd / && exec \"$@\"");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).arg(home.path());
    command.arg(kf.get_program()).args(kf.get_args()).env_clear();
    for (name, value) in kf.get_envs() {
        command.env(name, value.unwrap());
    }
    Ran::of(&output_of(&mut command), home.path())
}

/// Containers may forbid the namespaces that these runs need.
pub fn skip_without_namespaces(test: &str) -> bool {
    let possible = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    skip::unless(possible.then_some(()).ok_or("user namespaces are not allowed here"), test)
}
