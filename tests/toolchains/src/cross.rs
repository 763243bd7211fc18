//! A C compiler for 64-bit Arm, and an emulator for its programs, on x86-64 machines.
//!
//! Both are Debian packages, unpacked into the cache. An installed compiler is preferred.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use crate::debian::{self, Packages, Suite};
use crate::{Error, Progress, Result, cache, command, locations};

/// The target triple.
pub const TARGET: &str = "aarch64-unknown-linux-gnu";

const PREFIX: &str = "aarch64-linux-gnu-";

/// gcc, the static glibc that it links, and the libraries that gcc needs, except for the C library.
const COMPILER: Packages<'_> = Packages {
    alone: &[
        "binutils-aarch64-linux-gnu",
        "cpp-12-aarch64-linux-gnu",
        "gcc-12-aarch64-linux-gnu",
        "libc6-arm64-cross",
        "libc6-dev-arm64-cross",
        "libgcc-12-dev-arm64-cross",
        "libgmp10",
        "libisl23",
        "libjansson4",
        "libmpc3",
        "libmpfr6",
        "libzstd1",
        "linux-libc-dev-arm64-cross",
        "zlib1g",
    ],
    with_dependencies: &[],
    suite: Suite::Named("bookworm"),
};

const EMULATOR: Packages<'_> =
    Packages { alone: &["qemu-user-static"], with_dependencies: &[], suite: Suite::Named("bookworm") };

/// A C compiler and archiver for [`TARGET`].
#[derive(Clone, Debug)]
pub struct CrossCompiler {
    pub cc: PathBuf,
    pub ar: PathBuf,
}

impl CrossCompiler {
    /// The compiler on PATH, or Debian's. Also adds [`TARGET`] to cargo's Rust with rustup.
    pub fn find(progress: Progress) -> Result<Self> {
        add_rust_target()?;
        let installed = |tool: &str| command::find(&format!("{PREFIX}{tool}"));
        if let (Some(cc), Some(ar)) = (installed("gcc"), installed("ar")) {
            return Ok(Self { cc, ar });
        }
        let root = debian::cached("gcc-aarch64", &COMPILER, progress)?;
        Ok(Self { cc: wrapper(&root, "gcc", "gcc-12")?, ar: wrapper(&root, "ar", "ar")? })
    }
}

/// The emulator for static programs for [`TARGET`].
pub fn emulator(progress: Progress) -> Result<PathBuf> {
    let name = "qemu-aarch64-static";
    if let Some(installed) = command::find(name) {
        return Ok(installed);
    }
    let key = debian::key(&EMULATOR)?.with(name);
    let folder = cache::entry("qemu-aarch64", key, progress, |folder| {
        // The package has an emulator for each architecture.
        let all = folder.join("all");
        debian::fetch(&EMULATOR, &all, progress)?;
        fs::rename(all.join("usr/bin").join(name), folder.join(name))?;
        Ok::<_, Error>(fs::remove_dir_all(all)?)
    })?;
    Ok(folder.join(name))
}

fn add_rust_target() -> Result<()> {
    let workspace = locations::workspace();
    let sysroot =
        command::output(Command::new("rustc").current_dir(&workspace).args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).join("lib").is_dir() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    command::output(rustup.current_dir(workspace).args(["target", "add", TARGET])).map(drop)
}

/// A script that starts an unpacked tool with the unpacked libraries.
fn wrapper(root: &Path, tool: &str, program: &str) -> Result<PathBuf> {
    let folder = locations::target().join("cross/bin");
    fs::create_dir_all(&folder)?;
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{libraries}' exec '{root}/usr/bin/{PREFIX}{program}' \"$@\"\n",
        libraries = root.join("usr/lib/x86_64-linux-gnu").display(),
        root = root.display(),
    );
    let path = folder.join(format!("{PREFIX}{tool}"));
    fs::write(&path, script)?;
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    Ok(path)
}
