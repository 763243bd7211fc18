//! The size of a program's loaded parts, by kind and by crate.

use std::collections::BTreeMap;
use std::io::{Error, Result, Write};
use std::path::Path;

use object::read::elf::{ElfFile64, FileHeader as _, SectionHeader as _};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, elf};
use rustc_demangle::demangle;

/// Crates with less code than this, in bytes, are summed up.
const MIN_CRATE_BYTES: u64 = 200_000;

/// Prints both tables. Without symbols the second one is omitted.
pub(crate) fn print(program: &Path) -> Result<()> {
    let data = fs_err::read(program)?;
    let file = ElfFile64::<object::Endianness>::parse(&*data).map_err(Error::other)?;
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        let loaded = sh_flags & u64::from(elf::SHF_ALLOC) != 0;
        if loaded && section.kind() != object::SectionKind::UninitializedData {
            *kinds.entry(kind(section.name().unwrap_or_default())).or_default() += section.size();
        }
    }
    let mut stdout = std::io::stdout().lock();
    table(&mut stdout, "loaded parts of kf", kinds)?;
    writeln!(stdout, "  {:32} {:>10}", "relocations at every start", relocations(&file)?)?;

    let mut crates: BTreeMap<String, u64> = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text) {
        *crates.entry(crate_of(symbol.name().unwrap_or_default())).or_default() += symbol.size();
    }
    if crates.is_empty() {
        return stdout.flush();
    }
    let mut large: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, size) in &crates {
        *large.entry(if *size < MIN_CRATE_BYTES { "all smaller crates" } else { name }).or_default() += size;
    }
    table(&mut stdout, "code by crate", large)?;
    stdout.flush()
}

fn table(stdout: &mut impl Write, title: &str, parts: BTreeMap<&str, u64>) -> Result<()> {
    let all: u64 = parts.values().sum();
    writeln!(stdout, "\n{title}: {}", megabytes(all))?;
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    for (name, size) in parts {
        let blocks = usize::try_from(size * 40 / all.max(1)).unwrap_or_default();
        writeln!(stdout, "  {name:32} {:>10}  {}", megabytes(size), "█".repeat(blocks))?;
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{:02} MB", bytes / 1_000_000, bytes / 10_000 % 100)
}

fn kind(section: &str) -> &'static str {
    match section {
        ".text" | ".init" | ".fini" | ".plt" | ".iplt" => "code",
        ".rodata" => "constants",
        ".eh_frame" | ".eh_frame_hdr" | ".gcc_except_table" => "unwinding tables",
        ".rela.dyn" | ".relr.dyn" | ".rela.plt" => "relocations",
        name if name.starts_with(".data") || name.contains("got") || name.ends_with("_array") => {
            "data written at start"
        }
        _ => "other",
    }
}

/// The number of addresses that the loader writes at start.
fn relocations(file: &ElfFile64<'_>) -> Result<u64> {
    let endian = file.endian();
    let sections = file.elf_header().sections(endian, file.data()).map_err(Error::other)?;
    let mut count = 0;
    for section in sections.iter() {
        match section.sh_type(endian) {
            elf::SHT_RELA => count += section.sh_size(endian) / 24,
            elf::SHT_RELR => {
                let words = section.data_as_array::<u64, _>(endian, file.data()).map_err(Error::other)?;
                // An address, or a bitmap of the following 63 words.
                count += words
                    .iter()
                    .map(|word| if word & 1 == 0 { 1 } else { u64::from(word.count_ones()) - 1 })
                    .sum::<u64>();
            }
            _ => {}
        }
    }
    Ok(count)
}

/// The crate of a function, by its name. Generic functions belong to the crate that defines them.
fn crate_of(symbol: &str) -> String {
    let name = format!("{:#}", demangle(symbol));
    if name == symbol {
        return "C and assembly".to_owned();
    }
    let path = name.trim_start_matches(['<', '&', '*', '(', '[']);
    let path = path.strip_prefix("dyn ").or_else(|| path.strip_prefix("mut ")).unwrap_or(path);
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    path.get(..end).unwrap_or_default().to_owned()
}
