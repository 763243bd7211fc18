//! Write a kf command.
//!
//! A command is a clap struct and a function. Compiled to WebAssembly it is a component that kf
//! runs in a sandbox: it reaches the cluster, the terminal and files through [`Kf`] and through
//! nothing else, and only as far as its `plugin.toml` asked and the user agreed.
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
//! kf reads help and completion out of the clap struct when the command is published,
//! so those never start the command. See [`Describe`] for what clap has no words for.
//!
//! Logic is tested natively, without WebAssembly and without a cluster: see [`testing`].

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

mod all_namespaces;
mod args;
pub mod border;
mod clock;
mod command_line;
mod describe;
mod did;
mod error;
mod kf;
mod left_out;
mod logs;
#[cfg(feature = "manifest")]
pub mod manifest;
pub mod namespaces;
pub mod objects;
mod quantity;
mod run;
mod sessions;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod tree;
pub mod ui;
pub mod workloads;

pub use kf_plugin_sdk_macros::{Describe, main};

pub use all_namespaces::InNamespace;
pub use args::{DirectoryArg, FileArg, NameOrFile, Span};
pub use border::{
    Access, Context, Event, EventKind, FileEntry, FileTree, HttpResponse, Identity, Kind, Method, Output,
    Pollable, Port, Selected, ServedKind, Verdict,
};
pub use clock::{Timestamp, short_duration};
pub use command_line::CommandLine;
pub use describe::{Describe, Notes, describe};
pub use error::{Error, ErrorCode, Exit, Optional, Result};
pub use kf::Kf;
pub use left_out::LeftOut;
pub use logs::{Forwarding, Log, LogRequest};
pub use objects::{Api, Object};
pub use quantity::Quantity;
pub use run::{Command, run};
pub use sessions::{PodHttp, PortForward, Process, Said, Session};
pub use tree::{
    Argument, ArgumentKind, Candidate, CommandNode, Completion, CompletionRequest, Example, PossibleValue,
    ValueType,
};

#[doc(hidden)]
pub use clap;

/// What most commands use.
pub mod prelude {
    pub use clap;

    pub use crate::ui::{Cell, Format, TableRow, Tone};
    pub use crate::{
        Api, Candidate, Completion, CompletionRequest, Describe, DirectoryArg, Error, ErrorCode, EventKind,
        Exit, FileArg, Kf, Kind, LeftOut, NameOrFile, Object, Optional, Result, Span, Timestamp,
    };
}

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The version of the ABI this crate speaks.
pub const ABI: &str = "0.1.0";

/// Makes a component's exports of a [`Command`]; `#[kf_plugin_sdk::main]` writes it.
#[doc(hidden)]
#[macro_export]
macro_rules! export {
    ($command:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exports = $crate::guest::Exports<$command>;
    $crate::bindings::export_command!(Exports with_types_in $crate::bindings);

            /// kf refuses an ABI it does not speak before it compiles anything.
            #[unsafe(link_section = "kf:abi")]
            #[used]
            static ABI: [u8; 5] = *b"0.1.0";
        };

        // Without it nothing uses the command in a native build, and the compiler warns of dead code.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&[String], &$crate::Kf) -> $crate::Result<$crate::Exit> = $crate::run::<$command>;
    };
}
