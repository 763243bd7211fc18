//! The part of WASI 0.2 that a guest's standard library needs, without access to anything.
//!
//! There are no environment variables, arguments, directories, stdin or sockets. Standard output and
//! standard error work as `ui.print` and `ui.note`, with the same limits.

use std::collections::BTreeSet;

use async_trait::async_trait;
use tokio::io::AsyncWrite;
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings;
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io;
use wasmtime_wasi_io::bytes::Bytes;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{OutputStream, StreamError, StreamResult};

use crate::fault::stop;
use crate::interface::{Interface, Wasi};
use crate::output::{OutputError, SharedOutput};
use crate::state::State;

/// How many random bytes a guest can request at once.
const MAX_RANDOM_BYTES: u64 = 64 << 10;
/// How many bytes a guest can write to a standard stream at once.
const MAX_WRITE_BYTES: usize = 64 << 10;

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let output = &self.output;
        let ctx = self.wasi.get_or_insert_with(|| Box::new(context(output)));
        WasiCtxView { ctx, table: &mut self.table }
    }
}

fn context(output: &SharedOutput) -> WasiCtx {
    WasiCtxBuilder::new()
        .max_random_size(MAX_RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .stdout(Stdio { output: output.clone(), error: false })
        .stderr(Stdio { output: output.clone(), error: true })
        .build()
}

/// Links the interfaces that the guest imports.
pub(crate) fn link(linker: &mut Linker<State>, imports: &BTreeSet<Interface>) -> Result<()> {
    use bindings::{cli, clocks, filesystem, random};
    for interface in imports {
        let Interface::Wasi(wasi) = interface else { continue };
        let l = &mut *linker;
        match wasi {
            Wasi::CliEnvironment => cli::environment::add_to_linker::<_, WasiCli>(l, State::cli),
            Wasi::CliExit => cli::exit::add_to_linker::<_, WasiCli>(l, State::cli),
            Wasi::CliStdin => cli::stdin::add_to_linker::<_, WasiCli>(l, State::cli),
            Wasi::CliStdout => cli::stdout::add_to_linker::<_, WasiCli>(l, State::cli),
            Wasi::CliStderr => cli::stderr::add_to_linker::<_, WasiCli>(l, State::cli),
            Wasi::CliTerminalInput => cli::terminal_input::add_to_linker::<_, WasiCli>(l, State::cli),
            Wasi::CliTerminalOutput => cli::terminal_output::add_to_linker::<_, WasiCli>(l, State::cli),
            Wasi::CliTerminalStdin => cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, State::cli),
            Wasi::CliTerminalStdout => cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, State::cli),
            Wasi::CliTerminalStderr => cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, State::cli),
            Wasi::ClocksMonotonic => {
                clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(l, State::clocks)
            }
            Wasi::ClocksWall => clocks::wall_clock::add_to_linker::<_, WasiClocks>(l, State::clocks),
            Wasi::FilesystemTypes => {
                filesystem::types::add_to_linker::<_, WasiFilesystem>(l, State::filesystem)
            }
            Wasi::FilesystemPreopens => {
                filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, State::filesystem)
            }
            Wasi::IoError => io::error::add_to_linker::<_, Io>(l, |state| &mut state.table),
            Wasi::IoPoll => io::poll::add_to_linker::<_, Io>(l, |state| &mut state.table),
            Wasi::IoStreams => io::streams::add_to_linker::<_, Io>(l, |state| &mut state.table),
            Wasi::Random => random::random::add_to_linker::<_, WasiRandom>(l, State::random),
            Wasi::RandomInsecure => random::insecure::add_to_linker::<_, WasiRandom>(l, State::random),
            Wasi::RandomInsecureSeed => {
                random::insecure_seed::add_to_linker::<_, WasiRandom>(l, State::random)
            }
        }?;
    }
    Ok(())
}

/// A guest's standard output or standard error.
#[derive(Clone)]
struct Stdio {
    output: SharedOutput,
    error: bool,
}

impl IsTerminal for Stdio {
    /// Never: only the host uses colours and moves the cursor.
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stdio {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// Only used by WASI 0.3, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

fn stream_error(error: OutputError) -> StreamError {
    match error {
        OutputError::Io(error) => StreamError::LastOperationFailed(error.into()),
        OutputError::Stop(fault) => StreamError::Trap(stop(fault)),
    }
}

#[async_trait]
impl OutputStream for Stdio {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut output = self.output.lock();
        let written = if self.error { output.print_error(&bytes) } else { output.print(&bytes) };
        written.map_err(stream_error)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE_BYTES)
    }
}

#[async_trait]
impl Pollable for Stdio {
    async fn ready(&mut self) {}
}
