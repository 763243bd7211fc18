//! The images that are imported into the node; none is pulled.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use kf_toolchains::Progress;
use kf_toolchains::cache::{self, Key};
use kf_toolchains::command;
use kf_toolchains::pods::PodPrograms;

use super::controllers::Controller;
use super::error::{ClusterError, Result};
use super::image::{self, Image};

/// The pause container, which holds the namespaces of a pod.
pub(crate) const PAUSE: &str = "kf.test/pause:1";
/// A shell and its tools.
pub const BUSYBOX: &str = "kf.test/busybox:1";
/// A small training program and a shell; see `images/trainer/main.go`.
pub const TRAINER: &str = "kf.test/trainer:1";

/// The archive of all images. `system` is the directory of the unpacked packages.
pub(crate) fn archive(system: &Path, controllers: &[Controller], progress: Progress) -> Result<PathBuf> {
    let programs = PodPrograms::built(progress)?;
    let managers: Vec<_> = programs.managers().collect();
    let busybox = find_busybox(system)?;

    // Each path names the cache entry, and so the content.
    let mut key = Key::new().with("archive 1");
    let paths = [&programs.pause, &programs.trainer, &busybox].into_iter();
    for path in paths.chain(managers.iter().map(|(_, path)| *path)) {
        key = key.with(path.as_os_str().as_encoded_bytes());
    }
    for controller in controllers {
        key = key.with(&controller.image).with(&controller.entrypoint);
    }
    let entry = cache::entry("images", key, progress, |directory| -> Result<()> {
        let mut images = vec![Image::new(PAUSE).entrypoint("/pause").with_program("pause", &programs.pause)?];
        let mut shell = with_busybox(Image::new(BUSYBOX), &busybox)?;
        shell.command = vec!["sh".to_owned()];
        images.push(shell);
        images.push(
            with_busybox(Image::new(TRAINER), &busybox)?
                .with_program("train", &programs.trainer)?
                .entrypoint("/train"),
        );
        for controller in controllers {
            let built = managers.iter().find(|(upstream, _)| upstream.program == controller.upstream);
            let Some((_, program)) = built else { continue };
            images.push(manager(&controller.image, &controller.entrypoint, program)?);
        }
        let path = directory.join("images.tar");
        image::write_archive(images, fs::File::create(&path)?, &path)
    })?;
    Ok(entry.join("images.tar"))
}

/// The image of a controller manager.
pub(crate) fn manager(name: &str, entrypoint: &str, program: &Path) -> Result<Image> {
    Ok(Image::new(name)
        .with_directory("tmp", 0o1777)?
        .with_program(entrypoint, program)?
        .entrypoint(entrypoint)
        // `runAsNonRoot` can only be checked for a numeric user.
        .user("65532:65532"))
}

/// The static busybox among the unpacked packages of the node.
pub(crate) fn find_busybox(system: &Path) -> Result<PathBuf> {
    ["bin/busybox", "usr/bin/busybox"]
        .map(|path| system.join(path))
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| ClusterError::malformed(system, "it has no busybox"))
}

/// Adds a shell, its tools and the directories they need.
fn with_busybox(mut image: Image, busybox: &Path) -> Result<Image> {
    for directory in ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "usr", "usr/bin", "var"] {
        image = image.with_directory(directory, 0o755)?;
    }
    image = image
        .with_directory("tmp", 0o1777)?
        .with_text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")?
        .with_text("etc/group", "root:x:0:\nnogroup:x:65534:\n")?;
    with_applets(image, busybox)
}

/// Adds a shell and its tools.
pub(crate) fn with_applets(image: Image, busybox: &Path) -> Result<Image> {
    let mut image = image.with_program("bin/busybox", busybox)?;
    for applet in command::output(Command::new(busybox).arg("--list"))?.lines() {
        if applet != "busybox" {
            image = image.with_link(&format!("bin/{applet}"), "busybox")?;
        }
    }
    Ok(image)
}
