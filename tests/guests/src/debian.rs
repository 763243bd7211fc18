//! A Rust for WebAssembly out of Debian's packages, unpacked and not installed.
//!
//! Debian ships the standard library for `wasm32-unknown-unknown` beside a newer rustc than most
//! machines have. That rustc wants a newer C library too, so it is started through the unpacked
//! dynamic loader; the programs it starts in turn (the host's `cc`, the linkers) keep the
//! system's.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::toolchain::{TARGET, host_tools, output};

/// The suite the packages come from.
const SUITE: &str = "forky";

/// The mirror's signing keys, as every Debian has them.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The unpacked compiler; downloaded and unpacked if it is not in the cache yet.
pub(crate) fn rustc(cache: &Path) -> Result<PathBuf, Error> {
    let home = cache.join(format!("rust-wasm-{SUITE}-{}", std::env::consts::ARCH));
    let rustc = home.join("bin/rustc");
    if !rustc.is_file() {
        // Unpacked aside and renamed, so that a cut-off download leaves nothing half done.
        let aside = cache.join(format!("rust-wasm-{SUITE}.{}", std::process::id()));
        unpack(&aside)?;
        match fs_err::rename(&aside, &home) {
            Ok(()) => {}
            // Someone else was faster.
            Err(_) if home.join("root").is_dir() => fs_err::remove_dir_all(&aside)?,
            Err(error) => return Err(error.into()),
        }
        write_wrapper(&home)?;
    }
    output(Command::new(&rustc).arg("-vV"))?;
    Ok(rustc)
}

/// Lets apt solve, download and check the packages with a configuration of its own, and unpacks
/// them into `root`.
fn unpack(home: &Path) -> Result<(), Error> {
    let apt = Apt::new(home)?;
    apt.get(&["update"])?;
    let shown = output(Command::new("apt-cache").args(&apt.options).args(["show", "libstd-rust-dev"]))?;
    let library = shown
        .lines()
        .filter_map(|line| line.strip_prefix("Depends: "))
        .flat_map(|depends| depends.split([',', ' ']))
        .find(|name| name.starts_with("libstd-rust-"))
        .ok_or_else(|| Error::NoToolchain(format!("Debian {SUITE} has no libstd-rust-dev")))?
        .to_owned();
    // What the library of the compiler needs at run time; apt works it out for an empty system.
    let solved = apt.get(&["--no-install-recommends", "--simulate", "install", &library])?;
    let closure = solved.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());

    let downloads = home.join("debs");
    fs_err::create_dir_all(&downloads)?;
    let mut download = Command::new("sh");
    download
        .args(["-c", "cd \"$0\" && exec apt-get \"$@\""])
        .arg(&downloads)
        .args(&apt.options)
        .args(["-qq", "download", "rustc", "libstd-rust-dev", "libstd-rust-dev-wasm32"])
        .args(closure);
    output(&mut download)?;

    let root = home.join("root");
    for package in fs_err::read_dir(&downloads)? {
        output(Command::new("dpkg-deb").arg("-x").arg(package?.path()).arg(&root))?;
    }
    for unneeded in ["apt", "debs", "root/usr/share"] {
        fs_err::remove_dir_all(home.join(unneeded))?;
    }
    Ok(())
}

/// apt with lists, caches and a state of its own.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(home: &Path) -> Result<Self, Error> {
        let state = home.join("apt");
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs_err::create_dir_all(state.join(folder))?;
        }
        let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
        let architecture = architecture.trim();
        let sources = state.join("sources.list");
        let source = format!("deb [signed-by={KEYS} arch={architecture}] {} {SUITE} main\n", mirror()?);
        fs_err::write(&sources, source)?;
        let options = [
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", state.join("lists").display()),
            format!("Dir::Cache={}", state.join("cache").display()),
            "Dir::State::status=/dev/null".to_owned(),
            format!("APT::Architecture={architecture}"),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { options: options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect() })
    }

    fn get(&self, words: &[&str]) -> Result<String, Error> {
        output(Command::new("apt-get").args(&self.options).arg("-qq").args(words))
    }
}

/// The mirror this machine uses.
fn mirror() -> Result<String, Error> {
    let sources = fs_err::read_to_string("/etc/apt/sources.list.d/debian.sources").unwrap_or_default();
    let modern = sources.lines().find_map(|line| line.strip_prefix("URIs:"));
    let classic = fs_err::read_to_string("/etc/apt/sources.list").unwrap_or_default();
    let old = classic
        .lines()
        .find_map(|line| line.strip_prefix("deb ")?.split_whitespace().find(|word| word.contains("://")));
    let mirror = modern.and_then(|uris| uris.split_whitespace().next()).or(old);
    mirror.map(str::to_owned).ok_or(Error::NoMirror)
}

/// A `rustc` that starts the unpacked one through the unpacked loader, with this toolchain's
/// linkers beside it.
fn write_wrapper(home: &Path) -> Result<(), Error> {
    let root = home.join("root");
    let libraries = fs_err::read_dir(root.join("usr/lib"))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
        .ok_or_else(|| Error::NoToolchain("the packages hold no libraries".to_owned()))?;
    let loader = fs_err::read_dir(&libraries)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")))
        .ok_or_else(|| Error::NoToolchain("the packages hold no dynamic loader".to_owned()))?;

    let bin = home.join("bin");
    fs_err::create_dir_all(&bin)?;
    let tools = host_tools()?;
    for (link, tool) in [("wasm-ld", "rust-lld"), ("wasm-component-ld", "wasm-component-ld")] {
        let link = bin.join(link);
        if fs_err::symlink_metadata(&link).is_err() {
            symlink(tools.join(tool), &link)?;
        }
    }
    let script = format!(
        "#!/bin/sh\nPATH='{bin}':\"$PATH\"; export PATH\n\
         exec '{loader}' --argv0 rustc --library-path '{libraries}' '{root}/usr/bin/rustc' --sysroot '{root}/usr' \"$@\"\n",
        bin = bin.display(),
        loader = loader.display(),
        libraries = libraries.display(),
        root = root.display(),
    );
    let aside = bin.join("rustc.new");
    fs_err::write(&aside, script)?;
    fs_err::set_permissions(&aside, PermissionsExt::from_mode(0o755))?;
    fs_err::rename(&aside, bin.join("rustc"))?;
    if root.join("usr/lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    Err(Error::NoToolchain(format!("Debian {SUITE} has no library for {TARGET}")))
}
