//! Verifies that builds are reproducible: builds twice and compares the bytes.
//!
//! The two builds share only the sources and the machine's toolchain. Each has its own copy of the checkout, in folders
//! whose names differ in length, its own target folder, and its own path to cargo's downloads.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use kf_toolchains::cache::digest_of;
use kf_toolchains::remap::Folders;
use kf_toolchains::{command, locations};

use crate::step::{Context, Failure, Result};
use crate::{plugins, report};

/// Builds all commands in two folders, and fails if any differs.
pub fn run() -> Result<()> {
    let copies = Copies::make()?;
    let differences = components(&copies)?;
    if differences.is_empty() {
        copies.remove()?;
        report::step("both builds gave the same bytes");
        return Ok(());
    }
    let kept = format!("hint: both builds are in {}", copies.folder.display());
    Err(Failure(format!("two builds differ: {}\n{kept}", differences.join("; "))))
}

/// Builds the first-party commands, and returns a line for each that differs.
fn components(copies: &Copies) -> Result<Vec<String>> {
    let toolchain = plugins::toolchain()?;
    let [first, second] = copies.folders.each_ref().map(|folders| folders.target.join("components"));
    let [first_folders, second_folders] = &copies.folders;
    plugins::build_for_release(first_folders, &toolchain, &first)?;
    plugins::build_for_release(second_folders, &toolchain, &second)?;
    let mut differences = Vec::new();
    for name in plugins::all()? {
        let file = format!("{name}.wasm");
        differences.extend(compare(&file, &first.join(&file), &second.join(&file))?);
    }
    Ok(differences)
}

/// Two copies of the checkout.
pub struct Copies {
    /// The parent folder of both copies and their builds.
    pub folder: PathBuf,
    pub folders: [Folders; 2],
}

impl Copies {
    /// Copies all tracked and addable files in their current state.
    pub fn make() -> Result<Self> {
        let folder = locations::target().join("reproducible");
        if folder.exists() {
            fs_err::remove_dir_all(&folder).context("cannot clear the last comparison")?;
        }
        let mut git = Command::new("git");
        git.current_dir(locations::workspace());
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let files = command::output(&mut git).context("cannot list the sources")?;
        let copy = |name: &str| {
            let own = folder.join(name);
            let folders = Folders {
                workspace: own.join("checkout"),
                target: own.join("target"),
                cargo_home: own.join("cargo-home"),
            };
            copy_sources(&files, &folders.workspace)?;
            symlink(locations::cargo_home(), &folders.cargo_home)
                .context("cannot share cargo's downloads")?;
            Ok(folders)
        };
        Ok(Self { folders: [copy("a")?, copy("another folder")?], folder })
    }

    /// Removes both copies and their builds.
    pub fn remove(&self) -> Result<()> {
        fs_err::remove_dir_all(&self.folder).context("cannot remove the two builds")
    }
}

fn copy_sources(files: &str, into: &Path) -> Result<()> {
    for file in files.split_terminator('\0') {
        let (from, to) = (locations::workspace().join(file), into.join(file));
        // It may be deleted but not committed.
        if !from.is_file() {
            continue;
        }
        let parent = to.parent().unwrap_or(into);
        fs_err::create_dir_all(parent).context("cannot copy the sources")?;
        fs_err::copy(from, to).context("cannot copy the sources")?;
    }
    Ok(())
}

/// Compares two files. Prints their digest if they are equal; otherwise returns a line about the difference.
pub fn compare(name: &str, first: &Path, second: &Path) -> Result<Option<String>> {
    let first = fs_err::read(first).context("cannot compare")?;
    let second = fs_err::read(second).context("cannot compare")?;
    let Some(difference) = difference(&first, &second) else {
        report::line(&format!("  {}  {name}", digest_of(&first)));
        return Ok(None);
    };
    Ok(Some(format!("{name}, {difference}")))
}

/// The first difference between two files.
fn difference(first: &[u8], second: &[u8]) -> Option<String> {
    let at = match first.iter().zip(second).position(|(left, right)| left != right) {
        Some(at) => at,
        None if first.len() == second.len() => return None,
        None => first.len().min(second.len()),
    };
    let section = section_at(first, at).map(|section| format!(" in {section}")).unwrap_or_default();
    Some(format!(
        "{} and {} bytes, from byte {at}{section}: `{}` and `{}`",
        first.len(),
        second.len(),
        around(first, at),
        around(second, at)
    ))
}

/// The bytes around an offset, as text.
fn around(bytes: &[u8], at: usize) -> String {
    let shown = bytes.get(at.saturating_sub(32)..bytes.len().min(at.saturating_add(32)));
    shown.unwrap_or_default().escape_ascii().to_string()
}

/// The section of a component, or of a module in it, that contains an offset.
fn section_at(wasm: &[u8], at: usize) -> Option<String> {
    const HEADER: usize = 8;
    const CORE_MODULE: u8 = 1;
    if !wasm.starts_with(b"\0asm") {
        return None;
    }
    let is_component = wasm.get(6) == Some(&1);
    let mut place = HEADER;
    while place <= at {
        let id = *wasm.get(place)?;
        let (size, start) = length(wasm, place.checked_add(1)?)?;
        let end = start.checked_add(size)?;
        if at < end {
            let content = wasm.get(start..end)?;
            if is_component && id == CORE_MODULE && at >= start {
                let inner = section_at(content, at - start)?;
                return Some(format!("the core module's {inner}"));
            }
            return Some(section_name(id, content));
        }
        place = end;
    }
    None
}

fn section_name(id: u8, content: &[u8]) -> String {
    let name = || {
        let (size, start) = length(content, 0)?;
        std::str::from_utf8(content.get(start..start.checked_add(size)?)?).ok()
    };
    match name() {
        Some(name) if id == 0 => format!("section `{name}`"),
        _ => format!("section {id}"),
    }
}

/// A LEB128 number, and the offset of its end.
fn length(bytes: &[u8], mut place: usize) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for shift in (0..32).step_by(7) {
        let byte = *bytes.get(place)?;
        place += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, place));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component of a core module whose code section is `code`, and a section `kf:abi`.
    fn component(code: &[u8]) -> Vec<u8> {
        let section =
            |id: u8, content: &[u8]| [&[id, u8::try_from(content.len()).unwrap()], content].concat();
        let module = [b"\0asm\x01\0\0\0".as_slice(), &section(1, b"types"), &section(10, code)].concat();
        [b"\0asm\x0d\0\x01\0".as_slice(), &section(1, &module), &section(0, b"\x06kf:abi0.1.0")].concat()
    }

    #[test]
    fn equal_files_have_no_difference() {
        assert_eq!(difference(&component(b"code"), &component(b"code")), None);
    }

    #[test]
    fn difference_in_core_module_names_its_section() {
        let text = difference(&component(b"at /home/me"), &component(b"at /root/me")).unwrap();
        assert!(text.contains("in the core module's section 10: "), "{text}");
        assert!(text.contains("at /home/me") && text.contains("at /root/me"), "{text}");
    }

    #[test]
    fn difference_in_custom_section_names_it() {
        let first = component(b"code");
        let mut second = first.clone();
        *second.last_mut().unwrap() = b'1';
        let text = difference(&first, &second).unwrap();
        assert!(text.contains("in section `kf:abi`: "), "{text}");
    }

    #[test]
    fn longer_file_differs_from_its_prefix() {
        let text = difference(b"kf", b"kf and more").unwrap();
        assert_eq!(text, "2 and 11 bytes, from byte 2: `kf` and `kf and more`");
    }
}
