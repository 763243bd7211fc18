//! The commands that this kf carries inside.
//!
//! A release has the first-party commands (feature `embedded`), and the registry that newer ones come from; a build from
//! source has neither, and takes all its commands from registries that its user sets up. See [`kf_registry::built_in`] and
//! [`kf_registry::registries`].

use kf_registry::built_in::{BuiltIn, BuiltIns, DefaultRegistry};

static COMMANDS: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/commands.rs"));
static REGISTRY: Option<DefaultRegistry> = include!(concat!(env!("OUT_DIR"), "/registry.rs"));

/// The commands that this kf carries inside, and its default registry.
#[must_use]
pub fn carried() -> BuiltIns {
    BuiltIns::new(COMMANDS, REGISTRY)
}
