//! The expected result of each attack, grouped by target.

mod completion;
mod identity;
mod reach;
mod resources;
mod terminal;

pub(crate) use completion::*;
pub(crate) use identity::*;
pub(crate) use reach::*;
pub(crate) use resources::*;
pub(crate) use terminal::*;
