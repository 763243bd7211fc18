//! Write a kf command.
//!
//! A command is a clap struct and a function, compiled to a WebAssembly component that kf runs in a
//! sandbox. It reaches the cluster, the terminal and files only through [`Kf`], and only with the rights
//! that its `plugin.toml` requests and the user accepted.
//!
//! ```
//! use kf_plugin_sdk::prelude::*;
//!
//! /// Say hello
//! #[derive(clap::Parser, Describe)]
//! struct Hello {
//!     /// Name to greet
//!     #[arg(default_value = "world")]
//!     name: String,
//! }
//!
//! # mod plugin { use super::*;
//! #[kf_plugin_sdk::main]
//! fn main(hello: Hello, kf: &Kf) -> Result<Exit> {
//!     kf.print_line(format!("hello {}", hello.name))?;
//!     Ok(Exit::OK)
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! kf extracts help and completion from the clap struct when the command is published, so neither
//! starts the command. [`Describe`] adds what clap cannot express.
//!
//! Logic is tested natively, without WebAssembly or a cluster: see [`testing`].

#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "generated; the component ABI passes pointers")]
#[expect(
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::panic,
    clippy::unwrap_used,
    reason = "generated"
)]
#[rustfmt::skip]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;

pub mod abi;
mod all_namespaces;
mod args;
mod clock;
mod command_line;
mod describe;
mod error;
mod kf;
mod logs;
#[cfg(feature = "manifest")]
pub mod manifest;
pub mod namespaces;
pub mod objects;
mod quantity;
mod report;
mod run;
mod sessions;
mod skipped;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod tree;
pub mod ui;
pub mod workloads;

pub use kf_plugin_sdk_macros::{Describe, main};

pub use abi::{
    Access, Context, Event, EventKind, FileEntry, FileTree, HttpResponse, Identity, Kind, Method, Output,
    Pollable, Port, Selected, ServedKind, Verdict,
};
pub use all_namespaces::InNamespace;
pub use args::{DirectoryArg, FileArg, NameOrFile, Span};
pub use clock::{Timestamp, short_duration};
pub use command_line::CommandLine;
pub use describe::{Describe, Notes, describe};
pub use error::{Error, ErrorCode, Exit, Optional, Result};
pub use kf::Kf;
pub use logs::{Forwarding, Log, LogRequest};
pub use objects::{Api, Object};
pub use quantity::Quantity;
pub use run::{Command, run};
pub use sessions::{PodHttp, PortForward, Process, ProcessOutput, Session};
pub use skipped::Skipped;
pub use tree::{
    Argument, ArgumentKind, Candidate, CommandNode, Completion, CompletionRequest, Example, PossibleValue,
    ValueType,
};

#[doc(hidden)]
pub use clap;

/// The items that most commands use.
pub mod prelude {
    pub use clap;

    pub use crate::ui::{Cell, Format, TableRow, Tone};
    pub use crate::{
        Api, Candidate, Completion, CompletionRequest, Describe, DirectoryArg, Error, ErrorCode, EventKind,
        Exit, FileArg, Kf, Kind, NameOrFile, Object, Optional, Result, Skipped, Span, Timestamp,
    };
}

/// Compiles the examples in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The version of the ABI that this crate implements.
pub const ABI: &str = "0.1.0";

/// Exports a [`Command`] from the component; expanded by `#[kf_plugin_sdk::main]`.
#[doc(hidden)]
#[macro_export]
macro_rules! export {
    ($command:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exports = $crate::guest::Exports<$command>;
    $crate::bindings::export_command!(Exports with_types_in $crate::bindings);

            /// kf checks the ABI version before it compiles the component.
            #[unsafe(link_section = "kf:abi")]
            #[used]
            static ABI: [u8; 5] = *b"0.1.0";
        };

        // Keeps the command from being dead code in a native build.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&[String], &$crate::Kf) -> $crate::Result<$crate::Exit> = $crate::run::<$command>;
    };
}
