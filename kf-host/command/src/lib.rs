//! A command on this machine.
//!
//! | question | module |
//! |---|---|
//! | what would change if it was added or upgraded, and does that need consent? | [`plan`], [`consent`] |
//! | is it what its manifest says, and no more? | [`examine`] |
//! | adding, upgrading, removing | [`install`], [`remove`] |
//! | which command answers to a name, and what could be added? | [`installed`], [`offered`] |
//! | can it be used here, by this user? | [`availability`] |
//! | what stands between the user and a run? | [`checkup`] |
//! | what may this run do? | [`grants`] |
//! | running it, and asking it for candidates | [`run`], [`complete`] |
//! | is it fit to be published? | [`publish`] |
//!
//! Everything is decided here and nothing is shown: callers hand in a [`Reporter`](reporter::Reporter)
//! for what should be told while it happens, show plans, ask people, and hand back their answer.

pub mod availability;
pub mod checkup;
pub mod cluster;
mod code;
pub mod complete;
pub mod consent;
pub mod examine;
pub mod explain;
pub mod grants;
pub mod install;
pub mod installed;
pub mod local;
pub mod offered;
pub mod plan;
pub mod publish;
pub mod remove;
pub mod reporter;
pub mod reserved;
pub mod rights;
pub mod run;
pub mod selection;
