//! Commands that were added: from signed bytes to a run.

pub mod added;
pub mod argv;
pub mod clap_tree;
pub mod code;
pub mod complete;
pub mod consent;
pub mod examine;
pub mod install;
pub mod rights;
pub mod run;
pub mod tree_rules;
mod ui;
