//! The built-in commands of this kf.
//!
//! A release contains the first-party commands (feature `embedded`) and a default registry for newer versions. A build
//! from source contains neither: users set up registries and add commands from them. See [`kf_registry::built_in`] and
//! [`kf_registry::registries`].

use kf_registry::built_in::{BuiltIn, BuiltIns, DefaultRegistry};

static COMMANDS: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/commands.rs"));
static REGISTRY: Option<DefaultRegistry> = include!(concat!(env!("OUT_DIR"), "/registry.rs"));

/// The built-in commands and the default registry.
#[must_use]
pub fn built_ins() -> BuiltIns {
    BuiltIns::new(COMMANDS, REGISTRY)
}
