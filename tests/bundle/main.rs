//! `kf-bundle`: packs the commands of a home into the folder `KF_BUILT_IN`, which a release of kf is built with.
//!
//! kf itself added the commands to the home from a registry, so they were verified and examined as for any user. The output
//! depends only on the commands: the same commands give the same bytes.
//!
//! ```text
//! commands/NAME/receipt.json    the receipt of the home, but built in and with the given date
//! commands/NAME/plugin.toml     as its author signed it
//! commands/NAME/plugin.wasm.br  the component, compressed with Brotli
//! registry/ID/root.json         the pinned root of the registry that they come from
//! ```

#![expect(clippy::print_stdout, reason = "a build program that prints what it did")]

use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use kf_home::Home;
use kf_registry::built_in::{self, BuiltIns};
use kf_registry::parts::PartKind;
use kf_registry::receipt::{self, Receipt};
use kf_registry::registries;
use kf_registry::store::Store;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const USAGE: &str = "usage: kf-bundle HOME FOLDER UNIX-SECONDS";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [home, folder, date] = arguments.as_slice() else { return Err(USAGE.into()) };
    let (home, folder) = (Home::under(PathBuf::from(home)), Path::new(folder));
    let date = Timestamp::from_second(date.parse()?)?;
    let store = Store::open(&home)?;
    let receipts = receipt::list(&home)?;
    if receipts.is_empty() {
        return Err("no commands added in this home".into());
    }
    // Files of an earlier run must not be built in.
    if folder.exists() {
        fs_err::remove_dir_all(folder)?;
    }
    let (mut raw, mut packed) = (0, 0);
    for (_, receipt) in receipts {
        let receipt = built_in::released(&receipt?, date)?;
        let (from, to) = pack(&store, &receipt, &folder.join("commands").join(receipt.name.as_str()))?;
        println!("{} {}: {from} bytes, {to} compressed", receipt.name, receipt.version);
        raw += from;
        packed += to;
    }
    println!("total: {raw} bytes, {packed} compressed");
    for id in registries::list(&home, BuiltIns::default())? {
        let registry = registries::load(&home, BuiltIns::default(), &id)?;
        let folder = folder.join("registry").join(id.as_str());
        fs_err::create_dir_all(&folder)?;
        fs_err::write(folder.join("root.json"), &registry.root)?;
    }
    Ok(())
}

/// Writes the files of one command, and returns the sizes of the component before and after compression, in bytes.
fn pack(store: &Store, receipt: &Receipt, folder: &Path) -> Result<(usize, usize)> {
    fs_err::create_dir_all(folder)?;
    let component = store.read(receipt.parts.program().kind, receipt.program_digest())?;
    let manifest = store.read(PartKind::Manifest, receipt.parts.manifest().sha256)?;
    let packed = compressed(&component)?;
    fs_err::write(folder.join("receipt.json"), serde_json::to_vec(receipt)?)?;
    fs_err::write(folder.join("plugin.toml"), manifest)?;
    fs_err::write(folder.join("plugin.wasm.br"), &packed)?;
    Ok((component.len(), packed.len()))
}

fn compressed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    // The highest quality, and a window of 4 MiB: the largest component fits.
    let mut writer = brotli::CompressorWriter::new(&mut packed, 64 * 1024, 11, 22);
    writer.write_all(bytes)?;
    writer.flush()?;
    drop(writer);
    Ok(packed)
}
