//! Objects from files and flags.
//!
//! [`read_manifest`] reads an object of known kinds from a file, [`Assignment`] is a flag such as
//! `--set spec.x=4`, and [`shorten_rejection`] shortens the error of a webhook or schema to one line.

mod assignment;
mod file;
mod refusal;
mod resources;
mod yaml;

pub use assignment::{Assignment, Variable, set_variable};
pub use file::{read_documents, read_manifest, read_named_manifest};
pub use refusal::{rejection_prefix, shorten_rejection};
pub use resources::{Amount, Devices, amounts, set_resources};
pub use yaml::Dialect;
