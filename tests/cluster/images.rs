//! The images that the node starts with; none is pulled from anywhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::{self, Key};
use super::command;
use super::controllers::Controller;
use super::error::{ClusterError, Result};
use super::go::{self, GoProgram};
use super::image::{self, Image};
use super::locations;
use super::manifests::{JOBSET, TRAINER as TRAINER_MODULE, Upstream};
use super::progress::Progress;

/// Holds the namespaces of a pod.
pub(crate) const PAUSE: &str = "kf.test/pause:1";
/// A shell and its tools.
pub const BUSYBOX: &str = "kf.test/busybox:1";
/// A small training program, with a shell beside it; see `images/trainer/main.go`.
pub const TRAINER: &str = "kf.test/trainer:1";

/// The archive with all of them. `system` is the directory of the unpacked packages.
pub(crate) fn archive(system: &Path, controllers: &[Controller], progress: Progress) -> Result<PathBuf> {
    let module = locations::sources().join("images");
    let own = |name, package| GoProgram {
        name,
        module: module.clone(),
        package,
        linker_flags: "",
        about: "a few seconds",
    };
    let pause = go::build(&own("pause", "./pause"), progress)?;
    let trainer = go::build(&own("trainer", "./trainer"), progress)?;
    let managers = [
        (&JOBSET, build_manager("jobset", &JOBSET, progress)?),
        (&TRAINER_MODULE, build_manager("trainer-controller-manager", &TRAINER_MODULE, progress)?),
    ];
    let busybox = ["bin/busybox", "usr/bin/busybox"]
        .map(|path| system.join(path))
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| ClusterError::malformed(system, "it holds no busybox"))?;

    // Each path names the cache entry, and so the content.
    let mut key = Key::new().with("archive 1");
    for path in [&pause, &trainer, &busybox].into_iter().chain(managers.iter().map(|(_, path)| path)) {
        key = key.with(path.as_os_str().as_encoded_bytes());
    }
    for controller in controllers {
        key = key.with(&controller.image).with(&controller.entrypoint);
    }
    let entry = cache::entry("images", key, progress, |directory| {
        let mut images = vec![Image::new(PAUSE).entrypoint("/pause").with_program("pause", &pause)?];
        let mut shell = with_busybox(Image::new(BUSYBOX), &busybox)?;
        shell.command = vec!["sh".to_owned()];
        images.push(shell);
        images.push(
            with_busybox(Image::new(TRAINER), &busybox)?
                .with_program("train", &trainer)?
                .entrypoint("/train"),
        );
        for controller in controllers {
            let manager = managers.iter().find(|(upstream, _)| upstream.directory == controller.upstream);
            let Some((_, program)) = manager else { continue };
            let mut image = Image::new(&controller.image)
                .with_directory("tmp", 0o1777)?
                .with_program(&controller.entrypoint, program)?
                .entrypoint(&controller.entrypoint);
            // A pod that demands another user than root needs a number to check that by.
            image.user = Some("65532:65532");
            images.push(image);
        }
        image::write_archive(images, &directory.join("images.tar"))
    })?;
    Ok(entry.join("images.tar"))
}

fn build_manager(name: &str, upstream: &Upstream, progress: Progress) -> Result<PathBuf> {
    go::build(
        &GoProgram {
            name,
            module: upstream.our_module(),
            package: upstream.manager,
            linker_flags: "",
            about: "about 1 min",
        },
        progress,
    )
}

fn with_busybox(image: Image, busybox: &Path) -> Result<Image> {
    let mut image = image;
    for directory in ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "usr", "usr/bin", "var"] {
        image = image.with_directory(directory, 0o755)?;
    }
    image = image
        .with_directory("tmp", 0o1777)?
        .with_text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")?
        .with_text("etc/group", "root:x:0:\nnogroup:x:65534:\n")?
        .with_program("bin/busybox", busybox)?;
    for applet in command::output(Command::new(busybox).arg("--list"))?.lines() {
        if applet != "busybox" {
            image = image.with_link(&format!("bin/{applet}"), "busybox")?;
        }
    }
    Ok(image)
}
