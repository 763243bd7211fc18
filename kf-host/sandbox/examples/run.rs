//! Compiles a component, or runs a compiled one, to measure the start time of a command.
//!
//! ```sh
//! cargo run --release -p kf-sandbox --example run -- compile hello.wasm hello.cwasm
//! cargo run --release -p kf-sandbox --example run -- run hello.cwasm Ada
//! ```

use std::io::{self, Write};
use std::process::ExitCode;

use kf_core::api::{ApiError, ErrorCode};
use kf_core::ui::{Column, Format, Row, Ui, WidgetId};
use kf_sandbox::{Code, Context, Fault, Granted, Limits, Run};
use semver::Version;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let result = match (words.next().as_deref(), words.next(), words.next()) {
        (Some("compile"), Some(wasm), Some(code)) => compile(&wasm, &code),
        (Some("describe"), Some(code), None) => describe(&code),
        (Some("run"), Some(code), first) => run(&code, first.into_iter().chain(words).collect()),
        _ => Err("run.rs compile WASM CWASM | describe CWASM | run CWASM [ARGUMENT]…".into()),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(9)
        }
    }
}

/// The ABI of the examples.
const ABI: Version = Version::new(0, 1, 0);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn compile(wasm: &str, code: &str) -> Result<u8> {
    let wasm = fs_err::read(wasm)?;
    let inspection = kf_sandbox::inspect(&wasm)?;
    let names: Vec<_> = inspection.imports.iter().map(ToString::to_string).collect();
    writeln!(io::stderr(), "ABI {}, imports {}", inspection.abi, names.join(", "))?;
    fs_err::write(code, kf_sandbox::compile(&wasm)?.as_bytes())?;
    Ok(0)
}

fn describe(code: &str) -> Result<u8> {
    io::stdout().write_all(
        &kf_sandbox::describe(Code::Stored(fs_err::File::open(code)?.into_file().into()), ABI)?.to_json(),
    )?;
    Ok(0)
}

fn run(code: &str, arguments: Vec<String>) -> Result<u8> {
    let run = Run {
        code: Code::Stored(fs_err::File::open(code)?.into_file().into()),
        abi: ABI,
        arguments,
        granted: Granted::default(),
        limits: Limits::default(),
        context: Context {
            namespace: "default".to_owned(),
            command: "example".to_owned(),
            ..Context::default()
        },
        kube: None,
        selection: None,
        terminal: Err(ApiError::new(ErrorCode::Forbidden, "this example has no terminal")),
        files: Vec::new(),
        ui: Box::new(Plain(Vec::new())),
        backtrace: true,
    };
    match kf_sandbox::run(run) {
        Ok(outcome) => Ok(outcome.exit?),
        Err(Fault::Trap { message, backtrace }) => {
            Err(format!("it trapped: {message}\n{}", backtrace.unwrap_or_default()).into())
        }
        Err(fault) => Err(fault.into()),
    }
}

/// Prints bytes and lines and renders nothing.
struct Plain(Vec<u8>);

impl Ui for Plain {
    fn output_format(&self) -> Format {
        Format::Table
    }

    fn print(&mut self, data: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(data);
        if self.0.len() > 64 << 10 { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&std::mem::take(&mut self.0))?;
        stdout.flush()
    }

    fn note(&mut self, text: &str) {
        let _ = writeln!(io::stderr(), "{}", text.escape_debug());
    }

    fn warn(&mut self, text: &str) {
        self.note(text);
    }

    fn host_note(&mut self, text: &str) {
        self.note(text);
    }

    fn host_warn(&mut self, text: &str) {
        self.note(text);
    }

    fn table(&mut self, _: &[Column], rows: &[Row]) -> io::Result<()> {
        rows.iter().try_for_each(|row| self.print(format!("{}\n", row.name).as_bytes()))
    }

    fn record(&mut self, _: &[Column], value: &Row) -> io::Result<()> {
        self.print(format!("{}\n", value.object).as_bytes())
    }

    fn live_table(&mut self, _: WidgetId, _: &[Column]) {}

    fn live_table_update(&mut self, _: WidgetId, rows: &[Row]) -> io::Result<()> {
        self.table(&[], rows)
    }

    fn live_table_end(&mut self, _: WidgetId) {}

    fn progress(&mut self, _: WidgetId, _: &str, _: Option<u64>) {}

    fn progress_set(&mut self, _: WidgetId, _: &str, _: u64) {}

    fn progress_end(&mut self, _: WidgetId) {}

    fn confirm(&mut self, _: &str, _: bool) -> bool {
        false
    }

    fn ask(&mut self, _: &str) -> Option<String> {
        None
    }
}
