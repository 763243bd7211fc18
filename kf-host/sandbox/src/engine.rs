//! The engine's configuration, compiling, and mapping what was compiled.
//!
//! A component is compiled once, when it is added, and its machine code is kept in a file that a
//! run maps into memory. Nothing is parsed or compiled then, so a command starts in about the
//! time a native program does.
//!
//! Machine code is trusted: a flipped bit in it is arbitrary code in the host. So it is only ever
//! made here, on the user's machine, from bytes whose signature was verified, and only mapped
//! from a file that nobody else could have written. The file is handed over open: by its path it could
//! be another one by the time it is mapped.

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

/// Part of the name of a compiled component's file: what was compiled by another engine or with
/// another configuration has another name, so an upgrade of kf compiles again.
///
/// The processor is not in it. The engine compares its features when it maps the file and
/// answers with [`Fault::Load`].
pub const COMPATIBILITY: &str = concat!("wasmtime-", env!("KF_WASMTIME_VERSION"), "-kf1");

/// How long compiling may take. The largest component there is a use for, a Python runtime, takes
/// a tenth of it.
const COMPILE_TIME: Duration = Duration::from_secs(120);

/// The stack of a guest and of the host functions it calls, in bytes.
const STACK: usize = 1 << 20;
const GUEST_STACK: usize = 512 << 10;

/// Machine code made by [`compile`] in this process, or read from a file only the user could
/// have written.
#[derive(Clone, Debug)]
pub enum Code {
    /// Just compiled, in memory.
    Compiled(Compiled),
    /// A `.cwasm` in the store, opened by whoever made sure that only the user could have written it.
    Stored(Arc<File>),
}

/// Machine code made by [`compile`]. Its bytes are what goes into the store's file.
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
    #[error("it did not compile within {} s", COMPILE_TIME.as_secs())]
    TooSlow,
    #[error("no compiler thread could be started: {0}")]
    Host(String),
}

/// Compiles a component for this machine.
///
/// It is [inspected](crate::inspect()) first, so nothing that is refused there reaches the
/// compiler. Blocks for a tenth of a second to some seconds, on all processors.
///
/// # Errors
///
/// It is refused by inspection or by the compiler, or takes longer than two minutes. In the last
/// case the compiler goes on in the background until the process ends.
pub fn compile(wasm: &[u8]) -> Result<Compiled, CompileError> {
    compile_to(OptLevel::Speed, wasm)
}

/// As [`compile`], in two thirds of its time, for a command that only says what it is.
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
    match receiver.recv_timeout(COMPILE_TIME) {
        Ok(Ok(code)) => Ok(Compiled(code)),
        Ok(Err(error)) => Err(CompileError::Refused(one_line(&error))),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(CompileError::TooSlow),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(CompileError::Refused("the compiler stopped".to_owned()))
        }
    }
}

/// An engine that runs what is compiled and has no compiler: setting one up costs a tenth of a
/// command's start.
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

/// What both engines agree on, or a run would refuse what was compiled.
fn config(backtrace: bool) -> Config {
    let mut config = Config::new();
    config.enable_compiler(false);
    config.wasm_features(WasmFeatures::all().difference(FEATURES), false);
    config.wasm_features(FEATURES, true);
    config.gc_support(false);
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.async_stack_size(STACK);
    config.max_wasm_stack(GUEST_STACK);
    config.generate_address_map(false);
    config.native_unwind_info(false);
    config.debug_symbols(false);
    config.wasm_backtrace_max_frames(if backtrace { std::num::NonZeroUsize::new(50) } else { None });
    // The patch release decides as well: some of them exist because machine code was wrong.
    let version = ModuleVersionStrategy::Custom(COMPATIBILITY.to_owned());
    if config.module_version(version).is_err() {
        // Only a version of more than 255 bytes is refused.
        debug_assert!(false, "the engine's version is too long");
    }
    config
}

/// Makes a component of its machine code.
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
    // The engine maps only what it opens itself, and this name is the open file's.
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: the file belongs to the user and nobody else may write to it, so it is what `compile` made;
    // and whoever can change it as the user needs no sandbox to get out of.
    let mapped = unsafe { Component::deserialize_file(engine, name) };
    mapped.or_else(|error| {
        // Without /proc it is read instead, which takes longer.
        let mut code = Vec::new();
        let mut file = file;
        if file.read_to_end(&mut code).is_err() {
            return Err(error);
        }
        // SAFETY: as above.
        unsafe { Component::deserialize(engine, code) }
    })
}

/// Machine code is only mapped from a plain file of the user or of root that others cannot write to. Whether a
/// group that can is the user's alone was for whoever opened it to find out, as were the directories above it.
fn check_stored(file: &File) -> Result<(), Fault> {
    let refuse = |why: String| Err(Fault::Load(format!("the stored machine code is refused: {why}")));
    let facts = match file.metadata() {
        Ok(facts) => facts,
        Err(error) => return refuse(error.to_string()),
    };
    if !facts.is_file() {
        return refuse("it is not a plain file".to_owned());
    }
    if facts.uid() != rustix::process::geteuid().as_raw() && facts.uid() != 0 {
        return refuse("it belongs to another user".to_owned());
    }
    if facts.mode() & 0o002 != 0 {
        return refuse("others may write to it".to_owned());
    }
    Ok(())
}

/// The error and its causes in one line, without the guest's frames.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let frames = error.downcast_ref::<wasmtime::WasmBacktrace>().map(ToString::to_string);
    let causes = error.chain().map(ToString::to_string).filter(|cause| Some(cause) != frames.as_ref());
    text::escaped_line(&causes.collect::<Vec<_>>().join(": "))
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
