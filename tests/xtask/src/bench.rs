//! Benchmarks of a release build: peers side by side, ratios printed.

use std::process::Command;

use kf_toolchains::locations::{target, workspace};

use crate::step::{Doing, Result, cargo, quietly, run};
use crate::{plugins, say};

pub fn start() -> Result<()> {
    say::line("· a release build takes about 10 minutes on two cores the first time");
    cargo(&[
        "build",
        "--release",
        "--package",
        "kf-host",
        "--package",
        "kf-tests",
        "--bin",
        "kf",
        "--bin",
        "kf-bench-start",
    ])?;
    plugins::build()?;
    let programs = crate::step::programs()?.with_file_name("release");
    let folder = target().join("bench");
    if folder.exists() {
        fs_err::remove_dir_all(&folder).doing("cannot clear the last benchmark")?;
    }
    fs_err::create_dir_all(&folder).doing("cannot make the benchmark's folder")?;
    let kf = programs.join("kf");
    let home = folder.join("home");
    let kf_run = |label: &str, arguments: &[&str]| {
        quietly(label, Command::new(&kf).current_dir(&folder).args(arguments).env("KF_HOME", &home))
    };
    let index = workspace().join("registry-index").display().to_string();
    let artifacts = target().join("plugins").display().to_string();
    kf_run(
        "signing a registry",
        &[
            "registry",
            "build",
            &index,
            "--artifacts",
            &artifacts,
            "--out",
            "published",
            "--keys",
            "keys",
            "--create-keys",
        ],
    )?;
    let url = format!("file://{}", folder.join("published").display());
    kf_run(
        "adding the registry",
        &["registry", "add", "kubeflow", &url, "--root", "published/metadata/1.root.json"],
    )?;
    kf_run("adding hello", &["command", "add", "hello"])?;
    let source = folder.join("hello.rs");
    fs_err::write(&source, "fn main() { println!(\"hello world\"); }\n")
        .doing("cannot write the native program")?;
    run(Command::new("rustc").arg("-O").arg(&source).arg("-o").arg(folder.join("hello")))?;
    run(Command::new(programs.join("kf-bench-start")).arg(&kf).arg(&home).arg(folder.join("hello")))
}
