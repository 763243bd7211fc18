//! kf-plugin-sdk/README.md, followed from an empty folder outside this repository to an added command.
//!
//! A block that begins with a comment naming a file becomes that file; the `sh` blocks run in order. The tests' own
//! Rust toolchain replaces what `rustup target add` installs, and the crates have the versions of this repository,
//! which are already downloaded.

use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use kf_toolchains::guests::toolchain::{Machine, Way, resolve};

use crate::common::readme::blocks;
use crate::common::{Home, kf_program, output_of};

/// The placeholder for a clone of kf.
const CLONE: &str = "/path/to/kf";

/// The file that a block's first line names.
fn file_of(text: &str) -> Option<&str> {
    let first = text.lines().next()?;
    let path = first.strip_prefix("// ").or(first.strip_prefix("# "))?;
    let is_path = !path.contains(' ') && (path.ends_with(".rs") || path.ends_with(".toml"));
    is_path.then_some(path)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The folder in which a Rust tool keeps its downloads.
fn tool_home(variable: &str, folder: &str) -> OsString {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(folder).into_os_string();
    std::env::var_os(variable).unwrap_or_else(home)
}

/// `PATH` with `kf`, a `rustup` that does nothing, and this test's own path.
fn search_path(shims: &Path) -> OsString {
    fs_err::create_dir_all(shims).unwrap();
    let rustup = shims.join("rustup");
    fs_err::write(&rustup, "#!/bin/sh\n").unwrap();
    fs_err::set_permissions(&rustup, PermissionsExt::from_mode(0o755)).unwrap();
    let own = std::env::var_os("PATH").unwrap();
    let first = [shims.to_owned(), kf_program().parent().unwrap().to_owned()];
    std::env::join_paths(first.into_iter().chain(std::env::split_paths(&own))).unwrap()
}

#[test]
fn sdk_readme_steps_publish_and_add_command() {
    let readme = fs_err::read_to_string(repository().join("kf-plugin-sdk/README.md")).unwrap();
    let home = Home::empty();
    let folder = home.path().join("hello");
    fs_err::create_dir(&folder).unwrap();
    let mut files = Vec::new();
    let mut script = String::new();
    for (language, text) in blocks(&readme) {
        if language == "sh" {
            script.push_str(&text);
        } else if let Some(path) = file_of(&text) {
            files.push(path.to_owned());
            let path = folder.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text.replace(CLONE, &repository().display().to_string())).unwrap();
        }
    }
    files.sort();
    let index = ["index/authors/me.toml", "index/plugins/hello.toml", "index/registry.toml"];
    let named = [&["Cargo.toml"][..], &index, &["plugin.toml", "src/lib.rs"]].concat();
    assert_eq!(files, named, "the files that the README names");
    fs_err::copy(repository().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let built = repository().join("target/readme");
    fs_err::create_dir_all(&built).unwrap();
    symlink(&built, folder.join("target")).unwrap();

    let toolchain = resolve(&Machine::default(), Way::forced().unwrap(), |_| {}).unwrap();
    let mut shell = home.shell(&format!("set -e\n{script}"));
    shell
        .current_dir(&folder)
        .env("PATH", search_path(&home.path().join("shims")))
        .env("CARGO_HOME", tool_home("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", tool_home("RUSTUP_HOME", ".rustup"));
    if let Some(rustc) = &toolchain.rustc {
        shell.env("RUSTC", rustc);
    }
    let output = output_of(&mut shell);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(!stderr.contains("warning"), "{stderr}");
    for expected in ["hello Ada\n", "Added hello 0.1.0\n", "\"greeting\": \"hello Ada\""] {
        assert!(stdout.contains(expected), "no {expected:?}: {stdout}{stderr}");
    }
    let listed = home.run(["command", "list", "-o", "json"]).success();
    assert!(listed.stdout.contains("\"source\": \"mine\""), "not from the registry: {}", listed.stdout);
}
