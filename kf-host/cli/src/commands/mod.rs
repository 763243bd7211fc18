//! kf's own commands, a folder a noun and a file a verb.

pub mod command;
pub mod completion;
pub mod registry;
