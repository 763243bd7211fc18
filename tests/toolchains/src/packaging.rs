//! Python tools that pack a program into a wheel, and an empty environment to install it into.
//!
//! The tools are pinned by digest in `packaging.txt` and installed into a folder of the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{self, Key};
use crate::{Progress, Result, command, locations};

/// maturin and `wheel`.
#[derive(Debug)]
pub struct Packaging {
    python: PathBuf,
    site: PathBuf,
}

impl Packaging {
    /// Installs the tools if they are not cached.
    pub fn installed(progress: Progress) -> Result<Self> {
        let python = python()?;
        let requirements = locations::workspace().join("tests/toolchains/packaging.txt");
        let key = Key::new().with("target 1").with(std::env::consts::ARCH).with_file(&requirements)?;
        let site = cache::entry("packaging", key, progress, |site| {
            progress("installing maturin");
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
                .args(["--require-hashes", "--only-binary=:all:", "--target"])
                .arg(site)
                .arg("--requirement")
                .arg(&requirements);
            command::logged(&mut pip, &locations::log("packaging")).map(drop)
        })?;
        Ok(Self { python, site })
    }

    /// maturin, which packs cargo's builds.
    #[must_use]
    pub fn maturin(&self) -> Command {
        Command::new(self.site.join("bin/maturin"))
    }

    /// `wheel`, which edits wheels.
    #[must_use]
    pub fn wheel(&self) -> Command {
        let mut wheel = Command::new(&self.python);
        wheel.args(["-m", "wheel"]).env("PYTHONPATH", &self.site).env("PYTHONDONTWRITEBYTECODE", "1");
        wheel
    }
}

/// Creates an empty virtual environment at `environment` and installs a wheel file into it, offline.
pub fn install(wheel: &Path, environment: &Path) -> Result<()> {
    command::output(Command::new(python()?).args(["-m", "venv", "--clear"]).arg(environment))?;
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-cache-dir"])
        .arg(wheel);
    command::output(&mut pip).map(drop)
}

fn python() -> Result<PathBuf> {
    command::need("python3", "to pack and install Python wheels", "install it, with venv and pip")
}
