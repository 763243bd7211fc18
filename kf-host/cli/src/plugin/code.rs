//! A component's machine code: made once when it is added, mapped at every run.

use kf_core::Kind;
use kf_home::Home;
use kf_registry::receipt::Receipt;
use kf_registry::store::{self, Store};
use kf_sandbox::{Code, Compiled};

use crate::error::{CliError, Result};
use crate::ui::Ui;

/// The store's name for what this kf compiles.
pub fn compatibility() -> String {
    kf_sandbox::COMPATIBILITY.replace('.', "_")
}

/// Compiles a component and keeps the machine code; its name in the store for the receipt.
pub fn compile(ui: &Ui, store: &Store, name: &str, digest: kf_core::Digest, wasm: &[u8]) -> Result<String> {
    let compiled = compiled(ui, name, wasm)?;
    Ok(store.put_compiled(&compatibility(), digest, compiled.as_bytes())?)
}

fn compiled(ui: &Ui, name: &str, wasm: &[u8]) -> Result<Compiled> {
    let _progress = ui.progress(&format!("compiling {name}"), None);
    kf_sandbox::compile(wasm)
        .map_err(|error| CliError::new(Kind::Untrusted, format!("{name} cannot be compiled: {error}")))
}

/// The machine code to run. What is missing is made again from the verified component.
pub fn find(ui: &Ui, home: &Home, receipt: &Receipt) -> Result<Code> {
    match stored(home, receipt)? {
        Some(code) => Ok(code),
        None => recompile(ui, home, receipt),
    }
}

/// The machine code that is there already.
pub fn stored(home: &Home, receipt: &Receipt) -> Result<Option<Code>> {
    let path = store::compiled_in(&home.compiled(), &compatibility(), receipt.wasm.sha256)?;
    Ok(path.map(Code::Stored))
}

/// Makes the machine code again. A home that cannot be written to does not keep it, but runs.
pub fn recompile(ui: &Ui, home: &Home, receipt: &Receipt) -> Result<Code> {
    let store = Store::open(home)?;
    let wasm = store.wasm(receipt.wasm.sha256)?;
    let compiled = compiled(ui, receipt.name.as_str(), &wasm)?;
    if let Err(error) = store.put_compiled(&compatibility(), receipt.wasm.sha256, compiled.as_bytes()) {
        ui.warn(&format!("the compiled {} is not kept: {error}", receipt.name));
    }
    Ok(Code::Compiled(compiled))
}
