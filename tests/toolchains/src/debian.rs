//! Debian packages, unpacked but not installed.
//!
//! The machine's package state is neither read nor changed: apt gets its own lists and cache, so this
//! works without root and on machines where `apt-get update` was never run. The mirror is taken from the
//! machine's apt sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use crate::cache::{self, Key};
use crate::{Error, Progress, Result, command};

/// The Debian release that packages are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite<'a> {
    /// The release of the machine.
    OfMachine,
    /// Another release, by code name, from the same mirror.
    Named(&'a str),
}

/// The packages to unpack.
#[derive(Clone, Copy, Debug)]
pub struct Packages<'a> {
    /// Packages without their dependencies.
    pub alone: &'a [&'a str],
    /// Packages with all their dependencies, including the C library.
    pub with_dependencies: &'a [&'a str],
    /// The release that they are taken from.
    pub suite: Suite<'a>,
}

/// The programs of a test cluster's node: containerd, runc, the CNI plugins, nft and busybox.
pub const OF_NODE: Packages<'_> = Packages {
    alone: &[
        "busybox-static",
        "containerd",
        "containernetworking-plugins",
        "libjansson4",
        "libmnl0",
        "libnftables1",
        "libnftnl11",
        "libseccomp2",
        "nftables",
        "runc",
    ],
    with_dependencies: &[],
    suite: Suite::OfMachine,
};

/// The directory with the unpacked packages of the node.
pub fn node(progress: Progress) -> Result<PathBuf> {
    cached("node-packages", &OF_NODE, progress)
}

/// The directory with the unpacked packages, from the cache if possible.
pub fn cached(name: &str, packages: &Packages<'_>, progress: Progress) -> Result<PathBuf> {
    cache::entry(name, key(packages)?, progress, |directory| fetch(packages, directory, progress))
}

/// The key of a cache entry made from `packages`.
pub fn key(packages: &Packages<'_>) -> Result<Key> {
    let (codename, _sources) = sources_for(packages.suite)?;
    Ok(Key::new()
        .with("unpacked 2")
        .with(codename)
        .with(packages.alone.join(" "))
        .with(packages.with_dependencies.join(" ")))
}

/// Unpacks packages into `destination`, as if it were the root of a file system.
pub fn fetch(packages: &Packages<'_>, destination: &Path, progress: Progress) -> Result<()> {
    let (_codename, sources) = sources_for(packages.suite)?;
    let all = [packages.alone, packages.with_dependencies].concat();
    progress(&format!("fetching the Debian packages {}", all.join(" ")));
    unpack(&sources, packages, destination)
}

fn unpack(sources: &str, packages: &Packages<'_>, destination: &Path) -> Result<()> {
    let work = tempfile::Builder::new().prefix("kf-apt-").tempdir()?;
    let apt = Apt::new(work.path(), sources)?;
    command::output(apt.command("apt-get").arg("update"))?;
    let mut names: Vec<String> = packages.alone.iter().map(|&name| name.to_owned()).collect();
    if !packages.with_dependencies.is_empty() {
        let plan = command::output(
            apt.command("apt-get")
                .args(["--no-install-recommends", "--simulate", "install"])
                .args(packages.with_dependencies),
        )?;
        names.extend(
            plan.lines()
                .filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next().map(str::to_owned)),
        );
    }
    let archives = work.path().join("archives");
    fs::create_dir_all(&archives)?;
    command::output(apt.command("apt-get").current_dir(&archives).arg("download").args(&names))?;
    fs::create_dir_all(destination)?;
    let dpkg = find("dpkg-deb")?;
    for archive in fs::read_dir(&archives)? {
        command::output(Command::new(&dpkg).arg("--extract").arg(archive?.path()).arg(destination))?;
    }
    Ok(())
}

/// apt with all its state in one directory.
struct Apt {
    directory: PathBuf,
    program: PathBuf,
}

impl Apt {
    fn new(directory: &Path, sources: &str) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(directory.join(part))?;
        }
        fs::write(directory.join("sources.list"), sources)?;
        Ok(Self { directory: directory.to_owned(), program: find("apt-get")? })
    }

    fn command(&self, name: &str) -> Command {
        let at = |part: &str| self.directory.join(part).display().to_string();
        let mut command = Command::new(self.program.with_file_name(name));
        for option in [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::Cache={}", at("cache")),
            "Dir::State::status=/dev/null".to_owned(),
            "Acquire::Languages=none".to_owned(),
            // 5 MB of data about desktop applications.
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command.arg("-qq");
        command
    }
}

fn find(program: &'static str) -> Result<PathBuf> {
    command::need(program, "to fetch Debian packages", "run this on Debian or Ubuntu")
}

/// The code name of the suite and the lines of a `sources.list` for it.
fn sources_for(suite: Suite<'_>) -> Result<(String, String)> {
    let own = code_name()?;
    let entries = read_entries(Path::new("/etc/apt"))?;
    let lines = source_lines(&entries, &own, suite);
    if lines.is_empty() {
        let reason = format!("no source for the suite {own} of this machine");
        return Err(Error::malformed("/etc/apt", reason));
    }
    let wanted = match suite {
        Suite::OfMachine => own,
        Suite::Named(name) => name.to_owned(),
    };
    Ok((wanted, lines))
}

fn code_name() -> Result<String> {
    let path = "/etc/os-release";
    fs::read_to_string(path)?
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .ok_or_else(|| Error::malformed(path, "no VERSION_CODENAME"))
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
}

fn read_entries(directory: &Path) -> Result<Vec<Entry>> {
    let mut files = vec![directory.join("sources.list")];
    if let Ok(parts) = fs::read_dir(directory.join("sources.list.d")) {
        for part in parts {
            files.push(part?.path());
        }
    }
    files.sort();
    let mut entries = Vec::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = fs::read_to_string(file)?;
        if file.extension().is_some_and(|extension| extension == "sources") {
            entries.extend(text.split("\n\n").flat_map(parse_paragraph));
        } else {
            entries.extend(text.lines().filter_map(parse_line));
        }
    }
    Ok(entries)
}

/// Entries in the deb822 format, one for each URI of a paragraph.
fn parse_paragraph(paragraph: &str) -> Vec<Entry> {
    let field = |name: &str| {
        paragraph.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let words =
        |name| field(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if field("Enabled").is_some_and(|value| value == "no") || !words("Types").contains(&"deb".to_owned()) {
        return Vec::new();
    }
    words("URIs")
        .into_iter()
        .map(|uri| Entry {
            uri,
            suites: words("Suites"),
            components: words("Components"),
            signed_by: field("Signed-By").filter(|key| key.starts_with('/')).map(str::to_owned),
        })
        .collect()
}

/// An entry in the one-line format: `deb [options] uri suite component...`.
fn parse_line(line: &str) -> Option<Entry> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Entry {
        uri: words.next()?,
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .map(str::to_owned),
    })
}

fn source_lines(entries: &[Entry], own: &str, suite: Suite<'_>) -> String {
    let mut lines = String::new();
    for entry in entries {
        for offered in &entry.suites {
            let wanted = match suite {
                Suite::OfMachine => {
                    let family = [own.to_owned(), format!("{own}-updates"), format!("{own}-security")];
                    family.contains(offered).then_some(offered.as_str())
                }
                Suite::Named(name) => (offered == own).then_some(name),
            };
            let Some(wanted) = wanted else { continue };
            let key = entry.signed_by.as_ref().map(|key| format!("[signed-by={key}] ")).unwrap_or_default();
            lines += &format!("deb {key}{} {wanted} {}\n", entry.uri, entry.components.join(" "));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAGRAPHS: &str = "Types: deb
# a snapshot
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://mirror.test/debian
Suites: bookworm
Components: main
";

    fn entries() -> Vec<Entry> {
        let mut entries: Vec<_> = PARAGRAPHS.split("\n\n").flat_map(parse_paragraph).collect();
        entries.extend(parse_line(
            "deb [arch=amd64 signed-by=/k.gpg] https://other.test/apt tool-bookworm main",
        ));
        entries
    }

    #[test]
    fn suite_of_machine_includes_updates() {
        assert_eq!(
            source_lines(&entries(), "bookworm", Suite::OfMachine),
            "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian bookworm main\n\
             deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian bookworm-updates main\n\
             deb http://mirror.test/debian-security bookworm-security main\n"
        );
    }

    #[test]
    fn named_suite_uses_same_mirror() {
        assert_eq!(
            source_lines(&entries(), "bookworm", Suite::Named("forky")),
            "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian forky main\n"
        );
    }

    #[test]
    fn one_line_format_is_parsed() {
        assert_eq!(
            parse_line("deb [arch=amd64 signed-by=/k.gpg] https://other.test/apt trixie main contrib"),
            Some(Entry {
                uri: "https://other.test/apt".to_owned(),
                suites: vec!["trixie".to_owned()],
                components: vec!["main".to_owned(), "contrib".to_owned()],
                signed_by: Some("/k.gpg".to_owned()),
            })
        );
        assert_eq!(parse_line("# deb http://mirror.test/debian trixie main"), None);
    }
}
