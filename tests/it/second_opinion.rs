//! kf adds commands from a registry that python-tuf wrote, which is another implementation of TUF.
//!
//! The other direction, python-tuf reading what kf publishes, is in `kf-host/registry/tests/it/second_opinion.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use kf_tests::file_server::FileServer;
use kf_toolchains::{locations, skip};

use crate::common::registry::{self, build, only};
use crate::common::{Home, output_of};
use crate::kf_snapshot;

/// Writes a registry with `hello` into `out`, unless python-tuf is missing.
fn written(out: &Path, test: &str) -> Option<PathBuf> {
    let python = locations::target().join("python-tuf/bin/python");
    let missing = "python-tuf is not installed; `cargo xtask test` does it";
    if skip::unless(python.exists().then_some(()).ok_or(missing), test) {
        return None;
    }
    build(&registry::index(), &only("hello", out), out);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/written_by_python_tuf.py");
    let folder = out.join("by-python");
    let (targets, owner) = (out.join("published/targets"), "kubeflow");
    let output = output_of(Command::new(python).arg(script).args([&targets, &folder]).arg(owner));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(folder)
}

#[test]
fn commands_are_added_from_registry_written_by_python_tuf() {
    let out = tempfile::tempdir().unwrap();
    let Some(folder) = written(out.path(), "commands_are_added_from_registry_written_by_python_tuf") else {
        return;
    };
    let server = FileServer::serve(&folder).unwrap();
    let root = folder.join("metadata/1.root.json").display().to_string();
    for url in [format!("file://{}", folder.display()), server.url.clone()] {
        let home = Home::empty();
        home.run(["registry", "add", "kubeflow", &url, "--root", &root]).success();
        home.run(["command", "add", "hello"]).success();
        assert_eq!(home.run(["hello", "Ada"]).success().stdout, "hello Ada\n", "{url}");
    }
    // One changed byte is refused, as from any registry.
    let metadata = folder.join("metadata/1.author-kubeflow.json");
    let text = fs_err::read_to_string(&metadata).unwrap();
    fs_err::write(&metadata, text.replacen("0.1.0", "0.1.1", 1)).unwrap();
    let home = Home::empty();
    home.run(["registry", "add", "kubeflow", &server.url, "--root", &root]).success();
    kf_snapshot!(home.run_unchanged(["command", "add", "hello"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify hello of author kubeflow in registry kubeflow: signature threshold not met for role author-kubeflow: 0/2 valid signatures
    hint: ask the author kubeflow, or the admins of registry kubeflow
    ");
}
