//! The configuration of the engine, compiling components, and mapping compiled code.
//!
//! A component is compiled once, when it is added, and its machine code is stored in a file that a
//! run maps into memory. A run parses and compiles nothing, so a command starts about as fast as a
//! native program.
//!
//! Machine code is trusted: a flipped bit in it is arbitrary code in the host. So it is only
//! compiled on the user's machine, from bytes whose signature was verified, and only mapped from a
//! file that no other user could have written. The file is passed open, because its path could lead
//! to another file by the time it is mapped.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use kf_core::text;
use wasmtime::component::Component;
use wasmtime::{Config, Engine, ModuleVersionStrategy, OptLevel, WasmFeatures};

use crate::fault::Fault;
use crate::inspect::FEATURES;

/// Part of the file name of a compiled component. It differs for each engine version and
/// configuration, so that an upgrade of kf compiles again.
///
/// It does not include the processor. The engine compares its features when it maps the file, and
/// fails with [`Fault::Load`].
pub const COMPATIBILITY: &str = concat!("wasmtime-", env!("KF_WASMTIME_VERSION"), "-kf1");

/// The time limit for compiling. The largest useful component, a Python runtime, takes a tenth of it.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(120);

/// The stack of a guest and of the host functions that it calls, in bytes.
const STACK_BYTES: usize = 1 << 20;
const GUEST_STACK_BYTES: usize = 512 << 10;

/// Machine code compiled by [`compile`] in this process, or stored in a file that only the user could
/// have written.
#[derive(Clone, Debug)]
pub enum Code {
    /// Just compiled, in memory.
    Compiled(Compiled),
    /// An open `.cwasm` from the store. The caller has checked that only the user could have written it.
    Stored(Arc<File>),
}

/// Machine code compiled by [`compile`].
#[derive(Clone)]
pub struct Compiled(Vec<u8>);

impl Compiled {
    /// The bytes of a `.cwasm`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Compiled({} bytes)", self.0.len())
    }
}

/// Why a component could not be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    #[error(transparent)]
    Inspect(#[from] crate::InspectError),
    #[error("it does not compile: {0}")]
    Refused(String),
    #[error("it did not compile within {} s", COMPILE_TIMEOUT.as_secs())]
    TooSlow,
    #[error("cannot start a compiler thread: {0}")]
    Host(String),
}

/// Compiles a component for this machine.
///
/// The component is [inspected](crate::inspect()) first, and an invalid one is not compiled. Blocks for
/// a tenth of a second up to a few seconds, using all processors.
///
/// # Errors
///
/// It is refused by inspection or by the compiler, or takes longer than two minutes. In the last
/// case the compiler continues in the background until the process exits.
pub fn compile(wasm: &[u8]) -> Result<Compiled, CompileError> {
    compile_to(OptLevel::Speed, wasm)
}

/// As [`compile`], in two thirds of the time, for a component that only describes itself.
///
/// # Errors
///
/// As for [`compile`].
pub fn compile_to_describe(wasm: &[u8]) -> Result<Compiled, CompileError> {
    compile_to(OptLevel::None, wasm)
}

fn compile_to(level: OptLevel, wasm: &[u8]) -> Result<Compiled, CompileError> {
    crate::inspect(wasm)?;
    let wasm = wasm.to_vec();
    let (sender, receiver) = mpsc::sync_channel(1);
    let work = move || {
        let compiled = Engine::new(&compiler(level)).and_then(|engine| engine.precompile_component(&wasm));
        let _ = sender.send(compiled);
    };
    std::thread::Builder::new()
        .name("compile".to_owned())
        .stack_size(16 << 20)
        .spawn(work)
        .map_err(|error| CompileError::Host(error.to_string()))?;
    match receiver.recv_timeout(COMPILE_TIMEOUT) {
        Ok(Ok(code)) => Ok(Compiled(code)),
        Ok(Err(error)) => Err(CompileError::Refused(one_line(&error))),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(CompileError::TooSlow),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(CompileError::Refused("the compiler stopped".to_owned()))
        }
    }
}

/// An engine that runs compiled code and has no compiler: setting up one takes a tenth of a command's
/// start time.
pub(crate) fn runtime(backtrace: bool) -> Result<Engine, Fault> {
    Engine::new(&config(backtrace)).map_err(|error| Fault::Host(one_line(&error)))
}

fn compiler(level: OptLevel) -> Config {
    let mut config = config(false);
    config.enable_compiler(true);
    config.cranelift_opt_level(level);
    config.parallel_compilation(true);
    config
}

/// The configuration of both engines, which must be equal for compiled code to load.
fn config(backtrace: bool) -> Config {
    let mut config = Config::new();
    config.enable_compiler(false);
    config.wasm_features(WasmFeatures::all().difference(FEATURES), false);
    config.wasm_features(FEATURES, true);
    config.gc_support(false);
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.async_stack_size(STACK_BYTES);
    config.max_wasm_stack(GUEST_STACK_BYTES);
    config.generate_address_map(false);
    config.native_unwind_info(false);
    config.debug_symbols(false);
    config.wasm_backtrace_max_frames(if backtrace { std::num::NonZeroUsize::new(50) } else { None });
    // Includes the patch release: some of these fix wrong machine code.
    let version = ModuleVersionStrategy::Custom(COMPATIBILITY.to_owned());
    if config.module_version(version).is_err() {
        // Only a version longer than 255 bytes is refused.
        debug_assert!(false, "the engine's version is too long");
    }
    config
}

/// Loads a component from its machine code.
pub(crate) fn load(engine: &Engine, code: &Code) -> Result<Component, Fault> {
    let component = match code {
        Code::Compiled(compiled) => deserialize(engine, compiled),
        Code::Stored(file) => {
            check_stored(file)?;
            deserialize_file(engine, file)
        }
    };
    component.map_err(|error| Fault::Load(one_line(&error)))
}

#[expect(unsafe_code, reason = "only `compile` makes a `Compiled`, from bytes the engine checks again")]
fn deserialize(engine: &Engine, compiled: &Compiled) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are the engine's own and nothing can change them.
    unsafe { Component::deserialize(engine, &compiled.0) }
}

#[expect(unsafe_code, reason = "`check_stored` saw that only the user can have written the file")]
fn deserialize_file(engine: &Engine, file: &File) -> wasmtime::Result<Component> {
    // The engine maps only files that it opens itself; this path leads to the open file.
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: the file belongs to the user and no other user can write to it, so `compile` made it; and
    // a process of the user that changes it does not need to escape from a sandbox.
    let mapped = unsafe { Component::deserialize_file(engine, name) };
    mapped.or_else(|error| {
        // Without /proc the file is read instead, which is slower.
        let mut code = Vec::new();
        let mut file = file;
        if file.read_to_end(&mut code).is_err() {
            return Err(error);
        }
        // SAFETY: as above.
        unsafe { Component::deserialize(engine, code) }
    })
}

/// Checks that machine code is in a regular file of the user or of root that other users cannot write to. The caller
/// has checked the directories above it, and that a group with write access is the user's own.
fn check_stored(file: &File) -> Result<(), Fault> {
    let refuse = |why: String| Err(Fault::Load(format!("refusing the stored machine code: {why}")));
    let metadata = match file.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return refuse(error.to_string()),
    };
    if !metadata.is_file() {
        return refuse("not a regular file".to_owned());
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() && metadata.uid() != 0 {
        return refuse("owned by another user".to_owned());
    }
    if metadata.mode() & 0o002 != 0 {
        return refuse("writable by other users".to_owned());
    }
    Ok(())
}

/// The error and its causes on one line, without the guest's frames.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let frames = error.downcast_ref::<wasmtime::WasmBacktrace>().map(ToString::to_string);
    let causes = error.chain().map(ToString::to_string).filter(|cause| Some(cause) != frames.as_ref());
    text::escaped_line(&causes.collect::<Vec<_>>().join(": "))
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
