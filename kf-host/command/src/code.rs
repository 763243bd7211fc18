//! A component's machine code: made once, when a command is added or a built-in one first used, and mapped at every run.

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

/// The store's name for what this kf compiles.
fn compatibility() -> String {
    kf_sandbox::COMPATIBILITY.replace('.', "_")
}

/// Compiles a component and keeps the machine code; its name in the store for the receipt.
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
        .map_err(|error| Failure::untrusted(format!("{name} cannot be compiled: {error}")).caused_by(error))
}

/// The machine code to run. What is missing is made from the verified component: that of a built-in command when it is
/// first used.
pub(crate) fn find(setting: &Setting, receipt: &Receipt) -> Result<Code, Failure> {
    match stored(&setting.home, receipt)? {
        Some(code) => Ok(code),
        None => recompile(setting, receipt),
    }
}

/// The machine code that is there already.
pub(crate) fn stored(home: &Home, receipt: &Receipt) -> Result<Option<Code>, Failure> {
    let file = store::open_compiled(home, &compatibility(), receipt.program_digest())?;
    Ok(file.map(|file| Code::Stored(Arc::new(file))))
}

/// Makes the machine code. A home that cannot be written to does not keep it, but the command runs.
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
        reporter.warn(&format!("cannot cache the compiled {}: {error}", receipt.name));
    }
    Ok(Code::Compiled(compiled))
}
