//! Objects that a person wrote: in a file, by flags, or both.
//!
//! [`read_manifest`] reads the object of a kind out of a file and refuses all else, [`Assignment`]
//! is a flag such as `--set spec.x=4`, [`plain_refusal`] turns what a webhook or schema says about the
//! result into one line.

mod assignment;
mod file;
mod refusal;
mod resources;
mod yaml;

pub use assignment::{Assignment, Variable, set_variable};
pub use file::{read_documents, read_manifest, read_named_manifest};
pub use refusal::plain_refusal;
pub use resources::{Amount, Devices, amounts, set_resources};
pub use yaml::Dialect;
