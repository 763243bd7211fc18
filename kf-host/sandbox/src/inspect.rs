//! Inspects the bytes of a component before anything is compiled.
//!
//! Reading is cheap and runs no code of the guest; compiling hostile bytes can be expensive, which the
//! engine does not treat as a bug. So size, validity, ABI version and imports are checked here first.

use std::collections::BTreeSet;

use kf_core::{abi, text};
use semver::Version;
use wasmparser::{
    ComponentTypeRef, Encoding, Parser, Payload, TypeBounds, ValidPayload, Validator, WasmFeatures,
};

use crate::interface::{self, Granted, Interface, UndeclaredImports};

/// The largest component that kf reads, in bytes.
pub const MAX_COMPONENT_BYTES: usize = 32 * 1024 * 1024;

/// The custom section with the version of the ABI that a guest was built for.
pub const ABI_SECTION: &str = "kf:abi";

/// The WebAssembly features that a guest can use. The engine's [`Config`](wasmtime::Config) is built from
/// the same set.
///
/// Features without a use in a command are off: threads, 64-bit and several memories, GC with
/// its references, exceptions, relaxed SIMD, tail calls, and the asynchronous component ABI.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL)
    .difference(WasmFeatures::GC_TYPES);

/// What inspection found out about a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The version of the ABI it was built for.
    pub abi: Version,
    /// The interfaces it imports.
    pub imports: BTreeSet<Interface>,
}

impl Inspection {
    /// Whether everything it imports is granted.
    ///
    /// # Errors
    ///
    /// The interfaces that are not granted, by name.
    pub fn check_imports(&self, granted: Granted) -> Result<(), UndeclaredImports> {
        interface::check_imports(&self.imports, granted)
    }
}

/// Why bytes are not a component that this kf can run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    #[error("it has {0} bytes, at most {MAX_COMPONENT_BYTES} are allowed")]
    TooLarge(usize),
    #[error("it is not a WebAssembly file")]
    NotWasm,
    #[error("it is a core WebAssembly module, not a component")]
    CoreModule,
    #[error("it is not valid WebAssembly: {0}")]
    Invalid(String),
    #[error("it has no `{ABI_SECTION}` section, so it was not built for kf")]
    NoAbi,
    #[error("it has {0} `{ABI_SECTION}` sections, exactly one is allowed")]
    SeveralAbis(usize),
    #[error("its `{ABI_SECTION}` section is not a version: {0}")]
    MalformedAbi(String),
    #[error("it was built for version {0} of kf's ABI, this kf supports 0.1")]
    UnsupportedAbi(String),
    #[error("it imports {}, which kf does not provide", .0.join(", "))]
    UnknownImports(Vec<String>),
    #[error("it does not export {}", .0.join(", "))]
    MissingExports(Vec<String>),
}

/// Reads a component without running or compiling any of it.
///
/// # Errors
///
/// It is too large, not a valid component with the allowed features, does not have exactly one ABI
/// section with a supported version, lacks an export of the world, or imports an interface that this
/// kf does not provide.
pub fn inspect(wasm: &[u8]) -> Result<Inspection, InspectError> {
    if wasm.len() > MAX_COMPONENT_BYTES {
        return Err(InspectError::TooLarge(wasm.len()));
    }
    if !wasm.starts_with(b"\0asm") {
        return Err(InspectError::NotWasm);
    }
    if Parser::is_core_wasm(wasm) {
        return Err(InspectError::CoreModule);
    }
    let invalid =
        |error: wasmparser::BinaryReaderError| InspectError::Invalid(text::escaped_line(&error.to_string()));

    let mut validator = Validator::new_with_features(FEATURES);
    let mut outline = Outline::default();
    let mut functions = wasmparser::FuncValidatorAllocations::default();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(invalid)?;
        if let ValidPayload::Func(function, body) = validator.payload(&payload).map_err(invalid)? {
            let mut function = function.into_validator(functions);
            function.validate(&body).map_err(invalid)?;
            functions = function.into_allocations();
        }
        outline.read(payload).map_err(invalid)?;
    }
    outline.conclude()
}

/// What is collected while the file is read.
#[derive(Default)]
struct Outline {
    /// The nesting depth of modules and components.
    depth: usize,
    abis: Vec<String>,
    imports: BTreeSet<Interface>,
    unknown: Vec<String>,
    exports: BTreeSet<String>,
}

impl Outline {
    fn read(&mut self, payload: Payload<'_>) -> Result<(), wasmparser::BinaryReaderError> {
        match payload {
            Payload::Version { encoding: Encoding::Module | Encoding::Component, .. } => self.depth += 1,
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::CustomSection(section) if section.name() == ABI_SECTION => {
                let text: String = String::from_utf8_lossy(section.data()).chars().take(40).collect();
                self.abis.push(text);
            }
            Payload::ComponentImportSection(imports) if self.depth == 1 => {
                for import in imports {
                    let import = import?;
                    self.import(import.name.name, &import.ty);
                }
            }
            Payload::ComponentExportSection(exports) if self.depth == 1 => {
                for export in exports {
                    self.exports.insert(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, name: &str, ty: &ComponentTypeRef) {
        match (ty, Interface::from_import(name)) {
            (ComponentTypeRef::Instance(_), Some(interface)) => {
                self.imports.insert(interface);
            }
            // A type of the world itself, equal to a known one.
            (ComponentTypeRef::Type(TypeBounds::Eq(_)), _) => {}
            _ => self.unknown.push(name.chars().take(120).collect::<String>().escape_debug().to_string()),
        }
    }

    fn conclude(self) -> Result<Inspection, InspectError> {
        let abi = match self.abis.as_slice() {
            [] => return Err(InspectError::NoAbi),
            [text] => abi_version(text)?,
            several => return Err(InspectError::SeveralAbis(several.len())),
        };
        if !self.unknown.is_empty() {
            return Err(InspectError::UnknownImports(self.unknown));
        }
        let missing: Vec<_> = ["describe", "run", "complete"]
            .into_iter()
            .filter(|name| !self.exports.contains(*name))
            .map(str::to_owned)
            .collect();
        if !missing.is_empty() {
            return Err(InspectError::MissingExports(missing));
        }
        Ok(Inspection { abi, imports: self.imports })
    }
}

/// `0.1.x` in digits and dots, nothing else: no spaces, no newline, no pre-release, no build metadata.
fn abi_version(text: &str) -> Result<Version, InspectError> {
    let malformed = || InspectError::MalformedAbi(text.escape_debug().to_string());
    let version = Version::parse(text).map_err(|_| malformed())?;
    let too_large = [version.major, version.minor, version.patch].iter().any(|n| u32::try_from(*n).is_err());
    if too_large || !version.pre.is_empty() || !version.build.is_empty() {
        return Err(malformed());
    }
    if abi::is_supported(&version) { Ok(version) } else { Err(InspectError::UnsupportedAbi(text.to_owned())) }
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
