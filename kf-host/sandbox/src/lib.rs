//! Runs a command's WebAssembly component, which can do what it was granted and nothing else.
//!
//! A component goes through this crate in three steps:
//!
//! 1. [`inspect()`] reads its bytes: size, validity, ABI version, imports. Nothing is compiled.
//! 2. [`compile`] makes machine code of it, once, when the command is added.
//! 3. [`run()`] maps that code and calls it, within [`Limits`], with the interfaces of its
//!    [`Granted`] linked and no others.
//!
//! [`describe`] and [`complete`] are runs with fewer rights and lower limits.
//!
//! The sandbox reaches the cluster only through the trait [`KubeApi`](kf_core::api::KubeApi), and a
//! terminal only through the trait [`Ui`](kf_core::ui::Ui). It has no access to registries, kubeconfigs
//! and environment variables.

mod abi;
mod directory;
#[cfg(test)]
mod directory_tests;
mod engine;
mod fault;
mod forward;
mod host_errors;
mod inspect;
mod interface;
mod join;
mod keys;
pub mod limits;
mod output;
mod poll;
mod run;
mod state;
mod supervise;
mod wasi;

pub use engine::{COMPATIBILITY, Code, CompileError, Compiled, compile, compile_to_describe};
pub use fault::{Fault, Limit, Which};
pub use inspect::{ABI_SECTION, InspectError, Inspection, MAX_COMPONENT_BYTES, inspect};
pub use interface::{Granted, Interface, UndeclaredImports, Wasi, check_imports};
pub use limits::Limits;
pub use run::{Candidate, CompletionRequest, GuestError, Kube, Outcome, Run, complete, describe, run};
pub use state::{Context, FileGrant, FileReach};
