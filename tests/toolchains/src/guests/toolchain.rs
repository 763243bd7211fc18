//! The Rust toolchain for guests.
//!
//! Three ways are tried in this order: the target is installed; `rustup target add` installs it;
//! Debian's packages of rustc and its standard library for WebAssembly are unpacked into a cache folder,
//! without installing anything on the system. The last way is for machines that can reach only package
//! registries. `KF_GUEST_TOOLCHAIN` (`installed`, `rustup`, `debian`) forces one.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::from_debian;
use crate::{Error, Progress, Result, command, locations};

/// The target of all guests.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// How the toolchain was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Installed,
    Rustup,
    Debian,
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Installed => "the installed target",
            Self::Rustup => "the target, added by rustup",
            Self::Debian => "Debian's packages, unpacked",
        })
    }
}

/// The variable that forces one way.
pub const WAY_VARIABLE: &str = "KF_GUEST_TOOLCHAIN";

impl Way {
    /// The way that [`WAY_VARIABLE`] forces, if it is set.
    pub fn forced() -> Result<Option<Self>> {
        let Some(word) = locations::variable(WAY_VARIABLE) else { return Ok(None) };
        match word.to_str() {
            Some("installed") => Ok(Some(Self::Installed)),
            Some("rustup") => Ok(Some(Self::Rustup)),
            Some("debian") => Ok(Some(Self::Debian)),
            _ => Err(Error::UnknownWay(word.to_string_lossy().into_owned())),
        }
    }
}

/// A Rust toolchain for guests.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// `RUSTC` for cargo; cargo's own default if absent.
    pub rustc: Option<PathBuf>,
    /// Links components.
    pub linker: PathBuf,
    /// The folder of the host's Rust.
    pub sysroot: PathBuf,
    /// The commit that the host's Rust was built from.
    pub commit: String,
    pub way: Way,
}

/// The programs of the host's Rust.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The compiler for this machine.
    pub rustc: OsString,
    /// The program that adds targets to it.
    pub rustup: OsString,
}

impl Default for Machine {
    /// `RUSTC`, or else `rustc`, and `rustup`.
    fn default() -> Self {
        Self {
            rustc: locations::variable("RUSTC").unwrap_or_else(|| "rustc".into()),
            rustup: "rustup".into(),
        }
    }
}

/// Finds a Rust toolchain for guests, in the way `only` or in the first that works.
pub fn resolve(machine: &Machine, only: Option<Way>, progress: Progress) -> Result<Toolchain> {
    let host = Host::find(&machine.rustc)?;
    // By its real path: cargo recompiles everything if the path changes.
    let found = |way, rustc| {
        let linker = fs_err::canonicalize(host.linker())?;
        Ok(Toolchain { rustc, linker, sysroot: host.sysroot.clone(), commit: host.commit.clone(), way })
    };
    let tries = |way| only.is_none_or(|only| only == way);
    let mut refused = Vec::new();

    if tries(Way::Installed) {
        if host.has_target() {
            return found(Way::Installed, None);
        }
        refused.push("the target is not installed".to_owned());
    }
    if tries(Way::Rustup) {
        match command::output(in_workspace(&machine.rustup).args(["target", "add", TARGET])) {
            Ok(_) if host.has_target() => return found(Way::Rustup, None),
            Ok(_) => refused.push("rustup added it to another toolchain".to_owned()),
            Err(error) => refused.push(error.to_string()),
        }
    }
    if tries(Way::Debian) {
        match from_debian::rustc(&host, progress) {
            Ok(rustc) => return found(Way::Debian, Some(rustc)),
            Err(error) => refused.push(error.to_string()),
        }
    }
    Err(Error::NoGuestToolchain(refused.join("; ")))
}

/// The Rust that compiles for this machine.
pub(super) struct Host {
    sysroot: PathBuf,
    /// Its target triple.
    name: String,
    /// The commit it was built from.
    commit: String,
}

impl Host {
    fn find(rustc: &OsStr) -> Result<Self> {
        let sysroot = command::output(in_workspace(rustc).args(["--print", "sysroot"]))?;
        let version = command::output(in_workspace(rustc).arg("-vV"))?;
        let field = |name: &str| {
            let value = version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.unwrap_or_default().to_owned()
        };
        let sysroot = Path::new(sysroot.trim()).to_owned();
        let host = Self { sysroot, name: field("host"), commit: field("commit-hash") };
        if host.linker().is_file() {
            return Ok(host);
        }
        Err(Error::malformed(host.linker(), "it does not exist, but every Rust toolchain has it"))
    }

    /// Whether it has the standard library for guests.
    fn has_target(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    }

    /// The folder of its linkers.
    pub(super) fn tools(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(&self.name).join("bin")
    }

    fn linker(&self) -> PathBuf {
        self.tools().join("wasm-component-ld")
    }
}

/// Rust tools must run in the workspace, whose toolchain file sets the version.
fn in_workspace(program: &OsStr) -> Command {
    let mut command = Command::new(program);
    command.current_dir(locations::workspace());
    command
}
