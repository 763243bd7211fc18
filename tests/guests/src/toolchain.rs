//! Which Rust compiles the guests.
//!
//! Asked in this order: the target is installed; `rustup target add` installs it; Debian's
//! packages of rustc and its standard library for WebAssembly are unpacked into a cache folder,
//! with nothing installed on the system. The last way is for machines whose network knows package
//! registries only. `KF_GUEST_TOOLCHAIN` (`installed`, `rustup`, `debian`) forces one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, debian};

/// The target of every guest of ours.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// How the toolchain was come by.
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

/// Which ways to try, and where to unpack.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only this way.
    pub only: Option<Way>,
    /// Where downloads are kept between runs.
    pub cache: PathBuf,
}

impl Options {
    /// From `KF_GUEST_TOOLCHAIN` and `KF_DEV_CACHE` (default `~/.cache/kf-dev`).
    pub fn from_environment() -> Result<Self, Error> {
        let only = match environment("KF_GUEST_TOOLCHAIN").as_deref() {
            None => None,
            Some("installed") => Some(Way::Installed),
            Some("rustup") => Some(Way::Rustup),
            Some("debian") => Some(Way::Debian),
            Some(other) => return Err(Error::UnknownWay(other.to_owned())),
        };
        Ok(Self { only, cache: default_cache() })
    }
}

/// A Rust that makes guests.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// `RUSTC` for cargo; cargo's own default if absent.
    pub rustc: Option<PathBuf>,
    /// Links components.
    pub linker: PathBuf,
    pub way: Way,
}

/// Finds a Rust that makes guests.
pub fn resolve(options: &Options) -> Result<Toolchain, Error> {
    let linker = linker()?;
    let found = |way, rustc| Ok(Toolchain { rustc, linker: linker.clone(), way });
    let tries = |way| options.only.is_none_or(|only| only == way);
    let mut refused = Vec::new();

    if tries(Way::Installed) {
        if is_installed()? {
            return found(Way::Installed, None);
        }
        refused.push("the target is not installed".to_owned());
    }
    if tries(Way::Rustup) {
        match output(Command::new("rustup").args(["target", "add", TARGET])) {
            Ok(_) if is_installed()? => return found(Way::Rustup, None),
            Ok(_) => refused.push("rustup added it elsewhere".to_owned()),
            Err(error) => refused.push(error.to_string()),
        }
    }
    if tries(Way::Debian) {
        match debian::rustc(&options.cache) {
            Ok(rustc) => return found(Way::Debian, Some(rustc)),
            Err(error) => refused.push(error.to_string()),
        }
    }
    Err(Error::NoToolchain(refused.join("; ")))
}

/// Whether the active Rust has the standard library for the target.
fn is_installed() -> Result<bool, Error> {
    Ok(sysroot()?.join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

/// `wasm-component-ld` is part of every Rust toolchain, beside its other linkers.
fn linker() -> Result<PathBuf, Error> {
    let linker = host_tools()?.join("wasm-component-ld");
    if linker.is_file() { Ok(linker) } else { Err(Error::NoLinker(linker)) }
}

/// Where the active Rust keeps its linkers.
pub(crate) fn host_tools() -> Result<PathBuf, Error> {
    let version = output(Command::new(rustc()).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    Ok(sysroot()?.join("lib/rustlib").join(host).join("bin"))
}

fn sysroot() -> Result<PathBuf, Error> {
    let path = output(Command::new(rustc()).args(["--print", "sysroot"]))?;
    Ok(Path::new(path.trim()).to_owned())
}

fn rustc() -> String {
    environment("RUSTC").unwrap_or_else(|| "rustc".to_owned())
}

fn default_cache() -> PathBuf {
    if let Some(folder) = environment("KF_DEV_CACHE") {
        return folder.into();
    }
    match environment("HOME") {
        Some(home) => Path::new(&home).join(".cache/kf-dev"),
        None => crate::workspace().join("target/kf-dev"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the build of guests has its own variables, named above")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What a program prints, or the last thing it complained about.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    // Rust tools are to be found from the workspace, whose toolchain file names the version.
    let output = command.current_dir(crate::workspace()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaints = String::from_utf8_lossy(&output.stderr);
    let message = complaints.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("without a word");
    Err(Error::Program { program, message: message.trim().to_owned() })
}
