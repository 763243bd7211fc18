//! A component's machine code: compiled when a command is added or a built-in one is first used, and mapped at each run.

use std::sync::Arc;

use kf_core::{Digest, Failure};
use kf_home::Home;
use kf_registry::index::Origin;
use kf_registry::parts::PartKind;
use kf_registry::receipt::Receipt;
use kf_registry::store::{self, Store};
use kf_sandbox::{Code, Compiled};

use crate::reporter::Reporter;
use crate::run::Setting;

/// The key in the store for what this kf compiles.
fn compatibility() -> String {
    kf_sandbox::COMPATIBILITY.replace('.', "_")
}

/// Compiles a component and stores the machine code. Returns its name in the store, for the receipt.
pub(crate) fn compile(
    reporter: &dyn Reporter,
    store: &Store,
    name: &str,
    digest: Digest,
    wasm: &[u8],
) -> Result<String, Failure> {
    let compiled = compiled(reporter, name, wasm)?;
    Ok(store.put_compiled(&compatibility(), digest, compiled.as_bytes())?)
}

fn compiled(reporter: &dyn Reporter, name: &str, wasm: &[u8]) -> Result<Compiled, Failure> {
    let _step = reporter.begin(&format!("compiling {name}"));
    let _span = tracing::info_span!("compile", command = name, bytes = wasm.len()).entered();
    kf_sandbox::compile(wasm)
        .map_err(|error| Failure::untrusted(format!("cannot compile {name}: {error}")).caused_by(error))
}

/// The machine code to run, compiled from the verified component if it is not stored yet, as at the first use of a
/// built-in command.
pub(crate) fn find(setting: &Setting, receipt: &Receipt) -> Result<Code, Failure> {
    match stored(&setting.home, receipt)? {
        Some(code) => Ok(code),
        None => recompile(setting, receipt),
    }
}

/// The stored machine code, if there is any.
pub(crate) fn stored(home: &Home, receipt: &Receipt) -> Result<Option<Code>, Failure> {
    let file = store::open_compiled(home, &compatibility(), receipt.program_digest())?;
    Ok(file.map(|file| Code::Stored(Arc::new(file))))
}

/// Compiles the component. If the home is not writable, the code is not stored, and the command runs nevertheless.
pub(crate) fn recompile(setting: &Setting, receipt: &Receipt) -> Result<Code, Failure> {
    let (reporter, digest) = (setting.reporter.as_ref(), receipt.program_digest());
    let store = Store::open(&setting.home);
    let (wasm, store) = match receipt.origin {
        Origin::BuiltIn { .. } => (setting.built_in.component(receipt)?, store),
        Origin::Registry { .. } | Origin::Local { .. } => {
            let store = store?;
            (store.read(PartKind::Component, digest)?, Ok(store))
        }
    };
    let compiled = compiled(reporter, receipt.name.as_str(), &wasm)?;
    let kept = store.and_then(|store| store.put_compiled(&compatibility(), digest, compiled.as_bytes()));
    if let Err(error) = kept {
        reporter.warn(&format!("cannot cache the compiled code of {}: {error}", receipt.name));
    }
    Ok(Code::Compiled(compiled))
}
